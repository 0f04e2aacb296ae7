"""What dead holders held comes back as far as the ledger proves it unspent; counters are proved; old rows go."""

import datetime
import json

import pytest

from gateway.domain.amounts import Amounts
from gateway.domain.limits import Metric
from gateway.domain.tables import EntityChanged, Value
from gateway.errors import NotFound, StoreUnavailable
from gateway.limits.ledger import Charge, read_counter, start_of
from gateway.limits.proof import Prover
from gateway.limits.reconcile import GRACE, KEEP, Reconciler
from gateway.limits.scopes import partitions_of
from gateway.limits.windows import end_of, window_of
from gateway.metering.draft import Draft
from gateway.metering.records import Recorder, finish
from tests.builders import make_inbound, make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
SUBSCRIPTION = "subscription|contoso|sub_1"
MONTH, DAY, RATE, BUSY = "c|tokens.month|2026-11", "c|requests.day|2026-11-22", "c|requests.minute|", "c|concurrency.now|"


@pytest.fixture
def clock():
    return FakeClock(NOON)


@pytest.fixture
def tables():
    return FakeTables()


@pytest.fixture
def reconciler(tables, clock):
    return Reconciler(tables, clock)


@pytest.fixture
def prover(tables, clock):
    return Prover(tables, clock)


async def counter(tables: FakeTables, row: str, partition: str = SUBSCRIPTION, **values: Value) -> None:
    await tables.upsert("limits", partition, row, {"spent": 0, "out": 0, **values})


async def lease(tables: FakeTables, worker: str, held: dict[str, list[int]], partition: str = SUBSCRIPTION, **over: Value) -> None:
    values = {"held": json.dumps(held), "seq": 3, "since": NOON - datetime.timedelta(hours=1), "expires": NOON, **over}
    await tables.upsert("limits", partition, f"l|{worker}", values)


async def record(tables: FakeTables, worker: str, amounts: Amounts, at: datetime.datetime = NOON, user: str = "", **principal: str) -> None:
    """Let the recorder write it: the ledger's shape is its business."""
    draft = Draft(make_inbound(headers={"x-gateway-user": user} if user else {}, request_id=f"req_{len(tables.data)}"))
    draft.principal = make_principal(**principal)
    draft.admitted_at, draft.charged, draft.worker = at, amounts, worker
    recorder = Recorder(tables, FakeClock(at))
    recorder.add(finish(draft, 0.0, at + datetime.timedelta(seconds=20)))
    await recorder.close()


def row(tables: FakeTables, key: str, partition: str = SUBSCRIPTION) -> dict[str, Value] | None:
    found = tables.data.get(("limits", partition, key))
    return None if found is None else dict(found.values)


async def test_what_a_dead_holder_held_comes_back_but_for_what_the_ledger_shows(tables, clock, reconciler):
    await counter(tables, MONTH, spent=500, out=300)
    await counter(tables, DAY, spent=7, out=4)
    await lease(tables, "dead", {MONTH: [120, 200], DAY: [2, 4]})
    await record(tables, "dead", Amounts(1, 100, 50))
    await record(tables, "dead", Amounts(1, 10, 5))
    await record(tables, "other", Amounts(1, 1000, 1000))
    clock.advance(GRACE.total_seconds() + 1)
    (told,) = await reconciler.reconcile(SUBSCRIPTION)
    assert row(tables, MONTH) == {"spent": 500 - 120 + 165, "out": 100}
    assert row(tables, DAY) == {"spent": 7, "out": 0}
    assert row(tables, "l|dead") is None
    assert told.given_back == {MONTH: 200 - 45, DAY: 4}
    assert await reconciler.reconcile(SUBSCRIPTION) == []


async def test_before_its_grace_is_over_a_lease_is_left_alone(tables, clock, reconciler):
    await counter(tables, MONTH, spent=10, out=300)
    await lease(tables, "quiet", {MONTH: [10, 300]})
    clock.advance(GRACE.total_seconds())
    assert await reconciler.reconcile(SUBSCRIPTION) == []
    assert row(tables, MONTH) == {"spent": 10, "out": 300}


