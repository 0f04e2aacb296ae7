"""Provisioned hours are divided to the micro-dollar, and what nobody used is said to be idle."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.deployment import Capacity, DatedPrice, Price
from gateway.metering.amortise import IDLE, Share, Use, amortise, divided, hour_costs, weight_of
from tests.builders import make_deployment

NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
ONE = NOON + datetime.timedelta(hours=1)
PTU = make_deployment(id="ptu", sku="provisioned", capacity=Capacity(ptu=3), price=Price(0, 0, ptu_hour=1_000_000))


def test_an_hour_costs_its_units_whoever_used_it() -> None:
    plain = make_deployment(id="plain", price=Price(1, 1))
    unsaid = make_deployment(id="unsaid", capacity=Capacity(ptu=5))
    found = hour_costs(
        {each.id: each for each in (PTU, plain, unsaid)}, NOON + datetime.timedelta(minutes=59), ONE + datetime.timedelta(seconds=1)
    )
    assert found == {("ptu", NOON): 3_000_000, ("ptu", ONE): 3_000_000}


def test_an_hour_costs_what_its_day_does() -> None:
    price = Price(0, 0, ptu_hour=2, later=(DatedPrice(datetime.date(2026, 11, 23), Price(0, 0, ptu_hour=5)),))
    deployment = make_deployment(id="d", capacity=Capacity(ptu=10), price=price)
    late = datetime.datetime(2026, 11, 22, 23, tzinfo=datetime.UTC)
    costs = hour_costs({"d": deployment}, late, late + datetime.timedelta(hours=2))
    assert list(costs.values()) == [20, 50]


def test_an_hour_is_shared_by_the_tokens_that_were_worked_on() -> None:
    used = [Use("ptu", NOON, "contoso", 100), Use("ptu", NOON, "fabrikam", 300), Use("ptu", NOON, "contoso", 100)]
    assert amortise(used, {("ptu", NOON): 1000}) == [Share("ptu", NOON, "contoso", 400), Share("ptu", NOON, "fabrikam", 600)]


def test_an_hour_that_nobody_used_is_idle() -> None:
    used = [Use("ptu", NOON, "contoso", 5), Use("ptu", ONE, "contoso", 0)]
    assert amortise(used, {("ptu", NOON): 10, ("ptu", ONE): 10}) == [Share("ptu", NOON, "contoso", 10), Share("ptu", ONE, IDLE, 10)]


def test_uses_of_what_is_not_paid_by_the_hour_are_passed_over() -> None:
    assert amortise([Use("other", NOON, "contoso", 5), Use("ptu", ONE, "contoso", 5)], {("ptu", NOON): 10}) == [
        Share("ptu", NOON, IDLE, 10)
    ]


def test_what_is_left_over_goes_to_the_largest_remainders() -> None:
    assert divided(100, {"a": 1, "b": 1, "c": 1}) == {"a": 34, "b": 33, "c": 33}
    assert divided(10, {"a": 5, "b": 1}) == {"a": 8, "b": 2}  # 8.33 and 1.67


@pytest.mark.parametrize(("tokens", "weight"), [((100, 50, 0), 150), ((100, 50, 80), 70), ((100, 50, 900), 50)])
def test_cached_tokens_weigh_nothing(tokens: tuple[int, int, int], weight: int) -> None:
    assert weight_of(*tokens) == weight


@given(st.integers(0, 10**12), st.dictionaries(st.text(max_size=3), st.integers(1, 10**9), max_size=20))
def test_shares_add_up_exactly_and_nobody_is_off_by_a_micro_dollar_or_more(total: int, weights: dict[str, int]) -> None:
    shares = divided(total, weights)
    assert sum(shares.values()) == total
    whole = sum(weights.values())
    assert all(abs(shares[key] * whole - total * weight) < whole for key, weight in weights.items())
