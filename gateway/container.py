"""The composition root: settings → pipeline, once per worker, on the first request that needs it.

The only module that knows every adapter. Azure SDKs are imported inside functions, when the settings ask for them:
importing the app must stay cheap, because every cold start pays for it.
"""

import asyncio
import hashlib
import importlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.access.administration import Administration
from gateway.access.administration_subscriptions import SubscriptionAdministration
from gateway.access.audit import Audit
from gateway.access.authenticate import Authenticator
from gateway.access.cached import Cached
from gateway.access.directory import Directory
from gateway.access.entra_tokens import TokenVerifier
from gateway.access.front import Front
from gateway.access.jwks import SigningKeys
from gateway.access.memory import Memory
from gateway.access.response_ids import ResponseIds
from gateway.adapters.catalog_source import CatalogUnusable, load_catalog
from gateway.adapters.clock import SystemClock
from gateway.adapters.late_queue import LateQueue
from gateway.adapters.spool import FileSpool
from gateway.adapters.upstream import PooledUpstream
from gateway.adapters.upstream_aiohttp import AiohttpUpstream
from gateway.alerts.desk import Desk
from gateway.alerts.housekeeping import Housekeeping
from gateway.alerts.office import open_office
from gateway.alerts.overhearing import OverheardTables
from gateway.assembly import Parts, assemble
from gateway.budgets import Budgets
from gateway.domain.access import DEFAULT_TENANT, Network
from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Auth
from gateway.domain.ids import random_hex
from gateway.errors import GatewayError, Unavailable
from gateway.limits.administration import LimitsAdministration
from gateway.limits.limiter import Limiter
from gateway.limits.proof import Prover
from gateway.limits.reconcile import Reconciler
from gateway.metering.price_table import bundled_prices
from gateway.metering.records import Recorder
from gateway.metering.reports import Reports
from gateway.metering.tokens import TokenCounter
from gateway.pipeline import Pipeline
from gateway.ports import Blobs, JobQueue, Tables
from gateway.receivers import Receivers, open_receivers, webhook_fault
from gateway.routing.caps import Caps
from gateway.routing.control import OVERRIDES, Control
from gateway.routing.gate import Gates
from gateway.routing.health import DeploymentState, Health
from gateway.routing.overrides import LiveCatalog
from gateway.routing.sharing import SharedHealth
from gateway.settings import Settings, SettingsError, load_settings

log = logging.getLogger(__name__)

clock = SystemClock()

PROBE_TIMEOUT_S = 5.0


class Gateway(msgspec.Struct, frozen=True):
    """Everything a worker holds, wired. `close` writes what is buffered, then lets every connection go."""

    settings: Settings
    pipeline: Pipeline
    administration: Administration
    subscriptions: SubscriptionAdministration
    audit: Audit
    alerts: Desk
    budgets: Budgets
    limits: LimitsAdministration
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
    identity = _Identity(settings.identity_client_id)
    catalog = await load_catalog(settings.catalog, settings.environment, book=bundled_prices())
    if catalog.unpriced:
        log.warning("no price is known of these deployments, so what their calls cost is not either: %s", ", ".join(catalog.unpriced))
    receivers = _receivers(settings, _queue(settings, identity))
    tables, blobs = await _open_stores(settings, identity)
    pepper = settings.key_pepper.encode()
    directory = Directory(tables, catalog, pepper, clock)
    client = AiohttpUpstream if settings.http_client == "aiohttp" else PooledUpstream
    upstream = client(identity.token, clock, idle_timeout_s=settings.stream_idle_timeout_s)
    counter, recorder = TokenCounter(), Recorder(tables, clock, _spool(settings))
    counter.start_loading()
    rng = random.Random()  # noqa: S311 - spreads load, hides nothing
    health = Health(rng)
    shared, caps = await _share(tables, catalog, health)
    control, live = _control(tables, catalog, health)

    async def current() -> Catalog:
        shared.tick(clock.now_s())
        return await live.get()

    memory = Memory(directory, clock)
    office = open_office(tables, clock, receivers.targets, {"limits": Reconciler(tables, clock).reconcile_all})
    limiter = Limiter(OverheardTables(tables, office.desk.announced), clock, random_hex(8), rng)
    parts = Parts(
        catalog=current,
        authenticator=_authenticator(settings, memory),
        products=memory.products,
        limiter=limiter,
        upstream=upstream,
        counter=counter,
        recorder=recorder,
        health=health,
        gates=Gates(),
        caps=caps,
        ids=ResponseIds(pepper),
        clock=clock,
        rng=rng,
        request_timeout_s=settings.request_timeout_s,
    )

    async def close() -> None:
        await recorder.close()
        await limiter.close()
        await shared.close()
        await office.desk.close()
        await receivers.close()
        await upstream.close()
        await tables.close()
        await blobs.close()
        await identity.close()

    recorder.start()
    return Gateway(
        settings=settings,
        pipeline=assemble(parts),
        administration=Administration(directory, memory),
        subscriptions=SubscriptionAdministration(directory, memory),
        audit=Audit(tables, clock),
        alerts=office.desk,
        budgets=Budgets(tables, directory, catalog.limits, clock),
        limits=LimitsAdministration(Prover(tables, clock), Reconciler(tables, clock)),
        housekeeping=office.housekeeping,
        control=control,
        reports=Reports(tables, recorder, clock, live.get),
        tables=tables,
        blobs=blobs,
        front=_front(settings),
        close=close,
    )


