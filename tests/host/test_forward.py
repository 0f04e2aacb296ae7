"""Any HTTP API behind /ai, over real sockets and in both modes: what is sent, what comes back, and what is counted."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.host.asking import Reply, ask, chat, head_of, key_of, record_of, send_raw, subscribe
from tests.host.conftest import MODES, Running, started

COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
EVENTS = [b"event: tick\r\ndata: 1\r\n\r\n", b": half an ev", b"ent\n\n", b"\xff"]
REPORT = bytes(range(256)) * 4
SECRET = "the-backends-own-key"
MASKED = "***"


class _Api(http.server.BaseHTTPRequestHandler):
    """Says what it received, or does what the path asks for; all paths are under /api."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any method."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        parts = urlsplit(self.path).path.removeprefix("/api/").split("/")
        here = f"http://{self.headers['host']}"
        if parts[0] == "jobs" and self.command == "POST":
            self._answer(202, b"", ("Operation-Location", f"{here}/api/jobs/1?v=1"), ("Location", "https://elsewhere.example/x"))
        elif parts[0] == "status":
            self._answer(int(parts[1]), b'{"error": {"code": "Its", "message": "own words"}}', ("Set-Cookie", "a=b"), ("ETag", '"1"'))
        elif parts[0] == "nothing":
            self._answer(int(parts[1]), b"")
        elif parts[0] == "report":
            self._answer(200, REPORT, ("Content-Type", "application/x-report"), ("Content-Disposition", "attachment"))
        elif parts[0] == "events":
            self._stream()
        elif parts[0] == "chat":
            self._answer(200, json.dumps(COMPLETION).encode())
        else:
            seen = {name.lower(): value for name, value in self.headers.items()}
            told = {"by": here, "method": self.command, "path": self.path, "headers": seen, "body": body.hex()}
            self._answer(200, json.dumps(told).encode())

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if body and "Content-Type" not in dict(headers):
            self.send_header("Content-Type", "application/json")
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in [*EVENTS, b""]:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


for verb in ("POST", "PUT", "PATCH", "DELETE"):
    setattr(_Api, f"do_{verb}", _Api.do_GET)


