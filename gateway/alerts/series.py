"""What was spent, per five minutes and scope: summed from the ledger once, kept for the comparison with days before.

Table `series`:

    partition <kind>|<tenant>|<name>, row <yyyy-mm-dd>: cost (micro-USD) and tokens, JSON lists of a day's 288 sums; null where
        nobody has summed. Kinds: gateway, tenant, subscription; the gateway's own row says which buckets were summed at all.
    partition `ledger`, row `cursor`: until, the end of the last bucket that was summed

The ledger is the table `usage`, partitions `<yyyy-mm-ddThh>|<tenant>|<shard>`, rows `req_<UUIDv7 of the arrival>`. A record
stands under the hour in which its call ended, so a bucket is read by the arrivals of the quarter of an hour before its end.
Each bucket is summed twice, the second time five minutes later: what is written later still (a spool that is replayed after an
outage) counts in all reports, and is missing here. Summing again changes nothing: sums are written, not added.
"""

import datetime
import json
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from gateway.alerts.events import GATEWAY
from gateway.alerts.spikes import BUCKET_S, BUCKETS_PER_DAY, DAYS, SERIES
from gateway.domain.call import Operation
from gateway.domain.ledger import ANONYMOUS, USAGE, hour_of
from gateway.domain.tables import Action, Entity, EntityChanged, EntityExists, Value, Write
from gateway.ports import Tables

SERIES_TABLE = "series"
BUCKET = datetime.timedelta(seconds=BUCKET_S)
LONGEST_CALL = datetime.timedelta(minutes=15)
METRICS = ("cost", "tokens")
TRIES = 5
TOP = 3


class Of(msgspec.Struct, frozen=True, order=True):
    """Whose sums they are."""

    kind: str
    tenant: str = ""
    name: str = ""

    @property
    def partition(self) -> str:
        """Where they stand."""
        return f"{self.kind}|{self.tenant}|{self.name}"


TOTAL = Of(GATEWAY)


class Sums(msgspec.Struct):
    """What was spent in one bucket, and on which models most."""

    cost: int = 0
    tokens: int = 0
    models: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))

    def top(self) -> dict[str, int]:
        """Return the models with the highest costs, or tokens where nothing cost anything."""
        return dict(sorted(self.models.items(), key=lambda item: -item[1])[:TOP])


class Bucket(msgspec.Struct):
    """One read of the ledger.

    Attributes:
        sums: By scope; the gateway's own is always there.
        unpriced: Deployments whose answers had no price, with the request that showed it and whose it was.
    """

    start: datetime.datetime
    sums: dict[Of, Sums]
    unpriced: dict[str, tuple[str, str]]


