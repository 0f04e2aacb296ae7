"""What operators change while the gateway runs, laid over the catalogue's file: weights, lifecycles, draining, prices.

`apply` is pure and makes a new catalogue; models that nothing changes stay the same objects, so what others remember by them
holds. `LiveCatalog` gives everybody the current one and makes a new one only when an override changed.

What the file no longer has is passed over. So are weights that would leave a pool with nobody to ask.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import Deployment, PoolMember, Price
from gateway.domain.policy import Lifecycle, Rule
from gateway.errors import StoreUnavailable


class ModelOverride(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a model: weights by deployment, for those that are to have another; None leaves the file's lifecycle."""

    weights: Mapping[str, int] = {}
    lifecycle: Lifecycle | None = None


class DeploymentOverride(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a deployment: None leaves what the file says."""

    draining: bool | None = None
    price: Price | None = None


class Overrides(msgspec.Struct, frozen=True):
    """All of them, by id."""

    models: Mapping[str, ModelOverride] = {}
    deployments: Mapping[str, DeploymentOverride] = {}


NONE = Overrides()


def apply(catalog: Catalog, overrides: Overrides) -> Catalog:
    """Return the catalogue as it stands with the overrides; itself where there are none."""
    if overrides == NONE:
        return catalog
    changed = {
        name: _deployment(catalog.deployments[name], override)
        for name, override in overrides.deployments.items()
        if name in catalog.deployments
    }
    models = tuple(_model(model, changed, overrides.models.get(model.id)) for model in catalog.models)
    rules = tuple(_rule(rule, changed) for rule in catalog.rules)
    products = tuple(catalog.products.values())
    asked = (catalog.guard_backends, catalog.lookups, catalog.lookup_backends)
    return Catalog(models, products, rules, catalog.tenant_prices, catalog.limits, catalog.guardrails, *asked)


def _deployment(deployment: Deployment, override: DeploymentOverride) -> Deployment:
    draining = deployment.draining if override.draining is None else override.draining
    if override.price is None:
        return msgspec.structs.replace(deployment, draining=draining)
    return msgspec.structs.replace(deployment, draining=draining, price=override.price, price_origin="override")


def _model(model: Model, changed: Mapping[str, Deployment], override: ModelOverride | None) -> Model:
    pool = _pool(model.pool, changed, override.weights if override else {})
    lifecycle = model.lifecycle if override is None or override.lifecycle is None else override.lifecycle
    if pool is model.pool and lifecycle is model.lifecycle:
        return model
    return msgspec.structs.replace(model, pool=pool, lifecycle=lifecycle)


def _rule(rule: Rule, changed: Mapping[str, Deployment]) -> Rule:
    pool = _pool(rule.pool, changed, {})
    return rule if pool is rule.pool else msgspec.structs.replace(rule, pool=pool)


def _pool(pool: tuple[PoolMember, ...], changed: Mapping[str, Deployment], weights: Mapping[str, int]) -> tuple[PoolMember, ...]:
    if weights and not any(weights.get(member.deployment.id, member.weight) for member in pool):
        weights = {}
    made = tuple([
        PoolMember(
            changed.get(member.deployment.id, member.deployment), member.priority, weights.get(member.deployment.id, member.weight)
        )
        for member in pool
    ])  # fmt: skip
    return pool if made == pool else made


class LiveCatalog:
    """The catalogue as it stands now, in this worker.

    Args:
        catalog: The file's.
        overrides: Returns the current ones, from memory as a rule: it is asked for every call.
    """

    def __init__(self, catalog: Catalog, overrides: Callable[[], Awaitable[Overrides | None]]) -> None:
        self._file = catalog
        self._overrides = overrides
        self._seen: Overrides = NONE
        self._current = catalog

    async def get(self) -> Catalog:
        """Return it; with the overrides that were known last where the store does not answer."""
        try:
            overrides = await self._overrides() or NONE
        except StoreUnavailable:
            return self._current
        if overrides is not self._seen:
            if overrides != self._seen:
                self._current = apply(self._file, overrides)
            self._seen = overrides
        return self._current
