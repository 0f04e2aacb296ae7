"""What can become of an experiment, as pure functions: an experiment and a moment become the next experiment.

    draft ──start──▶ running ──promote──▶ promoted ──┐
      │                 ├──roll back──▶ rolled_back ──┴──stop──▶ stopped
      │                 └──stop─────────────────────────────────▶ stopped
      └── only a draft takes another document; while it runs its weights, and `auto_promote`, can be changed

A change of weights begins a new phase: results count from it. Means over time would mix users of several splits with the days
on which these held (Simpson's paradox), so that a ramp alone could look like an effect. `phases` keeps all that held.
"""

import datetime
from collections.abc import Callable, Mapping

import msgspec

from gateway.domain.experiments import Experiment, ExperimentState, Phase, Variant
from gateway.errors import Conflict, RequestError
from gateway.experiments.assign import layout, reallocated

DRAFT, RUNNING, STOPPED = ExperimentState.DRAFT, ExperimentState.RUNNING, ExperimentState.STOPPED
PROMOTED, ROLLED_BACK = ExperimentState.PROMOTED, ExperimentState.ROLLED_BACK
MAX_WEIGHT = 1_000_000
MAX_PHASES = 50
MAX_REASON_CHARACTERS = 500

type Become = Callable[[Experiment], Experiment]


def started(experiment: Experiment, at: datetime.datetime, owner: str, variants: tuple[Variant, ...]) -> Experiment:
    """Return the experiment running.

    Args:
        experiment: A draft.
        at: Now, UTC.
        owner: Whose prompt it is on.
        variants: Its own, with numbers in the place of labels: what is compared does not change on the way.
    """
    check_state(experiment, "started", DRAFT)
    first = Phase(at, weights_of(variants))
    return msgspec.structs.replace(experiment, state=RUNNING, started_at=at, owner=owner, variants=variants, phases=(first,))


def reweighted(experiment: Experiment, weights: Mapping[str, int], at: datetime.datetime) -> Experiment:
    """Return the experiment with other weights of the variants that are named; a running one begins a new phase, if any differs.

    Raises:
        Conflict: It has ended, or began a new phase too often.
        RequestError: A variant or a weight cannot be; `param` names it.
    """
    check_state(experiment, "given other weights", DRAFT, RUNNING)
    known = weights_of(experiment.variants)
    for name in weights:
        if name not in known:
            raise fault(f"weights.{name[:64]}", f"is no variant; there are {', '.join(known)}")
        if not 0 <= weights[name] <= MAX_WEIGHT:
            raise fault(f"weights.{name}", f"must be from 0 to {MAX_WEIGHT}")
    merged = {**known, **weights}
    if not any(merged.values()):
        raise fault("weights", "must leave one variant a weight over 0")
    if merged == known:
        return experiment
    variants = tuple(msgspec.structs.replace(variant, weight=merged[variant.id]) for variant in experiment.variants)
    if experiment.state is DRAFT:
        return msgspec.structs.replace(experiment, variants=variants)
    if len(experiment.phases) >= MAX_PHASES:
        raise Conflict(
            f"its weights were changed {MAX_PHASES - 1} times, which is the most; stop it and make another", code="too_many_phases"
        )
    spans = reallocated(experiment.spans or layout(experiment.variants), variants)
    phases = (*experiment.phases, Phase(at, merged))
    return msgspec.structs.replace(experiment, variants=variants, spans=spans, phases=phases, started_at=at)


def stopped(experiment: Experiment, at: datetime.datetime, reason: str) -> Experiment:
    """Return the experiment stopped: calls get nothing from it any more. What ended before keeps its end, its winner and reason."""
    check_state(experiment, "stopped", RUNNING, PROMOTED, ROLLED_BACK)
    if experiment.state is RUNNING:
        return _ended(experiment, STOPPED, at, reason)
    return msgspec.structs.replace(experiment, state=STOPPED)


def promoted(experiment: Experiment, winner: str, at: datetime.datetime, reason: str) -> Experiment:
    """Return the experiment with a winner, which everybody gets. The same winner again changes nothing.

    Args:
        experiment: A running one.
        winner: A variant's id; empty for the only one that is not the control.
        at: Now, UTC.
        reason: Why.
    """
    check_state(experiment, "promoted", RUNNING, PROMOTED)
    names = [variant.id for variant in experiment.variants]
    if not winner and len(names) > 2:
        raise fault("winner", f"must name one of {', '.join(names)}")
    chosen = winner or names[1]
    if chosen not in names:
        raise fault("winner", f"is no variant; there are {', '.join(names)}")
    if experiment.state is PROMOTED:
        if chosen != experiment.winner:
            raise Conflict(f"{experiment.winner!r} was promoted already; stop the experiment and make another", code="wrong_state")
        return experiment
    return msgspec.structs.replace(_ended(experiment, PROMOTED, at, reason), winner=chosen)


def rolled_back(experiment: Experiment, at: datetime.datetime, reason: str) -> Experiment:
    """Return the experiment with the control for everybody."""
    check_state(experiment, "rolled back", RUNNING)
    return _ended(experiment, ROLLED_BACK, at, reason)


def winner_of(experiment: Experiment) -> Variant:
    """Return the variant that was promoted."""
    return next(variant for variant in experiment.variants if variant.id == experiment.winner)


def weights_of(variants: tuple[Variant, ...]) -> dict[str, int]:
    """Return the weights by variant."""
    return {variant.id: variant.weight for variant in variants}


def check_state(experiment: Experiment, done: str, *allowed: ExperimentState) -> None:
    """Raise Conflict where the experiment's state does not allow what shall be done to it."""
    if experiment.state not in allowed:
        named = " or ".join(f"{state.value}" for state in allowed)
        said = f"the experiment {experiment.id!r} is {experiment.state.value}; only one that is {named} can be {done}"
        raise Conflict(said, code="wrong_state")


def fault(param: str, message: str) -> RequestError:
    """Return what is wrong with a member of a document."""
    return RequestError(f"'{param}' {message}", param=param, code="invalid_value")


def _ended(experiment: Experiment, state: ExperimentState, at: datetime.datetime, reason: str) -> Experiment:
    if len(reason) > MAX_REASON_CHARACTERS:
        raise fault("reason", f"must have at most {MAX_REASON_CHARACTERS} characters")
    return msgspec.structs.replace(experiment, state=state, ended_at=at, reason=reason)
