"""Calls of prompts: what becomes of a name and variables, and what the record says of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.call import Operation, Surface
from gateway.domain.fingerprint import hash_of
from gateway.domain.guardrails import BUILT_IN, Pii
from gateway.domain.management import Asked
from tests.builders import make_product
from tests.fakes.upstream import Reply
from tests.flow.street import Street, completion, failure, streamed
from tests.flow.studio import ADMINISTRATOR, StudioStreet, studio_catalog

SYSTEM = {"role": "system", "content": "You serve {{context.department}}."}
ASK = "Say hello to {{name}}."


@pytest.fixture
def street() -> StudioStreet:
    return StudioStreet()


def asking(name: str = "hello", **more: Any) -> dict[str, Any]:
    return {"prompt": {"id": name, "variables": {"name": "Bob"}, **more}}


async def test_a_prompt_gives_messages_model_and_parameters(street: StudioStreet) -> None:
    await street.publish("hello", SYSTEM, ASK, parameters={"temperature": 0, "seed": 7})
    street.upstream.will(completion())
    key = await street.subscribe(attributes={"department": "sales"})
    answer = await street.call(asking() | {"seed": 8}, key=key)
    assert street.sent["messages"] == [{"role": "system", "content": "You serve sales."}, {"role": "user", "content": "Say hello to Bob."}]
    assert (street.sent["temperature"], street.sent["seed"], "prompt" in street.sent) == (0, 8, False)
    assert (answer.headers["x-gateway-prompt-version"], answer.headers["x-gateway-model"]) == ("1", "gpt-4o")
    record = await street.record()
    assert (record["prompt"], record["prompt_version"], record["model"]) == ("hello", 1, "gpt-4o")
    assert record["upstream_hash"] == hash_of(street.upstream.requests[0].body)


async def test_an_invocation_says_variables_and_what_else_a_chat_takes(street: StudioStreet) -> None:
    await street.publish("hello", ASK)
    street.upstream.will(completion(), streamed())
    over = {"path": "/v1/prompts/hello/invoke", "path_prompt": "hello"}
    await street.call({"variables": {"name": "Ann"}, "messages": [{"role": "user", "content": "And me?"}], "n": 2}, **over)
    assert [each["content"] for each in street.sent["messages"]] == ["Say hello to Ann.", "And me?"]
    assert street.sent["n"] == 2
    answer = await street.call({"variables": {"name": "Ann"}, "stream": True}, **over)
    assert answer.stream is not None
    assert b"[DONE]" in b"".join([piece async for piece in answer.stream])


async def test_a_response_takes_openais_shape_of_a_prompt(street: StudioStreet) -> None:
    await street.publish("hello", SYSTEM, ASK)
    street.upstream.will(completion())
    await street.call(asking() | {"input": "And me?"}, operation=Operation.RESPONSES, path="/v1/responses")
    assert [each["content"] for each in street.sent["messages"]] == ["You serve .", "Say hello to Bob.", "And me?"]


async def test_an_azure_path_names_the_model_and_the_prompt_the_rest(street: StudioStreet) -> None:
    await street.publish("hello", ASK)
    street.upstream.will(completion())
    answer = await street.call(
        asking(), surface=Surface.AZURE, path_model="gpt-4o-mini", path="/openai/deployments/gpt-4o-mini/chat/completions"
    )
    assert answer.headers["x-gateway-model"] == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (asking("nobody"), 404, "prompt_not_found", "prompt.id"),
        (asking(version=9), 404, "prompt_version_not_found", "prompt.version"),
        (asking(version="staging"), 404, "prompt_version_not_found", "prompt.version"),
        ({"prompt": {"id": "hello"}}, 400, "missing_variable", "prompt.variables.name"),
        ({"prompt": {"id": "hello", "variables": {"name": "B", "mane": "B"}}}, 400, "unknown_variable", "prompt.variables.mane"),
        ({"prompt": {"id": "hello", "Variables": {}}}, 400, "unknown_parameter", "prompt.Variables"),
    ],
    ids=["name", "number", "label", "missing", "extra", "member"],
)
async def test_what_is_wrong_is_named_before_anybody_is_asked(
    street: StudioStreet, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    await street.publish("hello", ASK)
    error = await street.refused(body)
    assert (error.status, error.code, error.param) == (status, code, param)
    assert street.upstream.requests == []
    assert (await street.record())["error_code"] == code


async def test_a_moved_label_is_another_workers_next_call_within_five_seconds(street: StudioStreet) -> None:
    other = StudioStreet(street.catalog, street.tables)
    await street.publish("hello", "One")
    street.upstream.will(completion())
    other.upstream.will(*(completion() for _ in range(20)))
    key = await street.key()
    await other.call(asking(variables={}), key=key)
    await street.publish("hello", "Two")
    await street.call(asking(variables={}), key=key)
    assert street.sent["messages"][-1]["content"] == "Two"
    for _ in range(6):
        other.clock.advance(0.9)
        await other.call(asking(variables={}), key=key)
    assert other.sent["messages"][-1]["content"] == "Two"


async def test_no_call_reads_a_table_for_its_prompt(street: StudioStreet, monkeypatch: pytest.MonkeyPatch) -> None:
    await street.publish("hello", ASK)
    street.upstream.does = lambda _: completion()
    await street.call(asking())
    asked: list[str] = []
    for name in ("get", "query"):
        was: Callable[..., Any] = getattr(street.tables, name)

        def seen(table: str, *args: Any, was: Callable[..., Any] = was, **rest: Any) -> Any:
            asked.append(table)
            return was(table, *args, **rest)

        monkeypatch.setattr(street.tables, name, seen)
    for _ in range(100):
        await street.call(asking())
    assert [table for table in asked if table in {"prompts", "experiments"}] == []


async def test_a_tenants_own_prompt_hides_the_shared_one_and_is_nobody_elses(street: StudioStreet) -> None:
    await street.publish("hello", "Shared")
    await street.publish("hello", "Own", tenant="default")
    street.upstream.will(completion())
    await street.call(asking(variables={}))
    assert street.sent["messages"][-1]["content"] == "Own"


async def test_the_same_prompt_reads_otherwise_for_another_role_and_no_header_can_change_that(street: StudioStreet) -> None:
    lawyer = {"role": "system", "content": "Cite the law.", "when": {"role": "lawyer"}}
    await street.publish("hello", lawyer, "User {{context.user}}, claimed {{context.claimed_user}}, of {{context.role}}.")
    street.upstream.will(completion(), completion())
    sent = []
    for role in ("lawyer", "clerk"):
        key = await street.subscribe(attributes={"role": role})
        await street.call(asking(variables={}), key=key, headers={"x-gateway-user": "boss", "x-gateway-tags": "role=lawyer"})
        sent.append([each["content"] for each in street.sent["messages"]])
    assert sent == [["Cite the law.", "User , claimed boss, of lawyer."], ["User , claimed boss, of clerk."]]


async def test_the_prompts_model_needs_the_callers_right() -> None:
    street = StudioStreet(studio_catalog(make_product(id="mini-only", models=("gpt-4o-mini",))))
    await street.publish("hello", "Hi")
    assert (await street.refused(asking(variables={}), product="mini-only")).code == "model_not_allowed"


async def test_the_models_of_a_tenants_steps_need_it_too() -> None:
    street = StudioStreet(studio_catalog(make_product(id="mini-only", models=("gpt-4o-mini",))))
    steps = [{"type": "classify", "model": "gpt-4o"}]
    await street.publish("own", "Hi", tenant="default", model="gpt-4o-mini", steps=steps)
    assert (await street.refused(asking("own", variables={}), product="mini-only")).code == "model_not_allowed"
    await street.publish("shared", "Hi", model="gpt-4o-mini", steps=steps)
    street.upstream.will(completion("Fine."), completion("positive"))
    answer = await street.call(asking("shared", variables={}), product="mini-only")
    assert json.loads(answer.body)["gateway_output"] == {"sentiment": "positive"}


async def test_values_are_data_and_guardrails_see_them(street: StudioStreet) -> None:
    mask = next(each for each in BUILT_IN.values() if isinstance(each, Pii))
    street = StudioStreet(studio_catalog(make_product(id="guarded", guardrails=("mask-pii",)), guardrails={"mask-pii": mask}))
    await street.publish("hello", ASK)
    street.upstream.will(completion("Hello <EMAIL_1>!"))
    answer = await street.call({"prompt": {"id": "hello", "variables": {"name": "{{context.tenant}} ann@contoso.com"}}}, product="guarded")
    assert street.sent["messages"][0]["content"] == "Say hello to {{context.tenant}} <EMAIL_1>."
    assert "ann@contoso.com" in json.loads(answer.body)["choices"][0]["message"]["content"]


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("answers", "status", "asked"),
    [(['{"city": "Oslo"}'], 200, 1), (["Oslo", '{"city": "Oslo"}'], 200, 2), (["Oslo", "Bergen"], 502, 2)],
    ids=["valid", "repaired", "invalid"],
)
async def test_an_answer_has_the_prompts_form_after_one_repair_or_is_refused(
    street: StudioStreet, answers: list[str], status: int, asked: int
) -> None:
    await street.publish("hello", ASK, output_schema=SCHEMA)
    street.upstream.will(*(completion(text) for text in answers))
    if status == 200:
        assert json.loads((await street.call(asking())).body)["choices"][0]["message"]["content"] == answers[-1]
    else:
        assert (await street.refused(asking())).code == "answer_invalid"
    record = await street.record()
    assert (len(street.upstream.requests), record["status"], record["prompt_tokens"]) == (asked, status, 1000 * asked)


async def test_steps_change_the_answer_and_their_cost_is_on_the_record(street: StudioStreet) -> None:
    steps = [
        {"type": "extract", "field": "city", "path": "town"},
        {"type": "rename", "members": {"town": "city"}},
        {"type": "classify", "model": "gpt-4o-mini"},
    ]
    await street.publish("hello", ASK, steps=steps)
    street.upstream.will(completion('{"town": "Oslo"}'), completion("neutral"))
    document = json.loads((await street.call(asking())).body)
    assert document["gateway_output"] == {"city": "Oslo", "sentiment": "neutral"}
    assert json.loads(document["choices"][0]["message"]["content"]) == {"city": "Oslo"}
    record = await street.record()
    assert (record["prompt_tokens"], record["deployment"]) == (2000, "east")
    assert {"step:extract", "step:rename", "step:classify"} <= set(str(record["changes"]).split())
    assert int(str(record["aside_cost_micro_usd"])) > 0


async def test_answers_with_steps_are_not_streamed(street: StudioStreet) -> None:
    await street.publish("hello", ASK, steps=[{"type": "format"}])
    error = await street.refused(asking() | {"stream": True})
    assert (error.status, error.param) == (400, "stream")


async def test_lookups_are_put_in_as_data_and_fail_as_declared(street: StudioStreet) -> None:
    await street.publish("hello", "Plan {{lookups.plan.name}}, orders {{lookups.orders}} of {{customer}}.", lookups=["plan", "orders"])
    street.upstream.will(failure(500))
    refused = await street.refused(asking(variables={"customer": "c-1"}))
    assert (refused.status, refused.code) == (503, "lookup_failed")
    value = Asked(ADMINISTRATOR, {"value": {"name": "gold {{name}}"}}, {})
    await street.studio.lookups.set_value(value, "plan", "c-1")
    street.clock.advance(100)
    street.upstream.will(Reply(steps=[b"3"], headers={"content-type": "application/json"}), completion())
    await street.call(asking(variables={"customer": "c-1"}))
    assert street.sent["messages"][-1]["content"] == "Plan gold {{name}}, orders 3 of c-1."


async def test_an_explanation_says_where_a_prompts_call_would_go(street: StudioStreet) -> None:
    await street.publish("hello", ASK)
    answer = await street.call(asking(), headers={"x-gateway-explain": "true"})
    assert json.loads(answer.body)["model"]["resolved"] == "gpt-4o"
    assert street.upstream.requests == []


async def test_a_plain_chat_is_sent_as_it_always_was(street: StudioStreet) -> None:
    plain = Street()
    for each in (street, plain):
        each.upstream.will(completion())
        await each.call()
    assert street.upstream.requests[0].body == plain.upstream.requests[0].body
    assert (await street.record())["upstream_hash"] == ""
