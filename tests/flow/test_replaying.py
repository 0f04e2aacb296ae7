"""Captured calls, run again: what changed, what could not be run, and that nothing of it is the tenant's."""

import json

import pytest

from gateway.domain.access import Role
from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Protocol
from gateway.domain.guardrails import Action, Pii, Terms
from gateway.errors import PermissionDenied, RequestError
from gateway.replaying import REPLAY_TENANT
from tests.builders import make_backend, make_deployment, make_model, make_price, make_product
from tests.flow.replayed import Recording, captured_catalog
from tests.flow.street import CHAT, COST, STREAM, completion, failure, models, read, streamed

BLOCK = Terms(id="no-hello", terms=("hello",), action=Action.BLOCK)
MASK = Pii(id="mask")
CLAUDE = make_backend(id="claude", protocol=Protocol.ANTHROPIC, endpoint="https://claude.example")
OTHER = """
version: 1
backends:
  - {id: aoai-eastus, protocol: azure-openai, endpoint: "${env:ENDPOINT}", auth: {type: api-key, key: "${env:SECRET}"}}
deployments:
  - {id: cheap, backend: aoai-eastus, name: cheap, price: {input: 1.0, output: 4.0}}
models:
  - {id: gpt-4o, pool: [{deployment: cheap}]}
"""


async def street_with(*documents: object, catalog: Catalog | None = None) -> Recording:
    street = Recording(catalog)
    for document in documents:
        if isinstance(document, dict) and document.get("stream"):
            street.upstream.will(streamed())
            await read(await street.call(document))
        else:
            street.upstream.will(completion())
            await street.call(document)
    return street


async def test_the_same_street_says_the_same_again_and_asks_nobody() -> None:
    street = await street_with(CHAT, STREAM)
    asked = len(street.upstream.requests)
    report = await street.replay()
    assert (report["replayed"], report["not_replayed"], report["remaining"]) == (2, [], False)
    assert [row["changed"] for row in report["data"]] == [[], []]
    assert [row["text_similarity"] for row in report["data"]] == [1.0, 1.0]
    assert report["sums"]["before"]["cost_micro_usd"] == report["sums"]["after"]["cost_micro_usd"] == 2 * COST
    assert len(street.upstream.requests) == asked


async def test_guardrails_can_be_tried_on_what_was_asked_before_they_hold() -> None:
    street = await street_with(CHAT, catalog=captured_catalog(unused=(BLOCK,)))
    report = await street.replay(**{"with": {"guardrails": ["no-hello"]}})
    (row,) = report["data"]
    assert (row["before"]["status"], row["after"]["status"], row["after"]["error_code"]) == (200, 400, "guardrail_blocked")
    assert row["verdicts"][0]["before"] is None
    assert row["verdicts"][0]["after"]["outcome"] == "blocked"
    assert report["sums"]["verdicts"] == [{"guard": "no-hello", "direction": "messages", "before": None, "after": "blocked", "calls": 1}]
    assert report["sums"]["changed"]["verdicts"] == 1


async def test_a_call_that_a_guardrail_blocked_then_is_run_without_it_as_far_as_it_was_recorded() -> None:
    street = Recording(captured_catalog(BLOCK))
    await street.refused(CHAT)
    (row,) = (await street.replay())["data"]
    assert (row["changed"], row["after"]["status"]) == ([], 400)
    report = await street.replay(**{"with": {"guardrails": []}})
    assert [each["code"] for each in report["not_replayed"]] == ["not_recorded"]


async def test_another_catalogue_shows_where_calls_would_go_and_what_they_would_cost() -> None:
    street = await street_with(CHAT)
    (row,) = (await street.replay(**{"with": {"catalog": OTHER}}))["data"]
    assert (row["before"]["deployment"], row["after"]["deployment"]) == ("east", "cheap")
    assert row["after"]["cost_micro_usd"] == 1000 * 1.0 + 100 * 4.0
    assert row["text_similarity"] == 1.0


@pytest.mark.parametrize("document", [CHAT, STREAM], ids=["whole", "stream"])
async def test_an_answer_in_one_protocol_is_read_again_behind_a_backend_of_another(document: dict[str, object]) -> None:
    street = await street_with(document)
    claude = make_deployment(id="claude", name="claude", backend=CLAUDE, price=make_price())
    street.catalog = Catalog((make_model(claude),), (make_product(id="all"),))
    (row,) = (await street.replay())["data"]
    assert (row["after"]["deployment"], row["after"]["status"], row["text_similarity"]) == ("claude", 200, 1.0)


async def test_nothing_of_a_dry_replay_is_in_the_ledger_the_limits_or_the_captures() -> None:
    street = await street_with(CHAT)
    records, kept, data = await street.records(), len(await street.kept()), dict(street.tables.data)
    await street.replay()
    assert await street.records() == records
    assert len(await street.kept()) == kept
    assert street.tables.data == data
    street.upstream.will(completion())
    assert (await street.call(CHAT)).headers["x-gateway-deployment"] == "east"


