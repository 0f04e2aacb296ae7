"""Laws of the limiter, looked for by Hypothesis: workers that start, end and are killed, calls of any size, a store that loses
requests and answers, time that passes windows. No limit is ever passed, nothing is counted twice or forgotten, nobody waits
for ever."""

import datetime
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.domain.amounts import NOTHING, Amounts
from gateway.domain.limits import MINUTE, NOW, Ceiling, Metric
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
