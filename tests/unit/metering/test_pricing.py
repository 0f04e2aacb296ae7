import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Usage
from gateway.metering.pricing import cost_micro_usd
from tests.builders import make_price

TOKENS = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(), 0),
        (Usage(prompt_tokens=1_000_000), 2_500_000),
        (Usage(completion_tokens=1_000_000), 10_000_000),
        (Usage(prompt_tokens=1000, cached_tokens=400, completion_tokens=100), 3000),
        (Usage(prompt_tokens=1), 3),  # 2.5, rounded up
        (Usage(prompt_tokens=10, cached_tokens=50), 13),  # no more can be cached than there is
    ],
)
def test_prices_fresh_cached_and_written_tokens(usage: Usage, cost: int) -> None:
    assert cost_micro_usd(usage, make_price()) == cost


def test_without_a_cached_price_cached_tokens_cost_what_others_do() -> None:
    assert cost_micro_usd(Usage(prompt_tokens=100, cached_tokens=100), make_price(cached_input=None)) == 250
    assert cost_micro_usd(Usage(prompt_tokens=100, cached_tokens=100), make_price(cached_input=0)) == 0


def test_without_a_price_the_cost_is_unknown_never_nothing() -> None:
    assert cost_micro_usd(Usage(prompt_tokens=5), None) is None
    assert cost_micro_usd(Usage(), None) is None


@given(TOKENS, TOKENS, TOKENS)
def test_a_cost_is_a_whole_number_never_negative_and_never_too_low(prompt: int, cached: int, completion: int) -> None:
    cost = cost_micro_usd(Usage(prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion), make_price())
    assert isinstance(cost, int)
    assert cost >= 0
    assert cost * 1_000_000 >= completion * make_price().output
