"""What becomes of an experiment: which way it may go, what calls get then, and where the label is left."""

import datetime
from typing import Any

import pytest

from gateway.domain.experiments import Experiment, ExperimentState, Goal, Phase, Target, Variant
from gateway.errors import Conflict, GatewayError, NotFound, PreconditionFailed, RequestError, StoreUnavailable
from gateway.experiments.assign import assign
from gateway.experiments.lifecycle import MAX_PHASES, Become, promoted, reweighted, rolled_back, started, stopped
from gateway.experiments.store import serves
from tests.unit.experiments.laboratory import ADMIN, BEN, MODELS, Laboratory, canary, tone

AT = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
LATER = AT + datetime.timedelta(hours=1)
DRAFT, RUNNING, STOPPED = ExperimentState.DRAFT, ExperimentState.RUNNING, ExperimentState.STOPPED
PROMOTED, ROLLED_BACK = ExperimentState.PROMOTED, ExperimentState.ROLLED_BACK
ARMS = (Variant("control", 95), Variant("canary", 5, model="tuned"))

BECOME: dict[str, Become] = {
    "start": lambda now: started(now, LATER, "", now.variants),
    "stop": lambda now: stopped(now, LATER, "enough"),
    "promote": lambda now: promoted(now, "canary", LATER, "better"),
    "roll back": lambda now: rolled_back(now, LATER, "worse"),
    "reweight": lambda now: reweighted(now, {"canary": 50}, LATER),
}
POSSIBLE = {
    DRAFT: {"start": RUNNING, "reweight": DRAFT},
    RUNNING: {"stop": STOPPED, "promote": PROMOTED, "roll back": ROLLED_BACK, "reweight": RUNNING},
    PROMOTED: {"stop": STOPPED, "promote": PROMOTED},
    ROLLED_BACK: {"stop": STOPPED},
    STOPPED: {},
}


def experiment(state: ExperimentState = RUNNING, **more: Any) -> Experiment:
    fields = {"tenant": "contoso", "id": "tone", "on": Target(model="gpt-4o-mini"), "goal": Goal("cost_usd", "lower"), "started_at": AT}
    fields |= {"variants": ARMS, "state": state, "winner": "canary" if state is PROMOTED else ""}
    return Experiment(**fields | more)


@pytest.mark.parametrize("state", list(ExperimentState))
@pytest.mark.parametrize("name", BECOME)
def test_an_experiment_goes_the_ways_that_there_are_and_no_other(state: ExperimentState, name: str) -> None:
    now = experiment(state)
    if name in POSSIBLE[state]:
        assert BECOME[name](now).state is POSSIBLE[state][name]
        return
    with pytest.raises(Conflict, match=f"is {state.value}; only") as refused:
        BECOME[name](now)
    assert refused.value.code == "wrong_state"


def test_what_ends_says_when_and_why_and_stopping_it_later_changes_neither() -> None:
    ended = promoted(experiment(), "canary", LATER, "better")
    assert (ended.ended_at, ended.reason, ended.winner) == (LATER, "better", "canary")
    off = stopped(ended, LATER + datetime.timedelta(days=1), "done with it")
    assert (off.ended_at, off.reason, off.winner) == (LATER, "better", "canary")
    assert (stopped(experiment(), LATER, "enough").ended_at, stopped(experiment(), LATER, "enough").reason) == (LATER, "enough")


def test_a_change_of_weights_begins_a_phase_that_results_count_from() -> None:
    first = started(experiment(DRAFT), AT, "", ARMS)
    second = reweighted(first, {"canary": 50}, LATER)
    assert (first.started_at, second.started_at) == (AT, LATER)
    assert second.phases == (Phase(AT, {"control": 95, "canary": 5}), Phase(LATER, {"control": 95, "canary": 50}))
    assert reweighted(second, {"canary": 50, "control": 95}, LATER + datetime.timedelta(1)) is second


@pytest.mark.parametrize(
    ("weights", "param"),
    [
        ({"nobody": 1}, "weights.nobody"),
        ({"canary": -1}, "weights.canary"),
        ({"canary": 1_000_001}, "weights.canary"),
        ({"canary": 0, "control": 0}, "weights"),
    ],
)
def test_weights_that_cannot_be_are_named(weights: dict[str, int], param: str) -> None:
    with pytest.raises(RequestError) as refused:
        reweighted(experiment(), weights, LATER)
    assert refused.value.param == param


