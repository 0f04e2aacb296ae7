"""Request bodies, parsed so strictly that no other parser could read them differently.

A guard reads one value and the upstream another: that is how a body slips past a check. So whatever RFC 8259 leaves to
the parser is refused here with a 400 that names the place: duplicate keys, bytes that are not UTF-8, a byte order mark,
lone surrogates, NaN, integers beyond 64 bits, floats beyond a double, deep nesting; and keys that a parser which ignores
letter case would take for one of ours (`refuse_lookalikes`). So is a body of more than MAX_VALUES values: parsed, each
takes 60 to 300 bytes, so that 20 MB of `{},` (20 KB of gzip) would take over a gigabyte.

Two paths. The fast one is msgspec's C decoder, which is strict about everything but three things; one walk over its
result settles those: depth, integer range, and duplicates, by counting colons. Every colon of the body either separates
a key from its value or stands in a string. A duplicate key's pair is missing from the parsed value, and its colon with
it, so the two counts agree if and only if no key came twice (as long as no colon is written as an escape, which the
exact path decides). The exact path is the standard library's scanner with all its hooks: it runs only when something is
wrong or doubtful, and says what and where.

Must not: raise anything but RequestError, recurse by the client's leave, or take more than linear time. Measured (2026-11,
one core of the development machine): 4-9 µs for a 1 KB chat, 32 µs for 15 KB; 1-4 ms per MB of prose; up to 160 ms per MB
of tiny members (`[{},{},…`), and up to 400 ms per MB to name the fault in such a body. No threads are started here: a
caller whose event loop must stay responsive hands bodies above 1 MB to one.

Source: RFC 8259, sections 4, 6, 8 and 9; RFC 7493 (I-JSON) (read 2026-11-22).
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.errors import RequestError

MAX_DEPTH = 64  # containers inside each other, the top-level object included
MAX_VALUES = 500_000  # of any kind, at any depth; Azure takes at most 300,000 tokens in one embeddings request
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1

_BOM = b"\xef\xbb\xbf"
_LONGEST_INTEGER = 20  # characters: a sign and 19 digits; longer ones are never converted
_LONGEST_KNOWN = 64  # characters; folding never shortens a key, and normalising a huge one takes quadratic time
_SHOWN_KEY_LENGTH = 64  # a client's key is quoted, but not a megabyte of it
# One that never ends counts to the body's end: to look for the next one inside it would take quadratic time.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_]{1,64}\Z")

_decode = msgspec.json.Decoder().decode


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse a request body that must be one JSON object.

    Args:
        raw: The whole body, decompressed, in UTF-8.

    Raises:
        RequestError: For any fault; `message` says what and where, `param` names the member where there is one.
    """
    if len(raw) > MAX_VALUES and _has_too_many_values(raw):
        raise RequestError(f"The request body has more than {MAX_VALUES} values; send fewer at once.", code="too_many_values")
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        _check_exactly(raw)
        raise RequestError("The request body is not valid JSON.", code="invalid_json") from exc
    if type(value) is not dict:
        raise RequestError(f"The request body must be a JSON object, not {_kind(value)}.", code="invalid_json")
    if not _is_unambiguous(raw, value):
        _check_exactly(raw)
    return value


def refuse_lookalikes(members: Iterable[str], known: frozenset[str], path: str = "") -> None:
    """Refuse keys that equal a known one but for letter case or Unicode compatibility forms.

    Upstream parsers that match names that way (Go's, many .NET ones) would take `Messages` for `messages`, unread by us.

    Args:
        members: The keys of one object.
        known: The names we act on there, in lower case.
        path: Where the object is, in the client's notation and with its trailing dot; empty at the top level.

    Raises:
        RequestError: Naming the key.
    """
    for key in members:
        if key in known or len(key) > _LONGEST_KNOWN:
            continue
        folded = key.lower() if key.isascii() else unicodedata.normalize("NFKC", key).upper().casefold()
        if folded in known:
            raise RequestError(
                f"Unknown parameter: {_quoted(key)}. Did you mean '{folded}'? Names are case-sensitive.",
                param=path + key[:_SHOWN_KEY_LENGTH],
                code="unknown_parameter",
            )


def _has_too_many_values(raw: bytes) -> bool:
    """Count before parsing, in no memory: what precedes each value, or begins the container that it is the first of."""
    if _marks(raw, 0, len(raw)) <= MAX_VALUES:
        return False
    values = done = 0
    for string in _STRING.finditer(raw):
        values += _marks(raw, done, string.start())
        if values > MAX_VALUES:
            return True
        done = string.end()
    return values + _marks(raw, done, len(raw)) > MAX_VALUES


def _marks(raw: bytes, start: int, end: int) -> int:
    return raw.count(b",", start, end) + raw.count(b"[", start, end) + raw.count(b"{", start, end)


