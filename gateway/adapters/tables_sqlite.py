"""The Tables port on one SQLite file: development, tests and a gateway on a single machine.

Rules:

- `synchronous=FULL`: what a method has returned is on the disk. In WAL mode `NORMAL` survives kill -9 too, but a power cut
  may take the last commits back, and what was accepted must not be lost. FULL costs a disk sync for each commit, so
  writes that wait at the same time share one (group commit): each has its own savepoint, all have one COMMIT, and
  nobody hears of success before it.
- One worker thread owns the connection: the event loop never blocks, and no lock is needed within the process.
- Several processes may share the file: a write takes the lock at its start (BEGIN IMMEDIATE) and waits for it up to
  BUSY_S, so a read never has to become a write in the middle.
- The ETag is random for each write, so a row that was deleted and made again never has an ETag it had before.

Data: `entities(name, partition, row, etag, data)`. `name` is the table's, in lower case, since the service ignores its
case. Keys are TEXT, compared as UTF-8 bytes, which is code point order. `data` is MessagePack, which has all value types,
datetimes included.
"""

import asyncio
import contextlib
import pathlib
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from gateway.domain.ids import random_hex
from gateway.domain.tables import (
    Action,
    Entity,
    EntityChanged,
    EntityExists,
    Page,
    Value,
    Write,
    check_entity,
    check_key,
    check_query,
    check_table_name,
    check_transaction,
    pack_continuation,
    unpack_continuation,
)
from gateway.errors import GatewayError, StoreUnavailable

