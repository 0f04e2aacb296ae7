"""Every refusal on every inference route is OpenAI's error object with a request id; nothing else ever comes out."""

import json
from typing import Any

import pytest

from gateway.routes.table import AZURE_ROWS, OPENAI_ROWS, Row
from tests.host.asking import Reply, ask, chat, chat_body, data_of, key_of, marker, post_bytes, send_raw, subscribe

ROWS = [*OPENAI_ROWS, *AZURE_ROWS]
ROUTES = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
UNKNOWN = ["/v1", "/v1/", "/v1/chat", "/v1/nonesuch", "/v1/chat/completions/more", "/openai", "/openai/deployments/gpt-4o", "/openai/v1/x"]


NAMES = {"{deployment}": "gpt-4o", "{model}": "gpt-4o", "{response}": "resp_none"}


def path_of(row: Row) -> str:
    path = "/" + row.path
    for parameter, name in NAMES.items():
        path = path.replace(parameter, name)
    return path


def methods_of(path: str) -> set[str]:
    return {row.method for row in ROWS if path_of(row) == path}


def check(reply: Reply, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    assert reply.request_id.startswith("req_")
    assert reply.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    assert set(reply.json()) - {"type"} == {"error"}  # Anthropic's clients look for "type": "error" beside it
    assert reply.json().get("type", "error") == "error"
    error = reply.error
    assert {"message", "type", "param", "code"} <= set(error)
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    return error


@ROUTES
def test_refuses_a_caller_without_a_key(gateway: Any, row: Row) -> None:
    check(ask(gateway, row.method, path_of(row), b"{}", key=""), 401, "missing_api_key")


@ROUTES
@pytest.mark.parametrize("header", ["authorization", "api-key"])
def test_refuses_an_unknown_key(gateway: Any, row: Row, header: str) -> None:
    key = "gwk_" + "z" * 16 + "_" + "y" * 43
    value = f"Bearer {key}" if header == "authorization" else key
    check(ask(gateway, row.method, path_of(row), b"{}", {header: value}, key=""), 401, "invalid_api_key")


@pytest.mark.parametrize("line", ["api-key: {} ", "api-key:\t{}\t", "authorization: bearer  {} ", "api-key: \r\nauthorization: Bearer {}"])
def test_takes_a_key_with_blanks_around_it(gateway: Any, line: str) -> None:
    head = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{line.format(key_of(gateway))}\r\n\r\n"
    assert send_raw(gateway, head.encode(), method="GET").status == 200


@ROUTES
def test_says_which_method_a_path_takes(gateway: Any, row: Row) -> None:
    path = path_of(row)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - methods_of(path):
        reply = ask(gateway, method, path)
        check(reply, 405, "method_not_allowed")
        assert reply.headers["allow"] == ", ".join(sorted(methods_of(path)))


@ROUTES
def test_answers_head_without_a_body(gateway: Any, row: Row) -> None:
    path = path_of(row)
    reply = ask(gateway, "HEAD", path)
    assert reply.status == ask(gateway, "GET" if "GET" in methods_of(path) else "HEAD", path).status
    assert reply.status in ((200, 404) if "GET" in methods_of(path) else (405,))
    assert reply.body == b""
    assert reply.request_id.startswith("req_")


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_says_that_a_path_does_not_exist(gateway: Any, path: str, method: str) -> None:
    check(ask(gateway, method, path, b"{}" if method == "POST" else None), 404, "unknown_url")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions"])
def test_names_a_missing_model(gateway: Any, path: str) -> None:
    check(ask(gateway, "POST", path, {"messages": [{"role": "user", "content": "x"}]}), 400, "missing_required_parameter", "model")
    check(ask(gateway, "POST", path, chat_body(model="gpt-nonesuch")), 404, "model_not_found", "model")


def test_names_an_unknown_deployment(gateway: Any) -> None:
    reply = ask(gateway, "POST", "/openai/deployments/nonesuch/chat/completions?api-version=2024-10-21", chat_body())
    check(reply, 404, "model_not_found", "model")


@pytest.mark.parametrize("body", [{"model": "text-embedding-3-small"}, {"model": "text-embedding-3-small", "input": []}])
def test_names_a_wrong_embeddings_input(gateway: Any, body: dict[str, Any]) -> None:
    reply = ask(gateway, "POST", "/v1/embeddings", body)
    assert check(reply, 400, reply.error["code"], "input")["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/jsonx", ""]
)
def test_refuses_another_content_type(gateway: Any, kind: str) -> None:
    check(post_bytes(gateway, json.dumps(chat_body()).encode(), f"content-type: {kind}"), 415, "unsupported_media_type", "content-type")


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd", "x"])
def test_refuses_another_content_coding(gateway: Any, coding: str) -> None:
    lines = ("content-type: application/json", f"content-encoding: {coding}")
    check(post_bytes(gateway, json.dumps(chat_body()).encode(), *lines), 415, "unsupported_media_type", "content-encoding")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "9" * 30, "", "\u0661".encode().decode("latin-1")])
