import datetime
from collections.abc import Callable
from typing import Any

import pytest

from gateway.alerts.delivery import Delivery
from gateway.alerts.events import Alert, Kind, alert_id
from gateway.alerts.outbox import Outbox
from gateway.errors import Unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

START = datetime.datetime(2026, 11, 22, 14, 5, tzinfo=datetime.UTC)


class Receiver:
    """Somebody who is told; `failing` makes it refuse, `dying` ends the process that tells, after it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.failing: Unavailable | None = None
        self.dying = False

    async def tell(self, alert: Alert, body: bytes) -> None:
        assert alert.id in body.decode()
        if self.failing is not None:
            raise self.failing
        self.told.append(alert.id)
        if self.dying:
            raise KeyboardInterrupt


def make_alert(number: int = 1, **over: Any) -> Alert:
    at = START + datetime.timedelta(seconds=number)
    fields: dict[str, Any] = {
        "id": alert_id(at, f"test {number}"),
        "kind": Kind.THRESHOLD,
        "subject": "tenant/contoso",
        "tenant": "contoso",
        "at": at,
        "data": {"percent": 80},
    }
    return Alert(**fields | over)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def tables() -> FakeTables:
    return FakeTables()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def outbox(tables: FakeTables, clock: FakeClock) -> Outbox:
    return Outbox(tables, clock, ["webhook"])


type Restart = Callable[[], Delivery]


@pytest.fixture
def restart(tables: FakeTables, clock: FakeClock, receiver: Receiver) -> Restart:
    """Return what delivers in a new process."""
    return lambda: Delivery(Outbox(tables, clock, ["webhook"]), {"webhook": receiver.tell}, clock)
