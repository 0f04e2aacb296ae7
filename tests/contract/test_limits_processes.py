"""Limits between real processes, over SQLite and Azurite, some killed in the middle: never passed, and right to the token."""

import asyncio
import concurrent.futures
import datetime
import itertools
import pathlib
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.domain.amounts import Amounts
from gateway.domain.limits import MINUTE, NOW, Ceiling, Metric
from gateway.errors import QuotaExhausted
from gateway.limits.limiter import Limiter
from gateway.limits.proof import Prover
from gateway.limits.reconcile import GRACE, Reconciler
from gateway.limits.scopes import Scope, partitions_of
from gateway.ports import Tables
from tests.contract.limits_worker import START, Line, Orders, open_store
from tests.fakes.clock import FakeClock

ROOT = pathlib.Path(__file__).parents[2]
STORES = [
    pytest.param("sqlite", marks=pytest.mark.xdist_group("limits_sqlite")),
    pytest.param("azure", marks=[pytest.mark.azurite, pytest.mark.xdist_group("azurite")]),
]


class Crew:
    """Processes that call under one scope's limits, and what they have written down.

    Args:
        folder: Where each writes a file.
        store: See `Orders`.
        ceilings: The scope's.
        orders: More of `Orders`.
    """

    def __init__(self, folder: pathlib.Path, store: str, ceilings: tuple[Ceiling, ...], **orders: Any) -> None:
        self.folder = folder
        self.store = store
        self.subscription = f"sub_{secrets.token_hex(6)}"  # tests share one Azurite
        self.partition = partitions_of("contoso", "starter", self.subscription, "")[3]
        self.ceilings = ceilings
        self.orders = orders
        self.zero_s = time.monotonic()

    def now_s(self) -> float:
        return (time.monotonic() - self.zero_s) * float(self.orders.get("speed", 1.0))

    def work(self, *lives: tuple[int, ...]) -> None:
        """Let processes work side by side, until all are through.

        Args:
            lives: Of each place: after how many lines its processes are killed, one after the other; then one works to its end.
        """
        together = threading.Barrier(len(lives))
        with concurrent.futures.ThreadPoolExecutor(len(lives)) as pool:
            for place in [pool.submit(self._fill, number, each, together) for number, each in enumerate(lives)]:
                place.result()

    def _fill(self, place: int, lives: tuple[int, ...], together: threading.Barrier) -> None:
        for life, lines in enumerate((*lives, 0)):
            name = f"{self.subscription}_{place}_{life}"
            file, seed = str(self.folder / f"{name}.jsonl"), 10 * place + life
            orders = Orders(name, self.store, file, seed, self.zero_s, self.partition, self.ceilings, lines=lines, **self.orders)
            command = [sys.executable, "-m", "tests.contract.limits_worker", msgspec.json.encode(orders).decode()]
            with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True) as process:
                if life == 0:
                    together.wait()
                process.communicate("go\n")
            if process.returncode == 0:
                return  # perhaps before it was to be killed
            assert process.returncode == -signal.SIGKILL
        raise AssertionError("the last one was not to be killed")

    def lines(self) -> list[Line]:
        files = sorted(self.folder.glob(f"{self.subscription}_*.jsonl"))
        return [msgspec.json.decode(line, type=Line) for file in files for line in file.read_bytes().splitlines()]

    def killed(self) -> dict[str, float]:
        """Return who was killed, and when."""
        return {line.worker: line.at_s for line in self.lines() if not line.call}

    def admitted(self) -> list[tuple[Line, Line | None]]:
        """Return each call with its end, None where it was lost with its worker."""
        lines = self.lines()
        ends = {line.call: line for line in lines if line.used is not None}
        return [(line, ends.get(line.call)) for line in lines if line.asked is not None]


@pytest.fixture(params=STORES)
def store(request, tmp_path) -> str:
    return str(tmp_path / "tables.db") if request.param == "sqlite" else request.getfixturevalue("azurite")


@pytest.fixture
def make_crew(store: str, tmp_path: pathlib.Path) -> Callable[..., Crew]:
    return lambda *ceilings, **orders: Crew(tmp_path, store, ceilings, **orders)


def counted(call: tuple[Line, Line | None]) -> Amounts:
    begun, ended = call
    amounts = begun.asked if ended is None else ended.used
    assert amounts is not None
    return amounts


