"""What was used, what it cost and what guardrails said, out of the ledger.

`GET /manage/usage`, `/manage/costs`, `/manage/usage/records` and `/manage/guardrails/report`.

A report reads the records of its span and sums while it reads: exact to the token and the micro-dollar, at the price of a scan.
"""

import asyncio
import datetime
import itertools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from gateway.domain.call import Operation
from gateway.domain.catalog import Catalog
from gateway.domain.ledger import USAGE, hour_of
from gateway.domain.tables import Entity, Value, pack_continuation, unpack_continuation
from gateway.errors import NotFound, RequestError
from gateway.metering import focus
from gateway.metering.guard_report import ASPECTS, VerdictSums, read_wanted
from gateway.metering.hours import hours_of
from gateway.metering.query import GROUPS, TAG, Query, read_query
from gateway.metering.records import Recorder
from gateway.metering.scan import scan
from gateway.metering.sums import Sums, Totals, idle_key_of
from gateway.ports import Clock, Tables

__all__ = ["GROUPS", "Reports"]

# A UUIDv7 begins with 48 bits of milliseconds; the year 2100 bounds what a made-up one can ask for.
_REQUEST_ID = re.compile(r"req_(0[0-3][0-9a-f]{10})7[0-9a-f]{19}\Z")
MAX_LISTED = 1000
_LAST_ROW = "~"
# Reports are read beside calls: calls have their turn every millisecond or so, and few reports are in memory at a time.
SUMMED_AT_ONCE = 200
SUMS_AT_ONCE = 2
# So many pages are looked through for one page of a list; what it has by then is answered, with the place to go on from.
PAGES_LOOKED_THROUGH = 50


class Reports:
    """Sums over the usage table, and its records.

    Args:
        tables: Where the records are.
        recorder: Flushed first, so that a reader sees this instance's own calls.
        clock: Says what "now" is where `to` is not given.
        catalog: Says where deployments are and whose, for FOCUS.
    """

    def __init__(self, tables: Tables, recorder: Recorder, clock: Clock, catalog: Callable[[], Awaitable[Catalog]]) -> None:
        self._tables = tables
        self._recorder = recorder
        self._clock = clock
        self._catalog = catalog
        self._summing = asyncio.Semaphore(SUMS_AT_ONCE)

    async def usage(self, query: Mapping[str, str], tenant: str | None = None) -> dict[str, Any]:
        """Return one row per value of `group_by` (and interval) over [from, to), ordered by them, and their total.

        Args:
            query: `group_by`, `interval`, `from`, `to` and filters: see `query.py`. The last 24 hours by default.
            tenant: The only one that may be seen; None for all.

        Raises:
            RequestError: A parameter is not understood (`param` names it), or there would be too many rows.
        """
        asked = read_query(query, self._clock.utc(), "model", tenant)
        sums = await self._sum(asked, Sums(asked))
        return _report(asked, sums, Totals.shown)

    async def costs(self, query: Mapping[str, str], tenant: str | None = None) -> dict[str, Any]:
        """Return the same, by tenant if nothing else is asked, and what it cost with provisioned hours divided among their users.

        Hours that nobody used are in rows of their own, `(idle)`, where nothing but a deployment is filtered by.
        """
        asked = read_query(query, self._clock.utc(), "tenant", tenant)
        hours = hours_of(asked, (await self._catalog()).deployments, self._clock.utc(), idle_key_of(asked))
        sums = await self._sum(asked, Sums(asked, hours=hours), everybody=hours is not None)
        return _report(asked, sums, Totals.shown_costs)

    async def focus(self, query: Mapping[str, str], tenant: str | None = None) -> bytes:
        """Return the costs as a CSV of FOCUS's columns (`focus.py`), a day per charge period unless `interval` says otherwise."""
        if query.get("group_by"):
            raise RequestError("'group_by' is not for format=csv: FOCUS has its own rows", param="group_by", code="invalid_value")
        asked = read_query({"interval": "day", **query}, self._clock.utc(), "tenant", tenant)
        if not asked.interval:
            raise RequestError("'interval' must be hour, day or month for format=csv", param="interval", code="invalid_value")
        deployments = (await self._catalog()).deployments
        hours = hours_of(asked, deployments, self._clock.utc(), focus.idle_key_of(asked))
        sums = await self._sum(asked, Sums(asked, focus.keys_of(asked), hours), everybody=hours is not None)
        return focus.render(asked.interval, sums.rows, deployments)

    async def guardrails(self, query: Mapping[str, str], tenant: str | None = None) -> dict[str, Any]:
        """Return guardrails' verdicts, summed, by guardrail and outcome if nothing else is asked (`guard_report.py`).

        Args:
            query: As for usage; `guard`, `outcome`, `category`, `severity`, `direction` and `label` group and filter too.
            tenant: The only one that may be seen; None for all.

        Raises:
            RequestError: A parameter is not understood (`param` names it), or there would be too many rows.
        """
        asked = read_query(query, self._clock.utc(), "guard,outcome", tenant, tuple(ASPECTS))
        sums = VerdictSums(asked, read_wanted(query))
        await self._read(asked, sums.add)
        return _framed(asked, sums.shown(), sums.total.shown()) | {"unreadable_records": sums.unreadable}

    async def record(self, request_id: str, tenant: str | None = None) -> dict[str, Any]:
        """Return one call's record, found by its `x-request-id`; NotFound where there is none (yet, or any more, or not of this tenant).

        The id holds the time at which the call arrived, and the record stands under the hour in which it ended: that one,
        or the next.
        """
        match = _REQUEST_ID.match(request_id)
        if match is None:
            raise NotFound(f"{request_id[:80]!r} is no request id; they look like req_ and 32 hex digits", code="record_not_found")
        await self._recorder.flush()
        arrived = datetime.datetime.fromtimestamp(int(match[1], 16) / 1000, datetime.UTC)
        below = hour_of(arrived + datetime.timedelta(hours=2))
        continuation: str | None = None
        while True:
            page = await self._tables.query(
                USAGE,
                partition_from=f"{hour_of(arrived)}|",
                partition_below=below,
                row_from=request_id,
                row_below=f"{request_id}~",
                continuation=continuation,
            )
            for entity in page.entities:
                if tenant in (None, entity.values["tenant"]):
                    return _shown(entity.values)
            continuation = page.continuation
            if continuation is None:
                raise NotFound(f"there is no record of the request {request_id}", code="record_not_found")

    async def records(self, query: Mapping[str, str], tenant: str | None = None) -> dict[str, Any]:
        """Return a page of records: of a session, a trace, a user …, by hour, then by tenant, then as they arrived.

        Args:
            query: Filters, `from` and `to` as for reports, `limit` (1 to 1000, default 100) and `after`. A page may have fewer
                than `limit` records although there are more: `after` says so.
            tenant: The only one that may be seen; None for all.

        Raises:
            RequestError: A parameter is not understood; `param` names it.
        """
        asked = read_query({name: value for name, value in query.items() if name != "group_by"}, self._clock.utc(), "model", tenant)
        limit = _limit(query.get("limit", "100"))
        await self._recorder.flush()
        place = _place(query.get("after"))
        low, high = f"{hour_of(asked.start)}|", f"{hour_of(asked.below)}|~"
        found: list[dict[str, Any]] = []
        for _ in range(PAGES_LOOKED_THROUGH):
            entities, place = await self._next(low, high, place)
            for entity in entities:
                if entity.values["operation"] != Operation.MANAGE.value and asked.counts(entity.values):
                    found.append(_shown(entity.values))
                    if len(found) == limit:
                        place = (entity.partition, entity.row)
                        break
            if place is None or len(found) == limit:
                break
            if asked.tenant is not None:
                place = _own_place(place, asked.tenant)
        after = pack_continuation(*place) if place is not None else None
        return {"object": "list", "data": found, "has_more": after is not None, "after": after}

    async def _sum(self, asked: Query, sums: Sums, *, everybody: bool = False) -> Sums:
        """Sum what is asked for; `everybody` reads all tenants' records, because an hour is divided among all."""
        await self._read(asked, sums.add, everybody=everybody)
        sums.divide()
        return sums

    async def _read(self, asked: Query, add: Callable[[Sequence[Entity]], None], *, everybody: bool = False) -> None:
        """Hand on the records that may be asked about."""
        await self._recorder.flush()
        async with self._summing:
            async for entities in scan(self._tables, asked.start, asked.below, None if everybody else asked.tenant):
                for some in itertools.batched(entities, SUMMED_AT_ONCE, strict=False):
                    add(some)
                    await asyncio.sleep(0)

    async def _next(self, low: str, high: str, place: tuple[str, str] | None) -> tuple[Sequence[Entity], tuple[str, str] | None]:
        """Return the page of [low, high) after a place, and the place at its end; None where there is nothing after it."""
        if place is not None:
            partition, row = place
            # Ids have one length, so that what comes after one with a "!" is another.
            rest, _ = await self._page(partition=partition, row_from=f"{row}!")
            if rest:
                return rest, (partition, rest[-1].row)
            low = f"{partition}!"
        if low >= high:
            return (), None
        entities, more = await self._page(partition_from=low, partition_below=high)
        return entities, (entities[-1].partition, entities[-1].row) if entities and more else None

    async def _page(self, **bounds: str) -> tuple[Sequence[Entity], bool]:
        """Return the first page that is not empty, and whether there may be more: a store may rest before it has found any."""
        continuation: str | None = None
        while True:
            page = await self._tables.query(USAGE, **bounds, continuation=continuation)  # type: ignore[arg-type]  # all are texts
            continuation = page.continuation
            if page.entities or continuation is None:
                return page.entities, continuation is not None


