"""Is one arm better than the other? A test that may be looked at as often as one likes. Pure.

What is compared are means over units (users, sessions), never over calls: calls of one user are alike. A unit's value is the mean
over its calls so far, so it moves while more of them come in.

The test is a sequential probability ratio mixed over a normal prior, N(0, prior² · scale), of the difference; turned around it is an
asymptotic confidence sequence. It runs on information, 1/se², and not on the number of units: information also grows when known
units call again, and a clock that did not see this would let too many looks pass as one. `scale` is the variance of the units' first
values: it settles, and does not move with the calls that come later.

    r = prior² · scale / se²        p = √(1 + r) · exp(-z² r / (2 (1 + r)))        interval: all differences with p > alpha

The probability that p is ever at or below alpha, at any look, is at most alpha where there is no difference. It is asymptotic:
small samples are the caller's to refuse (`min_units`), and rare events make it wide, not bold: no arm is believed to vary less than
both together, so that a small arm without one error yet proves nothing. A p-value is that of this look; the first one at or below
alpha decides, whatever later ones say, so no running minimum need be kept.

Source: Johari, Koomen, Pekelis, Walsh, "Always Valid Inference" (2022); Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences" (2024), one-sided form there as well; Lindon, Malek, "Anytime-valid
inference for multinomial count data" (2022) for `mismatch` (read 2026-11-22).
"""

import math
from collections.abc import Sequence

import msgspec

GOAL_PRIOR = 0.1  # differences of a tenth of a standard deviation are found soonest
GUARD_PRIOR = 0.2  # guards are there for what is grave, and to be fast
SPREAD = 100.0  # of the Dirichlet prior: shares that are off by a tenth or so
_BEYOND = 700.0  # exp() of more overflows


class Moments(msgspec.Struct):
    """Number, mean and sum of squared deviations of some values, as they come, change or are put together."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def variance(self) -> float:
        """The sample's; 0 for fewer than two values."""
        return max(self.squares, 0.0) / (self.n - 1) if self.n > 1 else 0.0

    def add(self, value: float) -> None:
        """Count one more value."""
        self.n += 1
        off = value - self.mean
        self.mean += off / self.n
        self.squares += off * (value - self.mean)

    def replace(self, old: float, new: float) -> None:
        """Let a value that was counted become another."""
        before = self.mean
        self.mean += (new - old) / self.n
        self.squares += (new - old) * (new - self.mean + old - before)

    def plus(self, other: "Moments") -> "Moments":
        """Return both together."""
        n = self.n + other.n
        if not n:
            return Moments()
        off = other.mean - self.mean
        return Moments(n, self.mean + off * other.n / n, self.squares + other.squares + off * off * self.n * other.n / n)


class Arm(msgspec.Struct):
    """One metric of one variant: the units' values now, and their first ones, which say how wide the metric spreads."""

    now: Moments = msgspec.field(default_factory=Moments)
    first: Moments = msgspec.field(default_factory=Moments)


class Decision(msgspec.Struct, frozen=True):
    """What one look says.

    Attributes:
        p_value: Always valid, of this look.
        estimate: The variant's mean less the control's.
        low: Lower end of the always-valid interval of the difference; -inf where nothing is known yet.
        high: Upper end; inf where nothing is known yet.
        relative: `estimate` as a share of the control's mean; None where that is zero.
    """

    p_value: float
    estimate: float
    low: float
    high: float
    relative: float | None


def compare(control: Arm, variant: Arm, alpha: float, prior: float = GOAL_PRIOR) -> Decision:
    """Return whether two arms differ: they do where `p_value` ≤ alpha, and then the interval does not hold 0.

    Args:
        control: The arm to compare with.
        variant: The arm in question.
        alpha: How probable it may be that equal arms are ever said to differ. Divide it by the number of arms compared.
        prior: The difference that is found soonest, in standard deviations of the units' first values.
    """
    estimate = variant.now.mean - control.now.mean
    relative = estimate / abs(control.now.mean) if control.now.mean else None
    variance, information = _precision(control, variant, prior)
    if not information:
        return Decision(1.0, estimate, -math.inf, math.inf, relative)
    room = information / (2 * (1 + information))
    p_value = min(math.sqrt(1 + information) * math.exp(-min(estimate * estimate / variance * room, _BEYOND)), 1.0)
    margin = math.sqrt(variance / room * math.log(math.sqrt(1 + information) / alpha))
    return Decision(p_value, estimate, estimate - margin, estimate + margin, relative)


def worse(control: Arm, variant: Arm, *, higher_is_worse: bool, margin: float, prior: float = GUARD_PRIOR) -> float:
    """Return the always-valid p-value against "the variant is worse by no more than `margin`": one-sided, so it needs less proof.

    Args:
        control: The arm to compare with.
        variant: The arm in question.
        higher_is_worse: Which way is worse.
        margin: How much worse it may be, in the metric's unit.
        prior: As for `compare`.
    """
    by = variant.now.mean - control.now.mean
    beyond = (by if higher_is_worse else -by) - margin
    variance, information = _precision(control, variant, prior)
    if not information or beyond <= 0:
        return 1.0
    evidence = min(beyond * beyond / variance * information / (2 * (1 + information)), _BEYOND)
    return min(math.sqrt(1 + information) / (2 * math.expm1(evidence)), 1.0) if evidence else 1.0


def interval(arm: Arm, alpha: float, prior: float = GOAL_PRIOR) -> tuple[float, float]:
    """Return the always-valid interval of one arm's mean; infinite where nothing is known yet."""
    variance, scale = (arm.now.variance / arm.now.n, arm.first.variance) if arm.now.n > 1 else (0.0, 0.0)
    if not variance or not scale:
        return -math.inf, math.inf
    information = prior * prior * scale / variance
    margin = math.sqrt(2 * variance * (1 + information) / information * math.log(math.sqrt(1 + information) / alpha))
    return arm.now.mean - margin, arm.now.mean + margin


def mismatch(counts: Sequence[int], weights: Sequence[int]) -> float:
    """Return the always-valid p-value against "units fall to the arms as their weights say". Arms without weight are not asked.

    Args:
        counts: Units of each arm.
        weights: Of each arm.
    """
    arms = [(count, weight) for count, weight in zip(counts, weights, strict=True) if weight]
    total, weight = sum(count for count, _ in arms), sum(weight for _, weight in arms)
    if len(arms) < 2 or not total:
        return 1.0
    log_odds = math.lgamma(SPREAD) - math.lgamma(SPREAD + total)
    for count, own in arms:
        share = own / weight
        log_odds += math.lgamma(SPREAD * share + count) - math.lgamma(SPREAD * share) - count * math.log(share)
    return min(math.exp(-min(max(log_odds, -_BEYOND), _BEYOND)), 1.0)


def _precision(control: Arm, variant: Arm, prior: float) -> tuple[float, float]:
    """Return the difference's variance, and how much is known of it in units of the prior; (0, 0) where nothing can be said."""
    one, other = control.now, variant.now
    if one.n < 2 or other.n < 2:
        return 0.0, 0.0
    together = (one.squares + other.squares) / (one.n + other.n - 2)
    variance = max(one.variance, together) / one.n + max(other.variance, together) / other.n
    first, second = control.first, variant.first
    scale = (first.squares + second.squares) / max(first.n + second.n - 2, 1)
    if variance <= 0 or scale <= 0:
        return 0.0, 0.0
    return variance, prior * prior * scale / variance