async def test_a_call_counts_in_the_window_in_which_it_was_admitted(tables, clock, reconciler):
    before, midnight = NOON.replace(month=10, day=31, hour=23, minute=59), NOON.replace(day=1, hour=0)
    october = "c|tokens.month|2026-10"
    await counter(tables, october, spent=100, out=100)
    await counter(tables, MONTH, spent=100, out=100)
    await lease(tables, "dead", {october: [100, 100], MONTH: [100, 100]}, since=before - datetime.timedelta(minutes=5))
    await record(tables, "dead", Amounts(1, 30, 0), before)
    await record(tables, "dead", Amounts(1, 7, 0), midnight)
    clock.advance(GRACE.total_seconds() + 1)
    await reconciler.reconcile(SUBSCRIPTION)
    assert row(tables, october) == {"spent": 30, "out": 0}
    assert row(tables, MONTH) == {"spent": 7, "out": 0}


async def test_what_a_worker_spent_under_an_earlier_lease_is_not_taken_for_this_one(tables, clock, reconciler):
    await counter(tables, MONTH, spent=1000 + 40, out=60)
    await lease(tables, "back", {MONTH: [40, 60]}, since=NOON)
    await record(tables, "back", Amounts(1, 1000, 0), NOON - datetime.timedelta(hours=2))
    await record(tables, "back", Amounts(1, 40, 0), NOON)
    clock.advance(GRACE.total_seconds() + 1)
    await reconciler.reconcile(SUBSCRIPTION)
    assert row(tables, MONTH) == {"spent": 1040, "out": 0}


async def test_rates_and_concurrency_are_dropped_with_their_holder(tables, clock, reconciler):
    await counter(tables, RATE, slots="[]", out=9)
    await counter(tables, BUSY, out=3)
    await lease(tables, "dead", {RATE: [0, 5], BUSY: [0, 2]})
    clock.advance(GRACE.total_seconds() + 1)
    await reconciler.reconcile(SUBSCRIPTION)
    assert row(tables, RATE)["out"] == 4
    assert row(tables, BUSY)["out"] == 1


@pytest.mark.parametrize("level", range(5))
async def test_every_level_finds_its_calls_in_the_ledger(tables, clock, reconciler, level):
    mine = partitions_of("contoso", "starter", "sub_1", "alice")[level]
    await counter(tables, MONTH, mine, spent=0, out=100)
    await lease(tables, "dead", {MONTH: [0, 100]}, mine)
    calls = [
        {"user": "alice"},
        {"user": "bob"},
        {"user": "alice", "subscription": "sub_2"},
        {"user": "alice", "subscription": "sub_3", "product": "pro"},
        {"user": "alice", "subscription": "sub_1", "tenant": "fabrikam"},
    ]
    for number, call in enumerate(calls):
        await record(tables, "dead", Amounts(1, 10**number, 0), **call)
    clock.advance(GRACE.total_seconds() + 1)
    await reconciler.reconcile_all()
    assert row(tables, MONTH, mine)["spent"] == [11111, 1111, 111, 11, 1][level]


async def test_a_holder_that_comes_back_meanwhile_keeps_its_lease(tables, clock, reconciler, monkeypatch):
    await counter(tables, MONTH, spent=0, out=100)
    await lease(tables, "back", {MONTH: [0, 100]})
    clock.advance(GRACE.total_seconds() + 1)
    transact = tables.transact

    async def revive(*args):
        monkeypatch.undo()
        await lease(tables, "back", {MONTH: [0, 100]}, expires=clock.utc() + datetime.timedelta(seconds=30))
        return await transact(*args)

    monkeypatch.setattr(tables, "transact", revive)
    assert await reconciler.reconcile(SUBSCRIPTION) == []
    assert row(tables, MONTH) == {"spent": 0, "out": 100}


