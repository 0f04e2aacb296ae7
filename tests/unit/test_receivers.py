"""Who is told of alerts is who the settings name, each under the alert's own id."""

import json

import pytest

from gateway.alerts.events import encode
from gateway.receivers import open_receivers, webhook_fault
from tests.fakes.clock import FakeClock
from tests.fakes.loopback import answer, loopback
from tests.fakes.queue import FakeQueue
from tests.unit.alerts.conftest import make_alert


async def test_nobody_is_told_where_nobody_is_named() -> None:
    receivers = open_receivers("", "", None, "", FakeClock())
    assert receivers.targets == {}
    await receivers.close()


async def test_a_webhook_and_a_queue_get_the_same_event() -> None:
    alert, queue = make_alert(), FakeQueue("alerts")
    async with loopback() as hook:
        hook.will(answer())
        receivers = open_receivers(hook.url, "a secret of some length", queue, "alerts", FakeClock())
        for tell in receivers.targets.values():
            await tell(alert, encode(alert))
        await receivers.close()
    (sent,) = queue.queues["alerts"]
    (posted,) = hook.received
    assert sent.body == posted.body
    assert sent.message_id == posted.headers["webhook-id"] == json.loads(sent.body)["id"]
    assert sent.content_type == posted.headers["content-type"] == "application/cloudevents+json"
    assert sent.subject == "gateway.budget.threshold"
    assert queue.closed


@pytest.mark.parametrize(
    ("url", "secret", "fault"),
    [
        ("", "", None),
        ("https://hooks.contoso.com/", "whsec_AAECAwQFBgc=", None),
        ("http://hooks.contoso.com/", "", "GATEWAY_ALERTS_WEBHOOK must be an https:// URL"),
        ("https://hooks.contoso.com/", "whsec_not base64 at all", "GATEWAY_ALERTS_WEBHOOK_SECRET"),
    ],
)
def test_a_fault_names_its_setting_and_not_its_value(url: str, secret: str, fault: str | None) -> None:
    found = webhook_fault(url, secret)
    assert (found is None) if fault is None else (found is not None and found.startswith(fault))
    assert found is None or ("contoso" not in found and "not base64 at" not in found)
