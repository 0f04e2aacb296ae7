"""What usage costs at a price, to the micro-dollar."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Usage
from gateway.domain.deployment import DatedPrice, Price, PriceTier, scaled
from gateway.metering.pricing import avoided_micro_usd, cost_micro_usd
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
    assert cost_micro_usd(Usage(units=1, unit="images"), None) is None


def test_nothing_used_costs_nothing_whatever_the_price() -> None:
    assert cost_micro_usd(Usage(), None) == 0


def test_units_are_priced_and_added_to_the_tokens() -> None:
    price = make_price(unit=1_500_000_000)  # 1,500 dollars per million: the price of 1,000 pages is 1.50
    assert cost_micro_usd(Usage(units=1000, unit="pages"), price) == 1_500_000
    assert cost_micro_usd(Usage(prompt_tokens=1_000_000, units=1, unit="images"), price) == 2_500_000 + 1500
    assert cost_micro_usd(Usage(units=1, unit="pages"), make_price(unit=1)) == 1  # rounded up, as tokens are
    assert cost_micro_usd(Usage(units=7, unit="requests"), make_price(unit=0)) == 0  # free because somebody said so


def test_units_without_a_price_of_their_own_make_the_cost_unknown() -> None:
    assert cost_micro_usd(Usage(units=1, unit="pages"), make_price()) is None
    assert cost_micro_usd(Usage(prompt_tokens=10, units=1, unit="pages"), make_price()) is None
    assert cost_micro_usd(Usage(unit="pages"), make_price()) == 0  # a poll used none of them


@given(TOKENS, TOKENS, TOKENS)
def test_a_cost_is_a_whole_number_never_negative_and_never_too_low(prompt: int, cached: int, completion: int) -> None:
    cost = cost_micro_usd(Usage(prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion), make_price())
    assert isinstance(cost, int)
    assert cost >= 0
    assert cost * 1_000_000 >= completion * make_price().output


PARTS = make_price(cache_write=3_000_000, cache_write_1h=5_000_000, audio_input=40_000_000, audio_output=80_000_000)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(100, 0, cache_write_tokens=100), 300),
        (Usage(100, 0, cache_write_tokens=100, cache_write_1h_tokens=40), 180 + 200),
        (Usage(100, 0, audio_input_tokens=100), 4000),
        (Usage(0, 100, audio_output_tokens=60), 400 + 4800),
        (Usage(100, 0, 50, cache_write_tokens=30, audio_input_tokens=10), 578),  # 62.5 + 90 + 400 + 25
        (Usage(10, 0, 10, cache_write_tokens=10, audio_input_tokens=10), 13),  # a part that is not there is not paid
        (Usage(0, 10, audio_output_tokens=50), 800),
    ],
)
def test_parts_of_the_tokens_have_prices_of_their_own(usage: Usage, cost: int) -> None:
    assert cost_micro_usd(usage, PARTS) == cost


def test_a_part_without_a_price_of_its_own_costs_what_the_others_do() -> None:
    usage = Usage(100, 100, cache_write_tokens=50, cache_write_1h_tokens=20, audio_input_tokens=50, audio_output_tokens=100)
    assert cost_micro_usd(usage, make_price()) == cost_micro_usd(Usage(100, 100), make_price())
    short = make_price(cache_write=3_000_000)
    assert cost_micro_usd(Usage(100, cache_write_tokens=100, cache_write_1h_tokens=100), short) == 300


def test_a_long_prompt_reprices_the_whole_call_from_the_token_after_the_edge() -> None:
    price = Price(1_000_000, 2_000_000, tiers=(PriceTier(100, Price(10_000_000, 20_000_000)), PriceTier(200, Price(100_000_000, 0))))
    assert [cost_micro_usd(Usage(prompt, 10), price) for prompt in (100, 101, 200, 201)] == [120, 1210, 2200, 20_100]
    cached = Price(1_000_000, 0, 0, tiers=(PriceTier(100, Price(10_000_000, 0, 2_000_000)),))
    assert avoided_micro_usd(Usage(200, 0, 150), cached) == 1200


def test_units_are_priced_by_their_kind() -> None:
    price = Price(0, 0, unit=7_000_000, units=(("images", 40_000_000_000), ("pages", 1_500_000_000)))
    found = [cost_micro_usd(Usage(units=2, unit=unit), price) for unit in ("images", "pages", "seconds")]
    assert found == [80_000, 3000, 14]


@pytest.mark.parametrize("unit", ["images", "characters", "seconds"])
def test_what_stands_beside_tokens_that_are_paid_is_not_paid_again(unit: str) -> None:
    assert cost_micro_usd(Usage(1000, 0, units=5, unit=unit), make_price()) == 2500
    assert cost_micro_usd(Usage(1000, 0, units=5, unit=unit), make_price(unit=1_000_000)) == 2505
    assert cost_micro_usd(Usage(units=5, unit=unit), make_price()) is None


def test_tokens_of_what_is_paid_by_the_unit_have_no_price() -> None:
    by_unit = Price(0, 0, unit=1_000_000)
    assert cost_micro_usd(Usage(10, 10), by_unit) is None
    assert cost_micro_usd(Usage(10, 10, units=1, unit="images"), by_unit) == 1
    assert cost_micro_usd(Usage(10, 10), Price(0, 0)) == 0  # free, because somebody said so


def test_a_price_holds_from_midnight_of_its_day_in_utc() -> None:
    price = Price(1, 1, later=(DatedPrice(datetime.date(2026, 12, 1), Price(2, 2)), DatedPrice(datetime.date(2027, 1, 1), Price(3, 3))))
    new_york = datetime.timezone(datetime.timedelta(hours=-5))
    moments = [
        datetime.datetime(2026, 11, 30, 23, 59, 59, 999_999, datetime.UTC),
        datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC),
        datetime.datetime(2026, 11, 30, 19, tzinfo=new_york),
        datetime.datetime(2027, 3, 1, tzinfo=datetime.UTC),
    ]
    assert [price.at(moment).input for moment in moments] == [1, 2, 2, 3]


def test_a_cache_saves_nothing_where_nothing_is_known() -> None:
    assert avoided_micro_usd(Usage(100, 0, 100), None) == 0
    assert avoided_micro_usd(Usage(100, 0, 100), make_price(cached_input=None)) == 0
    assert avoided_micro_usd(Usage(100, 0, 100), make_price(cached_input=9_000_000)) == 0  # it cost more
    assert avoided_micro_usd(Usage(100, 0, 900), make_price()) == 125


USAGES = st.builds(
    Usage, TOKENS, TOKENS, TOKENS, audio_input_tokens=TOKENS, audio_output_tokens=TOKENS,
    cache_write_tokens=TOKENS, cache_write_1h_tokens=TOKENS,
)  # fmt: skip


@given(USAGES)
def test_whatever_the_parts_are_said_to_be_the_cost_lies_between_the_cheapest_and_the_dearest(usage: Usage) -> None:
    cost = cost_micro_usd(usage, PARTS)
    assert cost is not None
    assert usage.prompt_tokens * 1_250_000 + usage.completion_tokens * 10_000_000 <= cost * 1_000_000
    assert (cost - 1) * 1_000_000 < usage.prompt_tokens * 40_000_000 + usage.completion_tokens * 80_000_000 or cost == 0


@given(st.integers(0, 10**9), st.integers(1, 999_999))
def test_a_share_of_a_price_is_that_share_of_each_part_and_never_too_low(value: int, share: int) -> None:
    whole = (value, value, value, value, value, value, value, value)
    day = datetime.date(2027, 1, 1)
    price = Price(*whole, (("images", value),), (PriceTier(1, Price(value, value)),), (DatedPrice(day, Price(value, value)),), value)
    part = -(-value * share // 1_000_000)
    later = (DatedPrice(day, Price(part, part)),)
    parts = (part, part, part, part, part, part, part, part)
    assert scaled(price, share) == Price(*parts, (("images", part),), (PriceTier(1, Price(part, part)),), later, part)
