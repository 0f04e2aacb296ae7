"""The limiter's laws in cases that chance seldom meets: the edge of a budget and of a minute, death, outages, steady traffic."""

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.domain.amounts import NOTHING, Amounts
from gateway.domain.limits import MINUTE, NOW, Ceiling, Metric
from gateway.errors import StoreUnavailable
from gateway.limits.exchange import LEASE_S
from gateway.limits.reconcile import GRACE
from tests.unit.limits.world import World

ASK = Amounts(1, 10, 0, 10)
ONE = Amounts(1)
BUDGET = Ceiling(Metric.COST, "month", 1000)
RATE = Ceiling(Metric.REQUESTS, MINUTE, 100)


@pytest.fixture
def make_world():
    worlds: list[World] = []

    def make(*args: Any, **options: Any) -> World:
        worlds.append(World(*args, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.dispose()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_fifty_calls_at_the_edge_of_a_budget_get_what_is_left_and_no_more(make_world, workers):
    world = make_world([BUDGET], [])
    names = [world.start() for _ in range(workers)]
    while world.taken(world.scopes["sub_1"][0], BUDGET, world.clock.utc()) < 930:
        world.run(world.reserve(names[0], "sub_1", ASK))
    world.advance(15.0)  # what is held and not used comes back
    before = len(world.calls)
    world.run(world.reserve_all([(names[number % workers], "sub_1", ASK) for number in range(50)]))
    assert len(world.calls) - before == 7
    world.end()


def test_a_killed_holder_s_slice_counts_as_spent_until_the_ledger_frees_it(make_world):
    world = make_world([BUDGET], [])
    victim, other = world.start(), world.start()
    for _ in range(20):
        call = world.run(world.reserve(victim, "sub_1", ASK))
        world.settle(call, ASK)
    world.run(world.reserve(victim, "sub_1", ASK))
    world.kill(victim)
    world.advance(120.0)
    while world.run(world.reserve(other, "sub_1", ASK)) is not None:
        pass
    assert world.taken(world.scopes["sub_1"][0], BUDGET, world.clock.utc()) <= 1000
    for call in world.calls:
        if call.used is None and not call.lost:
            world.settle(call, ASK)
    world.advance(GRACE.total_seconds())
    world.reconcile()
    while (call := world.run(world.reserve(other, "sub_1", ASK))) is not None:
        world.settle(call, ASK)
    settled = sum(call.used.cost_micro_usd for call in world.calls if call.used)
    assert settled == 1000  # to the last micro-dollar: the lost call's part could be spent again
    world.end()


def drain(world: World, name: str, *, settled: bool = True) -> int:
    """Call until it is refused; returns how often it was not."""
    before = len(world.calls)
    while (call := world.run(world.reserve(name, "sub_1", ONE))) is not None:
        if settled:
            world.settle(call, ONE)
    return len(world.calls) - before


def test_a_minute_is_any_sixty_seconds_and_no_longer_than_its_slots(make_world):
    world = make_world([RATE], [])
    name = world.start()
    assert drain(world, name) == 100
    world.advance(59.5)
    assert drain(world, name) == 0
    world.advance(2.5)
    assert drain(world, name) == 100
    world.end()


@pytest.mark.parametrize("spent", [0, 1, 5])
def test_what_a_killed_holder_spent_and_did_not_tell_counts_for_its_minute(make_world, spent):
    world = make_world([RATE], [])
    victim, other = world.start(), world.start()
    world.run(world.reserve(victim, "sub_1", ONE))
    for _ in range(20):  # it learns how much it uses, and holds a slice
        world.advance(0.1)
        world.run(world.reserve(victim, "sub_1", ONE))
    for _ in range(spent):
        world.run(world.reserve(victim, "sub_1", ONE))
    world.kill(victim)
    admitted = 0
    for _ in range(70):
        world.advance(2.0)
        admitted += drain(world, other)  # each admission is checked against all that was admitted in its minute
    assert admitted >= 200
    world.end()


def test_places_of_a_living_holder_stay_its_own_for_as_long_as_its_calls_last(make_world):
    world = make_world([Ceiling(Metric.CONCURRENCY, NOW, 5)], [])
    holder, other = world.start(), world.start()
    assert drain(world, holder, settled=False) == 5
    for _ in range(70):
        world.advance(1.0)
        assert drain(world, other, settled=False) == 0
    world.end()


def test_places_of_a_killed_holder_come_back_when_its_lease_is_over(make_world):
    world = make_world([Ceiling(Metric.CONCURRENCY, NOW, 5)], [])
    victim, other = world.start(), world.start()
    assert drain(world, victim, settled=False) == 5
    assert drain(world, other) == 0
    world.kill(victim)
    assert drain(world, other, settled=False) == 0
    world.advance(32.0)
    assert drain(world, other, settled=False) == 5
    world.end()


def test_a_holder_that_does_not_reach_the_store_stops_before_its_lease_is_over(make_world):
    world = make_world([msgspec.structs.replace(RATE, amount=2000)], [])
    name = world.start()
    for _ in range(60):  # it is used much, and so holds a large slice
        world.run(world.reserve(name, "sub_1", ONE))
        world.advance(0.05)
    world.wires[name].stalls = True
    admitted_at = []
    stalled_at = world.clock.utc()
    for _ in range(60):
        call = world.run(world.reserve(name, "sub_1", ONE))
        admitted_at += [(call.admitted_at - stalled_at).total_seconds()] if call else []
        world.advance(1.0)
    assert 10 < max(admitted_at) < LEASE_S - 1
    world.kill(name)
    world.end()


@pytest.mark.parametrize("after_s", [0.0, 1.0, 8.0])
def test_a_refund_can_be_spent_again_within_its_minute(make_world, after_s):
    world = make_world([Ceiling(Metric.TOKENS, MINUTE, 100)], [])
    name, other = world.start(), world.start()
    call = world.run(world.reserve(name, "sub_1", Amounts(1, 90)))
    world.advance(after_s)  # at first it is known here only, then the store knows it, too
    assert world.run(world.reserve(other, "sub_1", Amounts(1, 60))) is None
    world.settle(call, Amounts(1, 30))
    world.advance(6.0)
    assert world.run(world.reserve(other, "sub_1", Amounts(1, 60))) is not None
    world.end()


def test_to_settle_twice_is_to_settle_once(make_world):
    world = make_world([BUDGET], [RATE, Ceiling(Metric.CONCURRENCY, NOW, 1)])
    name = world.start()
    first = world.run(world.reserve(name, "sub_1", ASK))
    world.settle(first, Amounts(1, 10, 0, 3))
    second = world.run(world.reserve(name, "sub_1", ASK))
    world.limiters[name].settle(first.reservation, NOTHING)
    assert world.run(world.reserve(name, "sub_1", ASK)) is None
    world.settle(second, ASK)
    world.end()


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_write_of_which_nobody_knows_whether_it_was_done_is_counted_once(make_world, fault):
    world = make_world([BUDGET], [])
    name = world.start()
    for number in range(60):
        if number % 3 == 0:
            world.wires[name].faults = [fault]
        world.run(world.reserve(name, "sub_1", ASK))
        world.advance(1.0)
    assert world.calls
    world.end()


def test_a_store_that_is_down_lets_no_more_pass_than_is_declared(make_world):
    world = make_world([BUDGET], [], outage_percent=5)
    world.allowance = lambda ceiling: ceiling.amount * 5 // 100  # one worker, one outage
    name = world.start()
    world.run(world.reserve(name, "sub_1", ASK))
    world.advance(120.0)
    world.store.down = True
    passed = 0
    while world.run(world.reserve(name, "sub_1", ASK)) is not None:
        passed += 1
        assert passed <= 100
    assert isinstance(world.refusals[-1], StoreUnavailable)
    assert 1 <= passed <= 5 + 1
    world.advance(300.0)
    world.store.down = False
    world.advance(60.0)
    world.end()


def test_table_calls_are_few_in_a_steady_state(make_world):
    tenant = [Ceiling(Metric.TOKENS, "month", 10**9), Ceiling(Metric.COST, "month", 10**9), Ceiling(Metric.REQUESTS, MINUTE, 10**6)]
    subscription = [Ceiling(Metric.TOKENS, MINUTE, 10**8), Ceiling(Metric.REQUESTS, "day", 10**7), Ceiling(Metric.CONCURRENCY, NOW, 500)]
    world = make_world(tenant, subscription)
    names = [world.start() for _ in range(4)]
    reservations, under_way = 20_000, []

    async def drive() -> None:
        for number in range(reservations):
            name = names[number % len(names)]
            limiter, scopes = world.limiters[name], world.scopes["sub_1"]
            asked = Amounts(1, 200 + number % 300, 500, 2000)
            under_way.append((limiter, await limiter.reserve(scopes, asked)))
            if len(under_way) > 100:
                ended, reservation = under_way.pop(0)
                ended.settle(reservation, Amounts(1, asked.input_tokens, 150, 900))
            await asyncio.sleep(0.0025)  # 100 a second and worker
        for ended, reservation in under_way:
            ended.settle(reservation, NOTHING)

    world.run(drive())
    calls = sum(wire.calls for wire in world.wires.values())
    assert calls / reservations <= 0.05, calls


def test_what_was_let_pass_while_the_store_was_down_stays_charged_when_its_holder_dies(make_world):
    world = make_world([BUDGET], [], outage_percent=5)
    world.allowance = lambda ceiling: ceiling.amount * 5 // 100
    name = world.start()
    world.store.down = True
    call = world.run(world.reserve(name, "sub_1", ASK))
    world.store.down = False
    world.settle(call, ASK)
    world.advance(20.0)  # now the store knows
    world.kill(name)
    world.end()


def test_a_holder_that_was_idle_for_so_long_that_its_lease_is_gone_begins_a_new_one(make_world):
    world = make_world([BUDGET], [])
    name = world.start()
    for _ in range(3):
        world.settle(world.run(world.reserve(name, "sub_1", ASK)), ASK)
        world.advance(2 * GRACE.total_seconds())
        world.reconcile()
        world.check_counters()
    world.settle(world.run(world.reserve(name, "sub_1", ASK)), ASK)
    world.advance(1.0)
    world.kill(name)
    world.end()
