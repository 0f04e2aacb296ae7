"""What the embedded host does with any Function App, directly and through Microsoft's worker."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

TRIES = 400


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)


def ask(host: Any, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = connect(host.url)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "function", "values"),
    [
        ("GET", "/items/A1/parts/b%20c", "item", {"itemId": "A1", "part": "b c"}),
        ("PUT", "/ITEMS/A1/Parts/B/", "item", {"itemId": "A1", "part": "B"}),
        ("GET", "/items/org%2Fname/parts/x", "item", {"itemId": "org%2Fname", "part": "x"}),
        ("POST", "/items/A1/parts/b", "items", {"rest": "A1/parts/b"}),
        ("GET", "/items/a/b/c", "items", {"rest": "a/b/c"}),
        ("GET", "/items", "items", {}),
    ],
)
def test_calls_the_function_that_the_route_names(sample: Any, method: str, path: str, function: str, values: dict[str, str]) -> None:
    status, _, body = ask(sample, method, path)
    answer = json.loads(body)
    assert (status, answer["function"], answer["values"]) == (200, function, values)


def test_gives_the_handler_query_and_body(sample: Any) -> None:
    _, _, with_query = ask(sample, "GET", "/items/1/parts/2?a=b&c=%20")
    _, _, with_body = ask(sample, "POST", "/items/1", b"hello")
    assert json.loads(with_query)["query"] == {"a": "b", "c": " "}
    assert json.loads(with_body)["body"] == "hello"


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/items/1"), ("POST", "/plain"), ("GET", "//plain")])
def test_answers_404_in_openais_shape_where_no_function_fits(sample: Any, method: str, path: str) -> None:
    status, headers, body = ask(sample, method, path)
    assert (status, json.loads(body)["error"]["code"]) == (404, "unknown_url")
    assert headers["x-request-id"]


def test_answers_a_head_request_where_get_is_served(sample: Any) -> None:
    status, _, body = ask(sample, "HEAD", "/plain")
    assert (status, body) == (200, b"")


def test_runs_plain_functions_too(sample: Any) -> None:
    assert json.loads(ask(sample, "GET", "/plain")[2]) == {"function": "plain"}


def test_answers_500_and_serves_on_when_a_handler_fails(sample: Any) -> None:
    assert ask(sample, "GET", "/fail")[0] == 500
    assert ask(sample, "GET", "/plain")[0] == 200
    assert "the handler is broken" in sample.errors()


async def test_sends_each_part_of_a_stream_at_once(sample: Any) -> None:
    async with aiohttp.ClientSession(sample.url) as session, session.get("/stream") as response:
        assert await response.content.readline() == b"one\n"
        async with session.post("/release") as released:
            assert released.status == 204
        assert await response.content.read() == b"two\n"


def test_lets_the_handler_notice_that_the_client_left(sample: Any) -> None:
    before = json.loads(ask(sample, "GET", "/seen")[2]).get("disconnects", 0)
    connection = connect(sample.url)
    connection.putrequest("POST", "/echo")
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    connection.send(b"5\r\nhello\r\n")
    with connection.getresponse() as response:
        assert response.read(5) == b"hello"
    connection.close()
    assert any(json.loads(ask(sample, "GET", "/seen")[2]).get("disconnects", 0) > before for _ in range(TRIES))
