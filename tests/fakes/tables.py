"""The Tables port in memory, with the service's limits, and faults at a test's word."""

import asyncio
import datetime as dt
import enum
import itertools
from collections.abc import Mapping, Sequence

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
from gateway.errors import StoreUnavailable


class FakeTables:
    """See `ports.Tables`.

    `down` makes everything fail; `gate`, where there is one, holds every call until it is set; `sparse` puts an empty page that has
    a continuation before every page, as the service may.
    """

    def __init__(self) -> None:
        self.data: dict[tuple[str, str, str], Entity] = {}
        self.transactions: list[tuple[str, int]] = []
        self.calls = 0
        self.down = False
        self.sparse = False
        self.gate: asyncio.Event | None = None
        self._told_empty: set[str] = set()
        self._etags = itertools.count(1)

    def rows(self, table: str) -> list[Entity]:
        return [self.data[key] for key in sorted(self.data) if key[0] == table.lower()]

    async def get(self, table: str, partition: str, row: str) -> Entity | None:
        check_table_name(table)
        check_key("partition", partition)
        check_key("row", row)
        await self._arrive()
        return self.data.get((table.lower(), partition, row))

    async def insert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        return await self._one(table, partition, Write(Action.INSERT, row, values))

    async def upsert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        return await self._one(table, partition, Write(Action.UPSERT, row, values))

    async def replace(self, table: str, partition: str, row: str, values: Mapping[str, Value], etag: str) -> str:
        return await self._one(table, partition, Write(Action.REPLACE, row, values, etag))

    async def delete(self, table: str, partition: str, row: str, etag: str = "*") -> None:
        await self._one(table, partition, Write(Action.DELETE, row, etag=etag))

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        check_table_name(table)
        check_transaction(partition, writes)
        await self._arrive()
        self.transactions.append((partition, len(writes)))
        before = dict(self.data)
        try:
            return [self._apply(table, partition, write) for write in writes]
        except (EntityExists, EntityChanged):
            self.data = before
            raise

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
        check_table_name(table)
        check_query(limit, partition, partition_from, partition_below, row_from, row_below)
        after = None if continuation is None else tuple(part or "" for part in unpack_continuation(continuation))
        if partition is not None:  # then it rules, and not the range
            partition_from = partition_below = None
        await self._arrive()
        if self.sparse and (empty := self._empty(continuation)) is not None:
            return empty
        found = [
            entity
            for entity in self.rows(table)
            if (partition is None or entity.partition == partition)
            and (partition_from is None or entity.partition >= partition_from)
            and (partition_below is None or entity.partition < partition_below)
            and (row_from is None or entity.row >= row_from)
            and (row_below is None or entity.row < row_below)
            and (after is None or (entity.partition, entity.row) > after)
        ]
        more = len(found) > limit
        return Page(found[:limit], pack_continuation(found[limit - 1].partition, found[limit - 1].row) if more else None)

    async def close(self) -> None:
        """Nothing to let go."""

    def _empty(self, continuation: str | None) -> Page | None:
        """Return an empty page to whoever was not told one just before."""
        if continuation in self._told_empty:
            self._told_empty.discard(continuation)
            return None
        again = continuation or pack_continuation(None, None)
        self._told_empty.add(again)
        return Page([], again)

    async def _arrive(self) -> None:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise StoreUnavailable("the table store did not answer; try again")

    async def _one(self, table: str, partition: str, write: Write) -> str:
        check_table_name(table)
        check_entity(partition, write.row, write.values)
        await self._arrive()
        return self._apply(table, partition, write) or ""

    def _apply(self, table: str, partition: str, write: Write) -> str | None:
        key = (table.lower(), partition, write.row)
        found = self.data.get(key)
        if write.action is Action.INSERT and found is not None:
            raise EntityExists(f"the row {write.row!r} exists already")
        if write.action in (Action.REPLACE, Action.DELETE) and (found is None or write.etag not in ("*", found.etag)):
            raise EntityChanged(f"the row {write.row!r} changed in between, or is not there any more")
        if write.action is Action.DELETE:
            del self.data[key]
            return None
        etag = str(next(self._etags))
        values = {name: _stored(value) for name, value in write.values.items()}
        self.data[key] = Entity(partition, write.row, values, etag)
        return etag


def _stored(value: Value) -> Value:
    plain = value.value if isinstance(value, enum.Enum) else value
    return plain.astimezone(dt.UTC) if isinstance(plain, dt.datetime) else plain
