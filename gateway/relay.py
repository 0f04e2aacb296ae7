"""Step 11 for streams: upstream bytes → events → client bytes, each piece as soon as it is there.

It begins once the first content is proved, with the events that were held until then. From here on there is no failover:
whatever breaks ends the iteration with a GatewayError, which the route turns into one typed event. However it ends (done,
broken, cancelled, never read), `on_end` runs exactly once and the upstream is closed: a stream that nobody reads any more
costs nothing more.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from types import TracebackType
from typing import Protocol

from gateway.domain.call import CLIENT_GONE, StreamEvent, Usage
from gateway.domain.verdict_text import HEADER as GUARDRAILS
from gateway.domain.verdict_text import header_of
from gateway.errors import ClientDisconnected, GatewayError, Stopping
from gateway.metering.draft import Draft
from gateway.ports import Clock, StreamDecoder, UpstreamResponse

log = logging.getLogger(__name__)

# How long a finished stream's connection may take to end properly, which is what makes it reusable.
DRAIN_S = 1.0


class StreamGuard(Protocol):
    """Looks at a stream before the client does (`guardrails/streams/stream.py`)."""

    @property
    def blocked(self) -> bool:
        """Whether it has ended the stream itself: what the backend may still send is not wanted."""

    async def feed(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """Take events and return those that the client may have now."""

    def close(self) -> None:
        """Say what was looked at, however the stream ended. Safe to call twice."""


type OnEnd = Callable[[Usage | None, str, GatewayError | None], None]


class Noting:
    """Writes to the draft how its block failed, and to the failure what guardrails said.

    Whatever is no GatewayError becomes one, or is a disconnect.
    """

    __slots__ = ("_draft",)

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        if exc is None:
            return
        if isinstance(exc, GatewayError):
            self._draft.fail(exc)
            if self._draft.verdicts:  # what failed after them was guarded all the same
                exc.headers = {**exc.headers, GUARDRAILS: header_of(self._draft.verdicts)}
        elif isinstance(exc, asyncio.CancelledError) and CLIENT_GONE not in exc.args:
            self._draft.fail(Stopping())
        elif isinstance(exc, (asyncio.CancelledError, GeneratorExit)):
            self._draft.fail(ClientDisconnected(CLIENT_GONE))
        elif isinstance(exc, Exception):
            log.error("call %s failed inside the gateway", self._draft.inbound.request_id, exc_info=exc)
            failure = GatewayError("the gateway failed inside; the operator finds the details in its log under x-request-id")
            self._draft.fail(failure)
            raise failure from exc


class Relay:
    """One streamed answer; see `domain.call.ByteStream`.

    Args:
        draft: Where the end is noted.
        response: Closed at the end.
        chunks: The upstream's bytes after those that `held` was read from.
        held: The events that were read before the stream was handed over.
        decoder: The one that read them.
        clock: Stamps the first token and the last byte.
        on_end: Told the provider's usage, if it gave one, the text that was handed on, and what broke the stream.
        rewrite: Applied to the client's bytes of each event.
        guard: Sees events before the client does; None where nothing is guarded.
    """

    def __init__(
        self,
        draft: Draft,
        response: UpstreamResponse,
        chunks: AsyncIterator[bytes],
        held: list[StreamEvent],
        decoder: StreamDecoder,
        clock: Clock,
        on_end: OnEnd,
        rewrite: Callable[[bytes], bytes] | None = None,
        guard: StreamGuard | None = None,
    ) -> None:
        self._guard = guard
        self._draft = draft
        self._response = response
        self._chunks = chunks
        self._held = held
        self._rewrite = rewrite
        self._decoder = decoder
        self._clock = clock
        self._on_end = on_end
        self._opened_s = clock.now_s()
        self._texts: list[str] = []
        self._usage: Usage | None = None
        self._error: GatewayError | None = None
        self._done = self._ended = self._settled = False
        # Made when it is first asked for: it refers to this object, and a stream nobody reads must end when it is dropped.
        self._bytes: AsyncGenerator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the client's bytes; may be done once."""
        if self._bytes is None:
            self._bytes = self._relay()
        return self._bytes

    async def aclose(self, error: GatewayError | None = None) -> None:
        """End it, wherever it stands. After a complete answer the upstream may end properly too: the client has its own end."""
        if error is not None and not self._done:
            self._draft.fail(error)
        try:
            if self._bytes is not None:
                await self._bytes.aclose()
            if self._done and not self._ended and not (self._guard and self._guard.blocked):
                await self._drain()
        finally:
            self._end()

    def __del__(self) -> None:
        """Settle a stream that nobody ever began to read."""
        self._end()

    async def _relay(self) -> AsyncGenerator[bytes]:
        piece = b""
        try:
            with Noting(self._draft):
                held = self._held if self._guard is None else await self._guarded(self._guard, self._held)
                piece = self._absorb(held)
                ended = False
                while not self._done:
                    if piece:
                        yield piece
                        piece = b""
                    if self._error is not None:
                        raise self._error
                    if ended:
                        break
                    data = await anext(self._chunks, b"")
                    ended = not data
                    events = self._decoder.finish() if ended else self._decoder.feed(data)
                    piece = self._absorb(events if self._guard is None else await self._guarded(self._guard, events))
            # The answer is complete: a client that hangs up on the last piece has not missed anything.
            yield piece
        finally:
            if self._done:
                self._settle()
            else:
                self._end()

    async def _guarded(self, guard: StreamGuard, events: list[StreamEvent]) -> list[StreamEvent]:
        """Count what the backend sent, before some of it is withheld, and return what the client may have."""
        self._texts += [event.text for event in events if event.content]
        return await guard.feed(events)

    def _absorb(self, events: list[StreamEvent]) -> bytes:
        """Take what the record needs from the events and return the client's bytes."""
        out = b""
        for event in events:
            data = event.data if self._rewrite is None else self._rewrite(event.data)
            out = out + data if out else data
            if event.content:
                if self._draft.first_token_s is None:
                    now_s = self._draft.first_token_s = self._clock.now_s()
                    self._draft.upstream_wait_s += now_s - self._opened_s
                if self._guard is None:
                    self._texts.append(event.text)
            if event.usage is not None:
                self._usage = event.usage
            if event.finish_reason is not None:
                self._draft.finish_reason = event.finish_reason
            if event.error is not None:
                self._error = event.error
                break
            if event.done:
                self._done = True
                self._draft.last_byte_s = self._clock.now_s()
                break
        return out

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError, GatewayError):
            async with asyncio.timeout(DRAIN_S):
                while await anext(self._chunks, b""):
                    pass

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._response.close()
        self._settle()

    def _settle(self) -> None:
        if self._settled:
            return
        self._settled = True
        if self._guard is not None:
            self._guard.close()
        now_s = self._clock.now_s()
        if not self._done:
            # Not done and not failed: it was closed, or dropped, before it was read to its end.
            self._draft.fail(self._error or ClientDisconnected(CLIENT_GONE))
            self._draft.last_byte_s = now_s
        if self._draft.first_token_s is None:
            self._draft.upstream_wait_s += now_s - self._opened_s  # it was waited for to the end, and never came
        self._on_end(self._usage, "".join(self._texts), self._error)