def test_phases_end_somewhere() -> None:
    now = started(experiment(DRAFT), AT, "", ARMS)
    for weight in range(10, 9 + MAX_PHASES):
        now = reweighted(now, {"canary": weight}, LATER)
    assert len(now.phases) == MAX_PHASES
    with pytest.raises(Conflict, match="stop it and make another"):
        reweighted(now, {"canary": 7}, LATER)


def test_a_winner_must_be_named_where_there_is_a_choice() -> None:
    assert promoted(experiment(), "", LATER, "").winner == "canary"
    three = experiment(variants=(*ARMS, Variant("third")))
    for now, winner in ((three, ""), (three, "nobody"), (experiment(), "nobody")):
        with pytest.raises(RequestError) as refused:
            promoted(now, winner, LATER, "")
        assert refused.value.param == "winner"
    with pytest.raises(Conflict, match="'canary' was promoted already"):
        promoted(experiment(PROMOTED), "control", LATER, "")


def test_a_reason_has_an_end() -> None:
    with pytest.raises(RequestError) as refused:
        rolled_back(experiment(), LATER, "x" * 501)
    assert refused.value.param == "reason"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (experiment(DRAFT), False),
        (experiment(RUNNING), True),
        (experiment(STOPPED), False),
        (experiment(PROMOTED), True),
        (experiment(PROMOTED, winner="control"), False),
        (experiment(ROLLED_BACK), False),
        (experiment(ROLLED_BACK, variants=(Variant("control", version=3), ARMS[1])), True),
        (experiment(PROMOTED, variants=(ARMS[0], Variant("canary", version=3))), True),
        (experiment(PROMOTED, variants=(ARMS[0], Variant("canary", version=3)), label_moved=True), False),
        (experiment(PROMOTED, variants=(ARMS[0], Variant("canary", parameters={"temperature": 0}, version=3)), label_moved=True), True),
    ],
)
def test_an_experiment_serves_while_calls_get_something_from_it(now: Experiment, expected: bool) -> None:
    assert serves(now) is expected


async def test_starting_puts_numbers_in_the_place_of_labels() -> None:
    lab = Laboratory()
    variants = [{"id": "control"}, {"id": "b", "version": "staging"}, {"id": "c", "version": 3}]
    shown = await lab.run(tone(variants=variants))
    assert [each.get("version") for each in shown["variants"]] == [None, 2, 3]
    lab.prompts.labels["contoso", "support"]["staging"] = 3
    (running,) = await lab.store.serving("contoso")
    assert [variant.version for variant in running.variants] == [None, 2, 3]
    assert running.owner == "contoso"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"on": {"prompt": "nobody"}}, "on.prompt"),
        ({"on": {"prompt": "support", "label": "nowhere"}}, "on.label"),
        ({"variants": [{"id": "a"}, {"id": "b", "version": 4}]}, "variants[1].version"),
        ({"variants": [{"id": "a", "version": "nowhere"}, {"id": "b"}]}, "variants[0].version"),
    ],
)
async def test_what_names_a_version_that_is_not_there_does_not_start(more: dict[str, Any], param: str) -> None:
    lab = Laboratory()
    await lab.make(tone(**more))
    with pytest.raises(RequestError) as refused:
        await lab.lifecycle.start("contoso", "tone")
    assert refused.value.param == param
    assert await lab.store.serving("contoso") == ()


