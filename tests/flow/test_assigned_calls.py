"""Who gets which variant, held to the assignment itself: over many users, by session, beside another experiment."""

import json
from collections import Counter

import pytest

from gateway.domain.call import Operation
from gateway.domain.labels import Labels
from gateway.experiments.assign import assign, counts_of
from gateway.metering.draft import Draft
from gateway.prompting import PLAIN
from tests.builders import make_inbound, make_principal
from tests.flow.street import CHAT, completion
from tests.flow.studio import StudioStreet

MODEL = {"on": {"model": "gpt-4o"}, "variants": [{"id": "control", "weight": 95}, {"id": "cool", "weight": 5, "parameters": {"top_p": 1}}]}


@pytest.fixture
def street() -> StudioStreet:
    found = StudioStreet()
    found.upstream.does = lambda _: completion()
    return found


async def test_ten_thousand_users_are_split_as_the_assignment_says_and_near_the_weights(street: StudioStreet) -> None:
    experiment = await street.run(MODEL)
    principal, model = make_principal(), street.catalog.find("gpt-4o")
    inbound = make_inbound(operation=Operation.CHAT, body=json.dumps(CHAT).encode())
    got: Counter[str] = Counter()
    for number in range(10_000):
        draft, user = Draft(inbound), f"u{number}"
        varied = await street.studio.prompting.vary(draft, inbound, model, PLAIN, principal, Labels(user=user))
        assert varied is not None
        assert ("top_p" in json.loads(varied[0].body)) == (draft.variant == "cool")
        assert draft.variant == assign(experiment, f"{principal.tenant}\n{principal.subscription}\n{user}").id
        got[draft.variant] += 1
    share = counts_of(experiment.variants)[1] / 2**64
    assert abs(got["cool"] / 10_000 - share) < 4 * (share * (1 - share) / 10_000) ** 0.5


async def test_a_session_keeps_its_variant_whoever_speaks_in_it(street: StudioStreet) -> None:
    await street.run({**MODEL, "unit": "session", "variants": [{"id": "a"}, {"id": "b"}]})
    got: dict[str, set[str]] = {}
    for number in range(60):
        session = f"s{number % 20}"
        answer = await street.call(headers={"x-gateway-session": session, "x-gateway-user": f"u{number}"})
        got.setdefault(session, set()).add(answer.headers["x-gateway-variant"])
    assert {len(variants) for variants in got.values()} == {1}
    assert set.union(*got.values()) == {"a", "b"}
    answer = await street.call(headers={"x-gateway-user": "u1"})
    assert "x-gateway-variant" not in answer.headers  # without a session nobody is counted


async def test_a_tenants_own_experiment_goes_before_a_shared_one_and_a_prompts_before_its_models(street: StudioStreet) -> None:
    await street.publish("hello", "Hi")
    two = [{"id": "control"}, {"id": "other", "parameters": {"top_p": 1}}]
    await street.run({"id": "shared", "on": {"model": "gpt-4o"}, "variants": two})
    await street.run({"id": "own", "on": {"model": "gpt-4o"}, "variants": two}, tenant="default")
    await street.run({"id": "prompts", "on": {"prompt": "hello"}, "variants": two})
    headers = {"x-gateway-user": "u1"}
    await street.call(headers=headers)
    await street.call({"prompt": {"id": "hello"}}, headers=headers)
    assert {row["experiment"] for row in await street.records()} == {"own", "shared/prompts"}


async def test_a_promoted_version_is_everybodys_and_the_label_can_be_moved_on(street: StudioStreet) -> None:
    await street.publish("hello", "One")
    await street.publish("hello", "Two", label="staging")
    experiment = await street.run({"on": {"prompt": "hello"}, "variants": [{"id": "old", "version": 1}, {"id": "new", "version": 2}]})
    await street.studio.experiments.lifecycle.promote(experiment.tenant, experiment.id, "new", "better", "me")
    for user in ("u1", "u2", "u3", ""):
        answer = await street.call({"prompt": {"id": "hello"}}, headers={"x-gateway-user": user} if user else {})
        assert (street.sent["messages"][0]["content"], answer.headers["x-gateway-prompt-version"]) == ("Two", "2")
    assert {row["variant"] for row in await street.records()} == {""}
    await street.publish("hello", "Three")
    street.clock.advance(5)
    await street.call({"prompt": {"id": "hello"}})
    assert street.sent["messages"][0]["content"] == "Three"
