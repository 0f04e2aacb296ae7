"""A budget is spent on a running gateway, and its receiver is told: half, nearly, all; each once, and signed."""

import asyncio
import base64
import hmac
import json
from typing import Any

import pytest

from tests.fakes.loopback import Loopback, answer, loopback
from tests.host.asking import ask, eventually, kill

SECRET = "whsec_" + base64.b64encode(b"a secret of the receiver's").decode()
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}


def subscribe(gateway: Any, limits: dict[str, Any]) -> str:
    order = {"tenant": "default", "product": "unlimited", "name": "spends", "limits": limits}
    made = ask(gateway, "POST", "/manage/subscriptions", order, key=gateway.admin_key)
    assert made.status == 201, made
    key: str = made.json()["keys"]["primary"]
    return key


def manage(gateway: Any, path: str, method: str = "GET") -> Any:
    answered = ask(gateway, method, f"/manage/{path}", {} if method == "POST" else None, key=gateway.admin_key)
    assert answered.status == 200, answered
    return answered.json()


async def told(receiver: Loopback, count: int) -> list[dict[str, Any]]:
    await asyncio.to_thread(eventually, lambda: len(receiver.received) >= count, f"{count} events")
    for each in receiver.received:
        signed = f"{each.headers['webhook-id']}.{each.headers['webhook-timestamp']}.".encode() + each.body
        expected = base64.b64encode(hmac.digest(b"a secret of the receiver's", signed, "sha256")).decode()
        assert each.headers["webhook-signature"] == f"v1,{expected}"
    return [json.loads(each.body) for each in receiver.received]


@pytest.mark.parametrize("mode", ["direct", "worker"])
async def test_a_budget_is_told_at_each_threshold_exactly_once(run_host: Any, mode: str) -> None:
    async with loopback() as receiver:
        for _ in range(20):
            receiver.will(answer())
        settings = {"GATEWAY_ALERTS_WEBHOOK": f"{receiver.url}/alerts", "GATEWAY_ALERTS_WEBHOOK_SECRET": SECRET}
        gateway = await asyncio.to_thread(run_host, *(["--worker"] if mode == "worker" else []), settings=settings)
        key = await asyncio.to_thread(subscribe, gateway, {"requests": [{"period": "year", "limit": 20}]})
        statuses = [(await asyncio.to_thread(ask, gateway, "POST", "/v1/chat/completions", CHAT, key=key)).status for _ in range(25)]
        assert statuses == [200] * 20 + [403] * 5
        events = await told(receiver, 3)
        assert sorted(event["data"]["percent"] for event in events) == [50, 80, 100]
        assert {event["type"] for event in events} == {"gateway.budget.threshold"}
        listed = (await asyncio.to_thread(manage, gateway, "alerts"))["data"]
        assert [(each["id"], each["state"]) for each in listed] == [(each, "delivered") for each in sorted(event["id"] for event in events)]
        (line,) = (await asyncio.to_thread(manage, gateway, "budgets"))["data"]
        assert (line["metric"], line["charged"], line["percent"]) == ("requests", 20, 100.0)
        again = await asyncio.to_thread(manage, gateway, f"alerts/{events[0]['id']}/replay", "POST")
        assert again["state"] == "delivered"
        assert (await told(receiver, 4))[3] == events[0]
        assert await asyncio.to_thread(gateway.stop) == 0
        assert len(receiver.received) == 4


def test_what_could_not_be_told_outlives_a_kill(run_host: Any, tmp_path: Any, unused_tcp_port: int) -> None:
    data, settings = ("--data", str(tmp_path / "data")), {"GATEWAY_ALERTS_WEBHOOK": f"http://127.0.0.1:{unused_tcp_port}/"}
    gateway = run_host(*data, settings=settings)
    key = subscribe(gateway, {"requests": [{"period": "year", "limit": 2}]})
    for _ in range(3):
        ask(gateway, "POST", "/v1/chat/completions", CHAT, key=key)

    def tried() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = manage(gateway, "alerts")["data"]
        return listed if len(listed) == 3 and all(each["attempts"] and "error" in each for each in listed) else []

    listed = eventually(tried, "three attempts")
    assert {(each["state"], each["error"]) for each in listed} == {("pending", "webhook: the webhook could not be reached")}
    kill(gateway)
    kept = manage(run_host(*data, settings=settings), "alerts")["data"]
    assert [(each["id"], each["state"]) for each in kept] == [(each["id"], "pending") for each in listed]


@pytest.mark.parametrize("url", ["http://hooks.contoso.com/", "https://169.254.169.254/", "nonsense"])
def test_says_in_one_line_that_a_webhook_cannot_be(run_host: Any, url: str) -> None:
    running = run_host(settings={"GATEWAY_ALERTS_WEBHOOK": url})
    assert running.wait() == 1
    assert running.errors().startswith("error: GATEWAY_ALERTS_WEBHOOK ")
    assert url not in running.errors()
