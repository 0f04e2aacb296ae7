"""AMQP 1.0's frames: what peers say to each other, as named tuples, and as bytes.

A frame is its size (4 bytes), where its body begins (in words of 4), its kind (0 AMQP, 1 SASL), a channel, a performative
and, for a transfer, the rest as its payload. A performative is a described list whose last fields may be left out.

Source: OASIS AMQP 1.0, part 2 "Transport" and part 5 "Security" (read 2026-11-22).
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from devhost.servicebus.codec import DecodeError, Described, Symbol, Ubyte, Uint, Ulong, Ushort, decode, encode

MAX_FRAME_BYTES = 1_048_576  # ours, as we announce it
LEAST_FRAME_BYTES = 512  # what every peer takes
AMQP_HEADER, SASL_HEADER = b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00"
SASL_INIT = 0x41
WINDOW = 2**31 - 1


class AmqpError(Exception):
    """Something that a peer may not do; where it is caught decides what ends: a message, a link or the connection."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description

    def encoded(self) -> Described:
        """Return it as the error of a performative or an outcome. The SDK expects all three fields to be there."""
        return Described(Ulong(0x1D), [Symbol(self.condition), self.description, {}])


class Open(NamedTuple):
    """A connection begins."""

    container_id: str = ""
    hostname: str | None = None
    max_frame_size: int | None = None
    channel_max: int | None = None
    idle_timeout: int | None = None


class Begin(NamedTuple):
    """A session begins."""

    remote_channel: int | None = None
    next_outgoing_id: int = 0
    incoming_window: int = WINDOW
    outgoing_window: int = WINDOW
    handle_max: int | None = None


class Attach(NamedTuple):
    """A link begins. `role` is True at the end that receives."""

    name: str = ""
    handle: int = 0
    role: bool = False
    snd_settle_mode: int | None = None
    rcv_settle_mode: int | None = None
    source: Any = None
    target: Any = None
    unsettled: Any = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: Any = None


class Flow(NamedTuple):
    """How much may be sent: by frames in a session, by messages on a link."""

    next_incoming_id: int | None = None
    incoming_window: int = WINDOW
    next_outgoing_id: int = 0
    outgoing_window: int = WINDOW
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool | None = None
    echo: bool | None = None


class Transfer(NamedTuple):
    """A message, or a part of one; its payload follows."""

    handle: int = 0
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: int | None = None
    state: Any = None
    resume: bool | None = None
    aborted: bool | None = None


class Disposition(NamedTuple):
    """What became of messages. `role` is True if it is said by the end that receives them."""

    role: bool = False
    first: int = 0
    last: int | None = None
    settled: bool | None = None
    state: Any = None


class Detach(NamedTuple):
    """A link ends."""

    handle: int = 0
    closed: bool | None = None
    error: Any = None


class End(NamedTuple):
    """A session ends."""

    error: Any = None


class Close(NamedTuple):
    """A connection ends."""

    error: Any = None


class Mechanisms(NamedTuple):
    """How a peer may say who it is."""

    mechanisms: Any = None


class Outcome(NamedTuple):
    """Whether we know who it is: 0 is yes."""

    code: int = 0


type Performative = Open | Begin | Attach | Flow | Transfer | Disposition | Detach | End | Close | Mechanisms | Outcome

# Code, and the type of each field: s text, y symbol, B H I L unsigned by width, = as it is.
_WRITTEN: dict[type, tuple[int, str]] = {
    Open: (0x10, "ssIHI"),
    Begin: (0x11, "HIIII"),
    Attach: (0x12, "sI=BB====IL==="),
    Flow: (0x13, "IIIIIII==="),
    Transfer: (0x14, "II=I==B==="),
    Disposition: (0x15, "=II=="),
    Detach: (0x16, "I=="),
    End: (0x17, "="),
    Close: (0x18, "="),
    Mechanisms: (0x40, "="),
    Outcome: (0x44, "B"),
}
_TYPES: dict[str, Callable[[Any], Any]] = {"s": str, "y": Symbol, "B": Ubyte, "H": Ushort, "I": Uint, "L": Ulong, "=": lambda value: value}
_READ: dict[int, Any] = {code: kind for kind, (code, _) in _WRITTEN.items() if code < 0x40}


class Frame(NamedTuple):
    """One frame as it came; `performative` is None for an empty one, which only says that the peer is there."""

    sasl: int | None
    channel: int
    performative: Any
    payload: bytes


def write(performative: Performative, channel: int = 0, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    code, types = _WRITTEN[type(performative)]
    fields: list[Any] = [None if value is None else _TYPES[kind](value) for kind, value in zip(types, performative, strict=True)]
    while fields and fields[-1] is None:
        fields.pop()
    body = encode(Described(Ulong(code), fields)) + payload
    return struct.pack(">IBBH", len(body) + 8, 2, int(code >= 0x40), channel) + body


EMPTY = struct.pack(">IBBH", 8, 2, 0, 0)


def read(frame: bytes) -> Frame:
    """Read one whole frame.

    Raises:
        DecodeError: It is none.
    """
    begin, kind, channel = struct.unpack_from(">BBH", frame, 4)
    body = frame[begin * 4 :]
    if begin < 2 or kind > 1:
        raise DecodeError("the frame's header is none of AMQP 1.0")
    if not body:
        return Frame(None, channel, None, b"")
    value, end = decode(body)
    if not isinstance(value, Described) or not isinstance(value.value, list):
        raise DecodeError("the frame holds no performative")
    if kind == 1:
        return Frame(int(value.descriptor), channel, None, b"")
    return Frame(None, channel, _performative(value), bytes(body[end:]))


def _performative(value: Described) -> Any:
    kind = _READ.get(value.descriptor) if isinstance(value.descriptor, int) else None
    if kind is None:
        raise DecodeError("the frame's performative is unknown")
    # A field that is left out and one that is null both mean its default.
    fields = {name: field for name, field in zip(kind._fields, value.value, strict=False) if field is not None}
    return kind(**fields)
