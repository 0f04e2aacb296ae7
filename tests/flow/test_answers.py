"""What goes right: answers, streams, embeddings, models, and what their records and headers say."""

import json

import pytest

from gateway.domain.call import Operation, Surface
from tests.fakes.upstream import Reply
from tests.flow.street import CHAT, COST, DONE, STREAM, STREAM_STEPS, USAGE_JSON, Street, completion, event, read, streamed

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_plain_chat_returns_the_upstreams_bytes_and_leaves_one_record(street: Street) -> None:
    street.upstream.will(reply := completion())
    answer = await street.call(headers={"x-gateway-user": "ada", "x-gateway-session": "s1", "x-gateway-tags": "team=a"})
    assert (answer.status, answer.body) == (200, b"".join(reply.steps))
    assert {name: answer.headers[name] for name in answer.headers if name != "x-gateway-overhead-ms"} == {
        "x-gateway-model": "gpt-4o",
        "x-gateway-deployment": "east",
        "x-gateway-attempts": "1",
        "x-gateway-cost-usd": f"{COST / 1e6:.6f}",
    }
    record = await street.record()
    expected = {
        "tenant": "default", "product": "all", "user": "ada", "session": "s1", "tags": "team=a", "operation": "chat", "surface": "openai",
        "path": "POST /v1/chat/completions", "model": "gpt-4o", "deployment": "east", "backend": "aoai-eastus", "stream": False,
        "status": 200, "error_code": "", "finish_reason": "stop", "attempts": 1, "prompt_tokens": 1000, "completion_tokens": 100,
        "cached_tokens": 400, "tokens_estimated": False, "unpriced": False, "cost_micro_usd": COST,
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    assert street.upstream.responses[0].complete


async def test_an_alias_is_recorded_under_its_models_id(street: Street) -> None:
    street.upstream.will(completion())
    answer = await street.call(CHAT | {"model": "chat-default"})
    assert answer.headers["x-gateway-model"] == (await street.record())["model"] == "gpt-4o"


async def test_a_stream_is_relayed_without_the_usage_it_did_not_ask_for(street: Street) -> None:
    street.upstream.will(streamed())
    answer = await street.call(STREAM)
    assert await read(answer) == b"".join([*STREAM_STEPS[:4], DONE])
    assert json.loads(street.upstream.requests[0].body)["stream_options"] == {"include_usage": True}
    record = await street.record()
    assert (record["status"], record["stream"], record["finish_reason"], record["tokens_estimated"]) == (200, True, "stop", False)
    assert (record["prompt_tokens"], record["cost_micro_usd"]) == (1000, COST)
    assert street.upstream.responses[0].complete


async def test_a_stream_that_asked_for_usage_gets_everything_as_it_came(street: Street) -> None:
    street.upstream.will(streamed())
    assert await read(await street.call(STREAM | {"stream_options": {"include_usage": True}})) == b"".join(STREAM_STEPS)


async def test_embeddings_are_answered_and_counted(street: Street) -> None:
    body = b'{"object":"list","data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":7,"total_tokens":7}}'
    street.upstream.will(Reply(steps=[body]))
    document = {"model": "text-embedding-3-small", "input": "hello"}
    answer = await street.call(document, operation=Operation.EMBEDDINGS, path="/v1/embeddings")
    assert answer.body == body
    assert street.upstream.requests[0].url.split("?")[0].endswith("/openai/deployments/small/embeddings")
    record = await street.record()
    assert (record["operation"], record["prompt_tokens"], record["completion_tokens"]) == ("embeddings", 7, 0)


@pytest.mark.parametrize(
    ("product", "visible"),
    [
        ("all", ["gpt-4o", "gpt-4o-mini", "no-retry", "unpriced", "text-embedding-3-small", "even"]),
        ("mini-only", ["gpt-4o-mini"]),
    ],
)
async def test_lists_the_models_of_the_product_only(street: Street, product: str, visible: list[str]) -> None:
    listing = await street.get(Operation.LIST_MODELS, product=product)
    assert [model["id"] for model in listing["data"]] == visible
    record = await street.record()
    assert (record["operation"], record["status"], record["cost_micro_usd"], record["attempts"]) == ("models.list", 200, 0, 0)


async def test_gets_a_model_that_the_product_includes(street: Street) -> None:
    model = await street.get(Operation.GET_MODEL, "gpt-4o-mini", product="mini-only")
    assert (model["id"], model["object"]) == ("gpt-4o-mini", "model")
    assert (await street.record())["operation"] == "models.get"


async def test_unknown_fields_reach_the_upstream_byte_for_byte(street: Street) -> None:
    body = b'{ "model" : "gpt-4o","messages":[{"role":"user","content":"Hi \\u00e9"}], "x_new":{"a":1.50e2,"b":[ 1,2 ]}}'
    street.upstream.will(completion())
    await street.call(body=body)
    assert street.upstream.requests[0].body == body


async def test_the_clients_key_and_headers_never_reach_the_upstream(street: Street) -> None:
    street.upstream.will(completion())
    mine = {
        "x-secret": "s",
        "cookie": "c",
        "user-agent": "u",
        "x-gateway-user": "ada",
        "openai-organization": "o",
        "api-key": await street.key(),
    }
    await street.call(headers=mine)
    request = street.upstream.requests[0]
    assert set(request.headers) == {"content-type", "accept", "traceparent"}
    assert (await street.key()).encode() not in request.body
    assert "upstream-secret" not in repr((request.headers, request.url))


async def test_a_callers_trace_is_continued_upstream_and_in_the_record(street: Street) -> None:
    street.upstream.will(completion())
    await street.call(headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    forwarded = street.upstream.requests[0].headers["traceparent"]
    assert forwarded.startswith(f"00-{TRACE}-")
    assert "b7ad6b7169203331" not in forwarded
    assert (await street.record())["trace_id"] == TRACE


async def test_a_call_without_a_trace_begins_one(street: Street) -> None:
    street.upstream.will(completion())
    await street.call()
    assert street.upstream.requests[0].headers["traceparent"].split("-")[1] == (await street.record())["trace_id"]


async def test_an_azure_path_names_the_model(street: Street) -> None:
    street.upstream.will(completion())
    over = {"path_model": "gpt-4o-mini", "surface": Surface.AZURE, "query": {"api-version": "2025-01-01-preview"}}
    await street.call(CHAT, **over)
    assert street.upstream.requests[0].url.endswith("/openai/deployments/mini/chat/completions?api-version=2025-01-01-preview")
    assert (await street.record())["surface"] == "azure"


async def test_an_unpriced_deployment_has_no_cost_rather_than_none(street: Street) -> None:
    street.upstream.will(completion())
    answer = await street.call(CHAT | {"model": "unpriced"})
    assert "x-gateway-cost-usd" not in answer.headers
    record = await street.record()
    assert record["unpriced"] is True
    assert "cost_micro_usd" not in record


async def test_missing_usage_is_estimated_flagged_and_priced(street: Street) -> None:
    street.upstream.will(completion("four", usage=None))
    answer = await street.call()
    record = await street.record()
    assert record["tokens_estimated"] is True
    assert record["completion_tokens"] == 4  # without encodings the bound: bytes
    assert record["prompt_tokens"] == 3 + 4 + len("Hello")
    assert record["cost_micro_usd"] == round(float(answer.headers["x-gateway-cost-usd"]) * 1e6) > 0


@pytest.mark.parametrize("steps", [[event("four"), DONE], [event(tool_calls=[]), event(finish_reason="tool_calls"), DONE]])
async def test_a_complete_stream_without_usage_is_estimated_even_if_it_had_no_text(street: Street, steps: list[bytes]) -> None:
    street.upstream.will(streamed(*steps))
    await read(await street.call(STREAM))
    record = await street.record()
    assert (record["status"], record["tokens_estimated"]) == (200, True)
    assert record["completion_tokens"] == (4 if b"four" in steps[0] else 0)
    assert record["prompt_tokens"] == 12
    assert record["cost_micro_usd"]


async def test_the_latency_parts_of_a_stream_sum_to_the_total(street: Street) -> None:
    pauses = [0.5, event(), 0.25, event("a"), 2.0, event("b"), event(usage=USAGE_JSON), DONE]
    street.upstream.will(Reply(steps=pauses, wait_s=1.0))
    await read(await street.call(STREAM))
    record = await street.record()
    parts = ("admission_s", "guard_s", "upstream_ttft_s", "stream_s", "overhead_s")
    assert {name: record[name] for name in parts} == pytest.approx(
        {"admission_s": 0, "guard_s": 0, "upstream_ttft_s": 1.75, "stream_s": 2.0, "overhead_s": 0}
    )
    assert record["total_s"] == pytest.approx(3.75)


async def test_the_latency_parts_of_a_plain_call_sum_to_the_total(street: Street) -> None:
    street.upstream.will(Reply(steps=[1.5, *completion().steps], wait_s=1.0))
    answer = await street.call()
    record = await street.record()
    assert (record["upstream_ttft_s"], record["stream_s"], record["overhead_s"], record["total_s"]) == pytest.approx((2.5, 0, 0, 2.5))
    assert answer.headers["x-gateway-overhead-ms"] == "0.000"


async def test_a_stream_without_content_was_waited_for_not_worked_on(street: Street) -> None:
    street.upstream.will(streamed(event(), 3.0, DONE))
    await read(await street.call(STREAM))
    record = await street.record()
    assert (record["upstream_ttft_s"], record["overhead_s"]) == pytest.approx((3.0, 0.0))


async def test_rate_headers_tell_what_is_left(street: Street) -> None:
    street.upstream.will(completion())
    headers = (await street.call(CHAT | {"max_tokens": 88}, product="few-tokens")).headers
    assert headers["x-ratelimit-limit-tokens"] == "1000"
    assert headers["x-ratelimit-remaining-tokens"] == "900"  # 12 for the prompt and 88 for the answer
    assert headers["x-ratelimit-reset-tokens"] == "61s"
    assert "x-ratelimit-limit-requests" not in headers


async def test_a_large_body_is_read_and_counted_beside_the_loop(street: Street) -> None:
    street.upstream.will(completion())
    text = "x" * 300_000
    error = await street.refused(CHAT | {"messages": [{"role": "user", "content": text}]}, product="few-tokens")
    assert error.status == 429
    await street.call(CHAT | {"messages": [{"role": "user", "content": text}]})
    assert len(street.upstream.requests[0].body) > 300_000