@pytest.fixture(scope="module", params=MODES)
def forwarding(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway before two instances of an API, under one model and under their own names, and a chat model."""
    folder = tmp_path_factory.mktemp(f"forward-{request.param}")
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Api) for _ in range(2)]
    urls = [f"http://127.0.0.1:{server.server_address[1]}/api" for server in servers]
    auth = {"type": "api-key", "name": "x-erp-key", "key": "${env:ERP_KEY}"}
    price = {"input": 0, "output": 0, "unit": 5}
    catalog = {
        "version": 1,
        "backends": [
            {"id": "erp-east", "protocol": "rest", "endpoint": urls[0], "auth": auth},
            {"id": "erp-west", "protocol": "rest", "endpoint": urls[1], "auth": auth},
            {"id": "erp-down", "protocol": "rest", "endpoint": urls[0], "auth": auth},
            {"id": "llm", "protocol": "openai", "endpoint": urls[0], "auth": {"type": "none"}},
        ],
        "deployments": [
            {"id": "erp-east", "backend": "erp-east", "price": price},
            {"id": "erp-west", "backend": "erp-west"},
            {"id": "erp-down", "backend": "erp-down"},
            {"id": "llm", "backend": "llm"},
        ],
        "models": [
            {"id": "erp", "pool": [{"deployment": "erp-east"}, {"deployment": "erp-west"}], "retry": {"max_attempts": 1}},
            {"id": "erp-east", "pool": [{"deployment": "erp-east"}], "retry": {"max_attempts": 1}},
            {"id": "erp-down", "pool": [{"deployment": "erp-down"}], "retry": {"max_attempts": 1}},
            {"id": "llm", "pool": [{"deployment": "llm"}]},
        ],
        "products": [{"id": "tight", "models": ["*"], "limits": {"requests_per_minute": 2}}, {"id": "chats", "models": ["llm"]}],
    }
    (folder / "catalog.yaml").write_text(json.dumps(catalog), encoding="utf-8")
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    mode = ["--worker"] if request.param == "worker" else []
    arguments = ["--data", str(folder / "data"), "--catalog", str(folder / "catalog.yaml"), "--no-simulator", *mode]
    try:
        with started(folder, *arguments, settings={"ERP_KEY": SECRET}) as running:
            assert running.url, running.errors()
            yield running
            assert "Traceback" not in running.errors()
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def told(reply: Reply) -> dict[str, Any]:
    """Return what the API says that it received."""
    assert reply.status == 200, reply
    received: dict[str, Any] = reply.json()
    return received


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_arrives_with_path_query_and_body_as_sent(forwarding: Running, method: str) -> None:
    body = b"\x00\xff {not json" if method in ("POST", "PUT", "PATCH") else b""
    target = "/ai/erp-east/v1/a%2Fb/%C3%A4%20/c;d=1/:x/?q=%2F&q=+&empty=&gateway-deployment=erp-east"
    lines = ["content-type: application/x-own; a=b", "accept: application/json", "x-own: 1", "cookie: a=b"]
    received = told(send_raw(forwarding, head_of(forwarding, target, *lines, method=method, length=len(body)), body, method=method))
    assert (received["method"], received["path"]) == (method, "/api/v1/a%2Fb/%C3%A4%20/c;d=1/:x/?q=%2F&q=+&empty=")
    assert bytes.fromhex(received["body"]) == body
    headers = received["headers"]
    # Only our own key is masked where a backend repeats it: so it is what arrived.
    assert (headers["content-type"], headers["accept"], headers["x-erp-key"]) == ("application/x-own; a=b", "application/json", MASKED)
    assert not {"authorization", "cookie", "x-own", "x-forwarded-for"} & headers.keys()
    assert key_of(forwarding) not in str(received)
    assert "traceparent" in headers


@pytest.mark.parametrize(("path", "arrives"), [("/ai/erp-east", "/api"), ("/ai/erp-east/", "/api"), ("/AI/erp-east/x", "/api/x")])
def test_the_endpoint_itself_can_be_asked(forwarding: Running, path: str, arrives: str) -> None:
    assert told(ask(forwarding, "GET", path))["path"] == arrives


@pytest.mark.parametrize("rest", ["../x", "%2e%2e/x", "a/..%2f..%2fx", "%252e%252e/x", "a//b", "a%5cb", "a%00b", "..;/x"])
def test_nobody_leaves_the_endpoint(forwarding: Running, rest: str) -> None:
    reply = send_raw(forwarding, head_of(forwarding, f"/ai/erp-east/{rest}", method="GET"), method="GET")
    assert (reply.status, reply.error["code"]) == (400, "invalid_path")


def test_an_answer_is_the_services_own_and_its_record_counts_one_request(forwarding: Running) -> None:
    reply = ask(forwarding, "GET", "/ai/erp-east/report")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, REPORT, "application/x-report")
    assert (reply.headers["content-disposition"], reply.headers["x-gateway-deployment"]) == ("attachment", "erp-east")
    assert reply.headers["x-gateway-cost-usd"] == "0.000005"
    record = record_of(forwarding, request_id=reply.request_id)
    assert (record["operation"], record["surface"], record["path"]) == ("forward", "ai", "GET /ai/erp-east/report")
    assert (record["units"], record["unit"], record["cost_micro_usd"]) == (1, "requests", 5)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 412, 422])
def test_what_is_the_clients_business_reaches_it_and_costs_nothing(forwarding: Running, status: int) -> None:
    reply = ask(forwarding, "POST", f"/ai/erp-east/status/{status}", {"a": 1})
    assert (reply.status, reply.json()["error"]["message"], reply.headers["etag"]) == (status, "own words", '"1"')
    assert "set-cookie" not in reply.headers
    record = record_of(forwarding, request_id=reply.request_id)
    assert (record["status"], record["units"], record["cost_micro_usd"]) == (status, 0, 0)


@pytest.mark.parametrize(
    ("status", "answered", "code"), [(401, 502, "upstream_auth_failed"), (500, 502, "upstream_error"), (429, 429, "upstream_throttled")]
)
def test_what_is_not_comes_out_as_our_error(forwarding: Running, status: int, answered: int, code: str) -> None:
    reply = ask(forwarding, "POST", f"/ai/erp-down/status/{status}", {"a": 1})
    assert (reply.status, reply.error["code"]) == (answered, code)
    assert "own words" not in reply.body.decode()


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_stays_without(forwarding: Running, status: int) -> None:
    reply = ask(forwarding, "DELETE", f"/ai/erp-east/nothing/{status}")
    assert (reply.status, reply.body) == (status, b"")
    assert not {"content-length", "transfer-encoding", "content-type"} & reply.headers.keys()


def test_a_job_is_asked_for_where_it_runs(forwarding: Running) -> None:
    seen = set()
    for _ in range(30):
        submitted = ask(forwarding, "POST", "/ai/erp/jobs", {"a": 1})
        assert (submitted.status, submitted.body) == (202, b"")
        assert "location" not in submitted.headers
        link, chosen = submitted.headers["operation-location"], submitted.headers["x-gateway-deployment"]
        assert link == f"{forwarding.url}/ai/erp/jobs/1?v=1&gateway-deployment={chosen}"
        polled = ask(forwarding, "GET", link.removeprefix(forwarding.url))
        assert (told(polled)["path"], polled.headers["x-gateway-deployment"]) == ("/api/jobs/1?v=1", chosen)
        seen.add(chosen)
    assert seen == {"erp-east", "erp-west"}


def test_a_link_names_the_host_that_a_proxy_was_asked_for(forwarding: Running) -> None:
    headers = {"x-forwarded-host": "ai.contoso.com", "x-forwarded-proto": "https"}
    link = ask(forwarding, "POST", "/ai/erp-east/jobs", {"a": 1}, headers).headers["operation-location"]
    assert link == "https://ai.contoso.com/ai/erp-east/jobs/1?v=1&gateway-deployment=erp-east"


def test_a_deployment_outside_the_models_pool_cannot_be_named(forwarding: Running) -> None:
    reply = ask(forwarding, "GET", "/ai/erp-east/x?gateway-deployment=erp-west")
    assert reply.status == 404


def test_a_stream_is_passed_on_byte_for_byte(forwarding: Running) -> None:
    reply = ask(forwarding, "GET", "/ai/erp-east/events", None, {"accept": "text/event-stream"})
    assert (reply.status, reply.body) == (200, b"".join(EVENTS))
    assert reply.headers["content-type"].startswith("text/event-stream")
    record = record_of(forwarding, request_id=reply.request_id)
    assert (record["stream"], record["units"], record["error_code"]) == (True, 1, "")


def test_who_accepts_a_stream_and_gets_none_gets_the_answer_as_it_is(forwarding: Running) -> None:
    reply = ask(forwarding, "GET", "/ai/erp-east/report", None, {"accept": "text/event-stream, */*"})
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, REPORT, "application/x-report")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ai/nobody/x", 404),
        ("GET", "/ai", 404),
        ("OPTIONS", "/ai/erp-east/x", 405),
        ("HEAD", "/ai/erp-east/x", 405),
    ],
)
def test_what_is_not_there_is_refused_and_recorded(forwarding: Running, method: str, path: str, status: int) -> None:
    reply = ask(forwarding, method, path)
    assert reply.status == status
    assert record_of(forwarding, request_id=reply.request_id)["status"] == status


def test_a_model_on_another_protocol_is_not_passed_through_to(forwarding: Running) -> None:
    reply = ask(forwarding, "GET", "/ai/llm/x")
    assert (reply.status, reply.error["code"]) == (400, "unsupported_operation")


def test_a_product_without_the_backend_does_not_reach_it(forwarding: Running) -> None:
    key = subscribe(forwarding, "chats")
    assert ask(forwarding, "GET", "/ai/erp-east/x", key=key).status in (403, 404)
    assert ask(forwarding, "GET", "/ai/erp-east/x", key="gwk_nobody_issued_this").status == 401


def test_one_limit_counts_chats_and_services_together(forwarding: Running) -> None:
    key = subscribe(forwarding, "tight")
    headers = {"authorization": f"Bearer {key}"}
    assert chat(forwarding, model="llm", headers=headers).status == 200
    assert ask(forwarding, "GET", "/ai/erp-east/x", key=key).headers["x-ratelimit-remaining-requests"] == "0"
    refused = [ask(forwarding, "GET", "/ai/erp-east/x", key=key), chat(forwarding, model="llm", headers=headers)]
    assert [(reply.status, reply.error["limit"]) for reply in refused] == [(429, "requests_per_minute")] * 2
    assert all(int(reply.headers["retry-after"]) > 0 for reply in refused)
