"""Streets that capture their calls, and what runs them again."""

import random
from collections.abc import Mapping
from typing import Any

from gateway.access.authenticate import Authenticator
from gateway.access.response_ids import ResponseIds
from gateway.adapters.catalog_source import CatalogUnusable, parse_catalog
from gateway.assembly import Parts, assemble
from gateway.cached import Cached
from gateway.captures.capture import Captures
from gateway.captures.names import CONTAINER, unpack
from gateway.captures.rebuild import Expand, as_sent
from gateway.captures.record import Captured
from gateway.domain.access import DEFAULT_TENANT, Role
from gateway.domain.catalog import Catalog
from gateway.domain.conversations import Capture
from gateway.domain.guardrails import TenantRule
from gateway.domain.management import Asked
from gateway.domain.prompts import PromptVersion
from gateway.errors import RequestError
from gateway.guardrails.build import Workshop, build_guard
from gateway.guardrails.services.remembered import Remembered
from gateway.replaying import Replaying, Sources
from tests.builders import make_principal, make_product
from tests.fakes.blobs import FakeBlobs
from tests.fakes.clock import FakeClock
from tests.flow.street import ADMIN_KEY, PEPPER, REQUEST_TIMEOUT_S, Street, models

CAPTURED = make_product(id="all", capture=Capture(share=1.0, days=7))


def captured_catalog(*guardrails: Any, **over: Any) -> Catalog:
    """Every call of its product `all` is captured."""
    product = make_product(id="all", capture=Capture(), guardrails=tuple(each.id for each in guardrails))
    found = {each.id: each for each in (*guardrails, *over.pop("unused", ()))}
    return Catalog(over.pop("models", models()), (product, make_product(id="plain")), guardrails=found, **over)


class Recording(Street):
    """A street whose product `all` captures its calls, and a Replaying beside it."""

    def __init__(self, catalog: Catalog | None = None, *, expand: Expand = as_sent, clock: FakeClock | None = None) -> None:
        super().__init__(catalog or captured_catalog(), clock)
        self.blobs = FakeBlobs()
        self.captures = Captures(self.blobs, PacedClock(self.clock))
        self.versions: dict[tuple[str, str, int | str], PromptVersion] = {}
        self.rules: tuple[TenantRule, ...] = ()
        workshop = Workshop(self.safety, self.upstream, self.catalog.guard_backends, Remembered(self.clock))

        async def current() -> Catalog:
            return self.catalog

        async def rules(tenant: str) -> tuple[TenantRule, ...]:
            assert tenant == DEFAULT_TENANT
            return self.rules

        async def version(tenant: str, name: str, wanted: int | str) -> PromptVersion | None:
            return self.versions.get((tenant, name, wanted))

        self.parts = Parts(
            catalog=current,
            guardian=self.guardian,
            authenticator=Authenticator(Cached(self.directory.key_record, self.clock), PEPPER, ADMIN_KEY),
            products=Cached(self.directory.product, self.clock),
            limiter=self.limiter,
            upstream=self.upstream,
            counter=self.counter,
            recorder=self.recorder,
            health=self.health,
            gates=self.gates,
            caps=self.caps,
            ids=ResponseIds(PEPPER),
            clock=self.clock,
            rng=random.Random(7),
            request_timeout_s=REQUEST_TIMEOUT_S,
            captures=self.captures,
        )
        self.pipeline = assemble(self.parts)
        sources = Sources(self.directory.product, rules, version, version, expand, lambda config: build_guard(config, workshop), parsed)
        self.replaying = Replaying(self.captures, self.parts, sources)

    async def kept(self) -> list[Captured]:
        """Return what is in the store, in its order."""
        await self.captures.flush()
        return [unpack(self.blobs.data[CONTAINER, name]) for name in self.blobs.names()]

    async def replay(self, roles: frozenset[Role] = frozenset({Role.ADMIN}), /, **document: Any) -> dict[str, Any]:
        """Ask for a replay as an administrator of the gateway, of all of the default tenant's calls."""
        await self.captures.flush()
        asked = Asked(make_principal(tenant=DEFAULT_TENANT, roles=roles, key_id="administrator"), {"tenant": DEFAULT_TENANT} | document)
        return await self.replaying.replay(asked)


class PacedClock:
    """The street's time; waiting for the next write takes none of it."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._pace = FakeClock()
        self.now_s, self.utc, self.sleep = clock.now_s, clock.utc, self._pace.sleep


def parsed(text: str, environment: Mapping[str, str]) -> Catalog:
    """Read a catalogue as the container does."""
    try:
        return parse_catalog(text, "catalog", environment)
    except CatalogUnusable as exc:
        raise RequestError(str(exc), param="with.catalog", code="invalid_value") from exc
