r"""The strings inside JSON that is itself a string: a tool call's arguments.

They are found where they stand, keys and values, so that all other bytes stay as the model wrote them: a member that is
there twice, an escape (`\u0040` is an `@`), a cut end. Long numbers count as strings too: a card's number is one either way,
and redacted it becomes a string.
"""

import json
import re

import msgspec

_LITERAL = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?$)|\d[\d.]{8,}+', re.DOTALL)
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?$")


def literals(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, what it says) of each string and long number; those that no JSON reader could read are left out."""
    found = []
    for match in _LITERAL.finditer(text):
        value = _said(match[0])
        if value:
            found.append((match.start(), match.end(), value))
    return found


def _said(literal: str) -> str:
    if not literal.startswith('"'):
        return literal
    for attempt in (literal, _CUT_ESCAPE.sub("", literal) + '"'):  # the end of the answer may have cut it off
        try:
            return msgspec.json.decode(attempt, type=str)
        except msgspec.MsgspecError:
            continue
    try:  # other readers take half of a pair of surrogates, and line breaks
        return str(json.loads(literal, strict=False)).encode("utf-8", "replace").decode()
    except ValueError:
        return ""


def rejoined(text: str, found: list[tuple[int, int, str]], values: list[str]) -> str:
    """Return the JSON with other values; what has not changed keeps its bytes."""
    parts: list[str] = []
    done = 0
    for (start, end, old), new in zip(found, values, strict=True):
        if new != old:
            parts += (text[done:start], msgspec.json.encode(new).decode())
            done = end
    return "".join([*parts, text[done:]])


def is_json(text: str) -> bool:
    """Tell whether a text is whole, valid JSON."""
    try:
        msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return False
    return True
