"""What the embedded host reads from a function's bindings, and what it refuses to guess."""

import json
from typing import Any

import pytest

from devhost.host import AppError, Host, HttpFunction, direct_target, http_function
from devhost.routing import Route

TRIGGER = {"type": "httpTrigger", "name": "req", "authLevel": "ANONYMOUS", "methods": ["get", "POST"], "route": "a/{b}"}
OUT = {"type": "http", "name": "$return", "direction": "OUT"}


def bindings(*rows: dict[str, Any]) -> list[str]:
    return [json.dumps(row) for row in rows]


def test_reads_route_methods_and_the_request_parameter() -> None:
    read = http_function("one", bindings(OUT, TRIGGER))
    assert read == HttpFunction("one", Route("one", "a/{b}", frozenset({"GET", "POST"})), "req")


def test_a_function_without_a_route_is_reached_by_its_name() -> None:
    plain = {name: value for name, value in TRIGGER.items() if name not in {"route", "methods"}}
    assert http_function("one", bindings(plain, OUT)).route == Route("one", "one", frozenset())


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{"type": "timerTrigger", "name": "t"}], "timerTrigger"),
        ([{"type": "serviceBusTrigger", "name": "m"}], "serviceBusTrigger"),
        ([OUT], "no trigger"),
        ([TRIGGER, OUT, {"type": "durableClient", "name": "starter"}], "durableClient"),
        ([{**TRIGGER, "authLevel": "FUNCTION"}, OUT], "Functions key"),
    ],
)
def test_refuses_what_it_does_not_serve(rows: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(AppError, match=complaint):
        http_function("one", bindings(*rows))


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
