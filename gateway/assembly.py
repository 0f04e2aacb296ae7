"""The street, put together from its parts: the same way by the container for a worker and by the tests over fakes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from gateway.access.administration_guardrails import GuardrailAdministration
from gateway.access.authenticate import Authenticator
from gateway.access.directory import Directory
from gateway.admission import Admission
from gateway.answering import Answering
from gateway.attempts import Attempts, ProviderFor
from gateway.cached import Cached
from gateway.captures.capture import Captures
from gateway.conversing import Conversing
from gateway.dispatch import Dispatcher
from gateway.domain.access import Product
from gateway.domain.call import Operation
from gateway.domain.catalog import Catalog
from gateway.domain.guardrails import Guardrail
from gateway.domain.response_ids import Ids
from gateway.guarding import Guardian
from gateway.guardrails.build import Workshop, build_guard
from gateway.guardrails.check import guardrail_check
from gateway.guardrails.kinds import Guard
from gateway.guardrails.masking.vault import Vault
from gateway.guardrails.services.remembered import Remembered
from gateway.guardrails.trial import TrialRoom
from gateway.limits.limiter import Limiter
from gateway.metering.records import Recorder
from gateway.metering.tokens import TokenCounter
from gateway.pipeline import Pipeline, Service
from gateway.ports import Clock, ContentSafety, Upstream
from gateway.prompting import Prompting
from gateway.providers.registry import provider_for
from gateway.routing.caps import Caps
from gateway.routing.gate import Gates
from gateway.routing.health import Health
from gateway.routing.listing import Listing
from gateway.routing.plan import Planner
from gateway.settlement import Settlement


class Parts(msgspec.Struct, frozen=True):
    """What a street is made of. `catalog` returns what can serve, as it stands now."""

    catalog: Callable[[], Awaitable[Catalog]]
    guardian: Guardian
    authenticator: Authenticator
    products: Cached[Product]
    limiter: Limiter
    upstream: Upstream
    counter: TokenCounter
    recorder: Recorder
    health: Health
    caps: Caps
    ids: Ids
    clock: Clock
    rng: random.Random
    request_timeout_s: float
    gates: Gates = msgspec.field(default_factory=Gates)
    prompting: Prompting | None = None
    captures: Captures | None = None
    services: Mapping[Operation, Service] = {}
    providers: ProviderFor = provider_for


class Guards(msgspec.Struct, frozen=True):
    """What puts calls under guard, and what of it is managed. `vault` keeps sessions' placeholders, `ready` makes guardrails run."""

    guardian: Guardian
    administration: GuardrailAdministration
    vault: Vault
    ready: Callable[[Guardrail], Guard]
    warming: asyncio.Task[None]

    async def close(self) -> None:
        """End what still loads."""
        self.warming.cancel()


def open_guards(safety: ContentSafety | None, upstream: Upstream, directory: Directory, vault: Vault, clock: Clock) -> Guards:
    """Return it, and begin to load what the first guarded call would wait for.

    Args:
        safety: Content Safety; None where it is not configured.
        upstream: The network, for a Language service.
        directory: Knows the catalogue and the tenants.
        vault: Where sessions' placeholders are.
        clock: The time.
    """
    catalog = directory.catalog
    workshop = Workshop(safety, upstream, catalog.guard_backends, Remembered(clock))

    def ready(guardrail: Guardrail) -> Guard:
        return build_guard(guardrail, workshop)

    guardian = Guardian(ready, vault, clock)
    names = sorted({name for product in catalog.products.values() for name in product.guardrails})
    warming = asyncio.create_task(guardian.warm(catalog.guardrails, names))
    return Guards(guardian, GuardrailAdministration(directory, TrialRoom(ready, clock).try_out, guardrail_check), vault, ready, warming)


def assemble(parts: Parts) -> Pipeline:
    """Return the street."""
    clock, rng, caps = parts.clock, parts.rng, parts.caps
    attempts = Attempts(
        health=parts.health,
        gates=parts.gates,
        providers=parts.providers,
        upstream=parts.upstream,
        clock=clock,
        rng=rng,
    )
    planner = Planner(parts.health, parts.providers, lambda deployment: caps.closed_s(deployment, clock.utc()), rng)
    settlement = Settlement(
        parts.limiter,
        parts.counter,
        parts.recorder,
        clock,
        lambda deployment, tokens, cost_micro_usd: caps.add(deployment, tokens, cost_micro_usd, clock.utc()),
    )
    dispatcher = Dispatcher(planner, attempts, parts.providers, parts.counter, clock)
    listing = Listing(parts.products.get, clock)
    return Pipeline(
        catalog=parts.catalog,
        authenticator=parts.authenticator,
        products=parts.products,
        conversing=Conversing(dispatcher.count, dispatcher.ask, clock),
        admission=Admission(parts.limiter, dispatcher.count, clock),
        guardian=parts.guardian,
        dispatcher=dispatcher,
        answering=Answering(settlement, parts.ids, clock, dispatcher.ask),
        health=parts.health,
        settlement=settlement,
        ids=parts.ids,
        upstream=parts.upstream,
        clock=clock,
        request_timeout_s=parts.request_timeout_s,
        prompting=parts.prompting,
        captures=parts.captures,
        services={Operation.LIST_MODELS: listing.answer, Operation.GET_MODEL: listing.answer, **parts.services},
    )
