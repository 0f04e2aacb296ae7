"""Calls of prompts beside what else holds for them: streams, guardrails, rules, several answers, large bodies, explanations."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway import prompting
from gateway.domain.call import Operation, UpstreamRequest
from gateway.domain.fingerprint import hash_of
from gateway.domain.guardrails import Action, JsonSchema
from gateway.domain.policy import Rule, When
from tests.builders import make_product
from tests.fakes.upstream import Reply
from tests.flow.street import USAGE_JSON, completion, read, streamed
from tests.flow.studio import StudioStreet, studio_catalog

INVOKED = {"path": "/v1/prompts/hello/invoke", "path_prompt": "hello"}
CLASSIFY = {"type": "classify", "model": "gpt-4o-mini"}


@pytest.fixture
def street() -> StudioStreet:
    return StudioStreet()


def asking(**variables: Any) -> dict[str, Any]:
    return {"prompt": {"id": "hello", "variables": variables}}


async def test_the_calls_own_model_parameters_and_messages_win_over_the_prompts(street: StudioStreet) -> None:
    system = {"role": "system", "content": "Before"}
    await street.publish(
        "hello", system, {"placeholder": "conversation"}, "After {{x}}", parameters={"max_completion_tokens": 5, "temperature": 0}
    )
    street.upstream.will(completion())
    own = {"model": "gpt-4o-mini", "temperature": 0.7, "max_tokens": 9, "messages": [{"role": "user", "content": "Own"}]}
    answer = await street.call(asking(x="1") | own)
    assert answer.headers["x-gateway-model"] == "gpt-4o-mini"
    assert (street.sent["temperature"], street.sent["max_tokens"], "max_completion_tokens" in street.sent) == (0.7, 9, False)
    assert [each["content"] for each in street.sent["messages"]] == ["Before", "Own", "After 1"]


async def test_a_streams_record_and_headers_name_the_prompt_and_what_was_sent(street: StudioStreet) -> None:
    await street.publish("hello", "Hi")
    street.upstream.will(streamed())
    answer = await street.call(asking() | {"stream": True})
    assert answer.headers["x-gateway-prompt-version"] == "1"
    await read(answer)
    record = await street.record()
    sent = hash_of(street.upstream.requests[0].body)
    assert (record["prompt"], record["prompt_version"], record["upstream_hash"]) == ("hello", 1, sent)


async def test_a_prompt_that_a_backend_keeps_is_passed_on_as_it_is(street: StudioStreet) -> None:
    kept = {"id": "pmpt_123", "version": "2", "variables": {"name": "Bob"}}
    street.upstream.will(completion())
    await street.call({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "prompt": kept})
    assert street.sent["prompt"] == kept
    assert (await street.record())["prompt"] == ""


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_variable", "variables.name"),
        ({"variables": {"name": "A", "extra": 1}}, "unknown_variable", "variables.extra"),
        ({"variables": ["A"]}, "invalid_type", "variables"),
        ({"version": 9}, "prompt_version_not_found", "version"),
        ({"version": 1, "label": "production"}, "invalid_value", "label"),
        ({"prompt": {"id": "other"}}, "unknown_parameter", "prompt"),
    ],
    ids=["missing", "extra", "list", "number", "both", "prompt"],
)
async def test_an_invocations_faults_name_its_own_members(street: StudioStreet, body: dict[str, Any], code: str, param: str) -> None:
    await street.publish("hello", "Hi {{name}}")
    error = await street.refused(body, **INVOKED)
    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize(("over", "param"), [(INVOKED, "variables.customer"), ({}, "prompt.variables.customer")], ids=["invoked", "chat"])
async def test_a_variable_that_a_lookup_misses_is_named_where_the_call_would_say_it(
    street: StudioStreet, over: dict[str, Any], param: str
) -> None:
    await street.publish("hello", "{{lookups.orders}} of {{customer}}", lookups=["orders"])
    error = await street.refused({} if over else asking(), **over)
    assert (error.status, error.code, error.param) == (400, "missing_variable", param)


async def test_each_of_several_answers_gets_its_label_and_the_record_stays_the_calls(street: StudioStreet) -> None:
    await street.publish("hello", "Hi", steps=[CLASSIFY])
    choices = [{"index": index, "message": {"role": "assistant", "content": text}} for index, text in enumerate("abc")]
    replies = iter([json.dumps({"choices": choices, "usage": USAGE_JSON}).encode(), *(completion(label).steps[0] for label in LABELS)])
    real = street.upstream.send

    async def slow(*args: Any, **rest: Any) -> Any:
        answer = await real(*args, **rest)
        await asyncio.sleep(0)  # as a network does: others get their turn
        return answer

    street.upstream.does = lambda _: Reply(steps=[next(replies)])
    street.upstream.send = slow  # type: ignore[method-assign]
    answer = await street.call(asking() | {"n": 3})
    assert json.loads(answer.body)["gateway_output"] == {"sentiment": LABELS}
    record = await street.record()
    assert (record["model"], record["deployment"], record["prompt_tokens"]) == ("gpt-4o", "east", 4000)
    assert record["upstream_hash"] == hash_of(street.upstream.requests[0].body)


LABELS = ["positive", "negative", "neutral"]


async def test_a_confined_call_is_told_to_no_step_and_its_record_says_so() -> None:
    rules = (Rule(id="kept", when=When(model=("gpt-4o",)), model="gpt-4o", confine=True),)
    street = StudioStreet(studio_catalog(rules=rules))
    await street.publish("hello", "Hi", steps=[CLASSIFY])
    street.upstream.will(completion("Fine."))
    answer = await street.call(asking())
    assert json.loads(answer.body)["gateway_output"] == {"sentiment": None}
    assert "step:classify_failed" in str((await street.record())["changes"]).split()
    assert len(street.upstream.requests) == 1


def form(name: str, **rest: Any) -> dict[str, Any]:
    number = {"$ref": "#/$defs/number"}
    return {"$id": "urn:own", "type": "object", "required": [name], "properties": {name: number}, "$defs": {"number": rest}}


@pytest.mark.parametrize(
    ("guardrail", "answers", "is_"),
    [
        ({}, ['{"a": "x", "b": 2}'], "passed"),
        ({}, ['{"b": 2}', '{"a": "x", "b": 2}'], "repaired"),
        ({}, ['{"b": 2}', '{"b": 2}'], ""),
        ({"repair": False}, ['{"b": 2}'], ""),
        ({"repair": False}, ['{"a": "x"}', '{"a": "x", "b": 2}'], "repaired"),
        ({"action": Action.REPORT}, ['{"b": 2}', '{"b": 2}'], "reported"),
        ({"action": Action.REPORT}, ['{"a": "x"}', '{"a": "x"}'], ""),
    ],
    ids=["both", "repaired", "not the product's", "not repaired for the product", "repaired for the prompt", "reported", "refused"],
)
async def test_a_prompts_form_holds_beside_the_products_whatever_is_done_about_that(
    guardrail: dict[str, Any], answers: list[str], is_: str
) -> None:
    own = JsonSchema(id="own", schema=form("a", type="string"), **guardrail)
    street = StudioStreet(studio_catalog(make_product(id="formed", guardrails=("own",)), guardrails={"own": own}))
    await street.publish("hello", "Hi", output_schema=form("b", type="number"))
    street.upstream.will(*(completion(text) for text in answers))
    if is_:
        answer = await street.call(asking(), product="formed")
        assert f"is={is_}" in answer.headers["x-gateway-guardrails"]
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == answers[-1]
    else:
        assert (await street.refused(asking(), product="formed")).code == "answer_invalid"
        assert '"outcome":"blocked"' in str((await street.record())["guardrails"]).replace(" ", "")
    assert len(street.upstream.requests) == len(answers)


@pytest.mark.parametrize(("size", "apart"), [(10, False), (300_000, True)], ids=["small", "large"])
async def test_large_bodies_with_prompts_are_made_where_they_hold_up_no_other_call(
    street: StudioStreet, monkeypatch: pytest.MonkeyPatch, size: int, *, apart: bool
) -> None:
    where: dict[str, bool] = {}

    def noted(name: str) -> None:
        was: Callable[..., Any] = getattr(prompting, name)

        def made(*args: Any) -> Any:
            where[name] = threading.current_thread() is not threading.main_thread()
            return was(*args)

        monkeypatch.setattr(prompting, name, made)

    for name in ("reference_of", "body_of", "forced"):
        noted(name)
    await street.publish("hello", "Hi")
    await street.run({"on": {"model": "gpt-4o"}, "variants": [{"id": "control"}, {"id": "cool", "parameters": {"temperature": 0}}]})
    street.upstream.will(completion())
    long = {"messages": [{"role": "user", "content": "x" * size}]}
    await street.call(asking() | long, headers={"x-gateway-user": "u1"})
    assert where == {"reference_of": apart, "body_of": apart, "forced": apart}


async def test_an_explanation_counts_in_no_experiment(street: StudioStreet) -> None:
    def served(_: UpstreamRequest) -> Reply:
        return completion()

    street.upstream.does = served
    await street.run({"on": {"model": "gpt-4o"}, "variants": [{"id": "control"}, {"id": "mini", "model": "gpt-4o-mini"}]})
    models = set()
    for number in range(20):
        headers = {"x-gateway-user": f"u{number}", "x-gateway-explain": "true"}
        models.add(json.loads((await street.call(headers=headers)).body)["model"]["resolved"])
    assert models == {"gpt-4o", "gpt-4o-mini"}  # it says where the user's call would go
    assert {(row["experiment"], row["variant"]) for row in await street.records()} == {("", "")}


@pytest.mark.parametrize(
    ("parameters", "varied"),
    [({"seed": 7}, False), ({"stop": ["x"]}, False), ({"max_tokens": 9}, True), ({"temperature": 0}, True)],
    ids=["seed", "stop", "ceiling", "temperature"],
)
async def test_an_experiment_whose_variant_has_no_place_in_responses_leaves_them_alone(
    street: StudioStreet, parameters: dict[str, Any], *, varied: bool
) -> None:
    street.upstream.does = lambda _: completion()
    await street.run({"on": {"model": "gpt-4o"}, "variants": [{"id": "control"}, {"id": "other", "parameters": parameters}]})
    seen: dict[str, set[str]] = {"chat": set(), "responses": set()}
    for number in range(20):
        headers = {"x-gateway-user": f"u{number}"}
        chat = await street.call(headers=headers)
        response = await street.call(
            {"model": "gpt-4o", "input": "Hi"}, operation=Operation.RESPONSES, path="/v1/responses", headers=headers
        )
        for name, answer in (("chat", chat), ("responses", response)):
            seen[name].add(answer.headers.get("x-gateway-variant", ""))
    assert seen == {"chat": {"control", "other"}, "responses": {"control", "other"} if varied else {""}}


async def test_a_prompts_experiment_leaves_responses_alone_likewise(street: StudioStreet) -> None:
    await street.publish("hello", "Hi")
    street.upstream.does = lambda _: completion()
    await street.run({"on": {"prompt": "hello"}, "variants": [{"id": "control"}, {"id": "other", "parameters": {"seed": 7}}]})
    for number in range(20):
        headers = {"x-gateway-user": f"u{number}"}
        answer = await street.call(asking(), operation=Operation.RESPONSES, path="/v1/responses", headers=headers)
        assert "x-gateway-variant" not in answer.headers
