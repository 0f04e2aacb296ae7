"""The rows of one scope as they stand in the table `limits`, read whole by whoever did not write them."""

import datetime
from collections.abc import Mapping

import msgspec

from gateway.domain.tables import Entity
from gateway.limits.ledger import Counter, read_counter
from gateway.limits.rows import LEASE, LIMITS, held_of, moment
from gateway.ports import Tables


class Lease(msgspec.Struct, frozen=True):
    """A holder's row: per counter what it has spent, and what it was granted and has not spent.

    Attributes:
        since: What was admitted before it belongs to an earlier lease of the same worker.
    """

    worker: str
    etag: str
    since: datetime.datetime
    expires: datetime.datetime
    held: Mapping[str, tuple[int, int]]

    def counters(self) -> list[Counter]:
        """Return the calendar counters that it has a share of."""
        return [counter for row in self.held if (counter := read_counter(row)).calendar]


def read_lease(entity: Entity) -> Lease:
    """Read a lease's row."""
    worker = entity.row.removeprefix(LEASE)
    return Lease(worker, entity.etag, moment(entity, "since"), moment(entity, "expires"), held_of(entity))


async def read_rows(tables: Tables, partition: str) -> dict[str, Entity]:
    """Return all rows of a scope by their keys; StoreUnavailable where the store does not answer."""
    rows: dict[str, Entity] = {}
    continuation: str | None = None
    while True:
        page = await tables.query(LIMITS, partition=partition, continuation=continuation)
        rows |= {entity.row: entity for entity in page.entities}
        continuation = page.continuation
        if continuation is None:
            return rows
