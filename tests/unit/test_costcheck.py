"""Dear calls are passed, offered or drafted, as the product says and the caller agrees."""

import datetime
from typing import Any

import pytest

from gateway.costcheck import ACCEPT, Draft, check, planned
from gateway.domain.access import CallCost
from gateway.domain.amounts import Amounts
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import Price
from gateway.domain.labels import Labels
from gateway.domain.request import Request
from gateway.errors import PaymentRequired, RequestError
from gateway.metering.offers import Offer
from tests.builders import make_call, make_deployment, make_model, make_principal, make_product

ASK = CallCost(over_usd=0.10)
DRAFT = CallCost(over_usd=0.10, then="draft", draft_model="small")
OFFERS = (Offer("mini", 1500), Offer("middle", 90_000))


def verdict(call_cost: CallCost | None, estimate: int | None, accept: str | None = None, model: str = "large") -> Draft | None:
    return check(call_cost, {} if accept is None else {ACCEPT: accept}, model, estimate, lambda: OFFERS)


def unasked() -> tuple[Offer, ...]:
    raise AssertionError("nobody is to look for cheaper models")


@pytest.mark.parametrize("estimate", [0, 100_000, None])
def test_what_costs_no_more_than_allowed_or_nobody_knows_what_passes(estimate: int | None) -> None:
    assert check(ASK, {}, "large", estimate, unasked) is None
    assert check(DRAFT, {}, "large", estimate, unasked) is None


def test_without_a_limit_everything_passes_and_the_header_is_not_read() -> None:
    assert check(None, {ACCEPT: "nonsense"}, "large", 10**12, unasked) is None


def test_a_dear_call_is_refused_with_what_it_costs_and_who_does_it_for_less() -> None:
    with pytest.raises(PaymentRequired) as caught:
        verdict(ASK, 100_001)
    error = caught.value
    assert (error.status, error.code) == (402, "cost_confirmation_required")
    assert error.details == {
        "estimated_cost_usd": 0.100001,
        "over_usd": 0.10,
        "offers": [{"model": "mini", "estimated_cost_usd": 0.0015}, {"model": "middle", "estimated_cost_usd": 0.09}],
    }
    assert f"'{ACCEPT}: 0.100001'" in error.message
    assert "'mini'" in error.message


def test_what_the_refusal_says_to_send_is_accepted() -> None:
    with pytest.raises(PaymentRequired) as caught:
        verdict(ASK, 123_457)
    amount = caught.value.message.partition(f"{ACCEPT}: ")[2].partition("'")[0]
    assert verdict(ASK, 123_457, amount) is None


@pytest.mark.parametrize(("accept", "passes"), [("0.20", True), (" 0.2 ", True), ("1e0", True), ("0.199999", False), ("0", False)])
def test_a_caller_that_agrees_to_the_estimate_or_more_has_its_call_made(accept: str, passes: bool) -> None:
    if passes:
        assert verdict(ASK, 200_000, accept) is None
        assert verdict(DRAFT, 200_000, accept) is None
    else:
        with pytest.raises(PaymentRequired):
            verdict(ASK, 200_000, accept)


@pytest.mark.parametrize("accept", ["", "much", "-1", "nan", "inf", "1,5", "0x10", "1" * 40, "1e99", "$2"])
@pytest.mark.parametrize("estimate", [1, 200_000])
def test_an_amount_that_is_none_is_refused_by_name_even_where_it_is_not_needed(accept: str, estimate: int) -> None:
    with pytest.raises(RequestError) as caught:
        verdict(ASK, estimate, accept)
    assert caught.value.param == ACCEPT


def test_a_cheaper_model_drafts_and_the_header_says_how_to_have_it_refined() -> None:
    assert check(DRAFT, {}, "large", 250_000, unasked) == Draft("small", "draft; refine=large; estimated-cost-usd=0.250000")


def test_a_draft_model_that_is_dear_itself_is_offered_others() -> None:
    with pytest.raises(PaymentRequired):
        verdict(DRAFT, 250_000, model="small")


def test_without_cheaper_models_the_refusal_names_none() -> None:
    with pytest.raises(PaymentRequired) as caught:
        check(ASK, {}, "large", 200_000, lambda: ())
    assert caught.value.details["offers"] == []
    assert "cheaper" not in caught.value.message


NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


def model(name: str, price: int, *capabilities: str, **over: Any) -> Model:
    return make_model(make_deployment(id=name, price=Price(price, price)), id=name, capabilities=capabilities or ("chat", "vision"), **over)


LARGE, SMALL = model("large", 10_000_000), model("small", 100_000, max_output_tokens=50)
BLIND, LOCKED = model("blind", 1, "chat"), model("locked", 2)
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}
SEES = {"model": "large", "max_tokens": 100, "messages": [{"role": "user", "content": [PICTURE]}]}


def plan(rule: CallCost | None, headers: dict[str, str] | None = None, prompt: int = 100_000, **over: Any) -> tuple[Request, str]:
    product = make_product(models=("*",), call_cost=rule)
    principal = make_principal(models=("large", "small", "blind"))
    call = make_call(SEES, max_output_tokens=100, **over)
    request = Request(call, LARGE, Catalog((LARGE, SMALL, BLIND, LOCKED), (product,)), principal, Labels(), 0.0)
    return planned(request, product, headers or {}, Amounts(1, prompt, 100), 0, NOW)


PASSING = [(None, {}, 10**9), (ASK, {}, 100), (ASK, {ACCEPT: "1.01"}, 100_000), (DRAFT, {ACCEPT: "1.01"}, 100_000)]


@pytest.mark.parametrize(("rule", "headers", "prompt"), PASSING)
def test_a_call_that_passes_is_made_as_it_was_asked(rule: CallCost | None, headers: dict[str, str], prompt: int) -> None:
    request, said = plan(rule, headers, prompt)
    assert (request.model, request.call.body, said) == (LARGE, make_call(SEES).body, "")


def test_offers_are_models_that_the_caller_may_ask_and_that_can_do_it() -> None:
    with pytest.raises(PaymentRequired) as caught:
        plan(ASK)
    assert caught.value.details["offers"] == [{"model": "small", "estimated_cost_usd": 0.01001}]


def test_a_draft_goes_to_the_draft_model_within_its_own_ceiling() -> None:
    request, said = plan(DRAFT)
    assert (request.model, request.call.max_output_tokens, request.call.document["max_tokens"]) == (SMALL, 50, 50)
    assert said == "draft; refine=large; estimated-cost-usd=1.001000"


@pytest.mark.parametrize(
    ("rule", "over"),
    [
        (CallCost(0.1, "draft", "blind"), {}),
        (CallCost(0.1, "draft", "gone"), {}),
        (DRAFT, {"pinned": "large"}),
    ],
)
def test_where_the_draft_model_cannot_answer_the_caller_is_asked(rule: CallCost, over: dict[str, Any]) -> None:
    with pytest.raises(PaymentRequired):
        plan(rule, **over)
