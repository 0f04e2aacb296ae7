"""One worker of the tests of limits between processes: calls as fast as it is let, each written down before it counts.

    python -m tests.contract.limits_worker '<JSON of Orders>'

It waits for a line, makes its calls, closes its limiter and ends with 0; or it kills itself, as kill -9 would, at a moment that
nothing foresees. Of each call it appends a line when it was admitted and one when it ends, before the limiter hears of that; so
what a killed worker was doing can be told from its file.
"""

import asyncio
import datetime
import os
import random
import signal
import sys
import time

import msgspec

from gateway.adapters import tables as azure
from gateway.adapters.tables_sqlite import SqliteTables
from gateway.domain.amounts import Amounts
from gateway.domain.limits import Ceiling
from gateway.errors import LimitExceeded, QuotaExhausted, StoreUnavailable
from gateway.limits.limiter import Limiter
from gateway.limits.scopes import Scope
from gateway.ports import Tables

START = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
MOST_REFUSALS = 6
MOST_TRIES = 40


class Orders(msgspec.Struct, frozen=True):
    """What a worker is to do.

    Attributes:
        store: A SQLite file's path, or a connection string.
        zero_s: When it was `START`, on the system's monotonic clock.
        speed: How many seconds pass in one.
        calls: Of each task; what is refused for a rate is asked for again, `MOST_TRIES` times each on average.
        steady: Each call asks for the same, and uses it.
        lines: It is killed soon after so many; 0 for never.
    """

    worker: str
    store: str
    file: str
    seed: int
    zero_s: float
    partition: str
    ceilings: tuple[Ceiling, ...]
    speed: float = 1.0
    tasks: int = 8
    calls: int = 50
    steady: bool = False
    lines: int = 0


class Line(msgspec.Struct, frozen=True):
    """A call was admitted (`asked`), or ended (`used`), at `at_s` on the worker's clock; or, with neither, the worker died."""

    call: str
    worker: str
    at_s: float
    admitted_at: datetime.datetime = START
    asked: Amounts | None = None
    used: Amounts | None = None


class FastClock:
    """A day in an hour, the same in all processes."""

    def __init__(self, zero_s: float, speed: float) -> None:
        self._zero_s = zero_s
        self._speed = speed

    def now_s(self) -> float:
        return (time.monotonic() - self._zero_s) * self._speed

    def utc(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.now_s())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


def open_store(location: str) -> Tables:
    return azure.connect(location, None) if "AccountName=" in location else SqliteTables(location)


class Worker:
    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.rng = random.Random(orders.seed)
        self.clock = FastClock(orders.zero_s, orders.speed)
        self.tables = open_store(orders.store)
        self.limiter = Limiter(self.tables, self.clock, orders.worker, random.Random(orders.seed), outage_percent=0)
        self.scopes = (Scope("subscription", orders.partition, orders.ceilings),)
        self.file = os.open(orders.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.lines = 0

    def note(self, line: Line) -> None:
        os.write(self.file, msgspec.json.encode(line) + b"\n")
        self.lines += 1
        if self.lines == self.orders.lines:
            asyncio.get_running_loop().call_later(self.rng.uniform(0.0, 0.03), self.die)

    def die(self) -> None:
        self.note(Line("", self.orders.worker, self.clock.now_s()))
        os.kill(os.getpid(), signal.SIGKILL)

    async def run(self) -> None:
        await asyncio.gather(*(self.task(number) for number in range(self.orders.tasks)))
        await self.limiter.close()
        await self.tables.close()

    async def task(self, number: int) -> None:
        refusals = made = 0
        for turn in range(MOST_TRIES * self.orders.calls):
            if made == self.orders.calls:
                return
            asked = Amounts(1, 6, 4, 10) if self.orders.steady else Amounts(1, *(self.rng.randint(0, most) for most in (20, 10, 30)))
            try:
                reservation = await self.limiter.reserve(self.scopes, asked)
            except QuotaExhausted:
                refusals += 1
                if refusals == MOST_REFUSALS:
                    return
                await asyncio.sleep(0.05)
                continue
            except LimitExceeded as refusal:
                await self.clock.sleep(min(refusal.retry_after_s or 1.0, 20.0) * self.rng.uniform(0.3, 1.0))
                continue
            except StoreUnavailable:  # it was asked by too many at once
                await asyncio.sleep(0.05)
                continue
            made += 1
            assert reservation.admitted_at is not None
            call = f"{self.orders.worker}-{number}-{turn}"
            self.note(Line(call, self.orders.worker, self.clock.now_s(), reservation.admitted_at, asked=asked))
            await asyncio.sleep(self.rng.uniform(0.0, 0.02))
            share = 1.0 if self.orders.steady else self.rng.random()
            parts = (asked.input_tokens, asked.output_tokens, asked.cost_micro_usd)
            used = Amounts(1, *(int(part * share) for part in parts)) if share > 0.1 else Amounts()
            self.note(Line(call, self.orders.worker, self.clock.now_s(), reservation.admitted_at, used=used))
            self.limiter.settle(reservation, used)


def main() -> None:
    worker = Worker(msgspec.json.decode(sys.argv[1], type=Orders))
    sys.stdin.readline()
    asyncio.run(worker.run())


if __name__ == "__main__":
    main()
