"""One client's connection: bytes in, frames out, from the first greeting to the last."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from devhost.servicebus.codec import Array, DecodeError
from devhost.servicebus.frames import (
    AMQP_HEADER,
    EMPTY,
    LEAST_FRAME_BYTES,
    MAX_FRAME_BYTES,
    SASL_HEADER,
    SASL_INIT,
    AmqpError,
    Begin,
    Close,
    End,
    Frame,
    Mechanisms,
    Open,
    Outcome,
    Performative,
    read,
    write,
)
from devhost.servicebus.links import Session
from devhost.servicebus.queues import Queue

log = logging.getLogger(__name__)

_MECHANISMS = Array(0xB3, ("ANONYMOUS", "MSSBCBS", "EXTERNAL", "PLAIN"))
_HEADER_BYTES = 8
_CHANNELS = 255


class Broker(Protocol):
    """What a connection asks of its broker."""

    connections: set["Connection"]

    def queue(self, name: str) -> Queue | None:
        """Return a queue by its name, in lower case."""

    def changed(self) -> None:
        """Commit what changed, then let all connections write."""


class Connection(asyncio.Protocol):
    """A connection; what it sends waits in it until the broker has committed what it speaks of."""

    transport: asyncio.Transport

    def __init__(self, broker: Broker) -> None:
        self.max_frame_bytes = LEAST_FRAME_BYTES
        self._broker = broker
        self._received = bytearray()
        self._outgoing: list[bytes] = []
        self._greeted = False  # whether the protocol header of what comes next was exchanged
        self._closing = False
        self._sessions: dict[int, Session] = {}
        self._heartbeat: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        self._broker.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; locks stay until they expire."""
        del exc
        self._broker.connections.discard(self)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        for session in self._sessions.values():
            session.end()

    def data_received(self, data: bytes) -> None:
        """Take what came, and do what its whole frames say."""
        self._received += data
        try:
            while not self._closing and self._step():
                pass
        except DecodeError as exc:
            self._refuse(AmqpError("amqp:decode-error", str(exc)))
        except AmqpError as refusal:
            self._refuse(refusal)
        self._broker.changed()

    def send(self, performative: Performative, channel: int = 0, payload: bytes = b"") -> None:
        """Send a frame after the next commit."""
        self._outgoing.append(write(performative, channel, payload))

    def queue(self, name: str) -> Queue | None:
        """Return a queue by its name."""
        return self._broker.queue(name)

    def take_outgoing(self) -> Callable[[], None] | None:
        """Return what writes all that waits; None if nothing does."""
        if not self._outgoing:
            return None
        data, self._outgoing = b"".join(self._outgoing), []
        closing = self._closing

        def flush() -> None:
            self.transport.write(data)
            if closing:
                self.transport.close()

        return flush

    def _step(self) -> bool:
        """Take one protocol header or frame; False if there is none whole."""
        if len(self._received) < _HEADER_BYTES:
            return False
        if not self._greeted:
            header = bytes(self._received[:_HEADER_BYTES])
            del self._received[:_HEADER_BYTES]
            self._greet(header)
            return True
        size = int.from_bytes(self._received[:4])
        if not _HEADER_BYTES <= size <= MAX_FRAME_BYTES:
            raise AmqpError("amqp:connection:framing-error", f"a frame has from {_HEADER_BYTES} to {MAX_FRAME_BYTES} bytes")
        if len(self._received) < size:
            return False
        frame = read(bytes(self._received[:size]))
        del self._received[:size]
        if frame.sasl is not None:
            self._sasl(frame.sasl)
        elif frame.performative is not None:
            self._take(frame)
        return True

    def _greet(self, header: bytes) -> None:
        self._greeted = True
        self._outgoing.append(header if header == SASL_HEADER else AMQP_HEADER)
        if header == SASL_HEADER:
            self.send(Mechanisms(_MECHANISMS))
        elif header != AMQP_HEADER:
            log.warning("a client does not speak AMQP 1.0 without TLS; its connection string needs UseDevelopmentEmulator=true")
            self._closing = True

    def _sasl(self, code: int) -> None:
        if code == SASL_INIT:
            self.send(Outcome(0))
            self._greeted = False  # the client greets again, without SASL

    def _take(self, frame: Frame) -> None:
        performative, channel = frame.performative, frame.channel
        if isinstance(performative, Open):
            self._open(performative)
        elif isinstance(performative, Close):
            self.send(Close())
            self._closing = True
        elif isinstance(performative, Begin):
            self._sessions[channel] = Session(self, channel, performative)
            self.send(Begin(channel, handle_max=_CHANNELS), channel)
        elif channel not in self._sessions:
            raise AmqpError("amqp:not-allowed", f"there is no session on channel {channel}")
        elif isinstance(performative, End):
            self._sessions.pop(channel).end()
            self.send(End(), channel)
        else:
            self._hand_over(self._sessions[channel], performative, frame.payload)

    def _hand_over(self, session: Session, performative: Any, payload: bytes) -> None:
        """Let the session do what was said; a mistake there ends the session and no other."""
        try:
            session.handlers[type(performative)](performative, payload)
        except AmqpError as refusal:
            del self._sessions[session.channel]
            session.end()
            self.send(End(refusal.encoded()), session.channel)

    def _open(self, given: Open) -> None:
        self.max_frame_bytes = min(max(given.max_frame_size or MAX_FRAME_BYTES, 2 * LEAST_FRAME_BYTES), MAX_FRAME_BYTES)
        self.send(Open("service-bus", max_frame_size=MAX_FRAME_BYTES, channel_max=_CHANNELS))
        if given.idle_timeout:
            self._beat(given.idle_timeout / 2000)

    def _beat(self, every_s: float) -> None:
        """Show the client that we are there, twice as often as it asks for."""
        self._outgoing.append(EMPTY)
        self._broker.changed()
        self._heartbeat = asyncio.get_running_loop().call_later(every_s, self._beat, every_s)

    def _refuse(self, refusal: AmqpError) -> None:
        """End the connection with the reason."""
        self.send(Close(refusal.encoded()))
        self._closing = True
