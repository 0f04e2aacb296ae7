"""What the limiter announces is told, exactly once per window, whoever dies on the way."""

import asyncio
import random
from typing import Any

import pytest

from gateway.alerts.delivery import Delivery
from gateway.alerts.desk import Desk
from gateway.alerts.outbox import Outbox
from gateway.alerts.overhearing import OverheardTables
from gateway.alerts.thresholds import Thresholds, read_partition
from gateway.domain.amounts import Amounts
from gateway.domain.limits import Budget, Limits, Mode, Quota
from gateway.errors import LimitExceeded
from gateway.limits.limiter import Limiter
from gateway.limits.scopes import partitions_of, scopes_of
from tests.builders import make_principal, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.alerts.conftest import START, Receiver

ROW = "a|cost.month|2026-11|80"
VALUES: dict[str, Any] = {"at": START, "spent": 41, "limit": 50, "percent": 80, "mode": "enforce", "scope": "tenant", "source": "tenant"}


@pytest.fixture
def thresholds(tables: FakeTables, outbox: Outbox) -> Thresholds:
    return Thresholds(tables, outbox)


@pytest.fixture
def desk(tables: FakeTables, clock: FakeClock, outbox: Outbox, thresholds: Thresholds, receiver: Receiver) -> Desk:
    return Desk(outbox, thresholds, Delivery(outbox, {"webhook": receiver.tell}, clock))


def told(tables: FakeTables) -> list[dict[str, Any]]:
    return [dict(row.values) for row in tables.rows("alerts") if row.row.startswith("e|")]


async def announce(tables: FakeTables, row: str = ROW) -> None:
    await tables.insert("limits", "tenant|contoso", row, {**VALUES, "delivered": False})


async def test_an_announcement_is_handed_over_once(tables: FakeTables, thresholds: Thresholds) -> None:
    await announce(tables)
    await asyncio.gather(*(thresholds.hand_over("tenant|contoso", ROW) for _ in range(3)))
    assert await thresholds.sweep() == 0
    assert len(told(tables)) == 1


async def test_a_sweep_finds_what_a_dead_process_left(tables: FakeTables, thresholds: Thresholds) -> None:
    for percent in (50, 80, 100):
        await announce(tables, f"a|cost.month|2026-11|{percent}")
    await tables.insert("limits", "tenant|contoso", "c|cost.month|2026-11", {"spent": 41, "out": 0})
    assert await thresholds.sweep() == 3
    assert await thresholds.sweep() == 0
    assert len(told(tables)) == 3


async def test_one_that_was_kept_and_not_marked_is_told_once(tables: FakeTables, outbox: Outbox, thresholds: Thresholds) -> None:
    await announce(tables)
    await thresholds.hand_over("tenant|contoso", ROW)
    row = tables.data["limits", "tenant|contoso", ROW]
    await tables.replace("limits", "tenant|contoso", ROW, {**row.values, "delivered": False}, row.etag)  # as if it had died there
    assert await thresholds.sweep() == 1
    assert len(told(tables)) == 1


async def test_nothing_is_handed_over_that_is_not_there(tables: FakeTables, thresholds: Thresholds) -> None:
    await thresholds.hand_over("tenant|contoso", ROW)
    assert told(tables) == []


async def test_a_store_that_is_down_leaves_it_to_the_sweep(
    tables: FakeTables, desk: Desk, thresholds: Thresholds, caplog: pytest.LogCaptureFixture
) -> None:
    await announce(tables)
    tables.down = True
    desk.announced("tenant|contoso", ROW)
    await desk.close()
    assert "waits for the next sweep" in caplog.text
    tables.down = False
    assert await thresholds.sweep() == 1


def test_partitions_of_scopes_are_read_back() -> None:
    names = partitions_of("contoso", "starter", "sub_1", "ann")
    assert [read_partition(name)[:2] for name in names] == [
        ("gateway", ""),
        ("tenant", "contoso"),
        ("product", "contoso"),
        ("subscription", "contoso"),
        ("user", "contoso"),
    ]
    assert [read_partition(name)[2].split("/")[0] for name in names] == ["", "", "starter", "sub_1", "sub_1"]


async def settle(desk: Desk) -> None:
    if desk._task is not None:
        await desk._task


async def spend(tables: FakeTables, clock: FakeClock, desk: Desk, limits: Limits, calls: int, cost: int) -> int:
    """Make calls until the limit refuses; returns how many were refused."""
    limiter = Limiter(OverheardTables(tables, desk.announced), clock, "w", random.Random(1))
    scopes = scopes_of(Limits(), make_principal(limits=limits), make_product(), "")
    refused = 0
    for _ in range(calls):
        try:
            reservation = await limiter.reserve(scopes, Amounts(1, 10, 10, cost))
            limiter.settle(reservation, Amounts(1, 10, 10, cost))
        except LimitExceeded:
            refused += 1
        clock.advance(0.5)
        await limiter.tick()
        await settle(desk)
    await limiter.close()
    await settle(desk)
    return refused


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.SOFT, Mode.SHADOW])
async def test_a_budget_that_is_spent_is_told_at_each_threshold_once(
    tables: FakeTables, clock: FakeClock, desk: Desk, receiver: Receiver, mode: Mode
) -> None:
    limits = Limits(budget_usd=(Budget("month", 1.0),), mode=mode)
    refused = await spend(tables, clock, desk, limits, 120, 10_000)
    assert (refused > 0) == (mode is Mode.ENFORCE)
    percents = sorted(int(row["data"].split('"percent":')[1].split(",")[0]) for row in told(tables))
    assert percents == [50, 80, 100]
    assert len(receiver.told) == 3


async def test_a_quota_of_the_next_window_is_told_again(tables: FakeTables, clock: FakeClock, desk: Desk, receiver: Receiver) -> None:
    limits = Limits(requests=(Quota("day", 10),))
    await spend(tables, clock, desk, limits, 12, 0)
    clock.advance(86_400)
    await spend(tables, clock, desk, limits, 12, 0)
    assert len(set(receiver.told)) == len(receiver.told) == 6


async def test_spending_that_is_stopped_is_told_once_per_burst(
    tables: FakeTables, clock: FakeClock, desk: Desk, receiver: Receiver
) -> None:
    limits = Limits(spend_usd_per_minute=0.1)
    assert await spend(tables, clock, desk, limits, 60, 10_000) > 0
    assert len(receiver.told) == 1
    clock.advance(120)
    assert await spend(tables, clock, desk, limits, 60, 10_000) > 0
    assert len(set(receiver.told)) == 2
    assert '"spent":0' not in str(told(tables))


async def test_requests_per_minute_are_told_to_nobody(tables: FakeTables, clock: FakeClock, desk: Desk, receiver: Receiver) -> None:
    assert await spend(tables, clock, desk, Limits(requests_per_minute=5), 10, 0) > 0
    assert receiver.told == []
