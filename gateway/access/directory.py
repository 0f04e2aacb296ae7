"""Tenants, products, subscriptions and their keys, in the Tables port.

| table | partition | row | holds |
| --- | --- | --- | --- |
| `tenants` | `tenant` | tenant id | name, data zone |
| `products` | `product` | product id | globs, limits |
| `subscriptions` | tenant id | subscription id | product, name, state, key ids |
| `keys` | key id | `key` | the hash, and all a call needs to know: one point read |

A key's row repeats its tenant's data zone, so that a call costs one point read; it can, because a tenant's zone is given when
the tenant is created and stays. A subscription is written after its keys, so a row that exists has working keys; a crash in
between leaves keys that name no subscription and were shown to nobody.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from gateway.access import keys
from gateway.domain.access import DEFAULT_TENANT, UNLIMITED_PRODUCT, Principal, Product, Subscription, SubscriptionState, Tenant
from gateway.domain.catalog import Catalog
from gateway.domain.ids import uuid7_hex
from gateway.domain.limits import Limits
from gateway.domain.tables import Entity, EntityExists, Page, pack_continuation, unpack_continuation
from gateway.errors import Conflict, NotFound, RequestError
from gateway.ports import Clock, Tables

TENANTS, PRODUCTS, SUBSCRIPTIONS, KEYS = "tenants", "products", "subscriptions", "keys"
SLOTS = ("primary", "secondary")
_COUNT = re.compile("[0-9]{1,6}")


class KeyRecord(msgspec.Struct, frozen=True):
    """What a call needs to know of a key, or of an Entra identity.

    Attributes:
        hash: Of the key; empty for an identity.
        active: The key is not revoked, the identity still bound.
        principal: Whose it is.
        state: Of the subscription.
        tenant_active: Its tenant is not suspended.
    """

    hash: str
    active: bool
    principal: Principal
    state: SubscriptionState = SubscriptionState.ACTIVE
    tenant_active: bool = True


class Directory:
    """Reads and writes who may ask.

    Args:
        tables: Where the rows are.
        catalog: Its products exist without a row and cannot be written.
        pepper: Mixed into the hash of every key.
        clock: Stamps new ids.
    """

    def __init__(self, tables: Tables, catalog: Catalog, pepper: bytes, clock: Clock) -> None:
        self._tables = tables
        self._catalog = catalog
        self._pepper = pepper
        self._clock = clock

    async def key_record(self, key_id: str) -> KeyRecord | None:
        """Read a key's record: one point read."""
        entity = await self._tables.get(KEYS, key_id, "key")
        if entity is None:
            return None
        values = entity.values
        principal = Principal(
            tenant=str(values["tenant"]),
            product=str(values["product"]),
            subscription=str(values["subscription"]),
            key_id=key_id,
            limits=_limits(entity),
            data_zone=str(values.get("data_zone", "")),  # keys of earlier versions have none
        )
        return KeyRecord(hash=str(values["hash"]), active=values["state"] == SubscriptionState.ACTIVE.value, principal=principal)

    async def product(self, product_id: str) -> Product | None:
        """Read a product: the built-in one, the catalogue's, or a stored one."""
        if product_id == UNLIMITED_PRODUCT.id:
            return UNLIMITED_PRODUCT
        if found := self._catalog.products.get(product_id):
            return found
        entity = await self._tables.get(PRODUCTS, "product", product_id)
        return _product(entity) if entity else None

    async def create_product(self, product: Product) -> Product:
        """Store a new product; Conflict where the id is taken, by the catalogue as well."""
        if product.id == UNLIMITED_PRODUCT.id or product.id in self._catalog.products:
            raise Conflict(f"the product {product.id!r} exists already, in the catalogue", param="id")
        values = {"models": msgspec.json.encode(product.models).decode(), "limits": msgspec.json.encode(product.limits).decode()}
        await self._insert(PRODUCTS, "product", product.id, values, what="product")
        return product

    async def create_tenant(self, tenant: Tenant) -> Tenant:
        """Store a new tenant; Conflict where the id is taken."""
        if tenant.id == DEFAULT_TENANT:
            raise Conflict("the tenant 'default' always exists", param="id")
        await self._insert(TENANTS, "tenant", tenant.id, {"name": tenant.name, "data_zone": tenant.data_zone}, what="tenant")
        return tenant

    async def tenant(self, tenant_id: str) -> Tenant | None:
        """Read a tenant; `default` always exists."""
        if tenant_id == DEFAULT_TENANT:
            return Tenant(id=DEFAULT_TENANT, name="Default")
        entity = await self._tables.get(TENANTS, "tenant", tenant_id)
        return _tenant(entity) if entity else None

    async def create_subscription(self, tenant: str, product: str, name: str, limits: Limits) -> tuple[Subscription, dict[str, str]]:
        """Make an active subscription and its two keys, which nobody can read again.

        Returns:
            The subscription, and the keys' whole texts by slot.

        Raises:
            NotFound: There is no such tenant or product; `param` names which.
        """
        owner = await self.tenant(tenant)
        if owner is None:
            raise NotFound(f"there is no tenant {tenant!r}; create it at /manage/tenants", param="tenant", code="tenant_not_found")
        if await self.product(product) is None:
            raise NotFound(f"there is no product {product!r}; create it at /manage/products", param="product", code="product_not_found")
        subscription = Subscription(
            id=f"sub_{uuid7_hex(self._clock.utc().timestamp())}",
            tenant=tenant,
            product=product,
            name=name,
            state=SubscriptionState.ACTIVE,
            limits=limits,
        )
        shared = {"product": product, "state": subscription.state.value, "limits": msgspec.json.encode(limits).decode()}
        minted = {slot: keys.mint() for slot in SLOTS}
        of_key = {**shared, "tenant": tenant, "subscription": subscription.id, "data_zone": owner.data_zone}
        for slot, key in minted.items():
            await self._tables.insert(KEYS, key.id, "key", {**of_key, "slot": slot, "hash": keys.hash_key(self._pepper, key)})
        ids = {f"{slot}_key_id": key.id for slot, key in minted.items()}
        await self._tables.insert(SUBSCRIPTIONS, tenant, subscription.id, {**shared, "name": name, **ids})
        return subscription, {slot: key.text for slot, key in minted.items()}

    def data_zones(self) -> list[str]:
        """List the data zones in which the catalogue has deployments."""
        return sorted({deployment.backend.data_zone for deployment in self._catalog.deployments.values()} - {""})

    async def list_products(self, limit: int, after: str | None) -> tuple[list[Product], str | None]:
        """Return a page of products and its continuation; the built-in one and the catalogue's come before those that are stored."""
        fixed = [UNLIMITED_PRODUCT, *self._catalog.products.values()]
        return await self._after_fixed(fixed, PRODUCTS, "product", _product, limit, after)

    async def list_tenants(self, limit: int, after: str | None) -> tuple[list[Tenant], str | None]:
        """Return a page of tenants and its continuation; `default` comes first."""
        return await self._after_fixed([Tenant(id=DEFAULT_TENANT, name="Default")], TENANTS, "tenant", _tenant, limit, after)

    async def list_subscriptions(self, tenant: str | None, limit: int, after: str | None) -> tuple[list[Subscription], str | None]:
        """Return a page of one tenant's subscriptions, or of everyone's, and its continuation."""
        page: Page = await self._tables.query(SUBSCRIPTIONS, partition=tenant, limit=limit, continuation=after)
        return [_subscription(entity) for entity in page.entities], page.continuation

    async def _after_fixed[T](
        self, fixed: Sequence[T], table: str, partition: str, read: Callable[[Entity], T], limit: int, after: str | None
    ) -> tuple[list[T], str | None]:
        """Return a page of what has no row and then of what has one; a token without a partition counts the former."""
        place, seen = unpack_continuation(after) if after is not None else ("", "0")
        if place:
            page = await self._tables.query(table, partition=partition, limit=limit, continuation=after)
            return [read(entity) for entity in page.entities], page.continuation
        if seen is None or not _COUNT.fullmatch(seen):
            raise RequestError("'after' must be what the page before returned", param="after", code="invalid_value")
        end = int(seen) + limit
        first = list(fixed[int(seen) : end])
        page = await self._tables.query(table, partition=partition, limit=(limit - len(first)) or 1)
        if len(first) < limit:
            return [*first, *map(read, page.entities)], page.continuation
        return first, pack_continuation("", str(end)) if end < len(fixed) or page.entities else None

    async def _insert(self, table: str, partition: str, row: str, values: dict[str, str], *, what: str) -> None:
        try:
            await self._tables.insert(table, partition, row, values)
        except EntityExists as exc:
            raise Conflict(f"the {what} {row!r} exists already", param="id") from exc


def _limits(entity: Entity) -> Limits:
    return msgspec.json.decode(str(entity.values["limits"]), type=Limits)


def _product(entity: Entity) -> Product:
    models = msgspec.json.decode(str(entity.values["models"]), type=tuple[str, ...])
    return Product(id=entity.row, models=models, limits=_limits(entity))


def _tenant(entity: Entity) -> Tenant:
    return Tenant(id=entity.row, name=str(entity.values["name"]), data_zone=str(entity.values["data_zone"]))


def _subscription(entity: Entity) -> Subscription:
    values = entity.values
    return Subscription(
        id=entity.row,
        tenant=entity.partition,
        product=str(values["product"]),
        name=str(values["name"]),
        state=SubscriptionState(str(values["state"])),
        limits=_limits(entity),
    )
