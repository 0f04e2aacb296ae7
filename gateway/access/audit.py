"""Who changed what at /manage, and when: an entry before every write, completed after it.

| table | partition | row | holds |
| --- | --- | --- | --- |
| `audit` | `<tenant>|<yyyy-mm>`, `-` for what concerns no tenant | a UUIDv7 | `at`, `actor`, `roles`, `action`, `target`, `asked`, \
`before`, `after`, `outcome`, `error`, `request_id`, `client_ip` |

- The entry is written first, as `begun`. Where that fails the change is refused, so that no change is without one.
- It becomes `done` or `failed`. One that stayed `begun` was cut off: its change was made or not, and what it asked for is there.
- `asked`, `before` and `after` are JSON. Keys are masked and hashes left out; what is longer than MAX_CHARACTERS says so instead.

Lists are oldest first within a tenant; all tenants together come tenant by tenant.
"""

import datetime
import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.access import Principal, masked_keys
from gateway.domain.ids import uuid7_hex
from gateway.domain.management import Asked, page_of, read_paging, tenant_of
from gateway.domain.tables import Entity, Value, pack_continuation, unpack_continuation
from gateway.errors import GatewayError, RequestError, StoreUnavailable
from gateway.ports import Clock, Tables

log = logging.getLogger(__name__)

AUDIT = "audit"
NO_TENANT = "-"
MAX_CHARACTERS = 16_000  # of each JSON text; a property takes twice as many
MAX_QUERIES = 20  # of the store for one page, however few entries fit the filters
READ_AT_ONCE = 500
_COUNT = re.compile("[0-9]{1,4}")
TEXTS = ("actor", "roles", "action", "target", "outcome", "error", "request_id", "client_ip")
# However they are spelt: `api_key`, `apiKey`, `client-secret`. A list of `tokens` or `keys` holds limits or slots.
_SECRET_NAME = re.compile(r".*(?:hash|secret|password|key|token|authorization|credential|connection_?-?string)", re.IGNORECASE | re.DOTALL)


class Deed(msgspec.Struct, frozen=True):
    """What somebody is about to do.

    Attributes:
        action: Such as `subscription.approve`.
        target: Such as `subscriptions/sub_1`.
        tenant: Whom it concerns; empty for nobody in particular.
        client_ip: Where the request came from, as far as that is known.
        request_id: Of the request that does it.
        document: What it asks for.
    """

    action: str
    target: str
    tenant: str
    principal: Principal
    client_ip: str
    request_id: str
    document: Mapping[str, Any]


class Entry(msgspec.Struct):
    """A begun entry, until it is completed."""

    partition: str
    row: str
    values: dict[str, Value]
    etag: str


