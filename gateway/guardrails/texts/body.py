"""Bodies of any type as documents whose texts can be read and replaced, and back to bytes.

| body | document |
| --- | --- |
| JSON | its value |
| JSON lines | a list of values |
| `application/x-www-form-urlencoded` | a list of [name, value] |
| a multipart form | a list of the parts' texts; null for a file |
| XML | a list: texts, attributes' values, comments, and null for the markup between them; what is no markup is text |
| any other text | the text |

The content type is a hint only: what is UTF-8 is text, and what looks like JSON is read as JSON. What is neither is no document:
None. JSON that two parsers could read differently stays a text, with `ambiguous` said. Only what changed is written anew, in the
body's own spelling (escapes of JSON, of forms, of XML).

Source: RFC 8259; RFC 7578; WHATWG URL, "application/x-www-form-urlencoded"; XML 1.0, sections 2.3 to 2.7 (read 2026-11-22).
"""

import re
from collections.abc import Sequence
from html import escape, unescape
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import msgspec

from gateway.domain import multipart
from gateway.domain.splice import drop, splice
from gateway.domain.strict_json import parse_object
from gateway.errors import RequestError

_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines"})
_FORM = "application/x-www-form-urlencoded"
_WRAP = "body"
MAX_PIECES = 100_000  # of a form, of lines or of XML; one with more is taken as one text, and what its escapes say is unread
_SEPARATORS = "&<\"'\n"
_TAG = re.compile(
    r"""(<!--(?:(?!-->).)*+(?:-->|\Z)|<!\[CDATA\[(?:(?!\]\]>).)*+(?:\]\]>|\Z)|<[/?]?[\w:.-]++(?:\s++[\w:.-]++\s*+=\s*+(?:"[^"<>]*+"|'[^'<>]*+'))*+\s*+[/?]?>)""",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""("[^"]*"|'[^']*')""")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_COMMENT, _COMMENT_END = "<!--", "-->"
_SHORTEST_COMMENT = len(_COMMENT + _COMMENT_END)


class Body(msgspec.Struct, frozen=True):
    """A body as a document.

    Attributes:
        form: How it was read: json, lines, form, parts, xml or text; empty where it could not be read.
        document: See above.
        ambiguous: It is JSON that not every parser reads alike; it is taken as a text.
        unreadable: There is something, and it is no text.
    """

    form: str = ""
    document: Any = None
    ambiguous: bool = False
    unreadable: bool = False


