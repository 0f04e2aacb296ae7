"""A kept conversation's new turn, written once the client has all of its answer, in the background.

    stream ─▶ Remembering ─▶ client; at its complete end ─▶ Keeper ─▶ the store

Nothing here delays a client: a stream's pieces go on unchanged, and what is kept is kept afterwards. A turn is tried again while the
store does not answer, for some seconds; a worker that stops waits for what is under way.

Must not: show a text in a message or a log.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.conversations.collecting import Collector
from gateway.domain.call import ByteStream
from gateway.errors import GatewayError, Unavailable
from gateway.ports import Clock

log = logging.getLogger(__name__)

MAX_PENDING = 1000
_RETRY_S = (0.5, 1.0, 2.0, 4.0)


class Keeper:
    """Writes in the background, and loses nothing while it is closed properly.

    Args:
        clock: Paces what is tried again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do something soon.

        Args:
            act: What is done; a few times where a store does not answer, so doing it twice must be safe.
        """
        if len(self._tasks) >= MAX_PENDING:
            log.error("a turn of a conversation is not kept: %d wait to be written already", MAX_PENDING)
            return
        task = asyncio.get_running_loop().create_task(self._do(act), name="keep a conversation")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Wait for what is under way, so long at most."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            if late:
                log.error("%d turns of conversations could not be kept in %g s", len(late), timeout_s)
            for task in late:
                task.cancel()

    async def _do(self, act: Callable[[], Awaitable[object]]) -> None:
        for pause_s in (*_RETRY_S, None):
            try:
                await act()
            except Unavailable as exc:
                if pause_s is None:
                    log.error("a turn of a conversation is not kept: %s", exc.code)  # noqa: TRY400 - the store says no more
                else:
                    await self._clock.sleep(pause_s)
            except Exception as exc:  # noqa: BLE001 - nobody waits for it; a traceback would show what was said
                log.error("a turn of a conversation is not kept: %s", type(exc).__name__)  # noqa: TRY400
                return
            else:
                return


class Remembering:
    """A client's stream whose answer is kept once it is complete; see `domain.call.ByteStream`.

    Args:
        stream: The stream.
        collected: Takes its bytes.
        keep: Takes the message, once; it is awaited in the background.
        keeper: Does that.
    """

    def __init__(
        self, stream: ByteStream, collected: Collector, keep: Callable[[dict[str, Any]], Awaitable[object]], keeper: Keeper
    ) -> None:
        self._stream = stream
        self._collected = collected
        self._keep = keep
        self._keeper = keeper
        self._over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the client's bytes."""
        try:
            async for piece in self._stream:
                self._collected.feed(piece)
                yield piece
        except GatewayError:
            self._over = True
            raise
        self._end()

    async def aclose(self, error: GatewayError | None = None) -> None:
        """End it. A client that hung up after the answer's end has had all of it."""
        if error is None:
            self._end()
        await self._stream.aclose(error)

    def _end(self) -> None:
        message = None if self._over else self._collected.message()
        self._over = True
        if message is not None:
            self._keeper.keep(lambda: self._keep(message))
