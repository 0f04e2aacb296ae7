"""Moments are those of the statistics module however values come; p-values and intervals say the same; counts are held to weights."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.experiments.sequential import Arm, Moments, compare, interval, mismatch, worse

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


def moments(values: list[float]) -> Moments:
    found = Moments()
    for value in values:
        found.add(value)
    return found


def arm(n: int, mean: float, variance: float = 1.0) -> Arm:
    now = Moments(n, mean, variance * (n - 1))
    return Arm(now, now)


@given(VALUES)
def test_moments_are_mean_and_variance(values: list[float]) -> None:
    found = moments(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(statistics.mean(values), abs=1e-6)
    assert found.variance == pytest.approx(statistics.variance(values), abs=1e-4)


@given(VALUES, VALUES)
def test_moments_of_two_parts_are_those_of_the_whole(one: list[float], other: list[float]) -> None:
    together, whole = moments(one).plus(moments(other)), moments([*one, *other])
    assert (together.n, together.mean) == (whole.n, pytest.approx(whole.mean, abs=1e-6))
    assert together.variance == pytest.approx(whole.variance, abs=1e-4)
    assert Moments().plus(Moments()) == Moments()


@given(VALUES, st.floats(-1e3, 1e3))
def test_a_value_that_becomes_another_counts_as_the_other(values: list[float], new: float) -> None:
    found = moments(values)
    found.replace(values[0], new)
    whole = moments([new, *values[1:]])
    assert found.mean == pytest.approx(whole.mean, abs=1e-6)
    assert found.variance == pytest.approx(whole.variance, abs=1e-4)


@given(st.floats(-1, 1), st.integers(2, 5000), st.integers(2, 5000), st.floats(0.001, 0.2))
def test_the_interval_holds_zero_exactly_where_the_p_value_is_above_alpha(mean: float, n: int, m: int, alpha: float) -> None:
    found = compare(arm(n, 0.0), arm(m, mean, 2.0), alpha)
    if abs(found.p_value - alpha) > 1e-9:
        assert (found.low < 0 < found.high) is (found.p_value > alpha)
    assert found.low <= found.estimate == mean <= found.high


def test_the_p_value_is_that_of_the_mixed_likelihood_ratio() -> None:
    # 500 units an arm, variance 1: se² = 0.004, r = 0.01 / 0.004 = 2.5; z² = 0.04 / 0.004 = 10
    expected = math.sqrt(3.5) * math.exp(-10 * 2.5 / 7)
    assert compare(arm(500, 1.0), arm(500, 1.2), 0.05).p_value == pytest.approx(expected)


def test_a_difference_is_told_as_a_share_of_the_controls_mean() -> None:
    assert compare(arm(50, 2.0), arm(50, 3.0), 0.05).relative == pytest.approx(0.5)
    assert compare(arm(50, 0.0), arm(50, 3.0), 0.05).relative is None


@pytest.mark.parametrize(
    "arms", [(Arm(), Arm()), (arm(1, 1.0), arm(9, 2.0)), (arm(9, 1.0, 0.0), arm(9, 2.0, 0.0))], ids=["none", "one", "same"]
)
def test_without_any_variance_nothing_is_said(arms: tuple[Arm, Arm]) -> None:
    found = compare(*arms, 0.05)
    assert (found.p_value, found.low, found.high) == (1.0, -math.inf, math.inf)
    assert worse(*arms, higher_is_worse=True, margin=0.0) == 1.0


def test_a_small_arm_without_an_error_yet_is_not_taken_for_one_that_never_errs() -> None:
    control, canary = arm(1900, 0.03, 0.03 * 0.97), arm(100, 0.0, 0.0)
    assert compare(control, canary, 0.05).p_value > 0.05


def test_a_guard_is_violated_one_way_only_and_beyond_its_margin() -> None:
    control, slower = arm(1000, 1.0), arm(1000, 1.5)
    assert worse(control, slower, higher_is_worse=True, margin=0.0) < 1e-6
    assert worse(control, slower, higher_is_worse=False, margin=0.0) == 1.0
    assert worse(control, slower, higher_is_worse=True, margin=0.5) == 1.0
    assert worse(slower, control, higher_is_worse=False, margin=0.1) < 1e-3
    assert worse(control, arm(1000, 1e9), higher_is_worse=True, margin=0.0) < 1e-200


def test_an_arms_interval_holds_its_mean_and_shrinks() -> None:
    (low, high), (lower, higher) = interval(arm(10_000, 5.0), 0.05), interval(arm(100, 5.0), 0.05)
    assert lower < low < 5.0 < high < higher
    assert interval(Arm(), 0.05) == (-math.inf, math.inf)


def test_units_that_fall_as_the_weights_say_are_no_mismatch_and_others_are() -> None:
    assert mismatch([5050, 4950], [1, 1]) == 1.0
    assert mismatch([5400, 4600], [1, 1]) < 1e-6
    assert mismatch([9500, 500], [95, 5]) == 1.0
    assert mismatch([9500, 500], [90, 10]) < 1e-6
    assert mismatch([100, 7], [1, 0]) == 1.0
    assert mismatch([0, 0], [1, 1]) == 1.0
    assert mismatch([10**9, 0], [1, 1]) == pytest.approx(0.0, abs=1e-300)