def _is_unambiguous(raw: bytes, document: dict[str, Any]) -> bool:
    """Walk what msgspec accepted, level by level; False sends the body down the exact path."""
    pairs = 0
    strings: list[str] = []
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            members = node
            if type(node) is dict:
                pairs += len(node)
                strings.extend(node)
                members = node.values()
            for member in members:
                kind = type(member)
                if kind is str:
                    strings.append(member)
                elif kind is dict or kind is list:
                    below.append(member)
                elif kind is int and not MIN_INTEGER <= member <= MAX_INTEGER:
                    return False
        if not below:
            break
        level = below
    else:
        return False
    colons = raw.count(b":")
    if colons == pairs:  # then there are none in strings at all, escaped or not
        return True
    # Go's encoder writes `<` as \\u003c, so the prefix alone is common; the colon is not.
    if b"\\u003" in raw and (b"\\u003a" in raw or b"\\u003A" in raw):
        return False
    return colons == pairs + sum([text.count(":") for text in strings])


class _Fault:
    """Stands in the exact path's result where the body had something that we refuse."""

    __slots__ = ("code", "key", "what")

    def __init__(self, what: str, code: str, key: str | None = None) -> None:
        self.what = what
        self.code = code
        self.key = key


def _check_exactly(raw: bytes) -> None:
    """Raise the RequestError that says what is wrong with the body; return if nothing is."""
    if raw.startswith(_BOM):
        raise RequestError("The request body starts with a byte order mark; send plain UTF-8.", code="invalid_json")
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        raise RequestError(f"The request body is not valid UTF-8 (byte {exc.start}).", code="invalid_json") from exc
    if not text.strip(" \t\r\n"):
        raise RequestError("The request body is empty; send a JSON object.", code="invalid_json")
    try:
        value = _EXACT.decode(text)
    except RecursionError as exc:
        raise _too_deep() from exc
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise RequestError(f"The request body is not valid JSON: {exc.msg.removesuffix(' at')} ({where}).", code="invalid_json") from exc
    _refuse_faults(value)


def _refuse_faults(top: Any) -> None:
    """Find a fault in the exact path's result. A place is a linked (parent, key) pair, spelt out only when needed."""
    level: list[tuple[Any, Any]] = [([top], None)]
    for depth in range(MAX_DEPTH + 1):
        below: list[tuple[Any, Any]] = []
        for node, place in level:
            for key, member in node.items() if type(node) is dict else enumerate(node):
                if type(key) is str and _SURROGATE.search(key):
                    raise _at(place, _Fault("a key with a lone surrogate", "invalid_unicode"))
                here = (place, key) if depth else None
                if type(member) is _Fault:
                    raise _at(here if member.key is None else (here, member.key), member)
                if type(member) is str and _SURROGATE.search(member):
                    raise _at(here, _Fault("a lone surrogate", "invalid_unicode"))
                if type(member) in {dict, list}:
                    below.append((member, here))
        if not below:
            return
        level = below
    raise _too_deep()


def _at(place: Any, fault: _Fault) -> RequestError:
    steps: list[str] = []
    while place is not None:
        place, key = place
        if isinstance(key, int):
            steps.append(f"[{key}]")
        else:
            steps.append(f".{key}" if _PLAIN_KEY.match(key) else f"[{_quoted(key)}]")
    param = "".join(reversed(steps)).removeprefix(".")
    return RequestError(f"The request body has {fault.what}{f' at {param}' if param else ''}.", param=param or None, code=fault.code)


def _too_deep() -> RequestError:
    return RequestError(f"The request body is nested more than {MAX_DEPTH} levels deep.", code="too_deeply_nested")


def _quoted(key: str) -> str:
    return ascii(key if len(key) <= _SHOWN_KEY_LENGTH else key[:_SHOWN_KEY_LENGTH] + "…")


def _kind(value: Any) -> str:
    return {str: "a string", bool: "a boolean", list: "an array", type(None): "null"}.get(type(value), "a number")


def _object(pairs: list[tuple[str, Any]]) -> Any:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    return _Fault("a duplicate key", "duplicate_key", Counter(key for key, _ in pairs).most_common(1)[0][0])


def _integer(digits: str) -> int | _Fault:
    if len(digits) <= _LONGEST_INTEGER and MIN_INTEGER <= (value := int(digits)) <= MAX_INTEGER:
        return value
    return _Fault("an integer outside the signed 64-bit range", "number_out_of_range")


def _number(digits: str) -> float | _Fault:
    value = float(digits)
    return _Fault("a number too large for a double", "number_out_of_range") if value in {float("inf"), float("-inf")} else value


def _constant(name: str) -> _Fault:
    return _Fault(f"{name}, which is not JSON,", "invalid_json")


_EXACT = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant)
