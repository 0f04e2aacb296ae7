"""The body of a Prompty file: messages after lines that say whose words follow.

    system:
    You answer for {{company}}.

    ![thread]                  here goes the conversation

    user:
    {{question}}

A message is what stands between two such lines, without the blank lines around it. What cannot be said so (a text that holds such a
line itself, a condition) stands in the frontmatter, under `gateway.messages`; its place in the body is then empty.

Source: microsoft/prompty, the chat parser of its Python runtime (read 2026-11-22).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast, get_args

from gateway.domain.prompts import Content, PromptMessage, Role

_ROLES: frozenset[str] = frozenset(get_args(Role.__value__))
_BOUNDARY = re.compile(r"\s*#?\s*(assistant|developer|function|system|tools?|user)(\[[^\]]*=[^\]]*\])?\s*:\s*", re.IGNORECASE)
_THREAD = "![thread]"
_IMAGE = re.compile(r"!\[[^\]\n]*\]\(([^()\s\"]*)(?:\s+\"[^\"\n]*\")?\s*\)")
_ADDRESSES = ("http://", "https://", "data:")


class BodyFault(Exception):
    """What is wrong with a body; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def read_body(body: str) -> tuple[PromptMessage, ...]:
    """Return the messages of a body.

    Raises:
        BodyFault: It holds what a prompt here cannot be; the line says where.
    """
    return tuple(_messages(body.split("\n")))


def write_body(messages: Sequence[PromptMessage]) -> str:
    """Return a body of these messages; those that it cannot hold are empty places in it (`says`)."""
    return "\n".join(_written(message) if says(message) else _marker(message) for message in messages)


def says(message: PromptMessage) -> bool:
    """Tell whether a body can hold a message's content as it is."""
    try:
        (read,) = read_body(_written(message))
    except (BodyFault, ValueError):
        return False
    content = message.content
    whole = isinstance(content, tuple) or content.splitlines() == content.split("\n") or not content  # other readers cut at them all
    return whole and (read.role, read.content, read.placeholder) == (message.role, content, message.placeholder)


def _messages(lines: Sequence[str]) -> Iterator[PromptMessage]:
    role: Role | Literal[""] = ""
    first, held = 1, list[str]()
    for index, line in enumerate([*lines, None]):
        found = None if line is None else _BOUNDARY.fullmatch(line)
        thread = line is not None and line.strip().startswith(_THREAD)
        if line is not None and not found and not thread:
            held.append(line)
            continue
        if role or any(each.strip() for each in held):
            yield PromptMessage(role=role or "system", content=_content(held, first))
        held, first, role = [], index + 2, ""
        if found:
            role = _role(found, index + 1)
        elif thread:
            if line is not None and line.strip() != _THREAD:
                raise BodyFault("has words after `![thread]`", index + 1)
            yield PromptMessage(placeholder="conversation")


def _role(found: re.Match[str], line: int) -> Role:
    role = found[1].lower()
    if found[2]:
        raise BodyFault(f"has attributes after `{role}`, which messages here do not have", line)
    if role not in _ROLES:
        raise BodyFault(f"has a part `{role}:`; write tools under `model.parameters.tools`, and calls of them nowhere", line)
    return cast("Role", role)


def _content(lines: list[str], first: int) -> Content:
    while lines and not lines[0].strip():
        lines, first = lines[1:], first + 1
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    text = "\n".join(lines)
    parts, last = list[dict[str, Any]](), 0
    for image in _IMAGE.finditer(text):
        if not image[1].startswith(_ADDRESSES) or "{{" in image[1]:
            line = first + text.count("\n", 0, image.start())
            raise BodyFault("has an image that is no address (http, https or data): files and variables cannot be sent as images", line)
        parts += [*_text_part(text[last : image.start()]), {"type": "image_url", "image_url": {"url": image[1]}}]
        last = image.end()
    return (*parts, *_text_part(text[last:])) if parts else text


def _text_part(text: str) -> Iterator[dict[str, Any]]:
    if text.strip():
        yield {"type": "text", "text": text.strip()}


def _marker(message: PromptMessage) -> str:
    return f"{_THREAD}\n" if message.placeholder else f"{message.role}:\n"


def _written(message: PromptMessage) -> str:
    content = message.content
    text = content if isinstance(content, str) else "\n".join(map(_part, content))
    return _marker(message) + (f"{text}\n" if text else "")


def _part(part: Any) -> str:
    if part.get("type") == "image_url" and isinstance(image := part.get("image_url"), dict):
        return f"![image]({image.get('url')})"
    return str(part.get("text", ""))
