"""Opens what the settings name: the catalogue, tables, blobs, queues, the network, who is told of alerts, the managed identity.

For the container alone, which says which of them fills which port. Azure SDKs are imported by the first that needs them.
"""

import asyncio
import hashlib
import importlib
from typing import Any

import msgspec

from gateway.adapters.catalog_source import load_catalog
from gateway.adapters.late_queue import LateQueue
from gateway.adapters.late_safety import LateSafety
from gateway.adapters.spool import FileSpool
from gateway.adapters.upstream import Client, PooledUpstream
from gateway.adapters.upstream_aiohttp import AiohttpUpstream
from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Auth
from gateway.domain.secret_references import is_referred
from gateway.guardrails.check import guardrail_check
from gateway.metering.price_table import bundled_prices
from gateway.ports import Blobs, Clock, ContentSafety, JobQueue, Tables
from gateway.receivers import Receivers, open_receivers, webhook_fault
from gateway.settings import Settings, SettingsError


class Identity:
    """The managed identity, whose SDK is imported by the first that asks."""

    def __init__(self, client_id: str | None) -> None:
        self._client_id = client_id
        self._identity: Any = None

    async def token(self, auth: Auth) -> str:
        """Return a backend's bearer token."""
        token: str = await (await self._open()).token(auth)
        return token

    async def credential(self) -> Any:
        """Return what Azure's SDKs authenticate with."""
        return await (await self._open()).credential()

    async def close(self) -> None:
        """Let its connections go, if it has any."""
        if self._identity is not None:
            await (await self._open()).close()

    async def _open(self) -> Any:
        if self._identity is None:
            entra = await asyncio.to_thread(importlib.import_module, "gateway.adapters.entra")
            self._identity = self._identity or entra.ManagedIdentity(self._client_id)
        return self._identity


class Doors(msgspec.Struct, frozen=True):
    """What leads outside."""

    identity: Identity
    catalog: Catalog
    receivers: Receivers
    tables: Tables
    blobs: Blobs
    upstream: Client
    safety: ContentSafety | None

    async def close(self) -> None:
        """Close them all."""
        for each in (self.receivers, self.upstream, self.safety, self.tables, self.blobs, self.identity):
            if each is not None:
                await each.close()


async def open_doors(settings: Settings, clock: Clock) -> Doors:
    """Open all of it.

    Raises:
        CatalogUnusable: The catalogue cannot be read or is wrong.
        SettingsError: A location is none.
    """
    identity = Identity(settings.identity_client_id)
    catalog = await load_catalog(settings.catalog, settings.environment, book=bundled_prices(), check=guardrail_check)
    receivers = _receivers(settings, open_queue(settings, identity), clock)
    tables, blobs = await open_stores(settings, identity)
    upstream = _upstream(settings, identity, clock, catalog)
    return Doors(identity, catalog, receivers, tables, blobs, upstream, open_safety(settings, identity, clock))


def _upstream(settings: Settings, identity: Identity, clock: Clock, catalog: Catalog) -> Client:
    kind = AiohttpUpstream if settings.http_client == "aiohttp" else PooledUpstream
    client = kind(identity.token, clock, idle_timeout_s=settings.stream_idle_timeout_s)
    backends = [each.backend for each in catalog.deployments.values()]
    backends += [each.backend for model in catalog.models for each in model.enrich]
    if not any(is_referred(backend.auth) for backend in backends):  # then nothing stands between a call and its connection
        return client
    from gateway.adapters.keyvault import KeyVault  # noqa: PLC0415 - only where it is used
    from gateway.adapters.upstream_secrets import SecretUpstream  # noqa: PLC0415

    return SecretUpstream(client, KeyVault(settings.keyvault_suffix, identity.token, clock))


def _receivers(settings: Settings, queue: JobQueue | None, clock: Clock) -> Receivers:
    """Return who is told of alerts."""
    alerts = settings.alerts
    if fault := webhook_fault(alerts.webhook, alerts.webhook_secret):
        raise SettingsError(fault)
    return open_receivers(
        alerts.webhook, alerts.webhook_secret, queue if alerts.queue else None, alerts.queue, clock, egress=settings.egress
    )


async def open_stores(settings: Settings, identity: Identity) -> tuple[Tables, Blobs]:
    """Open both stores.

    Raises:
        SettingsError: A store's location is none.
    """
    tables = await _open_tables(settings.tables, identity)
    try:
        return tables, await _open_blobs(settings.blobs, identity)
    except SettingsError:
        await tables.close()  # the next request tries again, with another
        raise


async def _open_tables(location: str, identity: Identity) -> Tables:
    if location.startswith("sqlite:///"):
        from gateway.adapters.tables_sqlite import SqliteTables  # noqa: PLC0415 - only where it is used

        return SqliteTables(location.removeprefix("sqlite:///"))
    fault = "GATEWAY_TABLES is no sqlite:/// path, no endpoint and no connection string"
    tables: Tables = await _connect("gateway.adapters.tables", location, identity, fault)
    return tables


async def _open_blobs(location: str, identity: Identity) -> Blobs:
    if location.startswith("file://"):
        from gateway.adapters.blobs_files import FileBlobs  # noqa: PLC0415 - only where it is used

        return FileBlobs(location.removeprefix("file://"))
    fault = "GATEWAY_BLOBS is no file:/// path, no endpoint and no connection string"
    blobs: Blobs = await _connect("gateway.adapters.blobs", location, identity, fault)
    return blobs


async def _connect(adapter: str, location: str, identity: Identity, fault: str) -> Any:
    """Connect an Azure adapter, importing its SDK; `fault` says what a location that is none should have been."""
    module = await asyncio.to_thread(importlib.import_module, adapter)
    try:
        return module.connect(location, await identity.credential() if _is_endpoint(location) else None)
    except ValueError as exc:
        raise SettingsError(fault) from exc


def _is_endpoint(location: str) -> bool:
    """Tell an endpoint, which needs an identity, from a connection string, which carries its own key."""
    return location.startswith(("https://", "http://"))


def open_queue(settings: Settings, identity: Identity) -> JobQueue | None:
    """Return where queues are, opened by the first message; None where there are none."""
    location = settings.servicebus
    if not location:
        return None

    async def connect() -> JobQueue:
        module = await asyncio.to_thread(importlib.import_module, "gateway.adapters.queue")
        opened: JobQueue = module.connect(location, None if "://" in location else await identity.credential())
        return opened

    return LateQueue(connect)


def open_safety(settings: Settings, identity: Identity, clock: Clock) -> ContentSafety | None:
    """Return Content Safety, connected by the first text that it judges; None where it is not configured."""
    safety = settings.safety
    if not safety.endpoint:
        return None

    async def connect() -> ContentSafety:
        module = await asyncio.to_thread(importlib.import_module, "gateway.adapters.content_safety")
        credential = None if safety.key else await identity.credential()
        connected: ContentSafety = module.connect(safety.endpoint, safety.key, credential, clock)
        return connected

    return LateSafety(connect)


def open_spool(settings: Settings) -> FileSpool:
    """Return where records wait while the store is down; another store's gateways may wait in the same folder."""
    # A signature or key in the location may change, and is nobody else's business.
    parts = settings.tables.partition("?")[0].split(";")
    named = ";".join(part for part in parts if not part.lower().startswith(("accountkey=", "sharedaccesssignature=")))
    return FileSpool(settings.spool, hashlib.sha256(named.encode()).hexdigest()[:16], settings.spool_bytes)
