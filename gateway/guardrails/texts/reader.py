"""Collects the texts of a JSON document, each with the place where it stands, and what there is that holds no text.

A place (`Passage.path`, and `inner` inside JSON that stands in a string) is made of steps: a member's name, or an index. An index
into an object stands for the name of its member at that position, and one into a text for a segment of it.

Three ways to walk: `said` reads what people and models say (messages, items, content blocks): every string but ids, types and
signatures, so that what is new to us is read, too. `data` reads every string there is, names that are no mere names and whole
numbers as long as those of cards and phones: a tool's arguments, other services' bodies. `described` reads what a tool or a
schema says of itself.

Source: OpenAI API reference, "Chat", "Responses"; Claude API reference, "Create a Message"; Azure OpenAI, "Document embedding in
prompts" (read 2026-11-22).
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from gateway.domain.strict_json import MAX_DEPTH, parse_object
from gateway.domain.verdicts import Passage, Role
from gateway.errors import RequestError

# Unread: what there is that texts cannot be read of.
IMAGE, AUDIO, FILE, TOKENS, BINARY, JSON = "image", "audio", "file", "tokens", "binary", "json"

SHORTEST_NUMBER = 10**8  # a whole number below it is no number of a person, a card or a phone
DOCUMENTS, DOCUMENTS_END = "<documents>", "</documents>"

type Steps = tuple[str | int, ...]

# Members of what is said that hold no words: what they are called, what they refer to, what is signed or sealed.
NO_TEXT = frozenset(
    {"type", "id", "role", "name", "status", "phase", "object", "call_id", "tool_call_id", "tool_use_id", "item_id", "approval_request_id"}
    | {"container_id", "server_label", "signature", "thought_signature", "extra_content", "cache_control", "detail", "media_type"}
    | {"encrypted_index", "encrypted_stdout", "fingerprint", "created_by"}
)
_MEDIA: Mapping[str, str] = {
    "image_url": IMAGE,
    "b64_json": IMAGE,
    "input_audio": AUDIO,
    "file_data": FILE,
    "file_id": FILE,
    "file_url": FILE,
}
# Whose words a node of that type, or a member of that name, holds, where the message does not say it.
_ROLE_OF_TYPE: Mapping[str, Role] = {"document": Role.DOCUMENT, "search_result": Role.DOCUMENT}
_ROLE_OF_MEMBER: Mapping[str, Role] = {"output": Role.TOOL, "outputs": Role.TOOL, "error": Role.TOOL, "results": Role.DOCUMENT}
_TOOL_TYPES = ("tool_result", "_output")
_DESCRIBES = frozenset({"description", "server_description", "definition", "title", "instructions", "role_information"})
_VALUES = frozenset({"default", "const", "enum", "example", "examples", "input_examples"})
_MERE_NAME = re.compile(r"(?!.*[0-9]{6})[A-Za-z_$][A-Za-z0-9_$.-]{0,47}")
_MAYBE_BINARY = frozenset({"result", "image", "audio", "bytes"})
SHORTEST_BINARY = 1024  # characters
_BASE64 = re.compile(r"(?:data:[\w/+.;=-]{0,100},)?[A-Za-z0-9+/=_\-\r\n]+")


class _As(Enum):
    SAID = 1
    DATA = 2
    OBJECT = 3  # JSON in a string, whose object is data
    KEPT = 4  # JSON in a string, whose object was said


class Reader:
    """What was found so far, in the document's order.

    Args:
        embedded: Texts of users may hold documents between `<documents>` and `</documents>`, which become passages of their own.
        binary: What looks like base64 is taken for it: nobody knows the document's members.
    """

    __slots__ = ("_binary", "_embedded", "found", "unread")

    def __init__(self, *, embedded: bool = False, binary: bool = False) -> None:
        self.found: list[Passage] = []
        self.unread: dict[str, None] = {}
        self._embedded = embedded
        self._binary = binary

    def text(self, path: Steps, value: str, role: Role, inner: Steps | None = None) -> None:
        """Take one text; an empty one is none."""
        if role is Role.USER and self._embedded and inner is None and DOCUMENTS in value:
            for index, segment in enumerate(segments(value)):
                if segment:
                    self.found.append(Passage((*path, index), segment, Role.DOCUMENT if index % 2 else role))
        elif value:
            self.found.append(Passage(path, value, role, inner))

    def texts(self, path: Steps, value: Any, role: Role) -> None:
        """Take a text, or a list of them; what else is in it are tokens."""
        if type(value) is str:
            self.text(path, value, role)
        elif type(value) is list:
            for index, item in enumerate(value):
                if type(item) is str:
                    self.text((*path, index), item, role)
                else:
                    self.miss(TOKENS)

    def miss(self, what: str) -> None:
        """Note that there is something that cannot be read."""
        self.unread[what] = None

    def said(self, path: Steps, value: Any, role: Role) -> None:
        """Take all that is said in a message, an item, a block, or in a list of such."""
        self._walk(path, None, value, role, _As.SAID)

    def data(self, path: Steps, value: Any, role: Role) -> None:
        """Take every text of a value, whatever its members are called."""
        self._walk(path, None, value, role, _As.DATA)

    def described(self, path: Steps, value: Any) -> None:
        """Take what tools and schemas say of themselves to the model; their headers, filters and places are not told to it."""
        todo: list[tuple[Steps, Any]] = [(path, value)] if type(value) in {dict, list} else []
        while todo:
            path, value = todo.pop()
            below: list[tuple[Steps, Any]] = []
            for name, member in value.items() if type(value) is dict else enumerate(value):
                if name in _DESCRIBES and type(member) is str:
                    self.text((*path, name), member, Role.SYSTEM)
                elif name in _VALUES and (type(member) is not dict or path[-1:] != ("properties",)):
                    self.data((*path, name), member, Role.SYSTEM)
                elif type(member) in {dict, list}:
                    below.append(((*path, name), member))
            todo += reversed(below)

    def _walk(self, path: Steps, inner: Steps | None, value: Any, role: Role, how: _As) -> None:
        todo = [(path, inner, value, role, how)]
        while todo:
            path, inner, value, role, how = todo.pop()
            kind = type(value)
            if kind is str:
                self._string(path, inner, value, role, how)
            elif kind is int:
                if how is _As.DATA and abs(value) >= SHORTEST_NUMBER:
                    self.text(path, str(value), role, inner)
            elif kind is not dict and kind is not list:
                continue
            elif len(path) + len(inner or ()) > 2 * MAX_DEPTH:
                self.miss(JSON)
            elif kind is list:
                todo += [(*_step(path, inner, index), value[index], role, how) for index in range(len(value) - 1, -1, -1)]
            elif how is _As.DATA:
                todo += reversed(_members(path, inner, value, role))
            else:
                todo += reversed(self._said_members(path, inner, value, role))

    def _string(self, path: Steps, inner: Steps | None, value: str, role: Role, how: _As) -> None:
        if how in (_As.OBJECT, _As.KEPT) and inner is None and (held := json_object(value)) is not None:
            self._walk(path, (), held, role, _As.DATA if how is _As.OBJECT else _As.SAID)
        elif how is _As.KEPT:
            return  # sealed by its backend: nobody else can read it
        elif inner is None and len(value) >= SHORTEST_BINARY and self._is_binary(path, value):
            self.miss(BINARY)
        else:
            self.text(path, value, role, inner)

    def _is_binary(self, path: Steps, value: str) -> bool:
        return (self._binary or path[-1] in _MAYBE_BINARY) and _BASE64.fullmatch(value) is not None

    def _said_members(
        self, path: Steps, inner: Steps | None, node: Mapping[str, Any], role: Role
    ) -> list[tuple[Steps, Steps | None, Any, Role, _As]]:
        kind = node.get("type")
        if type(kind) is str:
            role = Role.TOOL if kind.endswith(_TOOL_TYPES) else _ROLE_OF_TYPE.get(kind, role)
        found = []
        for name, value in node.items():
            if name in NO_TEXT or value is None:
                continue
            if name in _MEDIA:
                self.miss(_MEDIA[name])
                continue
            how = _As.SAID
            if name == "arguments":
                how = _As.OBJECT if type(value) is str else _As.DATA
            elif name == "encrypted_content":
                how = _As.KEPT
            elif name == "input" and type(value) is dict:
                how = _As.DATA
            elif name == "data" and type(value) is str:
                if not (kind == "text" and role is Role.DOCUMENT):  # a document's source, as a text
                    self._miss_data(kind, node)
                    continue
            elif name == "source" and type(value) is dict and value.get("type") in {"base64", "url", "file"}:
                self.miss(IMAGE if kind == "image" else FILE)
                continue
            found.append((*_step(path, inner, name), value, _ROLE_OF_MEMBER.get(name, role), how))
        return found

    def _miss_data(self, kind: Any, node: Mapping[str, Any]) -> None:
        if kind != "redacted_thinking":  # sealed, and no part of what is said
            self.miss(AUDIO if "transcript" in node else BINARY)


def segments(text: str) -> list[str]:
    """Split a text at its embedded documents: they stand at the odd places. Joined again it is the same text."""
    found: list[str] = []
    done = 0
    while (start := text.find(DOCUMENTS, done)) >= 0 and (end := text.find(DOCUMENTS_END, start)) >= 0:
        start += len(DOCUMENTS)
        found += (text[done:start], text[start:end])
        done = end
    return [*found, text[done:]]


def json_object(text: str) -> dict[str, Any] | None:
    """Return the object that a text spells, in a way that every parser reads alike; None where it is any other text."""
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        return parse_object(text.encode())
    except (RequestError, UnicodeEncodeError):
        return None


def _step(path: Steps, inner: Steps | None, step: str | int) -> tuple[Steps, Steps | None]:
    return ((*path, step), None) if inner is None else (path, (*inner, step))


def _members(path: Steps, inner: Steps | None, node: Mapping[str, Any], role: Role) -> list[tuple[Steps, Steps | None, Any, Role, _As]]:
    found = []
    for index, (name, value) in enumerate(node.items()):
        if not _MERE_NAME.fullmatch(name):
            found.append((*_step(path, inner, index), name, role, _As.DATA))
        found.append((*_step(path, inner, name), value, role, _As.DATA))
    return found
