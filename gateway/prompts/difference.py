"""What is different between two versions of a prompt: member by member for programs, line by line for people. Pure.

A member's place is a path (`messages[1].content`, `parameters.temperature`); one that is on one side only lacks the other side's
value. Lists are compared index by index.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.domain.prompts import PromptText, PromptVersion

# Members beside what the hash covers that are worth comparing; the note says why a version was made, and always differs.
ABOUT = ("description", "examples")
MAX_LINES = 5000  # of both texts: comparing lines takes quadratic time
_NONE: Any = object()


def difference(before: PromptVersion, after: PromptVersion) -> dict[str, Any]:
    """Return what is different, JSON-ready.

    Returns:
        `same`, `changes` (each with `field` and `before`, `after` or both), and `text`, a unified diff; null where the versions have too
        many lines for one.
    """
    old, new = _members(before), _members(after)
    changes = list(_changes("", old, new))
    return {"object": "prompt.diff", "same": not changes, "changes": changes, "text": _unified(before, after, old, new)}


def _members(version: PromptVersion) -> dict[str, Any]:
    """Return what is compared, without what has its default."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(version))
    return {name: document[name] for name in (*ABOUT, *PromptText.__struct_fields__) if name in document}


def _changes(path: str, old: Any, new: Any) -> Iterator[dict[str, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys((*old, *new)):
            yield from _changes(f"{path}.{name}" if path else name, old.get(name, _NONE), new.get(name, _NONE))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            pair = (each[index] if index < len(each) else _NONE for each in (old, new))
            yield from _changes(f"{path}[{index}]", *pair)
    elif type(old) is not type(new) or old != new:
        sides = {"before": old, "after": new}
        yield {"field": path} | {side: value for side, value in sides.items() if value is not _NONE}


def _unified(before: PromptVersion, after: PromptVersion, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    first, second = list(_lines(old)), list(_lines(new))
    if len(first) + len(second) > MAX_LINES:
        return None
    names = [f"{each.name} version {each.version}" for each in (before, after)]
    return "\n".join(difflib.unified_diff(first, second, names[0], names[1], lineterm=""))


def _lines(members: Mapping[str, Any]) -> Iterator[str]:
    """Yield a version as people read it: texts as they are, all else as JSON."""
    for name, value in members.items():
        if name == "messages":
            for index, message in enumerate(value):
                yield from _message(index, message)
        elif isinstance(value, str):
            yield from _said(f"{name}:", value)
        else:
            yield from _said(f"{name}:", msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _message(index: int, message: Mapping[str, Any]) -> Iterator[str]:
    if message.get("placeholder"):
        yield f"messages[{index}]: the {message['placeholder']}"
        return
    conditions = message.get("when", {})
    when = f" when {msgspec.json.encode(conditions).decode()}" if conditions else ""
    content = message.get("content", "")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    yield f"messages[{index}] {message.get('role', '')}{when}:"
    for part in parts:
        plain = part.keys() == {"type", "text"}
        yield from _indented(part["text"] if plain else msgspec.json.encode(part).decode())


def _said(head: str, text: str) -> Iterator[str]:
    if "\n" in text:
        yield head
        yield from _indented(text)
    else:
        yield f"{head} {text}"


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}" for line in text.split("\n"))