async def write_ledger(tables: Tables, crew: Crew) -> None:
    """Write the records of all calls that ended: the recorder's part."""
    for begun, ended in crew.admitted():
        if ended is not None and ended.used is not None:
            at = START + datetime.timedelta(seconds=ended.at_s)
            values = {"tenant": "contoso", "product": "starter", "subscription": crew.subscription, "worker": begun.worker}
            values |= {"admitted_at": begun.admitted_at, "charged_requests": ended.used.requests}
            values |= {"charged_input_tokens": ended.used.input_tokens, "charged_output_tokens": ended.used.output_tokens}
            values |= {"charged_micro_usd": ended.used.cost_micro_usd}
            await tables.upsert("usage", f"{at:%Y-%m-%dT%H}|contoso|0", f"req_{begun.call}", values)


async def test_killed_processes_pass_no_calendar_limit_and_the_ledger_gives_back_what_they_lost(make_crew, store):
    budget, tokens = Ceiling(Metric.COST, "month", 4000), Ceiling(Metric.TOKENS, "day", 4500)
    crew = make_crew(budget, tokens, calls=60)
    await asyncio.to_thread(crew.work, (30,), (25,), (60,), ())
    calls = crew.admitted()
    assert len(crew.killed()) >= 3
    assert any(ended is None for _, ended in calls)  # somebody died in the middle of a call
    assert sum(counted(call).cost_micro_usd for call in calls) <= budget.amount
    assert sum(counted(call).tokens for call in calls) <= tokens.amount

    tables = open_store(store)
    await write_ledger(tables, crew)
    later = FakeClock(START + datetime.timedelta(seconds=crew.now_s()) + GRACE + datetime.timedelta(minutes=5))
    returned = await Reconciler(tables, later).reconcile(crew.partition)
    assert {told.worker for told in returned} <= {*crew.killed()}
    settled = [ended.used for _, ended in calls if ended is not None]
    proofs = {proof.counter.name: proof for proof in await Prover(tables, later).verify(crew.partition)}
    assert {name: (proof.spent, proof.out, proof.drift) for name, proof in proofs.items()} == {
        "cost.month": (sum(used.cost_micro_usd for used in settled), 0, 0),
        "tokens.day": (sum(used.tokens for used in settled), 0, 0),
    }
    # All that is left can be spent, and nothing more.
    limiter = Limiter(tables, later, f"{crew.subscription}_last", random.Random(1), outage_percent=0)
    scopes = (Scope("subscription", crew.partition, (budget,)),)
    left = budget.amount - proofs["cost.month"].spent
    await limiter.reserve(scopes, Amounts(1, 0, 0, left))
    with pytest.raises(QuotaExhausted):
        await limiter.reserve(scopes, Amounts(1, 0, 0, 1))
    await limiter.close()
    await tables.close()


async def test_fifty_calls_at_once_at_the_edge_of_a_budget_never_cross_it(make_crew, store):
    crew = make_crew(Ceiling(Metric.COST, "month", 75), tasks=13, calls=1, steady=True)
    await asyncio.to_thread(crew.work, (), (), (), ())
    calls = crew.admitted()
    assert 1 <= len(calls) <= 7
    tables, rng = open_store(store), random.Random(1)
    limiter = Limiter(tables, FakeClock(START + datetime.timedelta(seconds=crew.now_s() + 60)), f"{crew.subscription}_last", rng)
    left = 75 - 10 * len(calls)
    scopes = (Scope("subscription", crew.partition, crew.ceilings),)
    with pytest.raises(QuotaExhausted):
        await limiter.reserve(scopes, Amounts(1, 0, 0, left + 1))
    await limiter.reserve(scopes, Amounts(1, 0, 0, left))  # what the others did not use came back when they closed
    await limiter.close()
    await tables.close()


def test_killed_processes_pass_no_rate_in_any_minute_and_no_more_calls_are_under_way_than_may(make_crew):
    requests, tokens, busy = Ceiling(Metric.REQUESTS, MINUTE, 80), Ceiling(Metric.TOKENS, MINUTE, 1500), Ceiling(Metric.CONCURRENCY, NOW, 6)
    crew = make_crew(requests, tokens, busy, speed=20.0, calls=7)
    crew.work((30,), (50,), (), ())
    calls = sorted(crew.admitted(), key=lambda call: call[0].admitted_at)
    assert len(calls) > 2 * requests.amount  # so many that the minute had to slide
    for begun, _ in calls:
        first = begun.admitted_at - datetime.timedelta(seconds=60)
        minute = [call for call in calls if first < call[0].admitted_at <= begun.admitted_at]
        assert len(minute) <= requests.amount
        assert sum(counted(call).tokens for call in minute) <= tokens.amount
    killed = crew.killed()
    changes = [(begun.at_s, 1) for begun, _ in calls]
    changes += [(killed[begun.worker] if ended is None else ended.at_s, -1) for begun, ended in calls]
    assert max(itertools.accumulate(change for _, change in sorted(changes))) <= busy.amount
