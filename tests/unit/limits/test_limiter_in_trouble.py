"""The limiter in a crowd and in trouble: waiting calls, conflicts, writes of unknown fate, outages, shutdown, announcements."""

import asyncio
import datetime as dt

import pytest

from gateway.domain.limits import Budget, Limits, Mode, TokenQuota
from gateway.errors import QuotaExhausted, StoreUnavailable
from gateway.limits.limiter import Reservation
from tests.fakes.clock import FakeClock
from tests.unit.limits.workers import TOKENS, World, used


async def test_calls_that_wait_share_an_exchange_and_none_too_many_is_admitted() -> None:
    world, budget = World(workers=2), Limits(budget_usd=(Budget("month", 1.0),))
    world.tables.gate = asyncio.Event()
    calls = [asyncio.create_task(world.reserve(budget, cost=100_000, worker=number % 2)) for number in range(50)]
    await asyncio.sleep(0)
    world.tables.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, Reservation) for answer in answers) == 10
    assert all(isinstance(answer, Reservation | QuotaExhausted) for answer in answers)
    assert world.tables.calls < 50


async def test_a_flood_of_refused_calls_is_no_flood_of_exchanges() -> None:
    world = World()
    await world.reserve(tokens=TOKENS)
    await world.refused(tokens=1)
    before = world.tables.calls
    for _ in range(100):
        await world.refused(tokens=1)
    assert world.tables.calls == before


async def test_a_call_that_gives_up_waiting_takes_nothing() -> None:
    world, quota = World(), Limits(tokens=(TokenQuota("month", TOKENS),))
    world.tables.gate = asyncio.Event()
    waiting = asyncio.create_task(world.reserve(quota, TOKENS))
    await asyncio.sleep(0)
    waiting.cancel()
    world.tables.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await world.pass_by(5)
    assert world.row("c|tokens.month") == {"out": 0, "spent": 0}
    await world.reserve(quota, TOKENS)


async def test_an_exchange_that_somebody_else_was_faster_than_is_made_again() -> None:
    world, quota = World(workers=2), Limits(tokens=(TokenQuota("month", TOKENS),))
    await world.reserve(quota, 10)

    async def other() -> None:
        await world.reserve(quota, 60, worker=1)

    world.tables.meanwhile.append(other)
    await world.refused(quota, 40)
    await world.reserve(quota, 30)


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_a_write_of_which_nobody_knows_whether_it_was_done_counts_once(fault: str) -> None:
    world, quota = World(outage_percent=0), Limits(tokens=(TokenQuota("month", TOKENS),))
    await world.reserve(quota, 10)
    world.tables.faults = [fault]
    await world.reserve(quota, 50)
    await world.limiter.close()
    assert world.row("c|tokens.month")["spent"] == 60
    assert world.row("c|tokens.month")["out"] == 0


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_closing_counts_once_too(fault: str) -> None:
    world, quota = World(), Limits(tokens=(TokenQuota("month", TOKENS),))
    world.limiter.settle(await world.reserve(quota, 50), used(20))
    world.tables.faults = [fault]
    await world.limiter.close()
    assert world.row("c|tokens.month") == {"out": 0, "spent": 20}
    assert not [entity for entity in world.tables.rows("limits") if entity.row.startswith("l|")]


async def test_while_the_store_is_down_a_bounded_allowance_passes_and_is_charged_later(caplog: pytest.LogCaptureFixture) -> None:
    world, quota = World(), Limits(tokens=(TokenQuota("month", 1000),))
    await world.reserve(quota, 10)
    world.tables.down = True
    for _ in range(5):
        await world.reserve(quota, 10)
    with pytest.raises(StoreUnavailable) as caught:
        await world.reserve(quota, 10)
    assert "cannot be checked" in caught.value.message
    world.tables.down = False
    world.clock.advance(2)
    await world.reserve(quota, 10)
    await world.limiter.close()
    assert world.row("c|tokens.month") == {"out": 0, "spent": 70}
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1