async def test_another_holder_s_exchange_in_between_is_kept(tables, clock, reconciler, monkeypatch):
    await counter(tables, MONTH, spent=0, out=100)
    await lease(tables, "dead", {MONTH: [0, 100]})
    clock.advance(GRACE.total_seconds() + 1)
    transact = tables.transact

    async def interfere(*args):
        monkeypatch.undo()
        await counter(tables, MONTH, spent=11, out=150)
        return await transact(*args)

    monkeypatch.setattr(tables, "transact", interfere)
    await reconciler.reconcile(SUBSCRIPTION)
    assert row(tables, MONTH) == {"spent": 11, "out": 50}


async def test_a_store_that_fails_in_the_middle_leaves_the_rest_to_the_next_run(tables, clock, reconciler):
    await counter(tables, MONTH, spent=0, out=200)
    for worker in ("one", "two"):
        await lease(tables, worker, {MONTH: [0, 100]})
    clock.advance(GRACE.total_seconds() + 1)
    tables.down = True
    with pytest.raises(StoreUnavailable):
        await reconciler.reconcile_all()
    tables.down = False
    summary = await reconciler.reconcile_all()
    assert sorted(told.worker for told in summary.returned) == ["one", "two"]
    assert row(tables, MONTH) == {"spent": 0, "out": 0}


async def test_a_run_is_bounded_and_the_next_one_goes_on(tables, clock, reconciler, monkeypatch):
    monkeypatch.setattr("gateway.limits.reconcile.PAGE", 3)
    for number in range(5):
        partition = f"subscription|contoso|sub_{number}"
        await counter(tables, MONTH, partition, spent=0, out=1)
        await lease(tables, "dead", {MONTH: [0, 1]}, partition)
    clock.advance(GRACE.total_seconds() + 1)
    runs = []
    while not runs or runs[-1].more:
        runs.append(await reconciler.reconcile_all(limit=3))
    assert len(runs) == 4
    assert sum(len(each.returned) for each in runs) == 5


async def test_a_counter_equals_the_ledger_and_what_is_under_way(tables, clock, prover):
    await counter(tables, MONTH, spent=100 + 60, out=25)
    await lease(tables, "alive", {MONTH: [60, 25]}, expires=NOON + datetime.timedelta(seconds=30))
    await record(tables, "gone", Amounts(1, 70, 30))
    await record(tables, "alive", Amounts(1, 40, 0))
    (proof,) = await prover.verify(SUBSCRIPTION)
    assert (proof.spent, proof.out, proof.ledger, proof.under_way, proof.drift) == (160, 25, 140, 20, 0)


@pytest.mark.parametrize("off_by", [-1, 1])
async def test_one_token_too_many_or_too_few_is_drift(tables, clock, prover, off_by):
    await counter(tables, MONTH, spent=100 + off_by)
    await record(tables, "gone", Amounts(1, 70, 30))
    (proof,) = await prover.verify(SUBSCRIPTION)
    assert proof.drift == off_by
    assert (await prover.show(SUBSCRIPTION))["drift"] is True


async def test_a_past_window_can_be_proved(tables, clock, prover):
    await counter(tables, "c|tokens.month|2026-10", spent=33)
    await counter(tables, MONTH, spent=5)
    last = NOON.replace(month=10, day=31, hour=23, minute=59, second=59)
    await record(tables, "gone", Amounts(1, 33, 0), last)  # and its record stands in November
    (proof,) = await prover.verify(SUBSCRIPTION, last)
    assert (proof.ledger, proof.drift) == (33, 0)


async def test_a_scope_is_shown_with_rates_and_holders(tables, clock, prover):
    now = int(NOON.timestamp())
    await counter(tables, RATE, slots=json.dumps([[now - 90, 50], [now - 3, 2]]), out=4)
    await lease(tables, "alive", {RATE: [0, 4]}, expires=NOON + datetime.timedelta(seconds=30))
    shown = await prover.show(SUBSCRIPTION)
    assert shown["rates"] == [{"limit": "requests.minute", "spent": 2, "out": 4}]
    assert shown["holders"][0]["alive"] is True
    with pytest.raises(NotFound):
        await prover.show("subscription|contoso|sub_9")


