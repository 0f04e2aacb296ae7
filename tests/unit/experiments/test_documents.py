"""Documents of experiments: what they may say, what they leave unsaid, and how what is wrong is named."""

from typing import Any

import msgspec
import pytest

from gateway.domain.experiments import Experiment, Target
from gateway.errors import Conflict, RequestError
from gateway.experiments.documents import Documents, experiment_shape
from gateway.experiments.lifecycle import started, stopped
from tests.fakes.clock import FakeClock
from tests.unit.experiments.laboratory import MODELS, canary, tone

DOCUMENTS = Documents(MODELS.get, lambda: "salt", FakeClock())
ARMS = [{"id": "a"}, {"id": "b"}]


def read(**more: Any) -> Experiment:
    return DOCUMENTS.new("contoso", tone(**more))


def running(**more: Any) -> Experiment:
    draft = read(**more)
    return started(draft, FakeClock().utc(), "contoso", draft.variants)


def test_a_document_becomes_a_draft_with_a_salt_of_its_own() -> None:
    draft = read()
    assert (draft.tenant, draft.id, draft.state, draft.salt, draft.started_at) == ("contoso", "tone", "draft", "salt", None)
    assert draft.on == Target(prompt="support", label="production")
    assert DOCUMENTS.new("", canary()).on == Target(model="gpt-4o-mini")  # the id behind the alias


@pytest.mark.parametrize(("metric", "better"), [("feedback.thumbs", "higher"), ("cost_usd", "lower"), ("latency_s", "lower")])
def test_a_metric_without_a_direction_has_the_plausible_one(metric: str, better: str) -> None:
    draft = read(goal={"metric": metric}, guards=[{"metric": metric}])
    assert (draft.goal.better, draft.guards[0].better) == (better, better)
    other = "lower" if better == "higher" else "higher"
    named = read(goal={"metric": metric, "better": other}, guards=[{"metric": metric, "better": other}])
    assert (named.goal.better, named.guards[0].better) == (other, other)


