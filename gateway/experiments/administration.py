"""What administrators do with experiments at /manage. JSON documents in, JSON-ready values with their ETags out.

A tenant's administrator has its own tenant's experiments; one of the gateway those of `?tenant=`, and the shared ones without it.
What is another's is answered as if it were not there.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.documents import convert
from gateway.domain.experiments import Experiment
from gateway.domain.ids import random_hex
from gateway.domain.management import Asked, Told, page_of, read_paging, tenant_of
from gateway.domain.prompts import SHARED
from gateway.errors import Conflict, NotFound, RequestError
from gateway.experiments.documents import Documents, experiment_shape
from gateway.experiments.lifecycle_changes import Changed, Lifecycle, Surroundings
from gateway.experiments.memory import ExperimentMemory
from gateway.experiments.store import ExperimentStore, is_tenant
from gateway.ports import Clock

NO_CONTENT = 204
SALT_DIGITS = 16
MAX_EXPERIMENTS = 1000  # of a tenant: a page of the store

type Results = Callable[[Experiment], Awaitable[Mapping[str, Any]]]


class _Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = ""


class _Promotion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    winner: str = ""
    reason: str = ""


class ExperimentAdministration:
    """The management operations on experiments.

    Args:
        store: Where they are.
        memory: What this worker remembers of them.
        surroundings: The prompts and models that they are about, and whose they can be.
        results: What an experiment found so far.
        clock: Tells the time.

    Attributes:
        lifecycle: What changes them, for who watches them.
    """

    def __init__(
        self, store: ExperimentStore, memory: ExperimentMemory, surroundings: Surroundings, results: Results, clock: Clock
    ) -> None:
        self.lifecycle = Lifecycle(store, memory, surroundings, clock)
        self._has_tenant = surroundings.has_tenant
        self._store = store
        self._results = results
        self._documents = Documents(surroundings.model, lambda: random_hex(SALT_DIGITS), clock)

    async def list(self, asked: Asked) -> dict[str, Any]:
        """Return a page of experiments."""
        found, after = await self._store.list(_tenant(asked), *read_paging(asked.query))
        return page_of([experiment_shape(experiment) for experiment in found], after)

    async def read(self, asked: Asked, name: str) -> Told:
        """Return an experiment."""
        stored = await self._store.get(_tenant(asked), name)
        return Told(experiment_shape(stored.experiment), stored.etag)

    async def create(self, asked: Asked) -> Told:
        """Make a draft."""
        tenant = _tenant(asked)
        if tenant != SHARED and not await self._has_tenant(tenant):
            raise NotFound(f"there is no tenant {tenant[:64]!r}; create it at /manage/tenants", param="tenant", code="tenant_not_found")
        draft = self._documents.new(tenant, asked.document)
        if len((await self._store.list(tenant))[0]) >= MAX_EXPERIMENTS:
            raise Conflict(f"there are {MAX_EXPERIMENTS} experiments; delete some that have ended first", code="too_many_experiments")
        stored = await self._store.create(draft)
        return Told(experiment_shape(stored.experiment), stored.etag)

    async def change(self, asked: Asked, name: str) -> Told:
        """Change a draft, or a running experiment's weights and `auto_promote`."""
        documents, document = self._documents, asked.document
        return _told(await self.lifecycle.change(_tenant(asked), name, lambda now: documents.changed(now, document), asked.if_match))

    async def delete(self, asked: Asked, name: str) -> Told:
        """Delete an experiment that serves no calls."""
        before = await self.lifecycle.delete(_tenant(asked), name, asked.if_match)
        return Told(None, status=NO_CONTENT, before=experiment_shape(before))

    async def start(self, asked: Asked, name: str) -> Told:
        """Let a draft run."""
        return _told(await self.lifecycle.start(_tenant(asked), name, asked.if_match))

    async def stop(self, asked: Asked, name: str) -> Told:
        """Let calls get nothing from it any more: `{"reason"?}`."""
        reason = convert(asked.document, _Ending).reason
        return _told(await self.lifecycle.stop(_tenant(asked), name, reason, asked.if_match))

    async def promote(self, asked: Asked, name: str) -> Told:
        """Give everybody the winner: `{"winner"?, "reason"?}`."""
        wanted, who = convert(asked.document, _Promotion), asked.principal.key_id
        return _told(await self.lifecycle.promote(_tenant(asked), name, wanted.winner, wanted.reason, who, asked.if_match))

    async def roll_back(self, asked: Asked, name: str) -> Told:
        """Give everybody the control: `{"reason"?}`."""
        reason = convert(asked.document, _Ending).reason
        return _told(await self.lifecycle.roll_back(_tenant(asked), name, reason, asked.if_match))

    async def results(self, asked: Asked, name: str) -> Mapping[str, Any]:
        """Return what an experiment found so far."""
        return await self._results((await self._store.get(_tenant(asked), name)).experiment)


def _tenant(asked: Asked) -> str:
    """Return whose experiments are meant; "" for the shared ones."""
    tenant = tenant_of(asked, asked.query.get("tenant")) or SHARED
    if not is_tenant(tenant):
        raise RequestError("'tenant' is no tenant's id", param="tenant", code="invalid_value")
    return tenant


def _told(changed: Changed) -> Told:
    return Told(experiment_shape(changed.after.experiment), changed.after.etag, before=experiment_shape(changed.before))
