"""The simulated models' chat answers, judged by the official SDK and its types."""

import base64
import struct
from collections.abc import AsyncIterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI
from pydantic import BaseModel, ConfigDict, Field

from devhost.simulator.config import SimulatorConfig
from devhost.simulator.server import Simulator, serve

USER: list[Any] = [{"role": "user", "content": "What is the capital of France"}]


class City(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=8)
    population: int = Field(gt=100)


class Tour(BaseModel):
    """Everything that a schema may hold."""

    model_config = ConfigDict(extra="forbid")
    city: City
    kind: Literal["walk", "bus"]
    fixed: Literal["only"]
    price: float
    guided: bool
    stops: list[City] = Field(min_length=2)
    note: str | None
    next: "Tour | None"


class GetWeather(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: City
    unit: Literal["C", "F"]


class GetTime(BaseModel):
    model_config = ConfigDict(extra="forbid")
    zone: str


TOOLS: list[Any] = [openai.pydantic_function_tool(GetWeather), openai.pydantic_function_tool(GetTime)]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with serve(SimulatorConfig()) as running:
        yield running


@pytest.fixture
async def azure(simulator: Simulator) -> AsyncIterator[AsyncAzureOpenAI]:
    async with AsyncAzureOpenAI(azure_endpoint=simulator.url, api_key="key", api_version="2024-10-21", max_retries=0) as client:
        yield client


@pytest.fixture
async def plain(simulator: Simulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{simulator.url}/v1", api_key="key", max_retries=0) as client:
        yield client


async def ask(client: AsyncOpenAI, text: str = USER[0]["content"], **over: Any) -> Any:
    request: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": text}]}
    return await client.chat.completions.create(**(request | over))


async def test_answers_repeat_the_users_words_and_are_the_same_every_time(azure: AsyncAzureOpenAI) -> None:
    first, second = await ask(azure), await ask(azure)
    assert "What is the capital of France" in first.choices[0].message.content
    assert first.choices[0] == second.choices[0]
    assert first.id != second.id
    assert first.system_fingerprint


async def test_seed_chooses_the_answer(azure: AsyncAzureOpenAI) -> None:
    one, same, other = [(await ask(azure, seed=seed)).choices[0].message.content for seed in (1, 1, 2)]
    assert one == same != other


async def test_usage_counts_what_was_said(azure: AsyncAzureOpenAI) -> None:
    usage = (await ask(azure, "sim-tokens-50")).usage
    assert usage.completion_tokens == 50
    assert usage.total_tokens == usage.prompt_tokens + 50
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert usage.completion_tokens_details.reasoning_tokens == 0


async def test_long_prompts_are_cached_the_second_time(azure: AsyncAzureOpenAI) -> None:
    first, second = [(await ask(azure, "word " * 2000)).usage.prompt_tokens_details.cached_tokens for _ in range(2)]
    assert first == 0
    assert second >= 1024
    assert second % 128 == 0


async def test_reasoning_models_pay_for_thinking(azure: AsyncAzureOpenAI) -> None:
    thinking = await ask(azure, model="o4-mini", reasoning_effort="high")
    assert thinking.usage.completion_tokens_details.reasoning_tokens == 256
    starved = await ask(azure, model="o4-mini", max_completion_tokens=10)
    assert starved.choices[0].finish_reason == "length"
    assert not starved.choices[0].message.content


async def test_images_cost_prompt_tokens(azure: AsyncAzureOpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    text = {"type": "text", "text": "Describe"}
    without, with_image = [(await ask(azure, messages=[{"role": "user", "content": parts}])).usage for parts in ([text], [text, image])]
    assert with_image.prompt_tokens > without.prompt_tokens + 80


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_the_token_limit_ends_the_answer(azure: AsyncAzureOpenAI, field: str) -> None:
    answer = await ask(azure, "hello", **{field: 3})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


async def test_n_gives_that_many_different_choices(azure: AsyncAzureOpenAI) -> None:
    answer = await ask(azure, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3


async def test_stop_ends_before_the_sequence(azure: AsyncAzureOpenAI) -> None:
    answer = await ask(azure, stop=["capital", "never"])
    assert answer.choices[0].message.content.endswith("What is the ")
    assert answer.choices[0].finish_reason == "stop"


async def test_logprobs_name_every_token(azure: AsyncAzureOpenAI) -> None:
    choice = (await ask(azure, logprobs=True)).choices[0]
    assert "".join(row.token for row in choice.logprobs.content) == choice.message.content


async def test_azure_routes_annotate_and_openai_routes_do_not(simulator: Simulator, azure: AsyncAzureOpenAI, plain: AsyncOpenAI) -> None:
    async with AsyncOpenAI(base_url=f"{simulator.url}/openai/v1", api_key="key", max_retries=0) as azure_v1:
        for client in (azure, azure_v1):
            answer = (await ask(client)).model_dump()
            assert answer["prompt_filter_results"][0]["content_filter_results"]["jailbreak"] == {"filtered": False, "detected": False}
            assert answer["choices"][0]["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    bare = (await ask(plain)).model_dump()
    assert "prompt_filter_results" not in bare
    assert "content_filter_results" not in bare["choices"][0]


async def test_azure_headers_are_there(azure: AsyncAzureOpenAI) -> None:
    raw = await azure.chat.completions.with_raw_response.create(
        model="my-deployment",
        messages=USER,
        extra_headers={"x-ms-client-request-id": "mine"},
    )
    assert raw.headers["x-ms-deployment-name"] == "my-deployment"
    assert raw.headers["x-ms-client-request-id"] == "mine"
    assert raw.headers["x-request-id"] != raw.headers["apim-request-id"]
    for name in ("x-ms-region", "azureml-model-session", "openai-processing-ms"):
        assert raw.headers[name]


async def test_tools_are_called_with_valid_arguments(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.chat.completions.parse(model="chat", messages=USER, tools=TOOLS)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, GetWeather)


async def test_and_in_the_text_calls_two_tools_unless_that_is_refused(azure: AsyncAzureOpenAI) -> None:
    both = await ask(azure, "Weather and time please", tools=TOOLS)
    assert [call.function.name for call in both.choices[0].message.tool_calls] == ["GetWeather", "GetTime"]
    assert len({call.id for call in both.choices[0].message.tool_calls}) == 2
    one = await ask(azure, "Weather and time please", tools=TOOLS, parallel_tool_calls=False)
    assert len(one.choices[0].message.tool_calls) == 1


async def test_tool_choice_is_obeyed(azure: AsyncAzureOpenAI) -> None:
    named = await ask(azure, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "GetTime"}})
    assert named.choices[0].message.tool_calls[0].function.name == "GetTime"
    refused = await ask(azure, tools=TOOLS, tool_choice="none")
    assert refused.choices[0].message.tool_calls is None
    assert refused.choices[0].message.content


async def test_after_a_tools_result_the_answer_is_text(azure: AsyncAzureOpenAI) -> None:
    call = (await ask(azure, tools=TOOLS)).choices[0].message
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "21 degrees"}
    history = [*USER, call.model_dump(exclude_none=True), result]
    answer = await ask(azure, messages=history, tools=TOOLS)
    assert "21 degrees" in answer.choices[0].message.content


async def test_structured_output_is_valid_against_its_schema(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.chat.completions.parse(model="chat", messages=USER, response_format=Tour)
    tour = answer.choices[0].message.parsed
    assert tour is not None
    assert len(tour.stops) == 2
    assert tour.city.population > 100


async def test_json_mode_answers_json_and_demands_the_word(azure: AsyncAzureOpenAI) -> None:
    answer = await ask(azure, "Say it in JSON", response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"answer":"Say it in JSON"}'
    with pytest.raises(openai.BadRequestError, match="must contain the word 'json'"):
        await ask(azure, "Say it", response_format={"type": "json_object"})


async def test_models_are_listed(plain: AsyncOpenAI) -> None:
    names = [model.id async for model in plain.models.list()]
    assert "gpt-4o-mini" in names
    assert "mock-429" in names


async def test_embeddings_are_unit_vectors_that_depend_on_the_text(azure: AsyncAzureOpenAI) -> None:
    inputs = ["the sea is blue", "the sea is green", "quarterly tax report"]
    answer = await azure.embeddings.create(model="embed", input=inputs, encoding_format="float")
    again = await azure.embeddings.create(model="embed", input=inputs[0])
    vectors = [row.embedding for row in answer.data]
    assert [len(vector) for vector in vectors] == [1536] * 3
    assert all(abs(sum(value * value for value in vector) - 1) < 1e-6 for vector in vectors)
    assert again.data[0].embedding == pytest.approx(vectors[0], abs=1e-6)
    near, far = [sum(a * b for a, b in zip(vectors[0], vectors[other], strict=True)) for other in (1, 2)]
    assert near > 0.5 > far
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


async def test_embeddings_take_tokens_dimensions_and_base64(plain: AsyncOpenAI) -> None:
    tokens = await plain.embeddings.create(model="embed", input=[1, 2, 3], dimensions=8)
    assert len(tokens.data) == 1
    assert tokens.usage.prompt_tokens == 3
    lists = await plain.embeddings.create(model="embed", input=[[1, 2, 3], [4]], dimensions=8)
    assert len(lists.data) == 2
    raw = await plain.embeddings.with_raw_response.create(model="embed", input="x", dimensions=8, encoding_format="base64")
    text = raw.http_response.json()["data"][0]["embedding"]
    assert len(struct.unpack("<8f", base64.b64decode(text))) == 8
