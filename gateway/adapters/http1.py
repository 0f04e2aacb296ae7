"""An HTTP/1.1 client connection on httptools, for the hot path: one call at a time, bytes in and bytes out.

Why not a library: aiohttp's client costs half of a whole call's CPU time here (see README, "Numbers"), and of what it
does the gateway needs one thing: POST a body, read a status, headers and a body. llhttp, which also parses Node's HTTP,
does the parsing; this module is the state around it.

Rules: a connection serves one exchange at a time and goes back to the pool only after a message that ended as its
framing said. Anything unexpected (data while idle, a second response, a broken frame) ends the connection. What comes
in is bounded: headers by MAX_HEADER_BYTES, a body that nobody takes by pausing the socket.

State: idle → waiting (for headers) → reading (the body) → idle, or closed from anywhere.

Source: RFC 9112, HTTP/1.1 (read 2026-11-22).
"""

import asyncio
import enum
from collections.abc import Mapping
from typing import Any

import httptools

from gateway.errors import UpstreamError, UpstreamMisconfigured

MAX_HEADER_BYTES = 64 * 1024
PAUSE_ABOVE_BYTES = 256 * 1024


class State(enum.Enum):
    """Where a connection stands."""

    IDLE = "idle"
    WAITING = "waiting"
    READING = "reading"
    CLOSED = "closed"


class Connection(asyncio.Protocol):
    """One connection. The loop calls the protocol methods and the parser's `on_…`; `adapters/upstream.py` calls the rest."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.idle_since_s = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._header_bytes = 0
        self._paused = self._ends_with_connection = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._transport: Any = None

    # What the upstream adapter calls.

    async def exchange(self, head: bytes, body: bytes) -> None:
        """Send a request and return when its final response's headers are here; raises UpstreamError."""
        self.state = State.WAITING
        self.headers = {}
        self.complete = False
        self._pieces = []
        self._held_bytes = self._header_bytes = 0
        self._ends_with_connection = False
        if len(body) <= PAUSE_ABOVE_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        while self.state is State.WAITING:
            await self._wait()
        if self._error is not None:
            raise self._error
        if self.state is State.CLOSED and not self.complete:
            raise _interrupted()

    async def piece(self) -> bytes:
        """Return what has arrived of the body, waiting for some; empty at its end. Raises UpstreamError if it breaks off."""
        while not self._pieces:
            if self.complete:
                return b""
            if self._error is not None:
                raise self._error
            if self.state is State.CLOSED:
                raise _interrupted()
            await self._wait()
        pieces = self._pieces
        self._pieces = []
        self._held_bytes = 0
        self._resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def fail(self, error: UpstreamError) -> None:
        """End the connection; whoever waits for it, or asks it next, gets the error."""
        if self._error is None:
            self._error = error
        self.abort()

    def abort(self) -> None:
        """End the connection without ceremony."""
        self.state = State.CLOSED
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    @property
    def reusable(self) -> bool:
        """Whether the next exchange may use it: the last one ended properly and the other side keeps it open."""
        return self.state is State.IDLE and not self._transport.is_closing()

    def rest(self, now_s: float) -> None:
        """Go idle: forget what nobody took, and read on so that the other side's end is seen."""
        self._pieces = []
        self.idle_since_s = now_s
        self._resume()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport
        self.state = State.IDLE

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self.state is State.IDLE:  # nobody asked: whatever this is, it must not become the next call's answer
            self.abort()
            return
        if self.state is State.WAITING:
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(_malformed())
        except httptools.HttpParserError as exc:
            if self._error is None:
                self._error = _malformed()
                self._error.__cause__ = exc
            self.abort()
        if self.state is State.WAITING and self._header_bytes > MAX_HEADER_BYTES:
            self.fail(_malformed())

    def eof_received(self) -> bool:
        """Note that the other side is done, which may be how a body without a length ends."""
        if self.state is State.READING and self._ends_with_connection:
            self.complete = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if self.state is not State.CLOSED:
            if self.state is State.READING and self._ends_with_connection and exc is None:
                self.complete = True
            elif self.state is not State.IDLE and not self.complete and self._error is None:
                self._error = _interrupted()
                self._error.__cause__ = exc
            self.state = State.CLOSED
        self._wake()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """End the connection if nobody asked for this message: it must not become the next call's answer."""
        if self.state is not State.WAITING:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which come after the body began, are dropped."""
        if self.state is State.WAITING:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Hand over the headers, unless they are an interim response's."""
        if self.state is not State.WAITING:
            return
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:
            self.headers = {}
            return
        self._ends_with_connection = "content-length" not in self.headers and "transfer-encoding" not in self.headers
        self.state = State.READING
        self._wake()

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body, and stop reading if nobody takes them."""
        if self.state is not State.READING:
            return
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > PAUSE_ABOVE_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Note the end of the body. From here on anything that comes ends the connection: the next answer begins clean."""
        if self.state is not State.READING:
            return
        self.complete = True
        self.state = State.IDLE if self._parser.should_keep_alive() else State.CLOSED
        if self.state is State.CLOSED:
            self._transport.close()
        self._wake()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


def request_head(method: str, target: str, host: str, headers: Mapping[str, str], body_bytes: int) -> bytes:
    """Return a request's head.

    Args:
        method: Such as POST.
        target: Path and query, escaped.
        host: For the Host header, with its port unless that is the scheme's.
        headers: Neither names nor values may hold control characters; an error here is a fault of ours or of the configuration.
        body_bytes: The body's length.
    """
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}", *[f"{name}: {value}" for name, value in headers.items()]]
    lines.append(f"content-length: {body_bytes}")
    text = "\r\n".join(lines)
    if not text.isascii() or text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or " " in target:
        raise UpstreamMisconfigured("the backend's URL or credential holds a character that HTTP forbids")
    return text.encode("ascii") + b"\r\n\r\n"


def _interrupted() -> UpstreamError:
    return UpstreamError("the backend broke off its answer; retry", code="upstream_interrupted")


def _malformed() -> UpstreamError:
    return UpstreamError("the backend's answer is not proper HTTP; retry", code="upstream_malformed")