def bucket_of(at: datetime.datetime) -> datetime.datetime:
    """Return the start of the bucket that a UTC time lies in."""
    return at.replace(minute=at.minute - at.minute % (BUCKET_S // 60), second=0, microsecond=0)


async def read_bucket(tables: Tables, start: datetime.datetime) -> Bucket:
    """Sum the records of the calls that ended in [start, start + 5 minutes); StoreUnavailable where the store does not answer.

    Records of callers that nobody knew are not read: they have spent nothing, and a flood of them must not keep this from the others.
    """
    bucket = Bucket(start, {TOTAL: Sums()}, {})
    hour, end = hour_of(start), start + BUCKET
    continuation: str | None = None
    while True:
        page = await tables.query(
            USAGE,
            partition_from=f"{hour}|{ANONYMOUS}|~",
            partition_below=f"{hour}|~",
            row_from=f"req_{_ms(start - LONGEST_CALL):012x}",
            row_below=f"req_{_ms(end) + 1000:012x}",
            continuation=continuation,
        )
        for entity in page.entities:
            at = entity.values.get("at")
            if isinstance(at, datetime.datetime) and start <= at < end and entity.values.get("operation") != Operation.MANAGE.value:
                _add(bucket, entity)
        continuation = page.continuation
        if continuation is None:
            return bucket


def _add(bucket: Bucket, entity: Entity) -> None:
    values = entity.values
    cost, tokens = _whole(values, "cost_micro_usd"), _whole(values, "prompt_tokens") + _whole(values, "completion_tokens")
    tenant, subscription, deployment = (str(values.get(name, "")) for name in ("tenant", "subscription", "deployment"))
    if values.get("unpriced") and deployment:
        bucket.unpriced.setdefault(deployment, (entity.row, str(values.get("model", ""))))
    if not cost and not tokens:
        return
    scopes = [TOTAL, Of("tenant", tenant)]
    if subscription:
        scopes.append(Of("subscription", tenant, subscription))
    for scope in scopes:
        sums = bucket.sums.setdefault(scope, Sums())
        sums.cost += cost
        sums.tokens += tokens
        sums.models[str(values.get("model", ""))] += cost or tokens


class SeriesStore:
    """The table of sums."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def until(self) -> datetime.datetime | None:
        """Return the end of the last bucket that was summed; None before the first."""
        row = await self._tables.get(SERIES_TABLE, "ledger", "cursor")
        until = row.values["until"] if row is not None else None
        return until if isinstance(until, datetime.datetime) else None

    async def move(self, until: datetime.datetime) -> None:
        """Note that everything before it was summed."""
        await self._tables.upsert(SERIES_TABLE, "ledger", "cursor", {"until": until})

    async def write(self, bucket: Bucket) -> None:
        """Write a bucket's sums into the days of its scopes."""
        for scope, sums in bucket.sums.items():
            await self._write(scope, bucket.start, sums)

    async def _write(self, scope: Of, start: datetime.datetime, sums: Sums) -> None:
        day, index = start.date().isoformat(), _index(start)
        for _ in range(TRIES):
            row = await self._tables.get(SERIES_TABLE, scope.partition, day)
            values: dict[str, Value] = {}
            for metric in METRICS:
                amounts = _day(row, metric)
                amounts[index] = getattr(sums, metric)
                values[metric] = json.dumps(amounts, separators=(",", ":"))
            write = Write(Action.INSERT if row is None else Action.REPLACE, day, values, None if row is None else row.etag)
            try:
                await self._tables.transact(SERIES_TABLE, scope.partition, [write])
            except (EntityChanged, EntityExists):
                continue  # another run sums at the same time: the same sums
            return

    async def history(self, scope: Of, start: datetime.datetime) -> dict[str, list[int | None]]:
        """Return the scope's series by metric: `SERIES` sums, the last of them the bucket that begins at `start`.

        Where the gateway was summed and the scope was not, it had spent nothing: from its first day on.
        """
        days = [start.date() - datetime.timedelta(days=number) for number in range(DAYS + 1, -1, -1)]
        own, total = [await self._days(of, days) for of in (scope, TOTAL)]
        first = min(own, default="")
        found: dict[str, list[int | None]] = {}
        for metric in METRICS:
            series: list[int | None] = []
            for day in (each.isoformat() for each in days):
                known = _day(total.get(day), metric)
                mine = _day(own.get(day), metric)
                old_enough = bool(first) and day >= first
                series += [
                    amount if amount is not None else 0 if old_enough and summed is not None else None
                    for amount, summed in zip(mine, known, strict=True)
                ]
            ended = len(series) - BUCKETS_PER_DAY + _index(start) + 1
            found[metric] = series[max(ended - SERIES, 0) : ended]
        return found

    async def _days(self, scope: Of, days: list[datetime.date]) -> Mapping[str, Entity]:
        page = await self._tables.query(
            SERIES_TABLE, partition=scope.partition, row_from=days[0].isoformat(), row_below=f"{days[-1].isoformat()}~"
        )
        return {entity.row: entity for entity in page.entities}

    async def prune(self, today: datetime.date) -> int:
        """Delete up to 1000 days that no comparison needs any more."""
        below = (today - datetime.timedelta(days=DAYS + 2)).isoformat()
        page = await self._tables.query(SERIES_TABLE, row_from="0", row_below=below)
        for entity in page.entities:
            await self._tables.delete(SERIES_TABLE, entity.partition, entity.row)
        return len(page.entities)


def _day(row: Entity | None, metric: str) -> list[int | None]:
    if row is None:
        return [None] * BUCKETS_PER_DAY
    amounts: list[int | None] = json.loads(str(row.values[metric]))
    return amounts


def _index(start: datetime.datetime) -> int:
    return (start.hour * 3600 + start.minute * 60) // BUCKET_S


def _ms(at: datetime.datetime) -> int:
    return max(int(at.timestamp() * 1000), 0)


def _whole(values: Mapping[str, Value], name: str) -> int:
    value = values.get(name, 0)
    return value if isinstance(value, int) else 0