def test_refuses_a_deadline_that_is_no_number(gateway: Any, value: str) -> None:
    check(chat(gateway, headers={"x-gateway-timeout-ms": value}), 400, "invalid_value", "x-gateway-timeout-ms")


@pytest.mark.parametrize("stream", [False, True])
def test_says_in_both_forms_when_to_come_back(gateway: Any, stream: bool) -> None:
    key = subscribe(gateway, requests_per_minute=1)
    assert ask(gateway, "POST", "/v1/chat/completions", chat_body(), key=key).status == 200
    reply = ask(gateway, "POST", "/v1/chat/completions", chat_body(stream=stream), key=key)
    error = check(reply, 429, "rate_limit_exceeded")
    assert error["type"] == "rate_limit_error"
    assert 0 < int(reply.headers["retry-after-ms"]) <= 1000 * int(reply.headers["retry-after"]) <= 62_000


@pytest.mark.parametrize("model", ["mock-500", "mock-429", "mock-malformed", "mock-filter"])
@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/openai/deployments/MODEL/chat/completions?api-version=x", "/openai/v1/chat/completions"]
)
def test_no_failure_names_a_backend_or_its_key(gateway: Any, model: str, path: str) -> None:
    reply = ask(gateway, "POST", path.replace("MODEL", model), chat_body(model=model))
    assert reply.status >= 400
    assert reply.request_id.startswith("req_")
    shown = reply.body.decode() + str(reply.headers)
    for secret in (gateway.simulator_url, gateway.simulator_url.removeprefix("http://"), "sim-eastus", "127.0.0.1", '"simulator"'):
        assert secret not in shown


def test_a_stream_that_breaks_before_its_first_content_is_a_plain_error(gateway: Any) -> None:
    check(chat(gateway, "x", "mock-malformed", stream=True), 502, "upstream_malformed")


def test_an_error_in_a_stream_is_its_last_event(gateway: Any) -> None:
    reply = chat(gateway, "some words for a long stream", "mock-abort", stream=True)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *chunks, last = data_of(reply.body)
    assert chunks
    assert all("error" not in json.loads(chunk) for chunk in chunks)
    error = json.loads(last)["error"]
    assert (error["code"], error["type"], error["param"]) == ("upstream_interrupted", "server_error", None)
    assert b"[DONE]" not in reply.body


def test_the_clients_own_request_id_is_echoed(gateway: Any) -> None:
    mark = marker()
    for reply in (chat(gateway, headers={"x-ms-client-request-id": mark}), chat(gateway, "", "nonesuch", {"x-ms-client-request-id": mark})):
        assert reply.headers["x-ms-client-request-id"] == mark
        assert reply.request_id != mark


def test_a_base_url_without_its_end_is_told_so(gateway: Any) -> None:
    reply = ask(gateway, "POST", "/chat/completions", {"model": "gpt-4o", "messages": []})
    assert (reply.status, reply.error["code"]) == (404, "unknown_url")
    assert "/v1/chat/completions is served: the base URL that SDKs want ends in /v1" in reply.error["message"]


def test_a_path_that_is_nowhere_near_gets_no_hint(gateway: Any) -> None:
    assert ask(gateway, "GET", "/nonesuch").error["message"] == "no function of the app serves this path and method"