async def test_a_call_larger_than_the_allowance_may_be_the_first_in_an_outage_but_not_the_second() -> None:
    world, quota = World(), Limits(tokens=(TokenQuota("month", 1000),))
    world.tables.down = True
    await world.reserve(quota, 400)
    with pytest.raises(StoreUnavailable):
        await world.reserve(quota, 400)
    strict = World(outage_percent=0)
    strict.tables.down = True
    with pytest.raises(StoreUnavailable):
        await strict.reserve(quota, 1)


async def test_closing_returns_all_slices() -> None:
    world, quota = World(workers=2), Limits(tokens=(TokenQuota("month", 1000),), tokens_per_minute=500, concurrency=10)
    for _ in range(3):
        world.limiter.settle(await world.reserve(quota, 20), used(15))
        world.clock.advance(0.1)
    await world.limiter.close()
    assert [entity.values["out"] for entity in world.tables.rows("limits") if entity.row.startswith("c|")] == [0, 0, 0]
    assert not [entity for entity in world.tables.rows("limits") if entity.row.startswith("l|")]
    await world.reserve(quota, 455, worker=1)


async def test_a_limit_that_is_lowered_holds_from_the_next_call_on() -> None:
    world = World()
    await world.reserve(Limits(tokens=(TokenQuota("month", 1000),)), 90)
    error = await world.refused(Limits(tokens=(TokenQuota("month", 100),)), 20)
    assert "quota of 100 tokens" in error.message
    await world.reserve(Limits(tokens=(TokenQuota("month", 1000),)), 20)


async def test_a_refusal_from_what_is_known_already_is_announced_by_the_next_tick() -> None:
    world = World()
    quota = Limits(tokens=(TokenQuota("month", 100),))
    world.limiter.settle(await world.reserve(quota, 60), used(60))
    before = world.tables.calls
    with pytest.raises(QuotaExhausted):
        await world.reserve(quota, 70)
    with pytest.raises(QuotaExhausted):
        await world.reserve(quota, 101)  # no limit refuses this one: it never fits
    assert world.announced() == []
    assert world.tables.calls == before
    await world.limiter.tick()
    assert world.announced() == ["a|tokens.month|2026-11|100", "a|tokens.month|2026-11|50"]


async def test_a_threshold_is_announced_once_by_all_workers_together() -> None:
    world, quota = World(workers=3), Limits(tokens=(TokenQuota("month", 1000),))
    for number in range(20):
        await world.reserve(quota, 45, worker=number % 3)
        await world.pass_by(1)
    await world.pass_by(5)
    assert world.announced() == ["a|tokens.month|2026-11|50", "a|tokens.month|2026-11|80"]
    await world.refused(quota, 101)
    assert world.announced() == ["a|tokens.month|2026-11|100", "a|tokens.month|2026-11|50", "a|tokens.month|2026-11|80"]


async def test_the_first_call_is_charged_to_the_lease_that_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    stands_still = FakeClock.utc

    def goes_on(clock: FakeClock) -> dt.datetime:
        clock.advance(1e-6)
        return stands_still(clock)

    monkeypatch.setattr(FakeClock, "utc", goes_on)
    held = await world.reserve(Limits(tokens=(TokenQuota("month", TOKENS),), mode=Mode.SHADOW), tokens=5)
    for _ in range(5):
        await asyncio.sleep(0)  # what goes on in the background
    assert held.admitted_at is not None
    assert held.admitted_at >= world.row("l|")["since"]  # or the reconciler would not find its record


async def test_beyond_the_allowance_nobody_waits_for_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    world, month = World(outage_percent=0), Limits(tokens=(TokenQuota("month", TOKENS),))
    answers = asyncio.Event()
    world.tables.meanwhile.append(answers.wait)
    monkeypatch.setattr("gateway.limits.book.WAIT_S", 0.0)
    with pytest.raises(StoreUnavailable):
        await world.reserve(month, tokens=1)
    monkeypatch.setattr("gateway.limits.book.WAIT_S", 600.0)
    world.clock.advance(10)
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(world.reserve(month, tokens=1), 5)
    answers.set()
    for _ in range(9):
        await asyncio.sleep(0)
    await world.reserve(month, tokens=1)
