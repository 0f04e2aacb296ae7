"""Requests and responses as ASGI sees them, over the whole pipeline with its fakes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway import container
from gateway.access.administration import Administration
from gateway.access.audit import Audit
from gateway.access.memory import Memory
from gateway.container import Gateway
from gateway.domain.call import Operation, Surface
from gateway.domain.management import Asked
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, RequestError, Unavailable, UpstreamError
from gateway.routes import header_faults, http, patience
from gateway.routes.http import administer, respond
from gateway.settings import load_settings
from tests.fakes.upstream import FOREVER, Reply
from tests.flow.street import ADMIN_KEY, CHAT, DONE, STREAM, Street, completion, event, failure, streamed, until
from tests.unit.routes.exchange import Exchange

SETTINGS = {"AzureWebJobsStorage": "x", "GATEWAY_KEY_PEPPER": "x" * 16, "GATEWAY_COUNTRY_HEADER": "X-Country"}


@pytest.fixture
async def street(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Street]:
    street = Street()
    parts: Any = dict.fromkeys(Gateway.__struct_fields__)
    parts |= {"settings": load_settings(SETTINGS), "pipeline": street.pipeline}
    parts |= {
        "administration": Administration(street.directory, Memory(street.directory, street.clock)),
        "audit": Audit(street.tables, street.clock),
    }
    monkeypatch.setattr(container, "clock", street.clock)
    monkeypatch.setattr(container._worker, "gateway", Gateway(**parts))
    yield street
    await street.recorder.close()


async def ask(street: Street, exchange: Exchange, **over: Any) -> Exchange:
    exchange.scope["headers"].append((b"authorization", f"Bearer {await street.key()}".encode()))  # type: ignore[attr-defined]
    await exchange.finish(await respond(exchange.request, Operation.CHAT, **over))
    return exchange


async def test_an_answer_is_the_upstreams_bytes_with_our_headers(street: Street) -> None:
    street.upstream.will(reply := completion())
    exchange = await ask(street, Exchange())
    assert (exchange.status, exchange.body) == (200, b"".join(reply.steps))
    headers = exchange.headers
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(exchange.body))
    assert headers["x-request-id"] == (await street.record())["request_id"]
    assert headers["x-gateway-deployment"] == "east"


async def test_an_error_has_openais_shape(street: Street) -> None:
    exchange = await ask(street, Exchange(CHAT | {"model": "gpt-9"}))
    assert exchange.status == 404
    error = json.loads(exchange.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")
    assert exchange.headers["x-request-id"].startswith("req_")
    assert "retry-after" not in exchange.headers


@pytest.mark.parametrize(
    ("upstream", "seconds", "milliseconds"), [({"retry-after-ms": "1500.5"}, "2", "1501"), ({"retry-after": "7"}, "7", "7000")]
)
async def test_a_wait_is_told_in_both_forms_and_never_too_short(
    street: Street, upstream: dict[str, str], seconds: str, milliseconds: str
) -> None:
    street.upstream.will(failure(429, **upstream), failure(429, **upstream))
    exchange = await ask(street, Exchange())
    assert (exchange.status, exchange.headers["retry-after"], exchange.headers["retry-after-ms"]) == (429, seconds, milliseconds)


def test_a_very_short_wait_is_a_whole_second_in_seconds() -> None:
    error = GatewayError("later", retry_after_s=0.001)
    assert http._retry_headers(error) == {"retry-after": "1", "retry-after-ms": "1"}


async def test_a_path_that_no_route_serves_is_refused_with_its_allow_header(street: Street) -> None:
    exchange = Exchange()
    refusal = MethodNotAllowed("not that way", headers={"allow": "POST"})
    await exchange.finish(await respond(exchange.request, Operation.UNKNOWN, Surface.AZURE, error=refusal))
    assert (exchange.status, exchange.headers["allow"]) == (405, "POST")
    assert (await street.record())["surface"] == "azure"


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ("abc-123", "abc-123"),
        ("a\r\nset-cookie: x=y", "aset-cookie: x=y"),
        ("\x00\x7f", ""),
        ("\xe9\xff", "\xe9\xff"),
        ("x" * 500, "x" * 128),
    ],
)
async def test_an_echoed_header_cannot_make_another(street: Street, sent: str, echoed: str) -> None:
    street.upstream.will(completion())
    exchange = await ask(street, Exchange(x_ms_client_request_id=sent))
    assert exchange.headers["x-ms-client-request-id"] == echoed
    assert "set-cookie" not in exchange.headers


def test_no_header_value_can_make_another_or_fail_to_be_sent() -> None:
    inbound = http._inbound(Exchange().request, Operation.CHAT, Surface.OPENAI)
    headers = http._headers(b"x", inbound, {"a": "1\r\nb: 2", "c": "\u4f60\n"})
    assert headers == [(b"content-type", b"x"), (b"x-request-id", inbound.request_id.encode()), (b"a", b"1b: 2"), (b"c", b"?")]


@pytest.mark.parametrize("name", [*header_faults.DECIDING_HEADERS, b"x-country"])
async def test_a_deciding_header_that_is_there_twice_is_refused_by_name(street: Street, name: bytes) -> None:
    exchange = Exchange()
    exchange.scope["headers"] += [(name, b"gzip"), (name, b"identity")]
    await ask(street, exchange)
    assert (exchange.status, json.loads(exchange.body)["error"]["param"]) == (400, name.decode())
    assert (await street.record())["error_code"] == "duplicate_header"


async def test_an_encoded_slash_belongs_to_the_models_name() -> None:
    exchange = Exchange()
    exchange.scope["path_params"] = {"deployment": "org%2Fmodel"}
    assert http._inbound(exchange.request, Operation.CHAT, Surface.AZURE).path_model == "org/model"


async def test_a_misconfigured_gateway_refuses_with_a_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    async def misconfigured() -> Gateway:
        raise Unavailable("wrong", code="misconfigured")

    monkeypatch.setattr(container, "get", misconfigured)
    for asking in (respond(Exchange().request, Operation.CHAT), administer(Exchange().request, 200, act=None)):  # type: ignore[arg-type]
        exchange = Exchange()
        await exchange.finish(await asking)
        assert exchange.status == 503
        assert exchange.headers["x-request-id"].startswith("req_")


async def test_a_stream_is_sent_piece_by_piece(street: Street) -> None:
    street.upstream.will(streamed())
    exchange = await ask(street, Exchange(STREAM))
    assert exchange.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert exchange.headers["cache-control"] == "no-cache"
    assert "content-length" not in exchange.headers
    # The first piece holds all up to the first content.
    assert [message["more_body"] for message in exchange.sent[1:]] == [True] * 4 + [False]
    assert exchange.body.endswith(DONE)


async def test_an_error_after_the_first_byte_is_one_event_and_no_done(street: Street) -> None:
    street.upstream.will(streamed(event("Hel"), UpstreamError("broke off", code="upstream_interrupted")))
    exchange = await ask(street, Exchange(STREAM))
    assert exchange.status == 200
    first, error, end = (message["body"] for message in exchange.sent[1:])
    assert (first, end) == (event("Hel"), b"")
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "upstream_interrupted"
    assert error.endswith(b"\n\n")


async def test_a_client_that_leaves_a_stream_ends_it_quietly(street: Street) -> None:
    street.upstream.will(streamed(event("Hel"), FOREVER))
    exchange = Exchange(STREAM)
    asking = asyncio.create_task(ask(street, exchange))
    await until(lambda: len(exchange.sent) == 2)
    exchange.left.set()
    await asking
    assert street.upstream.responses[0].closed
    record = await street.record()
    assert (record["status"], record["error_code"], record["completion_tokens"]) == (499, "client_disconnected", 3)


async def test_a_client_that_never_reads_does_not_hold_its_place_for_ever(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "UNREAD_S", 0.01)
    street.upstream.will(streamed(event("Hel"), FOREVER))
    exchange = Exchange(STREAM)

    async def send(message: Any) -> None:
        exchange.sent.append(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # its buffers are full

    exchange.send = send  # type: ignore[method-assign]
    await ask(street, exchange)
    assert (await street.record())["error_code"] == "client_disconnected"
    assert len(exchange.sent) == 2  # nothing more is said to it: it would not be read either
    assert all(state.in_flight == 0 for state in street.health.states(street.clock.now_s()))


async def test_a_host_that_stops_ends_a_stream_with_an_event_that_says_so(street: Street) -> None:
    street.upstream.will(streamed(event("Hel"), FOREVER))
    exchange = Exchange(STREAM)
    asking = asyncio.create_task(ask(street, exchange))
    await until(lambda: len(exchange.sent) == 2)
    asking.cancel()
    await asking
    assert json.loads(exchange.sent[-1]["body"].removeprefix(b"data: "))["error"]["code"] == "stopping"
    assert street.upstream.responses[0].closed
    assert (await street.record())["error_code"] == "stopping"


async def test_a_client_that_leaves_a_plain_call_cancels_it(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WATCH_AFTER_S", 0.0)
    street.upstream.will(Reply(wait_s=FOREVER))
    exchange = Exchange()
    asking = asyncio.create_task(ask(street, exchange))
    await street.upstream.asked.wait()
    exchange.left.set()
    await asking
    assert exchange.status == 499
    assert street.upstream.cancelled == 1
    assert asking.cancelling() == 0
    assert (await street.record())["error_code"] == "client_disconnected"


async def test_a_client_is_watched_even_if_its_body_took_long(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WATCH_AFTER_S", 0.001)
    street.upstream.will(Reply(wait_s=FOREVER))
    exchange = Exchange()
    exchange.more.clear()
    asking = asyncio.create_task(ask(street, exchange))
    asyncio.get_running_loop().call_later(0.01, exchange.more.set)  # after the first look
    await street.upstream.asked.wait()
    exchange.left.set()
    await asking
    assert exchange.status == 499


async def test_a_host_that_stops_answers_a_plain_call_503(street: Street) -> None:
    street.upstream.will(Reply(wait_s=FOREVER))
    exchange = Exchange()
    asking = asyncio.create_task(ask(street, exchange))
    await street.upstream.asked.wait()
    asking.cancel()
    await asking
    assert (exchange.status, json.loads(exchange.body)["error"]["code"]) == (503, "stopping")
    assert (await street.record())["error_code"] == "stopping"


async def manage(street: Street, exchange: Exchange, fault: Exception | None = None) -> Exchange:
    async def act(_gateway: Gateway, asked: Asked) -> Any:
        if fault is not None:
            raise fault
        return {"got": asked.document}

    exchange.scope["headers"].append((b"authorization", f"Bearer {ADMIN_KEY}".encode()))  # type: ignore[attr-defined]
    await exchange.finish(await administer(exchange.request, 201, act))
    return exchange


async def test_management_answers_json(street: Street) -> None:
    exchange = await manage(street, Exchange({"id": "x"}))
    assert (exchange.status, json.loads(exchange.body)) == (201, {"got": {"id": "x"}})


@pytest.mark.parametrize(
    ("fault", "status", "title", "code", "param"),
    [
        (RequestError("wrong", param="id", code="invalid_value"), 400, "Bad Request", "invalid_value", "id"),
        (NotFound("none"), 404, "Not Found", "not_found", None),
        (RuntimeError("a bug"), 500, "Internal Server Error", "internal_error", None),
    ],
)
async def test_a_management_error_is_a_problem(
    street: Street, fault: Exception, status: int, title: str, code: str, param: str | None
) -> None:
    exchange = await manage(street, Exchange({}), fault)
    assert exchange.headers["content-type"] == "application/problem+json"
    problem = json.loads(exchange.body)
    assert (exchange.status, problem["status"], problem["code"], problem.get("param")) == (status, status, code, param)
    assert (problem["type"], problem["title"]) == ("about:blank", title)
    assert "a bug" not in problem["detail"]


@pytest.mark.parametrize("pieces", [[b"["], [b"[]"], [b""]])
async def test_a_management_body_that_is_no_object_is_a_problem(street: Street, pieces: list[bytes]) -> None:
    assert (await manage(street, Exchange(pieces=pieces))).status == 400


async def test_without_a_usable_configuration_every_call_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(container._worker, "gateway", None)
    for name in ("GATEWAY_KEY_PEPPER", "AzureWebJobsStorage", "GATEWAY_TABLES", "GATEWAY_BLOBS"):
        monkeypatch.delenv(name, raising=False)
    exchange = Exchange()
    await exchange.finish(await respond(exchange.request, Operation.CHAT))
    assert (exchange.status, json.loads(exchange.body)["error"]["code"]) == (503, "misconfigured")
    assert "GATEWAY_KEY_PEPPER" in caplog.text
    assert "PEPPER" not in exchange.body.decode()
