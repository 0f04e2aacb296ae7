"""Hostile paths, queries, headers and noise: answered or cut by the server, never a 5xx, never a hang, never sent upstream as is."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.host.asking import (
    Reply,
    ask,
    chat,
    chat_body,
    connection_to,
    head_of,
    key_of,
    marker,
    memory_mb,
    open_socket,
    post_bytes,
    record_of,
    reply_of,
    send_raw,
    upstream_request,
    upstream_requests,
)

JSON = "content-type: application/json"
GOOD = json.dumps(chat_body()).encode()
AZURE = "/openai/deployments/{}/chat/completions?api-version=2024-10-21"
FUZZ = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "x", "function"]), inner, max_size=4)
    ),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "n",
        "tools",
        "tool_choice",
        "user",
        "functions",
        "response_format",
        "input",
        "x_y",
        "seed",
    ]
)


@pytest.fixture(autouse=True)
def _serves_on(gateway: Any) -> Iterator[None]:
    before, said = memory_mb(gateway), len(gateway.errors())
    yield
    assert "Traceback" not in gateway.errors()[said:]
    assert ask(gateway, "GET", "/healthz").status == 200
    assert chat(gateway, "still there").status == 200
    assert memory_mb(gateway) < max(before, 100) + 150


def is_refused(gateway: Any, *pieces: bytes) -> Reply | None:
    """Send raw bytes; a 4xx answer, or None where the server closed the connection without one."""
    try:
        reply = send_raw(gateway, *pieces)
    except (http.client.HTTPException, ConnectionError):
        return None
    assert 400 <= reply.status < 500, reply
    return reply


PATHS = [
    "/v1/%2e%2e/manage/usage",
    "/v1/../manage/usage",
    "/v1/..%2fmanage%2fusage",
    "/v1/chat/completions%00",
    "/v1/chat/completions%0d%0aX:y",
    "/v1/chat/completions;x=1",
    "/v1//chat/completions",
    "//v1/chat/completions",
    "/v1/chat//completions",
    "/v1/models/%2e%2e%2fgpt-4o",
    "/v1/models/" + "m" * 20_000,
    "/v1/" + "a/" * 5000,
    "/v1/models/%ff%fe",
    "/v1/models/%F0%9F%98%80",
    "/v1/models/%",
    "/v1/models/%zz",
    "/openai/deployments/../../manage/chat/completions",
    "/openai/deployments//chat/completions",
    "/%00",
    "/%2e%2e/%2e%2e/etc/passwd",
]


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_trick_finds_nothing(gateway: Any, path: str, method: str) -> None:
    reply = is_refused(gateway, head_of(gateway, path, JSON, method=method, length=len(GOOD)) + GOOD)
    assert reply is not None
    assert reply.status in {400, 404, 405}
    # Microsoft's extension refuses a line break itself, before any function of ours.
    if reply.body and path.startswith(("/v1/", "/openai/")) and reply.json() != {"detail": "Not Found"}:
        assert reply.error["type"] in {"invalid_request_error", "not_found_error"}


def test_raw_bytes_in_a_path_find_nothing(gateway: Any) -> None:
    for path in ("/v1/models/\xff\xfe", "/v1/models/é", "/v1/mod els", "http://other/v1/models/x", "*"):
        is_refused(gateway, head_of(gateway, path, method="GET"))


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "a%2f..%2fb", "gpt-4o%2f", "gpt-4o%3fx=1", "gpt-4o%23", "gpt-4o%00", "gpt-4o%0d%0ax:1", "GPT-4O", "%67pt-4o%20"],
)
def test_a_deployments_name_never_shapes_the_backends_url(gateway: Any, name: str) -> None:
    mark = marker()
    reply = post_bytes(gateway, json.dumps(chat_body(mark)).encode(), path=AZURE.format(name))
    assert reply.status in {400, 404}
    assert upstream_requests(gateway, mark) == []


@pytest.mark.parametrize(
    "query",
    [
        "api-version=2024-10-21%0d%0ax-injected:1",
        "api-version=2024-10-21%26x=1",
        "api-version=2024-10-21%3fx=1",
        "api-version=2024-10-21%23x",
        "api-version=2024-10-21/../../x",
        "api-version=%00",
        "api-version=",
        "api-version=" + "9" * 20_000,
        "api-version=preview",
        "api-version=2024-10-21%0a",
        "api-version=%D9%A22024-10-21",
        "api-version=\xff",
        "=&&;;&=%",
        "&".join(f"p{number}=x" for number in range(5000)),
        "",
    ],
)
def test_a_query_never_shapes_the_backends_url(gateway: Any, query: str) -> None:
    mark = marker()
    body = json.dumps(chat_body(mark)).encode()
    reply = send_raw(gateway, head_of(gateway, f"/openai/deployments/gpt-4o/chat/completions?{query}", JSON, length=len(body)) + body)
    if reply.status == 200:
        seen = upstream_request(gateway, mark)
        assert (seen["path"], seen["query"]) == ("/openai/deployments/gpt-4o/chat/completions", "api-version=2024-10-21")
    else:
        assert 400 <= reply.status < 500
        assert upstream_requests(gateway, mark) == []


@pytest.mark.parametrize(
    "lines",
    [
        [f"x-{number}: {'v' * 100}" for number in range(2000)],
        ["x-long: " + "v" * 1_000_000],
        ["x-" + "n" * 100_000 + ": v"],
        [f"authorization: Bearer {'k' * 60_000}"],
        ["traceparent: " + "0" * 30_000],
    ],
    ids=["many", "long", "long-name", "long-key", "long-trace"],
)
def test_a_flood_of_headers_is_served_or_refused(gateway: Any, lines: list[str]) -> None:
    with contextlib.suppress(http.client.HTTPException, ConnectionError):
        reply = send_raw(gateway, head_of(gateway, "/v1/chat/completions", JSON, *lines, length=len(GOOD)) + GOOD)
        assert reply.status == 200 or 400 <= reply.status < 500


def test_a_head_that_never_ends_is_cut_off_or_costs_nothing(gateway: Any) -> None:
    before = memory_mb(gateway)
    with open_socket(gateway) as raw, contextlib.suppress(ConnectionError):
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
        for number in range(2000):
            raw.sendall(f"x-{number}: {'v' * 10_000}\r\n".encode())
    assert memory_mb(gateway) < before + 100


@pytest.mark.parametrize(
    "value", ["a\x00b", "a\rb", "a\x1bb", "a\x7fb", "é\xff", "\t", "'; DROP TABLE entities;--", "x" * 5000, "|", "\x85"]
)
@pytest.mark.parametrize("name", ["x-gateway-user", "x-gateway-session", "x-gateway-tags", "x-ms-client-request-id", "traceparent"])
def test_a_headers_value_is_stored_and_echoed_safely_or_refused(gateway: Any, name: str, value: str) -> None:
    mark = marker()
    body = json.dumps(chat_body(mark)).encode()
    head = head_of(gateway, "/v1/chat/completions", JSON, f"{name}: {value}", length=len(body))
    try:
        reply = send_raw(gateway, head, body)
    except (http.client.HTTPException, ConnectionError):
        return
    assert reply.status in {200, 400}
    if reply.status == 200:
        assert upstream_request(gateway, mark)["headers"].get(name, "") != value
        assert record_of(gateway, request_id=reply.request_id)["status"] == 200


@pytest.mark.parametrize(
    "key", ["", " ", "\x00", "é" * 40, "gwk_" + "a" * 16 + "_" + "é" * 43, "gwk_../x_y", "k" * 8000, "gwk_a' OR 1=1_x", "|"]
)
@pytest.mark.parametrize("header", ["authorization: Bearer ", "api-key: ", "authorization: Basic ", "authorization: "])
def test_a_strange_key_is_refused_and_not_repeated(gateway: Any, key: str, header: str) -> None:
    rest = f"connection: close\r\n{header}{key}\r\n{JSON}\r\ncontent-length: {len(GOOD)}\r\n\r\n"
    reply = is_refused(gateway, POST + rest.encode("latin-1") + GOOD)
    if reply is not None and reply.status != 400:
        assert reply.status == 401
        assert reply.error["type"] == "authentication_error"
        assert len(key) < 8 or key not in reply.body.decode()


POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
NOISE = {
    "nothing": b"\r\n\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "binary": bytes(range(256)) * 20,
    "no-version": b"GET /v1/models\r\n\r\n",
    "version-9": b"GET /v1/models HTTP/9.9\r\nhost: x\r\n\r\n",
    "bad-length": POST + b"content-length: -1\r\n\r\n",
    "length-word": POST + b"content-length: x\r\n\r\n",
    "huge-length": POST + b"content-length: " + b"9" * 40 + b"\r\n\r\n",
    "two-lengths": POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "length-and-chunks": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad-chunk": POST + b"transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "huge-chunk": POST + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n",
}


@pytest.mark.parametrize("name", NOISE)
def test_what_is_no_http_is_refused_by_the_server(gateway: Any, name: str) -> None:
    with open_socket(gateway) as raw, contextlib.suppress(ConnectionError):
        raw.sendall(NOISE[name])
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
        assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]


def check_fuzz(connection: http.client.HTTPConnection, gateway: Any, body: bytes, path: str = "/v1/chat/completions") -> None:
    headers = {"authorization": f"Bearer {key_of(gateway)}", "content-type": "application/json"}
    connection.request("POST", path, body, headers)
    reply = reply_of(connection.getresponse())
    assert reply.status == 200 or 400 <= reply.status < 500, (reply, body)
    if reply.status != 200:
        assert reply.error["message"]


@pytest.fixture
def connection(gateway: Any) -> Iterator[http.client.HTTPConnection]:
    connection = connection_to(gateway.url)
    yield connection
    connection.close()


@FUZZ
@given(body=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_noise_as_a_body_is_refused(gateway: Any, connection: http.client.HTTPConnection, body: bytes) -> None:
    check_fuzz(connection, gateway, body)


@FUZZ
@given(at=st.integers(0, len(GOOD)), cut=st.integers(0, 20), noise=st.binary(max_size=10))
def test_a_mangled_call_is_refused_or_answered(
    gateway: Any, connection: http.client.HTTPConnection, at: int, cut: int, noise: bytes
) -> None:
    check_fuzz(connection, gateway, GOOD[:at] + noise + GOOD[at + cut :])


@FUZZ
@given(over=st.dictionaries(MEMBERS, VALUES, max_size=4), embeddings=st.booleans())
def test_a_call_of_any_shape_is_refused_or_answered(
    gateway: Any, connection: http.client.HTTPConnection, over: dict[str, Any], embeddings: bool
) -> None:
    plain: dict[str, Any] = {"model": "text-embedding-3-small", "input": "x"} if embeddings else chat_body()
    check_fuzz(connection, gateway, json.dumps(plain | over).encode(), "/v1/embeddings" if embeddings else "/v1/chat/completions")
