"""The rows of one scope as they stand in the table `limits`, read for whoever did not write them. See `limiter.py` for the rows."""

import datetime
from collections.abc import Mapping

import msgspec

from gateway.domain.tables import Entity
from gateway.limits.ledger import Counter, read_counter
from gateway.ports import Tables

LIMITS = "limits"

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_HELD = msgspec.json.Decoder(dict[str, tuple[int, int]])


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


def read_lease(entity: Entity) -> Lease:
    """Read a lease's row."""
    values = entity.values
    since, expires = values.get("since", _NEVER), values["expires"]
    assert isinstance(since, datetime.datetime)
    assert isinstance(expires, datetime.datetime)  # the limiter writes nothing else
    return Lease(entity.row.removeprefix("l|"), entity.etag, since, expires, _HELD.decode(str(values["held"])))


def whole(entity: Entity, name: str) -> int:
    """Return a whole number of a row; 0 where it has none of that name."""
    value = entity.values.get(name, 0)
    return value if isinstance(value, int) else 0
