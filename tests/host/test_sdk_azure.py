"""The SDK's Azure clients, with a key and with a token provider, and embeddings and models through every client."""

import base64
import contextlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, NotFoundError, OpenAI

from tests.host.asking import key_of, marker, upstream_request

VERSION = "2024-10-21"
EMBEDDING = "text-embedding-3-small"


@pytest.fixture
def azure(gateway: Any) -> Iterator[AzureOpenAI]:
    with AzureOpenAI(azure_endpoint=gateway.url, api_key=key_of(gateway), api_version=VERSION, max_retries=0) as client:
        yield client


@pytest.fixture(params=["v1", "openai/v1", "azure"])
def client(request: pytest.FixtureRequest, gateway: Any, azure: AzureOpenAI) -> Iterator[OpenAI]:
    """Every surface."""
    if request.param == "azure":
        yield azure
        return
    with OpenAI(base_url=f"{gateway.url}/{request.param}", api_key=key_of(gateway), max_retries=0) as client:
        yield client


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_every_surface_chats_and_streams(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=said("hello"))
    assert "hello" in (answer.choices[0].message.content or "")
    with client.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True) as stream:
        text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
    assert text == answer.choices[0].message.content


def test_a_client_with_a_fixed_deployment_uses_it(gateway: Any) -> None:
    with AzureOpenAI(
        azure_endpoint=gateway.url, azure_deployment="gpt-4o-mini", api_key=key_of(gateway), api_version=VERSION, max_retries=0
    ) as client:
        raw = client.chat.completions.with_raw_response.create(model="ignored", messages=said("hello"))
    assert raw.headers["x-gateway-model"] == "gpt-4o-mini"


def test_the_filters_annotations_reach_azure_clients(azure: AzureOpenAI) -> None:
    answer = azure.chat.completions.create(model="gpt-4o", messages=said("hello")).to_dict()
    assert answer["prompt_filter_results"]
    assert answer["choices"][0]["content_filter_results"]["hate"]["severity"] == "safe"  # type: ignore[index]


def test_the_clients_api_version_goes_upstream(gateway: Any) -> None:
    mark = marker()
    with AzureOpenAI(azure_endpoint=gateway.url, api_key=key_of(gateway), api_version="2025-03-01-preview", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=said(mark))
    assert upstream_request(gateway, mark)["query"] == "api-version=2025-03-01-preview"


async def test_a_token_provider_is_asked_for_each_call(gateway: Any) -> None:
    asked: list[int] = []

    async def token() -> str:
        asked.append(1)
        return key_of(gateway)

    async with AsyncAzureOpenAI(azure_endpoint=gateway.url, azure_ad_token_provider=token, api_version=VERSION, max_retries=0) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=said("hello"))
        assert "hello" in (answer.choices[0].message.content or "")
        stream = await client.chat.completions.create(model="gpt-4o", messages=said("hello"), stream=True)
        async with contextlib.aclosing(stream):
            text = "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])
        assert text == answer.choices[0].message.content
        vectors = await client.embeddings.create(model=EMBEDDING, input="hello")
        assert len(vectors.data[0].embedding) == 1536
    assert len(asked) == 3


def test_embeddings_come_as_numbers_and_as_base64(client: OpenAI) -> None:
    numbers = client.embeddings.create(model=EMBEDDING, input=["one", "two words"], encoding_format="float")
    assert [row.index for row in numbers.data] == [0, 1]
    text = client.embeddings.with_raw_response.create(model=EMBEDDING, input=["one", "two words"], encoding_format="base64")
    raw = text.http_response.json()["data"][1]["embedding"]
    assert isinstance(raw, str)
    vector = [value[0] for value in struct.iter_unpack("<f", base64.b64decode(raw))]
    assert vector == pytest.approx(numbers.data[1].embedding, abs=1e-6)
    assert numbers.usage.prompt_tokens == numbers.usage.total_tokens > 0


def test_embeddings_by_default_and_with_dimensions(client: OpenAI) -> None:
    default = client.embeddings.create(model=EMBEDDING, input="one")  # the SDK asks for base64 and decodes it
    assert isinstance(default.data[0].embedding[0], float)
    assert len(client.embeddings.create(model=EMBEDDING, input="one", dimensions=8).data[0].embedding) == 8
    assert len(client.embeddings.create(model=EMBEDDING, input=[1, 2, 3]).data) == 1


def test_models_are_listed_and_found(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"gpt-4o", "llama-3.3-70b", EMBEDDING} <= set(names)
    assert client.models.retrieve("gpt-4o").object == "model"
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("gpt-nonesuch")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_product_lists_its_own_models_only(gateway: Any) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.demo_keys["starter"], max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["gpt-4o", "gpt-4o-mini", EMBEDDING]
        with pytest.raises(NotFoundError):
            client.models.retrieve("mock-500")
