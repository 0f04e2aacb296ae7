"""Laws of the limiter, looked for by Hypothesis: workers that start, end and are killed, calls of any size, a store that loses
requests and answers, time that passes windows. No limit is ever passed, nothing is counted twice or forgotten, nobody waits
for ever."""

import asyncio
import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.domain.amounts import NOTHING, Amounts
from gateway.domain.limits import MINUTE, NOW, Ceiling, Metric
from gateway.errors import StoreUnavailable
from gateway.limits.exchange import LEASE_S
from gateway.limits.reconcile import GRACE
from tests.unit.limits.world import SUBSCRIPTIONS, Called, World

MIDNIGHT = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
FEW = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))

# Small limits, so that most calls are asked for near their end.
TENANT = [
    Ceiling(Metric.TOKENS, "month", 400, alert_at=(50, 100)),
    Ceiling(Metric.COST, "day", 300),
    Ceiling(Metric.REQUESTS, MINUTE, 12),
]
SUBSCRIPTION = [
    Ceiling(Metric.TOKENS, MINUTE, 120),
    Ceiling(Metric.OUTPUT_TOKENS, "hour", 150),
    Ceiling(Metric.REQUESTS, "day", 20),
    Ceiling(Metric.CONCURRENCY, NOW, 3),
]
ceilings = st.tuples(st.lists(st.sampled_from(TENANT), unique=True), st.lists(st.sampled_from(SUBSCRIPTION), unique=True, min_size=1))
asks = st.builds(Amounts, st.just(1), st.integers(0, 40), st.integers(0, 25), st.integers(0, 50))
small = st.builds(Amounts, st.just(1), st.integers(1, 15), st.integers(0, 10), st.integers(0, 15))
subscriptions = st.sampled_from(SUBSCRIPTIONS)
picks = st.integers(0, 10**6)
pauses_s = st.sampled_from([0.05, 0.4, 1.0, 1.5, 3.0, 7.0, 20.0, 45.0, 57.0, 61.0, 100.0, 700.0])
scales = st.sampled_from([1, 1, 4, 10])  # the larger a limit, the larger the slices of it


def scaled(ceilings: list[Ceiling], scale: int) -> list[Ceiling]:
    return [msgspec.structs.replace(ceiling, amount=ceiling.amount * scale) for ceiling in ceilings]


class Workers(RuleBasedStateMachine):
    """Several workers on a store that always answers."""

    world: World

    @initialize(levels=ceilings, scale=scales, seed=st.integers(0, 99), before_s=st.integers(1, 300), workers=st.integers(1, 3))
    def begin(self, levels: tuple[list[Ceiling], list[Ceiling]], scale: int, seed: int, before_s: int, workers: int) -> None:
        start = MIDNIGHT - datetime.timedelta(seconds=before_s)
        self.world = World(scaled(levels[0], scale), scaled(levels[1], scale), seed, start)
        for _ in range(workers):
            self.world.start()

    def worker(self, pick: int) -> str:
        names = sorted(self.world.limiters)
        return names[pick % len(names)]

    def under_way(self) -> list[Called]:
        return [call for call in self.world.calls if call.used is None and not call.lost]

    @precondition(lambda self: self.world.limiters)
    @rule(asked=st.lists(st.tuples(picks, subscriptions, asks), min_size=1, max_size=8))
    def reserve(self, asked: list[tuple[int, str, Amounts]]) -> None:
        self.world.run(self.world.reserve_all([(self.worker(pick), subscription, ask) for pick, subscription, ask in asked]))

    @precondition(lambda self: self.world.limiters)
    @rule(pick=picks, subscription=subscriptions, asked=small, settled=st.booleans(), pause_s=st.sampled_from([0.0, 0.01, 0.3]))
    def drain(self, pick: int, subscription: str, asked: Amounts, settled: bool, pause_s: float) -> None:
        """Call until it is refused."""
        name = self.worker(pick)
        for _ in range(100):
            call = self.world.run(self.world.reserve(name, subscription, asked))
            if call is None:
                return
            if settled:
                self.world.settle(call, asked)
            if pause_s:
                self.world.advance(pause_s)

    @precondition(lambda self: self.under_way())
    @rule(pick=picks, share=st.sampled_from([0.0, 0.3, 1.0]), answered=st.booleans(), more=st.sampled_from([0, 0, 0, 15]))
    def settle(self, pick: int, share: float, answered: bool, more: int) -> None:
        call = self.under_way()[pick % len(self.under_way())]
        asked = call.asked
        parts = (int(asked.input_tokens * share), int(asked.output_tokens * share) + more, int(asked.cost_micro_usd * share) + more)
        used = Amounts(1, *parts)
        self.world.settle(call, used if answered else NOTHING)

    @rule(seconds=pauses_s)
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @precondition(lambda self: len(self.world.limiters) < 4)
    @rule()
    def start(self) -> None:
        self.world.start()

    @precondition(lambda self: self.world.limiters)
    @rule(pick=picks)
    def kill(self, pick: int) -> None:
        self.world.kill(self.worker(pick))

    @precondition(lambda self: self.world.limiters)
    @rule(pick=picks)
    def close(self, pick: int) -> None:
        name = self.worker(pick)
        for call in self.under_way():
            if call.worker == name:
                self.world.settle(call, call.asked)
        self.world.close(name)

    @rule()
    def reconcile(self) -> None:
        self.world.reconcile()

    @invariant()
    def rows_agree(self) -> None:
        if hasattr(self, "world"):
            self.world.check_rows()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.end()
            finally:
                self.world.dispose()


