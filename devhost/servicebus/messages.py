"""A message as a queue keeps it: what its sender wrote, to the byte, and what the service says of it.

An encoded message is a row of sections: header (0x70), delivery annotations (0x71), message annotations (0x72), properties
(0x73), application properties (0x74), body (0x75 to 0x77), footer (0x78). From the properties on, it is the sender's and is
kept as it came; header and annotations are written anew for each delivery.

Source: OASIS AMQP 1.0, part 3 "Messaging"; learn.microsoft.com "AMQP 1.0 in Azure Service Bus: protocol guide" (read 2026-11-22).
"""

import enum
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from devhost.servicebus.codec import DecodeError, Described, Symbol, Timestamp, Uint, Ulong, decode, encode, span

HEADER, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA = 0x70, 0x72, 0x73, 0x74, 0x75
SCHEDULED_FOR = "x-opt-scheduled-enqueue-time"
DEAD_LETTER_SOURCE = "x-opt-deadletter-source"
# The service's own; whoever sends them, they are not believed.
_OURS = {"x-opt-enqueued-time", "x-opt-sequence-number", "x-opt-enqueue-sequence-number", "x-opt-locked-until", "x-opt-message-state"}


class State(enum.IntEnum):
    """Where a message is in its queue. A deferred one that is under a lock is LOCKED."""

    READY = 0
    SCHEDULED = 1
    LOCKED = 2
    DEFERRED = 3


_SHOWN = {State.READY: 0, State.LOCKED: 0, State.DEFERRED: 1, State.SCHEDULED: 2}  # x-opt-message-state


class Content(msgspec.Struct, frozen=True):
    """What a sender wrote.

    Attributes:
        annotations: Name → encoded value, without the service's own.
        bare: The sections from the properties on, as they came.
        message_id: As text; None where there is none.
        ttl_ms: How long it may wait; 0 for as long as the queue allows.
        scheduled_ms: When it is to be enqueued; 0 for at once.
    """

    annotations: dict[str, bytes]
    bare: bytes
    message_id: str | None = None
    ttl_ms: int = 0
    scheduled_ms: int = 0


class Message(msgspec.Struct):
    """A message in a queue; times are milliseconds since 1970, 0 for never."""

    sequence: int
    content: Content
    enqueued_ms: int
    state: State = State.READY
    deferred: bool = False
    delivery_count: int = 0
    expires_ms: int = 0

    def encoded(self, locked_until_ms: int = 0) -> bytes:
        """Return it as it is sent to a receiver, under a lock or not."""
        header = [None, None, Uint(self.content.ttl_ms) if self.content.ttl_ms else None, None, Uint(self.delivery_count)]
        ours: dict[str, Any] = {
            "x-opt-enqueued-time": Timestamp(self.enqueued_ms),
            "x-opt-sequence-number": self.sequence,
            "x-opt-enqueue-sequence-number": self.sequence,
            "x-opt-message-state": _SHOWN[State.DEFERRED if self.deferred else self.state],
        }
        if locked_until_ms:
            ours["x-opt-locked-until"] = Timestamp(locked_until_ms)
        entries = {**self.content.annotations, **{name: encode(value) for name, value in ours.items()}}
        return encode(Described(Ulong(HEADER), header)) + _map_section(ANNOTATIONS, entries, Symbol) + self.content.bare


def read(encoded: bytes) -> Content:
    """Read what a sender sent.

    Raises:
        DecodeError: It is no message.
    """
    annotations: dict[str, bytes] = {}
    ttl_ms, message_id, bare_from = 0, None, len(encoded)
    for code, at, end in sections(encoded):
        if code >= PROPERTIES:
            bare_from = min(bare_from, at)
        if code == HEADER:
            ttl_ms = _field(encoded, at, 2) or 0
        elif code == PROPERTIES and (given := _field(encoded, at, 0)) is not None:
            message_id = str(given)
        elif code == ANNOTATIONS:
            annotations = {name: value for name, value in _entries(encoded[at:end]).items() if name not in _OURS}
    when = decode(annotations[SCHEDULED_FOR])[0] if SCHEDULED_FOR in annotations else 0
    if not isinstance(when, int) or not isinstance(ttl_ms, int):
        raise DecodeError("a time to live or a scheduled time is no number")
    return Content(annotations, bytes(encoded[bare_from:]), message_id, ttl_ms, when)


def batched(encoded: bytes) -> list[bytes]:
    """Return the messages that one transfer of a batch holds. Raises DecodeError."""
    return [_data(decode(encoded, at)[0].value) for code, at, _ in sections(encoded) if code == DATA]


def dead(message: Message, source: str, reason: str, description: str) -> Content:
    """Return what goes to the dead-letter queue: the message, why it is there and from where; it does not expire again."""
    given = {"DeadLetterReason": encode(reason), "DeadLetterErrorDescription": encode(description)}
    old, entries, rest = message.content, {}, [b"", b""]
    for code, at, end in sections(old.bare):
        if code == APPLICATION_PROPERTIES:
            entries = _entries(old.bare[at:end])
        else:
            rest[code > APPLICATION_PROPERTIES] += old.bare[at:end]
    entries |= {name: value for name, value in given.items() if decode(value)[0]}
    annotations = {name: value for name, value in old.annotations.items() if name != SCHEDULED_FOR}
    annotations[DEAD_LETTER_SOURCE] = encode(source)
    section = _map_section(APPLICATION_PROPERTIES, entries, str) if entries else b""
    return Content(annotations, rest[0] + section + rest[1], old.message_id)


def sections(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Walk over an encoded message: code, begin and end of each section. Raises DecodeError."""
    at = 0
    while at < len(encoded):
        end = span(encoded, at)
        code = decode(encoded, at + 1)[0] if encoded[at] == 0 else None
        if not isinstance(code, int) or not HEADER <= code <= 0x78:
            raise DecodeError("the message holds something that is no section")
        yield code, at, end
        at = end


def pack(content: Content) -> bytes:
    """Return the content as one value for a store."""
    return msgspec.msgpack.encode(content)


def unpack(data: bytes) -> Content:
    """Return what `pack` packed."""
    return msgspec.msgpack.decode(data, type=Content)


def _field(encoded: bytes, at: int, index: int) -> Any:
    """Return one field of a section that is a list."""
    fields = decode(encoded, at)[0].value
    return fields[index] if isinstance(fields, list) and index < len(fields) else None


def _entries(section: bytes) -> dict[str, bytes]:
    """Return a section that is a map: name → encoded value, so that no value changes its type on its way through."""
    _, at = decode(section, 1)
    constructor = section[at]
    if constructor not in (0xC1, 0xD1):
        raise DecodeError("the section is no map")
    width = 4 if constructor == 0xD1 else 1
    count = int.from_bytes(section[at + 1 + width : at + 1 + 2 * width])
    at += 1 + 2 * width
    entries = {}
    for _ in range(count // 2):
        name, begin = decode(section, at)
        at = span(section, begin)
        entries[str(name)] = bytes(section[begin:at])
    return entries


def _map_section(code: int, entries: Mapping[str, bytes], key: type[str]) -> bytes:
    data = b"".join(encode(key(name)) + value for name, value in entries.items())
    return b"\x00" + encode(Ulong(code)) + struct.pack(">BII", 0xD1, len(data) + 4, 2 * len(entries)) + data


def _data(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise DecodeError("a batch holds something that is no message")
    return value
