"""YAML as prompt files have it: what JSON can say and nothing else, texts of several lines as `|` blocks, members in a given order.

Read strictly: a member that stands twice, a name that is no text, dates, tags and anchors are refused, because a file must say
one thing to everybody who reads it. What is written reads back as the same values, whatever stands in the texts.

Source: YAML 1.1 as PyYAML 6.0.3 reads and writes it (read 2026-11-22).
"""

import math
import re
from collections.abc import Hashable
from typing import Any

import yaml

TIME = "tag:yaml.org,2002:timestamp"
_JSON_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")}
# What no style but double quotes is read back from: invisible characters, and those that some readers take for the end of a line.
_INVISIBLE = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe]")
# What a block cannot hold as it is: spaces at a line's end, and at the start what would be taken for its indent.
_NO_BLOCK = re.compile(r" \n| \Z|\A[ \n]")


class YamlFault(Exception):
    """A text that is not such YAML. `line` counts from 1; 0 where none can be named."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise YamlFault("has an anchor that is used again; write the value out", self.peek_event().start_mark.line + 1)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if node is not None and node.tag not in _JSON_TAGS:
            shown = "a time; put it in quotes" if node.tag == TIME else f"of the type {node.tag[:64]!r}, which JSON does not have"
            raise YamlFault(f"has a value that is {shown}", node.start_mark.line + 1)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's own
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise YamlFault("has a member whose name is no text; put it in quotes", key.start_mark.line + 1)
            if key.value in seen:
                raise YamlFault(f"has the member {key.value[:64]!r} twice", key.start_mark.line + 1)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's own
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quoted = _INVISIBLE.search(text) or ("\n" in text and _NO_BLOCK.search(text))
    style = '"' if quoted else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def load(text: str) -> Any:
    """Return what a document says.

    Raises:
        YamlFault: It is not YAML, or says what JSON cannot.
    """
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a safe loader, made stricter
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise YamlFault(f"is not YAML: {exc.problem or exc.context}", mark.line + 1 if mark else 0) from exc
    except yaml.YAMLError as exc:
        raise YamlFault("is not YAML: it holds a character that may stand there only escaped") from exc
    except (RecursionError, ValueError) as exc:
        raise YamlFault("is nested too deeply, or has a number that cannot be read") from exc
    if _has_no_number(document):
        raise YamlFault("has a number that JSON does not have: infinite, or not a number")
    return document


def dump(document: Any) -> str:
    """Return a document as text that `load` reads as the same. Members stay in their order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf, default_flow_style=False)


def _has_no_number(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_no_number, value.values()))
    if isinstance(value, list):
        return any(map(_has_no_number, value))
    return isinstance(value, float) and not math.isfinite(value)
