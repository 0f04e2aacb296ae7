"""The street, put together from its parts: the same way by the container for a worker and by the tests over fakes."""

import random
from collections.abc import Awaitable, Callable

import msgspec

from gateway.access.authenticate import Authenticator
from gateway.access.cached import Cached
from gateway.admission import Admission
from gateway.answering import Answering
from gateway.attempts import Attempts
from gateway.dispatch import Dispatcher
from gateway.domain.access import Product
from gateway.domain.catalog import Catalog
from gateway.domain.response_ids import Ids
from gateway.guarding import Guardian
from gateway.limits.limiter import Limiter
from gateway.metering.records import Recorder
from gateway.metering.tokens import TokenCounter
from gateway.pipeline import Pipeline
from gateway.ports import Clock, Upstream
from gateway.providers.registry import provider_for
from gateway.routing.caps import Caps
from gateway.routing.gate import Gates
from gateway.routing.health import Health
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
    gates: Gates
    caps: Caps
    ids: Ids
    clock: Clock
    rng: random.Random
    request_timeout_s: float


def assemble(parts: Parts) -> Pipeline:
    """Return the street."""
    clock, rng, caps = parts.clock, parts.rng, parts.caps
    attempts = Attempts(
        health=parts.health,
        gates=parts.gates,
        providers=provider_for,
        upstream=parts.upstream,
        clock=clock,
        rng=rng,
    )
    planner = Planner(parts.health, provider_for, lambda deployment: caps.closed_s(deployment, clock.utc()), rng)
    settlement = Settlement(
        parts.limiter,
        parts.counter,
        parts.recorder,
        clock,
        lambda deployment, tokens, cost_micro_usd: caps.add(deployment, tokens, cost_micro_usd, clock.utc()),
    )
    dispatcher = Dispatcher(planner, attempts, provider_for, parts.counter, clock)
    return Pipeline(
        catalog=parts.catalog,
        authenticator=parts.authenticator,
        products=parts.products,
        admission=Admission(parts.limiter, dispatcher.count, clock),
        guardian=parts.guardian,
        dispatcher=dispatcher,
        answering=Answering(settlement, parts.ids, clock),
        health=parts.health,
        settlement=settlement,
        ids=parts.ids,
        upstream=parts.upstream,
        clock=clock,
        request_timeout_s=parts.request_timeout_s,
    )
