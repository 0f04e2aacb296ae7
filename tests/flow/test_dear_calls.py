"""A call that may be dear, over the whole street: nothing is spent before its caller has agreed."""

from typing import Any

from gateway.domain.access import CallCost
from gateway.domain.catalog import Catalog
from tests.builders import make_product
from tests.flow.street import CHAT, PRODUCTS, Street, completion, models

LONG = CHAT | {"max_tokens": 100_000}  # a dollar at most


def street_of(**call_cost: Any) -> Street:
    careful = make_product(id="careful", call_cost=CallCost(over_usd=0.5, **call_cost))
    return Street(Catalog(models(), (*PRODUCTS.values(), careful)))


async def test_a_dear_call_is_offered_back_and_made_once_its_cost_is_accepted() -> None:
    street = street_of()
    street.upstream.will(completion(), completion())
    error = await street.refused(LONG, product="careful")
    assert (error.status, error.code) == (402, "cost_confirmation_required")
    assert street.upstream.requests == []
    accepted = {"x-gateway-accept-cost-usd": str(error.details["estimated_cost_usd"])}
    assert (await street.call(LONG, product="careful", headers=accepted)).status == 200
    assert (await street.call(CHAT | {"max_tokens": 10}, product="careful")).status == 200


async def test_a_dear_call_may_be_drafted_by_a_cheaper_model_and_says_how_to_have_it_refined() -> None:
    street = street_of(then="draft", draft_model="gpt-4o-mini")
    street.upstream.will(completion())
    answer = await street.call(LONG, product="careful")
    assert answer.headers["x-gateway-model"] == "gpt-4o-mini"
    assert answer.headers["x-gateway-cost-plan"].startswith("draft; refine=gpt-4o; estimated-cost-usd=1.0")
    assert street.upstream.deployments == ["mini"]
