"""Tenants, products and subscriptions as administrators are shown them: JSON-ready values without secrets. Pure."""

from collections.abc import Sequence
from typing import Any

from gateway.domain.access import Product, Subscription, Tenant
from gateway.domain.guardrails import TenantRule


def tenant_shape(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant as it is shown."""
    return {name: getattr(tenant, name) for name in tenant.__struct_fields__}


def rules_shape(tenant: str, rules: Sequence[TenantRule]) -> dict[str, Any]:
    """Return a tenant's own guardrails as they are shown."""
    return {"tenant": tenant, "rules": rules}


def product_shape(product: Product) -> dict[str, Any]:
    """Return a product as it is shown to an administrator of the gateway."""
    return {name: getattr(product, name) for name in product.__struct_fields__}


def offer_shape(product: Product) -> dict[str, Any]:
    """Return a product as it is shown to a tenant's administrator."""
    return {"id": product.id, "models": product.models, "limits": product.limits}


def subscription_shape(subscription: Subscription) -> dict[str, Any]:
    """Return a subscription as it is shown: its keys' ids, and no secret, because none is known."""
    shape = {name: getattr(subscription, name) for name in subscription.__struct_fields__ if name not in ("keys", "held")}
    slots = sorted(subscription.keys, key=lambda each: (each.slot, each.expires_at is not None, each.id))
    return shape | {"roles": sorted(subscription.roles), "key_slots": slots}
