"""The calls of `make demo`: each with its title, what it does, and how it must end."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import openai
from openai.types.chat import ChatCompletionMessageParam

from devhost import console

BODY: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@dataclass(slots=True)
class Seen:
    """What one call came to."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    tokens: int | None = None
    first_s: float | None = None
    took_s: float = 0.0
    note: str = ""
    wrong: str = ""  # what is wrong with it besides its status


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the demo: its title, the call, the status it must end with, and who must serve it, if that is the point."""

    title: str
    call: Callable[[openai.AsyncOpenAI], Awaitable[Seen]]
    status: int
    served_by: str = ""

    def fault(self, seen: Seen) -> str:
        """Say what is wrong with what it came to; empty if nothing is."""
        if seen.status != self.status:
            return f"{self.title!r} must end with {self.status}, not {seen.status}"
        if seen.wrong:
            return f"{self.title!r}: {seen.wrong}"
        served_by = seen.headers.get("x-gateway-deployment", "")
        return f"{self.title!r} must be served by {self.served_by}, not {served_by}" if self.served_by not in ("", served_by) else ""


async def streamed_chat(client: openai.AsyncOpenAI) -> Seen:
    """Print an answer token by token."""
    began_s = time.perf_counter()
    raw = await client.chat.completions.with_raw_response.create(
        model=console.MODEL,
        messages=[{"role": "user", "content": "Why put a gateway before every model?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    seen = Seen(raw.status_code, dict(raw.headers))
    console.say("      ", end="")
    async for chunk in raw.parse():
        if chunk.usage is not None:
            seen.tokens = chunk.usage.total_tokens
        text = chunk.choices[0].delta.content if chunk.choices else None
        if text and seen.first_s is None:
            seen.first_s = time.perf_counter() - began_s
        console.say(text or "", end="")
    console.say()
    return seen


async def embeddings(client: openai.AsyncOpenAI) -> Seen:
    """Embed two texts."""
    raw = await client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=["a gateway", "a door"])
    answer = raw.parse()
    return Seen(raw.status_code, dict(raw.headers), answer.usage.total_tokens, note=f"{len(answer.data)} vectors")


async def chat(client: openai.AsyncOpenAI, model: str, headers: Mapping[str, str] | None = None) -> Seen:
    """Ask for a whole answer; a refusal is a result too."""
    try:
        raw = await client.chat.completions.with_raw_response.create(model=model, messages=BODY, extra_headers=headers)
    except openai.APIStatusError as error:
        return Seen(error.status_code, dict(error.response.headers), note=str(error.code or ""))
    usage = raw.parse().usage
    return Seen(raw.status_code, dict(raw.headers), usage.total_tokens if usage else None)


def asking(model: str, headers: Mapping[str, str] | None = None) -> Callable[[openai.AsyncOpenAI], Awaitable[Seen]]:
    """Make a call that asks that model for the same chat as all others."""
    return lambda client: chat(client, model, headers)


async def messages(client: openai.AsyncOpenAI) -> Seen:
    """Ask an OpenAI model as Anthropic's clients would: their route, headers and body."""
    body = {"model": console.MODEL, "max_tokens": 100, "messages": BODY}
    headers = {"x-api-key": client.api_key, "anthropic-version": "2023-06-01"}
    async with aiohttp.ClientSession() as http, http.post(f"{client.base_url}messages", json=body, headers=headers) as answer:
        document = await answer.json()
    usage = document.get("usage") or {}
    used = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
    return Seen(answer.status, dict(answer.headers), used, note=str(document.get("type")))


async def responses(client: openai.AsyncOpenAI) -> Seen:
    """Speak OpenAI's newer dialect to a model of another maker."""
    raw = await client.responses.with_raw_response.create(model="claude-sonnet-4-5", input="Hello", store=False)
    answer = raw.parse()
    return Seen(raw.status_code, dict(raw.headers), answer.usage.total_tokens if answer.usage else None, note=answer.object)


async def explained(client: openai.AsyncOpenAI) -> Seen:
    """Ask where a call would go, without sending it."""
    raw = await client.chat.completions.with_raw_response.create(
        model="smart", messages=BODY, extra_headers={"x-gateway-explain": "true"}
    )  # fmt: skip
    decision: dict[str, Any] = raw.http_response.json()
    order = [f"{each['deployment']} ${each['estimated_cost_usd']:.4f}" for each in decision["candidates"][:2]]
    return Seen(raw.status_code, dict(raw.headers), note=f"{decision['strategy']}: {', '.join(order)}, …")


async def without_key(client: openai.AsyncOpenAI) -> Seen:
    """Ask with a key that nobody issued."""
    return await chat(client.with_options(api_key="gwk_nobody_issued_this"), console.MODEL)


CONFIDENTIAL = {"x-gateway-tags": "classification=confidential"}

STEPS = (
    Step("a streamed chat", streamed_chat, 200),
    Step("embeddings", embeddings, 200),
    Step("one body, to Azure OpenAI", asking("gpt-4o"), 200, "gpt-4o-eastus"),
    Step("the same body, to Anthropic", asking("claude-sonnet-4-5"), 200, "claude-sonnet"),
    Step("the same body, to Gemini", asking("gemini-2.5-flash"), 200, "gemini-flash"),
    Step("the same body, to Bedrock", asking("nova-pro"), 200, "nova-pro"),
    Step("the same body, to Cohere", asking("command-a"), 200, "command-a"),
    Step("/v1/messages to an OpenAI model", messages, 200),
    Step("/v1/responses to Anthropic's", responses, 200),
    Step("the cheapest that will do", asking("smart"), 200, "gemini-flash"),
    Step("why that one: explained", explained, 200),
    Step("a rule: confidential stays home", asking("gpt-4o", CONFIDENTIAL), 200, "phi-private"),
    Step("a key nobody issued", without_key, 401),
    Step("a backend is down: another serves", asking("mock-failover"), 200, "gpt-4o-mini-eastus"),
    Step("all down: another maker's model", asking("mock-fallback"), 200, "claude-haiku"),
    Step("every backend is down", asking("mock-500"), 502),
)
