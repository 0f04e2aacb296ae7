"""The Tables port on Azure Table Storage, through `azure-data-tables`.

Rules:

- A table is made when the service says TableNotFound to an insert, an upsert or a transaction, which is then sent once
  more; no other request pays for that. Reads of a table that is not there find nothing.
- Only what may be repeated is retried: reads and upserts, once. A conditional write whose answer was lost may have
  happened; the retry would find its own new ETag and report EntityChanged, and a caller that counts would count twice.
  Such a write raises StoreUnavailable at once, except where no connection came about.
- Every int is sent as Edm.Int64 (the SDK's default is 32 bit) and every float as Edm.Double.
- The service may answer a query with fewer rows than asked for, or none, and a token (after 5 s, at the border of a
  partition range). The adapter goes on until the page is full, so that callers see short pages at the end only.

Importing this module loads the SDK: only the container does, and only where it is configured.

Source: learn.microsoft.com "Query timeout and pagination" and "Table service error codes" (read 2026-11-22).
"""

import datetime as dt
import enum
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableEntity, TransactionOperation, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from gateway.domain.tables import (
    Action,
    Entity,
    EntityChanged,
    EntityExists,
    Page,
    Value,
    Write,
    check_entity,
    check_key,
    check_query,
    check_table_name,
    check_transaction,
    pack_continuation,
    unpack_continuation,
)
from gateway.errors import GatewayError, RequestError, StoreUnavailable

_ONCE: dict[str, Any] = {"retry_read": 0, "retry_status": 0}  # a refused connection may still be tried again: nothing was sent
_ETAG = re.compile(r"W/\"datetime'[A-Za-z0-9%.:+-]+'\"")
_REPLACE: dict[str, Any] = {"mode": UpdateMode.REPLACE}
_CHANGED = {"UpdateConditionNotSatisfied", "ConditionNotMet", "ResourceNotFound", "EntityNotFound", "TableNotFound"}


def connect(location: str, credential: AsyncTokenCredential | None = None) -> "AzureTables":
    """Make the adapter for a connection string (also `UseDevelopmentStorage=true`) or for an endpoint's URL."""
    return AzureTables(location, credential)


