"""What the embedded host reads from a function's bindings, and what it refuses to guess."""

import asyncio
import datetime
import json
from typing import Any

import pytest
from azure.functions.timer import TimerRequest

from devhost.functions import AppError, HttpFunction, TimerFunction, read_function
from devhost.host import Host, direct_target, direct_timer
from devhost.routing import Route
from devhost.timers import Timer, payload, read_schedule

TRIGGER = {"type": "httpTrigger", "name": "req", "authLevel": "ANONYMOUS", "methods": ["get", "POST"], "route": "a/{b}"}
TIMER = {"type": "timerTrigger", "name": "timer", "schedule": "0 * * * * *"}
NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
OUT = {"type": "http", "name": "$return", "direction": "OUT"}


def bindings(*rows: dict[str, Any]) -> list[str]:
    return [json.dumps(row) for row in rows]


def test_reads_route_methods_and_the_request_parameter() -> None:
    read = read_function("one", bindings(OUT, TRIGGER))
    assert read == HttpFunction("one", Route("one", "a/{b}", frozenset({"GET", "POST"})), "req")


def test_a_function_without_a_route_is_reached_by_its_name() -> None:
    plain = {name: value for name, value in TRIGGER.items() if name not in {"route", "methods"}}
    assert read_function("one", bindings(plain, OUT)) == HttpFunction("one", Route("one", "one", frozenset()), "req")


def test_reads_a_timer_with_its_schedule() -> None:
    assert read_function("tick", bindings(TIMER)) == TimerFunction("tick", read_schedule("0 * * * * *"), "timer")


async def test_a_timer_is_handed_over_as_the_sdk_says() -> None:
    seen: list[Any] = []

    async def later(timer: Any) -> None:
        seen.append(timer)

    def plain(timer: Any) -> None:
        seen.append(timer)

    function = TimerFunction("tick", read_schedule("0 * * * * *"), "timer")
    for handler in (later, plain):
        await direct_timer(function, handler, TimerRequest).run(payload(None, NOON))
    assert [(each.past_due, each.schedule_status["Next"]) for each in seen] == [(False, NOON.isoformat())] * 2


async def test_timers_run_from_the_start_to_the_stop() -> None:
    ran = asyncio.Event()

    async def run(text: str) -> None:
        ran.set()

    host = Host([], "", timers=[Timer("tick", read_schedule("* * * * * *"), run)])
    told = iter([None, ran.wait()])

    async def receive() -> dict[str, Any]:
        if (waiting := next(told)) is not None:
            await waiting
        return {}

    async def send(message: Any) -> None:
        pass

    await host({"type": "lifespan"}, receive, send)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "timer tick"]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{"type": "queueTrigger", "name": "t"}], "queueTrigger"),
        ([{**TIMER, "schedule": "* * *"}], "six fields"),
        ([{**TIMER, "runOnStartup": True}], "runOnStartup"),
        ([TIMER, OUT], "binding"),
        ([{"type": "serviceBusTrigger", "name": "m"}], "serviceBusTrigger"),
        ([OUT], "no trigger"),
        ([TRIGGER, OUT, {"type": "durableClient", "name": "starter"}], "durableClient"),
        ([{**TRIGGER, "authLevel": "FUNCTION"}, OUT], "Functions key"),
    ],
)
def test_refuses_what_it_does_not_serve(rows: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(AppError, match=complaint):
        read_function("one", bindings(*rows))


async def served(handler: Any) -> list[dict[str, Any]]:
    function = HttpFunction("one", Route("one", "one"), "req")
    host = Host([(function, direct_target(function, handler, lambda scope, receive: scope))], "")
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    await host({"type": "http", "method": "GET", "path": "/one", "raw_path": b"/one", "headers": []}, receive, send)
    return sent


@pytest.mark.parametrize("answer", [None, "text", {"a": 1}])
async def test_a_handler_that_returns_no_response_is_a_500(answer: Any) -> None:
    async def handler(req: Any) -> Any:
        return answer

    sent = await served(handler)
    assert (sent[0]["status"], sent[1]["body"]) == (500, b"")


async def test_closes_everything_though_one_part_fails() -> None:
    closed: list[str] = []

    async def broken() -> None:
        closed.append("broken")
        raise OSError

    async def fine() -> None:
        closed.append("fine")

    host = Host([], "", [broken, fine])
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await host({"type": "lifespan"}, receive, send)
    assert closed == ["broken", "fine"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
