"""Guardrails on answers: what comes back, whole and streamed, beside the model, and in its form."""

import asyncio
import json

import pytest

from gateway.domain.guardrails import (
    Action,
    BackendFilter,
    ContentSafety,
    Fail,
    JsonSchema,
    Pii,
    Regex,
    Secrets,
    Tools,
)
from gateway.errors import UpstreamError
from gateway.guardrails.rules.schema import SchemaCheck
from tests.fakes.upstream import Reply
from tests.flow.guarding import CARD, EMAIL, HEADER, SECRET, asking, content, guarded, sent, texts, verdicts
from tests.flow.street import DONE, STREAM, USAGE_JSON, completion, event, read, streamed, until


async def test_a_stream_gives_the_originals_back_wherever_it_is_cut() -> None:
    street = guarded(Pii(id="mask"))
    pieces = ["Dear <", "EMA", "IL_", "1", ">, hello. <EM", "AIL_9> is nobody"]
    street.upstream.will(streamed(*[event(each) for each in pieces], event(finish_reason="stop"), event(usage=USAGE_JSON), DONE))
    body = await read(await street.call(asking(f"Greet {EMAIL}", stream=True)))
    assert texts(body) == f"Dear {EMAIL}, hello. <EMAIL_9> is nobody"
    assert body.endswith(DONE)


async def test_members_of_a_stream_that_are_new_to_us_are_read_too() -> None:
    street = guarded(Pii(id="mask"), Secrets(id="block-secrets"))
    cited = {"search_results": [{"title": f"by {EMAIL}"}], "choices": [{"index": 0, "delta": {"content": "See"}, "note": EMAIL}]}
    leaking = {"choices": [{"index": 0, "delta": {"content": "more"}, "note": SECRET}]}
    pieces = [b"data: " + json.dumps({"id": "c1", **each}).encode() + b"\n\n" for each in (cited, leaking)]
    street.upstream.will(streamed(*pieces, event(finish_reason="stop"), DONE))
    body = await read(await street.call(STREAM))
    assert b"by [EMAIL]" in body
    assert EMAIL.encode() not in body
    assert SECRET.encode() not in body
    assert b'"finish_reason":"content_filter"' in body
    assert b"more" not in body


async def test_what_the_model_brings_up_itself_is_masked_for_good() -> None:
    street = guarded(Pii(id="mask"))
    street.upstream.will(completion(f"Pay with {CARD} please."))
    assert await content(street, asking("How do I pay?")) == "Pay with [PAYMENT_CARD] please."


async def test_an_answer_that_is_blocked_is_an_answer_without_content() -> None:
    street = guarded(Secrets(id="block-secrets"))
    street.upstream.will(completion(f"Use {SECRET}."))
    answer = await street.call()
    choice = json.loads(answer.body)["choices"][0]
    assert (answer.status, choice["finish_reason"]) == (200, "content_filter")
    assert SECRET.encode() not in answer.body
    record = await street.record()
    assert (record["finish_reason"], record["completion_tokens"]) == ("content_filter", 100)  # it was made, so it is paid for


async def test_a_stream_is_blocked_in_its_middle_with_what_was_cleared_before() -> None:
    street = guarded(Secrets(id="block-secrets"))
    pieces = ["The key you asked ", "for is ghp_a1B2c3D4e5", SECRET[14:], " and more", " text that nobody gets"]
    street.upstream.will(streamed(*[event(each) for each in pieces], event(finish_reason="stop"), DONE))
    body = await read(await street.call(STREAM))
    assert texts(body) == "The key you asked for is "
    assert body.endswith(DONE)
    assert b'"finish_reason":"content_filter"' in body
    assert b"ghp_" not in body
    record = await street.record()
    assert record["finish_reason"] == "content_filter"
    assert [each["outcome"] for each in await verdicts(street) if each["direction"] == "output"] == ["blocked"]


async def test_a_call_that_fails_after_its_guardrails_says_what_they_said() -> None:
    street = guarded(Pii(id="mask"))
    street.upstream.will(Reply(400, json.dumps({"error": {"message": "no", "code": "bad"}}).encode()))
    error = await street.refused(asking(f"Greet {EMAIL}"))
    assert error.status == 400
    assert "mask;on=messages;is=redacted" in error.headers[HEADER]


async def test_beside_the_model_the_answer_is_withheld_until_the_verdict_is_there() -> None:
    street = guarded(ContentSafety(id="safety", mode="during", direction="input"))
    street.safety.gate = asyncio.Event()
    street.upstream.will(completion("early answer"))
    calling = asyncio.ensure_future(street.call())
    await until(lambda: street.upstream.requests and street.safety.asked)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not calling.done()
    street.safety.gate.set()
    assert b"early answer" in (await calling).body


async def test_beside_the_model_a_refusal_lets_the_answer_go_and_its_cost_is_kept() -> None:
    street = guarded(ContentSafety(id="safety", mode="during", direction="input"))
    street.upstream.will(completion("never seen"))
    error = await street.refused(asking("sim-hate-4"))
    assert error.code == "guardrail_blocked"
    record = await street.record()
    assert int(record["completion_tokens"]) > 0  # type: ignore[arg-type]
    assert int(record["cost_micro_usd"]) > 0  # type: ignore[arg-type]


