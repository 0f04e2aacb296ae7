"""The composition root: settings → pipeline, once per worker, on the first request that needs it.

It alone says which adapter fills which port. Azure SDKs are imported when the settings ask for them (`connections.py`): importing
the app must stay cheap, because every cold start pays for it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

import msgspec

from gateway.access.administration import Administration
from gateway.access.administration_guardrails import GuardrailAdministration
from gateway.access.administration_subscriptions import SubscriptionAdministration
from gateway.access.audit import Audit
from gateway.access.directory import Directory
from gateway.access.front import Front
from gateway.access.memory import Memory
from gateway.access.response_ids import ResponseIds
from gateway.adapters.catalog_source import CatalogUnusable, parse_catalog
from gateway.adapters.clock import SystemClock
from gateway.alerts.desk import Desk
from gateway.alerts.housekeeping import Chore, Housekeeping
from gateway.alerts.office import open_office
from gateway.alerts.overhearing import OverheardTables
from gateway.assembly import Parts, assemble, open_guards
from gateway.budgets import Budgets
from gateway.cached import Cached
from gateway.connections import open_doors, open_spool
from gateway.domain.access import DEFAULT_TENANT
from gateway.domain.catalog import Catalog
from gateway.domain.ids import random_hex
from gateway.doorway import authenticator_of, front_of
from gateway.errors import GatewayError, RequestError, Unavailable
from gateway.guardrails.check import guardrail_check
from gateway.guardrails.masking.vault import Vault
from gateway.limits.administration import LimitsAdministration
from gateway.limits.limiter import Limiter
from gateway.limits.proof import Prover
from gateway.limits.reconcile import Reconciler
from gateway.metering.records import Recorder
from gateway.metering.reports import Reports
from gateway.metering.tokens import TokenCounter
from gateway.pipeline import Pipeline
from gateway.ports import Blobs, Tables
from gateway.replaying import Replaying
from gateway.routing.caps import Caps
from gateway.routing.control import OVERRIDES, Control
from gateway.routing.health import DeploymentState, Health
from gateway.routing.overrides import LiveCatalog
from gateway.routing.sharing import SharedHealth
from gateway.settings import Settings, SettingsError, load_settings
from gateway.studio import Ground, Studio, open_studio, replaying_of

log = logging.getLogger(__name__)

clock = SystemClock()

PROBE_TIMEOUT_S = 5.0


class Gateway(msgspec.Struct, frozen=True):
    """Everything a worker holds, wired. `close` writes what is buffered, then lets every connection go."""

    settings: Settings
    pipeline: Pipeline
    administration: Administration
    guardrails: GuardrailAdministration
    subscriptions: SubscriptionAdministration
    audit: Audit
    alerts: Desk
    budgets: Budgets
    limits: LimitsAdministration
    studio: Studio
    replaying: Replaying
    housekeeping: Housekeeping
    control: Control
    reports: Reports
    tables: Tables
    blobs: Blobs
    front: Front
    close: Callable[[], Awaitable[None]]


async def build(settings: Settings) -> Gateway:
    """Wire a gateway from its settings.

    Raises:
        CatalogUnusable: The catalogue cannot be read or is wrong.
        SettingsError: A store's location is none.
    """
    doors = await open_doors(settings, clock)
    catalog, tables = doors.catalog, doors.tables
    pepper = settings.key_pepper.encode()
    directory = Directory(tables, catalog, pepper, clock)
    counter, recorder = _meters(tables, settings, catalog)
    health = Health(rng := random.Random())  # noqa: S311 - spreads load, hides nothing
    shared, caps = await _share(tables, catalog, health)
    control, live = _control(tables, catalog, health)
    memory = Memory(directory, clock)
    guards = open_guards(doors.safety, doors.upstream, directory, Vault(tables, pepper, clock), clock)
    chores: dict[str, Chore] = {"limits": Reconciler(tables, clock).reconcile_all, "placeholders": guards.vault.purge}
    told = doors.receivers.targets
    studio = open_studio(Ground(directory, memory, doors.blobs, doors.upstream, clock, pepper, tuple(told), guards.vault.erase))
    office = open_office(tables, clock, told, studio.every_minute, {**chores, **studio.every_quarter})
    limiter = Limiter(OverheardTables(tables, office.desk.announced), clock, random_hex(8), rng)
    parts = Parts(
        catalog=_current(shared, live),
        guardian=guards.guardian,
        authenticator=authenticator_of(settings, memory, clock),
        products=memory.products,
        limiter=limiter,
        upstream=doors.upstream,
        counter=counter,
        recorder=recorder,
        health=health,
        caps=caps,
        ids=ResponseIds(pepper),
        clock=clock,
        rng=rng,
        request_timeout_s=settings.request_timeout_s,
        **studio.parts,
    )
    return Gateway(
        settings=settings,
        pipeline=assemble(parts),
        administration=Administration(directory, memory, guardrail_check),
        guardrails=guards.administration,
        subscriptions=SubscriptionAdministration(directory, memory),
        audit=Audit(tables, clock),
        alerts=office.desk,
        budgets=Budgets(tables, directory, catalog.limits, clock),
        limits=LimitsAdministration(Prover(tables, clock), Reconciler(tables, clock)),
        studio=studio,
        replaying=replaying_of(parts, studio, directory, guards.ready, _other_catalog),
        housekeeping=office.housekeeping,
        control=control,
        reports=Reports(tables, recorder, clock, live.get),
        tables=tables,
        blobs=doors.blobs,
        front=front_of(settings),
        # First what writes, then what it is written to.
        close=partial(_close, guards, studio, recorder, limiter, shared, office.desk, doors),
    )


def _other_catalog(text: str, environment: Mapping[str, str]) -> Catalog:
    """Read a catalogue that calls are replayed under."""
    try:
        return parse_catalog(text, "with.catalog", environment)
    except CatalogUnusable as exc:
        raise RequestError(f"'with.catalog' cannot be used: {exc}", param="with.catalog", code="invalid_value") from exc


def _meters(tables: Tables, settings: Settings, catalog: Catalog) -> tuple[TokenCounter, Recorder]:
    """Return what counts tokens and what writes records, both at work; warn of what nobody knows the price of."""
    _warn_of_unpriced(catalog)
    counter, recorder = TokenCounter(), Recorder(tables, clock, open_spool(settings))
    counter.start_loading()
    recorder.start()
    return counter, recorder


class _Closes(Protocol):
    async def close(self) -> None: ...


async def _close(*held: _Closes) -> None:
    for each in held:
        await each.close()


def _warn_of_unpriced(catalog: Catalog) -> None:
    if catalog.unpriced:
        log.warning(
            "these deployments have no price: %s; reports count their calls as unpriced, and budgets refuse them: give each a `price` in "
            "the catalogue, or at PATCH /manage/deployments",
            ", ".join(catalog.unpriced),
        )


def _current(shared: SharedHealth, live: LiveCatalog) -> Callable[[], Awaitable[Catalog]]:
    async def current() -> Catalog:
        shared.tick(clock.now_s())
        return await live.get()

    return current


async def _share(tables: Tables, catalog: Catalog, health: Health) -> tuple[SharedHealth, Caps]:
    """Return what workers tell each other; what others used of capped deployments is known at once."""
    caps = Caps(watching=any(each.cap for each in catalog.deployments.values()))
    shared = SharedHealth(tables, clock, health, random_hex(8), caps)
    await shared.start()
    return shared, caps


def _control(tables: Tables, catalog: Catalog, health: Health) -> tuple[Control, LiveCatalog]:
    """Return what changes the catalogue while it runs, and the catalogue that follows the changes, those of other workers too."""

    def states() -> dict[str, DeploymentState]:
        return {state.deployment: state for state in health.states(clock.now_s())}

    control = Control(tables, catalog, states, lambda: overrides.forget(OVERRIDES))
    overrides = Cached(control.read, clock)
    return control, LiveCatalog(catalog, lambda: overrides.get(OVERRIDES))


class _Worker:
    """The one gateway of this worker process."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None
        self._building = asyncio.Lock()

    async def get(self) -> Gateway:
        if self.gateway is None:
            async with self._building:
                if self.gateway is None:
                    self.gateway = await _build_or_refuse()
        return self.gateway

    async def shutdown(self) -> None:
        gateway, self.gateway = self.gateway, None
        if gateway is not None:
            await gateway.close()