def variant(**more: Any) -> dict[str, Any]:
    return {"variants": [{"id": "a"}, {"id": "b"} | more]}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"id": "a/b"}, "id"),
        ({"id": 7}, "id"),
        ({"nonsense": 1}, "nonsense"),
        ({"on": {}}, "on"),
        ({"on": {"prompt": "support", "model": "mini"}}, "on"),
        ({"on": {"model": "nobody"}}, "on.model"),
        ({"on": {"model": "mini", "label": "staging"}}, "on.label"),
        ({"on": {"prompt": "a b"}}, "on.prompt"),
        ({"on": {"prompt": "support", "label": "7"}}, "on.label"),
        ({"on": {"prompt": "support", "label": ""}}, "on.label"),
        ({"on": {"prompt": "support", "version": 7}}, "on.version"),
        ({"variants": [{"id": "a"}]}, "variants"),
        ({"variants": [{"id": f"v{number}"} for number in range(11)]}, "variants"),
        ({"variants": [{"id": "a", "weight": 0}, {"id": "b", "weight": 0}]}, "variants"),
        (variant(id="a"), "variants[1].id"),
        (variant(id=""), "variants[1].id"),
        (variant(weight=-1), "variants[1].weight"),
        (variant(weight=1_000_001), "variants[1].weight"),
        (variant(weight=0.5), "variants[1].weight"),
        (variant(weight=True), "variants[1].weight"),
        (variant(version=0), "variants[1].version"),
        (variant(version="a b"), "variants[1].version"),
        (variant(version=2) | {"on": {"model": "mini"}}, "variants[1].version"),
        (variant(model="nobody"), "variants[1].model"),
        (variant(parameters={"a b": 1}), "variants[1].parameters"),
        (variant(parameters={f"p{number}": 1 for number in range(33)}), "variants[1].parameters"),
        (variant(nonsense=1), "variants[1].nonsense"),
        ({"goal": {}}, "goal.metric"),
        ({"goal": {"metric": "nonsense"}}, "goal.metric"),
        ({"goal": {"metric": "feedback."}}, "goal.metric"),
        ({"goal": {"metric": "feedback.a b"}}, "goal.metric"),
        ({"goal": {"metric": "cost_usd", "better": "cheaper"}}, "goal.better"),
        ({"guards": [{"metric": "nonsense"}]}, "guards[0].metric"),
        ({"guards": [{"metric": "cost_usd", "margin": -1}]}, "guards[0].margin"),
        ({"guards": [{"metric": "cost_usd", "margin": float("inf")}]}, "guards[0].margin"),
        ({"guards": [{"metric": "cost_usd"}] * 11}, "guards"),
        ({"unit": "tenant"}, "unit"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": 0.51}, "alpha"),
        ({"min_units": 0}, "min_units"),
        ({"auto_promote": "yes"}, "auto_promote"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(**more)
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")
    assert param in refused.value.message


@pytest.mark.parametrize("missing", ["id", "on", "variants", "goal"])
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(RequestError) as refused:
        DOCUMENTS.new("contoso", {name: value for name, value in tone().items() if name != missing})
    assert refused.value.param == missing


@pytest.mark.parametrize("name", ["model", "messages", "prompt", "stream", "n", "user", "Model", "previous_response_id"])
def test_parameters_say_nothing_that_a_variant_or_the_call_says_itself(name: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(**variant(parameters={name: 1}))
    assert refused.value.param == f"variants[1].parameters.{name}"


def test_a_draft_takes_any_change_but_of_its_id() -> None:
    draft = read(alpha=0.01, guards=[{"metric": "cost_usd"}])
    assert DOCUMENTS.changed(draft, {"alpha": None, "unit": "session"}) == msgspec.structs.replace(draft, alpha=0.05, unit="session")
    assert DOCUMENTS.changed(draft, {"variants": ARMS}).variants == read(variants=ARMS).variants
    assert [each.weight for each in DOCUMENTS.changed(draft, {"weights": {"control": 1}}).variants] == [1, 5]
    assert DOCUMENTS.changed(draft, {}) == draft
    for document, param in (({"id": "other"}, "id"), ({"goal": None}, "goal"), ({"weights": {}, "variants": ARMS}, "weights")):
        with pytest.raises(RequestError) as refused:
            DOCUMENTS.changed(draft, document)
        assert refused.value.param == param


def test_a_running_one_takes_other_weights_and_auto_promote_alone() -> None:
    now = running()
    assert DOCUMENTS.changed(now, {"auto_promote": True}) == msgspec.structs.replace(now, auto_promote=True)
    changed = DOCUMENTS.changed(now, {"weights": {"friendly": 50}, "auto_promote": True})
    assert ([each.weight for each in changed.variants], changed.auto_promote, len(changed.phases)) == ([95, 50], True, 2)
    assert DOCUMENTS.changed(changed, {"auto_promote": None}).auto_promote is False
    assert DOCUMENTS.changed(changed, {"weights": {"friendly": 60}}).auto_promote is True
    for document in ({"variants": ARMS}, {"alpha": 0.1}, {"unit": "session", "weights": {"friendly": 50}}):
        with pytest.raises(Conflict, match="while it runs, 'weights' and 'auto_promote'") as refused:
            DOCUMENTS.changed(now, document)
        assert refused.value.param in document
    with pytest.raises(RequestError) as wrong:
        DOCUMENTS.changed(now, {"weights": {"friendly": "many"}})
    assert wrong.value.param == "weights.friendly"
    with pytest.raises(Conflict):
        DOCUMENTS.changed(stopped(now, FakeClock().utc(), ""), {"weights": {"friendly": 50}})


@pytest.mark.parametrize("document", [tone(), canary(), tone(guards=[{"metric": "cost_usd", "margin": 0.1}], unit="session", alpha=0.1)])
def test_what_is_shown_can_be_sent_again(document: dict[str, Any]) -> None:
    draft = DOCUMENTS.new("contoso", document)
    shown = msgspec.json.decode(msgspec.json.encode(experiment_shape(draft)))
    again = {name: value for name, value in shown.items() if name in {*document, "guards", "unit", "alpha", "min_units", "auto_promote"}}
    assert DOCUMENTS.new("contoso", again) == draft
    assert "salt" not in shown
    assert "spans" not in shown
