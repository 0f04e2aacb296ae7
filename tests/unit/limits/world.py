"""Workers that share limits, in virtual time: each a Limiter of its own over one store, slow, fallible and seen through by the test.

Every worker's tasks are known, so that one can be killed as kill -9 does it: nothing it had under way reaches the store any more.
"""

import asyncio
import contextvars
import datetime
import itertools
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from gateway.domain.amounts import Amounts
from gateway.domain.limits import MINUTE, NOW, Ceiling, Metric, Mode
from gateway.domain.tables import Value, Write
from gateway.errors import GatewayError, StoreUnavailable
from gateway.limits.limiter import Limiter, Reservation
from gateway.limits.proof import Prover
from gateway.limits.reconcile import GRACE, Reconciler
from gateway.limits.rows import held_of
from gateway.limits.scopes import Scope, partitions_of
from gateway.limits.windows import window_of
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.fakes.virtual_time import VirtualLoop

TENANT, PRODUCT, SUBSCRIPTIONS = "contoso", "starter", ("sub_1", "sub_2")
PATIENCE_S = 600.0
_worker: contextvars.ContextVar[str] = contextvars.ContextVar("worker", default="")


class StepLoop(VirtualLoop):
    """Virtual time that a test runs a step at a time; to wait for what nobody will do is an error, and not a test that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, set[asyncio.Task[Any]]] = {}
        self.set_task_factory(self._start)  # type: ignore[arg-type]  # a factory may take any keywords
        select = self._selector.select  # type: ignore[attr-defined]

        def or_fail(timeout: float | None = None) -> Any:
            if timeout is None:
                raise AssertionError("a deadlock: everybody waits, and no timer will wake anybody")
            return select(timeout)

        self._selector.select = or_fail  # type: ignore[attr-defined]

    def _start(self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=loop, **options)
        tasks = self.tasks.setdefault(_worker.get(), set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task


class WorldClock(FakeClock):
    """The loop's time, as both clocks."""

    def __init__(self, loop: StepLoop, start: datetime.datetime) -> None:
        super().__init__(start)
        self._loop = loop

    def now_s(self) -> float:
        return self._loop.time() + 1000.0

    def utc(self) -> datetime.datetime:
        return self._start + datetime.timedelta(seconds=self._loop.time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Wire(FakeTables):
    """One worker's way to the store: it takes time, loses requests or answers, and ends with the worker."""

    def __init__(self, store: FakeTables, rng: random.Random) -> None:
        super().__init__()
        self._store = store
        self._rng = rng
        self.dead = False
        self.stalls = False  # what is asked now is never answered
        self.faults: list[str] = []  # of the next writes: before | after | ""
        self.calls = 0

    async def query(self, table: str, **bounds: Any) -> Any:
        return await self._go(lambda: self._store.query(table, **bounds), writes=False)

    async def get(self, table: str, partition: str, row: str) -> Any:
        return await self._go(lambda: self._store.get(table, partition, row), writes=False)

    async def insert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> Any:
        return await self._go(lambda: self._store.insert(table, partition, row, values))

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> Any:
        return await self._go(lambda: self._store.transact(table, partition, writes))

    async def _go(self, work: Callable[[], Coroutine[Any, Any, Any]], *, writes: bool = True) -> Any:
        self.calls += 1
        fault = self.faults.pop(0) if writes and self.faults else ""
        await self._pass()
        if fault == "before":
            raise StoreUnavailable("the request was lost")
        try:
            answer = await work()
        finally:
            await self._pass()
        if fault == "after":
            raise StoreUnavailable("the answer was lost")
        return answer

    async def _pass(self) -> None:
        await asyncio.sleep(self._rng.choice([0.001, 0.005, 0.02]))
        if self.dead or self.stalls:
            await asyncio.Event().wait()


class Called:
    """One admitted call, as the test knows it."""

    def __init__(self, worker: str, scopes: Sequence[Scope], subscription: str, reservation: Reservation) -> None:
        assert reservation.admitted_at is not None
        self.worker = worker
        self.scopes = scopes
        self.subscription = subscription
        self.reservation = reservation
        self.admitted_at: datetime.datetime = reservation.admitted_at
        self.asked: Amounts = reservation.asked
        self.used: Amounts | None = None
        self.lost = False  # its worker was killed before it was settled
        self.freed: set[str] = set()  # scopes in which the ledger has proved a lost one unspent

    def amount(self, metric: Metric, *, window: str = "", capped: bool = True) -> int:
        """Return what it counts now: what it asked for until it is settled; never more than that where `capped`."""
        asked = amount_of(self.asked, metric)
        if self.used is None or (metric is Metric.REQUESTS and window == MINUTE):
            return asked
        used = amount_of(self.used, metric)
        return min(used, asked) if capped else used


class World:
    """See the module.

    Args:
        limits: Ceilings of the tenant, and of each subscription.
        seed: Of latencies and of the limiters' jitter.
        start: UTC.
        outage_percent: The limiters' allowance.
    """

    def __init__(
        self,
        tenant: Sequence[Ceiling],
        subscription: Sequence[Ceiling],
        seed: int = 0,
        start: datetime.datetime = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC),
        outage_percent: int = 0,
    ) -> None:
        self.loop = StepLoop()
        self.clock = WorldClock(self.loop, start)
        self.store = FakeTables()
        self.rng = random.Random(seed)
        self.outage_percent = outage_percent
        self.limiters: dict[str, Limiter] = {}
        self.wires: dict[str, Wire] = {}
        self.calls: list[Called] = []
        self.refusals: list[GatewayError] = []
        self.wire_calls = 0
        self._names = itertools.count(1)
        self._requests = itertools.count(1)
        self.scopes: dict[str, tuple[Scope, ...]] = {}
        for name in SUBSCRIPTIONS:
            partitions = partitions_of(TENANT, PRODUCT, name, "")
            levels = (Scope("tenant", partitions[1], tuple(tenant)), Scope("subscription", partitions[3], tuple(subscription)))
            self.scopes[name] = tuple(scope for scope in levels if scope.ceilings)

    def run[T](self, main: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(main)

    def advance(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def start(self) -> str:
        """Start a worker and return its name."""
        name = f"w{next(self._names)}"
        self.wires[name] = Wire(self.store, random.Random(self.rng.random()))
        self.limiters[name] = Limiter(
            self.wires[name], self.clock, name, random.Random(self.rng.random()), outage_percent=self.outage_percent
        )
        return name

    def kill(self, name: str) -> None:
        """End a worker without a word; nothing of it reaches the store any more."""
        self.wires[name].dead = True
        tasks = list(self.loop.tasks.get(name, ()))
        for task in tasks:
            task.cancel()
        for call in self.calls:
            call.lost = call.lost or (call.worker == name and call.used is None)
        del self.limiters[name]

    def close(self, name: str) -> None:
        """End a worker as SIGTERM does: its calls were settled before."""
        self.run(self._as(name, self.limiters.pop(name).close()))

    async def reserve(self, name: str, subscription: str, asked: Amounts) -> Called | None:
        """Ask for a call; None where it was refused. What must hold when a call is admitted is checked at that moment."""
        scopes = self.scopes[subscription]
        try:
            async with asyncio.timeout(PATIENCE_S):
                reservation = await self._as(name, self.limiters[name].reserve(scopes, asked))
        except GatewayError as error:
            self.refusals.append(error)
            return None
        call = Called(name, scopes, subscription, reservation)
        assert call.asked == asked
        self.calls.append(call)
        self.check_admitted(call)
        return call

    async def reserve_all(self, asks: Sequence[tuple[str, str, Amounts]]) -> list[Called | None]:
        """Ask for several calls at once."""
        return list(await asyncio.gather(*(self.reserve(*ask) for ask in asks)))

    def settle(self, call: Called, used: Amounts) -> None:
        """End a call, and write its record."""
        call.used = used

        async def settle() -> None:
            self.limiters[call.worker].settle(call.reservation, used)

        self.run(self._as(call.worker, settle()))
        self.run(self._record(call, used))

    async def _record(self, call: Called, used: Amounts) -> None:
        values: dict[str, Value] = {"tenant": TENANT, "product": PRODUCT, "subscription": call.subscription, "worker": call.worker}
        values |= {"admitted_at": call.admitted_at, "charged_requests": used.requests, "charged_input_tokens": used.input_tokens}
        values |= {"charged_output_tokens": used.output_tokens, "charged_micro_usd": used.cost_micro_usd}
        row = f"req_{next(self._requests):08}"
        await self.store.upsert("usage", f"{self.clock.utc():%Y-%m-%dT%H}|{TENANT}|0", row, values)

    async def _as[T](self, name: str, work: Coroutine[Any, Any, T]) -> T:
        token = _worker.set(name)
        try:
            return await asyncio.create_task(work)  # a task, so that it belongs to the worker
        finally:
            _worker.reset(token)

    def reconcile(self) -> None:
        """Let the ledger free what the dead held; rates forget by themselves."""
        for told in self.run(Reconciler(self.store, self.clock).reconcile_all()).returned:
            for call in self.calls:
                if call.lost and call.worker == told.worker:
                    call.freed.add(told.partition)

    def allowance(self, ceiling: Ceiling) -> int:
        """How far a limit may be passed because the store was down: what is declared, for each worker and outage."""
        return 0

    def taken(self, scope: Scope, ceiling: Ceiling, at: datetime.datetime, *, capped: bool = True) -> int:
        """Return what counts against a ceiling at a moment, by the calls that the test has seen."""
        calls = [call for call in self.calls if scope in call.scopes and scope.partition not in call.freed]
        if ceiling.window == NOW:
            return sum(call.used is None and not call.lost for call in calls)
        if ceiling.window == MINUTE:
            first = at - datetime.timedelta(seconds=60)
            counted = [call for call in calls if first < call.admitted_at <= at]
        else:
            window = window_of(ceiling.window, at)
            counted = [call for call in calls if window_of(ceiling.window, call.admitted_at) == window]
        return sum(call.amount(ceiling.metric, window=ceiling.window, capped=capped) for call in counted)

    def check_admitted(self, call: Called) -> None:
        for scope in call.scopes:
            for ceiling in scope.ceilings:
                if ceiling.mode is Mode.ENFORCE:
                    taken = self.taken(scope, ceiling, call.admitted_at)
                    assert taken <= ceiling.amount + self.allowance(ceiling), (scope.partition, ceiling.name, taken, ceiling.amount)

    def fits(self, subscription: str, asked: Amounts) -> bool:
        """Whether a call would fit all limits, by what the test knows; excesses count, too."""
        for scope in self.scopes[subscription]:
            for ceiling in scope.ceilings:
                ask = 1 if ceiling.window == NOW else amount_of(asked, ceiling.metric)
                if ask and self.taken(scope, ceiling, self.clock.utc(), capped=False) + ask > ceiling.amount:
                    return False
        return True

    def check_rows(self) -> None:
        """What holds of the rows whenever one looks: a counter's slices are those of its leases, and nothing is below zero."""
        outs: dict[tuple[str, str], int] = {}
        counters: dict[tuple[str, str], Mapping[str, Value]] = {}
        for entity in self.store.rows("limits"):
            if entity.row.startswith("c|"):
                counters[entity.partition, entity.row] = entity.values
            elif entity.row.startswith("l|"):
                for row, (_, out) in held_of(entity).items():
                    assert out >= 0, (entity.row, row, out)
                    outs[entity.partition, row] = outs.get((entity.partition, row), 0) + out
        for key, values in counters.items():
            assert int(values.get("spent", 0)) >= 0, (key, values)
            assert values["out"] == outs.pop(key, 0), (key, values)
        assert not any(outs.values()), outs

    def end(self) -> None:
        """Settle what is under way, close all, let the dead be dead, reconcile: then counters are the ledger's sums, and nothing else."""
        for wire in self.wires.values():
            wire.faults.clear()
        for call in self.calls:
            if call.used is None and not call.lost:
                self.settle(call, call.asked)
        self.check_rows()
        for name in list(self.limiters):
            self.close(name)
        self.check_rows()
        self.advance(GRACE.total_seconds() + 100)
        self.reconcile()
        self.check_counters()

    def check_counters(self) -> None:
        for entity in self.store.rows("limits"):
            assert not entity.row.startswith("l|"), entity
            if not entity.row.startswith("c|"):
                continue
            metric, _, window = entity.row.split("|")[1].partition(".")
            assert entity.values["out"] == 0, entity
            if window in (MINUTE, NOW):
                continue
            calls = [call for call in self.calls if any(each.partition == entity.partition for each in call.scopes)]
            calls = [call for call in calls if call.used and window_of(window, call.admitted_at) == entity.row.split("|")[2]]
            expected = sum(amount_of(call.used, Metric(metric)) for call in calls if call.used)
            assert entity.values["spent"] == expected, (entity.partition, entity.row, entity.values["spent"], expected)
        prover = Prover(self.store, self.clock)
        for partition in {entity.partition for entity in self.store.rows("limits")}:
            assert not [proof for proof in self.run(prover.verify(partition)) if proof.drift]

    def dispose(self) -> None:
        """Let the loop go, with whatever still runs on it."""
        for wire in self.wires.values():
            wire.dead = True
        for task in [task for tasks in self.loop.tasks.values() for task in tasks]:
            task.cancel()
        self.run(asyncio.sleep(0))
        self.loop.close()


def amount_of(amounts: Amounts, metric: Metric) -> int:
    counted = {
        Metric.REQUESTS: amounts.requests,
        Metric.TOKENS: amounts.tokens,
        Metric.INPUT_TOKENS: amounts.input_tokens,
        Metric.OUTPUT_TOKENS: amounts.output_tokens,
        Metric.COST: amounts.cost_micro_usd,
        Metric.CONCURRENCY: 0,
    }
    return counted[metric]
