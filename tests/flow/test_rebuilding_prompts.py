"""A day of prompts whose labels move, of experiments, kept history and lookups: every request that was sent is computed again."""

import contextlib
import json
import random
from typing import Any

import msgspec

from gateway.captures.rebuild import proved
from gateway.captures.record import Captured, Source, asked_of
from gateway.domain.access import DEFAULT_TENANT
from gateway.domain.call import Operation, Surface, UpstreamRequest
from gateway.domain.catalog import Catalog
from gateway.domain.conversations import Capture, History
from gateway.domain.deployment import Protocol
from gateway.domain.experiments import Target, Variant
from gateway.domain.fingerprint import hash_of
from gateway.domain.guardrails import Fail, Pii
from gateway.domain.lookups import HttpLookup
from gateway.domain.policy import Enrichment
from gateway.errors import GatewayError
from tests.builders import make_backend, make_model, make_principal, make_product
from tests.fakes.upstream import Reply
from tests.flow.prompted import Prompted, partials, said
from tests.flow.street import completion, failure, priced, read, streamed

CALLS, DAY_S = 300, 86_400
CRM = make_backend(id="crm", protocol=Protocol.REST, endpoint="https://crm.example")
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}}
RESPONSE = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "m",
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Hi!", "annotations": []}]}],
    "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
}  # fmt: skip


def catalog() -> Catalog:
    looked_up = Enrichment(backend=CRM, path="/today", template="Today: {result}")
    lookup = HttpLookup(id="customer", backend="crm", path="/customers/{variables.customer}", ttl_s=0, fail=Fail.OPEN, default="unknown")
    models = (
        make_model(priced("east"), priced("west"), id="gpt-4o", max_output_tokens=100, default_output_tokens=50),
        make_model(priced("mini"), id="gpt-4o-mini"),
        make_model(priced("told"), id="told", enrich=(looked_up,), default_output_tokens=64),
        make_model(priced("varied"), id="varied"),
    )
    product = make_product(id="all", history=History(), guardrails=("mask",), capture=Capture())
    return Catalog(
        models, (product,), guardrails={"mask": Pii(id="mask")}, lookups={"customer": lookup}, lookup_backends={"crm": CRM}
    )  # fmt: skip


class Day:
    """Its traffic: the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.street = Prompted(catalog())
        self.street.upstream.does = self.answer
        self.asked: list[tuple[dict[str, Any], str]] = []

    def answer(self, request: UpstreamRequest) -> Reply:
        """A backend's answer, now and then a failure; the customers change from call to call."""
        if request.url.startswith(CRM.endpoint):
            return failure(503) if self.rng.random() < 0.2 else Reply(steps=[json.dumps(f"plan {self.rng.random()} é\u2028").encode()])
        if self.rng.random() < 0.1:
            return failure(self.rng.choice((429, 500)))
        if "/responses" in request.url:
            return Reply(steps=[json.dumps(RESPONSE).encode()])
        return streamed() if b'"stream":true' in request.body.replace(b" ", b"") else completion()

    async def prepare(self) -> None:
        street = self.street
        greeting = partials(house="You are of {{firm}}.")
        for number in range(1, 4):
            await street.version(
                "support",
                said("system", f"{{{{> house}}}} Version {number}. They have {{{{lookups.customer}}}}."),
                said("system", "For lawyers.", when={"user": "anna"}),
                said("", "", placeholder="conversation"),
                said("user", "Be quick with {{customer}}."),
                partials=greeting, lookups=("customer",), history=number > 1, parameters={"temperature": number / 10, "max_tokens": 900},
            )  # fmt: skip
            await street.version("plain", said("user", f"{number}: {{{{text}}}}"), model="told", parameters={"top_p": 0.5})
        await street.label("support", 1)
        await street.label("plain", 1)
        await street.label("plain", 2, "tried")
        await street.experiment(
            "words", Target(prompt="plain", label="tried"), Variant("a"), Variant("b", version=3, parameters={"max_tokens": 7}),
            Variant("c", model="gpt-4o-mini", parameters={"temperature": 0.9}),
        )  # fmt: skip
        await street.experiment("models", Target(model="varied"), Variant("a"), Variant("b", model="gpt-4o"))

    def request(self) -> dict[str, Any]:
        """Return a call: of a prompt by number or label, at its own path, in an Azure path, or without one."""
        rng = self.rng
        text = rng.choice(("Hello", "mail ada@contoso.com", "ça va? \U0001f600", '{{customer}} "quoted"\n'))
        support = {"id": "support", "variables": {"firm": text, "customer": rng.choice(("c1", "c2"))}}
        plain = {"id": "plain", "variables": {"text": text}}
        prompt = rng.choice((support, support | {"version": rng.randint(1, 3)}, plain, plain | {"label": "tried"}))
        document: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
        document |= rng.choice(({}, {"temperature": 0.25}, {"tools": [TOOL]}))
        call: dict[str, Any] = {"operation": Operation.CHAT, "surface": Surface.OPENAI, "path": "/v1/chat/completions"}
        kind = rng.choice(("chat", "chat", "responses", "invoke", "azure", "none"))
        if kind == "responses":
            call |= {"operation": Operation.RESPONSES, "path": "/v1/responses"}
            document = {"input": text, "prompt": prompt}
        elif kind == "invoke":
            call |= {"path": f"/v1/prompts/{prompt['id']}/invoke", "path_prompt": prompt["id"]}
            document |= {name: value for name, value in prompt.items() if name != "id"}
        elif kind == "azure":
            model = rng.choice(("gpt-4o", "varied"))
            call |= {"path": f"/openai/deployments/{model}/chat/completions", "path_model": model, "surface": Surface.AZURE}
            document |= rng.choice(({}, {"prompt": prompt}))
        elif kind == "none":
            document |= {"model": rng.choice(("varied", "told", "gpt-4o"))}
        else:
            document["prompt"] = prompt
        if kind != "responses":
            document |= rng.choice(({}, {"stream": True}))
        users = rng.choice(({}, {"x-gateway-user": "anna"}, {"x-gateway-user": "bob"}))
        sessions = rng.choice(({}, {"x-gateway-session": "s1"}, {"x-gateway-session": "s1", "x-gateway-history": "use"}))
        body = json.dumps(document, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5).encode()
        return call | {"body": body, "headers": users | sessions}

    async def live(self) -> None:
        await self.prepare()
        for number in range(CALLS):
            self.street.clock.advance(DAY_S / CALLS * self.rng.random() * 2)
            if number % 60 == 59:
                await self.street.label("support", self.rng.randint(1, 3))
            with contextlib.suppress(GatewayError):
                answer = await self.street.call(**self.request())
                if answer.stream is not None:
                    await read(answer)


