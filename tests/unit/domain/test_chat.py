"""Every field of a chat request that we act on: what is taken, what is refused, and how the refusal names it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Operation, Surface
from gateway.domain.chat import MAX_MESSAGES, read_chat
from gateway.errors import RequestError
from tests.unit.domain.chat_requests import ABSENT, HELLO, chat, make_inbound, refusal

TEXT = {"type": "text", "text": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}


def test_reads_the_fields_we_act_on_and_keeps_the_bytes() -> None:
    document = chat(stream=True, stream_options={"include_usage": True}, max_tokens=10, n=2, user="u", temperature=0.5, brand_new={"x": 1})
    inbound = make_inbound(document, query={"api-version": "2024-10-21"})
    call = read_chat(inbound, "00-abc-def-01")
    assert call.body is inbound.body
    assert call.document == document
    assert (call.operation, call.surface, call.model, call.trace) == (Operation.CHAT, Surface.OPENAI, "gpt-4o", "00-abc-def-01")
    assert (call.stream, call.include_usage, call.max_output_tokens, call.choices) == (True, True, 10, 2)
    assert call.api_version == "2024-10-21"


def test_null_means_absent_for_optional_fields() -> None:
    names = ["stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "tools", "functions", "tool_choice", "user"]
    call = read_chat(make_inbound(chat(**dict.fromkeys(names))))
    assert (call.stream, call.include_usage, call.max_output_tokens, call.choices, call.trace) == (False, False, None, 1, "")


def test_the_larger_of_two_output_ceilings_counts() -> None:
    assert read_chat(make_inbound(chat(max_tokens=7, max_completion_tokens=9))).max_output_tokens == 9
    assert read_chat(make_inbound(chat(max_tokens=7, max_completion_tokens=None))).max_output_tokens == 7


@pytest.mark.parametrize("model", [ABSENT, None, "ignored", ""])
def test_on_azure_paths_the_deployment_is_the_model(model: Any) -> None:
    assert read_chat(make_inbound(chat(model=model), surface=Surface.AZURE, path_model="gpt-4o-mini")).model == "gpt-4o-mini"


def test_a_deployment_name_has_the_same_limit_as_a_model() -> None:
    assert refusal(chat(), path_model="m" * 257) == ("invalid_value", "model")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": ABSENT}, "missing_required_parameter", "model"),
        ({"model": None}, "missing_required_parameter", "model"),
        ({"model": ""}, "invalid_value", "model"),
        ({"model": 4}, "invalid_type", "model"),
        ({"model": "m" * 257}, "invalid_value", "model"),
        ({"messages": ABSENT}, "missing_required_parameter", "messages"),
        ({"messages": None}, "missing_required_parameter", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": "Hello"}, "invalid_type", "messages"),
        ({"messages": {"0": HELLO}}, "invalid_type", "messages"),
        ({"messages": [HELLO] * (MAX_MESSAGES + 1)}, "invalid_value", "messages"),
        ({"messages": [HELLO, "Hello"]}, "invalid_type", "messages[1]"),
        ({"stream": "true"}, "invalid_type", "stream"),
        ({"stream": 1}, "invalid_type", "stream"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        ({"stream": False, "stream_options": {}}, "invalid_value", "stream_options"),
        ({"stream": True, "stream_options": []}, "invalid_type", "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "invalid_type", "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"Include_Usage": True}}, "unknown_parameter", "stream_options.Include_Usage"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": -1}, "invalid_value", "max_tokens"),
        ({"max_tokens": True}, "invalid_type", "max_tokens"),
        ({"max_tokens": 10.0}, "invalid_type", "max_tokens"),
        ({"max_tokens": "10"}, "invalid_type", "max_tokens"),
        ({"max_completion_tokens": 2**31 + 1}, "invalid_value", "max_completion_tokens"),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 129}, "invalid_value", "n"),
        ({"n": True}, "invalid_type", "n"),
        ({"tools": {}}, "invalid_type", "tools"),
        ({"tools": [{}, 1]}, "invalid_type", "tools[1]"),
        ({"functions": ["f"]}, "invalid_type", "functions[0]"),
        ({"tool_choice": 1}, "invalid_type", "tool_choice"),
        ({"user": 7}, "invalid_type", "user"),
        ({"Messages": []}, "unknown_parameter", "Messages"),
        ({"MODEL": "gpt-4o"}, "unknown_parameter", "MODEL"),
        ({"Temperature": 2}, "unknown_parameter", "Temperature"),
        ({"brand_new": 1, "TOP_P": 1}, "unknown_parameter", "TOP_P"),
        ({"Parallel_Tool_Calls": True}, "unknown_parameter", "Parallel_Tool_Calls"),
        ({"Data_Sources": []}, "unknown_parameter", "Data_Sources"),
        ({"\uff4dodel": "gpt-4o"}, "unknown_parameter", "\uff4dodel"),
        ({"\u017ftream": True}, "unknown_parameter", "\u017ftream"),
    ],
)
def test_refuses_a_wrong_field_and_names_it(fields: dict[str, Any], code: str, param: str) -> None:
    assert refusal(chat(**fields)) == (code, param)


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({"content": "Hi"}, "missing_required_parameter", "role"),
        ({"role": None, "content": "Hi"}, "missing_required_parameter", "role"),
        ({"role": 1, "content": "Hi"}, "invalid_type", "role"),
        ({"role": "admin", "content": "Hi"}, "invalid_value", "role"),
        ({"role": "User", "content": "Hi"}, "invalid_value", "role"),
        ({"role": "user"}, "missing_required_parameter", "content"),
        ({"role": "user", "content": None}, "invalid_type", "content"),
        ({"role": "assistant", "content": None}, "invalid_type", "content"),
        ({"role": "assistant"}, "missing_required_parameter", "content"),
        ({"role": "assistant", "tool_calls": []}, "missing_required_parameter", "content"),
        ({"role": "tool", "content": None, "tool_call_id": "c"}, "invalid_type", "content"),
        ({"role": "user", "content": 5}, "invalid_type", "content"),
        ({"role": "user", "content": {"text": "Hi"}}, "invalid_type", "content"),
        ({"role": "user", "content": []}, "invalid_value", "content"),
        ({"role": "user", "content": ["Hi"]}, "invalid_type", "content[0]"),
        ({"role": "user", "content": [TEXT, {"text": "Hi"}]}, "missing_required_parameter", "content[1].type"),
        ({"role": "user", "content": [{"type": 1}]}, "invalid_type", "content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "missing_required_parameter", "content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "invalid_type", "content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": ["Hi"]}]}, "invalid_type", "content[0].text"),
        ({"role": "user", "content": [{"type": "novel", "text": {"value": "Hi"}}]}, "invalid_type", "content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": "Hi", "Text": "Ho"}]}, "unknown_parameter", "content[0].Text"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "https://x"}]}, "invalid_type", "content[0].image_url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "missing_required_parameter", "content[0].image_url.url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]}, "invalid_type", "content[0].image_url.url"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": 1}}]},
            "invalid_type",
            "content[0].image_url.detail",
        ),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "missing_required_parameter", "content[0].input_audio"),
        ({"role": "user", "content": [{"type": "file", "file": "id"}]}, "invalid_type", "content[0].file"),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": 1}]}, "invalid_type", "content[0].refusal"),
        ({"role": "user", "content": "Hi", "Content": "Ho"}, "unknown_parameter", "Content"),
        ({"role": "user", "content": "Hi", "name": 1}, "invalid_type", "name"),
        ({"role": "tool", "content": "Hi", "tool_call_id": 1}, "invalid_type", "tool_call_id"),
        ({"role": "assistant", "tool_calls": {}}, "invalid_type", "tool_calls"),
        ({"role": "assistant", "tool_calls": [1]}, "invalid_type", "tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"function": "f"}]}, "invalid_type", "tool_calls[0].function"),
        ({"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]}, "invalid_type", "tool_calls[0].function.arguments"),
        ({"role": "assistant", "tool_calls": [{"Function": {}}]}, "unknown_parameter", "tool_calls[0].Function"),
        ({"role": "assistant", "tool_calls": [{"custom": {"input": {}}}]}, "invalid_type", "tool_calls[0].custom.input"),
        ({"role": "assistant", "function_call": {"Arguments": ""}}, "unknown_parameter", "function_call.Arguments"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"URL": "u"}}]}, "unknown_parameter", "content[0].image_url.URL"),
        ({"role": "assistant", "function_call": "f"}, "invalid_type", "function_call"),
        ({"role": "assistant", "function_call": {"name": 1}}, "invalid_type", "function_call.name"),
    ],
)
def test_refuses_a_wrong_message_and_names_the_place(message: dict[str, Any], code: str, param: str) -> None:
    assert refusal(chat(messages=[HELLO, HELLO, message])) == (code, f"messages[2].{param}")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": ""},
        {"role": "developer", "content": [TEXT]},
        {"role": "user", "content": [TEXT, IMAGE, {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}, {"type": "video_url", "video_url": {"url": "u"}}]},
        {"role": "user", "content": "Hi", "name": "ada", "brand_new": [1]},
        {"role": "user", "content": "Hi", "name": None},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "audio": {"id": "audio-1"}},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "tool", "content": [TEXT], "tool_call_id": "c"},
        {"role": "function", "name": "f", "content": None},
    ],
)
def test_takes_every_kind_of_message_untouched(message: dict[str, Any]) -> None:
    assert read_chat(make_inbound(chat(messages=[message]))).document["messages"] == [message]


def test_takes_as_many_messages_as_the_cap_says() -> None:
    assert len(read_chat(make_inbound(chat(messages=[HELLO] * MAX_MESSAGES))).document["messages"]) == MAX_MESSAGES


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "text", "user", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "image_url", "url", "tool_calls", "function", "name", "Role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
fields = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "tools",
    "tool_choice",
    "user",
    "functions",
]


def guarded_texts(messages: list[dict[str, Any]]) -> list[Any]:
    """Collect everything a guard would read as text."""
    contents = [message.get("content") for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [content for content in contents if not isinstance(content, list | None)] + [part["text"] for part in parts if "text" in part]


@given(
    st.dictionaries(st.sampled_from(fields), junk),
    st.none() | st.lists(st.dictionaries(st.sampled_from(["role", "content", "name"]), junk), max_size=3),
)
def test_any_junk_is_refused_with_a_400_or_leaves_only_text_where_guards_read(document: dict[str, Any], messages: list[Any] | None) -> None:
    document |= {} if messages is None else {"model": "gpt-4o", "messages": messages}
    try:
        call = read_chat(make_inbound(document))
    except RequestError as refused:
        call = None
        status, param = refused.status, refused.param
    if call is None:
        assert status == 400
        assert param
        return
    assert all(type(text) is str for text in guarded_texts(call.document["messages"]))
    assert type(call.stream) is type(call.include_usage) is bool
    assert 1 <= call.choices <= 128