def _spool(settings: Settings) -> FileSpool:
    """Return where records wait while the store is down; another store's gateways may wait in the same folder."""
    # A signature or key in the location may change, and is nobody else's business.
    parts = settings.tables.partition("?")[0].split(";")
    named = ";".join(part for part in parts if not part.lower().startswith(("accountkey=", "sharedaccesssignature=")))
    return FileSpool(settings.spool, hashlib.sha256(named.encode()).hexdigest()[:16], settings.spool_bytes)


def _authenticator(settings: Settings, memory: Memory) -> Authenticator:
    """Return who tells callers; what it needs for tokens is imported where they are believed."""
    tokens = None
    if settings.entra.tenants:
        from gateway.adapters.jwks import KeySetEndpoint, keys_url  # noqa: PLC0415 - only where it is used

        keys = {
            tenant: SigningKeys(KeySetEndpoint(keys_url(settings.entra.jwks_url, tenant)).fetch, tenant, clock)
            for tenant in settings.entra.tenants
        }
        tokens = TokenVerifier(frozenset(settings.entra.audiences), keys, clock)
    return Authenticator(
        memory.records,
        settings.key_pepper.encode(),
        settings.admin_key,
        identities=memory.identities,
        tokens=tokens,
        products=memory.products,
        front=_front(settings),
    )


def _queue(settings: Settings, identity: "_Identity") -> JobQueue | None:
    """Return where queues are, opened by the first message; None where there are none."""
    location = settings.servicebus
    if not location:
        return None

    async def connect() -> JobQueue:
        module = await asyncio.to_thread(importlib.import_module, "gateway.adapters.queue")
        opened: JobQueue = module.connect(location, None if "://" in location else await identity.credential())
        return opened

    return LateQueue(connect)


def _receivers(settings: Settings, queue: JobQueue | None) -> Receivers:
    """Return who is told of alerts."""
    alerts = settings.alerts
    if fault := webhook_fault(alerts.webhook, alerts.webhook_secret):
        raise SettingsError(fault)
    return open_receivers(alerts.webhook, alerts.webhook_secret, queue if alerts.queue else None, alerts.queue, clock)


def _front(settings: Settings) -> Front:
    door = settings.door
    network = Network(allow=door.allow, deny=door.deny)
    return Front(door.front_id, door.front_required, network, door.country_header, frozenset(door.countries_denied))


async def _open_stores(settings: Settings, identity: "_Identity") -> tuple[Tables, Blobs]:
    tables = await _open_tables(settings.tables, identity)
    try:
        return tables, await _open_blobs(settings.blobs, identity)
    except SettingsError:
        await tables.close()  # the next request tries again, with another
        raise


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


async def _open_tables(location: str, identity: "_Identity") -> Tables:
    if location.startswith("sqlite:///"):
        from gateway.adapters.tables_sqlite import SqliteTables  # noqa: PLC0415 - only where it is used

        return SqliteTables(location.removeprefix("sqlite:///"))
    fault = "GATEWAY_TABLES is no sqlite:/// path, no endpoint and no connection string"
    tables: Tables = await _connect("gateway.adapters.tables", location, identity, fault)
    return tables


async def _open_blobs(location: str, identity: "_Identity") -> Blobs:
    if location.startswith("file://"):
        from gateway.adapters.blobs_files import FileBlobs  # noqa: PLC0415 - only where it is used

        return FileBlobs(location.removeprefix("file://"))
    fault = "GATEWAY_BLOBS is no file:/// path, no endpoint and no connection string"
    blobs: Blobs = await _connect("gateway.adapters.blobs", location, identity, fault)
    return blobs


async def _connect(adapter: str, location: str, identity: "_Identity", fault: str) -> Any:
    """Connect an Azure adapter, importing its SDK; `fault` says what a location that is none should have been."""
    module = await asyncio.to_thread(importlib.import_module, adapter)
    try:
        return module.connect(location, await identity.credential() if _is_endpoint(location) else None)
    except ValueError as exc:
        raise SettingsError(fault) from exc


def _is_endpoint(location: str) -> bool:
    """Tell an endpoint, which needs an identity, from a connection string, which carries its own key."""
    return location.startswith(("https://", "http://"))


class _Identity:
    """The managed identity, whose SDK is imported by the first that asks."""

    def __init__(self, client_id: str | None) -> None:
        self._client_id = client_id
        self._identity: object = None

    async def token(self, auth: Auth) -> str:
        token: str = await (await self._open()).token(auth)
        return token

    async def credential(self) -> Any:
        return await (await self._open()).credential()

    async def close(self) -> None:
        if self._identity is not None:
            await (await self._open()).close()

    async def _open(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - its type is the SDK's
        if self._identity is None:
            entra = await asyncio.to_thread(importlib.import_module, "gateway.adapters.entra")
            self._identity = self._identity or entra.ManagedIdentity(self._client_id)
        return self._identity


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
        settings = load_settings()
        await load_catalog(settings.catalog, settings.environment, book=bundled_prices())
        identity = _Identity(settings.identity_client_id)
        await _receivers(settings, _queue(settings, identity)).close()
        for store in await _open_stores(settings, identity):
            await store.close()
        await identity.close()
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
