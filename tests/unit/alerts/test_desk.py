"""What administrators see of alerts, and what tenants' administrators do not."""

import asyncio
from typing import Any

import pytest

from gateway.alerts.delivery import Delivery
from gateway.alerts.desk import Desk
from gateway.alerts.events import Kind
from gateway.alerts.housekeeping import Housekeeping
from gateway.alerts.outbox import Outbox
from gateway.alerts.thresholds import Thresholds
from gateway.domain.access import Role
from gateway.domain.management import Asked
from gateway.errors import NotFound, PermissionDenied, RequestError, StoreUnavailable, Unavailable
from tests.builders import make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.alerts.conftest import Receiver, make_alert


def asked(role: Role = Role.ADMIN, **query: str) -> Asked:
    return Asked(make_principal(tenant="contoso", roles=frozenset({role})), query=query)


@pytest.fixture
def desk(tables: FakeTables, clock: FakeClock, outbox: Outbox, receiver: Receiver) -> Desk:
    return Desk(outbox, Thresholds(tables, outbox), Delivery(outbox, {"webhook": receiver.tell}, clock))


@pytest.fixture
async def three(outbox: Outbox) -> None:
    await outbox.add(make_alert(1))
    await outbox.add(make_alert(2, tenant="fabrikam", kind=Kind.SPIKE))
    await outbox.add(make_alert(3, tenant="", kind=Kind.UNPRICED))


async def ids(desk: Desk, question: Asked) -> list[str]:
    return [each["id"] for each in (await desk.list(question))["data"]]


async def test_the_newest_is_first(desk: Desk, three: None) -> None:
    assert await ids(desk, asked()) == [make_alert(number).id for number in (3, 2, 1)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"tenant": "contoso"}, [1]),
        ({"type": "gateway.cost.spike"}, [2]),
        ({"state": "pending"}, [3, 2, 1]),
        ({"state": "dead"}, []),
        ({"tenant": "fabrikam", "type": "gateway.price.missing"}, []),
    ],
)
async def test_filters_leave_out_what_does_not_fit(desk: Desk, three: None, query: dict[str, str], numbers: list[int]) -> None:
    assert await ids(desk, asked(**query)) == [make_alert(number).id for number in numbers]


@pytest.mark.parametrize("query", [{"type": "nonsense"}, {"state": "x"}, {"limit": "0"}, {"after": "x"}])
async def test_a_filter_that_is_none_is_named(desk: Desk, query: dict[str, str]) -> None:
    with pytest.raises(RequestError) as caught:
        await desk.list(asked(**query))
    assert [caught.value.param] == list(query)


async def test_a_tenants_administrator_sees_its_own_only(desk: Desk, three: None) -> None:
    assert await ids(desk, asked(Role.TENANT_ADMIN)) == [make_alert(1).id]
    with pytest.raises(PermissionDenied):
        await desk.list(asked(Role.TENANT_ADMIN, tenant="fabrikam"))
    for number in (2, 3):
        with pytest.raises(NotFound):
            await desk.replay(asked(Role.TENANT_ADMIN), make_alert(number).id)


async def test_pages_hold_everything_once(desk: Desk, outbox: Outbox) -> None:
    for number in range(50):
        await outbox.add(make_alert(number, tenant="contoso" if number % 5 else "fabrikam"))
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await desk.list(asked(tenant="fabrikam", limit="3", **({"after": after} if after else {})))
        seen += [each["id"] for each in page["data"]]
        after = page["after"]
    assert seen == [make_alert(number).id for number in range(45, -1, -5)]


async def test_an_alert_is_shown_with_what_became_of_it(desk: Desk, outbox: Outbox, receiver: Receiver, clock: FakeClock) -> None:
    await outbox.add(make_alert())
    receiver.failing = Unavailable("the webhook answered 503")
    await desk._delivery.run()
    (shown,) = (await desk.list(asked()))["data"]
    assert (shown["state"], shown["attempts"], shown["error"]) == ("pending", 1, "webhook: the webhook answered 503")
    assert (shown["type"], shown["subject"], shown["data"]) == ("gateway.budget.threshold", "tenant/contoso", {"percent": 80})
    receiver.failing = None
    clock.advance(60)
    await desk._delivery.run()
    (shown,) = (await desk.list(asked()))["data"]
    assert (shown["state"], shown["attempts"], "error" in shown) == ("delivered", 2, False)
    assert shown["delivered_at"] == clock.utc()


async def test_a_replay_tells_at_once(desk: Desk, outbox: Outbox, receiver: Receiver) -> None:
    await outbox.add(make_alert())
    await desk._delivery.run()
    assert (await desk.replay(asked(Role.TENANT_ADMIN), make_alert().id))["state"] == "delivered"
    assert receiver.told == [make_alert().id] * 2


async def test_closing_does_not_wait_for_a_slow_receiver(
    tables: FakeTables, clock: FakeClock, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def tell(alert: Any, body: bytes) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.alerts.desk.CLOSE_S", 0.01)
    desk = Desk(outbox, Thresholds(tables, outbox), Delivery(outbox, {"webhook": tell}, clock))
    await outbox.add(make_alert())
    desk.announced("tenant|contoso", "a|cost.month|2026-11|80")
    await begun.wait()
    await desk.close()
    assert desk._task is not None
    assert desk._task.cancelled()


async def test_chores_are_done_though_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def chore(name: str, error: Exception | None = None) -> Any:
        async def do() -> None:
            done.append(name)
            if error is not None:
                raise error

        return do

    house = Housekeeping(
        {"first": chore("first", ValueError("a fault"))},
        {"store": chore("store", StoreUnavailable("nobody there")), "last": chore("last")},
        {"quarter": chore("quarter")},
    )
    await house.minute()
    await house.minute()
    await house.quarter()
    assert done == ["first", "store", "last", "store", "last", "quarter"]
    assert "a fault" in caplog.text
    assert "nobody there" in caplog.text
