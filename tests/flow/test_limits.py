"""Limits over the whole street: what is reserved, charged and recorded is the same to the token, however a call ends."""

import json
from typing import Any

import pytest

from gateway.domain.call import Operation, Surface
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import PoolMember, Protocol
from gateway.domain.limits import Budget, Limits, Metric, Mode, Quota, TokenQuota
from gateway.domain.policy import Tier, Verifier
from gateway.errors import GatewayError, StoreUnavailable
from tests.builders import make_backend, make_deployment, make_model, make_product
from tests.fakes.upstream import Reply
from tests.flow.street import (
    CHAT,
    COST,
    PRODUCTS,
    STREAM,
    STREAM_STEPS,
    Street,
    completion,
    event,
    failure,
    models,
    priced,
    read,
    streamed,
)

QUOTAS = Limits(
    requests=(Quota("day", 3),),
    tokens=(TokenQuota("month", 100_000), TokenQuota("month", 50_000, count="output")),
    budget_usd=(Budget("day", 1.0),),
)
ANNA, BEN = ({"x-gateway-user": name} for name in ("anna", "ben"))


def street_of(gateway: Limits = Limits(), **product: Any) -> Street:  # noqa: B008 - frozen
    return Street(Catalog(models(), (*PRODUCTS.values(), make_product(id="limited", **product)), limits=gateway))


async def counters(street: Street) -> dict[str, int]:
    """Return what the calendar counters say once all is given back."""
    await street.limiter.close()
    rows = [entity for entity in street.tables.rows("limits") if entity.row.startswith("c|") and "spent" in entity.values]
    assert all(entity.values["out"] == 0 for entity in rows)
    return {entity.row.split("|")[1]: int(str(entity.values["spent"])) for entity in rows}


async def charged(street: Street) -> dict[str, int]:
    """Return what the ledger says that they must say."""
    names = {"requests.day": "requests", "output_tokens.month": "output_tokens", "cost.day": "micro_usd"}
    records = await street.records()

    def total(name: str) -> int:
        return sum(int(str(record[f"charged_{name}"])) for record in records)

    return {name: total(field) for name, field in names.items()} | {"tokens.month": total("input_tokens") + total("output_tokens")}


