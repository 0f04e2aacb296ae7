"""Calls in experiments: who gets what, what counts, and what everybody gets in the end."""

import itertools
import json
from collections import Counter

import pytest

from gateway.domain.call import Operation, UpstreamRequest
from gateway.domain.ids import uuid7_hex
from gateway.domain.management import Asked
from tests.builders import make_product
from tests.fakes.upstream import Reply
from tests.flow.street import CHAT, completion
from tests.flow.studio import ADMINISTRATOR, StudioStreet, studio_catalog

MODEL = {
    "on": {"model": "gpt-4o"},
    "variants": [{"id": "control"}, {"id": "mini", "model": "gpt-4o-mini", "parameters": {"temperature": 0}}],
}


@pytest.fixture
def street() -> StudioStreet:
    found = StudioStreet()
    found.upstream.does = lambda _: completion()
    return found


async def variants(street: StudioStreet, users: int = 60, **over: object) -> dict[str, str]:
    """Return which variant each user gets."""
    found = {}
    for number in range(users):
        answer = await street.call(CHAT, headers={"x-gateway-user": f"u{number}"}, **over)
        found[f"u{number}"] = answer.headers.get("x-gateway-variant", "")
        assert answer.headers["x-gateway-model"] == ("gpt-4o-mini" if found[f"u{number}"] == "mini" else "gpt-4o")
    return found


async def test_users_keep_their_variant_and_the_record_says_which(street: StudioStreet) -> None:
    await street.run(MODEL)
    first = await variants(street)
    assert set(first.values()) == {"control", "mini"}
    assert await variants(street) == first
    records = await street.records()
    assert {(row["user"], row["variant"]) for row in records} == set(first.items())
    assert {row["experiment"] for row in records} == {"shared/test"}
    assert {row["model"] for row in records if row["variant"] == "mini"} == {"gpt-4o-mini"}


async def test_a_variants_parameters_win(street: StudioStreet) -> None:
    await street.run(MODEL)
    for number in range(20):
        answer = await street.call(CHAT | {"temperature": 1}, headers={"x-gateway-user": f"u{number}"})
        assert street.sent["temperature"] == (0 if answer.headers["x-gateway-variant"] == "mini" else 1)


async def test_a_call_that_names_no_unit_gets_the_control_and_does_not_count(street: StudioStreet) -> None:
    await street.run(MODEL)
    answer = await street.call()
    assert ("x-gateway-variant" in answer.headers, answer.headers["x-gateway-model"]) == (False, "gpt-4o")
    assert ((await street.record())["experiment"], (await street.record())["variant"]) == ("", "")


async def test_versions_of_a_prompt_are_variants_of_its_label(street: StudioStreet) -> None:
    await street.publish("hello", "One")
    await street.publish("hello", "Two", label="staging")
    await street.run({"on": {"prompt": "hello"}, "variants": [{"id": "old", "version": 1}, {"id": "new", "version": "staging"}]})
    seen: Counter[tuple[str, str, str]] = Counter()
    for number in range(60):
        answer = await street.call({"prompt": {"id": "hello"}}, headers={"x-gateway-user": f"u{number}"})
        text = street.sent["messages"][0]["content"]
        seen[answer.headers["x-gateway-variant"], answer.headers["x-gateway-prompt-version"], text] += 1
    assert seen.keys() == {("old", "1", "One"), ("new", "2", "Two")}
    answer = await street.call({"prompt": {"id": "hello", "version": 1}}, headers={"x-gateway-user": "u1"})
    assert "x-gateway-variant" not in answer.headers  # who names a number gets that


