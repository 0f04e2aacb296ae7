"""Captured calls of prompts, run again: under another version, beside experiments and history, with what holds for their answers."""

import json
from typing import Any

import pytest

from gateway.domain.access import DEFAULT_TENANT
from gateway.domain.call import Operation, Surface
from gateway.domain.catalog import Catalog
from gateway.domain.conversations import Capture, History
from gateway.domain.deployment import Protocol
from gateway.domain.experiments import Target, Variant
from gateway.domain.guardrails import Action, Fail, Terms
from gateway.domain.lookups import HttpLookup
from gateway.domain.prompts import SHARED
from gateway.domain.steps import Classify, Format
from gateway.replaying import REPLAY_TENANT
from tests.builders import make_backend, make_model, make_product
from tests.fakes.upstream import Reply
from tests.flow.prompted import Prompted, said
from tests.flow.street import COST, completion, priced

CRM = make_backend(id="crm", protocol=Protocol.REST, endpoint="https://crm.example")
SECRET = Terms(id="no-acme", terms=("acme",), action=Action.BLOCK)
ASKED = {"prompt": {"id": "hi"}, "messages": [{"role": "user", "content": "Hello"}]}


def street() -> Prompted:
    lookup = HttpLookup(id="crm", backend="crm", path="/c", ttl_s=0, fail=Fail.OPEN, default="unknown")
    models = (make_model(priced("east"), id="gpt-4o"), make_model(priced("mini"), id="gpt-4o-mini"))
    product = make_product(id="all", capture=Capture(), history=History())
    return Prompted(Catalog(models, (product,), guardrails={"no-acme": SECRET}, lookups={"crm": lookup}, lookup_backends={"crm": CRM}))


async def test_another_version_of_a_prompt_is_tried_on_what_was_asked_before_its_label_moves() -> None:
    here = street()
    await here.version("hi", said("system", "Be kind."))
    await here.version("hi", said("system", "Be kind to acme."), model="gpt-4o-mini")
    await here.label("hi", 1)
    await here.label("hi", 2, "staging")
    here.upstream.will(completion(), completion())
    await here.call(ASKED)
    await here.call({"model": "gpt-4o", "messages": ASKED["messages"]})
    asked = len(here.upstream.requests)
    report = await here.replay(**{"with": {"prompt": {"name": "hi", "version": "staging"}, "guardrails": ["no-acme"]}})
    assert [row["changed"] for row in report["data"]] == [
        ["status", "model", "deployment", "cost_micro_usd", "verdicts"],
        ["verdicts"],
    ]
    assert report["data"][0]["after"]["error_code"] == "guardrail_blocked"
    again = await here.replay(**{"with": {"prompt": {"name": "hi", "version": 2}}})
    assert [(row["after"]["model"], row["after"]["deployment"]) for row in again["data"]] == [("gpt-4o-mini", "mini"), ("gpt-4o", "east")]
    assert len(here.upstream.requests) == asked
    missing = await here.replay(**{"with": {"prompt": {"name": "hi", "version": 9}}})
    assert [each["code"] for each in missing["not_replayed"]] == ["not_replayable"]


async def test_a_live_replay_is_sent_the_other_versions_words_and_counts_nowhere_as_the_tenants() -> None:
    here = street()
    await here.version("hi", said("system", "One."), history=True)
    await here.version("hi", said("system", "Two."), history=True)
    await here.label("hi", 1)
    await here.experiment("words", Target(prompt="hi"), Variant("a"), Variant("b", parameters={"temperature": 0.5}))
    await here.experiment("models", Target(model="gpt-4o"), Variant("a"), Variant("b", model="gpt-4o-mini"))
    here.upstream.will(*[completion()] * 4)
    headers = {"x-gateway-session": "s1", "x-gateway-user": "anna"}
    await here.call(ASKED, headers=headers)
    await here.call({"model": "gpt-4o", "messages": ASKED["messages"]}, headers=headers)
    kept, stored = await here.kept(), dict(here.tables.data)
    before = {table: rows for table, rows in stored.items() if "usage" not in str(table)}
    assert [each.experiment for each in kept] == ["words", "models"]
    other = {"with": {"prompt": {"name": "hi", "version": 2}}}
    report = await here.replay(mode="live", max_cost_usd=1, **other)
    assert (report["replayed"], report["not_replayed"], report["cost_usd"]) == (2, [], 2 * COST / 1_000_000)
    sent = [json.loads(request.body) for request in here.upstream.requests]
    assert [each["messages"][0]["content"] for each in sent] == ["One.", "Hello", "Two.", "Hello"]
    assert [each.get("temperature") for each in sent[:2]] == [each.get("temperature") for each in sent[2:]]
    assert here.upstream.deployments[:2] == here.upstream.deployments[2:]
    mine = [each for each in await here.records() if each["tenant"] == REPLAY_TENANT]
    names = ("subscription", "user", "session", "prompt", "prompt_version", "experiment", "variant")
    assert [[each[name] for name in names] for each in mine] == [["", "", "", "", 0, "", ""]] * 2
    assert {table: rows for table, rows in here.tables.data.items() if "usage" not in str(table)} == before
    assert len(await here.kept()) == len(kept)