async def test_scopes_are_listed_in_pages_and_a_tenant_s_are_only_its_own(tables, prover, monkeypatch):
    monkeypatch.setattr("gateway.limits.proof.ROWS_AT_ONCE", 2)
    mine = partitions_of("contoso", "starter", "sub_1", "alice")[1:]
    others = [*partitions_of("contoso2", "starter", "sub_1", "alice"), *partitions_of("con", "starter", "sub_1", "")[1:]]
    for partition in (*mine, *others):
        for key in (MONTH, DAY, RATE):
            await counter(tables, key, partition)
    assert await prover.scopes("contoso", 10, "") == (sorted(mine), None)
    pages, after = [], ""
    while after is not None:
        page, after = await prover.scopes(None, 3, after)
        pages.append(page)
    assert [name for page in pages for name in page] == sorted([*mine, *others])
    assert [len(page) for page in pages] == [3, 3, 3, 3]


async def test_rates_that_count_nothing_go_at_once_and_years_old_counters_and_announcements_in_the_end(tables, clock, reconciler):
    now = int(NOON.timestamp())
    old = (NOON - KEEP).replace(month=10)
    await counter(tables, RATE, slots=json.dumps([[now - 62, 5]]))
    await counter(tables, BUSY)
    await counter(tables, f"c|tokens.month|{window_of('month', old)}", spent=5)
    await counter(tables, MONTH, spent=5)
    await tables.insert("limits", SUBSCRIPTION, "a|tokens.month|2024-10|50", {"at": old, "delivered": True})
    await tables.insert("limits", SUBSCRIPTION, "a|tokens.month|2026-11|50", {"at": NOON, "delivered": True})
    summary = await reconciler.reconcile_all()
    assert summary.pruned_rows == 4
    assert [entity.row for entity in tables.rows("limits")] == ["a|tokens.month|2026-11|50", MONTH]


async def test_rates_stay_while_they_count_or_somebody_holds_them(tables, clock, reconciler):
    now = int(NOON.timestamp())
    await counter(tables, RATE, "tenant|contoso", slots=json.dumps([[now - 60, 5]]))
    await counter(tables, BUSY, "tenant|contoso", out=1)
    await counter(tables, BUSY, SUBSCRIPTION)
    await lease(tables, "alive", {BUSY: [0, 0]}, expires=NOON + datetime.timedelta(seconds=30))
    summary = await reconciler.reconcile_all()
    assert summary.pruned_rows == 0
    assert len(tables.rows("limits")) == 4


@pytest.mark.parametrize("window", ["hour", "day", "week", "month", "quarter", "year"])
@pytest.mark.parametrize("days", range(0, 1200, 37))
def test_a_window_s_start_is_read_from_its_name(window, days):
    moment = datetime.datetime(2024, 12, 28, 13, 59, tzinfo=datetime.UTC) + datetime.timedelta(days=days)
    start = start_of(window, window_of(window, moment))
    assert start <= moment < end_of(window, start)
    assert window_of(window, start) == window_of(window, moment)
    assert window_of(window, start - datetime.timedelta(microseconds=1)) != window_of(window, moment)


def test_every_metric_is_read_from_a_record():
    charge = Charge("t", "p", "s", "", "w", NOON, Amounts(1, 20, 300, 4000))
    counted = {Metric.REQUESTS: 1, Metric.TOKENS: 320, Metric.INPUT_TOKENS: 20, Metric.OUTPUT_TOKENS: 300, Metric.COST: 4000}
    assert {*counted, Metric.CONCURRENCY} == {*Metric}
    for metric, amount in counted.items():
        assert read_counter(f"c|{metric.value}.day|2026-11-22").counts(charge) == amount
        assert read_counter(f"c|{metric.value}.day|2026-11-23").counts(charge) == 0


async def test_a_scope_that_never_comes_to_rest_is_left_to_the_next_run(tables, clock, reconciler, monkeypatch):
    await counter(tables, MONTH, spent=0, out=100)
    await lease(tables, "dead", {MONTH: [0, 100]})
    clock.advance(GRACE.total_seconds() + 1)

    async def conflict(*_args):
        raise EntityChanged("it changed")

    monkeypatch.setattr(tables, "transact", conflict)
    assert await reconciler.reconcile(SUBSCRIPTION) == []
    assert row(tables, "l|dead") is not None
