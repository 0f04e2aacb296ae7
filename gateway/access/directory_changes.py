"""Tenants and products, in the Tables port: made, changed, deleted.

Every write of a row that exists is conditional on what was read. Whoever sends no If-Match is tried TRIES times, and then told
(409) that somebody else is changing it, so that no update is lost. What is deleted while somebody makes a subscription to it
leaves that one without effect: `directory.py` finds no tenant, and a call no product.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from gateway.access.directory import DEFAULT, GONE, PRODUCTS, SUBSCRIPTIONS, TENANTS, Directory
from gateway.access.directory_rows import Stored, subscription_of, values_of
from gateway.access.lifecycle import ENDED
from gateway.domain.access import Product, Subscription, Tenant
from gateway.domain.management import check_match, etag_of
from gateway.domain.tables import Action, EntityChanged, EntityExists, Value, Write
from gateway.errors import Conflict, NotFound
from gateway.ports import Tables

# Enough that a tenant's administrator who writes without a pause cannot keep the gateway's from suspending a subscription.
TRIES = 8

type Place = tuple[str, str, str]


class Changed[T](msgspec.Struct, frozen=True):
    """What a change found and left, and the ETag of its row."""

    before: T
    after: T
    etag: str


class Registry:
    """Makes, changes and deletes tenants and products."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._tables = directory.tables

    async def create_tenant(self, tenant: Tenant) -> Stored[Tenant]:
        """Store a new tenant; Conflict where the id is taken."""
        if tenant.id == DEFAULT.id:
            raise Conflict("the tenant 'default' always exists", param="id")
        return await self._create(TENANTS, "tenant", tenant.id, tenant)

    async def create_product(self, product: Product) -> Stored[Product]:
        """Store a new product; Conflict where the id is taken, by the catalogue as well."""
        if self._directory.fixed_product(product.id):
            raise Conflict(f"the product {product.id!r} exists already, in the catalogue", param="id")
        return await self._create(PRODUCTS, "product", product.id, product)

    async def change_tenant(self, tenant_id: str, if_match: str, change: Callable[[Tenant], Tenant]) -> Changed[Tenant]:
        """Change a tenant; Conflict for the one that is built in."""
        place = (TENANTS, "tenant", tenant_id)
        return await rewrite(self._tables, place, lambda: self._own_tenant(tenant_id), if_match, change)

    async def change_product(self, product_id: str, if_match: str, change: Callable[[Product], Product]) -> Changed[Product]:
        """Change a product; Conflict for the built-in one and the catalogue's."""
        place = (PRODUCTS, "product", product_id)
        return await rewrite(self._tables, place, lambda: self._own_product(product_id), if_match, change)

    async def delete_tenant(self, tenant_id: str, if_match: str) -> Tenant:
        """Delete a tenant to which no living subscription refers, and return what it was."""
        stored = await self._own_tenant(tenant_id)
        check_match(if_match, etag_of(stored.etag))
        if used := await self._user(tenant_id, lambda _: True):
            raise Conflict(f"the tenant {tenant_id!r} has subscriptions, such as {used!r}; cancel them first", code="in_use")
        await self._delete(TENANTS, "tenant", tenant_id, stored.etag)
        return stored.value

    async def delete_product(self, product_id: str, if_match: str) -> Product:
        """Delete a product to which no living subscription refers, and return what it was."""
        stored = await self._own_product(product_id)
        check_match(if_match, etag_of(stored.etag))
        if used := await self._user(None, lambda each: each.product == product_id):
            raise Conflict(f"subscriptions refer to the product {product_id!r}, such as {used!r}; cancel them first", code="in_use")
        await self._delete(PRODUCTS, "product", product_id, stored.etag)
        return stored.value

    async def _own_tenant(self, tenant_id: str) -> Stored[Tenant]:
        if tenant_id == DEFAULT.id:
            raise Conflict("the tenant 'default' is built in and stays as it is; make another one at /manage/tenants", code="built_in")
        stored = await self._directory.tenant(tenant_id)
        if stored is None:
            raise tenant_not_found(tenant_id)
        return stored

    async def _own_product(self, product_id: str) -> Stored[Product]:
        if self._directory.fixed_product(product_id):
            advice = "change it in the catalogue file, or make another one at /manage/products"
            raise Conflict(f"the product {product_id!r} is built in or the catalogue's; {advice}", code="built_in")
        stored = await self._directory.stored_product(product_id)
        if stored is None:
            raise product_not_found(product_id)
        return stored

    async def _create[T: msgspec.Struct](self, table: str, what: str, name: str, thing: T) -> Stored[T]:
        if await self._tables.get(table, what, f"{GONE}{name}") is not None:
            # Its records, its trail and old keys are still there, and must not become somebody else's.
            raise Conflict(f"there was a {what} {name!r} once; choose an id that was never used", param="id", code="id_used")
        try:
            return Stored(thing, await self._tables.insert(table, what, name, values_of(thing)))
        except EntityExists as exc:
            raise Conflict(f"the {what} {name!r} exists already", param="id") from exc

    async def _delete(self, table: str, what: str, name: str, etag: str) -> None:
        try:
            await self._tables.transact(table, what, [Write(Action.DELETE, name, etag=etag), Write(Action.UPSERT, f"{GONE}{name}")])
        except EntityChanged as exc:
            raise busy(name) from exc

    async def _user(self, tenant: str | None, refers: Callable[[Subscription], bool]) -> str | None:
        """Return the id of a living subscription that refers to something."""
        after = None
        while True:
            page = await self._tables.query(SUBSCRIPTIONS, partition=tenant, continuation=after)
            for entity in page.entities:
                each = subscription_of(entity).value
                if each.state not in ENDED and refers(each):
                    return each.id
            if (after := page.continuation) is None:
                return None


