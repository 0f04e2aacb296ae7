"""The recorder: takes usage records without ever holding a call up, and brings each of them into the ledger.

`add` puts a record into a buffer; a background task writes the buffer every `FLUSH_EVERY_S` in transactions of up to 100.
Two falls are caught by the spool, files on this machine's disk that outlive the process:

- The store does not answer: from the first failed write on, what is buffered goes to the spool every `FLUSH_EVERY_S`.
- The store is slow: beyond `SPOOL_ABOVE` records, or once a record has waited longer than `PATIENCE`, the buffer goes to the
  spool, and a copy of what is being written.

What is spooled is written when the store answers again, and by the next process that starts, that of a killed one too. A
row is written under its request's id and is the same each time, so that to write it twice changes nothing. A kill takes
what was recorded since the last write or spooling. A record is dropped only where the buffer and the spool are both full
(counted, and logged loudly), never because a store is slow, and no call is slowed down or refused for its record's sake.
"""

import asyncio
import collections
import contextlib
import datetime
import logging
import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.domain.ledger import ANONYMOUS, USAGE, hour_of
from gateway.domain.tables import MAX_TRANSACTION_WRITES, Action, Value, Write
from gateway.errors import StoreUnavailable
from gateway.metering.record import UsageRecord, finish
from gateway.ports import Clock, Spool, Tables

__all__ = ["USAGE", "Recorder", "UsageRecord", "finish", "hour_of"]

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 0.25
BUFFER_RECORDS = 20_000
SPOOL_ABOVE = 2_000
PATIENCE = datetime.timedelta(seconds=1)
SPOOLED_AT_ONCE = 250
type _Entry = tuple[str, str, dict[str, Any]]  # partition, row, values
STRANGERS_A_MINUTE = 600  # records of requests without a valid key: whoever needs none could fill the ledger
LONGEST_PAUSE = 32  # times FLUSH_EVERY_S, between two tries at a store that is down


