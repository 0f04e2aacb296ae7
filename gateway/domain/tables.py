"""What Table Storage's semantics look like to the rest of the gateway: entities, writes, pages and the limits.

An entity is a flat dict of properties plus a partition key and a row key. Values are `str`, `int` (64 bit), `float`,
`bool`, `bytes` or an aware `datetime`. Storage counts what it stores: text is UTF-16, so a character is two bytes.

Rules: this module is pure; both adapters call `check_entity` and `check_transaction` before they touch the wire,
because neither Azurite nor SQLite refuses what the service refuses.

Source: learn.microsoft.com "Understanding the Table service data model" and "Performing entity group transactions"
(read 2026-11-22).
"""

import datetime
import enum
import re
from collections.abc import Mapping, Sequence

import msgspec

from gateway.errors import Conflict, PreconditionFailed, RequestError

Value = str | int | float | bool | bytes | datetime.datetime

MAX_ENTITY_BYTES = 1024 * 1024
MAX_PROPERTIES = 255  # 252 of ours: PartitionKey, RowKey and Timestamp are counted
SYSTEM_PROPERTIES = 3
MAX_PROPERTY_BYTES = 64 * 1024
MAX_KEY_BYTES = 1024
MAX_TRANSACTION_WRITES = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024

_FORBIDDEN_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PROPERTY_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}\Z")


class EntityExists(Conflict):
    """An insert found a row with the same keys."""

    code = "entity_exists"


class EntityChanged(PreconditionFailed):
    """A conditional write found another ETag, or no row at all."""

    code = "entity_changed"


class Entity(msgspec.Struct, frozen=True):
    """One stored row as it was read.

    Attributes:
        partition: PartitionKey.
        row: RowKey; rows of a partition are ordered by it, by code point.
        values: The properties, without the keys and the timestamp.
        etag: Opaque; changes with every write. Pass it back to make a write conditional.
    """

    partition: str
    row: str
    values: Mapping[str, Value]
    etag: str


class Action(enum.StrEnum):
    """What one write of a transaction does."""

    INSERT = "insert"
    UPSERT = "upsert"
    REPLACE = "replace"
    DELETE = "delete"


class Write(msgspec.Struct, frozen=True):
    """One write of a transaction.

    Attributes:
        action: insert (fails if present) · upsert (unconditional) · replace and delete (need `etag`; `"*"` matches any).
        row: RowKey.
        values: The whole new row; ignored by delete.
        etag: The ETag that must still hold.
    """

    action: Action
    row: str
    values: Mapping[str, Value] = {}
    etag: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Some rows of a query and, where there are more, the token that continues it."""

    entities: Sequence[Entity]
    continuation: str | None = None


def check_table_name(table: str) -> None:
    """Refuse a table name that the service would refuse: 3 to 63 letters and digits, a letter first."""
    if not _TABLE_NAME.match(table):
        raise RequestError(f"the table name {table!r} must be 3 to 63 letters and digits and start with a letter", param="table")


def check_key(name: str, key: str) -> None:
    """Refuse a key with characters or a length that the service refuses.

    Args:
        name: `partition` or `row`, for the message.
        key: The key itself. `/ \\ # ?` and control characters are forbidden; at most 1 KiB as UTF-16.
    """
    if _FORBIDDEN_IN_KEYS.search(key):
        raise RequestError(f"the {name} key {key!r} holds a character that Table Storage forbids (/ \\ # ? or a control)", param=name)
    if 2 * len(key) > MAX_KEY_BYTES:
        raise RequestError(f"the {name} key is {2 * len(key)} bytes as UTF-16; Table Storage takes {MAX_KEY_BYTES}", param=name)


def check_entity(partition: str, row: str, values: Mapping[str, Value]) -> int:
    """Refuse an entity that the service would refuse, naming the fault.

    Returns:
        Its stored size in bytes.
    """
    check_key("partition", partition)
    check_key("row", row)
    if len(values) + SYSTEM_PROPERTIES > MAX_PROPERTIES:
        raise RequestError(f"{len(values)} properties and the 3 system ones are over Table Storage's {MAX_PROPERTIES}", param="values")
    size = 4 + 2 * _utf16_units(partition) + 2 * _utf16_units(row)
    for name, value in values.items():
        if not _PROPERTY_NAME.match(name) or name in ("PartitionKey", "RowKey", "Timestamp"):
            raise RequestError(f"{name!r} cannot name a property in Table Storage", param=name)
        stored = _stored_bytes(name, value)
        if stored > MAX_PROPERTY_BYTES:
            raise RequestError(f"the property {name!r} is {stored} bytes; Table Storage takes {MAX_PROPERTY_BYTES}", param=name)
        size += 8 + 2 * len(name) + stored
    if size > MAX_ENTITY_BYTES:
        raise RequestError(f"the entity is {size} bytes; Table Storage takes {MAX_ENTITY_BYTES}", param="values")
    return size


def check_transaction(partition: str, writes: Sequence[Write]) -> None:
    """Refuse a transaction that the service would refuse: 1 to 100 writes, each row once, 4 MiB in all."""
    if not 1 <= len(writes) <= MAX_TRANSACTION_WRITES:
        raise RequestError(f"a transaction takes 1 to {MAX_TRANSACTION_WRITES} writes, not {len(writes)}", param="writes")
    size = 0
    seen: set[str] = set()
    for write in writes:
        if write.row in seen:
            raise RequestError(f"the row {write.row!r} is in the transaction twice", param="writes")
        if write.action in (Action.REPLACE, Action.DELETE) and write.etag is None:
            raise RequestError(f"{write.action} of the row {write.row!r} needs an ETag", param="writes")
        seen.add(write.row)
        size += check_entity(partition, write.row, write.values)
    if size > MAX_TRANSACTION_BYTES:
        raise RequestError(f"the transaction is {size} bytes; Table Storage takes {MAX_TRANSACTION_BYTES}", param="writes")


def _utf16_units(text: str) -> int:
    return len(text) + sum(ord(character) > 0xFFFF for character in text)


def _stored_bytes(name: str, value: Value) -> int:
    if isinstance(value, bool):
        return 1
    if isinstance(value, str):
        return 4 + 2 * _utf16_units(value)
    if isinstance(value, bytes):
        return 4 + len(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise RequestError(f"the property {name!r} does not fit 64 bits", param=name)
        return 8
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise RequestError(f"the property {name!r} is a datetime without a time zone", param=name)
        return 8
    if isinstance(value, float):
        return 8
    raise RequestError(f"the property {name!r} is a {type(value).__name__}, which Table Storage cannot hold", param=name)