CUT = streamed(event(), event("Hel"), ConnectionResetError("gone"))
ENDINGS = {
    "answered": (CHAT, completion()),
    "without usage": (CHAT, completion(usage=None)),
    "streamed": (STREAM, streamed()),
    "streamed without usage": (STREAM, streamed(*[step for step in STREAM_STEPS if step is not STREAM_STEPS[4]])),
    "failed": (CHAT, failure(400)),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_counters_say_what_the_ledger_says_however_a_call_ends(ending: str) -> None:
    street = street_of(limits=QUOTAS)
    document, reply = ENDINGS[ending]
    street.upstream.will(reply)
    try:
        answer = await street.call(document | {"max_tokens": 500}, product="limited")
        if answer.stream is not None:
            await read(answer)
    except GatewayError:
        assert ending == "failed"
    in_the_ledger = await charged(street)
    assert await counters(street) == in_the_ledger
    assert in_the_ledger["requests.day"] == (0 if ending == "failed" else 1)


async def test_a_call_is_charged_what_the_provider_reports() -> None:
    street = street_of(limits=QUOTAS)
    street.upstream.will(completion())
    await street.call(product="limited")
    assert await counters(street) == {"requests.day": 1, "tokens.month": 1100, "output_tokens.month": 100, "cost.day": COST}
    record = await street.record()
    assert (record["charged_input_tokens"], record["charged_output_tokens"], record["charged_micro_usd"]) == (1000, 100, COST)
    assert (record["worker"], record["admitted_at"]) == ("worker-1", street.clock.utc())


async def test_a_call_without_limits_is_charged_nothing_and_looks_at_no_counter() -> None:
    street = street_of()
    street.upstream.will(completion())
    await street.call()
    record = await street.record()
    assert (record["charged_requests"], record["charged_input_tokens"], record["worker"]) == (0, 0, "")
    assert street.tables.rows("limits") == []


async def test_a_budget_is_not_crossed_by_what_a_call_may_cost() -> None:
    street = street_of(limits=Limits(budget_usd=(Budget("month", 0.01),)))
    street.upstream.will(completion(), completion())
    error = await street.refused(CHAT | {"max_tokens": 2000}, product="limited")
    assert (error.status, error.code, error.details["limit"]) == (403, "insufficient_quota", "budget_usd.month")
    assert "ask a cheaper model" in error.message
    await street.call(CHAT | {"max_tokens": 500}, product="limited")
    assert (await street.refused(CHAT | {"max_tokens": 900}, product="limited")).code == "insufficient_quota"


def painting(**product: Any) -> Street:
    painter = make_model(priced("painter"), id="painter", capabilities=("images",))
    return Street(Catalog((*models(), painter), (*PRODUCTS.values(), make_product(id="limited", **product))))


IMAGES: dict[str, Any] = {"operation": Operation.IMAGES, "path": "/v1/images/generations", "product": "limited"}
TWO_IMAGES = {"model": "painter", "prompt": "A house", "n": 2}


@pytest.mark.parametrize("limits", [Limits(budget_usd=(Budget("month", 0.15),)), Limits(tokens=(TokenQuota("month", 15_000),))])
async def test_images_that_are_paid_by_the_token_cross_no_limit(limits: Limits) -> None:
    street = painting(limits=limits)
    error = await street.refused(TWO_IMAGES, **IMAGES)
    assert (error.status, error.code) == (403, "insufficient_quota")
    body = {"data": [{"b64_json": "eA=="}], "usage": {"input_tokens": 2, "output_tokens": 1056, "total_tokens": 1058}}
    street.upstream.will(Reply(steps=[json.dumps(body).encode()]))
    await street.call(TWO_IMAGES | {"n": 1}, **IMAGES)
    assert list((await counters(street)).values()) == [10 * 1056 + 2 * 2.5 if limits.budget_usd else 1058]


async def test_passing_a_call_on_to_a_model_is_no_way_around_limits_on_tokens() -> None:
    backend = make_backend(id="aml", protocol=Protocol.AZURE_ML, endpoint="https://aml.contoso.com")
    model = Model(id="aml", pool=(PoolMember(make_deployment(id="aml", backend=backend)),), hidden=True)
    product = make_product(id="limited", limits=Limits(tokens_per_minute=1000))
    street = Street(Catalog((*models(), model), (*PRODUCTS.values(), product)))
    passed: dict[str, Any] = {"operation": Operation.FORWARD, "surface": Surface.AI, "method": "POST", "path_model": "aml"}
    passed |= {"path_rest": "v1/chat/completions", "product": "limited"}
    error = await street.refused(CHAT | {"max_tokens": 1000}, **passed)
    assert error.details["limit"] == "tokens_per_minute"
    street.upstream.will(completion(usage={"prompt_tokens": 8, "completion_tokens": 500}))
    await street.call(CHAT | {"max_tokens": 900}, **passed)
    assert (await street.records())[-1]["charged_output_tokens"] == 500


async def test_every_tier_is_reserved_before_the_first_is_asked() -> None:
    frugal = make_model(priced("dear"), id="frugal", tiers=(Tier("gpt-4o-mini", Verifier(regex="no")),))
    product = make_product(id="limited", limits=Limits(tokens=(TokenQuota("month", 1500),)))
    street = Street(Catalog((*models(), frugal), (*PRODUCTS.values(), product)))
    error = await street.refused(CHAT | {"model": "frugal", "max_tokens": 800}, product="limited")
    assert error.details["limit"] == "tokens.month"
    answered = completion(usage={"prompt_tokens": 8, "completion_tokens": 500})
    street.upstream.will(answered, answered)
    await street.call(CHAT | {"model": "frugal", "max_tokens": 700}, product="limited")
    assert await counters(street) == {"tokens.month": 2 * 508}


async def test_what_has_no_price_is_refused_under_a_budget_and_passes_where_the_budget_only_warns() -> None:
    street = street_of(limits=Limits(budget_usd=(Budget("month", 5.0),)))
    error = await street.refused(CHAT | {"model": "unpriced"}, product="limited")
    assert (error.status, error.code, error.param) == (403, "unpriced_model", "model")
    soft = street_of(limits=Limits(budget_usd=(Budget("month", 5.0),), mode=Mode.SOFT))
    soft.upstream.will(completion())
    await soft.call(CHAT | {"model": "unpriced"}, product="limited")


async def test_users_of_a_subscription_are_limited_each_for_itself() -> None:
    street = street_of(user_limits=Limits(requests=(Quota("day", 1),)))
    street.upstream.will(*[completion() for _ in range(4)])
    await street.call(product="limited", headers=ANNA)
    error = await street.refused(product="limited", headers=ANNA)
    assert error.details == {"scope": "user", "limit": "requests.day"}
    await street.call(product="limited", headers=BEN)
    await street.call(product="limited")
    await street.call(product="limited")


async def test_all_tenants_together_stay_under_the_gateways_limit() -> None:
    street = street_of(Limits(requests_per_minute=2))
    street.upstream.will(completion(), completion())
    await street.call()
    await street.call(product="limited")
    error = await street.refused()
    assert (error.status, error.details) == (429, {"scope": "gateway", "limit": "requests_per_minute"})


async def test_subscriptions_of_a_tenant_share_what_its_product_gives_them_together() -> None:
    street = street_of(shared_limits=Limits(requests_per_minute=2))
    street.upstream.will(completion(), completion())
    keys = [await street.subscribe("limited") for _ in range(3)]
    for key in keys[:2]:
        await street.call(key=key)
    assert (await street.refused(key=keys[2])).details["scope"] == "product"


async def test_a_soft_limit_is_told_in_a_header_and_serves() -> None:
    street = street_of(limits=Limits(requests=(Quota("day", 1),), mode=Mode.SOFT))
    street.upstream.will(completion(), completion())
    assert "x-gateway-limit-warning" not in (await street.call(product="limited")).headers
    assert (await street.call(product="limited")).headers["x-gateway-limit-warning"] == "product:requests.day"


async def test_calls_at_once_are_counted_until_they_end() -> None:
    street = street_of(limits=Limits(concurrency=1))
    street.upstream.will(streamed(), completion())
    answer = await street.call(STREAM, product="limited")
    error = await street.refused(product="limited")
    assert (error.status, error.retry_after_s, error.details["limit"]) == (429, 1.0, "concurrency")
    await read(answer)
    await street.call(product="limited")


async def test_a_failed_call_gets_its_tokens_back() -> None:
    street = street_of(limits=Limits(tokens_per_minute=1000))
    street.upstream.will(failure(400), completion(usage={"prompt_tokens": 1, "completion_tokens": 1}))
    await street.refused(CHAT | {"max_tokens": 900}, product="limited")
    await street.call(CHAT | {"max_tokens": 900}, product="limited")


async def test_while_the_store_is_down_known_callers_are_served_within_an_allowance() -> None:
    street = street_of(limits=Limits(tokens=(TokenQuota("month", 20_000),)))
    street.upstream.will(*[completion() for _ in range(9)])
    await street.call(CHAT | {"max_tokens": 400}, product="limited")
    street.tables.down = True
    served, error = 0, None
    for _ in range(8):
        try:
            await street.call(CHAT | {"max_tokens": 400}, product="limited")
            served += 1
        except StoreUnavailable as exc:
            error = exc
    assert 0 < served < 8
    assert error is not None
    assert "limits of this call cannot be checked" in error.message
    street.tables.down = False
    street.clock.advance(2)
    assert (await counters(street))["tokens.month"] == 1100 * (served + 1)


def test_every_metric_is_asked_for() -> None:
    counted = {ceiling.metric for ceiling in QUOTAS.ceilings("")} | {Metric.CONCURRENCY, Metric.INPUT_TOKENS}
    assert counted == set(Metric)
