"""Byte-exact changes to the top-level members of a JSON object.

The gateway passes a client's JSON on as it was written. Where one member must change, only that member's bytes change:
number spellings, key order, escapes and whitespace of everything else stay as they were. Nothing here serialises.

The object is known to be strict JSON without duplicate keys: whoever made the `Call` has parsed it. msgspec finds where
each value ends; the keys in between are stepped over by `_KEY`, which gives the exact offsets that msgspec keeps to itself.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
# From the end of the member before (or the start of the body) to the first byte of the value.
_KEY = re.compile(rb'[ \t\n\r{,]*"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_TWICE = "a JSON object with two members of one name"
_COMMA = re.compile(rb"[ \t\n\r]*,[ \t\n\r]*")


def _spans(body: bytes) -> Iterator[tuple[str, int, int, int]]:
    """Yield (name, end of the member before, start of the value, end of the value), in the body's order."""
    before = 0
    for name, raw in _MEMBERS.decode(body).items():
        key = _KEY.match(body, before)
        if key is None:
            raise msgspec.DecodeError(_TWICE)
        start = key.end()
        end = start + len(raw)
        yield name, before, start, end
        before = end
    if b"," in body[before:]:  # the dict has fewer members than the body
        raise msgspec.DecodeError(_TWICE)


def splice(body: bytes, replace: Mapping[str, bytes]) -> bytes:
    """Return the object with these top-level members set: replaced in place, or appended in the order given.

    Args:
        body: A strict JSON object without duplicate keys.
        replace: Names to JSON values, already serialised.

    Returns:
        `body` itself, the very same object, where every member already had its value.

    Raises:
        msgspec.DecodeError: The body is not what it is said to be, as far as it had to be read.
    """
    if not replace:
        return body
    missing = dict(replace)
    pieces: list[bytes] = []
    done = end = 0
    for name, _, start, end in _spans(body):
        value = missing.pop(name, None)
        if value is None:
            continue
        if body[start:end] != value:
            pieces += (body[done:start], value)
            done = end
        if not missing:
            break
    if missing:
        comma = b"," if end else b""
        end = end or body.index(b"{") + 1
        pieces.append(body[done:end])
        done = end
        for name, value in missing.items():
            pieces += (comma, msgspec.json.encode(name), b":", value)
            comma = b","
    if not pieces:
        return body
    pieces.append(body[done:])
    return b"".join(pieces)


def drop(body: bytes, name: str) -> bytes:
    """Return the object without that top-level member and one comma next to it; `body` itself where there is none."""
    for member, before, _, end in list(_spans(body)):  # whole, since an upstream's body was not checked for equal names
        if member != name:
            continue
        if before:
            return body[:before] + body[end:]
        comma = _COMMA.match(body, end)
        return body[: body.index(b"{") + 1] + body[comma.end() if comma else end :]
    return body


def value_of(body: bytes, name: str) -> bytes | None:
    """Return the exact bytes of a top-level member's value; None where there is no such member."""
    for member, _, start, end in _spans(body):
        if member == name:
            return body[start:end]
    return None
