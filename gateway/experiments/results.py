"""What an experiment found so far, and what follows from it: for GET …/results, and for the watch.

How the error is shared out. `alpha` is for the experiment as a whole: the chance that any of its tests, at any look, finds a difference
where there is none. A change of weights begins a new phase with numbers of its own, which is a new try: the k-th gets
alpha / (k (k + 1)), and all of them together no more than alpha. Within a phase the goal's tests share it by the number of variants
(Bonferroni), and so do, for themselves, the guards' by variants and guards. A shown p-value is adjusted for all that, so that it is
compared with `alpha` itself; intervals are as wide as it demands.

Nothing is decided before control and variant have `min_units` with the metric. Where the units do not fall as the weights say, something
is wrong with the experiment: it is flagged, and no winner is named.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.domain.experiments import Experiment, ExperimentState, GuardMetric
from gateway.experiments.observations import Observations, Observed
from gateway.experiments.sequential import Arm, Decision, compare, interval, mismatch, worse

MISMATCH_ALPHA = 0.001
_ENDED = "It has ended; make a new experiment to go on."
_WAIT = "Keep it running: nothing is decided yet. Looking often changes nothing."
_UNJUDGED = "A variant is better, but not all of its guards can be judged yet. Keep it running."


class Difference(msgspec.Struct, frozen=True):
    """One metric of one variant beside the control's.

    Attributes:
        verdict: As the experiment's better says; `undecided` as long as too little is known.
        decision: What the numbers say, its p-value adjusted.
    """

    verdict: str
    decision: Decision


class Guarded(msgspec.Struct, frozen=True):
    """A guard metric of one variant.

    Attributes:
        enough: Both arms have enough units to judge it.
        violated: It is worse than the control by more than the margin.
        p_value: Adjusted, against "it is not".
    """

    guard: GuardMetric
    variant: str
    enough: bool
    violated: bool
    p_value: float
    estimate: float


class Assessment(msgspec.Struct, frozen=True):
    """All that follows from the numbers.

    Attributes:
        goal: By variant, without the control.
        winner: The best of the variants that won with all guards judged and none violated; empty without one.
        mismatch_p: Against "units fall as the weights say".
    """

    observed: Observed
    goal: dict[str, Difference]
    guards: tuple[Guarded, ...]
    winner: str
    mismatch_p: float

    @property
    def mismatched(self) -> bool:
        """Whether the units do not fall as the weights say."""
        return self.mismatch_p <= MISMATCH_ALPHA

    @property
    def violations(self) -> tuple[Guarded, ...]:
        """Guards that are violated."""
        return tuple(each for each in self.guards if each.violated)


class Results:
    """Results of experiments.

    Args:
        observations: What is known of them.
    """

    def __init__(self, observations: Observations) -> None:
        self._observations = observations

    async def assess(self, experiment: Experiment) -> Assessment | None:
        """Judge what is known; None for an experiment that never began, StoreUnavailable where nothing new can be read."""
        observed = await self._observations.of(experiment)
        return assess(experiment, observed) if observed is not None else None

    async def of(self, experiment: Experiment) -> dict[str, Any]:
        """Return the results as GET …/results shows them, JSON-ready."""
        found = await self.assess(experiment)
        head = {"object": "experiment.results", "experiment": experiment.id, "tenant": experiment.tenant, "state": experiment.state.value}
        if found is None:
            return {**head, "verdict": "undecided", "next": "Start it: nothing is measured before.", "variants": []}
        shown: dict[str, Any] = msgspec.to_builtins({**head, **_shown(experiment, found)})
        return shown


def share_of_alpha(experiment: Experiment) -> float:
    """Return which share of alpha the tests of the current phase may use up."""
    phase = max(len(experiment.phases), 1)
    return 1 / (phase * (phase + 1))


def assess(experiment: Experiment, observed: Observed) -> Assessment:
    """Judge an experiment. Pure."""
    counted = observed.tally.variants
    control, *others = [variant.id for variant in experiment.variants]
    tests = len(others) / share_of_alpha(experiment)
    arms = {name: counted[name].arms for name in counted}
    metric = experiment.goal.metric
    goal = {name: _difference(experiment, arms[control][metric], arms[name][metric], tests) for name in others}
    guards = tuple(
        _guarded(experiment, guard, name, (arms[control][guard.metric], arms[name][guard.metric]), tests * len(experiment.guards))
        for name in others
        for guard in experiment.guards
    )
    chance = mismatch([counted[each.id].units for each in experiment.variants], [each.weight for each in experiment.variants])
    fine = {name for name in others if all(each.enough and not each.violated for each in guards if each.variant == name)}
    better = [name for name in others if name in fine and goal[name].verdict == "better" and chance > MISMATCH_ALPHA]
    winner = max(better, key=lambda name: abs(goal[name].decision.estimate), default="")
    return Assessment(observed, goal, guards, winner, chance)


def _difference(experiment: Experiment, control: Arm, variant: Arm, tests: float) -> Difference:
    found = compare(control, variant, experiment.alpha / tests)
    found = msgspec.structs.replace(found, p_value=min(found.p_value * tests, 1.0))
    if not _enough(experiment, control, variant) or found.p_value > experiment.alpha:
        return Difference("undecided", found)
    return Difference("better" if (found.estimate > 0) is (experiment.goal.better == "higher") else "worse", found)


def _guarded(experiment: Experiment, guard: GuardMetric, name: str, arms: tuple[Arm, Arm], tests: float) -> Guarded:
    control, variant = arms
    enough = _enough(experiment, control, variant)
    p_value = min(worse(control, variant, higher_is_worse=guard.better == "lower", margin=guard.margin) * tests, 1.0)
    estimate = variant.now.mean - control.now.mean
    return Guarded(guard, name, enough, enough and p_value <= experiment.alpha, p_value, estimate)


def _enough(experiment: Experiment, control: Arm, variant: Arm) -> bool:
    return min(control.now.n, variant.now.n) >= max(experiment.min_units, 2)


def _shown(experiment: Experiment, found: Assessment) -> dict[str, Any]:
    observed, tally = found.observed, found.observed.tally
    control = experiment.variants[0].id
    verdicts = [each.verdict for each in found.goal.values()]
    verdict = "better" if found.winner else "worse" if verdicts and all(each == "worse" for each in verdicts) else "undecided"
    return {
        "from": experiment.started_at,
        "until": observed.until,
        "complete": observed.complete and not tally.left_out,
        "unit": experiment.unit,
        "goal": msgspec.to_builtins(experiment.goal),
        "alpha": experiment.alpha,
        "min_units": experiment.min_units,
        "phase": max(len(experiment.phases), 1),
        "variants": [_variant(experiment, found, name) for name in tally.variants],
        "guards": [_guard(each) for each in found.guards],
        "sample_ratio": {"p_value": found.mismatch_p, "mismatch": found.mismatched},
        "units_in_two_variants": tally.crossed,
        "calls_left_out": tally.left_out,
        "control": control,
        "verdict": verdict,
        "winner": found.winner or None,
        "next": _next(experiment, found, verdicts),
    }


def _variant(experiment: Experiment, found: Assessment, name: str) -> dict[str, Any]:
    counted, alpha = found.observed.tally.variants[name], experiment.alpha
    control = found.observed.tally.variants[experiment.variants[0].id]
    others = len(experiment.variants) - 1
    metrics: dict[str, Any] = {}
    for metric, arm in counted.arms.items():
        low, high = interval(arm, alpha)
        metrics[metric] = {"units": arm.now.n, "mean": arm.now.mean if arm.now.n else None, **_ends(low, high)}
        if counted is control or not arm.now.n or not control.arms[metric].now.n:
            continue
        goal = found.goal[name] if metric == experiment.goal.metric else None
        decision = goal.decision if goal else compare(control.arms[metric], arm, alpha / others)
        metrics[metric]["difference"] = {
            "estimate": decision.estimate,
            "relative": decision.relative,
            **_ends(decision.low, decision.high),
            # Of other metrics than the goal no p-value is given: nothing was promised of so many tests together.
            **({"p_value": goal.decision.p_value, "verdict": goal.verdict} if goal else {}),
        }
    weight = next(each.weight for each in experiment.variants if each.id == name)
    numbers = {"units": counted.units, "calls": counted.calls, "exposures": counted.exposures}
    return {"id": name, "weight": weight, **numbers, "metrics": metrics}


def _guard(each: Guarded) -> dict[str, Any]:
    state = "violated" if each.violated else "holds" if each.enough else "too few units"
    shown = {"metric": each.guard.metric, "better": each.guard.better, "margin": each.guard.margin, "variant": each.variant}
    return {**shown, "estimate": each.estimate, "p_value": each.p_value, "state": state}


def _ends(low: float, high: float) -> dict[str, float | None]:
    return {"low": low if math.isfinite(low) else None, "high": high if math.isfinite(high) else None}


def _next(experiment: Experiment, found: Assessment, verdicts: Sequence[str]) -> str:
    if experiment.state is not ExperimentState.RUNNING:
        return _ENDED
    if found.violations:
        worst = found.violations[0]
        return f"Roll it back: {worst.guard.metric} of {worst.variant!r} is worse than the control's by more than {worst.guard.margin:g}."
    if found.mismatched:
        return "Trust none of it: units do not fall as the weights say. Find out whose calls are missing before you decide anything."
    if found.winner:
        return f"Promote {found.winner!r}: it is better, and its guards hold."
    if verdicts and all(each == "worse" for each in verdicts):
        return "Stop it: no variant is better than the control."
    return _UNJUDGED if "better" in verdicts else _WAIT
