"""What administrators see of lookups at /manage, and the values of table lookups that they write there.

A tenant's administrator sees the lookups that its prompts may use, by what they need and not by where they lead, and writes its
tenant's own values. `Gateway.Admin` writes the shared ones, or a tenant's with `?tenant=`. A tenant's own value wins over the shared
one of the same key. A worker that wrote one forgets the old at once, the others within the lookup's `ttl_s`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.catalog_lookups import serves
from gateway.domain.documents import convert
from gateway.domain.lookups import FeatureLookup, Lookup, TableLookup, needs_of
from gateway.domain.management import Asked, Told, check_match, etag_of, page_of, read_paging, tenant_of
from gateway.domain.tables import Entity, EntityChanged, EntityExists
from gateway.errors import Conflict, NotFound, RequestError
from gateway.lookups.rows import MAX_VALUE_BYTES, TABLE, head_of, partition_of, row_of, value_of, values_of
from gateway.ports import Clock, Tables

NO_CONTENT = 204
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: Any


class LookupAdministration:
    """The management operations on lookups.

    Args:
        tables: Where the values are.
        lookups: The catalogue's.
        clock: The time.
        forget: Drops what this worker remembers of a lookup's key (`Lookups.forget`).
    """

    def __init__(self, tables: Tables, lookups: Mapping[str, Lookup], clock: Clock, forget: Callable[[str, str], None]) -> None:
        self._tables = tables
        self._lookups = lookups
        self._clock = clock
        self._forget = forget

    async def list(self, asked: Asked) -> dict[str, Any]:
        """Return what lookups there are: all of each to `Gateway.Admin`, to a tenant's administrator what its prompts need of them."""
        tenant = tenant_of(asked, asked.query.get("tenant"))
        shown = [each for each in self._lookups.values() if tenant is None or serves(each, tenant)]
        return page_of([lookup_shape(each, everything=asked.everywhere) for each in shown], None)

    async def keys(self, asked: Asked, name: str) -> dict[str, Any]:
        """Return a page of the keys of a table lookup."""
        lookup, tenant = self._table(asked, name)
        limit, after = read_paging(asked.query)
        page = await self._tables.query(TABLE, partition=partition_of(tenant, lookup.id), limit=limit, continuation=after)
        return page_of([head_of(entity) for entity in page.entities], page.continuation)

    async def value(self, asked: Asked, name: str, key: str) -> Told:
        """Return a key's value."""
        lookup, tenant = self._table(asked, name)
        entity = await self._tables.get(TABLE, partition_of(tenant, lookup.id), _row(key))
        if entity is None:
            raise _no_value(name, tenant)
        return Told(_shape(lookup, tenant, entity), etag_of(entity.etag))

    async def set_value(self, asked: Asked, name: str, key: str) -> Told:
        """Write a key's value, whatever JSON it is: `{"value": …}`.

        Raises:
            PreconditionFailed: It is not the version that `If-Match` names.
            Conflict: Somebody else changed it in between.
        """
        lookup, tenant = self._table(asked, name)
        value, row = msgspec.json.encode(convert(asked.document, _Value).value), _row(key)
        if len(value) > MAX_VALUE_BYTES:
            raise RequestError(f"'value' is {len(value)} bytes as JSON; {MAX_VALUE_BYTES} are taken", param="value", code="invalid_value")
        partition = partition_of(tenant, lookup.id)
        before = await self._tables.get(TABLE, partition, row)
        check_match(asked.if_match, etag_of(before.etag if before else ""))
        values = values_of(key, value, self._clock.utc(), asked.principal.key_id)
        try:
            if before is None:
                etag = await self._tables.insert(TABLE, partition, row, values)
            else:
                etag = await self._tables.replace(TABLE, partition, row, values, before.etag)
        except (EntityExists, EntityChanged) as exc:
            raise _changed() from exc
        finally:
            self._forget(lookup.id, key)
        made = _shape(lookup, tenant, Entity(partition, row, values, etag))
        return Told(made, etag_of(etag), before=_head(lookup, tenant, before) if before else None)

    async def delete_value(self, asked: Asked, name: str, key: str) -> Told:
        """Delete a key's value; where there is a shared one it shows again."""
        lookup, tenant = self._table(asked, name)
        partition, row = partition_of(tenant, lookup.id), _row(key)
        before = await self._tables.get(TABLE, partition, row)
        if before is None:
            raise _no_value(name, tenant)
        check_match(asked.if_match, etag_of(before.etag))
        try:
            await self._tables.delete(TABLE, partition, row, before.etag)
        except EntityChanged as exc:
            raise _changed() from exc
        finally:
            self._forget(lookup.id, key)
        return Told(None, status=NO_CONTENT, before=_head(lookup, tenant, before))

    def _table(self, asked: Asked, name: str) -> tuple[TableLookup, str]:
        """Return a table lookup, and whose values are meant; empty for the shared ones."""
        tenant = tenant_of(asked, asked.query.get("tenant")) or ""
        if tenant and not _TENANT.match(tenant):
            raise RequestError("'tenant' is no tenant's id", param="tenant", code="invalid_value")
        lookup = self._lookups.get(name)
        if lookup is None or (tenant and not serves(lookup, tenant)):
            raise NotFound(f"there is no lookup {name[:64]!r}; GET /manage/lookups lists them", code="lookup_not_found")
        if not isinstance(lookup, TableLookup):
            message = f"the lookup {lookup.id!r} asks a backend; only those of the type table have values here"
            raise RequestError(message, param="lookup", code="invalid_value")
        return lookup, tenant


def lookup_shape(lookup: Lookup, *, everything: bool) -> dict[str, Any]:
    """Return a lookup as it is shown.

    Args:
        lookup: As the catalogue has it.
        everything: With where it leads, and who else may use it.
    """
    needs = [f"{source}.{name}" for source, name in dict.fromkeys(needs_of(lookup))]
    features = {"features": lookup.features} if isinstance(lookup, FeatureLookup) else {}
    known = {"id": lookup.id, "type": type(lookup).__struct_config__.tag, "ttl_s": lookup.ttl_s, "timeout_s": lookup.timeout_s}
    shape = {**known, "fail": lookup.fail, "default": lookup.default, "needs": needs, **features}
    if not everything:
        return shape
    return {**{field.name: getattr(lookup, field.name) for field in msgspec.structs.fields(lookup)}, **shape}


def _shape(lookup: TableLookup, tenant: str, entity: Entity) -> dict[str, Any]:
    return {**_head(lookup, tenant, entity), "value": value_of(entity)[0]}


def _head(lookup: TableLookup, tenant: str, entity: Entity) -> dict[str, Any]:
    """Return all but the value, which is not for the audit trail: it may be anybody's data."""
    return {"object": "lookup.value", "lookup": lookup.id, "tenant": tenant or None, **head_of(entity)}


def _row(key: str) -> str:
    row = row_of(key)
    if row is None:
        raise RequestError("the key is too long, or empty", param="key", code="invalid_value")
    return row


def _no_value(name: str, tenant: str) -> NotFound:
    whose = f"the tenant {tenant!r}" if tenant else "all tenants"
    return NotFound(f"the lookup {name[:64]!r} has no value for this key and {whose}", code="lookup_not_found")


def _changed() -> Conflict:
    return Conflict("somebody else changed it in between; GET it, and send the change again")
