"""Some workers over one store in memory, whose writes get lost at a test's word."""

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.domain.amounts import Amounts
from gateway.domain.limits import Limits
from gateway.domain.tables import Write
from gateway.errors import LimitExceeded, StoreUnavailable
from gateway.limits.limiter import Limiter, Reservation
from gateway.limits.scopes import Scope, scopes_of
from tests.builders import make_principal, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

START = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
TOKENS = 100
RATES = Limits(requests_per_minute=5, tokens_per_minute=TOKENS)


class LossyTables(FakeTables):
    """Loses the next writes, or only their answers: `faults` says which, as `before` and `after`."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.meanwhile: list[Any] = []

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        if self.meanwhile:
            await self.meanwhile.pop(0)()
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise StoreUnavailable("lost")
        etags = await super().transact(table, partition, writes)
        if fault == "after":
            raise StoreUnavailable("lost")
        return etags


class World:
    """Some workers, one store, one clock."""

    def __init__(self, start: dt.datetime = START, workers: int = 1, **options: int) -> None:
        self.clock = FakeClock(start)
        self.tables = LossyTables()
        self.workers = [Limiter(self.tables, self.clock, f"w{number}", random.Random(number), **options) for number in range(workers)]

    @property
    def limiter(self) -> Limiter:
        return self.workers[0]

    async def reserve(self, limits: Limits | tuple[Scope, ...] = RATES, tokens: int = 0, worker: int = 0, cost: int = 0) -> Reservation:
        scopes = limits if isinstance(limits, tuple) else of(limits)
        return await self.workers[worker].reserve(scopes, Amounts(1, tokens, 0, cost))

    async def refused(self, limits: Limits | tuple[Scope, ...] = RATES, tokens: int = 0, worker: int = 0, cost: int = 0) -> LimitExceeded:
        with pytest.raises(LimitExceeded) as caught:
            await self.reserve(limits, tokens, worker, cost)
        return caught.value

    async def pass_by(self, seconds: float) -> None:
        """Let time pass as it does: with a tick each second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            for worker in self.workers:
                await worker.tick()

    def row(self, start: str) -> dict[str, Any]:
        (found,) = [entity for entity in self.tables.rows("limits") if entity.row.startswith(start)]
        return dict(found.values)

    def announced(self) -> list[str]:
        return [entity.row for entity in self.tables.rows("limits") if entity.row.startswith("a|")]


def of(limits: Limits, **product: Limits) -> tuple[Scope, ...]:
    return scopes_of(Limits(), make_principal(limits=limits), make_product(**product), "")


def used(tokens: int = 0, requests: int = 1, cost: int = 0) -> Amounts:
    return Amounts(requests, tokens, 0, cost)
