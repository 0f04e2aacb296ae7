"""A day of simulated traffic, and every request that a backend was sent computed again from what was captured, byte for byte."""

import contextlib
import json
import random
from typing import Any

from gateway.captures.rebuild import as_sent, proved, rebuild
from gateway.captures.record import Captured
from gateway.domain.call import Call, Operation, Surface, UpstreamRequest
from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Deployment, Protocol
from gateway.domain.fingerprint import hash_of
from gateway.domain.guardrails import Pii
from gateway.domain.policy import Enrichment, Fallbacks
from gateway.errors import GatewayError
from gateway.providers.registry import provider_for
from tests.builders import make_backend, make_deployment, make_model, make_price
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import Reply
from tests.flow.replayed import Recording, captured_catalog
from tests.flow.street import completion, failure, read, streamed

CALLS, DAY_S = 300, 86_400
CRM = make_backend(id="crm", protocol=Protocol.REST, endpoint="https://crm.example")
CHATS = (
    Protocol.AZURE_OPENAI, Protocol.OPENAI, Protocol.ANTHROPIC, Protocol.GEMINI, Protocol.BEDROCK, Protocol.COHERE, Protocol.AZURE_ML,
)  # fmt: skip
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}}
USED = [
    {"role": "user", "content": "look it up"},
    {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "x"}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "found"},
]
ANSWERS: dict[Protocol, Any] = {
    Protocol.ANTHROPIC: {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi!"}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 1},
    },
    Protocol.GEMINI: {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi!"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
    },
    Protocol.BEDROCK: {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi!"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
    },
    Protocol.COHERE: {
        "id": "c", "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi!"}]}, "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 3, "output_tokens": 1}},
    },
}  # fmt: skip


def encoded(call: Call, deployment: Deployment, capabilities: tuple[str, ...]) -> bytes:
    """Encode as an attempt does."""
    provider = provider_for(deployment.backend.protocol, call.operation, capabilities)
    assert provider is not None
    return provider.encode(call, deployment).body


def deployed(protocol: Protocol, name: str) -> Deployment:
    backend = make_backend(id=f"of-{protocol}", protocol=protocol, endpoint=f"https://{protocol}.example")
    return make_deployment(id=f"{protocol}-{name}", name=name, backend=backend, price=make_price())


def catalog() -> Catalog:
    """A model of each protocol, of which some clamp, default, look up, mask and fall back."""
    looked_up = Enrichment(backend=CRM, path="/today", template="Today: {result}")
    models = [make_model(deployed(each, "first"), deployed(each, "second"), id=f"plain-{each}") for each in CHATS]
    models += [
        make_model(deployed(Protocol.AZURE_OPENAI, "short"), id="short", max_output_tokens=100, default_output_tokens=50),
        make_model(deployed(Protocol.ANTHROPIC, "told"), id="told", enrich=(looked_up,), default_output_tokens=64),
        make_model(deployed(Protocol.OPENAI, "falls"), id="falls", max_attempts=1, fallbacks=Fallbacks(any=("told", "short"))),
    ]
    return captured_catalog(Pii(id="mask"), models=tuple(models))


