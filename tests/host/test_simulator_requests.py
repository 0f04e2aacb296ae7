"""What the simulator refuses before any model is asked: keys, paths, wrong requests; and what it remembers of each request."""

import json
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from devhost.simulator.server import Simulator
from tests.host.simulating import USER, chat


@pytest.mark.parametrize(
    "headers", [{}, {"api-key": ""}, {"api-key": "bad-key"}, {"authorization": "Bearer bad"}, {"authorization": "Basic x"}]
)
async def test_azure_refuses_a_missing_or_wrong_key(http: aiohttp.ClientSession, simulator: Simulator, headers: dict[str, str]) -> None:
    for path in ("/openai/deployments/chat/chat/completions?api-version=1", "/openai/v1/embeddings"):
        async with http.post(simulator.url + path, json={"messages": USER}, headers=headers) as answer:
            error = (await answer.json())["error"]
            assert answer.status == 401
            assert error["code"] == "401"
            assert error["message"].startswith("Access denied due to invalid subscription key or wrong API endpoint.")


async def test_azure_takes_a_key_or_a_bearer(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    for headers in ({"api-key": "k"}, {"authorization": "Bearer token"}):
        async with http.post(
            f"{simulator.url}/openai/v1/chat/completions", json={"model": "m", "messages": USER}, headers=headers
        ) as answer:
            assert answer.status == 200


async def test_openai_refuses_a_wrong_key_in_its_own_shape(simulator: Simulator) -> None:
    async with AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="bad-key", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="m", messages=USER)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/openai/deployments/chat/chat/completions"),
        ("POST", "/openai/deployments/chat/chat/completions?api-version="),
        ("POST", "/openai/deployments/chat/unknown?api-version=1"),
        ("GET", "/openai/deployments/chat/chat/completions?api-version=1"),
        ("POST", "/v1/unknown"),
        ("GET", "/"),
        ("GET", "/_sim/unknown"),
        ("POST", "/contentsafety/text:analyze"),
    ],
)
async def test_what_azure_does_not_know_is_its_404(http: aiohttp.ClientSession, simulator: Simulator, method: str, path: str) -> None:
    async with http.request(method, simulator.url + path, headers={"api-key": "key"}) as answer:
        assert answer.status == 404
        assert await answer.json() == {"error": {"code": "404", "message": "Resource not found"}}


TOOL = {"type": "function", "function": {"name": "f"}}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
WRONG: list[tuple[dict[str, Any], str | None, str]] = [
    ({"messages": None}, "messages", "Invalid type for 'messages'"),
    ({"messages": []}, "messages", "empty array"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "Missing required parameter"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "Invalid value: 'robot'"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "content"),
    (
        {"messages": [{"role": "tool", "tool_call_id": "c1", "content": "x"}]},
        "messages[0].role",
        "must be a response to a preceeding message",
    ),
    ({"messages": [*USER, CALLS, *USER]}, "messages", "did not have response messages: c1"),
    ({"temperature": 2.5}, "temperature", "decimal above maximum value. Expected a value <= 2, but got 2.5 instead."),
    ({"temperature": "hot"}, "temperature", "expected a decimal, but got a string instead"),
    ({"top_p": -1}, "top_p", "decimal below minimum value"),
    ({"max_tokens": 0}, "max_tokens", "integer below minimum value"),
    ({"max_tokens": True}, "max_tokens", "expected an integer, but got a boolean"),
    ({"max_tokens": 1, "max_completion_tokens": 1}, None, "at the same time is not supported"),
    ({"n": 129}, "n", "integer above maximum value"),
    ({"stream": "yes"}, "stream", "expected a boolean"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "only allowed when 'stream' is enabled"),
    ({"stop": ["1", "2", "3", "4", "5"]}, "stop", "array too long"),
    ({"tools": []}, "tools", "empty array"),
    ({"tool_choice": "required"}, "tool_choice", "only allowed when 'tools' are specified"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice", "no function named 'g'"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "Invalid value: 'xml'"),
    ({"foo": 1}, None, "Unrecognized request argument supplied: foo"),
]


@pytest.mark.parametrize(("fault", "param", "text"), WRONG)
async def test_a_wrong_request_is_refused_with_its_parameter(
    http: aiohttp.ClientSession, simulator: Simulator, fault: dict[str, Any], param: str | None, text: str
) -> None:
    answer = await chat(http, simulator.url, **fault)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["param"] == param
    assert text in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/openai/deployments/chat/chat/completions?api-version=2023-05-15", 400),
        ("/openai/deployments/chat/chat/completions?api-version=2024-08-01-preview", 400),
        ("/openai/deployments/chat/chat/completions?api-version=2024-09-01-preview", 200),
        ("/openai/deployments/chat/chat/completions?api-version=2024-10-21", 200),
        ("/openai/v1/chat/completions", 200),
        ("/v1/chat/completions", 200),
    ],
)
async def test_old_azure_versions_do_not_know_stream_options(
    http: aiohttp.ClientSession, simulator: Simulator, path: str, status: int
) -> None:
    headers = {"api-key": "key", "authorization": "Bearer key"}
    body: dict[str, Any] = {"model": "chat", "messages": USER, "stream": True}
    async with http.post(simulator.url + path, json=body, headers=headers) as answer:
        assert answer.status == 200
        assert '"usage"' not in await answer.text()
    async with http.post(simulator.url + path, json=body | {"stream_options": {"include_usage": True}}, headers=headers) as answer:
        assert answer.status == status
        text = await answer.text()
    if status == 400:
        assert json.loads(text)["error"] == {
            "message": "Unrecognized request argument supplied: stream_options",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


async def test_missing_messages_and_broken_json_are_refused(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    missing = await chat(http, simulator.url, raw=b"{}")
    assert missing.json["error"]["message"] == "Missing required parameter: 'messages'."
    for raw in (b"", b'{"messages": [', b"[]", b'{"messages": NaN}'):
        answer = await chat(http, simulator.url, raw=raw)
        assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


async def test_a_field_of_the_senders_own_arrives_byte_for_byte(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    raw = b'{ "x_mine":  1.0e3,\n"messages":[{"role":"user","content":"h\\u00e9"}] }'
    assert (await chat(http, simulator.url, raw=raw)).status == 200
    async with http.get(f"{simulator.url}/_sim/requests") as answer:
        (seen,) = (await answer.json())["requests"]
    assert seen["body"] == raw.decode()
    assert (seen["method"], seen["query"], seen["headers"]["api-key"]) == ("POST", "api-version=2024-10-21", "key")
    assert (seen["status"], seen["chunks"], seen["disconnected"]) == (200, 1, False)
    async with http.delete(f"{simulator.url}/_sim/requests") as answer:
        assert await answer.json() == {"requests": []}


async def test_the_last_hundred_requests_are_remembered(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    for number in range(105):
        await chat(http, simulator.url, x_number=number)
    async with http.get(f"{simulator.url}/_sim/requests") as answer:
        seen = (await answer.json())["requests"]
    assert [json.loads(each["body"])["x_number"] for each in seen] == list(range(5, 105))
