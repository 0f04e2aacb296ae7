"""AMQP 1.0's types, as bytes and as values.

Python's own types stand for those they fit; AMQP has more, so some have a class here that says how a number or a text is
encoded. What is decoded comes back as plain int and str: who answers says the type, not who asks.

    None · bool · int (long) · float (double) · str · bytes · uuid.UUID · list · dict (map)
    Symbol · Ubyte · Ushort · Uint · Ulong · Timestamp (ms) · Array(constructor, items) · Described(descriptor, value)

Decoding trusts nobody: a length beyond the data, an unknown constructor and values nested too deeply are a DecodeError.

Source: OASIS AMQP 1.0, part 1 "Types" (read 2026-11-22).
"""

import struct
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

_MAX_DEPTH = 32
_MAX_ARRAY_ITEMS = 65_536  # items of no width would let a few bytes ask for a list of four thousand millions


class DecodeError(Exception):
    """The bytes are no AMQP 1.0."""


class Symbol(str):
    """A name from a known set."""

    __slots__ = ()


class Ubyte(int):
    """8 bits, unsigned."""


class Ushort(int):
    """16 bits, unsigned."""


class Uint(int):
    """32 bits, unsigned."""


class Ulong(int):
    """64 bits, unsigned."""


class Timestamp(int):
    """Milliseconds since 1970, UTC."""


class Array(NamedTuple):
    """Items of one type; the constructor says which: 0x81 long, 0x83 timestamp, 0xb3 symbol."""

    constructor: int
    items: tuple[Any, ...]


class Described(NamedTuple):
    """A value with a descriptor that says what it means."""

    descriptor: Any
    value: Any


def _sized(small: int, data: bytes) -> bytes:
    """Write a text or bytes: the length takes one byte or four."""
    if len(data) < 256:
        return bytes((small, len(data))) + data
    return struct.pack(">BI", small + 0x10, len(data)) + data


def _compound(small: int, count: int, data: bytes) -> bytes:
    """Write a list or a map: size and count, which the size covers."""
    if len(data) < 255 and count < 256:
        return bytes((small, len(data) + 1, count)) + data
    return struct.pack(">BII", small + 0x10, len(data) + 4, count) + data


def _list(value: list[Any]) -> bytes:
    return _compound(0xC0, len(value), b"".join(map(encode, value))) if value else b"\x45"


def _map(value: dict[Any, Any]) -> bytes:
    return _compound(0xC1, 2 * len(value), b"".join(encode(key) + encode(item) for key, item in value.items()))


_ITEMS: dict[int, Callable[[Any], bytes]] = {
    0x81: lambda item: struct.pack(">q", item),
    0x83: lambda item: struct.pack(">q", item),
    0xB3: lambda item: struct.pack(">I", len(item)) + item.encode(),
}


def _array(value: Array) -> bytes:
    data = b"".join(map(_ITEMS[value.constructor], value.items))
    return struct.pack(">BIIB", 0xF0, len(data) + 5, len(value.items), value.constructor) + data


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    int: lambda value: struct.pack(">Bq", 0x81, value),
    float: lambda value: struct.pack(">Bd", 0x82, value),
    str: lambda value: _sized(0xA1, value.encode()),
    bytes: lambda value: _sized(0xA0, value),
    uuid.UUID: lambda value: b"\x98" + value.bytes,
    list: _list,
    dict: _map,
    Symbol: lambda value: _sized(0xA3, value.encode()),
    Ubyte: lambda value: struct.pack(">BB", 0x50, value),
    Ushort: lambda value: struct.pack(">BH", 0x60, value),
    Uint: lambda value: struct.pack(">BI", 0x70, value),
    Ulong: lambda value: struct.pack(">BB", 0x53, value) if value < 256 else struct.pack(">BQ", 0x80, value),
    Timestamp: lambda value: struct.pack(">Bq", 0x83, value),
    Array: _array,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
}


def encode(value: Any) -> bytes:
    """Write a value; its type decides how."""
    return _ENCODERS[type(value)](value)


