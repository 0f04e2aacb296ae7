"""Tenants, products, subscriptions and their keys, in the Tables port: what is read.

| table | partition | row | holds |
| --- | --- | --- | --- |
| `tenants` | `tenant` | tenant id | all of a `Tenant` |
| `products` | `product` | product id | all of a `Product` |
| `subscriptions` | tenant id | subscription id | all of a `Subscription`, the ids of its keys among it |
| `subscriptionids` | subscription id | `subscription` | its tenant |
| `keys` | key id | `key` | tenant, subscription, slot, the hash, `state` |
| `identities` | identity | `identity` | tenant, subscription, `at` |

**The subscription's row decides.** A key or an identity counts only as long as its subscription's row names it, so that one
conditional write of one row makes a new key work and the old one stop, and a crash between writes leaves rows that open
nothing. Reading a key is a point read of its row and then of the subscription's and the tenant's, side by side; so whatever
changes there needs no key's row to be touched. Keys of earlier versions repeat some of it in their own rows: it is not read.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.access.directory_rows import Stored, subscription_of, thing_of
from gateway.domain.access import (
    ANYWHERE,
    CALLER,
    DEFAULT_TENANT,
    UNLIMITED_PRODUCT,
    Principal,
    Product,
    Subscription,
    SubscriptionState,
    Tenant,
    TenantState,
)
from gateway.domain.catalog import Catalog
from gateway.domain.tables import Entity, pack_continuation, unpack_continuation
from gateway.errors import RequestError
from gateway.ports import Clock, Tables

TENANTS, PRODUCTS, SUBSCRIPTIONS = "tenants", "products", "subscriptions"
# Before the id of what was deleted: no id begins with it, and it sorts behind all that do.
GONE = "~"
SUBSCRIPTION_IDS, KEYS, IDENTITIES = "subscriptionids", "keys", "identities"
DEFAULT = Tenant(id=DEFAULT_TENANT, name="Default")
MAX_QUERIES = 20  # of the store for one page, however few subscriptions fit the filters
_COUNT = re.compile("[0-9]{1,6}")


class KeyRecord(msgspec.Struct, frozen=True):
    """What a call needs to know of a key, or of an Entra identity.

    Attributes:
        hash: Of the key's text; empty for an identity.
        active: Whether the subscription names it, and it has not expired.
        principal: Who calls with it.
        state: Of the subscription: only an active one may call.
        tenant_active: Whether its tenant may call.
    """

    hash: str
    active: bool
    principal: Principal
    state: SubscriptionState = SubscriptionState.ACTIVE
    tenant_active: bool = True


class Directory:
    """Reads who may ask.

    Args:
        tables: Where the rows are.
        catalog: Its products exist without a row.
        pepper: Mixed into the hash of every key.
        clock: Says which keys have expired.
    """

    def __init__(self, tables: Tables, catalog: Catalog, pepper: bytes, clock: Clock) -> None:
        self.tables = tables
        self.catalog = catalog
        self.pepper = pepper
        self.clock = clock

    async def key_record(self, key_id: str) -> KeyRecord | None:
        """Read a key's record; None where the key, its subscription or its tenant is not there."""
        entity = await self.tables.get(KEYS, key_id, "key")
        if entity is None or (found := await self._whose(entity)) is None:
            return None
        tenant, subscription = found
        listed = any(each.id == key_id and each.works_at(self.clock.utc()) for each in subscription.keys)
        active = listed and entity.values["state"] == "active"
        return _record(str(entity.values["hash"]), key_id, tenant, subscription, active=active)

    async def identity_record(self, identity: str) -> KeyRecord | None:
        """Read the record of an Entra identity: an object's or an application's id, in small letters."""
        entity = await self.tables.get(IDENTITIES, identity, "identity")
        if entity is None or (found := await self._whose(entity)) is None:
            return None
        tenant, subscription = found
        return _record("", f"entra:{identity}", tenant, subscription, active=identity in subscription.identities)

    async def tenant(self, tenant_id: str) -> Stored[Tenant] | None:
        """Read a tenant; `default` always exists."""
        if tenant_id == DEFAULT_TENANT:
            return Stored(DEFAULT)
        entity = await self.tables.get(TENANTS, "tenant", tenant_id)
        return _tenant(entity) if entity else None

    async def product(self, product_id: str) -> Product | None:
        """Read a product: the built-in one, the catalogue's, or a stored one."""
        if fixed := self.fixed_product(product_id):
            return fixed
        stored = await self.stored_product(product_id)
        return stored.value if stored else None

    def fixed_product(self, product_id: str) -> Product | None:
        """Return the built-in product or one of the catalogue's."""
        return UNLIMITED_PRODUCT if product_id == UNLIMITED_PRODUCT.id else self.catalog.products.get(product_id)

    async def stored_product(self, product_id: str) -> Stored[Product] | None:
        """Read a product that has a row."""
        entity = await self.tables.get(PRODUCTS, "product", product_id)
        return _product(entity) if entity else None

    async def subscription(self, tenant: str | None, subscription_id: str) -> Stored[Subscription] | None:
        """Read a subscription, of one tenant or, with None, of whichever has it."""
        tenant = tenant or await self.tenant_of_subscription(subscription_id)
        entity = await self.tables.get(SUBSCRIPTIONS, tenant, subscription_id) if tenant else None
        return subscription_of(entity) if entity else None

    async def tenant_of_subscription(self, subscription_id: str) -> str | None:
        """Return whose a subscription is; those of earlier versions are in no index, and looked for."""
        entry = await self.tables.get(SUBSCRIPTION_IDS, subscription_id, "subscription")
        if entry is not None:
            return str(entry.values["tenant"])
        after = None
        while True:
            page = await self.tables.query(SUBSCRIPTIONS, row_from=subscription_id, row_below=f"{subscription_id}~", continuation=after)
            for entity in page.entities:
                if entity.row == subscription_id:
                    return entity.partition
            if (after := page.continuation) is None:
                return None

    async def list_products(self, limit: int, after: str | None) -> tuple[list[Product], str | None]:
        """Return a page of products and its continuation; the built-in one and the catalogue's come before those that are stored."""
        fixed = [UNLIMITED_PRODUCT, *self.catalog.products.values()]
        return await self._after_fixed(fixed, PRODUCTS, "product", lambda entity: _product(entity).value, limit, after)

    async def list_tenants(self, limit: int, after: str | None) -> tuple[list[Tenant], str | None]:
        """Return a page of tenants and its continuation; `default` comes first."""
        return await self._after_fixed([DEFAULT], TENANTS, "tenant", lambda entity: _tenant(entity).value, limit, after)

    async def list_subscriptions(
        self, tenant: str | None, limit: int, after: str | None, wanted: Mapping[str, str] | None = None
    ) -> tuple[list[Subscription], str | None]:
        """Return a page of one tenant's subscriptions, or of everyone's, and its continuation.

        Args:
            tenant: Whose; None for all.
            limit: The most that are returned; with `wanted` there may be fewer though more follow.
            after: What the page before returned.
            wanted: Values that fields must have: `state`, `product`.
        """
        found: list[Subscription] = []
        for _ in range(MAX_QUERIES):
            page = await self.tables.query(SUBSCRIPTIONS, partition=tenant, limit=limit - len(found), continuation=after)
            each = [subscription_of(entity).value for entity in page.entities]
            found += [one for one in each if all(getattr(one, name) == value for name, value in (wanted or {}).items())]
            after = page.continuation
            if after is None or len(found) >= limit:
                break
        return found, after

    async def _whose(self, entity: Entity) -> tuple[Tenant, Subscription] | None:
        """Return what a key's or an identity's row leads to."""
        owner, subscription = str(entity.values["tenant"]), str(entity.values["subscription"])
        tenant, stored = await asyncio.gather(self.tenant(owner), self.subscription(owner, subscription))
        return (tenant.value, stored.value) if tenant and stored else None

    async def _after_fixed[T](
        self, fixed: Sequence[T], table: str, partition: str, read: Callable[[Entity], T], limit: int, after: str | None
    ) -> tuple[list[T], str | None]:
        """Return a page of what has no row and then of what has one; a token without a partition counts the former."""
        place, seen = unpack_continuation(after) if after is not None else ("", "0")
        if place:
            page = await self.tables.query(table, partition=partition, row_below=GONE, limit=limit, continuation=after)
            return [read(entity) for entity in page.entities], page.continuation
        if seen is None or not _COUNT.fullmatch(seen):
            raise RequestError("'after' must be what the page before returned", param="after", code="invalid_value")
        end = int(seen) + limit
        first = list(fixed[int(seen) : end])
        page = await self.tables.query(table, partition=partition, row_below=GONE, limit=(limit - len(first)) or 1)
        if len(first) < limit:
            return [*first, *map(read, page.entities)], page.continuation
        return first, pack_continuation("", str(end)) if end < len(fixed) or page.entities else None


def _record(hashed: str, key_id: str, tenant: Tenant, subscription: Subscription, *, active: bool) -> KeyRecord:
    principal = Principal(
        tenant=tenant.id,
        product=subscription.product,
        subscription=subscription.id,
        key_id=key_id,
        limits=subscription.limits,
        roles=CALLER if subscription.roles == CALLER else subscription.roles,
        data_zone=tenant.data_zone,
        tenant_limits=tenant.limits,
        models=subscription.models,
        operations=subscription.operations,
        networks=tuple(each for each in (tenant.network, subscription.network) if each != ANYWHERE),
        rules=tenant.rules,
        attributes={**tenant.attributes, **subscription.attributes},
    )
    return KeyRecord(hashed, active, principal, subscription.state, tenant.state is TenantState.ACTIVE)


def _tenant(entity: Entity) -> Stored[Tenant]:
    return thing_of(entity, Tenant, id=entity.row)


def _product(entity: Entity) -> Stored[Product]:
    return thing_of(entity, Product, id=entity.row)
