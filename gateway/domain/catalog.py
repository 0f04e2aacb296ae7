"""What clients ask for: models, the pools of deployments behind them, and the rules that lead there. Indexed, frozen.

`domain/catalog_file.py` builds a `Catalog` from the file.
"""

import datetime
import fnmatch
import functools
from collections.abc import Mapping

import msgspec

from gateway.domain.access import Product
from gateway.domain.deployment import Backend, Deployment, PoolMember, Price, scaled
from gateway.domain.guardrails import BUILT_IN, Guardrail
from gateway.domain.limits import NO_LIMITS, Limits
from gateway.domain.lookups import Lookup
from gateway.domain.policy import Enrichment, Fallbacks, Lifecycle, Rule, TenantPrice, Tier, Transform

_NO_BACKENDS: Mapping[str, Backend] = {}
_NO_LOOKUPS: Mapping[str, Lookup] = {}


class Model(msgspec.Struct, frozen=True):
    """A public name that clients ask for, and the pool behind it.

    Attributes:
        attempt_timeout_s: How long one deployment may take to begin before the next one is asked; None: the whole deadline.
        capabilities: What its deployments can do, unless they say otherwise; empty says nothing, and nothing is refused for it.
        default_output_tokens: The ceiling of a call that brings none.
        quality_floor: Deployments of lower `quality` are left out.
        latency_ceiling_s: `lowest-cost` leaves out what is slower to its first token, if anything is faster.
        hash_on: What `consistent-hash` keeps together: user | session | subscription | prompt.
        hidden: It stands for a backend at /ai/{backend} and is not listed.
    """

    id: str
    pool: tuple[PoolMember, ...]
    aliases: tuple[str, ...] = ()
    max_attempts: int = 3
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    created: int = 0
    strategy: str = "priority"
    attempt_timeout_s: float | None = None
    fallbacks: Fallbacks = Fallbacks()
    lifecycle: Lifecycle = Lifecycle()
    tiers: tuple[Tier, ...] = ()
    default_output_tokens: int | None = None
    quality_floor: float | None = None
    latency_ceiling_s: float | None = None
    hash_on: str = "session"
    enrich: tuple[Enrichment, ...] = ()
    transform: tuple[Transform, ...] = ()
    hidden: bool = False


class Catalog:
    """All of it, indexed. Immutable: a reload makes a new one.

    Args:
        models: In the order of the file; each backend that is not asked for by model has a hidden one.
        products: Those the file defines; the store may hold more.
        rules: In the order in which they are tried.
        tenant_prices: Negotiated ones, the first that fits and holds counts.
        limits: Of the whole gateway: all tenants together.
        guardrails: By name, the built-in ones included.
        guard_backends: Those whose services guardrails ask, by id.
        lookups: What prompts may look up, by id.
        lookup_backends: The backends that lookups ask, by id.
    """

    def __init__(
        self,
        models: tuple[Model, ...],
        products: tuple[Product, ...],
        rules: tuple[Rule, ...] = (),
        tenant_prices: tuple[TenantPrice, ...] = (),
        limits: Limits = NO_LIMITS,
        guardrails: Mapping[str, Guardrail] = BUILT_IN,
        guard_backends: Mapping[str, Backend] = _NO_BACKENDS,
        lookups: Mapping[str, Lookup] = _NO_LOOKUPS,
        lookup_backends: Mapping[str, Backend] = _NO_BACKENDS,
    ) -> None:
        self.limits = limits
        self.guardrails = guardrails
        self.guard_backends = guard_backends
        self.lookups = lookups
        self.lookup_backends = lookup_backends
        self.models = models
        self.products: Mapping[str, Product] = {product.id: product for product in products}
        self.rules = rules
        self.tenant_prices = tenant_prices
        self._discounts: dict[tuple[int, str], Price] = {}
        self._by_name: dict[str, Model] = {}
        for model in models:
            for name in (model.id, *model.aliases):
                self._by_name[name] = model
        members = [member for model in models for member in model.pool] + [member for rule in rules for member in rule.pool]
        self.deployments: Mapping[str, Deployment] = {member.deployment.id: member.deployment for member in members}

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The deployments whose price nobody knows, by id: what their calls cost is unknown, which is not nothing."""
        return tuple(sorted(deployment.id for deployment in self.deployments.values() if deployment.price is None))

    def find(self, name: str) -> Model | None:
        """Return the model of that id or alias, in constant time."""
        return self._by_name.get(name)

    def visible(self, product: Product, utc: datetime.datetime, narrowed: tuple[str, ...] = ()) -> list[Model]:
        """Return the models that the product allows and that are still served, in the order of the file.

        Args:
            product: The caller's.
            utc: The time.
            narrowed: The subscription's own globs; empty leaves the product's as they are.
        """
        served = (model for model in self.models if not model.hidden and not model.lifecycle.is_over(utc))
        return [model for model in served if allows(product, model, narrowed)]

    def price(self, deployment: Deployment, tenant: str, utc: datetime.datetime) -> Price | None:
        """Return what a tenant pays for a deployment now: the negotiated price, else the deployment's own; None if there is none."""
        price = deployment.price
        for index, negotiated in enumerate(self.tenant_prices):
            if negotiated.holds(tenant, deployment.id, utc):
                price = negotiated.price or self._discounted(index, negotiated, deployment)
                break
        return price if price is None else price.at(utc)

    def _discounted(self, index: int, negotiated: TenantPrice, deployment: Deployment) -> Price | None:
        """Return the deployment's price less a discount; made once for each."""
        if deployment.price is None:
            return None
        key = (index, deployment.id)
        found = self._discounts.get(key)
        if found is None:
            found = self._discounts[key] = scaled(deployment.price, negotiated.share_ppm)
        return found


def allows(product: Product, model: Model, narrowed: tuple[str, ...] = ()) -> bool:
    """Tell whether one of the product's globs matches the model's id, and one of those that narrow them, if there are any."""
    return matches(product.models, model.id) and (not narrowed or matches(narrowed, model.id))


@functools.lru_cache(maxsize=65536)
def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Tell whether one of the globs matches the name, letter case included."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