async def test_every_request_of_a_day_with_prompts_is_rebuilt_byte_for_byte() -> None:
    day = Day(20261123)
    await day.live()
    street = day.street
    records = {str(each["request_id"]): each for each in await street.records()}
    kept = {each.request_id: each for each in await street.kept()}
    assert kept.keys() == records.keys()
    asked = [kept[name] for name, record in records.items() if record["upstream_hash"]]
    for each in asked:
        rebuilt = await street.rebuilt(each)
        assert rebuilt == each.upstream_body, each.request_id
        assert proved(each, rebuilt)
        assert hash_of(rebuilt) == records[each.request_id]["upstream_hash"]
        assert (each.source.name if each.source else "") == records[each.request_id]["prompt"]
    # The day had all of it.
    assert len(asked) > CALLS * 2 // 3
    assert {change.by for each in asked for change in each.changes} >= {"limits", "context", "guardrails"}
    versions = {(each.source.name, each.source.version) for each in asked if each.source}
    assert versions == {(name, number) for name in ("support", "plain") for number in (1, 2, 3)}
    assert {each.variant for each in asked} == {"", "a", "b", "c"}
    assert len({str(each.source.lookups) for each in asked if each.source}) > 20
    assert any(each.source and each.source.lookups == {"customer": "unknown"} for each in asked)
    assert any(each.history for each in asked)
    assert {each.path_model for each in asked if each.forced} >= {"", "varied"}
    assert {each.operation for each in asked} == {Operation.CHAT, Operation.RESPONSES}
    assert any(each.path_prompt for each in asked)


async def test_streams_that_were_read_to_their_end_are_kept_whole_as_the_client_got_them() -> None:
    street = Prompted(catalog())
    street.upstream.will(streamed(), streamed())
    for headers in ({}, {"x-gateway-session": "s1", "x-gateway-history": "use"}):
        document = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}], "stream": True}
        told = await read(await street.call(document, headers=headers))
        kept = (await street.kept())[-1]
        assert kept.told is not None
        assert kept.heard is not None
        assert (kept.told.body, kept.told.complete, kept.heard.complete) == (told, True, True)


async def test_a_call_that_is_not_captured_is_rebuilt_from_its_record_its_version_and_the_clients_body() -> None:
    product = make_product(id="all")
    street = Prompted(Catalog((make_model(priced("mini"), id="gpt-4o-mini"),), (product,)))
    version = await street.version("hi", said("system", "Be {{mood}}."), model="gpt-4o-mini", parameters={"temperature": 0.5})
    await street.version("hi", said("system", "Be {{mood}} to all."), model="gpt-4o-mini")
    await street.label("hi", version.version)
    street.upstream.will(completion())
    document = {"prompt": {"id": "hi", "variables": {"mood": "kind"}}, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
    await street.call(document)
    await street.label("hi", 2)
    record = await street.record()
    assert await street.kept() == []
    model = street.catalog.find(str(record["model"]))
    assert model is not None
    deployment = model.pool[0].deployment
    assert deployment.id == record["deployment"]
    name, number = str(record["prompt"]), int(str(record["prompt_version"]))
    described = Captured(
        request_id=str(record["request_id"]),
        at=street.clock.utc(),
        days=1,
        principal=make_principal(),
        operation=Operation.CHAT,
        surface=Surface.OPENAI,
        method="POST",
        path="/v1/chat/completions",
        body=json.dumps(document).encode(),
        source=Source(DEFAULT_TENANT, name, number),
        asked=asked_of(deployment, ()),
        upstream_hash=str(record["upstream_hash"]),
    )
    assert proved(described, await street.rebuilt(described))
    other = msgspec.structs.replace(described, source=Source(DEFAULT_TENANT, name, 2))
    assert not proved(other, await street.rebuilt(other))


async def test_what_a_call_would_do_is_explained_and_not_captured() -> None:
    street = Prompted(catalog())
    document = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}
    await street.call(document, headers={"x-gateway-explain": "true"})
    assert street.upstream.requests == []
    assert await street.kept() == []


async def test_lookups_and_history_count_for_the_memory_that_waiting_captures_may_take() -> None:
    street = Prompted(catalog())
    street.upstream.will(completion(), completion())
    document = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "long " * 10_000}]}
    headers = {"x-gateway-session": "s1", "x-gateway-history": "use"}
    for asked in (document, document | {"messages": [{"role": "user", "content": "x"}]}):
        await street.call(asked, headers=headers)
    first, second = await street.kept()
    assert second.size > len(second.upstream_body) + len(first.body)
