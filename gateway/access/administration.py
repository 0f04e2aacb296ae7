"""What administrators do at /manage: tenants, products, subscriptions. JSON documents in, JSON-ready values out.

Every fault names its field. Ids are letters, digits and `. _ : -`, at most 64, so that they fit a Table Storage key.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.access.directory import Directory
from gateway.domain.access import DEFAULT_TENANT, Product, Subscription, Tenant
from gateway.domain.documents import convert
from gateway.domain.limits import Limits, limits_fault
from gateway.domain.management import Asked
from gateway.domain.tables import unpack_continuation
from gateway.errors import RequestError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
MAX_NAME_CHARACTERS = 256
PAGE = 100


class _TenantRequest(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    name: str = ""
    data_zone: str = ""


class _ProductRequest(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    models: tuple[str, ...]
    limits: Limits = Limits()
    guardrails: tuple[str, ...] = ()
    requires_approval: bool = False


class _SubscriptionRequest(msgspec.Struct, forbid_unknown_fields=True):
    product: str
    name: str = ""
    tenant: str = DEFAULT_TENANT
    limits: Limits = Limits()


class Administration:
    """The management operations over a Directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def concerned(self, asked: Asked, route: str, names: Mapping[str, str]) -> str:  # noqa: ARG002
        """Return the tenant that a change concerns, for the audit trail; empty for none in particular."""
        return names.get("tenant", "") if asked.everywhere else asked.principal.tenant

    async def create_tenant(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create a tenant from `{"id", "name"?, "data_zone"?}`."""
        asked = convert(document, _TenantRequest)
        _check_id(asked.id)
        _check_name(asked.name)
        self._check_zone(asked.data_zone)
        return _tenant(await self._directory.create_tenant(Tenant(asked.id, asked.name or asked.id, asked.data_zone)))

    async def create_product(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create a product from `{"id", "models": [globs], "limits"?}`; guardrails and approval are still to come."""
        asked = convert(document, _ProductRequest)
        _check_id(asked.id)
        if not asked.models:
            raise RequestError("'models' needs at least one glob; [\"*\"] means all", param="models", code="invalid_value")
        _check_limits(asked.limits)
        for name in ("guardrails", "requires_approval"):
            if getattr(asked, name):  # to take it and not hold it would be worse than to refuse it
                raise RequestError(f"'{name}' is not in this version of the gateway; leave it out", param=name, code="not_supported")
        return _product(await self._directory.create_product(Product(asked.id, asked.models, asked.limits)))

    async def create_subscription(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create an active subscription from `{"product", "name"?, "tenant"?, "limits"?}`; the only time its keys are shown."""
        asked = convert(document, _SubscriptionRequest)
        _check_name(asked.name)
        _check_id(asked.tenant, "tenant")
        _check_id(asked.product, "product")
        _check_limits(asked.limits)
        subscription, keys = await self._directory.create_subscription(asked.tenant, asked.product, asked.name, asked.limits)
        return {**_subscription(subscription), "keys": keys}

    async def list_tenants(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of tenants."""
        found, after = await self._directory.list_tenants(*_paging(query))
        return _page([_tenant(tenant) for tenant in found], after)

    async def list_products(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of products."""
        found, after = await self._directory.list_products(*_paging(query))
        return _page([_product(product) for product in found], after)

    async def list_subscriptions(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of subscriptions, of one tenant where `tenant` is given; never their keys."""
        tenant = query.get("tenant") or None
        if tenant is not None:
            _check_id(tenant, "tenant")
        found, after = await self._directory.list_subscriptions(tenant, *_paging(query))
        return _page([_subscription(subscription) for subscription in found], after)

    def _check_zone(self, zone: str) -> None:
        """Refuse a zone that no deployment lies in: its tenant could call nothing, and the zone stays."""
        if not zone or zone in (known := self._directory.data_zones()):
            return
        advice = f"of the catalogue's data zones choose one of {', '.join(known)}" if known else "leave it out: no backend has a data zone"
        raise RequestError(f"no deployment lies in this 'data_zone'; {advice}", param="data_zone", code="invalid_value")


def _check_id(value: str, param: str = "id") -> None:
    if not _ID.match(value):
        raise RequestError(
            f"'{param}' must be 1 to 64 letters, digits and . _ : -, a letter or digit first", param=param, code="invalid_value"
        )


def _check_name(value: str, param: str = "name") -> None:
    if len(value) > MAX_NAME_CHARACTERS:
        raise RequestError(f"'{param}' must have at most {MAX_NAME_CHARACTERS} characters", param=param, code="invalid_value")


def _check_limits(limits: Limits) -> None:
    if fault := limits_fault(limits):
        path, message = fault
        raise RequestError(f"'limits.{path}' {message}", param=f"limits.{path}", code="invalid_value")


def _paging(query: Mapping[str, str]) -> tuple[int, str | None]:
    text = query.get("limit", str(PAGE))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 1000):
        raise RequestError("'limit' must be from 1 to 1000", param="limit", code="invalid_value")
    after = query.get("after") or None
    if after is not None:
        try:
            unpack_continuation(after)
        except RequestError as exc:
            raise RequestError("'after' must be what the page before returned", param="after", code="invalid_value") from exc
    return int(text), after


def _page(data: list[dict[str, Any]], after: str | None) -> dict[str, Any]:
    return {"object": "list", "data": data, "has_more": after is not None, "after": after}


def _tenant(tenant: Tenant) -> dict[str, Any]:
    return {"id": tenant.id, "name": tenant.name, "data_zone": tenant.data_zone}


def _product(product: Product) -> dict[str, Any]:
    return {"id": product.id, "models": product.models, "limits": product.limits}


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "tenant": subscription.tenant,
        "product": subscription.product,
        "name": subscription.name,
        "state": subscription.state.value,
        "limits": subscription.limits,
    }