class Audit:
    """Writes the trail and reads it.

    Args:
        tables: Where it is.
        clock: Stamps it.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock

    async def begin(self, deed: Deed) -> Entry:
        """Write the entry of a change that is about to be made; StoreUnavailable means: do not make it."""
        at = self._clock.utc()
        values: dict[str, Value] = {
            "at": at,
            "actor": deed.principal.key_id,
            "roles": " ".join(sorted(deed.principal.roles)),
            "action": deed.action,
            "target": masked_keys(deed.target),
            "asked": shown(deed.document),
            "outcome": "begun",
            "request_id": deed.request_id,
            "client_ip": deed.client_ip,
        }
        partition, row = f"{deed.tenant or NO_TENANT}|{at:%Y-%m}", uuid7_hex(at.timestamp())
        try:
            etag = await self._tables.insert(AUDIT, partition, row, values)
        except StoreUnavailable as exc:
            raise StoreUnavailable("the audit trail cannot be written, so nothing was changed; try again") from exc
        return Entry(partition, row, values, etag)

    async def end(self, entry: Entry, *, target: str = "", before: Any = None, after: Any = None, error: str = "") -> None:
        """Complete an entry. It never raises: the change was made or not, and its answer must not be lost."""
        values = entry.values | {"outcome": "failed" if error else "done", "error": error}
        if target:
            values["target"] = masked_keys(target)
        values |= {name: shown(value) for name, value in (("before", before), ("after", after)) if value is not None}
        try:
            await self._tables.replace(AUDIT, entry.partition, entry.row, values, entry.etag)
        except GatewayError as exc:
            log.error("the audit entry %s of %s stays begun: %s", entry.row, entry.values["request_id"], exc.code)  # noqa: TRY400

    async def list(self, asked: Asked) -> dict[str, Any]:
        """Return a page of the trail, oldest first; `after` continues it.

        Args:
            asked: Its query: `tenant`, `from` and `to` (ISO 8601), `actor`, `action`, `limit`, `after`.
        """
        query = asked.query
        tenant = tenant_of(asked, query.get("tenant"))
        limit, after = read_paging(query)
        span = [_instant(query, name) for name in ("from", "to")]
        bounds = {name: uuid_bound(at) for name, at in zip(("row_from", "row_below"), span, strict=True) if at}
        if tenant is not None:
            bounds |= {"partition_from": f"{tenant}|", "partition_below": f"{tenant}|~"}
        found: list[dict[str, Any]] = []
        start, seen = _place(after)
        for _ in range(MAX_QUERIES):
            page = await self._tables.query(AUDIT, limit=READ_AT_ONCE, continuation=start or None, **bounds)
            for number, each in enumerate(page.entities[seen:], seen + 1):
                if _fits(each, query):
                    found.append(_entry(each))
                if len(found) == limit and (number < len(page.entities) or page.continuation is not None):
                    return page_of(found, pack_continuation(start, str(number)))
            if page.continuation is None:
                return page_of(found, None)
            start, seen = page.continuation, 0
        return page_of(found, pack_continuation(start, "0"))


def _place(after: str | None) -> tuple[str, int]:
    """Return the store's own token in ours, and how many rows of its page were looked at: a page ends where it is full."""
    start, seen = unpack_continuation(after) if after is not None else ("", "0")
    if start:
        unpack_continuation(start)
    if start is None or seen is None or not _COUNT.fullmatch(seen):
        raise RequestError("'after' must be what the page before returned", param="after", code="invalid_value")
    return start, int(seen)


def uuid_bound(at: datetime.datetime) -> str:
    """Return what all ids of that moment and after it are not below: their first 48 bits are milliseconds."""
    return f"{max(int(at.timestamp() * 1000), 0):012x}"


def shown(value: Any) -> str:
    """Return a value as JSON that holds no secret and is not too long."""
    text = msgspec.json.encode(_masked(msgspec.to_builtins(value))).decode()
    return text if len(text) <= MAX_CHARACTERS else msgspec.json.encode({"left_out_characters": len(text)}).decode()


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {_masked(name): "***" if _SECRET_NAME.fullmatch(name) else _masked(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return masked_keys(value) if isinstance(value, str) else value


def _fits(entity: Entity, query: Mapping[str, str]) -> bool:
    return all(not query.get(name) or entity.values[name] == query[name] for name in ("actor", "action"))


def _entry(entity: Entity) -> dict[str, Any]:
    values = entity.values
    at, tenant = values["at"], entity.partition.rpartition("|")[0]
    assert isinstance(at, datetime.datetime)
    texts = {name: str(values.get(name, "")) for name in TEXTS}
    texts["roles"] = texts["roles"].split()  # type: ignore[assignment]
    documents = {name: msgspec.Raw(str(values[name]).encode()) for name in ("asked", "before", "after") if values.get(name)}
    return {"id": entity.row, "at": at.isoformat(), "tenant": "" if tenant == NO_TENANT else tenant} | texts | documents


def _instant(query: Mapping[str, str], name: str) -> datetime.datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        at = datetime.datetime.fromisoformat(text.replace(" ", "+"))  # a plus in a URL is a blank
    except ValueError as exc:
        raise RequestError(f"'{name}' must be a date or time such as 2026-11-01T00:00:00Z", param=name, code="invalid_value") from exc
    return at.replace(tzinfo=at.tzinfo or datetime.UTC)
