"""Every call leaves exactly one usage record, with the provider's numbers, its price and its time; and no secret anywhere."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.host.asking import (
    Reply,
    ask,
    chat,
    chat_body,
    find_records,
    marker,
    post_bytes,
    record_of,
    subscribe,
    upstream_request,
    upstream_requests,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CHAIN = ("gpt-4o", "gpt-4o-mini", "gpt-5-mini", "llama-3.3-70b")
PARTS = ("admission_s", "guard_s", "upstream_ttft_s", "stream_s", "overhead_s")


def cost(prompt: int, completion: int, price_in: float, price_out: float, cached: int = 0, price_cached: float = 0) -> int:
    """Micro-USD, rounded up, from catalog.yaml's USD per million tokens."""
    exact = (prompt - cached) * round(price_in * 1e6) + cached * round(price_cached * 1e6) + completion * round(price_out * 1e6)
    return -(-exact // 1_000_000)


def check_times(record: dict[str, Any]) -> None:
    assert sum(record[name] for name in PARTS) == pytest.approx(record["total_s"], abs=1e-6)
    assert all(record[name] >= 0 for name in PARTS), {name: record[name] for name in PARTS}


def test_a_plain_call_is_recorded_as_it_was_served(gateway: Any) -> None:
    reply = chat(gateway, "count me", "chat-default", max_tokens=5)
    usage = reply.json()["usage"]
    record = record_of(gateway, request_id=reply.request_id)
    expected = {
        "tenant": "default", "product": "unlimited", "operation": "chat", "surface": "openai", "path": "POST /v1/chat/completions",
        "model": "gpt-4o", "deployment": "gpt-4o-eastus", "backend": "sim-eastus", "stream": False, "status": 200, "error_code": "",
        "finish_reason": "length", "attempts": 1, "prompt_tokens": usage["prompt_tokens"], "completion_tokens": 5, "cached_tokens": 0,
        "tokens_estimated": False, "unpriced": False, "cost_micro_usd": cost(usage["prompt_tokens"], 5, 2.50, 10.00),
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    assert float(reply.headers["x-gateway-cost-usd"]) == record["cost_micro_usd"] / 1_000_000
    assert record["subscription"]
    assert gateway.demo_keys["unlimited"].startswith(f"gwk_{record['key_id']}_")
    assert record["upstream_ttft_s"] > 0
    check_times(record)


@pytest.mark.parametrize("asks", [False, True])
def test_a_stream_is_recorded_with_the_providers_numbers(gateway: Any, asks: bool) -> None:
    text = f"{marker()} sim-tokens-40"
    usage = chat(gateway, text).json()["usage"]
    more = {"stream_options": {"include_usage": True}} if asks else {}
    reply = chat(gateway, text, stream=True, **more)
    record = record_of(gateway, request_id=reply.request_id)
    assert (record["stream"], record["status"], record["finish_reason"]) == (True, 200, "stop")
    assert (record["prompt_tokens"], record["completion_tokens"]) == (usage["prompt_tokens"], 40)
    assert record["tokens_estimated"] is False
    assert record["cost_micro_usd"] == cost(usage["prompt_tokens"], 40, 2.50, 10.00)
    assert record["stream_s"] > 0
    check_times(record)


def test_cached_and_reasoning_tokens_are_recorded_and_priced(gateway: Any) -> None:
    text = marker() + " long" * 2000
    chat(gateway, text)
    reply = chat(gateway, text, reasoning_effort="low", max_completion_tokens=50)
    usage = reply.json()["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    record = record_of(gateway, request_id=reply.request_id)
    assert record["cached_tokens"] == cached > 1000
    assert record["reasoning_tokens"] == 16
    assert record["cost_micro_usd"] == cost(usage["prompt_tokens"], 50, 2.50, 10.00, cached, 1.25)


@pytest.mark.parametrize(
    ("model", "prices"), [("gpt-4o-mini", (0.15, 0.60)), ("llama-3.3-70b", (0.59, 0.79)), ("mock-failover", (0.15, 0.60))]
)
def test_the_price_is_that_of_the_deployment_that_served(gateway: Any, model: str, prices: tuple[float, float]) -> None:
    reply = chat(gateway, "how much? " * 50, model)
    usage = reply.json()["usage"]
    record = record_of(gateway, request_id=reply.request_id)
    assert record["cost_micro_usd"] == cost(usage["prompt_tokens"], usage["completion_tokens"], *prices)
    assert record["attempts"] == (2 if model == "mock-failover" else 1)
    check_times(record)


def test_embeddings_and_lists_are_recorded(gateway: Any) -> None:
    reply = ask(gateway, "POST", "/openai/v1/embeddings", {"model": "text-embedding-3-small", "input": ["abc " * 100] * 50})
    tokens = reply.json()["usage"]["prompt_tokens"]
    record = record_of(gateway, request_id=reply.request_id)
    assert (record["operation"], record["prompt_tokens"], record["completion_tokens"]) == ("embeddings", tokens, 0)
    assert record["cost_micro_usd"] == cost(tokens, 0, 0.02, 0) > 0
    for path, operation in (("/v1/models", "models.list"), ("/v1/models/gpt-4o", "models.get")):
        record = record_of(gateway, request_id=ask(gateway, "GET", path).request_id)
        assert (record["operation"], record["status"], record["cost_micro_usd"], record["prompt_tokens"]) == (operation, 200, 0, 0)


REFUSED: dict[str, tuple[Callable[[Any], Reply], int, str]] = {
    "no key": (lambda gateway: ask(gateway, "POST", "/v1/chat/completions", chat_body(), key=""), 401, "missing_api_key"),
    "wrong key": (lambda gateway: ask(gateway, "GET", "/v1/models", key="gwk_x"), 401, "invalid_api_key"),
    "no model": (lambda gateway: chat(gateway, "x", "gpt-nonesuch"), 404, "model_not_found"),
    "not allowed": (
        lambda gateway: ask(gateway, "POST", "/v1/chat/completions", chat_body(model="mock-500"), key=gateway.demo_keys["starter"]),
        403,
        "model_not_allowed",
    ),
    "unknown path": (lambda gateway: ask(gateway, "GET", "/v1/nonesuch"), 404, "unknown_url"),
    "wrong method": (lambda gateway: ask(gateway, "PUT", "/v1/embeddings"), 405, "method_not_allowed"),
    "no JSON": (lambda gateway: ask(gateway, "POST", "/v1/embeddings", b"{"), 400, "invalid_json"),
    "wrong type": (lambda gateway: post_bytes(gateway, b"{}", "content-type: text/plain"), 415, "unsupported_media_type"),
    "too large": (lambda gateway: chat(gateway, "x" * 21 * 1024 * 1024), 413, "request_too_large"),
    "backend fails": (lambda gateway: chat(gateway, "x", "mock-500"), 502, "upstream_error"),
    "backend throttles": (lambda gateway: chat(gateway, "x", "mock-429", stream=True), 429, "upstream_throttled"),
    "backend hangs": (lambda gateway: chat(gateway, "x", "mock-hang", {"x-gateway-timeout-ms": "100"}), 504, "upstream_timeout"),
    "filter": (lambda gateway: chat(gateway, "x", "mock-filter"), 400, "content_filter"),
    "backend refuses": (lambda gateway: chat(gateway, "x", temperature=9), 400, "decimal_above_max_value"),
    "broken answer": (lambda gateway: chat(gateway, "x", "mock-malformed"), 502, "upstream_malformed"),
}


# The backend may have worked, and billed: the prompt is estimated, and flagged.
IN_DOUBT = {"backend hangs", "broken answer"}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_call_is_recorded_once_and_costs_nothing_unless_a_backend_may_have_worked(gateway: Any, case: str) -> None:
    call, status, code = REFUSED[case]
    reply = call(gateway)
    assert (reply.status, reply.error["code"]) == (status, code)
    record = record_of(gateway, request_id=reply.request_id)
    assert (record["status"], record["error_code"]) == (status, code)
    if case in IN_DOUBT:
        assert (record["tokens_estimated"], record["prompt_tokens"] > 0, record["completion_tokens"]) == (True, True, 0)
    else:
        assert (record["prompt_tokens"], record["completion_tokens"], record["cost_micro_usd"]) == (0, 0, 0)
    check_times(record)


def test_a_rate_limited_call_is_recorded(gateway: Any) -> None:
    key = subscribe(gateway, requests_per_minute=1)
    replies = [ask(gateway, "POST", "/v1/chat/completions", chat_body(), key=key) for _ in range(2)]
    records = [record_of(gateway, request_id=reply.request_id) for reply in replies]
    assert [record["error_code"] for record in records] == ["", "rate_limit_exceeded"]
    assert records[0]["subscription"] == records[1]["subscription"]


def test_a_stream_that_breaks_is_recorded_with_what_it_cost(gateway: Any) -> None:
    reply = chat(gateway, "some words", "mock-abort", stream=True)
    record = record_of(gateway, request_id=reply.request_id)
    assert (record["status"], record["error_code"], record["stream"]) == (502, "upstream_interrupted", True)
    assert record["tokens_estimated"] is True
    assert record["prompt_tokens"] > 0
    check_times(record)


def test_who_asked_is_stored_as_they_said(gateway: Any) -> None:
    mark = marker()
    headers = {"x-gateway-user": mark, "x-gateway-session": "session 1", "x-gateway-tags": "team=a,env=test"}
    chat(gateway, headers=headers)
    record = record_of(gateway, user=mark)
    assert (record["session"], record["tags"]) == ("session 1", "team=a,env=test")


@pytest.mark.parametrize("stream", [False, True])
def test_the_clients_trace_goes_on_upstream_with_a_span_of_our_own(gateway: Any, stream: bool) -> None:
    mark = marker()
    reply = chat(gateway, mark, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, stream=stream)
    assert record_of(gateway, request_id=reply.request_id)["trace_id"] == TRACE
    version, trace_id, span, flags = upstream_request(gateway, mark)["headers"]["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert len(span) == 16
    assert span != "00f067aa0ba902b7"


@pytest.mark.parametrize("header", [None, "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{TRACE}-00f067aa0ba902b7-01"])
def test_a_call_without_a_trace_begins_one(gateway: Any, header: str | None) -> None:
    mark = marker()
    reply = chat(gateway, mark, headers={"traceparent": header} if header else None)
    trace_id = record_of(gateway, request_id=reply.request_id)["trace_id"]
    assert len(trace_id) == 32
    assert trace_id != TRACE
    assert upstream_request(gateway, mark)["headers"]["traceparent"].split("-")[1] == trace_id


def test_every_attempt_carries_the_same_trace(gateway: Any) -> None:
    mark = marker()
    reply = chat(gateway, mark, "mock-failover")
    traces = [one["headers"]["traceparent"].split("-")[1] for one in upstream_requests(gateway, mark)]
    assert traces == [record_of(gateway, request_id=reply.request_id)["trace_id"]] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_any_of_a_calls_ids_finds_all_the_others(gateway: Any, stream: bool) -> None:
    mark = marker()
    trace_id = mark.encode().hex()[:32].rjust(32, "a")
    sent = {"x-ms-client-request-id": f"client-{mark}", "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01", "x-gateway-session": mark}
    reply = chat(gateway, mark, headers=sent, stream=stream)
    assert reply.headers["x-ms-client-request-id"] == f"client-{mark}"
    record = ask(gateway, "GET", f"/manage/usage/{reply.request_id}", key=gateway.admin_key).json()
    assert (record["client_request_id"], record["trace_id"], record["session"]) == (f"client-{mark}", trace_id, mark)
    upstream_id = record["upstream_request_id"]
    assert "-4000-9000-" in upstream_id, "as the simulator's apim-request-id looks"
    assert upstream_request(gateway, mark)["headers"]["traceparent"].split("-")[1] == trace_id
    for name, value in (
        ("client_request_id", f"client-{mark}"), ("trace", trace_id), ("session", mark), ("upstream_request_id", upstream_id),
    ):  # fmt: skip
        listed = ask(gateway, "GET", f"/manage/usage/records?{name}={value}", key=gateway.admin_key).json()["data"]
        assert [each["request_id"] for each in listed] == [reply.request_id], name


def test_a_chain_of_calls_is_one_total_and_its_parts(gateway: Any) -> None:
    mark = marker()
    replies = [chat(gateway, f"step {step}", model, {"x-gateway-session": mark}) for step, model in enumerate(CHAIN)]
    report = ask(gateway, "GET", f"/manage/costs?group_by=session,model&session={mark}", key=gateway.admin_key).json()
    parts = ask(gateway, "GET", f"/manage/usage/records?session={mark}", key=gateway.admin_key).json()["data"]
    assert {part["request_id"] for part in parts} == {reply.request_id for reply in replies}
    assert sorted(row["model"] for row in report["data"]) == sorted(CHAIN)
    assert report["total"]["requests"] == len(CHAIN)
    cost_micro_usd = sum(part["cost_micro_usd"] for part in parts)
    assert report["total"]["cost_usd"] == cost_micro_usd / 1e6 == sum(round(row["cost_usd"] * 1e6) for row in report["data"]) / 1e6 > 0


def test_a_subscription_is_named_beside_its_id(gateway: Any) -> None:
    mark = marker()
    order = {"tenant": "default", "product": "unlimited", "name": f"shop {mark}"}
    made = ask(gateway, "POST", "/manage/subscriptions", order, key=gateway.admin_key).json()
    ask(gateway, "GET", "/v1/models", key=made["keys"]["primary"])
    for report in ("usage", "costs"):
        path = f"/manage/{report}?group_by=model,subscription&subscription={made['id']}"
        (row,) = ask(gateway, "GET", path, key=gateway.admin_key).json()["data"]
        assert list(row)[:4] == ["model", "subscription", "subscription_name", "requests"]
        assert (row["subscription"], row["subscription_name"]) == (made["id"], f"shop {mark}")
    ask(gateway, "GET", "/v1/models", key="gwk_nobody_issued_this")
    rows = ask(gateway, "GET", "/manage/usage?group_by=subscription", key=gateway.admin_key).json()["data"]
    assert {row["subscription_name"] for row in rows if not row["subscription"]} == {""}
    (row, *_) = ask(gateway, "GET", "/manage/usage?group_by=tenant", key=gateway.admin_key).json()["data"]
    assert "subscription_name" not in row


def test_costs_come_as_a_table_for_spreadsheets(gateway: Any) -> None:
    mark = marker()
    reply = chat(gateway, headers={"x-gateway-tags": f"team={mark}"})
    record = record_of(gateway, request_id=reply.request_id)
    answer = ask(gateway, "GET", f"/manage/costs?format=csv&tag=team={mark}", key=gateway.admin_key)
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    assert (row["BilledCost"], row["ResourceId"]) == (f"{record['cost_micro_usd'] / 1e6:.6f}", record["deployment"])
    assert json.loads(row["Tags"]) == {"team": mark}


def test_the_report_sums_what_the_records_say(gateway: Any) -> None:
    mark = marker()
    for text in ("one", "two two"):
        chat(gateway, text, headers={"x-gateway-user": mark})
    chat(gateway, "x", "mock-500", headers={"x-gateway-user": mark})
    listed = ask(gateway, "GET", "/manage/usage?group_by=user", key=gateway.admin_key).json()["data"]
    (row,) = [row for row in listed if row["user"] == mark]
    records = find_records(gateway, user=mark)
    assert (row["requests"], row["errors"]) == (3, 1)
    assert row["total_tokens"] == sum(record["prompt_tokens"] + record["completion_tokens"] for record in records)
    assert row["cost_usd"] == pytest.approx(sum(record["cost_micro_usd"] for record in records) / 1e6)


def test_no_secret_is_in_the_tables_the_output_or_an_answer(gateway: Any) -> None:
    own = subscribe(gateway, requests_per_minute=2)
    listed = ask(gateway, "GET", "/manage/subscriptions?limit=1000", key=gateway.admin_key)
    answers = [ask(gateway, "POST", "/v1/chat/completions", chat_body(model=model), key=own) for model in ("gpt-4o", "mock-500", "x", "x")]
    answers += [ask(gateway, "GET", "/v1/models", key=key[:-1] + "~") for key in (own, gateway.admin_key)]
    answers += [ask(gateway, "GET", "/manage/usage?group_by=" + own, key=gateway.admin_key), listed]
    record_of(gateway, request_id=answers[0].request_id)
    pepper = (gateway.data / "key-pepper").read_text(encoding="ascii").strip()
    keys = [own, *gateway.demo_keys.values(), gateway.admin_key, pepper]
    secrets = {secret.encode() for key in keys for secret in (key, key[-43:])}
    shown = b"".join(answer.body + json.dumps(dict(answer.headers)).encode() for answer in answers)
    stored = b"".join(path.read_bytes() for path in Path(gateway.data).glob("tables.db*"))
    with sqlite3.connect(f"file:{gateway.data / 'tables.db'}?mode=ro", uri=True) as connection:
        rows = b"".join(row[0] for row in connection.execute("SELECT data FROM entities"))
    connection.close()
    assert len(stored) > len(rows) > 1000
    for place, text in {"answers": shown, "files": stored, "rows": rows, "log": gateway.errors().encode()}.items():
        found = [secret[:8] for secret in secrets if secret in text]
        assert not found, f"{place}: {found}"
    assert b'"simulator"' not in shown
    assert (gateway.data / "key-pepper").stat().st_mode & 0o077 == 0