async def test_a_live_replay_asks_deployments_within_its_money_and_its_cost_is_nobodys_of_the_tenants() -> None:
    street = await street_with(CHAT, CHAT, CHAT)
    street.upstream.will(completion("Something else"), completion("Hi!"))
    report = await street.replay(mode="live", max_cost_usd=1.5 * COST / 1_000_000)
    assert (report["replayed"], report["remaining"], report["cost_usd"]) == (2, True, 2 * COST / 1_000_000)
    assert [row["changed"] for row in report["data"]] == [["text"], []]
    mine = [each for each in await street.records() if each["tenant"] == REPLAY_TENANT]
    assert [(each["product"], each["key_id"], each["cost_micro_usd"]) for each in mine] == [("replay", "administrator", COST)] * 2
    street.upstream.will(completion())
    following = await street.replay(mode="live", max_cost_usd=1, after=report["after"])
    assert (following["replayed"], following["remaining"]) == (1, False)


async def test_a_live_replay_says_how_much_it_may_cost() -> None:
    with pytest.raises(RequestError) as refused:
        await (await street_with(CHAT)).replay(mode="live")
    assert refused.value.param == "max_cost_usd"


async def test_failures_of_a_backend_are_run_again_as_they_were() -> None:
    street = Recording()
    street.upstream.will(failure(400, "bad"))
    await street.refused(CHAT)
    (row,) = (await street.replay())["data"]
    assert (row["changed"], row["after"]["status"]) == ([], 400)


async def test_a_live_catalogue_leads_to_no_backend_that_does_not_serve() -> None:
    street = await street_with(CHAT)
    foreign = OTHER.replace("aoai-eastus", "elsewhere")
    with pytest.raises(RequestError, match="running catalogue") as refused:
        await street.replay(mode="live", max_cost_usd=1, **{"with": {"catalog": foreign}})
    assert refused.value.param == "with.catalog"
    street.upstream.will(completion())
    await street.replay(mode="live", max_cost_usd=1, **{"with": {"catalog": OTHER}})
    assert street.upstream.requests[-1].backend == street.catalog.deployments["east"].backend


async def test_a_setting_cannot_be_read_by_way_of_a_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSH", "hush-hush")
    street = await street_with(CHAT)
    for text in (OTHER.replace("id: cheap", 'id: "${env:HUSH}"').replace("deployment: cheap", 'deployment: "${env:HUSH}"'), "version: 7"):
        with pytest.raises(RequestError) as refused:
            await street.replay(**{"with": {"catalog": text}})
        assert refused.value.param == "with.catalog"
        assert "hush-hush" not in refused.value.message


@pytest.mark.parametrize(
    "document",
    [{"mode": "live", "max_cost_usd": 1}, {"with": {"catalog": OTHER}}, {"tenant": "another"}],
    ids=["live", "catalog", "tenant"],
)
async def test_a_tenants_administrator_replays_its_own_calls_without_asking_anybody(document: dict[str, object]) -> None:
    street = await street_with(CHAT)
    own = frozenset({Role.TENANT_ADMIN})
    assert (await street.replay(own))["replayed"] == 1
    with pytest.raises(PermissionDenied):
        await street.replay(own, **document)


async def test_another_tenants_calls_are_not_found() -> None:
    street = await street_with(CHAT)
    assert (await street.replay(tenant="contoso"))["data"] == []


async def test_the_rest_follows_after_the_last_that_was_run() -> None:
    street = await street_with(CHAT, CHAT, CHAT)
    first = await street.replay(limit=2)
    second = await street.replay(limit=2, after=first["after"])
    assert (first["remaining"], second["remaining"], second["after"]) == (True, False, None)
    assert [row["request_id"] for row in first["data"] + second["data"]] == [each.request_id for each in await street.kept()]
    wanted = second["data"][0]["request_id"]
    assert [row["request_id"] for row in (await street.replay(request_ids=[wanted]))["data"]] == [wanted]


async def test_a_replay_shows_no_text_of_what_was_asked_or_answered() -> None:
    street = await street_with(CHAT, catalog=captured_catalog(MASK, unused=(BLOCK,)))
    shown = json.dumps(await street.replay(**{"with": {"guardrails": ["mask", "no-hello"]}}))
    assert "Hi!" not in shown
    assert "Hello" not in shown


async def test_a_guardrail_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        await (await street_with(CHAT)).replay(**{"with": {"guardrails": ["nobody"]}})
    assert refused.value.param == "with.guardrails"


async def test_another_model_is_asked_in_its_place() -> None:
    street = await street_with(CHAT, catalog=captured_catalog(models=models()))
    (row,) = (await street.replay(**{"with": {"model": "gpt-4o-mini"}}))["data"]
    assert (row["before"]["model"], row["after"]["model"], row["after"]["deployment"]) == ("gpt-4o", "gpt-4o-mini", "mini")
