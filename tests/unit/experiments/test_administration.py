"""Experiments at /manage: who reaches which, ETags, and what is shown."""

from typing import Any

import pytest

from gateway.domain.access import Principal
from gateway.domain.management import Asked
from gateway.errors import Conflict, GatewayError, NotFound, PermissionDenied, PreconditionFailed, RequestError
from gateway.experiments import administration as module
from tests.unit.experiments.laboratory import ADMIN, ANN, BEN, Laboratory, canary, tone

OPERATIONS = ("read", "change", "delete", "start", "stop", "promote", "roll_back", "results")


def asked(principal: Principal = ANN, document: Any = None, if_match: str = "", **query: str) -> Asked:
    return Asked(principal, document or {}, query, if_match)


async def test_an_experiments_life() -> None:
    lab = Laboratory()
    administration = lab.administration
    made = await administration.create(asked(document=tone()))
    assert (made.value["state"], made.value["serves"], made.value["tenant"]) == ("draft", False, "contoso")
    assert made.etag == (await administration.read(asked(), "tone")).etag
    running = await administration.start(asked(if_match=made.etag), "tone")
    assert (running.before["state"], running.value["state"], running.value["serves"]) == ("draft", "running", True)
    ramped = await administration.change(asked(document={"weights": {"friendly": 50}}, if_match=running.etag), "tone")
    assert [each["weight"] for each in ramped.value["variants"]] == [95, 50]
    assert [dict(each.weights)["friendly"] for each in ramped.value["phases"]] == [5, 50]
    ended = await administration.promote(asked(document={"reason": "liked"}), "tone")
    assert (ended.value["state"], ended.value["winner"], ended.value["reason"]) == ("promoted", "friendly", "liked")
    assert lab.prompts.moves == [("contoso", "support", "production", 2, "ann")]
    assert (await administration.results(asked(), "tone")) == {"of": "tone", "tenant": "contoso"}
    gone = await administration.delete(asked(if_match=ended.etag), "tone")
    assert (gone.status, gone.value, gone.before["state"]) == (204, None, "promoted")
    assert (await administration.list(asked()))["data"] == []


@pytest.mark.parametrize("name", OPERATIONS)
async def test_another_tenants_experiment_is_as_if_it_were_not_there(name: str) -> None:
    lab = Laboratory()
    await lab.run(tone(), ANN)
    before = dict(lab.tables.data)
    with pytest.raises(NotFound) as refused:
        await getattr(lab.administration, name)(asked(BEN), "tone")
    assert refused.value.code == "experiment_not_found"
    with pytest.raises(PermissionDenied):
        await getattr(lab.administration, name)(asked(BEN, tenant="contoso"), "tone")
    assert lab.tables.data == before


async def test_shared_ones_are_for_administrators_of_the_gateway() -> None:
    lab = Laboratory()
    await lab.make(tone(), ADMIN)
    await lab.make(tone(), ANN)
    shown = [(await lab.administration.read(each, "tone")).value["tenant"] for each in (asked(ADMIN), asked(ADMIN, tenant="contoso"))]
    assert shown == [None, "contoso"]
    for principal, tenants in ((ADMIN, [None]), (ANN, ["contoso"]), (BEN, [])):
        listed = await lab.administration.list(asked(principal))
        assert [each["tenant"] for each in listed["data"]] == tenants
    with pytest.raises(RequestError) as refused:
        await lab.administration.list(asked(ADMIN, tenant="~"))
    assert refused.value.param == "tenant"
    with pytest.raises(NotFound) as unknown:
        await lab.make(tone(), ADMIN, tenant="nobody")
    assert (unknown.value.param, unknown.value.code) == ("tenant", "tenant_not_found")


async def test_lists_come_in_pages() -> None:
    lab = Laboratory()
    for name in ("a", "b", "c"):
        await lab.make(canary(id=name))
    first = await lab.administration.list(asked(limit="2"))
    rest = await lab.administration.list(asked(limit="2", after=first["after"]))
    assert [each["id"] for each in (*first["data"], *rest["data"])] == ["a", "b", "c"]
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_an_id_is_taken_once_and_there_are_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Laboratory()
    await lab.make(tone())
    with pytest.raises(Conflict, match="choose another id") as refused:
        await lab.make(tone())
    assert refused.value.param == "id"
    await lab.make(tone(), BEN)
    monkeypatch.setattr(module, "MAX_EXPERIMENTS", 1)
    with pytest.raises(Conflict, match="delete some"):
        await lab.make(tone(id="second"))


@pytest.mark.parametrize("name", ["change", "delete", "start"])
async def test_an_etag_that_is_old_changes_nothing(name: str) -> None:
    lab = Laboratory()
    etag = (await lab.administration.create(asked(document=tone()))).etag
    await lab.administration.change(asked(document={"alpha": 0.01}, if_match=etag), "tone")
    before = dict(lab.tables.data)
    with pytest.raises(PreconditionFailed):
        await getattr(lab.administration, name)(asked(document={"alpha": 0.02}, if_match=etag), "tone")
    assert lab.tables.data == before


@pytest.mark.parametrize("name", ["stop", "promote", "roll_back"])
async def test_an_ending_takes_its_reason_and_nothing_unknown(name: str) -> None:
    lab = Laboratory()
    await lab.run(canary())
    with pytest.raises(RequestError) as refused:
        await getattr(lab.administration, name)(asked(document={"because": "so"}), "canary")
    assert refused.value.param == "because"
    told = await getattr(lab.administration, name)(asked(document={"reason": "so"}), "canary")
    assert told.value["reason"] == "so"


async def test_a_store_that_does_not_answer_is_no_experiment_that_is_not_there() -> None:
    lab = Laboratory()
    lab.tables.down = True
    for name in OPERATIONS:
        with pytest.raises(GatewayError) as refused:
            await getattr(lab.administration, name)(asked(), "tone")
        assert refused.value.code == "store_unavailable"
