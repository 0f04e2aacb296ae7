"""Reads the ledger as it grows, and tells of spikes and of answers without a price.

A run takes the buckets of five minutes that have ended since the last one, sums each, and compares it with the scope's days
before (`spikes.py`). The narrowest scope that shows a spike is named: what spikes in a subscription is not told of its tenant
and of the gateway again. A spike is told once; that it lasts is kept in table `series`, partition `spikes`, row = scope.

Rules: an alert is kept first, and then what is known of it is written: a run that was killed in between finds the same again,
under the same id. A run that comes late goes back `CATCH_UP` at most; what lies before stays unsummed, and unknown.
"""

import datetime
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.alerts.events import Alert, Kind, alert_id, dollars, subject_of
from gateway.alerts.outbox import Outbox
from gateway.alerts.series import BUCKET, SERIES_TABLE, Bucket, Of, SeriesStore, Sums, bucket_of, read_bucket
from gateway.alerts.spikes import BUCKET_S, Lasting, Verdict, judge
from gateway.domain.tables import EntityChanged, Value
from gateway.ports import Clock, Tables

log = logging.getLogger(__name__)

SETTLING = datetime.timedelta(seconds=20)  # until a bucket's records are written
CATCH_UP = datetime.timedelta(hours=2)
SPIKES = "spikes"
LEAST = {"cost": 250_000, "tokens": 100_000}  # of a bucket: micro-USD, tokens
_NARROWEST_FIRST = ("subscription", "tenant", "gateway")


class _Known(msgspec.Struct, frozen=True):
    """A spike that lasts: which sums showed it, and the start of the last bucket that was looked at."""

    metric: str
    seen: datetime.datetime
    lasting: Lasting


class Watch:
    """Watches the ledger.

    Args:
        tables: Where it is.
        outbox: What keeps alerts until they are told.
        clock: The time.
    """

    def __init__(self, tables: Tables, outbox: Outbox, clock: Clock) -> None:
        self._tables = tables
        self._series = SeriesStore(tables)
        self._outbox = outbox
        self._clock = clock
        self._told_unpriced: set[str] = set()

    async def run(self) -> int:
        """Look at what is new; returns how many buckets that was. StoreUnavailable leaves the rest to the next run."""
        below = bucket_of(self._clock.utc() - SETTLING)
        start = await self._series.until() or below - BUCKET
        start = max(start, bucket_of(below - CATCH_UP))
        if start >= below:
            return 0
        await self._sum(start - BUCKET)  # once more, for what came late
        seen = 0
        while start < below:
            bucket = await self._sum(start)
            await self._find_spikes(bucket)
            await self._find_unpriced(bucket)
            start += BUCKET
            await self._series.move(start)
            seen += 1
        return seen

    async def prune(self) -> None:
        """Delete sums that are too old for any comparison."""
        await self._series.prune(self._clock.utc().date())

    async def _sum(self, start: datetime.datetime) -> Bucket:
        bucket = await read_bucket(self._tables, start)
        await self._series.write(bucket)
        return bucket

    async def _find_spikes(self, bucket: Bucket) -> None:
        lasting = await self._lasting()
        loud = {scope for scope, sums in bucket.sums.items() if any(getattr(sums, metric) > least for metric, least in LEAST.items())}
        explained: set[Of] = set()
        for scope in sorted(loud | lasting.keys(), key=lambda each: (_NARROWEST_FIRST.index(each.kind), each)):
            known = lasting.get(scope)
            if known is not None:
                spiking = await self._go_on(scope, known, bucket)
            else:
                spiking = await self._begin(scope, bucket, quietly=scope in explained)
            if spiking:
                explained |= {Of("tenant", scope.tenant), Of("gateway")}

    async def _begin(self, scope: Of, bucket: Bucket, *, quietly: bool) -> bool:
        history = await self._series.history(scope, bucket.start)
        verdicts = {metric: judge(history[metric], least) for metric, least in LEAST.items()}
        found = {metric: verdict for metric, verdict in verdicts.items() if verdict is not None and verdict.spike}
        if not found:
            return False
        if not quietly:
            await self._outbox.add(_spike(scope, bucket, found))
        metric, verdict = next(iter(found.items()))
        await self._keep(scope, _Known(metric, bucket.start, Lasting(verdict.level)))
        return True

    async def _go_on(self, scope: Of, known: _Known, bucket: Bucket) -> bool:
        if known.seen == bucket.start:  # by a run that was killed after it
            return True
        metric = known.metric
        after = known.lasting.after(getattr(bucket.sums.get(scope, Sums()), metric), LEAST[metric])
        if after is not None:
            await self._keep(scope, _Known(metric, bucket.start, after))
            return True
        try:
            await self._tables.delete(SERIES_TABLE, SPIKES, scope.partition)
        except EntityChanged:
            log.debug("the end of the spike of %s was noted already", scope.partition)
        return False

    async def _keep(self, scope: Of, known: _Known) -> None:
        values = {"metric": known.metric, "seen": known.seen, **msgspec.structs.asdict(known.lasting)}
        await self._tables.upsert(SERIES_TABLE, SPIKES, scope.partition, values)

    async def _lasting(self) -> dict[Of, _Known]:
        page = await self._tables.query(SERIES_TABLE, partition=SPIKES)
        return {Of(*entity.row.split("|")): _known(entity.values) for entity in page.entities}

    async def _find_unpriced(self, bucket: Bucket) -> None:
        day = bucket.start.date().isoformat()
        self._told_unpriced = {each for each in self._told_unpriced if each.startswith(day)}
        for deployment, (request_id, model) in bucket.unpriced.items():
            if f"{day}|{deployment}" not in self._told_unpriced:
                await self._outbox.add(_unpriced(deployment, bucket.start, request_id, model))
                self._told_unpriced.add(f"{day}|{deployment}")


def _known(values: Mapping[str, Value]) -> _Known:
    return _Known(str(values["metric"]), msgspec.convert(values["seen"], datetime.datetime), msgspec.convert(values, Lasting))


def _spike(scope: Of, bucket: Bucket, found: Mapping[str, Verdict]) -> Alert:
    sums = bucket.sums.get(scope, Sums())
    at = bucket.start + BUCKET
    data: dict[str, Any] = {
        "scope": scope.kind,
        "tenant": scope.tenant or None,
        "name": scope.name or None,
        "from": bucket.start,
        "seconds": BUCKET_S,
        "by": list(found),
        "cost_usd": dollars(sums.cost),
        "tokens": sums.tokens,
        "models": list(sums.top()),
    }
    if "cost" in found:
        data["expected_cost_usd"] = dollars(found["cost"].level)
    if "tokens" in found:
        data["expected_tokens"] = found["tokens"].level
    subject = subject_of(scope.kind, scope.tenant, scope.name)
    return Alert(alert_id(at, Kind.SPIKE, scope.partition), Kind.SPIKE, subject, scope.tenant, at, data)


def _unpriced(deployment: str, start: datetime.datetime, request_id: str, model: str) -> Alert:
    """Return the day's one alert of a deployment; its id is of the day, so that no other process tells it again."""
    day = start.replace(hour=0, minute=0)
    data = {"deployment": deployment, "model": model, "day": day.date().isoformat(), "request_id": request_id}
    return Alert(alert_id(day, Kind.UNPRICED, deployment), Kind.UNPRICED, subject_of("deployment", deployment), "", start + BUCKET, data)
