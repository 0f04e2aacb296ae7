"""The official `openai` SDK, sync and async, changes nothing but `base_url`: chat, streams, tools, JSON schema, images."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.host.asking import key_of, marker, upstream_request

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"], "additionalProperties": False},
    },
}
CLOCK: Any = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}},
}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Town(pydantic.BaseModel):
    name: str
    people: int


@pytest.fixture
def client(gateway: Any) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=key_of(gateway), max_retries=0) as client:
        yield client


def asked(text: str) -> list[Any]:
    return [{"role": "system", "content": "You are terse."}, {"role": "user", "content": text}]


def test_a_chat_comes_back_whole(client: OpenAI) -> None:
    mark = marker()
    answer = client.chat.completions.create(model="gpt-4o", messages=asked(mark))
    assert mark in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_an_alias_and_an_openai_compatible_backend_serve_too(client: OpenAI) -> None:
    for model in ("chat-default", "llama-3.3-70b"):
        answer = client.chat.completions.create(model=model, messages=asked("hello there"))
        assert "hello there" in (answer.choices[0].message.content or "")


def test_a_stream_says_the_same_as_the_whole_answer(client: OpenAI) -> None:
    text = f"{marker()} with some more words to make it long"
    whole = client.chat.completions.create(model="gpt-4o", messages=asked(text), seed=1)
    with client.chat.completions.create(model="gpt-4o", messages=asked(text), seed=1, stream=True) as stream:
        chunks = list(stream)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == whole.choices[0].message.content
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"


def test_a_stream_hides_the_usage_that_the_client_did_not_ask_for(gateway: Any, client: OpenAI) -> None:
    mark = marker()
    with client.chat.completions.create(model="gpt-4o", messages=asked(mark), stream=True) as stream:
        chunks = list(stream)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    # Azure's first chunk carries the prompt's filter results and no choice; every other one must have some.
    assert all(chunk.choices for chunk in chunks[1:])
    assert json.loads(upstream_request(gateway, mark)["body"])["stream_options"] == {"include_usage": True}


def test_a_stream_ends_with_the_usage_that_the_client_asked_for(client: OpenAI) -> None:
    options: Any = {"include_usage": True}
    with client.chat.completions.create(model="gpt-4o", messages=asked("count"), stream=True, stream_options=options) as stream:
        chunks = list(stream)
    whole = client.chat.completions.create(model="gpt-4o", messages=asked("count"))
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_the_stream_helper_collects_the_answer(client: OpenAI) -> None:
    with client.chat.completions.stream(model="gpt-4o", messages=asked("help me")) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert "help me" in (final.choices[0].message.content or "")


def test_several_choices_stream_side_by_side(client: OpenAI) -> None:
    texts = ["", "", ""]
    with client.chat.completions.create(model="gpt-4o", messages=asked("three"), n=3, stream=True) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
    assert len(set(texts)) == 3
    assert all("three" in text for text in texts)


def test_a_tool_is_called_and_its_answer_is_read(client: OpenAI) -> None:
    messages = asked("Weather in Oslo?")
    first = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
    calls: Any = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in calls] == ["weather"]
    assert isinstance(json.loads(calls[0].function.arguments)["town"], str)
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": calls[0].id, "content": "It rains."}]
    second = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
    assert "It rains." in (second.choices[0].message.content or "")


def test_parallel_tool_calls_stream_in_pieces(client: OpenAI) -> None:
    messages = asked("Weather in Oslo and the time")
    whole = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER, CLOCK])
    calls: dict[int, list[str]] = {}
    with client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER, CLOCK], stream=True) as stream:
        deltas = [call for chunk in stream for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    for delta in deltas:
        assert delta.function is not None
        call = calls.setdefault(delta.index, [delta.id or "", delta.function.name or "", ""])
        call[2] += delta.function.arguments or ""
    expected: Any = whole.choices[0].message.tool_calls
    assert [tuple(call) for call in calls.values()] == [(call.id, call.function.name, call.function.arguments) for call in expected]
    assert len(expected) == 2
    assert len(deltas) > 4


def test_a_json_schema_becomes_an_object(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model="gpt-4o", messages=asked("A town"), response_format=Town)
    assert isinstance(answer.choices[0].message.parsed, Town)
    with client.chat.completions.stream(model="gpt-4o", messages=asked("A town"), response_format=Town) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == answer.choices[0].message.parsed


def test_images_reach_the_model_beside_text(gateway: Any, client: OpenAI) -> None:
    mark = marker()
    parts: Any = [{"type": "text", "text": mark}, {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}]
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": parts}])
    assert mark in (answer.choices[0].message.content or "")
    assert json.loads(upstream_request(gateway, mark)["body"])["messages"][0]["content"] == parts


def test_the_output_filter_ends_an_answer_and_says_so(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=asked("trigger-output-filter"))
    assert answer.choices[0].finish_reason == "content_filter"


def test_the_answer_says_which_request_and_deployment_it_was(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="chat-default", messages=asked("headers"))
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    assert raw.headers["x-gateway-model"] == "gpt-4o"
    assert raw.headers["x-gateway-deployment"] == "gpt-4o-eastus"
    assert raw.headers["x-gateway-attempts"] == "1"
    assert float(raw.headers["x-gateway-cost-usd"]) > 0
    assert float(raw.headers["x-gateway-overhead-ms"]) >= 0


def test_a_failing_deployment_is_replaced_unseen(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="mock-failover", messages=asked("still there?"))
    assert raw.headers["x-gateway-deployment"] == "gpt-4o-mini-eastus"
    assert raw.headers["x-gateway-attempts"] == "2"


async def test_the_async_client_chats_and_streams(gateway: Any) -> None:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key_of(gateway), max_retries=0) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=asked("whole"))
        assert "whole" in (answer.choices[0].message.content or "")
        stream = await client.chat.completions.create(model="gpt-4o", messages=asked("piecewise"), stream=True)
        async with contextlib.aclosing(stream):
            text = "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])
        assert "piecewise" in text
        async with client.chat.completions.stream(model="gpt-4o", messages=asked("A town"), response_format=Town) as helper:
            assert isinstance((await helper.get_final_completion()).choices[0].message.parsed, Town)