@pytest.mark.parametrize("gone", ["gpt-4o-mini", "tuned/mini"])
async def test_what_names_a_model_that_is_gone_does_not_start(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Laboratory()
    await lab.make(canary())
    monkeypatch.delitem(MODELS, gone)
    with pytest.raises(RequestError) as refused:
        await lab.lifecycle.start("contoso", "canary")
    assert refused.value.param == {"gpt-4o-mini": "on.model", "tuned/mini": "variants[1].model"}[gone]


async def test_a_promoted_prompt_version_gets_the_label_which_can_be_moved_on() -> None:
    lab = Laboratory()
    await lab.run(tone())
    changed = await lab.lifecycle.promote("contoso", "tone", "", "more thumbs", "ann")
    assert lab.prompts.moves == [("contoso", "support", "production", 2, "ann")]
    assert (changed.before.state, changed.after.experiment.state, changed.after.experiment.label_moved) == (RUNNING, PROMOTED, True)
    assert await lab.serving("contoso") == []


async def test_a_winner_that_is_more_than_a_version_goes_on_serving_the_rest() -> None:
    lab = Laboratory()
    await lab.run(tone(variants=[{"id": "a"}, {"id": "b", "version": 2, "model": "tuned/mini"}]))
    await lab.lifecycle.promote("contoso", "tone", "b", "", "ann")
    (experiment,) = await lab.memory.running("contoso")
    assert assign(experiment, "anybody") == Variant("b", 1, model="tuned/mini")


@pytest.mark.parametrize("weight", [5, 95])
async def test_a_promoted_model_goes_to_everybody_until_it_is_stopped(weight: int) -> None:
    lab = Laboratory()
    await lab.run(canary(variants=[{"id": "base", "weight": 95}, {"id": "tuned", "weight": weight, "model": "tuned/mini"}]))
    await lab.lifecycle.promote("contoso", "canary", "tuned", "", "ann")
    (experiment,) = await lab.memory.running("contoso")
    assert {assign(experiment, f"unit-{number}").id for number in range(50)} == {"tuned"}
    assert lab.prompts.moves == []
    await lab.lifecycle.stop("contoso", "canary")
    assert await lab.serving("contoso") == []


async def test_a_tenant_moves_no_label_of_a_shared_prompt() -> None:
    lab = Laboratory()
    await lab.run(tone(), BEN)
    await lab.lifecycle.promote("fabrikam", "tone", "friendly", "", "ben")
    (experiment,) = await lab.memory.running("fabrikam")
    assert (lab.prompts.moves, experiment.owner, assign(experiment, "x").version) == ([], "", 2)


async def test_a_shared_experiment_moves_the_shared_prompts_label() -> None:
    lab = Laboratory()
    await lab.run(tone(), ADMIN)
    await lab.lifecycle.promote("", "tone", "friendly", "", "the-admin")
    assert lab.prompts.moves == [("", "support", "production", 2, "the-admin")]


async def test_a_label_that_could_not_be_moved_leaves_everybody_with_the_winner_and_can_be_moved_again() -> None:
    lab = Laboratory()
    await lab.run(tone())
    lab.prompts.down = True
    with pytest.raises(StoreUnavailable):
        await lab.lifecycle.promote("contoso", "tone", "friendly", "", "ann")
    (experiment,) = await lab.memory.running("contoso")
    assert {assign(experiment, f"unit-{number}").version for number in range(20)} == {2}
    lab.prompts.down = False
    await lab.lifecycle.promote("contoso", "tone", "friendly", "", "ann")
    assert (len(lab.prompts.moves), await lab.serving("contoso")) == (1, [])
    await lab.lifecycle.promote("contoso", "tone", "friendly", "", "ann")
    assert len(lab.prompts.moves) == 1


async def test_a_change_tells_whether_it_ended_the_experiment() -> None:
    lab = Laboratory()
    assert (await lab.lifecycle.promote("contoso", (await lab.run(tone()))["id"], "friendly", "", "ann")).ended
    assert not (await lab.lifecycle.promote("contoso", "tone", "friendly", "", "ann")).ended
    assert not (await lab.lifecycle.stop("contoso", "tone")).ended
    await lab.run(canary())
    assert (await lab.lifecycle.roll_back("contoso", "canary", "")).ended


async def test_a_rolled_back_experiment_keeps_a_control_that_says_something() -> None:
    lab = Laboratory()
    await lab.run(tone(variants=[{"id": "a", "version": 1, "weight": 0}, {"id": "b", "version": 2}]))
    await lab.lifecycle.roll_back("contoso", "tone", "latency_s got worse")
    (experiment,) = await lab.memory.running("contoso")
    assert {assign(experiment, f"unit-{number}").version for number in range(20)} == {1}
    assert experiment.reason == "latency_s got worse"


async def test_what_serves_is_not_deleted() -> None:
    lab = Laboratory()
    await lab.run(canary())
    with pytest.raises(Conflict, match="stop it first"):
        await lab.lifecycle.delete("contoso", "canary")
    await lab.lifecycle.stop("contoso", "canary")
    assert (await lab.lifecycle.delete("contoso", "canary")).id == "canary"
    with pytest.raises(NotFound):
        await lab.store.get("contoso", "canary")


@pytest.mark.parametrize("action", ["start", "stop", "promote", "roll_back", "delete"])
async def test_another_version_than_the_one_that_was_read_is_not_changed(action: str) -> None:
    lab = Laboratory()
    await lab.make(canary())
    more: dict[str, Any] = {"promote": {"winner": "", "reason": "", "who": "ann"}, "roll_back": {"reason": ""}}.get(action, {})
    with pytest.raises(PreconditionFailed):
        await getattr(lab.lifecycle, action)("contoso", "canary", if_match='"other"', **more)
    with pytest.raises(GatewayError) as refused:
        await getattr(lab.lifecycle, action)("fabrikam", "canary", **more)
    assert refused.value.code == "experiment_not_found"
