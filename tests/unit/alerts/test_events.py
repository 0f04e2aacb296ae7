"""Events are what CloudEvents 1.0 says, byte for byte as they were last time."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.alerts.events import Alert, Kind, alert_id, encode
from gateway.alerts.series import Bucket, Of, Sums
from gateway.alerts.spikes import Verdict
from gateway.alerts.thresholds import alert_of
from gateway.alerts.watch import _spike, _unpriced
from gateway.domain.tables import Entity

GOLDEN = Path(__file__).parent / "golden"
AT = datetime.datetime(2026, 11, 22, 14, 5, tzinfo=datetime.UTC)
ANNOUNCED = {
    "at": AT,
    "spent": 4_000_001,
    "limit": 5_000_000,
    "percent": 80,
    "mode": "enforce",
    "scope": "subscription",
    "source": "product",
    "delivered": False,
}


def spike() -> Alert:
    scope = Of("subscription", "contoso", "sub_1")
    sums = Sums(cost=5_000_000, tokens=700_000, models={"gpt-4o": 4_000_000, "gpt-4o-mini": 1_000_000, "o3": 2, "o4": 1})
    verdicts = {"cost": Verdict(5_000_000, 900_000, True), "tokens": Verdict(700_000, 100_000, True)}
    return _spike(scope, Bucket(AT, {scope: sums}, {}), verdicts)


ALERTS = {
    "threshold": alert_of(Entity("subscription|contoso|sub_1", "a|cost.month|2026-11|80", ANNOUNCED, "1")),
    "threshold_of_user": alert_of(Entity("user|contoso|sub_1|0a1b", "a|tokens.day|2026-11-22|100", ANNOUNCED, "1")),
    "breaker": alert_of(Entity("gateway", "a|cost.minute||100", {**ANNOUNCED, "source": "gateway"}, "1")),
    "spike": spike(),
    "unpriced": _unpriced("new-model-eastus", AT, "req_1", "new-model"),
}


@pytest.mark.parametrize("name", ALERTS)
def test_an_event_is_the_same_as_ever(name: str) -> None:
    assert json.loads(encode(ALERTS[name])) == json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ALERTS)
def test_an_event_has_what_cloudevents_demands(name: str) -> None:
    event: dict[str, Any] = json.loads(encode(ALERTS[name]))
    assert (event["specversion"], event["datacontenttype"]) == ("1.0", "application/json")
    assert all(isinstance(event[each], str) and event[each] for each in ("id", "source", "type", "subject", "time"))
    assert datetime.datetime.fromisoformat(event["time"]).tzinfo is not None
    assert isinstance(event["data"], dict)
    assert [each for each in event if not (each.isascii() and each.isalnum() and each.islower())] == []


def test_an_id_is_of_what_happened_and_when() -> None:
    assert alert_id(AT, "a", "b") == alert_id(AT, "a", "b")
    others = {alert_id(AT, "a", "c"), alert_id(AT, "ab"), alert_id(AT + datetime.timedelta(milliseconds=1), "a", "b")}
    assert alert_id(AT, "a", "b") not in others
    assert len(others) == 3


def test_the_newest_id_comes_first() -> None:
    moments = [AT + datetime.timedelta(milliseconds=number) for number in (0, 1, 1000, 10**9)]
    ids = [alert_id(at, "x") for at in moments]
    assert sorted(ids) == ids[::-1]


def test_a_tenants_alert_is_the_tenants() -> None:
    assert {name: alert.tenant for name, alert in ALERTS.items()} == {
        "threshold": "contoso",
        "threshold_of_user": "contoso",
        "breaker": "",
        "spike": "contoso",
        "unpriced": "",
    }
    assert ALERTS["threshold"].kind is Kind.THRESHOLD
