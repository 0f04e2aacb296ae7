"""What prompts, experiments, conversations, lookups and captures are made of, put together for one worker.

The street gets `prompting`, `captures` and `services`; administrators the rest. Nothing here decides anything.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from gateway.access.directory import Directory
from gateway.access.memory import Memory
from gateway.alerts.events import Alert, Kind, alert_id, subject_of
from gateway.alerts.housekeeping import Chore
from gateway.alerts.outbox import Outbox
from gateway.assembly import Parts
from gateway.captures.capture import Captures
from gateway.conversations.history import Histories
from gateway.conversations.sessions import ErasePlaceholders, Sessions
from gateway.conversations.turns import Turns
from gateway.domain.access import Product
from gateway.domain.call import Operation
from gateway.domain.catalog import Catalog
from gateway.domain.experiments import Experiment
from gateway.domain.guardrails import Guardrail, TenantRule
from gateway.domain.prompts import PromptVersion
from gateway.errors import NotFound
from gateway.experiments.administration import ExperimentAdministration
from gateway.experiments.feedback import Feedback
from gateway.experiments.lifecycle_changes import Lifecycle, Surroundings
from gateway.experiments.memory import ExperimentMemory
from gateway.experiments.observations import Observations
from gateway.experiments.results import Results
from gateway.experiments.store import ExperimentStore
from gateway.experiments.watch import Acts, Watch
from gateway.guardrails.kinds import Guard
from gateway.lookups.administration import LookupAdministration
from gateway.lookups.lookups import Lookups
from gateway.pipeline import Service
from gateway.ports import Blobs, Clock, Upstream
from gateway.prompting import Prompting, expanded
from gateway.prompts import render
from gateway.prompts.administration import PromptAdministration
from gateway.prompts.library_opening import Prompts, open_prompts
from gateway.prompts.shelf import Shelf
from gateway.replaying import Replaying, Sources

# What tells administrators: (kind, tenant, facts).
type Announce = Callable[[str, str, Mapping[str, Any]], Awaitable[object]]
type Parse = Callable[[str, Mapping[str, str]], Catalog]
WATCH = "the watch over experiments"  # who moves a label when a winner is promoted


class Studio(msgspec.Struct, frozen=True):
    """What a worker holds of them.

    Attributes:
        prompting: Step 4 of the street.
        captures: Where calls are kept.
        services: What is no call of a model, by operation.
        every_minute: Chores.
        every_quarter: Chores.
    """

    prompting: Prompting
    captures: Captures
    turns: Turns
    sessions: Sessions
    services: Mapping[Operation, Service]
    library: Prompts
    prompts: PromptAdministration
    experiments: ExperimentAdministration
    lookups: LookupAdministration
    every_minute: Mapping[str, Chore]
    every_quarter: Mapping[str, Chore]

    @property
    def parts(self) -> dict[str, Any]:
        """What of it the street is made of (`assembly.Parts`)."""
        return {"prompting": self.prompting, "captures": self.captures, "services": self.services}

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.turns.close()
        await self.captures.close()


class Ground(msgspec.Struct, frozen=True):
    """What it is built on; `told` are the names of those who are told of alerts."""

    directory: Directory
    memory: Memory
    blobs: Blobs
    upstream: Upstream
    clock: Clock
    pepper: bytes
    told: tuple[str, ...]
    erase_placeholders: ErasePlaceholders

    def __repr__(self) -> str:
        return "Ground(…)"  # the pepper is a secret


def open_studio(ground: Ground) -> Studio:
    """Put it together."""
    tables, clock, catalog = ground.directory.tables, ground.clock, ground.directory.catalog
    prompts = open_prompts(tables, clock, catalog.lookups, ground.directory.tenant)
    memory = prompts.memory
    store = ExperimentStore(tables)
    running, observations = ExperimentMemory(store, clock), Observations(tables, clock)
    results = Results(observations)
    about = Surroundings(memory.resolve, _mover(prompts), partial(_model_id, catalog), partial(_has_tenant, ground.directory))
    experiments = ExperimentAdministration(store, running, about, results.of, clock)
    watch = Watch(results, _acts(store, experiments.lifecycle, announcer(Outbox(tables, clock, ground.told).add, clock)))
    lookups = Lookups(ground.upstream, tables, clock, catalog.lookup_backends)
    histories = Histories(tables, ground.blobs, ground.pepper, clock)
    turns, sessions = Turns(histories, clock), Sessions(histories, ground.erase_placeholders)
    captures, feedback = Captures(ground.blobs, clock), Feedback(tables, clock)
    shelf = Shelf(memory, ground.memory.products.get, render.variables_of)
    return Studio(
        prompting=Prompting(memory, running, lookups, turns, clock),
        captures=captures,
        turns=turns,
        sessions=sessions,
        services={
            Operation.LIST_PROMPTS: shelf.list,
            Operation.GET_PROMPT: shelf.show,
            Operation.PROMPT_API: shelf.api,
            Operation.FEEDBACK: feedback.receive,
            Operation.ERASE_SESSION: sessions.erase,
        },
        library=prompts,
        prompts=prompts.administration,
        experiments=experiments,
        lookups=LookupAdministration(tables, catalog.lookups, clock, lookups.forget),
        every_minute={"feedback": feedback.join, "experiments": watch.look},
        every_quarter={"old feedback": feedback.purge, "old conversations": histories.purge, "old captures": captures.purge},
    )


async def _has_tenant(directory: Directory, tenant: str) -> bool:
    return await directory.tenant(tenant) is not None


def _model_id(catalog: Catalog, name: str) -> str | None:
    model = catalog.find(name)
    return model.id if model is not None and not model.hidden else None


def _mover(prompts: Prompts) -> Callable[[str, str, str, int, str], Awaitable[object]]:
    """Return what puts a label on a version, and lets this worker follow at once."""

    async def move(tenant: str, name: str, label: str, version: int, who: str) -> None:
        await prompts.library.set_label(tenant, name, label, version, by=who)
        prompts.memory.forget(tenant, name)

    return move


def _acts(store: ExperimentStore, lifecycle: Lifecycle, announce: Announce) -> Acts:
    """Return what the watch over experiments does."""

    async def roll_back(experiment: Experiment, reason: str) -> bool:
        return (await lifecycle.roll_back(experiment.tenant, experiment.id, reason)).ended

    async def promote(experiment: Experiment, winner: str, reason: str) -> bool:
        return (await lifecycle.promote(experiment.tenant, experiment.id, winner, reason, WATCH)).ended

    return Acts(store.all_serving, roll_back, promote, announce)


def announcer(add: Callable[[Alert], Awaitable[object]], clock: Clock) -> Announce:
    """Return what makes an alert of an experiment that the watch ended.

    Args:
        add: Takes alerts.
        clock: The time.
    """

    async def announce(kind: str, tenant: str, facts: Mapping[str, Any]) -> None:
        name, at = str(facts["experiment"]), clock.utc()
        named = alert_id(at, kind, tenant, name, str(facts["started_at"]))
        await add(Alert(named, Kind.EXPERIMENT, subject_of("experiment", tenant, name), tenant, at, {"event": kind, **facts}))

    return announce


def replaying_of(
    parts: Parts,
    studio: Studio,
    directory: Directory,
    ready: Callable[[Guardrail], Guard],
    parse: Callable[[str, Mapping[str, str]], Catalog],
) -> Replaying:
    """Return what runs captured calls again.

    Args:
        parts: What the street that serves is made of.
        studio: Has the captures and the prompts.
        directory: Knows products and tenants' own guardrails.
        ready: Makes a guardrail run.
        parse: Reads a catalogue; RequestError says what is wrong with it.
    """

    async def product(product_id: str) -> Product | None:
        return await directory.product(product_id)

    async def rules(tenant: str) -> tuple[TenantRule, ...]:
        stored = await directory.tenant(tenant)
        return stored.value.rules if stored is not None else ()

    async def version(tenant: str, name: str, wanted: int | str) -> PromptVersion | None:
        try:
            return await studio.library.memory.resolve(tenant, name, wanted)
        except NotFound:
            return None

    return Replaying(studio.captures, parts, Sources(product, rules, version, studio.library.library.version, expanded, ready, parse))