def _report(asked: Query, sums: Sums, show: Callable[[Totals], dict[str, Any]]) -> dict[str, Any]:
    return _framed(asked, sums.shown(show), show(sums.total))


def _framed(asked: Query, rows: list[dict[str, Any]], total: dict[str, Any]) -> dict[str, Any]:
    return {
        "object": "list",
        "group_by": ",".join(asked.groups),
        "interval": asked.interval or None,
        "from": asked.start.isoformat(),
        "to": asked.below.isoformat(),
        "rows_overlap": TAG in asked.groups,
        "data": rows,
        "total": total,
    }


def _shown(values: Mapping[str, Value]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime.datetime) else value for name, value in values.items()}


def _own_place(place: tuple[str, str], tenant: str) -> tuple[str, str]:
    """Return where the tenant's own records go on: no page token may name another's, and nobody's records lie between."""
    partition, hour = place[0], place[0].partition("|")[0]
    if partition.startswith(f"{hour}|{tenant}|"):
        return place
    if partition > f"{hour}|{tenant}|":
        hour = hour_of(datetime.datetime.fromisoformat(f"{hour}:00") + datetime.timedelta(hours=1))
    return f"{hour}|{tenant}|", _LAST_ROW


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LISTED):
        raise RequestError(f"'limit' must be from 1 to {MAX_LISTED}", param="limit", code="invalid_value")
    return int(text)


def _place(after: str | None) -> tuple[str, str] | None:
    if not after:
        return None
    try:
        partition, row = unpack_continuation(after)
    except RequestError as exc:
        raise _no_place() from exc
    if partition is None or row is None:
        raise _no_place()
    return partition, row


def _no_place() -> RequestError:
    return RequestError("'after' must be what the page before returned", param="after", code="invalid_value")