async def test_the_form_and_the_steps_of_a_prompt_hold_again_but_for_those_that_ask_a_model() -> None:
    here = street()
    form = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    await here.version(
        "hi", said("system", "JSON."), output_schema=form, steps=(Format(form="json-indented"), Classify(model="gpt-4o-mini"))
    )
    await here.version("hi", said("system", "JSON."), output_schema=form | {"required": ["b"]})
    await here.label("hi", 1)
    here.upstream.will(completion('{"a":1}'), completion("positive"), completion('{"a":1}'), completion("positive"))
    await here.call(ASKED)
    (row,) = (await here.replay())["data"]
    assert (row["text_similarity"], row["after"]["status"]) == (1.0, 200)
    (row,) = (await here.replay(**{"with": {"prompt": {"name": "hi", "version": 2}}}))["data"]
    assert "status" in row["changed"]
    (row,) = (await here.replay(mode="live", max_cost_usd=1))["data"]
    assert (row["text_similarity"], row["before"]["cost_micro_usd"], row["after"]["cost_micro_usd"]) == (1.0, 2 * COST, 2 * COST)


async def test_what_was_looked_up_is_the_same_again_and_guardrails_read_it() -> None:
    here = street()
    await here.version("hi", said("system", "Known: {{lookups.crm}}."), lookups=("crm",))
    await here.label("hi", 1)
    here.upstream.will(Reply(steps=[b"works at acme"]), completion(), Reply(status=503, steps=[b"{}"]), completion())
    await here.call(ASKED)
    await here.call(ASKED)
    one, two = await here.kept()
    assert one.source is not None
    assert two.source is not None
    assert (one.source.lookups, one.source.looked_up) == ({"crm": "works at acme"}, "works at acme")
    assert (two.source.lookups, two.source.looked_up) == ({"crm": "unknown"}, "")
    report = await here.replay(**{"with": {"guardrails": ["no-acme"]}})
    assert sorted(row["after"]["status"] for row in report["data"]) == [200, 400]
    assert len(here.upstream.requests) == 4


async def test_a_call_is_rendered_from_its_own_version_although_the_tenant_has_another_prompt_of_the_name_now() -> None:
    here = street()
    await here.version("hi", said("system", "Shared."), tenant=SHARED)
    await here.label("hi", 1, tenant=SHARED)
    here.upstream.will(completion(), completion())
    await here.call(ASKED)
    await here.version("hi", said("system", "Own."))
    await here.label("hi", 1, tenant=DEFAULT_TENANT)
    await here.replay(mode="live", max_cost_usd=1)
    assert json.loads(here.upstream.requests[-1].body)["messages"][0]["content"] == "Shared."


async def test_a_call_whose_prompt_was_never_rendered_is_not_run_with_a_member_that_backends_do_not_know() -> None:
    here = street()
    await here.refused({"prompt": {"id": "nobodys"}, "messages": ASKED["messages"]})
    report = await here.replay(mode="live", max_cost_usd=1)
    assert [each["code"] for each in report["not_replayed"]] == ["not_replayable"]
    assert here.upstream.requests == []


@pytest.mark.parametrize("variant", [{}, {"model": "gpt-4o-mini"}], ids=["none", "model"])
async def test_a_model_in_an_azure_path_is_the_variants_or_the_one_that_is_asked_for(variant: dict[str, Any]) -> None:
    here = street()
    if variant:
        await here.experiment("models", Target(model="gpt-4o"), Variant("b", **variant))
    here.upstream.will(completion(), completion())
    azure = {"path": "/openai/deployments/gpt-4o/chat/completions", "path_model": "gpt-4o", "surface": Surface.AZURE}
    await here.call({"messages": ASKED["messages"]}, operation=Operation.CHAT, **azure)
    (row,) = (await here.replay())["data"]
    assert row["changed"] == []
    wanted = "gpt-4o" if variant else "gpt-4o-mini"
    (row,) = (await here.replay(**{"with": {"model": wanted}}))["data"]
    assert row["after"]["model"] == wanted