async def test_an_answer_without_its_form_is_asked_for_once_more_and_both_are_paid() -> None:
    schema = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
    street = guarded(JsonSchema(id="form", schema=schema))
    street.upstream.will(completion("Paris"), completion('{"city": "Paris"}'))
    assert await content(street, asking("Where?")) == '{"city": "Paris"}'
    assert len(street.upstream.requests) == 2
    assert len(sent(street)["messages"]) > 1
    assert [each["outcome"] for each in await verdicts(street)] == ["repaired"]
    record = (await street.records())[-1]
    assert record["completion_tokens"] == 200


async def test_looking_at_an_answers_form_is_time_in_guardrails(monkeypatch: pytest.MonkeyPatch) -> None:
    street = guarded(JsonSchema(id="form", schema={"type": "object"}))
    monkeypatch.setattr(SchemaCheck, "fault", lambda _check, _text: street.clock.advance(0.5))
    street.upstream.will(completion("{}"))
    await street.call()
    record = await street.record()
    assert (record["guard_s"], record["overhead_s"]) == (0.5, 0)


async def test_an_answer_that_never_has_its_form_is_refused() -> None:
    street = guarded(JsonSchema(id="form", schema={"type": "object"}))
    street.upstream.will(completion("Paris"), completion("Paris!"))
    error = await street.refused()
    assert isinstance(error, UpstreamError)
    assert error.code == "answer_invalid"
    assert (await street.record())["completion_tokens"] == 200


async def test_a_streamed_answer_has_its_form_before_the_client_sees_any_of_it() -> None:
    street = guarded(JsonSchema(id="form", schema={"type": "object"}))
    bad = streamed(event("no "), event("json"), event(finish_reason="stop"), event(usage=USAGE_JSON), DONE)
    good = streamed(event('{"a"'), event(": 1}"), event(finish_reason="stop"), event(usage=USAGE_JSON), DONE)
    street.upstream.will(bad, good)
    assert texts(await read(await street.call(STREAM))) == '{"a": 1}'


async def test_a_tool_that_is_not_allowed_is_not_called_by_an_answer_either() -> None:
    street = guarded(Tools(id="tools", deny=("shell*",)))
    reply = json.loads(completion("x").steps[0])  # type: ignore[arg-type]
    called = {"id": "c2", "type": "function", "function": {"name": "shell_exec", "arguments": "{}"}}
    reply["choices"][0] |= {"message": {"role": "assistant", "content": None, "tool_calls": [called]}, "finish_reason": "tool_calls"}
    street.upstream.will(Reply(steps=[json.dumps(reply).encode()]))
    answer = await street.call()
    choice = json.loads(answer.body)["choices"][0]
    assert (choice["finish_reason"], "tool_calls" in choice["message"]) == ("content_filter", False)


async def test_a_stream_that_calls_a_tool_that_is_not_allowed_is_cut() -> None:
    street = guarded(Tools(id="tools", deny=("shell*",)))
    delta = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "shell_exec", "arguments": ""}}]}
    more = {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    steps = [event("ok ", delta={"content": "ok "}), event(delta=delta), event(delta=more), event(finish_reason="tool_calls"), DONE]
    street.upstream.will(streamed(*steps))
    body = await read(await street.call(STREAM))
    assert b"tool_calls" not in body
    assert b'"finish_reason":"content_filter"' in body


async def test_a_filter_of_the_backend_that_did_not_run_is_said_so_or_refused() -> None:
    unchecked = {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
    reply = json.loads(completion("unchecked").steps[0])  # type: ignore[arg-type]
    reply["choices"][0]["content_filter_results"] = unchecked
    opened = guarded(BackendFilter(id="azure", fail=Fail.OPEN))
    opened.upstream.will(Reply(steps=[json.dumps(reply).encode()]))
    answer = await opened.call()
    assert json.loads(answer.body)["choices"][0]["content_filter_results"] == unchecked
    assert "is=unavailable" in answer.headers[HEADER]
    closed = guarded(BackendFilter(id="azure"))
    closed.upstream.will(Reply(steps=[json.dumps(reply).encode()]))
    error = await closed.refused()
    assert (error.status, error.code) == (503, "content_filter_unavailable")
    assert (await closed.record())["completion_tokens"] == 100


@pytest.mark.parametrize("action", [Action.REPORT, Action.REDACT, Action.BLOCK])
async def test_a_pattern_reports_redacts_or_blocks(action: Action) -> None:
    street = guarded(Regex(id="ticket", patterns={"ticket": r"TCK-\d{4}"}, action=action, direction="output"))
    street.upstream.will(completion("See TCK-1234."))
    answer = await street.call()
    choice = json.loads(answer.body)["choices"][0]
    expected = {Action.REPORT: "See TCK-1234.", Action.REDACT: "See [REDACTED]."}
    if action is Action.BLOCK:
        assert (choice["finish_reason"], b"TCK" in answer.body) == ("content_filter", False)
    else:
        assert choice["message"]["content"] == expected[action]
