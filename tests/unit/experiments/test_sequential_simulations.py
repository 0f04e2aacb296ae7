"""Looked at after every batch, equal arms are found to differ in 5 % of 1,000 experiments at most, and what differs is found."""

import random

import pytest

from gateway.experiments.sequential import Arm, compare, worse
from tests.unit.experiments.simulations import any_differs, clustered, looks_of, skewed, yes_or_no

ALPHA, RUNS, LOOKS = 0.05, 1000, 50
HALVES = (100, 100)  # units of each arm between two looks: 5,000 in the end


def degraded(arms: list[Arm]) -> bool:
    return worse(arms[0], arms[1], higher_is_worse=True, margin=0.0) <= ALPHA


@pytest.mark.parametrize("share", [0.1, 0.01])
def test_equal_rates_are_found_to_differ_in_at_most_a_twentieth_of_the_experiments(share: float) -> None:
    found = looks_of(RUNS, yes_or_no(share, share), HALVES, LOOKS, any_differs(ALPHA))
    assert len(found) <= 0.05 * RUNS


def test_a_fixed_test_that_is_looked_at_as_often_finds_many_more() -> None:
    def fixed(arms: list[Arm]) -> bool:
        one, other = arms[0].now, arms[1].now
        variance = one.variance / one.n + other.variance / other.n
        return (one.mean - other.mean) ** 2 > 1.96**2 * variance > 0

    assert len(looks_of(300, yes_or_no(0.1, 0.1), HALVES, LOOKS, fixed)) > 0.2 * 300


def test_neither_three_equal_arms_nor_skewed_costs_break_the_promise() -> None:
    three = looks_of(RUNS, yes_or_no(0.1, 0.1, 0.1), (100, 100, 100), LOOKS, any_differs(ALPHA))
    costs = looks_of(RUNS, skewed(100), HALVES, LOOKS, any_differs(ALPHA))
    assert max(len(three), len(costs)) <= 0.05 * RUNS


def test_a_conversion_of_13_instead_of_10_percent_is_found_within_5000_units_in_four_of_five_experiments() -> None:
    found = looks_of(300, yes_or_no(0.1, 0.13), HALVES, LOOKS, any_differs(ALPHA))
    assert len(found) >= 0.8 * 300


@pytest.mark.parametrize("alike", [0.0, 0.4])
def test_users_with_many_calls_do_not_make_differences(alike: float) -> None:
    chance = random.Random(11)
    found = sum(clustered(chance, users=100, grow=5, looks=25, alike=alike) for _ in range(100))
    assert found <= 0.05 * 100


def test_users_with_many_calls_do_not_hide_differences() -> None:
    chance = random.Random(11)
    found = sum(clustered(chance, users=300, grow=20, looks=15, alike=0.3, effect=0.5) for _ in range(20))
    assert found >= 0.8 * 20


@pytest.mark.parametrize("batches", [(100, 100), (380, 20)], ids=["halves", "canary"])
def test_a_canary_without_fault_is_rolled_back_in_at_most_a_twentieth_of_the_experiments(batches: tuple[int, int]) -> None:
    for share in (0.1, 0.01):
        assert len(looks_of(RUNS // 2, yes_or_no(share, share), batches, LOOKS, degraded)) <= 0.05 * RUNS // 2


def test_errors_of_5_instead_of_1_percent_are_found_within_800_units_of_a_canary() -> None:
    found = looks_of(200, yes_or_no(0.01, 0.05), (380, 20), 40, degraded)
    assert len(found) >= 0.8 * 200


def test_the_first_look_at_or_below_alpha_is_rare_for_every_alpha() -> None:
    for alpha in (0.01, 0.2):
        found = looks_of(300, yes_or_no(0.3, 0.3), HALVES, LOOKS, lambda arms, a=alpha: compare(*arms, a).p_value <= a)  # type: ignore[misc]
        assert len(found) <= alpha * 300
