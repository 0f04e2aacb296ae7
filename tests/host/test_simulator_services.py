"""What surrounds the simulated models: Content Safety, managed identity, the command, and that nothing makes it fail."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import aiohttp
import pytest
from azure.ai.contentsafety.aio import ContentSafetyClient
from azure.ai.contentsafety.models import AnalyzeTextOptions
from azure.core.credentials import AzureKeyCredential
from azure.identity.aio import ManagedIdentityCredential
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import completion_create_params

from devhost.simulator.app import create_app
from devhost.simulator.config import SimulatorConfig
from devhost.simulator.exchange import Message
from devhost.simulator.instances import instance
from devhost.simulator.server import serve
from devhost.simulator.tokens import pieces

ROOT = Path(__file__).resolve().parents[2]
KEY = {"Ocp-Apim-Subscription-Key": "key"}


async def test_content_safety_finds_what_the_text_says() -> None:
    async with serve() as simulator, ContentSafetyClient(simulator.url, AzureKeyCredential("key")) as client:
        result = await client.analyze_text(AnalyzeTextOptions(text="a sim-hate-4 b sim-selfharm-2 c sim-hate-2"))
        eight = await client.analyze_text(AnalyzeTextOptions(text="sim-violence-5", output_type="EightSeverityLevels"))
    severities = {row.category: row.severity for row in result.categories_analysis}
    assert severities == {"Hate": 4, "SelfHarm": 2, "Sexual": 0, "Violence": 0}
    assert result.blocklists_match == []
    assert {row.category: row.severity for row in eight.categories_analysis}["Violence"] == 5


async def shield(url: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    path = "/contentsafety/text:shieldPrompt?api-version=2024-09-01"
    async with aiohttp.ClientSession() as http, http.post(url + path, json=body, headers=KEY if headers is None else headers) as answer:
        return answer.status, await answer.json()


async def test_the_prompt_shield_sees_attacks_in_prompt_and_documents() -> None:
    async with serve() as simulator:
        status, found = await shield(simulator.url, {"userPrompt": "sim-attack", "documents": ["fine", "a sim-attack"]})
        assert status == 200
        assert found["userPromptAnalysis"] == {"attackDetected": True}
        assert found["documentsAnalysis"] == [{"attackDetected": False}, {"attackDetected": True}]
        assert (await shield(simulator.url, {"userPrompt": "fine"}))[1]["userPromptAnalysis"] == {"attackDetected": False}


async def test_content_safety_refuses_long_text_wrong_bodies_and_strangers() -> None:
    async with serve() as simulator:
        wrong: list[Any] = [{"userPrompt": "x" * 10_001}, {"documents": ["x" * 5001] * 2}, {}, [], {"userPrompt": 1}, {"documents": "x"}]
        for body in wrong:
            status, answer = await shield(simulator.url, body)
            assert (status, answer["error"]["code"]) == (400, "InvalidRequestBody")
        assert (await shield(simulator.url, {"userPrompt": "x" * 10_000}))[0] == 200
        assert (await shield(simulator.url, {"userPrompt": "x"}, {}))[0] == 401
        assert (await shield(simulator.url, {"userPrompt": "x"}, {"authorization": "Bearer token"}))[0] == 200


async def test_azure_identity_gets_a_token_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(SimulatorConfig(identity_header="secret")) as simulator:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{simulator.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        async with ManagedIdentityCredential() as credential:
            token = await credential.get_token("https://cognitiveservices.azure.com/.default")
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{simulator.url}/msi/token?resource=x", headers={"X-IDENTITY-HEADER": "wrong"}) as answer:
                assert answer.status == 401
            async with http.post(
                f"{simulator.url}/openai/v1/chat/completions",
                json={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
                headers={"authorization": f"Bearer {token.token}"},
            ) as answer:
                assert answer.status == 200
    assert "https://cognitiveservices.azure.com" in token.token


def test_every_parameter_of_the_sdk_is_known() -> None:
    from devhost.simulator.validation import _FIELDS

    assert set(get_type_hints(completion_create_params.CompletionCreateParamsBase)) <= _FIELDS


async def call(path: str, raw: bytes) -> tuple[int, bytes]:
    """Ask the application itself, without a socket."""
    sent: list[Message] = []
    requests: list[Message] = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> Message:
        if requests:
            return requests.pop()
        return await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    keys = (b"api-key", b"ocp-apim-subscription-key", b"x-api-key", b"x-goog-api-key")
    headers = [*((name, b"key") for name in keys), (b"authorization", b"Bearer key"), (b"anthropic-version", b"2023-06-01")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"api-version=1-preview", "headers": headers}
    await create_app()(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


WORDS = st.sampled_from(["", "user", "tool", "text", "auto", "f"])
NAMES = st.sampled_from(
    ["role", "content", "type", "text", "function", "name", "parameters", "items", "enum", "parts", "format", "maxTokens", "toolSpec"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["messages", "tools", "tool_choice", "response_format", "stop", "n", "seed", "stream", "stream_options", "input", "text"]
FIELDS += ["userPrompt", "documents", "blocklistNames", "groundingSources", "qna", "task"]
ABROAD = ["system", "thinking", "output_config", "stop_sequences", "max_tokens", "contents", "generationConfig", "toolConfig", "requests"]
ABROAD += ["inferenceConfig", "outputConfig", "texts", "analysisInput", "kind", "data"]
CHAT = "/openai/deployments/d/chat/completions"
SAFETY = ("analyze", "shieldPrompt", "detectProtectedMaterial", "detectGroundedness")
PATHS = (CHAT, "/v1/embeddings", *(f"/contentsafety/text:{operation}" for operation in SAFETY))
PATHS_ABROAD = (
    *("/anthropic/v1/messages", "/gemini/v1beta/models/m:generateContent", "/gemini/v1beta/models/m:batchEmbedContents"),
    *("/bedrock/model/m/converse", "/cohere/v2/chat", "/cohere/v2/embed", "/azure-ai/language/:analyze-text", "/azure-ml/score"),
)
SANE = {
    "/gemini/v1beta/models/m:generateContent": {"contents": [{"parts": [{"text": "hi"}]}]},
    "/bedrock/model/m/converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
    "/anthropic/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
}


@settings(max_examples=150, deadline=None)
@given(body=JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=4), sane=st.booleans())
def test_no_body_makes_it_fail(body: Any, sane: bool) -> None:
    if sane and isinstance(body, dict):
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | body
    raw = json.dumps(body).encode()
    for path in PATHS:
        status, _ = asyncio.run(call(path, raw))
        assert status in {200, 400}


@settings(max_examples=150, deadline=None)
@given(body=JSON | st.dictionaries(st.sampled_from(FIELDS + ABROAD), JSON, min_size=1, max_size=3), sane=st.booleans())
def test_no_body_makes_a_service_abroad_fail(body: Any, sane: bool) -> None:
    for path in PATHS_ABROAD:
        told = body
        if sane and isinstance(body, dict):
            told = SANE.get(path, {"model": "m", "messages": [{"role": "user", "content": "hi"}]}) | body
        status, _ = asyncio.run(call(path, json.dumps(told).encode()))
        assert status in {200, 400}, path


@settings(max_examples=150, deadline=None)
@given(schema=JSON)
def test_no_schema_makes_it_fail(schema: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": schema}, "required": ["a"]}}}
    body = {"messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
    status, _ = asyncio.run(call(CHAT, json.dumps(body).encode()))
    assert status in {200, 400}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "value"),
        ({"type": "string", "minLength": 7}, "valuexx"),
        ({"type": "string", "maxLength": 2}, "va"),
        ({"type": "string", "format": "date"}, "2025-01-01"),
        ({"type": "string", "pattern": r"^\d{4}$"}, "0000"),
        ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "number", "maximum": 0.25}, 0.25),
        ({"type": ["null", "boolean"]}, True),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 1}}}]}, {"a": 1}),
        ({"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["b"]}, {"b": "b"}),
    ],
)
def test_the_smallest_instance_of_a_schema(schema: Any, expected: Any) -> None:
    assert instance(schema) == expected


def test_a_recursive_schema_ends_and_a_huge_one_is_refused() -> None:
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["next"]}
    assert instance({"$ref": "#/$defs/node", "$defs": {"node": node}}) == {"next": None}
    wide = {"type": "array", "minItems": 9, "items": {"$ref": "#"}}
    with pytest.raises(ValueError, match="too large"):
        instance(wide)


@given(st.text())
def test_the_tokens_of_a_text_joined_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "devhost.simulator", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_it_listens_and_a_signal_ends_it_with_0(number: signal.Signals) -> None:
    with start("--port", "0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            text = ""
            while "curl" not in text:
                line = process.stdout.readline().decode()
                assert line, process.stderr.read()
                text += line
            process.send_signal(number)
            assert process.wait(10) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()
    assert "http://127.0.0.1:" in text
    assert "mock-flaky" in text


def test_the_simulator_knows_nothing_of_what_it_judges() -> None:
    code = "import sys, devhost.simulator.__main__; sys.exit(any(name.split('.')[0] == 'gateway' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


async def test_a_taken_port_and_a_wrong_option_are_one_line() -> None:
    async with serve() as simulator:
        with start("--port", str(simulator.port)) as process:
            _, errors = await asyncio.to_thread(process.communicate)
    assert process.returncode == 1
    assert errors.decode().startswith(f"Cannot listen on 127.0.0.1:{simulator.port}: ")
    assert errors.count(b"\n") == 1
    with start("--error-rate", "2") as process:
        assert b"--error-rate must be between 0 and 1" in process.communicate()[1]
    assert process.returncode == 2
