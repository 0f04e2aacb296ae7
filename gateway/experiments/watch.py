"""Looks at running experiments every minute, and acts on what is proved: a guard that is violated, a goal that is won.

    a guard is worse than its margin      rolled back: everybody gets the control again
    the goal is won, all guards hold      promoted, where the experiment has `auto_promote`; otherwise left to an administrator

Rules: as many workers may look at once as there are. Who ends an experiment writes conditionally: one of them does, and tells of it; the
others find it done. Every look is one of an always-valid test, so that looking each minute costs no error. A look that fails leaves the
experiment to the next one, and the others are looked at. A promotion that was cut short before its label moved is finished.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.experiments import Experiment, ExperimentState
from gateway.errors import Conflict, GatewayError, NotFound, PreconditionFailed
from gateway.experiments.results import Assessment, Results

log = logging.getLogger(__name__)

ROLLED_BACK, PROMOTED = "rolled_back", "promoted"


class Acts(msgspec.Struct, frozen=True):
    """What the watch asks of others.

    Attributes:
        serving: All experiments, of all tenants, that run or were promoted.
        roll_back: (experiment, reason) → whether this very call ended it; Conflict where it had ended before.
        promote: (experiment, winner, reason) → the same.
        announce: (kind, tenant, facts) tells who should know; kinds are `rolled_back` and `promoted`.
    """

    serving: Callable[[], Awaitable[tuple[Experiment, ...]]]
    roll_back: Callable[[Experiment, str], Awaitable[bool]]
    promote: Callable[[Experiment, str, str], Awaitable[bool]]
    announce: Callable[[str, str, Mapping[str, Any]], Awaitable[object]]


class Watch:
    """The watch.

    Args:
        results: Judges experiments.
        acts: What becomes of them.
    """

    def __init__(self, results: Results, acts: Acts) -> None:
        self._results = results
        self._acts = acts
        self._untold: list[tuple[str, str, Mapping[str, Any]]] = []

    async def look(self) -> int:
        """Look at every experiment that runs; returns how many this call ended. StoreUnavailable where none can be listed."""
        await self._tell()
        ended = 0
        for experiment in await self._acts.serving():
            try:
                ended += await self._look_at(experiment)
            except (Conflict, PreconditionFailed, NotFound) as exc:
                log.info("the experiment %r was changed by somebody else: %s", experiment.id, exc.code)
            except GatewayError as exc:
                log.warning("the experiment %r is left to the next look: %s", experiment.id, exc)
        return ended

    async def _look_at(self, experiment: Experiment) -> bool:
        if experiment.state is ExperimentState.PROMOTED:
            if experiment.on.prompt and experiment.owner == experiment.tenant and not experiment.label_moved:
                await self._acts.promote(experiment, experiment.winner, experiment.reason)
            return False
        if experiment.state is not ExperimentState.RUNNING:
            return False
        found = await self._results.assess(experiment)
        if found is None:
            return False
        if found.violations:
            reason = _why_back(experiment, found)
            if await self._acts.roll_back(experiment, reason):
                return await self._done(ROLLED_BACK, experiment, {"reason": reason, "variant": found.violations[0].variant})
        elif found.winner and experiment.auto_promote and found.observed.complete:
            reason = _why_promoted(experiment, found)
            if await self._acts.promote(experiment, found.winner, reason):
                return await self._done(PROMOTED, experiment, {"reason": reason, "variant": found.winner})
        return False

    async def _done(self, kind: str, experiment: Experiment, facts: Mapping[str, Any]) -> bool:
        log.warning("the experiment %r of %r was %s by the watch", experiment.id, experiment.tenant, kind)
        self._untold.append((kind, experiment.tenant, {"experiment": experiment.id, "started_at": experiment.started_at, **facts}))
        await self._tell()
        return True

    async def _tell(self) -> None:
        """Tell what was done; what cannot be told now is told with the next look."""
        while self._untold:
            try:
                await self._acts.announce(*self._untold[0])
            except GatewayError as exc:
                log.warning("an announcement is left to the next look: %s", exc)
                return
            del self._untold[0]


def _why_back(experiment: Experiment, found: Assessment) -> str:
    each = found.violations[0]
    return (
        f"guard {each.guard.metric}: {each.variant!r} differs from {experiment.variants[0].id!r} by {each.estimate:+.4g}, "
        f"which is worse by more than {each.guard.margin:g} (p = {each.p_value:.2g})"
    )


def _why_promoted(experiment: Experiment, found: Assessment) -> str:
    decision = found.goal[found.winner].decision
    return (
        f"goal {experiment.goal.metric}: {found.winner!r} differs from {experiment.variants[0].id!r} by {decision.estimate:+.4g} "
        f"(from {decision.low:.4g} to {decision.high:.4g}, p = {decision.p_value:.2g}), and all guards hold"
    )
