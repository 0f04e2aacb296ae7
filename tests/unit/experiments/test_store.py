"""Experiments in the store and in memory: whose they are, one per target, and in effect everywhere within seconds."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from gateway.domain.experiments import ExperimentState, Target
from gateway.domain.management import Asked
from gateway.domain.tables import Write
from gateway.errors import Conflict, GatewayError, NotFound, RequestError, StoreUnavailable
from gateway.experiments.memory import STALE_S, for_model, for_prompt
from gateway.experiments.store import EXPERIMENTS, ExperimentStore, target_row
from tests.unit.experiments.laboratory import ADMIN, BEN, Laboratory, canary, tone


async def test_an_experiment_is_read_as_it_was_written() -> None:
    lab = Laboratory()
    await lab.make(tone(guards=[{"metric": "latency_s", "margin": 0.5}], unit="session", alpha=0.01))
    stored = await lab.store.get("contoso", "tone")
    running = (await lab.lifecycle.start("contoso", "tone")).after
    assert await lab.store.get("contoso", "tone") == running
    assert (stored.experiment.unit, stored.experiment.alpha, stored.etag != running.etag) == ("session", 0.01, True)
    assert await lab.store.serving("contoso") == (running.experiment,)


async def test_what_serves_is_one_row_more_and_what_does_not_is_none() -> None:
    lab = Laboratory()
    await lab.make(tone())
    assert [row.row for row in lab.tables.rows(EXPERIMENTS)] == ["experiment|tone"]
    await lab.lifecycle.start("contoso", "tone")
    assert [row.row for row in lab.tables.rows(EXPERIMENTS)] == ["experiment|tone", "target|prompt|support|production"]
    await lab.lifecycle.stop("contoso", "tone")
    assert [row.row for row in lab.tables.rows(EXPERIMENTS)] == ["experiment|tone"]


@pytest.mark.parametrize("on", [Target(model="tuned/mini"), Target(prompt="support", label="staging")], ids=["model", "prompt"])
def test_a_target_is_a_row_that_table_storage_takes(on: Target) -> None:
    assert "/" not in target_row(on)
    assert target_row(on).split("|")[1] == ("model" if on.model else "prompt")


async def test_a_second_experiment_on_a_target_is_refused_and_told_which_is_there() -> None:
    lab = Laboratory()
    await lab.run(tone())
    await lab.make(tone(id="other"))
    with pytest.raises(Conflict, match="the experiment 'tone' serves the label 'production' of the prompt 'support' already") as refused:
        await lab.lifecycle.start("contoso", "other")
    assert (refused.value.code, refused.value.details) == ("target_in_use", {"experiment": "tone"})
    assert (await lab.store.get("contoso", "other")).experiment.state is ExperimentState.DRAFT
    await lab.lifecycle.stop("contoso", "tone")
    await lab.lifecycle.start("contoso", "other")
    assert await lab.serving("contoso") == ["other"]


async def test_of_two_that_are_started_at_once_on_two_workers_one_runs() -> None:
    lab = Laboratory()
    for name in ("one", "other"):
        await lab.make(canary(id=name))
    starts = [Laboratory(lab).lifecycle.start("contoso", name) for name in ("one", "other")]
    done = await asyncio.gather(*starts, return_exceptions=True)
    assert sorted(each.code if isinstance(each, GatewayError) else "" for each in done) == ["", "target_in_use"]  # type: ignore[union-attr]
    assert len(await lab.store.all_serving()) == 1


async def test_of_two_changes_at_once_one_is_told_of_the_other() -> None:
    lab = Laboratory()
    await lab.run(canary())
    before = await lab.store.get("contoso", "canary")
    await lab.lifecycle.stop("contoso", "canary")
    with pytest.raises(Conflict, match="somebody else"):
        await lab.store.replace(before, msgspec.structs.replace(before.experiment, reason="late"))
    assert await lab.store.serving("contoso") == ()


async def test_tenants_see_their_own_and_the_shared_ones_and_nobody_elses() -> None:
    lab = Laboratory()
    await lab.run(canary(id="own"))
    await lab.run(canary(id="theirs"), BEN)
    await lab.run(canary(id="everybodys"), ADMIN)
    assert await lab.serving("contoso") == ["own", "everybodys"]
    assert await lab.serving("fabrikam") == ["theirs", "everybodys"]
    assert await lab.serving("other") == ["everybodys"]
    with pytest.raises(NotFound):
        await lab.store.get("contoso", "theirs")
    assert sorted(each.id for each in await lab.store.all_serving()) == ["everybodys", "own", "theirs"]


@pytest.mark.parametrize(("tenant", "name"), [("~", "tone"), ("", "tone"), ("contoso", "a/b"), ("a/b", "tone"), ("contoso", "")])
async def test_what_names_no_experiment_finds_none(tenant: str, name: str) -> None:
    lab = Laboratory()
    await lab.make(tone())
    with pytest.raises(NotFound):
        await lab.store.get(tenant, name)


async def test_an_experiment_that_no_row_can_hold_is_refused() -> None:
    lab = Laboratory()
    variants = [{"id": "a"}, {"id": "b", "parameters": {"logit_bias": "\U0001f600" * 16_000}}]
    with pytest.raises(RequestError, match="30000 is the most"):
        await lab.make(canary(variants=variants))


async def test_a_page_more_than_the_store_gives_at_once_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Laboratory()
    for label in ("a", "b", "c"):
        lab.prompts.labels["contoso", "support"][label] = 1
        await lab.run(tone(id=label, on={"prompt": "support", "label": label}))
    query = lab.tables.query
    monkeypatch.setattr(lab.tables, "query", lambda table, **asked: query(table, **asked, limit=2))
    assert [each.id for each in await ExperimentStore(lab.tables).serving("contoso")] == ["a", "b", "c"]


async def test_calls_ask_no_table_while_memory_is_fresh() -> None:
    lab = Laboratory()
    assert lab.memory.fresh("contoso") is None
    await lab.memory.running("contoso")
    calls = lab.tables.calls
    for _ in range(100):
        assert lab.memory.fresh("contoso") == ()
        assert await lab.memory.running("contoso") == ()
    assert lab.tables.calls == calls
    await lab.run(canary(id="shared"), ADMIN)
    assert lab.memory.fresh("contoso") is None
    await lab.memory.running("contoso")
    found = lab.memory.fresh("contoso")
    assert found is not None
    assert [each.id for each in found] == ["shared"]


async def test_a_change_holds_at_once_where_it_was_made_and_within_five_seconds_elsewhere() -> None:
    lab = Laboratory()
    other = Laboratory(lab)
    assert await lab.serving("contoso") == await other.serving("contoso") == []
    await lab.run(tone())
    assert await lab.serving("contoso") == ["tone"]
    assert await other.serving("contoso") == []
    lab.clock.advance(STALE_S + 0.01)
    assert await other.serving("contoso") == ["tone"]
    asked = Asked(ADMIN, {"weights": {"friendly": 50}}, {"tenant": "contoso"})
    await lab.administration.change(asked, "tone")
    lab.clock.advance(STALE_S + 0.01)
    (experiment,) = await other.memory.running("contoso")
    assert [variant.weight for variant in experiment.variants] == [95, 50]


async def test_a_change_whose_outcome_nobody_knows_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Laboratory()
    await lab.run(tone())
    transact = lab.tables.transact

    async def lose_the_answer(table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        await transact(table, partition, writes)
        raise StoreUnavailable("no answer")

    assert await lab.serving("contoso") == ["tone"]
    monkeypatch.setattr(lab.tables, "transact", lose_the_answer)
    with pytest.raises(StoreUnavailable):
        await lab.lifecycle.stop("contoso", "tone")
    assert await lab.serving("contoso") == []


async def test_a_call_finds_its_own_experiment_before_a_shared_one() -> None:
    lab = Laboratory()
    await lab.run(canary(id="shared"), ADMIN)
    await lab.run(tone(id="shared-tone"), ADMIN)
    await lab.run(canary(id="own"))
    found = await lab.memory.running("contoso")
    model = for_model(found, "gpt-4o-mini")
    assert model is not None
    assert model.id == "own"
    assert for_model(found, "mini") is None
    shared = for_prompt(found, "support", "production", "")
    assert shared is not None
    assert shared.id == "shared-tone"


@pytest.mark.parametrize(
    ("name", "wanted", "owner"),
    [("support", "staging", "contoso"), ("support", 1, "contoso"), ("other", "production", "contoso"), ("support", "production", "")],
)
async def test_other_labels_numbers_prompts_and_owners_are_in_no_experiment(name: str, wanted: int | str, owner: str) -> None:
    lab = Laboratory()
    await lab.run(tone())
    found = await lab.memory.running("contoso")
    assert for_prompt(found, "support", "production", "contoso") == found[0]
    assert for_prompt(found, name, wanted, owner) is None


async def test_what_was_changed_since_it_was_read_is_not_deleted() -> None:
    lab = Laboratory()
    await lab.make(tone())
    before = await lab.store.get("contoso", "tone")
    await lab.administration.change(Asked(ADMIN, {"alpha": 0.01}, {"tenant": "contoso"}), "tone")
    with pytest.raises(Conflict):
        await lab.store.delete(before)
    assert (await lab.store.get("contoso", "tone")).experiment.alpha == 0.01