class AzureTables:
    """Tables in a storage account.

    Args:
        location: A connection string, or the URL of the account's table endpoint.
        credential: Needed with a URL that holds no shared access signature; HTTPS only.
        timeout_s: How long an answer may take to begin or to go on.
    """

    def __init__(self, location: str, credential: AsyncTokenCredential | None = None, *, timeout_s: float = 10.0) -> None:
        options: dict[str, Any] = {
            "retry_total": 1,
            "retry_backoff_factor": 0.2,
            "connection_timeout": min(timeout_s, 3.0),
            "read_timeout": timeout_s,
        }
        if re.match("https?://", location, re.IGNORECASE):
            self._service = TableServiceClient(location, credential=credential, **options)
        else:
            self._service = TableServiceClient.from_connection_string(location, **options)
        self._clients: dict[str, TableClient] = {}

    async def get(self, table: str, partition: str, row: str) -> Entity | None:
        """Read one row; None where there is none."""
        client = self._client(table)
        check_key("partition", partition)
        check_key("row", row)
        try:
            return _entity(await client.get_entity(partition, row))
        except ResourceNotFoundError:
            return None
        except (AzureError, OSError, ValueError) as exc:
            raise _translate(exc) from exc

    async def insert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        """Write a new row and return its ETag; EntityExists where there is one."""
        client = self._client(table)
        check_entity(partition, row, values)
        entity = _sent(partition, row, values)
        answer = await _send(client, lambda: client.create_entity(entity, response_preference="return-no-content", **_ONCE))
        return str(answer["etag"])

    async def upsert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        """Write the row whole, whatever was there, and return its ETag."""
        client = self._client(table)
        check_entity(partition, row, values)
        entity = _sent(partition, row, values)
        answer = await _send(client, lambda: client.upsert_entity(entity, **_REPLACE))
        return str(answer["etag"])

    async def replace(self, table: str, partition: str, row: str, values: Mapping[str, Value], etag: str) -> str:
        """Write the row whole if its ETag still is `etag` (`*`: if it exists); EntityChanged otherwise."""
        client = self._client(table)
        check_entity(partition, row, values)
        condition = _condition(row, etag)
        try:
            answer = await client.update_entity(_sent(partition, row, values), **_REPLACE, **condition, **_ONCE)
        except (AzureError, OSError, ValueError) as exc:
            raise _translate(exc) from exc
        return str(answer["etag"])

    async def delete(self, table: str, partition: str, row: str, etag: str = "*") -> None:
        """Delete the row if its ETag still is `etag`; EntityChanged otherwise, also where there is no row."""
        client = self._client(table)
        check_entity(partition, row, {})
        condition = _condition(row, etag)
        statuses: list[int] = []  # the SDK takes a 404 for success, so we look for ourselves
        try:
            await client.delete_entity(
                partition, row, **condition, **_ONCE, raw_response_hook=lambda answer: statuses.append(answer.http_response.status_code)
            )
        except (AzureError, OSError, ValueError) as exc:
            raise _translate(exc) from exc
        if statuses[-1] == 404:
            raise EntityChanged(f"the row {row!r} is not there any more")

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        """Do all of up to 100 writes in one partition, or none; returns the new ETags (None for a delete)."""
        client = self._client(table)
        check_transaction(partition, writes)
        operations = [_operation(partition, write) for write in writes]
        answers = await _send(client, lambda: client.submit_transaction(operations, **_ONCE))
        return [None if write.action is Action.DELETE else str(answer["etag"]) for write, answer in zip(writes, answers, strict=True)]

    async def query(
        self,
        table: str,
        *,
        partition: str | None = None,
        partition_from: str | None = None,
        partition_below: str | None = None,
        row_from: str | None = None,
        row_below: str | None = None,
        limit: int = 1000,
        continuation: str | None = None,
    ) -> Page:
        """Read up to `limit` (≤ 1000) rows, ordered by (partition, row)."""
        client = self._client(table)
        check_query(limit, partition, partition_from, partition_below, row_from, row_below)
        if partition is not None:
            partition_from = partition_below = None
        conditions = (
            ("PartitionKey eq", partition),
            ("PartitionKey ge", partition_from),
            ("PartitionKey lt", partition_below),
            ("RowKey ge", row_from),
            ("RowKey lt", row_below),
        )
        odata = " and ".join(f"{condition} '{bound.replace("'", "''")}'" for condition, bound in conditions if bound is not None)
        token: dict[str, str | None] | None = None
        if continuation is not None:
            token = dict(zip(("PartitionKey", "RowKey"), unpack_continuation(continuation), strict=True))
        entities: list[Entity] = []
        try:
            while True:
                token = await _read_page(client, odata, limit - len(entities), token, entities)
                if token is None or len(entities) >= limit:
                    break
        except ResourceNotFoundError:  # no table: no rows
            return Page([])
        except (AzureError, OSError, ValueError) as exc:
            raise _translate(exc) from exc
        return Page(entities, pack_continuation(token.get("PartitionKey"), token.get("RowKey")) if token else None)

    async def close(self) -> None:
        """Let the connections go. Safe to call twice."""
        await self._service.close()

    def _client(self, table: str) -> TableClient:
        if table not in self._clients:
            check_table_name(table)
            self._clients[table] = self._service.get_table_client(table)
        return self._clients[table]


async def _send[T](client: TableClient, send: Callable[[], Awaitable[T]]) -> T:
    """Send a write that may be the first to its table; makes the table and sends once more if it is missing."""
    try:
        try:
            return await send()
        except HttpResponseError as exc:
            if _code(exc) != "TableNotFound":
                raise
        try:
            await client.create_table()
        except ResourceExistsError as exc:
            if _code(exc) != "TableAlreadyExists":  # it is being deleted
                raise
        return await send()
    except (AzureError, OSError, ValueError) as exc:
        raise _translate(exc) from exc


async def _read_page(
    client: TableClient, odata: str, limit: int, token: dict[str, str | None] | None, entities: list[Entity]
) -> dict[str, str | None] | None:
    """Append one answer's rows to `entities` and return the token of the next, if there is one."""
    found = client.query_entities(odata, results_per_page=limit) if odata else client.list_entities(results_per_page=limit)
    pages: Any = found.by_page(continuation_token=token)  # type: ignore[arg-type]  # it is annotated str, and is a dict
    entities.extend([_entity(entity) async for entity in await anext(pages)])
    return pages.continuation_token or None


def _operation(partition: str, write: Write) -> tuple[TransactionOperation, dict[str, Any], dict[str, Any]]:
    if write.action is Action.DELETE:
        return TransactionOperation.DELETE, _sent(partition, write.row, {}), _condition(write.row, write.etag)
    entity = _sent(partition, write.row, write.values)
    if write.action is Action.INSERT:
        return TransactionOperation.CREATE, entity, {"response_preference": "return-no-content"}
    if write.action is Action.UPSERT:
        return TransactionOperation.UPSERT, entity, dict(_REPLACE)
    return TransactionOperation.UPDATE, entity, _REPLACE | _condition(write.row, write.etag)


def _condition(row: str, etag: str | None) -> dict[str, Any]:
    if etag == "*":
        return {}  # the SDK's default is If-Match: *
    if not _ETAG.fullmatch(etag or ""):  # the service would answer 400 to what was never an ETag of its own
        raise EntityChanged(f"the row {row!r} never had the ETag {etag!r}")
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _sent(partition: str, row: str, values: Mapping[str, Value]) -> dict[str, Any]:
    entity: dict[str, Any] = {"PartitionKey": partition, "RowKey": row}
    for name, given in values.items():
        value = given.value if isinstance(given, enum.Enum) else given
        if isinstance(value, int) and not isinstance(value, bool):
            entity[name] = EntityProperty(value, EdmType.INT64)
        elif isinstance(value, float):
            entity[name] = EntityProperty(value, EdmType.DOUBLE)
        else:
            entity[name] = value
    return entity


def _entity(found: TableEntity) -> Entity:
    values: dict[str, Value] = {}
    for name, value in found.items():
        if name in ("PartitionKey", "RowKey"):
            continue
        if isinstance(value, EntityProperty):
            values[name] = value.value
        elif isinstance(value, dt.datetime):  # a subclass that remembers the service's text: leave it at the door
            values[name] = dt.datetime.combine(value.date(), value.timetz())
        else:
            values[name] = value
    return Entity(found["PartitionKey"], found["RowKey"], values, str(found.metadata["etag"]))


def _code(exc: Exception) -> str:
    """Find the service's error code; the SDK does not decode it for an insert."""
    code = getattr(exc, "error_code", None)
    if code:
        return str(getattr(code, "value", code))
    try:
        return str(msgspec.json.decode(exc.response.text())["odata.error"]["code"])  # type: ignore[attr-defined]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""


def _translate(exc: Exception) -> GatewayError:
    code = _code(exc)
    if code == "EntityAlreadyExists":
        return EntityExists("the row exists already")
    if code in _CHANGED:
        return EntityChanged("the row changed in between, or is not there any more")
    if getattr(exc, "status_code", None) == 413:
        return RequestError("the entity or transaction is too large for Table Storage")
    return StoreUnavailable("the table store did not answer; try again")