class Faults(Workers):
    """The same on a store that loses requests, and answers to writes that it did."""

    @precondition(lambda self: self.world.limiters)
    @rule(pick=picks, faults=st.lists(st.sampled_from(["before", "after", ""]), min_size=1, max_size=3))
    def lose(self, pick: int, faults: list[str]) -> None:
        self.world.wires[self.worker(pick)].faults = list(faults)


class Patience(RuleBasedStateMachine):
    """What is free can be had: a call that fits is let pass once others have had the time to give back what they do not use."""

    world: World

    @initialize(levels=ceilings, seed=st.integers(0, 99), workers=st.integers(1, 3))
    def begin(self, levels: tuple[list[Ceiling], list[Ceiling]], seed: int, workers: int) -> None:
        self.world = World(levels[0], levels[1], seed)
        for _ in range(workers):
            self.world.start()

    @rule(pick=picks, subscription=subscriptions, asked=asks, share=st.sampled_from([0.0, 0.5, 1.0, None]))
    def call(self, pick: int, subscription: str, asked: Amounts, share: float | None) -> None:
        names = sorted(self.world.limiters)
        name = names[pick % len(names)]
        if self.world.run(self.world.reserve(name, subscription, asked)) is None and self.world.fits(subscription, asked):
            self.world.advance(12.0)
            still_fits = self.world.fits(subscription, asked)
            admitted = self.world.run(self.world.reserve(name, subscription, asked))
            assert admitted or not still_fits, (name, subscription, asked, self.world.refusals[-1].message)
        if share is not None:
            for each in [each for each in self.world.calls if each.used is None]:
                used = Amounts(1, *(int(getattr(each.asked, field) * share) for field in Amounts.__struct_fields__[1:]))
                self.world.settle(each, used)

    @rule(seconds=pauses_s)
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.end()
            finally:
                self.world.dispose()


def _case(machine: type[RuleBasedStateMachine]) -> Any:
    case = machine.TestCase
    case.settings = FEW
    return case


TestWorkers = _case(Workers)
TestFaults = _case(Faults)
TestPatience = _case(Patience)


@pytest.fixture
def make_world():
    worlds: list[World] = []

    def make(*args: Any, **options: Any) -> World:
        worlds.append(World(*args, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.dispose()


ASK = Amounts(1, 10, 0, 10)
BUDGET = Ceiling(Metric.COST, "month", 1000)


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


RATE = Ceiling(Metric.REQUESTS, MINUTE, 100)
ONE = Amounts(1)


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
