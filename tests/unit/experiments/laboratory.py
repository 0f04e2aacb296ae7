"""Experiments over a fake store, with a few prompts and models around them."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.domain.access import Role
from gateway.domain.experiments import Experiment
from gateway.domain.management import Asked
from gateway.domain.prompts import PromptVersion
from gateway.errors import NotFound, StoreUnavailable
from gateway.experiments.administration import ExperimentAdministration
from gateway.experiments.lifecycle_changes import Surroundings
from gateway.experiments.memory import ExperimentMemory
from gateway.experiments.store import ExperimentStore
from tests.builders import make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

ADMIN = make_principal(tenant="default", key_id="the-admin", roles=frozenset({Role.ADMIN}))
ANN = make_principal(tenant="contoso", key_id="ann", roles=frozenset({Role.TENANT_ADMIN}))
BEN = make_principal(tenant="fabrikam", key_id="ben", roles=frozenset({Role.TENANT_ADMIN}))
MODELS = {"gpt-4o-mini": "gpt-4o-mini", "mini": "gpt-4o-mini", "tuned/mini": "tuned/mini"}


def tone(**more: Any) -> dict[str, Any]:
    """Return the document of an experiment on the label `production` of the prompt `support`."""
    variants = [{"id": "control", "weight": 95}, {"id": "friendly", "weight": 5, "version": 2}]
    return {"id": "tone", "on": {"prompt": "support"}, "variants": variants, "goal": {"metric": "feedback.thumbs"}} | more


def canary(**more: Any) -> dict[str, Any]:
    """Return the document of an experiment on a model."""
    variants = [{"id": "base", "weight": 95}, {"id": "tuned", "weight": 5, "model": "tuned/mini"}]
    return {"id": "canary", "on": {"model": "mini"}, "variants": variants, "goal": {"metric": "cost_usd"}} | more


class Prompts:
    """Labels by owner and prompt. `support` is contoso's own and a shared one; versions are 1 to 3."""

    def __init__(self) -> None:
        self.labels = {(owner, "support"): {"production": 1, "staging": 2} for owner in ("contoso", "")}
        self.moves: list[tuple[str, str, str, int, str]] = []
        self.down = False

    async def version(self, tenant: str, name: str, wanted: int | str) -> PromptVersion:
        owner = tenant if (tenant, name) in self.labels else ""
        labels = self.labels.get((owner, name))
        if labels is None:
            raise NotFound("there is no such prompt", code="prompt_not_found")
        number = labels.get(wanted) if isinstance(wanted, str) else wanted
        if number not in (1, 2, 3):
            raise NotFound("there is no such version", code="prompt_version_not_found")
        return PromptVersion(tenant=owner, name=name, version=number, model="gpt-4o-mini", messages=())

    async def move_label(self, tenant: str, name: str, label: str, version: int, who: str) -> None:
        if self.down:
            raise StoreUnavailable("the store is down")
        self.labels[tenant, name][label] = version
        self.moves.append((tenant, name, label, version, who))


class Laboratory:
    """A worker's experiments. Another `Laboratory` over the same tables is another worker."""

    def __init__(self, other: "Laboratory | None" = None) -> None:
        self.tables: FakeTables = other.tables if other else FakeTables()
        self.clock: FakeClock = other.clock if other else FakeClock()
        self.prompts: Prompts = other.prompts if other else Prompts()
        self.store = ExperimentStore(self.tables)
        self.memory = ExperimentMemory(self.store, self.clock)
        around = Surroundings(self.prompts.version, self.prompts.move_label, MODELS.get, self._has_tenant)
        self.administration = ExperimentAdministration(self.store, self.memory, around, self._results, self.clock)
        self.lifecycle = self.administration.lifecycle

    async def _results(self, experiment: Experiment) -> Mapping[str, Any]:
        return {"of": experiment.id, "tenant": experiment.tenant}

    async def _has_tenant(self, tenant: str) -> bool:
        return tenant in ("contoso", "fabrikam", "default")

    async def make(self, document: Mapping[str, Any], principal: Any = ANN, **query: str) -> Any:
        """Make a draft and return it as it is shown."""
        return (await self.administration.create(Asked(principal, document, query))).value

    async def run(self, document: Mapping[str, Any], principal: Any = ANN, **query: str) -> Any:
        """Make a draft, start it and return it as it is shown."""
        made = await self.make(document, principal, **query)
        return (await self.administration.start(Asked(principal, {}, query), made["id"])).value

    async def serving(self, tenant: str) -> list[str]:
        """Return the ids of what serves a tenant's calls, as this worker's memory has it now."""
        found = [experiment.id for experiment in await self.memory.running(tenant)]
        await asyncio.sleep(0)
        return found
