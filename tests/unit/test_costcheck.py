"""Dear calls are passed, offered or drafted, as the product says and the caller agrees."""

import pytest

from gateway.costcheck import ACCEPT, Draft, check
from gateway.domain.access import CallCost
from gateway.errors import PaymentRequired, RequestError
from gateway.metering.estimate import Offer

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