class Recorder:
    """Buffers records and writes them in the background.

    Args:
        tables: Where they go.
        clock: Its `sleep` paces the writing.
        spool: Where they wait while the store does not take them; without one they wait in the buffer alone.
        capacity: Records kept in memory, where the spool takes no more.
    """

    def __init__(self, tables: Tables, clock: Clock, spool: Spool | None = None, *, capacity: int = BUFFER_RECORDS) -> None:
        self._tables = tables
        self._clock = clock
        self._spool = spool
        self._capacity = capacity
        self._buffer: collections.deque[UsageRecord] = collections.deque()
        self._under_way: Sequence[UsageRecord] = ()  # being written, and not in the spool
        self._writing = asyncio.Lock()
        self._spooling = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._relief: asyncio.Task[None] | None = None
        self._shard = f"{random.randrange(16):x}"  # noqa: S311 - spreads load, hides nothing
        self._spool_full = spool is None
        self._spooled = False
        self._minute: datetime.datetime | None = None
        self._strangers = 0  # in that minute
        self.dropped = 0

    def start(self) -> None:
        """Bring into the ledger what an earlier process of this machine left in the spool, in the background."""
        self._spooled = self._spool is not None
        self._wake()

    def add(self, record: UsageRecord) -> None:
        """Take a record; returns at once and never fails."""
        if record.tenant == ANONYMOUS and not self._has_place_for_a_stranger(record.at):
            return
        waiting = len(self._buffer)
        if waiting >= self._capacity and self._spool_full:
            self._buffer.popleft()
            self._count_dropped(1, "the store does not keep up" + (", and the spool is full" if self._spool else ""))
        self._buffer.append(record)
        if self._task is None or self._task.done() or waiting >= SPOOL_ABOVE or self._late(record.at):
            self._wake(record.at)

    def _has_place_for_a_stranger(self, at: datetime.datetime) -> bool:
        minute = at.replace(second=0, microsecond=0)
        if minute != self._minute:
            if (left_out := self._strangers - STRANGERS_A_MINUTE) > 0:
                log.warning(
                    "%d requests without a valid key have no record: they were more than %d in a minute", left_out, STRANGERS_A_MINUTE
                )
            self._minute, self._strangers = minute, 0
        self._strangers += 1
        return self._strangers <= STRANGERS_A_MINUTE

    async def flush(self) -> None:
        """Write all that is buffered; StoreUnavailable leaves the rest in the buffer, a row that no store takes is dropped."""
        async with self._writing:
            while self._buffer:
                partition, self._under_way = self._next_batch()
                batch = self._under_way
                writes = collections.deque(_write(record.request_id, record.row()) for record in batch)
                try:
                    await self._put(partition, writes)
                except (StoreUnavailable, asyncio.CancelledError):
                    # Perhaps they were written after all: to write them again then changes nothing.
                    self._buffer.extendleft(reversed(batch[len(batch) - len(writes) :]))
                    raise
                finally:
                    self._under_way = ()

    async def close(self) -> None:
        """Write what is left; what the store does not take now is spooled, and lost, counted, only where that fails too."""
        for task in (self._task, self._relief):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        try:
            await self.flush()
            await self._replay()
        except StoreUnavailable as exc:
            await self._set_aside()
            lost = len(self._buffer)
            self._buffer.clear()
            self._count_dropped(lost, f"the store did not answer at the end: {exc}")
        if self._spool is not None:
            await self._spool.close()

    def _late(self, now: datetime.datetime) -> bool:
        oldest = self._under_way or self._buffer
        return bool(oldest) and now - oldest[0].at > PATIENCE

    def _wake(self, now: datetime.datetime | None = None) -> None:
        with contextlib.suppress(RuntimeError):  # no loop runs here: a dropped stream is collected in any thread; the next one writes
            loop = asyncio.get_running_loop()
            if self._task is None or self._task.done():
                self._task = loop.create_task(self._keep_writing(), name="usage records")
            behind = len(self._buffer) > SPOOL_ABOVE or (now is not None and self._late(now))
            if behind and not self._spool_full and (self._relief is None or self._relief.done()):
                self._relief = loop.create_task(self._set_aside(), name="usage records to the spool")

    async def _keep_writing(self) -> None:
        failures = 0
        while self._buffer or self._spooled:
            await self._pause(failures)
            try:
                await self.flush()
                await self._replay()
                failures, self._spool_full = 0, self._spool is None
            except StoreUnavailable as exc:
                failures += 1
                log.warning("usage records wait for the store (%d buffered): %s", len(self._buffer), exc)

    async def _pause(self, failures: int) -> None:
        """Wait before the next try, longer with each failure; what comes in meanwhile goes to the spool."""
        times = min(2**failures, LONGEST_PAUSE)
        if self._spool is None or not failures:
            await self._clock.sleep(FLUSH_EVERY_S * times)
            return
        for _ in range(times):
            await self._set_aside()
            await self._clock.sleep(FLUSH_EVERY_S)

    async def _set_aside(self) -> None:
        """Put what is buffered into the spool, as far as it takes it."""
        if self._spool is None:
            return
        async with self._spooling:
            copied, self._under_way = self._under_way, ()
            if copied:  # they stay where they are as well: whoever writes them second changes nothing
                entries_of = [self._entry(record, last=False) for record in copied]
                self._spooled = bool(await self._spool.append([entry for entry in entries_of if entry is not None])) or self._spooled
            while self._buffer:
                taken = [self._buffer.popleft() for _ in range(min(len(self._buffer), SPOOLED_AT_ONCE))]
                entries = [(record, entry) for record in taken if (entry := self._entry(record)) is not None]
                kept = 0
                try:
                    kept = await self._spool.append([entry for _, entry in entries])
                finally:  # a cancelled one may be on the disk all the same: then it is written twice, which changes nothing
                    self._buffer.extendleft(record for record, _ in reversed(entries[kept:]))
                self._spooled = self._spooled or kept > 0
                self._spool_full = kept < len(entries)
                if self._spool_full:
                    return

    async def _replay(self) -> None:
        """Write what was spooled, file by file; a file goes once all of it is written."""
        while self._spool is not None and self._spooled:
            taken = await self._spool.take()
            if taken is None:
                self._spooled = False
                return
            name, entries = taken
            for partition, writes in _batches(entries):
                await self._put(partition, writes)
            await self._spool.done(name)
            log.info("usage records of the spool are in the ledger: %d", len(entries))

    async def _put(self, partition: str, writes: collections.deque[Write]) -> None:
        """Write rows of a partition; takes out of `writes` what is done with, so a failure leaves what is to be tried again.

        Where the store refuses them together it gets them one by one, and the one that no store takes is dropped: whatever is
        wrong with it must not keep the others from the ledger.
        """
        try:
            await self._tables.transact(USAGE, partition, list(writes))
            writes.clear()
        except StoreUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - a store's bug as well as a record's
            log.warning("%d usage records were refused and are written one by one: %s", len(writes), exc)
        while writes:
            try:
                await self._tables.transact(USAGE, partition, [writes[0]])
            except StoreUnavailable:
                raise
            except Exception:
                log.exception("the usage record of %s cannot be stored and is dropped", writes[0].row)
                self._count_dropped(1, "no store can take them")
            writes.popleft()

    def _entry(self, record: UsageRecord, *, last: bool = True) -> bytes | None:
        """Return what the spool keeps of a record: partition, row and values, so that any process can write it."""
        try:
            return msgspec.msgpack.encode((self._partition(record), record.request_id, record.row()))
        except (UnicodeEncodeError, OverflowError):
            if not last:
                return None
            log.exception("the usage record of %s cannot be stored and is dropped", record.request_id)
            self._count_dropped(1, "no store can take them")
            return None

    def _count_dropped(self, count: int, reason: str) -> None:
        before, self.dropped = self.dropped, self.dropped + count
        if before.bit_length() != self.dropped.bit_length():  # at 1, 2, 4, 8 …: loud, but not one line per lost record
            log.error("usage records dropped because %s: %d so far", reason, self.dropped)

    def _next_batch(self) -> tuple[str, list[UsageRecord]]:
        """Take up to 100 records of the oldest one's partition; the others keep their order."""
        partition = self._partition(self._buffer[0])
        batch: list[UsageRecord] = []
        others: list[UsageRecord] = []
        while self._buffer and len(batch) < MAX_TRANSACTION_WRITES and len(others) < 10 * MAX_TRANSACTION_WRITES:
            record = self._buffer.popleft()
            (batch if self._partition(record) == partition else others).append(record)
        self._buffer.extendleft(reversed(others))
        return partition, batch

    def _partition(self, record: UsageRecord) -> str:
        return f"{hour_of(record.at)}|{record.tenant}|{self._shard}"


def _write(row: str, values: dict[str, Value]) -> Write:
    # Upserts under the request's id: a write that is repeated after a lost answer changes nothing.
    return Write(action=Action.UPSERT, row=row, values=values)


def _batches(entries: Sequence[bytes]) -> Iterator[tuple[str, collections.deque[Write]]]:
    """Sort a file's entries into transactions; a row that is there twice is in one of them once."""
    partitions: dict[str, dict[str, Write]] = collections.defaultdict(dict)
    for entry in entries:
        try:
            partition, row, values = msgspec.msgpack.decode(entry, type=_Entry)
        except msgspec.DecodeError:
            log.exception("a spooled usage record is none of this version's, and is dropped")
            continue
        partitions[partition][row] = _write(row, values)
    for partition, writes in partitions.items():
        rows = list(writes.values())
        for start in range(0, len(rows), MAX_TRANSACTION_WRITES):
            yield partition, collections.deque(rows[start : start + MAX_TRANSACTION_WRITES])
