"""Puts texts back where `reader.py` found them. Nothing is changed in place: what is on the way to a text is copied.

JSON in a string is decoded, changed and encoded again, so it stays JSON whatever the text is. A number that became a text is one
from then on. An object's member that is given a name that its object has already gets a `_` after it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.domain.verdicts import Passage
from gateway.guardrails.texts.reader import segments

_INSIDE = ""  # the step from a string to the JSON in it


def replaced(document: Any, changes: Iterable[tuple[Passage, str]]) -> Any:
    """Return the document with other texts in these places.

    Args:
        document: What the passages were read from.
        changes: Passages, and what is to stand there.
    """
    tree: dict[str | int, Any] = {}
    for passage, text in changes:
        steps = passage.path if passage.inner is None else (*passage.path, _INSIDE, *passage.inner)
        if not steps:
            return text
        node = tree
        for step in steps[:-1]:
            node = node.setdefault(step, {})
        node[steps[-1]] = text
    return _rebuilt(document, tree) if tree else document


def _rebuilt(value: Any, tree: Mapping[str | int, Any] | str) -> Any:
    if isinstance(tree, str):
        return tree
    if isinstance(value, str):
        if _INSIDE in tree:
            return msgspec.json.encode(_rebuilt(msgspec.json.decode(value), tree[_INSIDE])).decode()
        return "".join(str(tree.get(index, segment)) for index, segment in enumerate(segments(value)))
    if isinstance(value, list):
        copied = list(value)
        for index, below in tree.items():
            copied[int(index)] = _rebuilt(copied[int(index)], below)
        return copied
    return _object(value, tree)


def _object(value: Mapping[str, Any], tree: Mapping[str | int, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = {}
    taken = value.keys() if any(type(step) is int for step in tree) else ()
    for index, (name, member) in enumerate(value.items()):
        called = tree.get(index, name)
        while called != name and (called in taken or called in copied):
            called += "_"
        copied[called] = _rebuilt(member, tree[name]) if name in tree else member
    return copied
