"""What a worker remembers of experiments: calls find theirs here, without asking the table.

All that serve, of all tenants, are one entry: few they are, and one query every few seconds reads them, however many tenants call.
A change is in effect everywhere within STALE_S, and at once on the worker that made it (`forget`).

One experiment at most concerns a call: of a prompt's and a model's the prompt's, of the tenant's own and a shared one its own.
"""

from collections.abc import Mapping, Sequence

from gateway.cached import Cached
from gateway.domain.experiments import Experiment
from gateway.domain.prompts import SHARED
from gateway.experiments.store import ExperimentStore
from gateway.ports import Clock

FRESH_S = 2.5
STALE_S = 4.0
ALL = "all"

type _Serving = Mapping[str, tuple[Experiment, ...]]


class ExperimentMemory:
    """What serves, by tenant.

    Args:
        store: What it is read from.
        clock: What ages it.
    """

    def __init__(self, store: ExperimentStore, clock: Clock) -> None:
        self._store = store
        self._serving: Cached[_Serving] = Cached(self._read, clock, fresh_s=FRESH_S, stale_s=STALE_S)

    def fresh(self, tenant: str) -> Sequence[Experiment] | None:
        """Return what serves a tenant's calls if memory has it; None says nothing, and `running` does. Awaits nothing."""
        known = self._serving.fresh(ALL)
        return None if known is None else _of(known, tenant)

    async def running(self, tenant: str) -> Sequence[Experiment]:
        """Return what serves a tenant's calls: its own experiments first, then shared ones.

        Raises:
            StoreUnavailable: Memory does not know it, and the store does not answer.
        """
        return _of(await self._serving.get(ALL) or {}, tenant)

    def forget(self, _tenant: str) -> None:
        """Forget what serves: for the worker that changed a tenant's experiments, or shared ones."""
        self._serving.forget(ALL)

    async def _read(self, _name: str) -> _Serving:
        found: dict[str, tuple[Experiment, ...]] = {}
        for experiment in await self._store.all_serving():
            found[experiment.tenant] = (*found.get(experiment.tenant, ()), experiment)
        return found


def _of(serving: _Serving, tenant: str) -> Sequence[Experiment]:
    shared = serving.get(SHARED, ())
    own = serving.get(tenant) if tenant != SHARED else None
    return own + shared if own else shared


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
