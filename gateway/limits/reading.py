"""Reads what an exchange needs of a scope: the counters that are asked for, and all leases."""

import asyncio
from collections.abc import Set as AbstractSet

from gateway.domain.tables import Entity
from gateway.errors import StoreUnavailable
from gateway.limits.exchange import Rows
from gateway.limits.rows import COUNTER, LEASE, LIMITS
from gateway.ports import Tables

CROWDED = 60  # rows of a scope beyond which each counter is read by itself
_BEYOND_LEASES = "m"


class Reader:
    """Of one scope.

    Args:
        tables: Where it is.
        partition: Its.
        lease: This worker's row.
    """

    def __init__(self, tables: Tables, partition: str, lease: str) -> None:
        self._tables = tables
        self._partition = partition
        self._lease = lease
        self._crowded = False

    async def read(self, asked: AbstractSet[str]) -> Rows:
        """Read these counters and all leases: in one query, or where history has made that long, row by row.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        if not self._crowded:
            entities = await self._query(COUNTER)
            self._crowded = len(entities) > CROWDED
        else:
            found = await asyncio.gather(*(self._tables.get(LIMITS, self._partition, row) for row in sorted(asked)))
            entities = [entity for entity in found if entity is not None] + await self._query(LEASE)
        return Rows(
            {entity.row: entity for entity in entities if entity.row in asked},
            {entity.row: entity for entity in entities if entity.row.startswith(LEASE)},
        )

    async def answers(self) -> bool:
        """Tell whether the store can be asked what became of a write."""
        try:
            await self._tables.get(LIMITS, self._partition, self._lease)
        except StoreUnavailable:
            return False
        return True

    async def _query(self, row_from: str) -> list[Entity]:
        entities: list[Entity] = []
        continuation: str | None = None
        while True:
            page = await self._tables.query(
                LIMITS, partition=self._partition, row_from=row_from, row_below=_BEYOND_LEASES, continuation=continuation
            )
            entities += page.entities
            continuation = page.continuation
            if continuation is None:
                return entities
