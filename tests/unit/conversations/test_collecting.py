"""What a client was answered, as the message that its conversation keeps."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversations.collecting import MAX_ANSWER_BYTES, collector
from gateway.domain.call import Operation

FUNCTION = {"name": "weather", "arguments": '{"city": "Ulm"}'}
CALL = {"id": "call_1", "type": "function", "function": FUNCTION}
OTHER = {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}}


def whole(document: Any, operation: Operation = Operation.CHAT) -> dict[str, Any] | None:
    found = collector(operation, stream=False)
    found.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return found.message()


def stream(*events: Any, done: bool = True, size: int = 10**9, operation: Operation = Operation.CHAT) -> dict[str, Any] | None:
    data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events) + (b"data: [DONE]\n\n" if done else b"")
    found = collector(operation, stream=True)
    for at in range(0, len(data), size):
        found.feed(data[at : at + size])
    return found.message()


def chat(message: Any, finish: str = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}


def chunk(finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


SPEAKING = [
    chunk(role="assistant", content=""),
    chunk(content="It "),
    chunk(content="rains"),
    chunk(tool_calls=[{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]),
    chunk(tool_calls=[{"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{"}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city": '}}]),
    chunk(tool_calls=[{"index": 1, "function": {"arguments": "}"}}, {"index": 0, "function": {"arguments": '"Ulm"}'}}]),
    chunk("tool_calls"),
    {"choices": [], "usage": {"prompt_tokens": 1}},
]
SAID = {"role": "assistant", "content": "It rains", "tool_calls": [CALL, OTHER]}


@given(st.integers(1, 4000))
def test_a_stream_is_the_same_message_wherever_the_network_cuts_it(size: int) -> None:
    assert stream(*SPEAKING, size=size) == SAID


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ({"role": "assistant", "content": "Hi"}, {"role": "assistant", "content": "Hi"}),
        ({"content": "It rains", "tool_calls": [CALL, OTHER], "refusal": None, "annotations": []}, SAID),
        ({"content": None, "tool_calls": [CALL]}, {"role": "assistant", "content": None, "tool_calls": [CALL]}),
        ({"content": None, "refusal": "No."}, {"role": "assistant", "content": "No."}),
        ({"content": ""}, None),
    ],
    ids=["text", "calls", "calls alone", "refusal", "nothing"],
)
def test_a_whole_chat_keeps_its_text_its_calls_and_its_refusal(message: Any, kept: Any) -> None:
    assert whole(chat(message)) == kept


def test_of_several_choices_the_first_is_kept() -> None:
    choices = [{"index": number, "message": {"content": str(number)}, "finish_reason": "stop"} for number in (1, 0)]
    assert whole({"choices": choices}) == {"role": "assistant", "content": "0"}
    events = [chunk(content="a"), chunk(index=1, content="b"), chunk("stop", index=1), chunk("stop")]
    assert stream(*events) == {"role": "assistant", "content": "a"}


def test_a_streamed_refusal_is_what_was_said() -> None:
    assert stream(chunk(refusal="I "), chunk(refusal="won't."), chunk("stop")) == {"role": "assistant", "content": "I won't."}


@pytest.mark.parametrize(
    "document",
    [
        chat({"content": "x"}, "content_filter"),
        {"error": {"message": "no"}, **chat({"content": "x"})},
        {"choices": []},
        {"choices": [{"message": {"content": 3}}]},
        b"<html>",
        b"[]",
        json.dumps(chat({"content": "x" * MAX_ANSWER_BYTES})).encode(),
    ],
    ids=["filtered", "error", "no choice", "no text", "no JSON", "no object", "too long"],
)
def test_what_is_no_proper_chat_is_not_kept(document: Any) -> None:
    assert whole(document) is None


@pytest.mark.parametrize(
    "events",
    [
        [chunk(content="Hel")],
        [chunk(content="Hel"), chunk("content_filter")],
        [chunk(content="Hel"), {"error": {"message": "broke"}}, chunk("stop")],
        [chunk(content="Hel"), "not an object", chunk("stop")],
    ],
    ids=["broken off", "filtered", "error", "odd"],
)
def test_what_is_no_proper_stream_is_not_kept(events: Any) -> None:
    assert stream(*events) is None


OUTPUT = [
    {"type": "reasoning", "summary": []},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It "}, {"type": "output_text", "text": "rains"}]},
    {"type": "function_call", "id": "fc_1", "call_id": "call_1", **FUNCTION},
    {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "time", "arguments": "{}"},
]


def test_a_responses_items_are_one_message_in_chats_form() -> None:
    response = {"status": "completed", "output": OUTPUT, "error": None, "incomplete_details": None}
    events = [{"type": "response.created", "response": {"status": "in_progress"}}, {"type": "response.output_text.delta", "delta": "It"}]
    assert whole(response, Operation.RESPONSES) == SAID
    assert stream(*events, {"type": "response.completed", "response": response}, done=False, operation=Operation.RESPONSES) == SAID


def test_where_the_last_event_has_no_items_those_that_were_done_count() -> None:
    items = [{"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(OUTPUT)]
    end = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    assert stream(*items, end, done=False, operation=Operation.RESPONSES) == SAID
    assert stream(*items, done=False, operation=Operation.RESPONSES) is None


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, SAID),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, None),
        ({"status": "in_progress"}, None),
        ({"status": "failed", "error": {"code": "server_error"}}, None),
    ],
    ids=["cut", "filtered", "under way", "failed"],
)
def test_a_response_is_kept_by_how_it_ended(more: dict[str, Any], kept: Any) -> None:
    response = {"output": OUTPUT, **more}
    end = {"type": f"response.{more['status']}", "response": response}
    assert whole(response, Operation.RESPONSES) == kept
    assert stream(end, done=False, operation=Operation.RESPONSES) == kept


def test_an_error_event_of_a_response_keeps_nothing() -> None:
    end = {"type": "response.completed", "response": {"status": "completed", "output": OUTPUT}}
    assert stream({"type": "error", "message": "no"}, end, done=False, operation=Operation.RESPONSES) is None
