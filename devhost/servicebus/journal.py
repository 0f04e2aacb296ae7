"""What a broker knows, on disk: SQLite, with one commit for all that changed meanwhile.

Rules:

- Changes are gathered while the last commit runs, and the next takes all of them (group commit). It runs in a thread of its
  own, so a disk that syncs slowly holds up nothing but the answers that must wait for it.
- `synchronous=FULL`: what a commit has returned from survives kill -9 and a power cut.
- A commit that fails ends the broker: memory would know what the disk does not, and acknowledge it.

Data: `messages(queue, sequence, state, …)` is small and changes with each delivery; `contents(queue, sequence, content)` is
written once. `sequences(queue, last)` makes numbers that are never given twice; `seen(queue, message_id, …)` is the duplicate
detection's memory. Messages of a queue that is no longer declared are left as they are.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from devhost.servicebus.messages import Message, State, pack, unpack
from devhost.servicebus.queues import Queue

_SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE IF NOT EXISTS messages (
    queue TEXT NOT NULL, sequence INTEGER NOT NULL, state INTEGER NOT NULL, deferred INTEGER NOT NULL,
    delivery_count INTEGER NOT NULL, enqueued_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (queue, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (queue TEXT NOT NULL, sequence INTEGER NOT NULL, content BLOB NOT NULL, UNIQUE (queue, sequence));
CREATE TABLE IF NOT EXISTS sequences (queue TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    queue TEXT NOT NULL, message_id TEXT NOT NULL, sequence INTEGER NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (queue, message_id)
) WITHOUT ROWID;
"""
_ADD = "INSERT INTO contents VALUES (?, ?, ?)"
_SAVE = "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)"
_NUMBER = "INSERT OR REPLACE INTO sequences VALUES (?, ?)"
_REMOVE = ("DELETE FROM messages WHERE queue = ? AND sequence = ?", "DELETE FROM contents WHERE queue = ? AND sequence = ?")
_SEE = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)"
_UNSEE = "DELETE FROM seen WHERE queue = ? AND until_ms <= ?"
_LOAD = "SELECT m.*, c.content FROM messages m JOIN contents c USING (queue, sequence) WHERE m.queue = ? ORDER BY m.sequence"


class SqliteJournal:
    """A journal on one file; without one, in memory.

    Args:
        path: The file; its folder is made.

    Raises:
        sqlite3.Error: It cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)
        self._thread = ThreadPoolExecutor(1, "service-bus-journal")
        self._pending: list[tuple[str, tuple[Any, ...]]] = []
        self._last: dict[str, int] = {}

    def load(self, queues: Mapping[str, Queue]) -> None:
        """Fill the queues with what was kept."""
        for name, queue in queues.items():
            for (last,) in self._db.execute("SELECT last FROM sequences WHERE queue = ?", (name,)).fetchall():
                queue.last_sequence = last
            for known in self._db.execute(
                "SELECT message_id, sequence, until_ms FROM seen WHERE queue = ? ORDER BY until_ms", (name,)
            ).fetchall():
                queue.remember(*known)
        for name, queue in queues.items():  # after the numbers: what has been delivered too often goes to another queue
            for _, sequence, state, deferred, count, enqueued_ms, expires_ms, content in self._db.execute(_LOAD, (name,)).fetchall():
                queue.restore(Message(sequence, unpack(content), enqueued_ms, State(state), bool(deferred), count, expires_ms))

    def added(self, queue: str, message: Message) -> None:
        """Keep a new message."""
        self._last[queue] = message.sequence
        self._pending.append((_ADD, (queue, message.sequence, pack(message.content))))
        self.changed(queue, message)

    def changed(self, queue: str, message: Message) -> None:
        """Keep a message's new state."""
        state = (message.state.value, message.deferred, message.delivery_count, message.enqueued_ms, message.expires_ms)
        self._pending.append((_SAVE, (queue, message.sequence, *state)))

    def removed(self, queue: str, sequence: int) -> None:
        """Forget a message."""
        self._pending += [(statement, (queue, sequence)) for statement in _REMOVE]

    def seen(self, queue: str, message_id: str, sequence: int, until_ms: int) -> None:
        """Remember a message's id until then."""
        self._pending.append((_SEE, (queue, message_id, sequence, until_ms)))

    def unseen(self, queue: str, now_ms: int) -> None:
        """Forget the ids whose time is over."""
        self._pending.append((_UNSEE, (queue, now_ms)))

    async def commit(self) -> None:
        """Write all that changed up to now. Raises sqlite3.Error; then nothing of it is kept."""
        pending, self._pending = self._pending, []
        pending += [(_NUMBER, (queue, last)) for queue, last in self._last.items()]
        self._last.clear()
        if pending:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, pending)

    def close(self) -> None:
        """Let the file go."""
        self._thread.shutdown()
        self._db.close()

    def _write(self, changes: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in changes:
                self._db.execute(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._db.rollback()
            raise