async def test_a_rollback_gives_everybody_the_control_and_a_promotion_the_winner(street: StudioStreet) -> None:
    experiment = await street.run(MODEL)
    await street.studio.experiments.lifecycle.roll_back(experiment.tenant, experiment.id, "worse")
    assert set((await variants(street, 10)).values()) == {""}
    await street.studio.experiments.lifecycle.stop(experiment.tenant, experiment.id)
    second = await street.run({**MODEL, "id": "second"})
    await street.studio.experiments.lifecycle.promote(second.tenant, second.id, "mini", "better", "me")
    answers = [await street.call(CHAT, headers={"x-gateway-user": f"u{number}"}) for number in range(10)]
    assert {answer.headers["x-gateway-model"] for answer in answers} == {"gpt-4o-mini"}
    assert {"x-gateway-variant" in answer.headers for answer in answers} == {False}


async def test_another_tenants_experiment_concerns_nobody_else(street: StudioStreet) -> None:
    await street.studio.library.library.head("contoso", "x")
    await street.run(MODEL, tenant="default")
    assert set((await variants(street)).values()) == {"control", "mini"}
    other = StudioStreet(tables=street.tables)
    other.upstream.does = lambda _: completion()
    assert await other.studio.prompting._running("contoso") == ()


async def test_a_variants_model_needs_the_callers_right() -> None:
    street = StudioStreet(studio_catalog(make_product(id="big-only", models=("gpt-4o",))))
    street.upstream.does = lambda _: completion()
    await street.run(MODEL)
    codes: Counter[str] = Counter()
    for number in range(40):
        try:
            await street.call(CHAT, product="big-only", headers={"x-gateway-user": f"u{number}"})
            codes["served"] += 1
        except Exception as exc:  # noqa: BLE001 - counted
            codes[getattr(exc, "code", "?")] += 1
    assert codes.keys() == {"served", "model_not_allowed"}


async def test_feedback_on_a_call_reaches_its_variants_results(street: StudioStreet) -> None:
    await street.run({**MODEL, "goal": {"metric": "feedback.thumbs"}})
    for number in range(20):
        request_id = f"req_{uuid7_hex(street.clock.utc().timestamp())}"
        await street.call(CHAT, headers={"x-gateway-user": f"u{number}"}, request_id=request_id)
    for row in await street.records():
        body = json.dumps({"request_id": row["request_id"], "metric": "thumbs", "value": True}).encode()
        answer = await street.call(operation=Operation.FEEDBACK, path="/v1/feedback", body=body)
        assert answer.status in {200, 202}
    street.clock.advance(120)
    await street.studio.every_minute["feedback"]()
    results = await street.studio.experiments.results(Asked(ADMINISTRATOR), "test")
    shown = {each["id"]: (each["units"], each["metrics"]["feedback.thumbs"]["mean"]) for each in results["variants"]}
    assert sum(units for units, _ in shown.values()) == 20
    assert {mean for _, mean in shown.values()} == {1.0}


async def test_the_minutes_chore_rolls_a_canary_back_whose_guard_got_worse(street: StudioStreet) -> None:
    numbers = itertools.count()

    def answer(request: UpstreamRequest) -> Reply:
        tokens = next(numbers) % 7 + (900 if json.loads(request.body).get("temperature") == 0 else 100)
        return completion(usage={"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1})

    street.upstream.does = answer
    variants = [{"id": "control"}, {"id": "canary", "parameters": {"temperature": 0}}]
    guards = [{"metric": "total_tokens", "better": "lower", "margin": 20}]
    await street.run({"on": {"model": "gpt-4o"}, "variants": variants, "guards": guards, "min_units": 20})
    for number in range(200):
        request_id = f"req_{uuid7_hex(street.clock.utc().timestamp())}"
        await street.call(CHAT, headers={"x-gateway-user": f"u{number}"}, request_id=request_id)
        street.clock.advance(0.1)
    await street.records()
    street.clock.advance(120)
    await street.studio.every_minute["experiments"]()
    told = (await street.studio.experiments.read(Asked(ADMINISTRATOR), "test")).value
    assert (told["state"], "total_tokens" in told["reason"]) == ("rolled_back", True)
    await street.call(CHAT, headers={"x-gateway-user": "u1"})
    assert "temperature" not in street.sent
    assert [entity.values["kind"] for entity in street.tables.rows("alerts") if "kind" in entity.values] == ["gateway.experiment.ended"]