# Constructor → how wide, and what is made of the bytes.
_FIXED: dict[int, tuple[int, Callable[[bytes], Any]]] = {
    0x40: (0, lambda _: None),
    0x41: (0, lambda _: True),
    0x42: (0, lambda _: False),
    0x43: (0, lambda _: 0),
    0x44: (0, lambda _: 0),
    0x45: (0, lambda _: []),
    0x50: (1, lambda data: data[0]),
    0x51: (1, lambda data: int.from_bytes(data, signed=True)),
    0x52: (1, lambda data: data[0]),
    0x53: (1, lambda data: data[0]),
    0x54: (1, lambda data: int.from_bytes(data, signed=True)),
    0x55: (1, lambda data: int.from_bytes(data, signed=True)),
    0x56: (1, lambda data: data != b"\x00"),
    0x60: (2, int.from_bytes),
    0x61: (2, lambda data: int.from_bytes(data, signed=True)),
    0x70: (4, int.from_bytes),
    0x71: (4, lambda data: int.from_bytes(data, signed=True)),
    0x72: (4, lambda data: struct.unpack(">f", data)[0]),
    0x73: (4, lambda data: chr(int.from_bytes(data))),
    0x74: (4, bytes),  # the decimals: nobody here counts with them
    0x80: (8, int.from_bytes),
    0x81: (8, lambda data: int.from_bytes(data, signed=True)),
    0x82: (8, lambda data: struct.unpack(">d", data)[0]),
    0x83: (8, lambda data: int.from_bytes(data, signed=True)),
    0x84: (8, bytes),
    0x94: (16, bytes),
    0x98: (16, lambda data: uuid.UUID(bytes=data)),
}
_VARIABLE: dict[int, Callable[[bytes], Any]] = {0: bytes, 1: bytes.decode, 3: bytes.decode}  # by the lower half of the constructor


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Read the value that begins at `at`; return it and where it ends.

    Raises:
        DecodeError: There is no whole value.
    """
    try:
        return _value(data, at, 0)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError, OverflowError, TypeError) as exc:
        raise DecodeError("the bytes are no AMQP value") from exc


def span(data: bytes, at: int) -> int:
    """Return where the value that begins at `at` ends; a described value counts whole. Raises DecodeError."""
    return decode(data, at)[1]


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _MAX_DEPTH:
        raise DecodeError("the value is nested too deeply")
    constructor = data[at]
    if constructor == 0:
        descriptor, at = _value(data, at + 1, depth + 1)
        value, at = _value(data, at, depth + 1)
        return Described(descriptor, value), at
    return _body(constructor, data, at + 1, depth)


def _body(constructor: int, data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Read what follows a constructor."""
    fixed = _FIXED.get(constructor)
    if fixed is not None:
        end = at + fixed[0]
        return fixed[1](_slice(data, at, end)), end
    kind, width = constructor >> 4, 4 if constructor & 0x10 else 1
    size = int.from_bytes(_slice(data, at, at + width))
    at += width
    end = at + size
    if kind in (0xA, 0xB):
        return _VARIABLE[constructor & 0xF](_slice(data, at, end)) if constructor & 0xF in _VARIABLE else _unknown(constructor), end
    if constructor not in (0xC0, 0xC1, 0xD0, 0xD1, 0xE0, 0xF0):
        _unknown(constructor)
    count = int.from_bytes(_slice(data, at, at + width))
    inside = _slice(data, at + width, end)
    if count > _MAX_ARRAY_ITEMS:
        raise DecodeError("the value has too many items")
    if kind in (0xE, 0xF):
        return _items_of_array(inside, count, depth), end
    items = _items(inside, count, depth)
    if constructor & 1:
        return dict(zip(items[::2], items[1::2], strict=True)), end
    return items, end


def _items(data: bytes, count: int, depth: int) -> list[Any]:
    items, at = [], 0
    for _ in range(count):
        item, at = _value(data, at, depth + 1)
        items.append(item)
    return items


def _items_of_array(data: bytes, count: int, depth: int) -> list[Any]:
    items, at = [], 1
    for _ in range(count):
        item, at = _body(data[0], data, at, depth + 1)
        items.append(item)
    return items


def _slice(data: bytes, at: int, end: int) -> bytes:
    if end > len(data):
        raise DecodeError("the value is cut off")
    return bytes(data[at:end])


def _unknown(constructor: int) -> Any:
    raise DecodeError(f"there is no type 0x{constructor:02x}")
