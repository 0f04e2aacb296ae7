"""AWS's event streams (`application/vnd.amazon.eventstream`), from bytes in any pieces to messages: sans-IO.

    total length u32 · headers' length u32 · CRC32 of these eight · headers · payload · CRC32 of all before
    a header: name's length u8 · name · type u8 · value; big-endian throughout

The result never depends on where the network cut the stream, and time is linear in its length. Both checksums are checked
before a byte is believed. After anything that is not as it should be the stream is `broken`, and nothing more is read: there is
no way to find the next message. Of the headers those that hold text are kept; the protocols on top use no others.

Source: smithy.io, "Amazon Event Stream Specification" (read 2026-11-22).
"""

import struct
import zlib
from collections.abc import Mapping

import msgspec

from gateway.domain.sse import MAX_EVENT_BYTES

MAX_HEADERS_BYTES = 128 * 1024  # AWS's own limit

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_OVERHEAD = _PRELUDE.size + _CRC.size
_TEXT, _BYTES = 7, 6
# The sizes of the values that have no length of their own: true, false, byte, short, integer, long, timestamp, UUID.
_FIXED: Mapping[int, int] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class EventMessage(msgspec.Struct, frozen=True, gc=False):
    """One message: its headers that hold text, such as `:event-type`, and its payload."""

    headers: Mapping[str, str]
    payload: bytes


class _BrokenError(Exception):
    """The bytes are no event stream."""


class EventStreamParser:
    """The state of one stream.

    Args:
        limit: The most bytes a message may have.
    """

    __slots__ = ("_held", "_limit", "_total", "broken")

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self.broken = False
        self._limit = limit
        self._held = bytearray()
        self._total = 0  # of the message whose prelude has been read; 0 before that

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[EventMessage]:
        """Take the next bytes and return the messages they complete."""
        messages: list[EventMessage] = []
        if self.broken:
            return messages
        self._held += data
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except (_BrokenError, UnicodeDecodeError, struct.error):
            self.broken = True
            self._held.clear()
        return messages

    def _next(self) -> EventMessage | None:
        held = self._held
        if not self._total:
            if len(held) < _PRELUDE.size:
                return None
            total, headers_size, checksum = _PRELUDE.unpack_from(held)
            if zlib.crc32(held[:8]) != checksum or headers_size > MAX_HEADERS_BYTES or not _OVERHEAD + headers_size <= total <= self._limit:
                raise _BrokenError
            self._total = total
        if len(held) < self._total:
            return None
        raw = bytes(held[: self._total])
        del held[: self._total]
        self._total = 0
        return _message(raw)


def _message(raw: bytes) -> EventMessage:
    end = len(raw) - _CRC.size
    if zlib.crc32(memoryview(raw)[:end]) != _CRC.unpack_from(raw, end)[0]:
        raise _BrokenError
    payload_at = _PRELUDE.size + _PRELUDE.unpack_from(raw)[1]
    return EventMessage(_headers(raw[_PRELUDE.size : payload_at]), raw[payload_at:end])


def _headers(raw: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    names: set[bytes] = set()
    at = 0
    while at < len(raw):
        name, at = _take(raw, at + 1, raw[at])
        if name in names:
            raise _BrokenError
        names.add(name)
        kind, at = _take(raw, at, 1)
        if kind[0] in (_BYTES, _TEXT):
            size, at = _LENGTH.unpack_from(raw, at)[0], at + _LENGTH.size
        elif kind[0] in _FIXED:
            size = _FIXED[kind[0]]
        else:
            raise _BrokenError
        value, at = _take(raw, at, size)
        if kind[0] == _TEXT:
            headers[name.decode()] = value.decode()
    return headers


def _take(raw: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(raw):
        raise _BrokenError
    return raw[at:end], end
