"""The ledger, read page by page: a span's records, some partitions at a time, so that the store's answers overlap."""

import asyncio
import datetime
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence

from gateway.domain.ledger import USAGE, hour_of
from gateway.domain.tables import Entity
from gateway.ports import Tables

AT_ONCE = 8  # pages in memory, 1,000 records each
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
# Beyond so many pieces the span is read as one: most of it can only be empty.
MAX_PIECES = 1500


async def scan(tables: Tables, start: datetime.datetime, below: datetime.datetime, tenant: str | None) -> AsyncIterator[Sequence[Entity]]:
    """Iterate over the pages that may hold records of [start, below), ordered by hour where a tenant is given, else by day.

    Args:
        tables: The store.
        start: In UTC; records before it, in its hour, are among those returned.
        below: In UTC; likewise for those after it.
        tenant: Whose records; None for all.
    """
    for some in itertools.batched(_ranges(start, below, tenant), AT_ONCE, strict=False):
        open_ranges: list[tuple[str, str, str | None]] = [(low, high, None) for low, high in some]
        while open_ranges:
            pages = await asyncio.gather(
                *(
                    tables.query(USAGE, partition_from=low, partition_below=high, continuation=continuation)
                    for low, high, continuation in open_ranges
                )
            )
            for page in pages:
                yield page.entities
            open_ranges = [
                (low, high, page.continuation)
                for (low, high, _), page in zip(open_ranges, pages, strict=True)
                if page.continuation is not None
            ]


def _ranges(start: datetime.datetime, below: datetime.datetime, tenant: str | None) -> Iterator[tuple[str, str]]:
    """Return ranges of partitions: an hour of one tenant's, or a day of everybody's."""
    step = DAY if tenant is None else HOUR
    if start < below and (below - start) / step > MAX_PIECES:
        yield f"{hour_of(start)}|", f"{hour_of(below)}|~"
        return
    at = start.replace(minute=0, second=0, microsecond=0)
    while start < below:
        ends = below - at <= step  # asked this way round, because nothing can be added to the last hour of time
        if tenant is not None:
            yield f"{hour_of(at)}|{tenant}|", f"{hour_of(at)}|{tenant}|~"
        else:
            yield f"{hour_of(at)}|", f"{hour_of(below)}|~" if ends else f"{hour_of(at + step)}|"
        if ends:
            return
        at += step