async def rewrite[T: msgspec.Struct](
    tables: Tables,
    place: Place,
    find: Callable[[], Awaitable[Stored[T]]],
    if_match: str,
    change: Callable[[T], T],
    prepare: Callable[[T, T], Awaitable[None]] | None = None,
) -> Changed[T]:
    """Change a row, conditionally on what was read.

    Args:
        tables: Where it is.
        place: Its table and keys.
        find: Reads it; raises where it is not there or cannot be changed.
        if_match: The version that it must have, as sent; empty for whichever there is.
        change: Says what becomes of it; runs once per reading.
        prepare: What must be written before it, given the old and the new.

    Raises:
        PreconditionFailed: It has another version.
        Conflict: Somebody else changed it in between, each of TRIES times.
    """
    for trial in range(TRIES):
        stored = await find()
        check_match(if_match, etag_of(stored.etag))
        value = change(stored.value)
        if value == stored.value:
            break
        if prepare is not None:
            await prepare(stored.value, value)
        values: Mapping[str, Value] = values_of(value)
        try:
            return Changed(stored.value, value, await tables.replace(*place, values, stored.etag))
        except EntityChanged as exc:
            if trial == TRIES - 1:
                raise busy(place[2]) from exc
    return Changed(stored.value, value, stored.etag)


def busy(name: str) -> Conflict:
    """Return what to tell whose change met another one."""
    return Conflict(f"{name!r} is being changed by somebody else; look at it, and send the change again")


def tenant_not_found(name: str, param: str | None = None) -> NotFound:
    """Return what to tell who asks for a tenant that is not there, or is not theirs."""
    return NotFound(f"there is no tenant {name[:64]!r}; create it at /manage/tenants", param=param, code="tenant_not_found")


def product_not_found(name: str, param: str | None = None) -> NotFound:
    """Return what to tell who asks for a product that is not there."""
    return NotFound(f"there is no product {name[:64]!r}; create it at /manage/products", param=param, code="product_not_found")


def subscription_not_found(name: str) -> NotFound:
    """Return what to tell who asks for a subscription that is not there, or is not theirs."""
    return NotFound(f"there is no subscription {name[:64]!r}; GET /manage/subscriptions lists them", code="subscription_not_found")
