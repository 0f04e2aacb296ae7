r"""How a placeholder may look in a model's answer, and where an unfinished one begins.

    <EMAIL_1>   &lt;EMAIL_1&gt;   \u003cEMAIL_1\u003e   %3CEMAIL_1%3E      each in any letter case, `_` also as `\_` or `\\_`

Models write what they were shown into HTML, JSON, links and Markdown, and escape it there. The form says where it stands, so
the original is escaped in the same way. Nothing without brackets is recognised: `EMAIL_1` may be the name of a variable.

Must not: recognise anything that `literals` does not see, since what stands literally in a request is avoided by what that
returns.
"""

import html
import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import quote

import msgspec

MAX_BODY = 64  # characters between the brackets
_FORM = re.compile(rf"(<|&lt;|\\u003c|%3c)((?:[a-z0-9]|\\{{0,2}}_){{3,{MAX_BODY}}})(>|&gt;|\\u003e|%3e)", re.IGNORECASE | re.ASCII)
_BODY = re.compile(rf"(?:[a-z0-9]|\\{{0,2}}_){{0,{MAX_BODY}}}", re.IGNORECASE | re.ASCII)
_CLOSING = {"<": ">", "&lt;": "&gt;", "\\u003c": "\\u003e", "%3c": "%3e"}
_LONGEST = max(map(len, _CLOSING)) + 3 * MAX_BODY + max(map(len, _CLOSING.values()))
_FIRST = re.compile(r"[<&\\%]")


def key_of(body: str) -> str:
    """Return what stands between the brackets as it was given out: `EMAIL_1`."""
    return body.replace("\\", "").upper()


def literals(texts: Iterable[str]) -> set[str]:
    """Return what in the texts would be taken for a placeholder, by what stands between its brackets."""
    return {key_of(found[2]) for text in texts if _may_hold(text) for found in _FORM.finditer(text)}


def replaced(text: str, originals: Callable[[str], str | None], *, json: bool) -> str:
    """Put originals in place of placeholders.

    Args:
        text: With placeholders.
        originals: What stands between the brackets → its original; None where there is none, and the text stays.
        json: The text is of JSON, inside a string.
    """
    if not _may_hold(text):
        return text

    def original(found: re.Match[str]) -> str:
        opening = found[1].lower()
        value = originals(key_of(found[2])) if _CLOSING[opening] == found[3].lower() else None
        if value is None:
            return found[0]
        if opening == "&lt;":
            value = html.escape(value, quote=False)
        elif opening == "%3c":
            value = quote(value, safe="@")
        return _in_json(value) if json or opening == "\\u003c" else value

    return _FORM.sub(original, text)


def open_from(text: str, keys: Collection[str]) -> int:
    """Return where at the end of a text an unfinished placeholder begins; its length where there is none.

    Args:
        text: What has been written so far.
        keys: What may stand between the brackets.
    """
    if keys:
        for found in _FIRST.finditer(text, max(0, len(text) - _LONGEST)):
            if _is_open(text[found.start() :].lower(), keys):
                return found.start()
    return len(text)


def _is_open(tail: str, keys: Collection[str]) -> bool:
    for opening, closing in _CLOSING.items():
        if opening.startswith(tail):
            return True
        if tail.startswith(opening) and (body := _BODY.match(tail, len(opening))):
            key, rest = key_of(body[0]), tail[body.end() :]
            if rest and closing.startswith(rest) and rest != closing and key in keys:
                return True
            # Backslashes at the end may be those of an escaped `_`.
            start = f"{key}_" if rest in ("\\", "\\\\") else key
            if (not rest or rest in ("\\", "\\\\")) and any(each.startswith(start) for each in keys):
                return True
    return False


def _may_hold(text: str) -> bool:
    return "_" in text and ("<" in text or "&" in text or "\\" in text or "%" in text)


def _in_json(value: str) -> str:
    return msgspec.json.encode(value)[1:-1].decode()
