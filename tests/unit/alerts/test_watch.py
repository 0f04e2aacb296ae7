"""The ledger is read once, as it grows; a spike in it is told once, of the narrowest scope that shows it."""

import datetime
import json
import random
from typing import Any

import pytest

from gateway.alerts.outbox import Outbox
from gateway.alerts.series import BUCKET, Of, SeriesStore, Sums, read_bucket
from gateway.alerts.series import Bucket as Read
from gateway.alerts.spikes import SERIES
from gateway.alerts.watch import Watch
from gateway.domain.ids import uuid7_hex
from gateway.domain.ledger import ANONYMOUS, USAGE
from gateway.errors import StoreUnavailable
from gateway.metering import records
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

MINUTE = datetime.timedelta(minutes=1)
NIGHT = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
SUB = Of("subscription", "contoso", "sub_1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NIGHT)


@pytest.fixture
def watch(tables: FakeTables, outbox: Outbox, clock: FakeClock) -> Watch:
    return Watch(tables, outbox, clock)


async def record(tables: FakeTables, at: datetime.datetime, took: datetime.timedelta = MINUTE / 60, **over: Any) -> str:
    """Write one usage record of a call that ended then."""
    row = f"req_{uuid7_hex((at - took).timestamp())}"
    values: dict[str, Any] = {
        "at": at,
        "tenant": "contoso",
        "subscription": "sub_1",
        "operation": "chat",
        "model": "gpt-4o",
        "deployment": "gpt-4o-eastus",
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cost_micro_usd": 1000,
        "status": 200,
    }
    values |= over
    shard = random.choice("0123456789abcdef")
    await tables.insert(USAGE, f"{records.hour_of(at)}|{values['tenant']}|{shard}", row, values)
    return row


def alerts(tables: FakeTables, kind: str) -> list[dict[str, Any]]:
    rows = [dict(row.values) for row in tables.rows("alerts") if row.row.startswith("e|") and row.values["kind"] == kind]
    return [row | {"data": json.loads(row["data"])} for row in rows]


async def test_sums_a_bucket_by_scope(tables: FakeTables) -> None:
    await record(tables, NIGHT)
    await record(tables, NIGHT + 5 * MINUTE - datetime.timedelta(milliseconds=1), took=14 * MINUTE)
    await record(tables, NIGHT + MINUTE, tenant="fabrikam", subscription="sub_2", cost_micro_usd=7)
    await record(tables, NIGHT + MINUTE, tenant="-", subscription="", cost_micro_usd=0, prompt_tokens=0, completion_tokens=0)
    await record(tables, NIGHT + MINUTE, operation="manage")
    for outside in (NIGHT - datetime.timedelta(milliseconds=1), NIGHT + 5 * MINUTE):
        await record(tables, outside)
    found = (await read_bucket(tables, NIGHT)).sums
    assert {scope.partition: (sums.cost, sums.tokens) for scope, sums in found.items()} == {
        "gateway||": (2007, 450),
        "tenant|contoso|": (2000, 300),
        "subscription|contoso|sub_1": (2000, 300),
        "tenant|fabrikam|": (7, 150),
        "subscription|fabrikam|sub_2": (7, 150),
    }


@pytest.mark.parametrize("minute", [0, 5, 30, 55])
async def test_calls_that_began_in_the_hour_before_are_in_their_bucket(tables: FakeTables, minute: int) -> None:
    start = NIGHT + minute * MINUTE
    await record(tables, start + MINUTE, took=10 * MINUTE)
    assert (await read_bucket(tables, start)).sums[SUB].cost == 1000


async def test_a_flood_of_unknown_callers_is_not_read(tables: FakeTables) -> None:
    for _ in range(1100):
        await record(tables, NIGHT, tenant=ANONYMOUS, subscription="", cost_micro_usd=0, prompt_tokens=0, completion_tokens=0)
    await record(tables, NIGHT)
    before = tables.calls
    found = (await read_bucket(tables, NIGHT)).sums
    assert (tables.calls - before, found[SUB].cost) == (1, 1000)


async def test_a_run_reads_what_is_new_and_one_bucket_more(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    clock.advance(3600)
    assert [await watch.run(), await watch.run()] == [1, 0]
    clock.advance(900)
    assert [await watch.run(), await watch.run()] == [3, 0]


async def test_what_is_written_late_is_summed_by_the_next_run(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    clock.advance(330)
    await watch.run()
    await record(tables, NIGHT + MINUTE)
    clock.advance(300)
    await watch.run()
    history = await SeriesStore(tables).history(SUB, NIGHT + 5 * MINUTE)
    assert history["cost"][-2:] == [1000, 0]


async def test_a_watch_that_was_away_goes_back_two_hours_and_knows_nothing_of_what_was_before(
    tables: FakeTables, watch: Watch, clock: FakeClock
) -> None:
    clock.advance(330)
    await watch.run()
    clock.advance(5 * 3600)
    assert await watch.run() == 24
    series = (await SeriesStore(tables).history(Of("gateway"), NIGHT + datetime.timedelta(hours=5)))["cost"]
    assert series[-26:-24] == [None, 0]  # summed once more with the first
    assert series.count(None) == SERIES - 25 - 2


async def test_history_is_the_last_week_in_order(tables: FakeTables) -> None:
    store = SeriesStore(tables)
    start = NIGHT + datetime.timedelta(hours=7)
    for number in range(9 * 24):  # one bucket each hour, of nine days
        at = start - number * datetime.timedelta(hours=1)
        await store.write(Read(at, {Of("gateway"): Sums(number, 0), SUB: Sums(number, 1)}, {}))
    series = (await store.history(SUB, start))["cost"]
    assert len(series) == SERIES
    assert series[-1::-12][: 7 * 24] == list(range(7 * 24))
    assert {each for index, each in enumerate(reversed(series)) if index % 12} == {None}


async def test_a_scope_that_spent_nothing_has_zeros_from_its_first_day_on(tables: FakeTables) -> None:
    store = SeriesStore(tables)
    day = datetime.timedelta(days=1)
    for number in range(4):
        await store.write(Read(NIGHT - number * day, {Of("gateway"): Sums(5, 5)}, {}))
    await store.write(Read(NIGHT - 2 * day, {SUB: Sums(3, 3)}, {}))
    series = (await store.history(SUB, NIGHT))["cost"]
    assert [series[-1 - number * 288] for number in range(4)] == [0, 0, 3, None]


async def history_of(tables: FakeTables, before: datetime.datetime, days: int = 8, cost: int = 1_000_000) -> None:
    """Write sums of quiet days without the records that they would come from."""
    rng, store = random.Random(3), SeriesStore(tables)
    first = before - datetime.timedelta(days=days)
    day = first.replace(hour=0)
    while day <= before:
        for scope in (Of("gateway"), Of("tenant", "contoso"), SUB):
            amounts = [round(cost * rng.uniform(0.9, 1.1)) if first <= day + index * BUCKET < before else None for index in range(288)]
            values = {"cost": json.dumps(amounts), "tokens": json.dumps([None if each is None else 150 for each in amounts])}
            await tables.upsert("series", scope.partition, day.date().isoformat(), values)
        day += datetime.timedelta(days=1)
    await store.move(before)


async def test_a_spike_is_told_once_of_the_narrowest_scope(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    await history_of(tables, NIGHT)
    for minute in range(20):
        await record(tables, NIGHT + minute * MINUTE, cost_micro_usd=1_200_000)  # 6 a bucket instead of 1
    for _ in range(22):
        clock.advance(60)
        await watch.run()
    (told,) = alerts(tables, "gateway.cost.spike")
    assert (told["subject"], told["tenant"]) == ("subscription/contoso/sub_1", "contoso")
    assert told["data"]["cost_usd"] == 6.0
    assert 0.9 < told["data"]["expected_cost_usd"] < 1.2
    assert (told["data"]["by"], told["data"]["models"]) == (["cost"], ["gpt-4o"])


async def test_a_spike_over_many_subscriptions_is_told_of_their_tenant(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    await history_of(tables, NIGHT)
    for minute in range(20):
        for number in range(12):
            await record(tables, NIGHT + minute * MINUTE, cost_micro_usd=100_000, subscription=f"new_{number}")
    for _ in range(22):
        clock.advance(60)
        await watch.run()
    assert [each["subject"] for each in alerts(tables, "gateway.cost.spike")] == ["tenant/contoso"]


async def test_quiet_days_are_quiet(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    await history_of(tables, NIGHT)
    for minute in range(60):
        await record(tables, NIGHT + minute * MINUTE, cost_micro_usd=200_000)
    for _ in range(60):
        clock.advance(60)
        await watch.run()
    assert alerts(tables, "gateway.cost.spike") == []


async def test_a_spike_of_tokens_without_a_price_is_one_too(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    await history_of(tables, NIGHT, cost=0)
    for minute in range(20):
        await record(tables, NIGHT + minute * MINUTE, cost_micro_usd=0, prompt_tokens=100_000)
    clock.advance(22 * 60)
    await watch.run()
    (told,) = alerts(tables, "gateway.cost.spike")
    assert told["data"]["by"] == ["tokens"]


async def test_after_its_end_the_next_spike_is_told(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    await history_of(tables, NIGHT)
    for minute in range(120):
        high = minute < 15 or 90 <= minute < 105
        await record(tables, NIGHT + minute * MINUTE, cost_micro_usd=1_500_000 if high else 200_000)
    for _ in range(122):
        clock.advance(60)
        await watch.run()
    assert len(alerts(tables, "gateway.cost.spike")) == 2


async def test_a_watch_that_dies_at_any_call_finds_the_same(clock: FakeClock) -> None:
    known: list[Any] = []
    for failing in (0, *range(1, 60)):
        tables = _Failing(failing)
        tables.calls = -(10**6)
        clock = FakeClock(NIGHT)
        await history_of(tables, NIGHT)
        for minute in range(15):
            await record(tables, NIGHT + minute * MINUTE, cost_micro_usd=1_200_000)
        clock.advance(16 * 60)
        tables.calls = 0
        try:
            await Watch(tables, Outbox(tables, clock, []), clock).run()
        except StoreUnavailable:
            await Watch(tables, Outbox(tables, clock, []), clock).run()
        assert len(alerts(tables, "gateway.cost.spike")) == 1, failing
        lasting = [(row.row, dict(row.values)) for row in tables.rows("series") if row.partition == "spikes"]
        known = known or lasting
        assert lasting == known, failing
    assert SUB.partition in [row for row, _ in known]


class _Failing(FakeTables):
    """Does not answer at one call."""

    def __init__(self, failing: int) -> None:
        super().__init__()
        self._failing = failing

    async def _arrive(self) -> None:
        self.calls += 1
        if self.calls == self._failing:
            raise StoreUnavailable("nobody there")


async def test_an_answer_without_a_price_is_told_once_a_day_and_deployment(tables: FakeTables, outbox: Outbox, clock: FakeClock) -> None:
    first = await record(tables, NIGHT + MINUTE, unpriced=True, cost_micro_usd=0)
    for minute in range(2, 60):
        await record(tables, NIGHT + minute * MINUTE, unpriced=True, deployment=f"one-of-{minute % 2}")
    await record(tables, NIGHT + MINUTE, unpriced=True, deployment="")
    for _ in range(13):
        clock.advance(300)
        await Watch(tables, outbox, clock).run()  # another process each time
    told = alerts(tables, "gateway.price.missing")
    assert sorted(each["subject"] for each in told) == ["deployment/gpt-4o-eastus", "deployment/one-of-0", "deployment/one-of-1"]
    assert [each["data"]["request_id"] for each in told if each["subject"] == "deployment/gpt-4o-eastus"] == [first]
    await record(tables, NIGHT + datetime.timedelta(days=1), unpriced=True)
    clock.advance(24 * 3600)
    await Watch(tables, outbox, clock).run()
    assert len(alerts(tables, "gateway.price.missing")) == 4


async def test_old_sums_go(tables: FakeTables, watch: Watch, clock: FakeClock) -> None:
    await history_of(tables, NIGHT, days=20)
    await watch.prune()
    days = sorted({row.row for row in tables.rows("series") if row.partition == "gateway||"})
    assert (days[0], days[-1]) == ("2026-11-14", "2026-11-23")
    assert await SeriesStore(tables).until() == NIGHT
