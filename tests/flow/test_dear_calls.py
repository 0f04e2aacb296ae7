"""A call that may be dear is offered cheaper models or drafted, before anybody is asked (D8, D18)."""

import json

import pytest

from gateway.costcheck import ACCEPT, PLAN
from gateway.domain.access import CallCost
from gateway.domain.catalog import Catalog
from gateway.errors import PaymentRequired
from tests.builders import make_deployment, make_model, make_price, make_product
from tests.flow.street import CHAT, DONE, STREAM, Street, completion, read, streamed

LONG = CHAT | {"max_tokens": 10_000}  # 0.1 dollars at 10 dollars a million


def street_of(rule: CallCost) -> Street:
    large = make_model(make_deployment(id="big", name="big", price=make_price()), id="gpt-4o")
    small = make_model(
        make_deployment(id="mini", name="mini", price=make_price(input=1, output=1)), id="gpt-4o-mini", max_output_tokens=500
    )
    street = Street(Catalog((large, small), (make_product(id="all", models=("*",), call_cost=rule),)))
    street.upstream.does = lambda request: streamed() if json.loads(request.body).get("stream") else completion()
    return street


async def test_a_dear_call_is_refused_before_anybody_is_asked_and_made_once_it_is_agreed_to() -> None:
    street = street_of(CallCost(0.05))
    refusal = await street.refused(LONG)
    assert isinstance(refusal, PaymentRequired)
    assert [offer["model"] for offer in refusal.details["offers"]] == ["gpt-4o-mini"]
    assert street.upstream.requests == []
    record = await street.record()
    assert (record["status"], record["error_code"], record["cost_micro_usd"]) == (402, "cost_confirmation_required", 0)
    answer = await street.call(LONG, headers={ACCEPT: f"{refusal.details['estimated_cost_usd']:f}"})
    assert (answer.headers["x-gateway-model"], PLAN in answer.headers) == ("gpt-4o", False)


async def test_a_call_that_is_cheap_enough_is_not_asked_about() -> None:
    answer = await street_of(CallCost(0.05)).call(CHAT)
    assert answer.headers["x-gateway-model"] == "gpt-4o"


@pytest.mark.parametrize("document", [LONG, LONG | STREAM])
async def test_a_cheaper_model_drafts_within_its_own_ceiling_and_says_how_to_refine(document: dict[str, object]) -> None:
    street = street_of(CallCost(0.05, "draft", "gpt-4o-mini"))
    answer = await street.call(document)
    if answer.stream is not None:
        assert (await read(answer)).endswith(DONE)
    assert answer.headers["x-gateway-model"] == "gpt-4o-mini"
    assert answer.headers[PLAN].startswith("draft; refine=gpt-4o; estimated-cost-usd=0.1")
    assert json.loads(street.upstream.requests[0].body)["max_tokens"] == 500
    assert "drafted" in str((await street.record())["changes"])


async def test_what_a_backends_cache_saved_is_in_the_record() -> None:
    street = street_of(CallCost(1))
    await street.call(CHAT)
    assert (await street.record())["avoided_micro_usd"] == 500  # 400 tokens at 2.50 less 1.25