def read_body(raw: bytes, content_type: str, *, strict: bool) -> Body:
    """Read a body.

    Args:
        raw: All of it.
        content_type: What it is said to be.
        strict: Whoever sent it may mean harm: JSON must be such that every parser reads it alike.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("multipart/"):
        return _read_parts(raw, content_type)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Body(unreadable=True)
    if not text.strip() or "\0" in text:
        return Body(unreadable="\0" in text)
    return _read_text(text, media_type, strict=strict)


def _read_text(text: str, media_type: str, *, strict: bool) -> Body:
    begins = text.lstrip()[:1]
    in_pieces = media_type == _FORM or media_type in _LINES or media_type.endswith("xml")
    if in_pieces and sum(map(text.count, _SEPARATORS)) > MAX_PIECES:
        return Body("text", text, unreadable=True)
    if media_type == _FORM:
        return Body("form", [[unquote_plus(half) for half in pair.split("=", 1)] for pair in text.split("&")])
    if media_type in _LINES:
        values = [_json(line.encode(), strict=strict) if line.strip() else (None,) for line in text.split("\n")]
        found = [value[0] for value in values if value]
        return Body("lines", found) if len(found) == len(values) else Body("text", text, ambiguous=True)
    if media_type.endswith("json") or begins in {"{", "[", '"'}:
        value = _json(text.encode(), strict=strict)
        return Body("json", value[0]) if value else Body("text", text, ambiguous=not media_type or media_type.endswith("json"))
    if in_pieces:
        return Body("xml", [_plain(*piece) for piece in _pieces(text)])
    return Body("text", text)


def write_body(raw: bytes, content_type: str, before: Body, document: Any) -> bytes:
    """Return the body's bytes with what changed between its document and `document`; `raw` itself where nothing did.

    Args:
        raw: The body.
        content_type: As it was read.
        before: What was read of it.
        document: What it is to be; of the same form.
    """
    if document == before.document:
        return raw
    if before.form == "json":
        return _write_json(raw, before.document, document)
    if before.form == "text":
        return str(document).encode()
    if before.form == "parts":
        return _write_parts(raw, content_type, before.document, document)
    return _write_pieces(raw.decode(), before, document).encode()


def _write_pieces(text: str, before: Body, document: Sequence[Any]) -> str:
    if before.form == "xml":
        pieces = zip(_pieces(text), before.document, document, strict=True)
        return "".join(piece if new == old else _xml(kind, new) for (kind, piece), old, new in pieces)
    separator = "\n" if before.form == "lines" else "&"
    made = [
        piece if new == old else msgspec.json.encode(new).decode() if before.form == "lines" else "=".join(map(quote_plus, new))
        for piece, old, new in zip(text.split(separator), before.document, document, strict=True)
    ]
    return separator.join(made)


def _json(raw: bytes, *, strict: bool) -> tuple[Any] | None:
    """Return a value in a tuple; None where it cannot be read."""
    try:
        if not strict:
            return (msgspec.json.decode(raw),)
        if raw.lstrip(b" \t\r\n").startswith(b"{"):
            return (parse_object(raw),)
        wrapped = parse_object(b'{"%s":%s}' % (_WRAP.encode(), raw))
        return (wrapped[_WRAP],) if len(wrapped) == 1 else None
    except (RequestError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _write_json(raw: bytes, before: Any, after: Any) -> bytes:
    if type(before) is not dict or type(after) is not dict:
        return msgspec.json.encode(after)
    changed = {name: msgspec.json.encode(value) for name, value in after.items() if name not in before or before[name] != value}
    gone = [name for name in before if name not in after]
    try:
        for name in gone:
            raw = drop(raw, name)
        raw = splice(raw, changed)
        if msgspec.json.decode(raw) == after:
            return raw
    except msgspec.DecodeError:
        pass
    return msgspec.json.encode(after)  # it has members of equal names, which a backend may send


def _read_parts(raw: bytes, content_type: str) -> Body:
    try:
        parts = multipart.read_parts(raw, multipart.boundary_of(content_type))
        return Body("parts", [None if part.file else raw[part.start : part.end].decode() for part in parts])
    except (RequestError, UnicodeDecodeError):
        return Body(unreadable=True)


def _write_parts(raw: bytes, content_type: str, before: Sequence[Any], after: Sequence[Any]) -> bytes:
    parts = multipart.read_parts(raw, multipart.boundary_of(content_type))
    for part, old, new in reversed(list(zip(parts, before, after, strict=True))):
        if new != old:
            raw = multipart.replace(raw, part, new.encode())
    return raw


def _pieces(text: str) -> list[tuple[str, str]]:
    """Cut XML into (text, attribute, cdata, comment or nothing, piece); the pieces joined again are the same text."""
    found: list[tuple[str, str]] = []
    for index, piece in enumerate(_TAG.split(text)):
        if index % 2 and piece.startswith(_CDATA) and piece.endswith(_CDATA_END):
            found += (("", _CDATA), ("cdata", piece[len(_CDATA) : -len(_CDATA_END)]), ("", _CDATA_END))
        elif index % 2 and len(piece) >= _SHORTEST_COMMENT and piece.startswith(_COMMENT) and piece.endswith(_COMMENT_END):
            found += (("", _COMMENT), ("comment", piece[len(_COMMENT) : -len(_COMMENT_END)]), ("", _COMMENT_END))
        elif index % 2 == 0 or piece.startswith("<!"):
            found.append(("text" if piece.strip() else "", piece))
        else:
            found += (("attribute" if odd % 2 else "", part) for odd, part in enumerate(_ATTRIBUTE.split(piece)))
    return found


def _plain(kind: str, piece: str) -> str | None:
    if not kind:
        return None
    return piece if kind in {"cdata", "comment"} else unescape(piece[1:-1] if kind == "attribute" else piece)


def _xml(kind: str, text: str) -> str:
    if kind == "cdata":
        return text.replace(_CDATA_END, "]]" + _CDATA_END + _CDATA + ">")
    if kind == "comment":
        return text.replace("-", "\u2010")  # two would end it
    return f'"{escape(text)}"' if kind == "attribute" else escape(text, quote=False)
