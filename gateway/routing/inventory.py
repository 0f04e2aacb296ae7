"""Models and deployments as /manage shows them: what the catalogue says, what overrides changed, how each does.

No backend's URL and no credential is in it. Prices are USD per million, as in the catalogue.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import Deployment, PoolMember, Price
from gateway.routing.overrides import DeploymentOverride, ModelOverride, Overrides


def model_shape(model: Model, overrides: Overrides, states: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model and its pool."""
    override = overrides.models.get(model.id, ModelOverride())
    lifecycle = model.lifecycle
    dates = {"deprecated": lifecycle.deprecated, "sunset": lifecycle.sunset, "successor": lifecycle.successor}
    return {
        "id": model.id,
        "aliases": model.aliases,
        "strategy": model.strategy,
        "hidden": model.hidden,
        "lifecycle": {"state": lifecycle.state.value} | {name: value for name, value in dates.items() if value},
        "pool": [_member_shape(member, states) for member in model.pool],
        "overridden": [name for name in ("weights", "lifecycle") if getattr(override, name)],
    }


def _member_shape(member: PoolMember, states: Mapping[str, Any]) -> dict[str, Any]:
    deployment = member.deployment
    return {
        "deployment": deployment.id,
        "priority": member.priority,
        "weight": member.weight,
        "sku": deployment.sku,
        "data_zone": deployment.backend.data_zone,
        "draining": deployment.draining,
        "health": states.get(deployment.id),
    }


def deployment_shape(deployment: Deployment, catalog: Catalog, overrides: Overrides, states: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deployment and its places in pools."""
    override = overrides.deployments.get(deployment.id, DeploymentOverride())
    places = [
        {"model": model.id, "priority": member.priority, "weight": member.weight}
        for model in catalog.models
        for member in model.pool
        if member.deployment.id == deployment.id
    ]
    return {
        "id": deployment.id,
        "backend": deployment.backend.id,
        "protocol": deployment.backend.protocol.value,
        "name": deployment.name,
        "sku": deployment.sku,
        "region": deployment.backend.region,
        "data_zone": deployment.backend.data_zone,
        "quota_group": deployment.quota_group,
        "price": price_shape(deployment.price),
        "price_origin": deployment.price_origin or "none",
        "draining": deployment.draining,
        "pools": places,
        "health": states.get(deployment.id),
        "overridden": [name for name in ("draining", "price") if getattr(override, name) is not None],
    }


def price_shape(price: Price | None) -> dict[str, Any] | None:
    """Return a price in USD per million; `ptu_hour` in USD an hour."""
    if price is None:
        return None
    names = ("input", "cached_input", "cache_write", "cache_write_1h", "output", "audio_input", "audio_output", "unit", "ptu_hour")
    shape: dict[str, Any] = {name: value / 1_000_000 for name in names if (value := getattr(price, name)) is not None}
    if price.units:
        shape["units"] = {name: value / 1_000_000 for name, value in price.units}
    if price.tiers:
        shape["tiers"] = [{"over_tokens": tier.over_tokens, **(price_shape(_flat(tier.price)) or {})} for tier in price.tiers]
    if price.later:
        shape["later"] = [{"from": dated.since.isoformat(), **(price_shape(dated.price) or {})} for dated in price.later]
    return shape | ({"amortised": True} if price.amortised else {})


def _flat(price: Price) -> Price:
    return msgspec.structs.replace(price, units=(), tiers=(), later=(), ptu_hour=None, unit=None, amortised=False)
