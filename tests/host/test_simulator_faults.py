"""The simulator when it misbehaves on purpose: fault models, limits and the content filter."""

import asyncio
import json
from dataclasses import dataclass

import aiohttp
import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from devhost.simulator.config import SimulatorConfig
from devhost.simulator.server import Simulator, serve
from tests.host.simulating import chat


@pytest.mark.parametrize(
    ("deployment", "status", "code"),
    [
        ("mock-429", 429, "429"),
        ("mock-500-eu", 500, None),
        ("mock-503", 503, "503"),
        ("mock-401", 401, "401"),
        ("mock-404", 404, "DeploymentNotFound"),
        ("mock-filter", 400, "content_filter"),
        ("mock-context", 400, "context_length_exceeded"),
    ],
)
async def test_fault_models_answer_their_error(
    http: aiohttp.ClientSession, simulator: Simulator, deployment: str, status: int, code: str | None
) -> None:
    for _ in range(2):
        answer = await chat(http, simulator.url, deployment)
        assert (answer.status, answer.json["error"]["code"]) == (status, code)


async def test_a_fault_model_is_named_by_the_model_on_the_v1_routes(simulator: Simulator) -> None:
    for base in ("/v1", "/openai/v1"):
        async with AsyncOpenAI(base_url=simulator.url + base, api_key="key", max_retries=0) as client:
            with pytest.raises(openai.RateLimitError) as caught:
                await client.embeddings.create(model="mock-429-1500", input="x")
        assert caught.value.response.headers["retry-after"] == "2"
        assert caught.value.response.headers["retry-after-ms"] == "1500"


async def test_503_says_when_to_come_back_and_502_is_a_page(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    assert (await chat(http, simulator.url, "mock-503")).headers["retry-after"] == "1"
    page = await chat(http, simulator.url, "mock-html")
    assert page.status == 502
    assert page.headers["content-type"] == "text/html"
    assert "502 Bad Gateway" in page.text


async def test_flaky_fails_every_second_time_for_each_name(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    for name in ("mock-flaky", "mock-flaky-b"):
        assert [(await chat(http, simulator.url, name)).status for _ in range(4)] == [200, 500, 200, 500]


async def test_slow_waits_as_long_as_its_name_says(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    assert (await chat(http, simulator.url, "mock-slow-150")).status == 200
    assert loop.time() - started_s > 0.14


async def test_abort_cuts_half_the_body_and_malformed_is_no_json(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await chat(http, simulator.url, "mock-abort")
    broken = await chat(http, simulator.url, "mock-malformed")
    assert broken.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.text)


async def test_hang_never_answers_and_sees_the_client_leave(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await chat(http, simulator.url, "mock-hang")
    async with asyncio.timeout(5):
        seen = {"disconnected": False}
        while not seen["disconnected"]:
            async with http.get(f"{simulator.url}/_sim/requests") as answer:
                (seen,) = (await answer.json())["requests"]
    assert (seen["status"], seen["chunks"]) == (0, 0)


async def test_a_hang_is_bounded(http: aiohttp.ClientSession) -> None:
    async with serve(SimulatorConfig(hang_s=0.05)) as simulator:
        answer = await chat(http, simulator.url, "mock-hang")
    assert (answer.status, answer.json["error"]["code"]) == (408, "Timeout")


async def test_the_error_rate_is_met_and_repeats(http: aiohttp.ClientSession) -> None:
    runs = []
    for _ in range(2):
        async with serve(SimulatorConfig(error_rate=0.25)) as simulator:
            runs.append([(await chat(http, simulator.url)).status for _ in range(40)])
    assert runs[0] == runs[1]
    assert 8 <= runs[0].count(500) <= 12


@dataclass
class Hand:
    """A clock whose hand is moved by the test."""

    at_s: float = 1000.0

    def __call__(self) -> float:
        return self.at_s


async def test_requests_per_minute_are_limited_per_deployment(http: aiohttp.ClientSession) -> None:
    clock = Hand()
    async with serve(SimulatorConfig(rpm=2, now_s=clock)) as simulator:
        first, second = [await chat(http, simulator.url) for _ in range(2)]
        assert (first.headers["x-ratelimit-limit-requests"], first.headers["x-ratelimit-remaining-requests"]) == ("2", "1")
        assert second.headers["x-ratelimit-remaining-requests"] == "0"
        clock.at_s += 17.75
        refused = await chat(http, simulator.url)
        assert refused.status == 429
        assert refused.json["error"]["code"] == "429"
        assert "Requests to the ChatCompletions_Create Operation under Azure OpenAI API" in refused.json["error"]["message"]
        assert "have exceeded call rate limit" in refused.json["error"]["message"]
        assert "Please retry after 43 seconds." in refused.json["error"]["message"]
        assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("43", "42250")
        assert (await chat(http, simulator.url, "other")).status == 200
        clock.at_s += 42.25
        assert (await chat(http, simulator.url)).status == 200


async def test_tokens_per_minute_count_the_prompt_and_the_most_it_may_answer(http: aiohttp.ClientSession) -> None:
    async with serve(SimulatorConfig(tpm=1000, now_s=Hand())) as simulator:
        first = await chat(http, simulator.url, max_tokens=900)
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 100
        refused = await chat(http, simulator.url, max_tokens=100)
        assert refused.status == 429
        assert "token rate limit" in refused.json["error"]["message"]
        assert (await chat(http, simulator.url, max_tokens=1)).status == 200


async def test_openais_limit_speaks_openais_words() -> None:
    async with (
        serve(SimulatorConfig(rpm=1, now_s=Hand())) as simulator,
        AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="key", max_retries=0) as client,
    ):
        await client.embeddings.create(model="m", input="x")
        with pytest.raises(openai.RateLimitError) as caught:
            await client.embeddings.create(model="m", input="x")
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")


async def test_a_filtered_prompt_is_azures_400(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    answer = await chat(
        http, simulator.url, messages=[{"role": "user", "content": [{"type": "text", "text": "a trigger-content-filter b"}]}]
    )
    error = answer.json["error"]
    assert answer.status == 400
    assert (error["type"], error["param"], error["code"], error["status"]) == (None, "prompt", "content_filter", 400)
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    verdict = error["innererror"]["content_filter_result"]
    assert set(verdict) == {"hate", "self_harm", "sexual", "violence", "jailbreak"}
    assert verdict["violence"] == {"filtered": True, "severity": "high"}


async def test_a_filtered_output_and_a_filter_that_is_down_are_200(simulator: Simulator) -> None:
    async with AsyncAzureOpenAI(azure_endpoint=simulator.url, api_key="key", api_version="2024-10-21", max_retries=0) as client:
        cut = await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "trigger-output-filter"}])
        down = await client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "trigger-filter-unavailable"}])
    assert cut.choices[0].finish_reason == "content_filter"
    assert cut.model_dump()["choices"][0]["content_filter_results"]["violence"]["filtered"]
    assert down.choices[0].finish_reason == "stop"
    assert down.model_dump()["choices"][0]["content_filter_results"]["error"]["code"] == "content_filter_error"
    assert "error" in down.model_dump()["prompt_filter_results"][0]["content_filter_results"]
