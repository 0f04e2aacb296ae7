"""The simulated models' streams: event by event, on pace, and aware of a client that leaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from openai import AsyncAzureOpenAI

from devhost.simulator.config import SimulatorConfig
from devhost.simulator.server import Simulator, serve

AZURE = "/openai/deployments/{}/chat/completions?api-version=2024-10-21"
TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}},
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"api-key": "key", "authorization": "Bearer key"}) as session:
        yield session


async def events(http: aiohttp.ClientSession, url: str, **over: Any) -> list[Any]:
    """Stream a chat to its end; the terminal [DONE] stays a string."""
    request = {"messages": [{"role": "user", "content": "sim-tokens-3"}], "stream": True} | over
    async with http.post(url, json=request) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        lines = (await answer.text()).split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith("data: ") for line in lines)
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


async def test_an_azure_stream_is_filter_results_role_tokens_finish_done(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        first, role, *tokens, finish, done = await events(http, simulator.url + AZURE.format("chat"))
    assert first["choices"] == []
    assert (first["created"], first["id"], first["model"], first["object"]) == (0, "", "", "")
    assert first["prompt_filter_results"][0]["prompt_index"] == 0
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["delta"]["content"] for chunk in tokens] == ["one", " two", " and"]
    assert all(chunk["choices"][0]["content_filter_results"]["hate"]["severity"] == "safe" for chunk in tokens)
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"
    assert "usage" not in first
    assert all("usage" not in chunk for chunk in tokens)
    assert len({chunk["id"] for chunk in (role, *tokens, finish)}) == 1


async def test_an_openai_stream_has_no_azure_additions(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        role, *rest = await events(http, f"{simulator.url}/v1/chat/completions", model="gpt-4o")
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert "content_filter_results" not in json.dumps(rest)


async def test_usage_comes_last_and_only_when_asked_for(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        *chunks, last, _done = await events(http, simulator.url + AZURE.format("chat"), stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 3


async def test_choices_of_n_are_interleaved(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        chunks = await events(http, simulator.url + AZURE.format("chat"), n=2, logprobs=True)
    indexes = [chunk["choices"][0]["index"] for chunk in chunks[1:-1]]
    assert indexes == [0, 1] * 5
    assert chunks[3]["choices"][0]["logprobs"]["content"][0]["token"] == "one"


async def test_a_tool_calls_arguments_arrive_in_fragments() -> None:
    async with (
        serve() as simulator,
        AsyncAzureOpenAI(azure_endpoint=simulator.url, api_key="key", api_version="2024-10-21", max_retries=0) as client,
        client.chat.completions.stream(
            model="chat",
            messages=[{"role": "user", "content": "this and that"}],
            tools=[TOOL],  # type: ignore[list-item]
        ) as stream,
    ):
        fragments = [event async for event in stream if event.type == "tool_calls.function.arguments.delta"]
        final = await stream.get_final_completion()
    assert len(fragments) > 4
    calls = final.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls] == ['{"place":"place"}'] * 2
    assert final.choices[0].finish_reason == "tool_calls"


async def sent_so_far(http: aiohttp.ClientSession, simulator: Simulator) -> dict[str, Any]:
    async with http.get(f"{simulator.url}/_sim/requests") as answer:
        last: dict[str, Any] = (await answer.json())["requests"][-1]
        return last


async def test_the_first_chunk_arrives_before_the_last_is_made(http: aiohttp.ClientSession) -> None:
    async with serve(SimulatorConfig(tokens_per_second=20)) as simulator:
        request = {"messages": [{"role": "user", "content": "sim-tokens-20"}], "stream": True}
        async with http.post(simulator.url + AZURE.format("chat"), json=request) as answer:
            await answer.content.readuntil(b"\n\n")
            assert (await sent_so_far(http, simulator))["chunks"] < 10
            await answer.read()
        assert (await sent_so_far(http, simulator))["chunks"] == 24


async def test_a_stream_keeps_its_pace(http: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    async with serve(SimulatorConfig(tokens_per_second=200, latency_ms=100)) as simulator:
        started_s = loop.time()
        request = {"messages": [{"role": "user", "content": "sim-tokens-60"}], "stream": True}
        async with http.post(simulator.url + AZURE.format("chat"), json=request) as answer:
            await answer.content.readuntil(b"\n\n")
            first_s = loop.time() - started_s
            await answer.read()
        all_s = loop.time() - started_s
    assert first_s > 0.09
    assert all_s > 0.09 + 62 / 200
    assert first_s < all_s  # the first comes before the last is made


@pytest.mark.parametrize("deployment", ["chat", "mock-hang"])
async def test_a_client_that_leaves_is_noticed(http: aiohttp.ClientSession, deployment: str) -> None:
    async with serve(SimulatorConfig(tokens_per_second=20)) as simulator:
        request = {"messages": [{"role": "user", "content": "sim-tokens-1000"}], "stream": True}
        async with http.post(simulator.url + AZURE.format(deployment), json=request) as answer:
            await answer.content.readuntil(b"\n\n")
            answer.close()
        async with asyncio.timeout(5):
            while not (seen := await sent_so_far(http, simulator))["disconnected"]:
                pass
        assert 1 <= seen["chunks"] < 100


async def test_a_finished_stream_is_no_disconnect(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        await events(http, simulator.url + AZURE.format("chat"))
        assert not (await sent_so_far(http, simulator))["disconnected"]


async def test_an_aborted_stream_ends_without_its_terminal_event(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        request = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
        async with http.post(simulator.url + AZURE.format("mock-abort"), json=request) as answer:
            got = [await answer.content.readuntil(b"\n\n") for _ in range(6)]
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        assert (await sent_so_far(http, simulator))["chunks"] == 6
    assert b"delta" in got[2]


async def test_a_hanging_stream_sends_four_events_and_then_nothing(http: aiohttp.ClientSession) -> None:
    async with serve(SimulatorConfig(hang_s=0.2)) as simulator:
        request = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
        async with http.post(simulator.url + AZURE.format("mock-hang"), json=request) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        assert (await sent_so_far(http, simulator))["chunks"] == 4


async def test_a_malformed_stream_breaks_one_event() -> None:
    async with (
        serve() as simulator,
        AsyncAzureOpenAI(azure_endpoint=simulator.url, api_key="key", api_version="2024-10-21", max_retries=0) as client,
    ):
        stream = await client.chat.completions.create(model="mock-malformed", messages=[{"role": "user", "content": "hi"}], stream=True)
        with pytest.raises(json.JSONDecodeError):
            [chunk async for chunk in stream]
        await stream.close()


async def test_an_output_that_is_filtered_ends_with_content_filter(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        *_chunks, finish, _done = await events(
            http, simulator.url + AZURE.format("chat"), messages=[{"role": "user", "content": "trigger-output-filter"}]
        )
    assert finish["choices"][0]["finish_reason"] == "content_filter"
    assert finish["choices"][0]["content_filter_results"]["violence"] == {"filtered": True, "severity": "high"}


async def test_stopping_the_simulator_cuts_open_streams(http: aiohttp.ClientSession) -> None:
    async with serve() as simulator:
        request = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
        answer = await http.post(simulator.url + AZURE.format("mock-hang"), json=request)
        await answer.content.readuntil(b"\n\n")
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()
    answer.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(simulator.url)
