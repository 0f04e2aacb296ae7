"""The broker: its queues, its connections, and the order in which things become true.

What a client asks changes memory at once; the journal then commits, and only after that anything that was said meanwhile
goes out. So nothing that a client was told is lost by kill -9: no acknowledgement, no delivery, no completion.

It listens on 127.0.0.1 and believes every token.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from devhost.servicebus.connection import Connection
from devhost.servicebus.journal import SqliteJournal
from devhost.servicebus.queues import DEAD_LETTERS, Queue
from devhost.servicebus.terms import Options

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_MAX_SLEEP_S = 3600.0


def wall_ms() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Broker:
    """A Service Bus of queues.

    Args:
        queues: Name → options; no other queue exists.
        data: Where its file is kept; None keeps all in memory.
        now_ms: The clock; a test may bring its own, and then calls `run_due` itself once it has moved it.

    Raises:
        sqlite3.Error: The file cannot be used.
    """

    def __init__(self, queues: Mapping[str, Options], data: Path | None = None, now_ms: Callable[[], int] = wall_ms) -> None:
        self.connections: set[Connection] = set()
        self.failed: Exception | None = None
        self.stopped = asyncio.Event()  # set by whoever wants it to stop, and by itself once it failed
        self.port = 0
        self._now_ms = now_ms
        self._journal = SqliteJournal(data)
        self._queues = {name.lower(): Queue(name.lower(), options, self._journal, now_ms) for name, options in queues.items()}
        below = [queue.dead_letters for queue in self._queues.values() if queue.dead_letters is not None]
        self._journal.load({queue.name: queue for queue in (*below, *self._queues.values())})
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._wake: asyncio.TimerHandle | None = None

    @property
    def connection_string(self) -> str:
        """What a client's SDK, or GATEWAY_SERVICEBUS, is given."""
        # A development key: anybody on this machine may do anything here.
        return f"Endpoint=sb://{HOST}:{self.port};SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true;"

    def queue(self, name: str) -> Queue | None:
        """Return a queue by its name, in lower case; `<name>/$deadletterqueue` is one, too."""
        if name.endswith(DEAD_LETTERS):
            queue = self._queues.get(name.removesuffix(DEAD_LETTERS))
            return None if queue is None else queue.dead_letters
        return self._queues.get(name)

    def changed(self) -> None:
        """Commit what changed, then let all connections write."""
        self._changed.set()

    def run_due(self) -> None:
        """Do in all queues what the clock says."""
        for queue in self._queues.values():
            queue.run_due()
        self.changed()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator["Broker"]:
        """Serve; 0 takes any free port.

        Raises:
            OSError: The port is taken.
        """
        server = await asyncio.get_running_loop().create_server(lambda: Connection(self), HOST, port)
        self._server = server
        self.port = server.sockets[0].getsockname()[1]
        writing = asyncio.create_task(self._write())
        self.run_due()
        try:
            yield self
        finally:
            writing.cancel()
            await asyncio.wait({writing})
            if self.failed is None:
                await self._commit()
            self._cut()
            await asyncio.to_thread(self._journal.close)

    async def _write(self) -> None:
        """Commit and write, again and again; what changes during a commit waits for the next."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._commit()
                self._set_alarm()
        except Exception as exc:
            self.failed = exc
            log.critical("the service bus cannot write what it knows, and stops before it promises more", exc_info=exc)
            self._cut()
            self.stopped.set()

    def _cut(self) -> None:
        """Listen no more, and leave every client without a last word."""
        if self._server is not None:
            self._server.close()
        if self._wake is not None:
            self._wake.cancel()
        for connection in [*self.connections]:
            connection.transport.abort()

    async def _commit(self) -> None:
        flushes = [flush for connection in self.connections if (flush := connection.take_outgoing())]
        await self._journal.commit()
        for flush in flushes:
            flush()

    def _set_alarm(self) -> None:
        """Wake when the clock next has something to say."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        due = [at_ms for queue in self._queues.values() if (at_ms := queue.next_due_ms()) is not None]
        if due:
            delay_s = min(max(0.0, (min(due) - self._now_ms()) / 1000), _MAX_SLEEP_S)
            self._wake = asyncio.get_running_loop().call_later(delay_s, self.run_due)