BUSY_S = 10.0  # how long to wait for another process's write
WAL_ATTEMPTS = 20
MAX_GROUP = 256  # writes that share one commit

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (
    name TEXT NOT NULL, partition TEXT NOT NULL, row TEXT NOT NULL, etag TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (name, partition, row)
)
"""

type _Encoded = Sequence[tuple[Write, bytes]]
type _Writes = Callable[[sqlite3.Connection], list[str | None]]


class SqliteTables:
    """Tables on the file at `path`, opened at the first call; its folder is made if need be."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="tables-sqlite")
        self._waiting: deque[tuple[_Writes, Future[list[str | None]]]] = deque()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def get(self, table: str, partition: str, row: str) -> Entity | None:
        """Read one row; None where there is none."""
        check_table_name(table)
        check_key("partition", partition)
        check_key("row", row)
        sql = "SELECT partition, row, data, etag FROM entities WHERE name = ? AND partition = ? AND row = ?"
        found = await self._read(sql, (table.lower(), partition, row))
        return found[0] if found else None

    async def insert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        """Write a new row and return its ETag; EntityExists where there is one."""
        return await self._write_one(table, partition, Write(Action.INSERT, row, values))

    async def upsert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        """Write the row whole, whatever was there, and return its ETag."""
        return await self._write_one(table, partition, Write(Action.UPSERT, row, values))

    async def replace(self, table: str, partition: str, row: str, values: Mapping[str, Value], etag: str) -> str:
        """Write the row whole if its ETag still is `etag` (`*`: if it exists); EntityChanged otherwise."""
        return await self._write_one(table, partition, Write(Action.REPLACE, row, values, etag))

    async def delete(self, table: str, partition: str, row: str, etag: str = "*") -> None:
        """Delete the row if its ETag still is `etag`; EntityChanged otherwise, also where there is no row."""
        await self._write_one(table, partition, Write(Action.DELETE, row, etag=etag))

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        """Do all of up to 100 writes in one partition, or none; returns the new ETags (None for a delete)."""
        check_table_name(table)
        check_transaction(partition, writes)
        return await self._write(table, partition, writes)

    async def query(
        self,
        table: str,
        *,
        partition: str | None = None,
        partition_from: str | None = None,
        partition_below: str | None = None,
        row_from: str | None = None,
        row_below: str | None = None,
        limit: int = 1000,
        continuation: str | None = None,
    ) -> Page:
        """Read up to `limit` (≤ 1000) rows, ordered by (partition, row)."""
        check_table_name(table)
        check_query(limit, partition, partition_from, partition_below, row_from, row_below)
        if partition is not None:
            partition_from = partition_below = None
        conditions, parameters = ["name = ?"], [table.lower()]
        for condition, bound in (
            ("partition = ?", partition),
            ("partition >= ?", partition_from),
            ("partition < ?", partition_below),
            ("row >= ?", row_from),
            ("row < ?", row_below),
        ):
            if bound is not None:
                conditions.append(condition)
                parameters.append(bound)
        if continuation is not None:
            conditions.append("(partition, row) > (?, ?)")
            parameters += [part or "" for part in unpack_continuation(continuation)]
        where = " AND ".join(conditions)
        sql = f"SELECT partition, row, data, etag FROM entities WHERE {where} ORDER BY partition, row LIMIT ?"  # noqa: S608 — `where` is made of the constants above
        found = await self._read(sql, (*parameters, limit + 1))
        last = found[limit - 1] if len(found) > limit else None
        return Page(found[:limit], pack_continuation(last.partition, last.row) if last else None)

    async def close(self) -> None:
        """Finish what is under way, then let the file go. Safe to call twice."""
        if not self._closed:
            self._closed = True
            await asyncio.wrap_future(self._worker.submit(self._disconnect))
            self._worker.shutdown(wait=False)

    async def _write_one(self, table: str, partition: str, write: Write) -> str:
        check_table_name(table)
        check_entity(partition, write.row, write.values)
        return (await self._write(table, partition, [write]))[0] or ""

    async def _write(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        name = table.lower()
        encoded = [(write, msgspec.msgpack.encode(write.values)) for write in writes]
        self._refuse_if_closed()
        future: Future[list[str | None]] = Future()
        apply = _upsert_all if all(write.action is Action.UPSERT for write in writes) else _apply_all
        self._waiting.append((lambda connection: apply(connection, name, partition, encoded), future))
        self._worker.submit(self._commit_waiting)
        return await asyncio.wrap_future(future)

    async def _read(self, sql: str, parameters: Sequence[str | int]) -> list[Entity]:
        def fetch() -> list[Entity]:
            try:
                return [
                    Entity(partition, row, msgspec.msgpack.decode(data), etag)
                    for partition, row, data, etag in self._open().execute(sql, parameters)
                ]
            except (sqlite3.Error, OSError, msgspec.DecodeError) as exc:
                raise _unavailable() from exc

        self._refuse_if_closed()
        return await asyncio.wrap_future(self._worker.submit(fetch))

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise _unavailable()

    def _commit_waiting(self) -> None:
        """Do the writes that wait, in one commit; runs in the worker. A later call may find nothing left to do."""
        group: list[tuple[_Writes, Future[list[str | None]]]] = []
        while self._waiting and len(group) < MAX_GROUP:
            work, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                group.append((work, future))
        if not group:
            return
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_attempt(connection, work) for work, _ in group]
            connection.execute("COMMIT")
        except Exception as exc:  # noqa: BLE001 — whatever it is, those who wait must hear of it
            self._roll_back()
            for _, future in group:
                error = _unavailable() if isinstance(exc, sqlite3.Error | OSError) else RuntimeError("a write failed")
                error.__cause__ = exc
                future.set_exception(error)
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, GatewayError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            pathlib.Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            try:
                _switch_to_wal(connection)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_SCHEMA)
                connection.execute("COMMIT")
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _roll_back(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # the failure may have ended the transaction already
                self._connection.execute("ROLLBACK")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Turn write-ahead logging on, also while others are doing the same to a new file.

    SQLite does not wait for the lock here, as it does elsewhere: so we wait for a write lock and ask again.
    """
    for _ in range(WAL_ATTEMPTS):
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    connection.execute("PRAGMA journal_mode = WAL")


def _attempt(connection: sqlite3.Connection, work: _Writes) -> list[str | None] | GatewayError:
    """Do one caller's writes all or none, whatever becomes of the others' in the same commit."""
    connection.execute("SAVEPOINT one")
    try:
        outcome: list[str | None] | GatewayError = work(connection)
    except GatewayError as exc:
        outcome = exc
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return outcome


def _upsert_all(connection: sqlite3.Connection, name: str, partition: str, encoded: _Encoded) -> list[str | None]:
    """Do upserts in one statement: every statement hands the interpreter's lock to and fro, which costs more than the row."""
    rows = [(_new_etag(), data, name, partition, write.row) for write, data in encoded]
    places = ", ".join(["(?, ?, ?, ?, ?)"] * len(rows))
    sql = f"INSERT OR REPLACE INTO entities (etag, data, name, partition, row) VALUES {places}"  # noqa: S608 — a constant, repeated
    connection.execute(sql, [value for row in rows for value in row])
    return [row[0] for row in rows]


def _apply_all(connection: sqlite3.Connection, name: str, partition: str, encoded: _Encoded) -> list[str | None]:
    return [_apply(connection, name, partition, write, data) for write, data in encoded]


def _new_etag() -> str:
    return f'W/"{random_hex(16)}"'


def _apply(connection: sqlite3.Connection, name: str, partition: str, write: Write, data: bytes) -> str | None:
    """Do one write and return the new ETag; raises EntityExists or EntityChanged."""
    key = (name, partition, write.row)
    etag = _new_etag()
    if write.action is Action.INSERT:
        sql = "INSERT INTO entities (etag, data, name, partition, row) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        if connection.execute(sql, (etag, data, *key)).rowcount == 0:
            raise EntityExists(f"the row {write.row!r} exists already")
        return etag
    if write.action is Action.UPSERT:
        return _upsert_all(connection, name, partition, [(write, data)])[0]
    condition = "WHERE name = ? AND partition = ? AND row = ? AND ? IN ('*', etag)"
    if write.action is Action.DELETE:
        done = connection.execute(f"DELETE FROM entities {condition}", (*key, write.etag))  # noqa: S608 — a constant
    else:
        done = connection.execute(f"UPDATE entities SET etag = ?, data = ? {condition}", (etag, data, *key, write.etag))  # noqa: S608 — a constant
    if done.rowcount == 0:
        raise EntityChanged(f"the row {write.row!r} changed in between, or is not there any more")
    return None if write.action is Action.DELETE else etag


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable("the table store did not answer; try again")