class Day:
    """Its traffic: the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.street = Recording(catalog(), clock=FakeClock())
        self.street.upstream.does = self.answer

    def answer(self, request: UpstreamRequest) -> Reply:
        if request.backend.id == "crm":
            return Reply(steps=[json.dumps(f"day {self.rng.random()}").encode()])
        if self.rng.random() < 0.1:
            return failure(self.rng.choice((400, 429, 500, 503)))
        protocol = request.backend.protocol
        if protocol in ANSWERS:
            return Reply(steps=[json.dumps(ANSWERS[protocol]).encode()])
        return streamed() if b'"stream":true' in request.body.replace(b" ", b"") else completion()

    def request(self) -> dict[str, Any]:
        """Return a call: chats in several dialects, with tools, pictures of people's data, numbers as nobody else writes them."""
        rng = self.rng
        model = rng.choice([each.id for each in self.street.catalog.models if not each.hidden])
        text = rng.choice(("Hello", "mail ada@contoso.com, or bob@contoso.com", "ça va? \U0001f600", "a\\u00e9"))
        document: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
        operation, path = rng.choice((
            (Operation.CHAT, "/v1/chat/completions"), (Operation.CHAT, "/v1/chat/completions"), (Operation.MESSAGES, "/v1/messages"),
            (Operation.RESPONSES, "/v1/responses"), (Operation.COMPLETIONS, "/v1/completions"),
        ))  # fmt: skip
        if operation is Operation.RESPONSES:
            document = {"model": model, "input": text, "instructions": "Be brief."}
        elif operation is Operation.COMPLETIONS:
            document = {"model": model, "prompt": text}
        elif operation is Operation.MESSAGES:
            document["max_tokens"] = rng.choice((10, 5000))
        else:
            document |= rng.choice(({}, {"max_tokens": 5000}, {"temperature": 0.5}, {"tools": [TOOL], "messages": USED}))
        document |= rng.choice(({}, {}, {"stream": True}))
        surface = Surface.ANTHROPIC if operation is Operation.MESSAGES else Surface.OPENAI
        body = json.dumps(document, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5).encode()
        headers = rng.choice(({}, {"x-gateway-user": "anna"}, {"x-gateway-user": "anna", "x-gateway-session": "s1"}))
        return {"operation": operation, "surface": surface, "path": path, "body": body, "headers": headers}

    async def live(self) -> list[Captured]:
        for _ in range(CALLS):
            self.street.clock.advance(DAY_S / CALLS * self.rng.random() * 2)
            with contextlib.suppress(GatewayError):
                answer = await self.street.call(**self.request())
                if answer.stream is not None:
                    await read(answer)
        return await self.street.kept()


async def test_every_request_of_a_day_is_rebuilt_byte_for_byte_from_its_capture() -> None:
    day = Day(20261122)
    kept = await day.live()
    hashes = {str(each["request_id"]): str(each["upstream_hash"]) for each in await day.street.records()}
    asked = [each for each in kept if each.asked is not None]
    for each in asked:
        rebuilt = rebuild(each, None, as_sent, encoded)
        assert rebuilt == each.upstream_body, each.request_id
        assert proved(each, rebuilt)
        assert hash_of(rebuilt) == hashes[each.request_id]
    assert len(kept) == CALLS
    assert len(asked) > CALLS // 2
    assert {change.by for each in asked for change in each.changes} == {"limits", "context", "guardrails"}
    assert {each.asked.protocol for each in asked if each.asked} == set(CHATS)
    assert len({each.at.hour for each in kept}) == 24


async def test_what_was_changed_by_a_hand_is_not_proved() -> None:
    street = Recording()
    street.upstream.will(completion())
    await street.call()
    (kept,) = await street.kept()
    assert not proved(kept, rebuild(kept, None, as_sent, encoded).replace(b"Hello", b"Jello"))


async def test_credentials_of_clients_and_backends_are_in_no_capture() -> None:
    street = Recording()
    street.upstream.will(completion(), completion(), completion())
    key = await street.key()
    await street.call(headers={"x-gateway-tags": f"k={key}", "cookie": "c00kie"})
    (kept,) = await street.kept()
    shown = repr(kept) + str([getattr(kept, name) for name in kept.__struct_fields__])
    for secret in (key.rpartition("_")[2], "upstream-secret", "openai.azure.com", "c00kie", "authorization"):
        assert secret not in shown
    await street.call({"model": "gpt-4o", "messages": [{"role": "user", "content": f"is {key} my key?"}]})
    assert len(await street.kept()) == 1


async def test_while_blobs_are_down_calls_are_answered_as_ever() -> None:
    street = Recording()
    street.blobs.down = True
    for _ in range(3):
        street.upstream.will(completion())
        assert (await street.call()).status == 200
    await street.captures.close()
    assert street.captures.dropped == 3


async def test_answers_find_no_room_where_too_much_waits_and_are_kept_as_incomplete() -> None:
    street = Recording()
    street.captures._max_waiting_bytes = 0
    street.upstream.will(completion())
    await street.call()
    assert (street.captures.dropped, street.captures._held_bytes) == (1, 0)
    street.captures._max_waiting_bytes = 1_000_000
    street.upstream.will(streamed())
    answer = await street.call({"model": "gpt-4o", "messages": [], "stream": True} | {"messages": [{"role": "user", "content": "x"}]})
    assert answer.stream is not None
    await anext(aiter(answer.stream))
    await answer.stream.aclose()
    (kept,) = await street.kept()
    assert kept.heard is not None
    assert kept.told is not None
    assert (kept.heard.complete, kept.told.complete, kept.outcome.status) == (False, False, 499)
    assert street.captures._held_bytes == 0
