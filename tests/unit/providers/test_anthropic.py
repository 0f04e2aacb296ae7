"""Chat over Anthropic: what the golden cases do not show."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain.call import Call, Operation, Surface, Usage
from gateway.domain.deployment import Protocol
from gateway.errors import RequestError, UpstreamError, UpstreamRejected
from gateway.providers.anthropic import Anthropic
from gateway.providers.anthropic_request import BUDGETS, DEFAULT_MAX_TOKENS
from tests.builders import make_backend, make_call, make_deployment
from tests.wire.golden_case import GOLDEN

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BACKEND = make_backend(protocol=Protocol.ANTHROPIC, endpoint="https://api.anthropic.com")


def chat(**members: Any) -> Call:
    document = {"model": "gpt", "messages": HELLO} | members
    ceilings = [document.get(name) for name in ("max_tokens", "max_completion_tokens")]
    return make_call(document, max_output_tokens=max((each for each in ceilings if each), default=None))


def sent(call: Call, name: str = "claude-sonnet-5", **backend: Any) -> dict[str, Any]:
    request = Anthropic().encode(call, make_deployment(backend=make_backend(protocol=Protocol.ANTHROPIC, **backend), name=name))
    body: dict[str, Any] = json.loads(request.body)
    return body


def decoded(*content: dict[str, Any], **members: Any) -> Any:
    message = {"id": "msg_1", "type": "message", "content": list(content), "stop_reason": "end_turn"} | members
    return Anthropic().decode(chat(), json.dumps(message).encode(), {})


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"seed": 1}, "seed"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"store": True}, "store"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "a"}}, "audio"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"verbosity": "low"}, "verbosity"),
        ({"something_new": 1}, "something_new"),
        ({"temperature": 1.5}, "temperature"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning_effort": []}, "reasoning_effort"),
        ({"tool_choice": "maybe", "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}, "tools": [TOOL]}, "tool_choice.type"),
        ({"tools": [TOOL, {"type": "custom", "custom": {"name": "f"}}]}, "tools[1].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"messages": [{"role": "system", "content": "a"}]}, "messages"),
        ({"messages": [{"role": "function", "name": "f", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "name": "Ann", "content": "a"}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[0].function_call"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "content": "a", "thinking_blocks": "b"}]}, "messages[0].thinking_blocks"),
        ({"messages": [{"role": "assistant", "content": "a", "thinking_blocks": [{}]}]}, "messages[0].thinking_blocks"),
    ],
)
def test_what_messages_cannot_say_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        sent(chat(**members))
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}, "type"),
        ({"type": "video_url", "video_url": {}}, "type"),
        ({"type": "text", "text": "a", "extra": 1}, "extra"),
        ({"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, "image_url.url"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_id"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA"}}, "file.file_data"),
        ({"type": "file", "file": {}}, "file.file_data"),
    ],
)
def test_a_part_that_messages_cannot_say_is_refused_by_name(part: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        sent(chat(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]))
    assert caught.value.param == f"messages[0].content[1].{param}"


@pytest.mark.parametrize("arguments", ["[1]", "{", "1", "NaN", '"a"'])
def test_arguments_that_are_no_object_are_refused_where_they_stand(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(RequestError) as caught:
        sent(chat(messages=[*HELLO, {"role": "assistant", "tool_calls": [call]}]))
    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"


def test_values_that_ask_for_nothing_are_left_out() -> None:
    nothing = {"n": 1, "logprobs": False, "presence_penalty": 0.0, "logit_bias": {}, "store": False, "service_tier": "auto", "seed": None}
    hints = {"metadata": {"a": "b"}, "prompt_cache_key": "k", "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    assert sent(chat(**nothing, **hints)) == sent(chat())


def test_empty_texts_and_turns_are_left_out() -> None:
    empty = [
        {"role": "system", "content": ""},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None, "refusal": None},
    ]
    body = sent(chat(messages=[*empty, {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "Hello"}]}]))
    assert (body.get("system"), body["messages"]) == (None, HELLO)


def test_tool_results_that_follow_one_another_are_one_turn_and_others_are_not() -> None:
    def call(index: int) -> dict[str, Any]:
        return {"role": "assistant", "tool_calls": [{"id": f"c{index}", "type": "function", "function": {"name": "f", "arguments": ""}}]}

    def result(index: int) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": f"c{index}", "content": ""}

    turns = sent(chat(messages=[*HELLO, call(1), result(1), result(2), call(3), result(3)]))["messages"]
    assert [(turn["role"], [block.get("tool_use_id") for block in turn["content"]]) for turn in turns[1:]] == [
        ("assistant", [None]),
        ("user", ["c1", "c2"]),
        ("assistant", [None]),
        ("user", ["c3"]),
    ]
    assert turns[1]["content"] == [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]


@pytest.mark.parametrize(
    ("members", "choice"),
    [
        ({}, None),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"tool_choice": "required"}, {"type": "any"}),
    ],
)
def test_a_tool_choice_says_what_it_said(members: dict[str, Any], choice: Any) -> None:
    assert sent(chat(tools=[TOOL], **members)).get("tool_choice") == choice


@pytest.mark.parametrize(
    ("name", "by_budget"),
    [
        ("claude-3-7-sonnet-20250219", True),
        ("claude-opus-4-20250514", True),
        ("claude-opus-4-1", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-haiku-4-5", True),
        ("claude-haiku-4-5-team-a", True),
        ("claude-opus-4-6", False),
        ("claude-opus-4-7-20260101", False),
        ("claude-sonnet-5", False),
        ("claude-opus-5-5", False),
        ("our-own-name", False),
    ],
)
def test_the_name_says_how_a_model_thinks(name: str, by_budget: bool) -> None:
    body = sent(chat(reasoning_effort="minimal"), name)
    assert body["thinking"]["type"] == ("enabled" if by_budget else "adaptive")
    assert body.get("output_config") == (None if by_budget else {"effort": "low"})


def test_budgets_stay_under_the_ceiling_and_above_anthropics_least() -> None:
    for effort, budget in BUDGETS.items():
        body = sent(chat(reasoning_effort=effort), "claude-haiku-4-5")
        assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (DEFAULT_MAX_TOKENS + budget, budget)
        assert body["max_tokens"] < 32_000
        tight = sent(chat(reasoning_effort=effort, max_completion_tokens=1100), "claude-haiku-4-5")
        assert (tight["max_tokens"], tight["thinking"]["budget_tokens"]) == (1100, 1024)
    with pytest.raises(RequestError, match="more than 1024"):
        sent(chat(reasoning_effort="low", max_tokens=1024), "claude-haiku-4-5")
    assert "thinking" not in sent(chat(reasoning_effort="none"), "claude-haiku-4-5")


def test_after_a_tool_call_a_model_thinks_by_budget_only_with_its_own_thoughts() -> None:
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    thought = {"type": "thinking", "thinking": "Hm", "signature": "Eq"}
    result = {"role": "tool", "tool_call_id": "c", "content": "1"}
    bare = chat(messages=[*HELLO, {"role": "assistant", "tool_calls": [called]}, result], reasoning_effort="low")
    whole = {"role": "assistant", "content": "a", "reasoning_content": "Hm", "thinking_blocks": [thought], "tool_calls": [called]}
    full = chat(messages=[*HELLO, whole, result], reasoning_effort="low")
    assert "thinking" not in sent(bare, "claude-haiku-4-5")
    assert sent(bare)["thinking"]["type"] == "adaptive"
    body = sent(full, "claude-haiku-4-5")
    assert body["thinking"]["type"] == "enabled"
    assert body["messages"][1]["content"][:2] == [thought, {"type": "text", "text": "a"}]


@pytest.mark.parametrize(("version", "shown"), [("2024-10-21", "2023-06-01"), ("v1", "2023-06-01"), ("2023-01-01", "2023-01-01")])
def test_the_version_is_the_backends_if_it_is_anthropics(version: str, shown: str) -> None:
    backend = make_backend(protocol=Protocol.ANTHROPIC, endpoint="", api_version=version)
    request = Anthropic().encode(chat(), make_deployment(backend=backend))
    assert (request.url, request.headers["anthropic-version"]) == ("https://api.anthropic.com/v1/messages", shown)


def test_no_header_of_a_messages_call_goes_with_a_chat() -> None:
    call = make_call(headers={"anthropic-beta": "a"})
    assert "anthropic-beta" not in Anthropic().encode(call, make_deployment(backend=BACKEND)).headers


def test_thoughts_of_another_makers_model_stay_behind_and_signed_ones_go() -> None:
    def thought(signature: str) -> dict[str, Any]:
        return {"type": "thinking", "thinking": "Hm", "signature": signature}

    def sent_turns(*contents: Any) -> bytes:
        turns = [*HELLO, *[{"role": "assistant", "content": content} for content in contents]]
        call = make_call({"model": "m", "max_tokens": 9, "messages": turns}, operation=Operation.MESSAGES, surface=Surface.ANTHROPIC)
        return Anthropic().encode(call, make_deployment(backend=BACKEND, name="m")).body

    text = {"type": "text", "text": "a"}
    assert json.loads(sent_turns([thought(""), text], [thought("")], "b"))["messages"] == [
        *HELLO,
        {"role": "assistant", "content": [text]},
        {"role": "assistant", "content": "b"},
    ]
    turns = [*HELLO, {"role": "assistant", "content": [thought("Eq"), text]}]
    assert sent_turns([thought("Eq"), text]) == json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode()


def test_other_operations_are_refused() -> None:
    with pytest.raises(RequestError) as caught:
        Anthropic().encode(make_call(operation=Operation.EMBEDDINGS), make_deployment(backend=BACKEND))
    assert caught.value.code == "unsupported_operation"


def test_a_tools_arguments_are_the_upstreams_own_spelling() -> None:
    body = b'{"content":[{"type":"tool_use","id":"t","name":"f","input":{ "a" : 1.50e0 }}],"stop_reason":"tool_use"}'
    completion = Anthropic().decode(chat(), body, {})
    (called,) = json.loads(completion.body)["choices"][0]["message"]["tool_calls"]
    assert called["function"]["arguments"] == '{ "a" : 1.50e0 }'
    assert completion.text == '{ "a" : 1.50e0 }'


def test_only_signed_thoughts_are_given_to_be_sent_back() -> None:
    unsigned = {"type": "thinking", "thinking": "Hm"}
    message = json.loads(decoded(unsigned, {"type": "text", "text": "a"}).body)["choices"][0]["message"]
    assert (message["reasoning_content"], "thinking_blocks" in message) == ("Hm", False)


def test_a_stop_reason_or_block_of_tomorrow_is_no_fault() -> None:
    completion = decoded({"type": "of_tomorrow", "text": 1.5} | {"text": None}, {"type": "text", "text": "a"}, stop_reason="tired")
    assert (completion.finish_reason, json.loads(completion.body)["choices"][0]["message"]["content"]) == ("stop", "a")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"content":null}', b'{"content":[{"type":1}]}', b'{"content":[' * 5000])
@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.MESSAGES])
def test_garbage_is_an_upstream_error(body: bytes, operation: Operation) -> None:
    with pytest.raises(UpstreamError) as caught:
        Anthropic().decode(make_call(operation=operation, surface=Surface.ANTHROPIC), body, {})
    assert caught.value.code == "upstream_malformed"


def test_bytes_in_an_input_that_are_no_text_are_an_upstream_error() -> None:
    body = b'{"content":[{"type":"tool_use","id":"t","name":"f","input":{"a":"\xff"}}]}'
    for operation in (Operation.CHAT, Operation.MESSAGES):
        with pytest.raises(UpstreamError):
            Anthropic().decode(make_call(operation=operation), body, {})


def test_negative_and_absent_numbers_are_none() -> None:
    assert decoded(usage={"input_tokens": -5, "output_tokens": None}).usage == Usage()
    assert decoded(usage={"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 4}).usage == Usage(
        7, 0, 2, cache_write_tokens=4
    )


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"prompt is too long", b'{"error":"prompt is too long"}', b'{"error":{"message":7}}', b"[]"]
)
@pytest.mark.parametrize("status", [302, 400, 402, 404, 413, 500, 529])
def test_classifying_never_raises(status: int, body: bytes) -> None:
    error = Anthropic().classify(status, {}, body)
    assert isinstance(error, UpstreamError)
    assert not isinstance(error, UpstreamRejected) or status in {400, 413}


def test_no_address_of_a_backend_reaches_a_client() -> None:
    body = b'{"type":"error","error":{"type":"invalid_request_error","message":"see https://contoso.services.ai.azure.com/x"}}'
    assert "contoso" not in Anthropic().classify(400, {}, body).message


@pytest.mark.parametrize("answer", sorted(GOLDEN.glob("anthropic/chat*/client_response.*")), ids=lambda path: path.parent.name)
def test_every_chat_answer_is_one_that_openais_own_types_take(answer: Path) -> None:
    if answer.suffix == ".json":
        assert ChatCompletion.model_validate_json(answer.read_bytes(), strict=True).choices
        return
    for data in answer.read_bytes().split(b"\n\n"):
        if data not in {b"", b"data: [DONE]"}:
            assert ChatCompletionChunk.model_validate_json(data[6:], strict=True).object == "chat.completion.chunk"


def test_a_call_is_the_reason_of_an_end_that_has_no_other() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert decoded(call).finish_reason == "tool_calls"
    assert decoded(call, stop_reason="max_tokens").finish_reason == "length"
    events = [
        {"type": "message_start", "message": {"id": "msg_1", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": call},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    read = Anthropic().decoder(chat(stream=True)).feed(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))
    assert [event.finish_reason for event in read if event.finish_reason] == ["tool_calls"]
