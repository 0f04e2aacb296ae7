"""Bedrock's answers, whole, streamed and refused. The plain cases are golden files; here are laws and hostile bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Call, Completion, StreamEvent
from gateway.domain.deployment import Protocol
from gateway.errors import UpstreamError, UpstreamMisconfigured, UpstreamRejected, UpstreamThrottled, UpstreamTimeout
from gateway.providers.bedrock_stream import BedrockStream
from gateway.providers.registry import provider_for
from tests.builders import make_call
from tests.fakes.eventstream import event, exception, message

PROVIDER: Any = provider_for(Protocol.BEDROCK)
CALL = make_call({"model": "claude", "messages": [{"role": "user", "content": "Hi"}]})
STREAM = make_call({**CALL.document, "stream": True, "stream_options": {"include_usage": True}})
USAGE = {"inputTokens": 12, "outputTokens": 7, "totalTokens": 19, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2}


def decode(document: Any, headers: dict[str, str] | None = None, call: Call = CALL) -> Completion:
    completion: Completion = PROVIDER.decode(
        call, document if isinstance(document, bytes) else json.dumps(document).encode(), headers or {}
    )
    return completion


def answer(*content: Any, stop: str = "end_turn", **over: Any) -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": list(content)}}, "stopReason": stop, "usage": USAGE, **over}


def run(raw: bytes, call: Call = STREAM) -> list[StreamEvent]:
    decoder = PROVIDER.decoder(call)
    return [*decoder.feed(raw), *decoder.finish()]


def chunks_of(events: list[StreamEvent]) -> list[dict[str, Any]]:
    frames = b"".join(each.data for each in events).decode().split("\n\n")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames if frame and frame != "data: [DONE]"]


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_output_that_the_model_spoilt_is_no_answer(reason: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        decode(answer({"text": "x"}, stop=reason))
    assert (caught.value.code, caught.value.retryable) == ("upstream_malformed", True)


@pytest.mark.parametrize(("reason", "said"), [("something_new", "stop"), ("content_filtered", "content_filter"), ("stop_sequence", "stop")])
def test_reasons_of_the_end_are_openais(reason: str, said: str) -> None:
    assert decode(answer({"text": "x"}, stop=reason)).finish_reason == said


@pytest.mark.parametrize(("reason", "said"), [("end_turn", "tool_calls"), ("max_tokens", "length"), ("content_filtered", "content_filter")])
def test_a_call_is_the_reason_of_an_end_that_has_no_other(reason: str, said: str) -> None:
    assert decode(answer({"toolUse": {"toolUseId": "t", "name": "f"}}, stop=reason)).finish_reason == said


def test_a_block_ends_once() -> None:
    thought = event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "x", "signature": "s"}})
    stop = event("contentBlockStop", contentBlockIndex=0)
    assert b"".join(each.data for each in run(thought + stop + stop)).count(b"thinking_blocks") == 1


@pytest.mark.parametrize("given_id", ["", "<script>", "a" * 65, "a b"])
def test_an_id_that_is_none_is_not_passed_on(given_id: str) -> None:
    assert json.loads(decode(answer(), {"x-amzn-requestid": given_id}).body)["id"] == "chatcmpl-0"


@pytest.mark.parametrize("usage", [{}, {"inputTokens": None, "outputTokens": -1}])
def test_numbers_that_are_none_count_as_nothing(usage: Any) -> None:
    found = decode(answer(usage=usage)).usage
    assert found is not None
    assert found.total_tokens == 0


def test_a_call_without_input_has_an_empty_object() -> None:
    (choice,) = json.loads(decode(answer({"toolUse": {"toolUseId": "t", "name": "f", "input": None}})).body)["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_what_a_chat_has_no_place_for_is_left_out() -> None:
    (choice,) = json.loads(decode(answer({"image": {"format": "png"}}, {"text": "x"}, {"citationsContent": {}})).body)["choices"]
    assert choice["message"]["content"] == "x"


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "toolUse", "toolUseId", "name", "input", "reasoningContent"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=30) | json_value.map(lambda value: json.dumps(value).encode()), json_value)
def test_any_bytes_are_an_answer_or_a_malformed_one(raw: bytes, value: Any) -> None:
    for document in (raw, answer(value), {**answer(), "usage": value}, {**answer(), "stopReason": value}, {**answer(), "output": value}):
        try:
            assert json.loads(decode(document).body)["object"] == "chat.completion"
        except UpstreamError as error:
            assert error.code == "upstream_malformed"  # noqa: PT017 - read or refused, both are right


EVENTS = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "throttlingException",
    "x",
]
hostile = st.lists(
    st.builds(
        lambda kind, sort, name, value: message({f":{kind}-type": sort, ":message-type": kind}, json.dumps({name: value}).encode()),
        st.sampled_from(["event", "exception", "error", "other"]),
        st.sampled_from(EVENTS),
        st.sampled_from(["delta", "start", "usage", "stopReason", "contentBlockIndex", "message"]),
        json_value,
    )
    | st.binary(max_size=20),
    max_size=5,
).map(b"".join)


@given(hostile)
def test_any_stream_ends_once_and_is_well_formed_until_then(raw: bytes) -> None:
    events = run(raw)
    assert [bool(each.done or each.error) for each in events] == [False] * (len(events) - 1) + [True]
    chunks_of(events)


@given(hostile)
def test_nothing_follows_an_end(raw: bytes) -> None:
    decoder = PROVIDER.decoder(STREAM)
    decoder.feed(event("messageStop", stopReason="end_turn") + event("metadata", usage=USAGE))
    assert [*decoder.feed(raw), *decoder.finish()] == []


def test_arguments_of_a_call_that_did_not_begin_are_malformed() -> None:
    (failed,) = run(event("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": "{}"}}))
    assert failed.error is not None
    assert failed.error.code == "upstream_malformed"


def test_the_usage_may_come_before_the_end() -> None:
    events = run(event("metadata", usage=USAGE) + event("messageStop", stopReason="end_turn"))
    assert [(each.usage is not None, each.finish_reason, each.done) for each in events] == [
        (True, None, False),
        (False, "stop", False),
        (False, None, True),
    ]


def test_reasoning_is_kept_within_the_limit_and_never_without_end() -> None:
    decoder = BedrockStream(STREAM, limit=1000)
    piece = event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "x" * 99}})
    found = [event for _ in range(20) for event in decoder.feed(piece)]
    assert len(found) == 11  # ten pieces and the error
    assert found[-1].error is not None


blocks = st.lists(
    st.one_of(
        st.builds(lambda pieces: ("text", pieces), st.lists(st.text(max_size=4), max_size=3)),
        st.builds(lambda pieces: ("thought", pieces), st.lists(st.text(max_size=4), max_size=3)),
        st.builds(lambda value: ("call", [json.dumps({"k": value}) if value else ""]), st.text(max_size=4)),
    ),
    max_size=5,
)


@given(blocks, st.sampled_from(["end_turn", "tool_use", "max_tokens", "guardrail_intervened"]), st.booleans())
def test_a_stream_adds_up_to_the_whole_answer(content: list[tuple[str, list[str]]], stop: str, signed: bool) -> None:
    whole: list[Any] = []
    raw = event("messageStart", role="assistant")
    for index, (kind, pieces) in enumerate(content):
        if kind == "text":
            whole.append({"text": "".join(pieces)})
            deltas: list[Any] = [{"text": piece} for piece in pieces]
        elif kind == "thought":
            whole.append({"reasoningContent": {"reasoningText": {"text": "".join(pieces), **({"signature": "s"} if signed else {})}}})
            deltas = [{"reasoningContent": {"text": piece}} for piece in pieces] + [{"reasoningContent": {"signature": "s"}}] * signed
        else:
            whole.append({"toolUse": {"toolUseId": f"t{index}", "name": "f", "input": json.loads(pieces[0] or "{}")}})
            raw += event("contentBlockStart", contentBlockIndex=index, start={"toolUse": {"toolUseId": f"t{index}", "name": "f"}})
            deltas = [{"toolUse": {"input": piece}} for piece in (pieces[0][:3], pieces[0][3:])]
        raw += b"".join(event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in deltas)
        raw += event("contentBlockStop", contentBlockIndex=index)
    raw += event("messageStop", stopReason=stop) + event("metadata", usage=USAGE)
    expected = json.loads(decode(answer(*whole, stop=stop)).body)
    assert added_up(chunks_of(run(raw))) == (expected["choices"][0], expected["usage"])


def added_up(chunks: list[dict[str, Any]]) -> tuple[dict[str, Any], Any]:
    """Put a stream together as a client would."""
    made: dict[str, Any] = {"role": None, "content": "", "refusal": None}
    reason = None
    for chunk in chunks:
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            delta = choice["delta"]
            made["role"] = delta.get("role") or made["role"]
            made["content"] += delta.get("content", "")
            for name, empty in (("reasoning_content", ""), ("thinking_blocks", [])):
                if name in delta:
                    made[name] = made.get(name, empty) + delta[name]
            for call in delta.get("tool_calls", []):
                calls = made.setdefault("tool_calls", [])
                if "id" in call:
                    assert call["index"] == len(calls)
                    calls.append({name: value for name, value in call.items() if name != "index"})
                else:
                    calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    if made.get("tool_calls") and not made["content"]:
        made["content"] = None
    return {"index": 0, "message": made, "logprobs": None, "finish_reason": reason}, chunks[-1]["usage"]


def classify(status: int, name: str, text: str = "", **headers: str) -> UpstreamError:
    error: UpstreamError = PROVIDER.classify(status, {"x-amzn-errortype": name, **headers}, json.dumps({"message": text}).encode())
    return error


@pytest.mark.parametrize(
    ("status", "name", "kind", "code"),
    [
        (429, "ThrottlingException", UpstreamThrottled, "upstream_throttled"),
        (400, "ThrottlingException", UpstreamThrottled, "upstream_throttled"),
        (400, "ThrottlingException:http://internal.amazon.com/coral/", UpstreamThrottled, "upstream_throttled"),
        (400, "ServiceQuotaExceededException", UpstreamThrottled, "upstream_throttled"),
        (429, "", UpstreamThrottled, "upstream_throttled"),
        (400, "ExpiredTokenException", UpstreamMisconfigured, "upstream_auth_failed"),
        (403, "UnrecognizedClientException", UpstreamMisconfigured, "upstream_auth_failed"),
        (403, "", UpstreamMisconfigured, "upstream_auth_failed"),
        (404, "ResourceNotFoundException", UpstreamMisconfigured, "upstream_deployment_missing"),
        (404, "UnknownOperationException", UpstreamMisconfigured, "upstream_deployment_missing"),
        (408, "ModelTimeoutException", UpstreamTimeout, "upstream_timeout"),
        (424, "ModelErrorException", UpstreamError, "upstream_error"),
        (429, "ModelNotReadyException", UpstreamError, "upstream_error"),
        (500, "InternalServerException", UpstreamError, "upstream_error"),
        (503, "ServiceUnavailableException", UpstreamError, "upstream_error"),
        (400, "ValidationException", UpstreamRejected, "upstream_rejected"),
        (400, "", UpstreamRejected, "upstream_rejected"),
        (413, "RequestEntityTooLargeException", UpstreamRejected, "upstream_rejected"),
    ],
)
def test_exceptions_are_told_by_their_name_then_by_their_status(status: int, name: str, kind: type[UpstreamError], code: str) -> None:
    error = classify(status, name, "why")
    assert (type(error), error.code) == (kind, code)


def test_the_name_may_be_in_the_body() -> None:
    body = b'{"__type": "com.amazon.coral.service#ThrottlingException", "Message": "slow down"}'
    assert isinstance(PROVIDER.classify(400, {}, body), UpstreamThrottled)


@pytest.mark.parametrize(
    "text",
    [
        "Input is too long for requested model.",
        "The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum",
        "The model returned the following errors: input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
        "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
        "too many total text bytes",
        "This model's maximum context length is 8192 tokens. Please reduce the length of the prompt",
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart(text: str) -> None:
    error = classify(400, "ValidationException", text)
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    (streamed,) = run(exception("validationException", text))
    assert streamed.error is not None
    assert streamed.error.code == "context_length_exceeded"


@pytest.mark.parametrize(
    "text", ["The provided model identifier is invalid.", "Invocation of model ID x with on-demand throughput isn't supported."]
)
def test_a_model_that_is_not_there_is_the_operators_business(text: str) -> None:
    assert isinstance(classify(400, "ValidationException", text), UpstreamMisconfigured)


@pytest.mark.parametrize(
    "secret",
    [
        "arn:aws:iam::123456789012:role/gateway",
        "arn:aws-cn:bedrock:cn-north-1:123456789012:inference-profile/x",
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/123456789012",
        "bedrock-runtime.cn-north-1.amazonaws.com.cn/123456789012",
    ],
)
@pytest.mark.parametrize("name", ["ValidationException", "ConflictException"])
def test_words_name_neither_accounts_nor_hosts(secret: str, name: str) -> None:
    message = classify(400, name, f"wrong: '{secret}'.").message
    assert "123456789012" not in message
    assert "amazonaws" not in message
    assert message.startswith("wrong")


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["x-amzn-errortype", "retry-after"]), st.text(max_size=8)),
    st.binary(max_size=40),
)
def test_classifying_never_fails(status: int, headers: dict[str, str], body: bytes) -> None:
    assert isinstance(PROVIDER.classify(status, headers, body), UpstreamError)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"message": "' + b"a." * 30_000 + b'"}', b'{"message": 1}', b'"x"'])
def test_classifying_hostile_bodies_ends(body: bytes) -> None:
    assert isinstance(PROVIDER.classify(400, {"x-amzn-errortype": "ValidationException"}, body), UpstreamRejected)