async def _build_or_refuse() -> Gateway:
    try:
        return await build(load_settings())
    except (SettingsError, CatalogUnusable) as exc:
        # Not remembered: a setting that is put right, or a catalogue that comes back, serves the next request.
        log.critical("the gateway cannot start: %s", exc)
        raise Unavailable(
            "the gateway's configuration cannot be used; its operator finds the reason in the log", code="misconfigured"
        ) from exc


_worker = _Worker()


async def get() -> Gateway:
    """Return this worker's gateway, building it on the first call; Unavailable while the configuration cannot be used."""
    return _worker.gateway or await _worker.get()


async def check() -> str | None:
    """Return what is wrong with the configuration, for a host that wants to say so before it serves; None if nothing is."""
    try:
        await (await open_doors(load_settings(), clock)).close()
    except (SettingsError, CatalogUnusable) as exc:
        return str(exc)
    return None


async def readiness() -> dict[str, str]:
    """Ask everything that a call needs; returns `ok` or a code per dependency, never an address."""
    try:
        gateway = await get()
    except GatewayError as exc:
        return {"configuration": exc.code}
    tables, blobs = await asyncio.gather(
        _probe(gateway.tables.get("tenants", "tenant", DEFAULT_TENANT)), _probe(gateway.blobs.list("readiness", limit=1))
    )
    return {"configuration": "ok", "tables": tables, "blobs": blobs}


async def _probe(question: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await question
    except TimeoutError:
        return "timeout"
    except GatewayError as exc:
        return exc.code
    return "ok"


async def shutdown() -> None:
    """Write what is buffered and close; the next `get` builds anew."""
    await _worker.shutdown()
