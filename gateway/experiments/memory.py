"""What a worker remembers of experiments: calls find theirs here, without asking the table.

Own and shared ones are remembered apart, so that a shared one is read once for all tenants. A change is in effect everywhere
within STALE_S, and at once on the worker that made it (`forget`).

One experiment at most concerns a call: of a prompt's and a model's the prompt's, of the tenant's own and a shared one its own.
"""

import asyncio
from collections.abc import Sequence

from gateway.cached import Cached
from gateway.domain.experiments import Experiment
from gateway.domain.prompts import SHARED
from gateway.experiments.store import ExperimentStore
from gateway.ports import Clock

FRESH_S = 2.5
STALE_S = 4.0


class ExperimentMemory:
    """What serves, by tenant.

    Args:
        store: What it is read from.
        clock: What ages it.
    """

    def __init__(self, store: ExperimentStore, clock: Clock) -> None:
        self._serving: Cached[tuple[Experiment, ...]] = Cached(store.serving, clock, fresh_s=FRESH_S, stale_s=STALE_S)

    def fresh(self, tenant: str) -> Sequence[Experiment] | None:
        """Return what serves a tenant's calls if memory has it; None says nothing, and `running` does. Awaits nothing."""
        own = self._serving.fresh(tenant)
        shared = self._serving.fresh(SHARED)
        if own is None or shared is None:
            return None
        return own + shared if own else shared

    async def running(self, tenant: str) -> Sequence[Experiment]:
        """Return what serves a tenant's calls: its own experiments first, then shared ones.

        Raises:
            StoreUnavailable: Memory does not know it, and the store does not answer.
        """
        own, shared = await asyncio.gather(self._serving.get(tenant), self._serving.get(SHARED))
        return (own or ()) + (shared or ())

    def forget(self, tenant: str) -> None:
        """Forget a tenant's experiments, or the shared ones: for the worker that changed one."""
        self._serving.forget(tenant)


def for_prompt(experiments: Sequence[Experiment], name: str, wanted: int | str, owner: str) -> Experiment | None:
    """Return the experiment that a call of a prompt is in; None where there is none, as for a call that names a number.

    Args:
        experiments: What serves the caller's tenant.
        name: The prompt's.
        wanted: The label that the call asks for, or a number.
        owner: Whose prompt the name stands for: the tenant, or "" for a shared one. A shared prompt's experiment is not about
            the prompt that a tenant has put in its place.
    """
    for experiment in experiments:
        on = experiment.on
        if on.prompt == name and on.label == wanted and experiment.owner == owner:
            return experiment
    return None


def for_model(experiments: Sequence[Experiment], model_id: str) -> Experiment | None:
    """Return the experiment that a call of a model is in; None where there is none.

    Args:
        experiments: What serves the caller's tenant.
        model_id: Of the model that was asked for, not an alias.
    """
    return next((experiment for experiment in experiments if experiment.on.model == model_id), None)
