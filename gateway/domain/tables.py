"""What Table Storage's semantics look like to the rest of the gateway: entities, writes, pages and the limits.

An entity is a flat dict of properties plus a partition key and a row key. Values are `str`, `int` (64 bit), finite
`float`, `bool`, `bytes` or an aware `datetime`. Storage counts what it stores: text is UTF-16, so a character is two bytes.

Rules: this module is pure; both adapters call the `check_…` functions before they touch the wire, because neither
Azurite nor SQLite refuses what the service refuses. Where the two would differ, the stricter one rules here:

- Keys and bounds stay in the Basic Multilingual Plane. The order of keys is then the same by code point (SQLite) and
  by UTF-16 unit (Azurite, .NET); an emoji in a key would sort differently on each.
- `inf` and `nan` are refused: JSON cannot carry them to a client, and `nan` does not equal itself when read back.
- A datetime starts at 1601-01-01 UTC, the first that Edm.DateTime can hold.

Source: learn.microsoft.com "Understanding the Table service data model" and "Performing entity group transactions"
(read 2026-11-22).
"""

import base64
import binascii
import datetime as dt
import enum
import functools
import json
import math
import re
import urllib.parse
from collections.abc import Mapping, Sequence

import msgspec

from gateway.errors import Conflict, PreconditionFailed, RequestError

Value = str | int | float | bool | bytes | dt.datetime

MAX_ENTITY_BYTES = 1024 * 1024
MAX_PROPERTIES = 255  # 252 of ours: PartitionKey, RowKey and Timestamp are counted
SYSTEM_PROPERTIES = 3
MAX_PROPERTY_BYTES = 64 * 1024
MAX_KEY_BYTES = 1024
MAX_TRANSACTION_WRITES = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_PAGE = 1000
MAX_BLOB_NAME = 1024
FIRST_DATETIME = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)

# What a write costs in a transaction's request besides keys and values: multipart and HTTP headers, the JSON's frame.
WRITE_OVERHEAD_BYTES = 1024

_FORBIDDEN_IN_KEYS = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff\U00010000-\U0010ffff]")
_FORBIDDEN_IN_BOUNDS = re.compile(r"[\ud800-\udfff\U00010000-\U0010ffff]")
_VALUE_TYPES = frozenset({str, int, float, bool, bytes, dt.datetime})
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_FORBIDDEN_IN_BLOBS = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_CONTAINER_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
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
        etag: The ETag that must still hold; ignored by insert and upsert.
    """

    action: Action
    row: str
    values: Mapping[str, Value] = {}
    etag: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Some rows of a query and, where there may be more, the token that continues it.

    The page after the last row may be empty: the service hands out a token before it knows whether a row follows.
    """

    entities: Sequence[Entity]
    continuation: str | None = None


def check_table_name(table: str) -> None:
    """Refuse a table name that the service would refuse: 3 to 63 letters and digits, a letter first."""
    if not _TABLE_NAME.match(table):
        raise RequestError(f"the table name {table!r} must be 3 to 63 letters and digits and start with a letter", param="table")


def check_key(name: str, key: str) -> None:
    r"""Refuse a key with characters or a length that the service refuses, or with a character beyond U+FFFF.

    Args:
        name: `partition` or `row`, for the message.
        key: The key itself. `/ \ # ?` and control characters are forbidden; at most 1 KiB as UTF-16.
    """
    if _FORBIDDEN_IN_KEYS.search(key):
        raise RequestError(
            f"the {name} key {key!r} holds a character that a key may not (/ \\ # ?, a control, or one beyond U+FFFF)", param=name
        )
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
    size = 4 + 2 * len(partition) + 2 * len(row)
    for name, value in values.items():
        if not _names_property(name):
            raise RequestError(f"{name!r} cannot name a property in Table Storage", param=name)
        kind = type(value)  # nearly all values without a call for each: every record comes by here
        if kind is str and value.isascii():  # type: ignore[union-attr]
            stored = 4 + 2 * len(value)  # type: ignore[arg-type]
        elif (kind is int or kind is float) and -(2**63) <= value < 2**63:  # type: ignore[operator]
            stored = 8
        else:
            stored = _stored_bytes(name, value)
        if stored > MAX_PROPERTY_BYTES:
            raise RequestError(f"the property {name!r} is {stored} bytes; Table Storage takes {MAX_PROPERTY_BYTES}", param=name)
        size += 8 + 2 * len(name) + stored
    if size > MAX_ENTITY_BYTES:
        raise RequestError(f"the entity is {size} bytes; Table Storage takes {MAX_ENTITY_BYTES}", param="values")
    return size


def check_transaction(partition: str, writes: Sequence[Write]) -> None:
    """Refuse a transaction that the service would refuse: 1 to 100 writes, each row once, 4 MiB in all.

    The 4 MiB are of the request, not of what is stored: see `request_bytes`.
    """
    if not 1 <= len(writes) <= MAX_TRANSACTION_WRITES:
        raise RequestError(f"a transaction takes 1 to {MAX_TRANSACTION_WRITES} writes, not {len(writes)}", param="writes")
    stored = 0
    seen: set[str] = set()
    for write in writes:
        if write.row in seen:
            raise RequestError(f"the row {write.row!r} is in the transaction twice", param="writes")
        if write.action in (Action.REPLACE, Action.DELETE) and write.etag is None:
            raise RequestError(f"{write.action} of the row {write.row!r} needs an ETag", param="writes")
        seen.add(write.row)
        stored += check_entity(partition, write.row, {} if write.action is Action.DELETE else write.values)
    # Nothing grows more than tenfold on the wire, so most transactions need no second look.
    if 10 * stored + WRITE_OVERHEAD_BYTES * (len(writes) + 1) > MAX_TRANSACTION_BYTES:
        size = request_bytes(partition, writes)
        if size > MAX_TRANSACTION_BYTES:
            raise RequestError(f"the transaction is {size} bytes to send; Table Storage takes {MAX_TRANSACTION_BYTES}", param="writes")


def request_bytes(partition: str, writes: Sequence[Write]) -> int:
    """Return an upper bound of a transaction's request: JSON escapes a character in up to six bytes, base64 adds a third."""
    sent = [_sent_bytes(partition, write.row, {} if write.action is Action.DELETE else write.values) for write in writes]
    return WRITE_OVERHEAD_BYTES + sum(sent)


def check_query(limit: int, partition: str | None, *bounds: str | None) -> None:
    """Refuse a query whose limit is not 1 to 1000, or whose bounds could not be compared alike everywhere.

    Args:
        limit: The most rows of a page.
        partition: The one partition, where there is one: it must be a key.
        bounds: The ends of ranges; unlike keys they may hold any character up to U+FFFF, such as `/` or a final U+FFFF.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise RequestError(f"a page takes 1 to {MAX_PAGE} rows, not {limit}", param="limit")
    if partition is not None:
        check_key("partition", partition)
    for bound in bounds:
        if bound is not None and _FORBIDDEN_IN_BOUNDS.search(bound):
            raise RequestError(f"the bound {bound!r} holds a character beyond U+FFFF", param="query")


def check_container_name(container: str) -> None:
    """Refuse a blob container's name that the service would refuse: 3 to 63 small letters, digits and single hyphens."""
    if not 3 <= len(container) <= 63 or not _CONTAINER_NAME.match(container):
        raise RequestError(f"the container name {container!r} must be 3 to 63 small letters, digits and single hyphens", param="container")


def check_blob_name(name: str) -> None:
    r"""Refuse a blob's name that the service, or a URL on the way to it, would refuse or change.

    It takes 1 to 1024 characters: `/` and any text, but no control characters, no `\`, no `.` or `..` or nothing between
    slashes, and no dot at the end.
    """
    segments = name.split("/")
    if _FORBIDDEN_IN_BLOBS.search(name) or any(segment in ("", ".", "..") for segment in segments) or name.endswith("."):
        raise RequestError(f"{name!r} cannot name a blob", param="name")
    if len(name.encode("utf-16-le")) > 2 * MAX_BLOB_NAME:
        raise RequestError(f"a blob's name takes {MAX_BLOB_NAME} characters", param="name")


def pack_continuation(*parts: str | None) -> str:
    """Make an opaque continuation token that is safe in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode()


def unpack_continuation(continuation: str) -> tuple[str | None, str | None]:
    """Read the two parts of a token back; RequestError where it is not one of ours."""
    try:
        return msgspec.json.decode(base64.b64decode(continuation, altchars=b"-_", validate=True), type=tuple[str | None, str | None])
    except (binascii.Error, ValueError) as exc:
        raise RequestError("the continuation token is not one of this store's", param="continuation") from exc


@functools.lru_cache(maxsize=4096)
def _names_property(name: str) -> bool:
    return _PROPERTY_NAME.match(name) is not None and name not in ("PartitionKey", "RowKey", "Timestamp")


def _stored_bytes(name: str, value: Value) -> int:
    # Subclasses are refused, since encoders disagree about them; members of a StrEnum or IntEnum are stored as their values.
    if type(value) not in _VALUE_TYPES and not isinstance(value, enum.Enum):
        raise RequestError(f"the property {name!r} is a {type(value).__name__}, which Table Storage cannot hold", param=name)
    if isinstance(value, bool):
        return 1
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise RequestError(f"the property {name!r} holds half a surrogate pair", param=name)
        return 4 + len(value.encode("utf-16-le"))
    if isinstance(value, bytes):
        return 4 + len(value)
    if isinstance(value, int):
        fault = None if -(2**63) <= value < 2**63 else "does not fit 64 bits"
    elif isinstance(value, float):
        fault = None if math.isfinite(value) else "is not a finite number"
    elif isinstance(value, dt.datetime):
        fault = _datetime_fault(value)
    else:
        fault = f"is a {type(value).__name__}, which Table Storage cannot hold"
    if fault:
        raise RequestError(f"the property {name!r} {fault}", param=name)
    return 8


def _datetime_fault(value: dt.datetime) -> str | None:
    if value.tzinfo is None:
        return "is a datetime without a time zone"
    try:
        return "is a datetime before 1601-01-01 UTC" if value.astimezone(dt.UTC) < FIRST_DATETIME else None
    except OverflowError:
        return "is a datetime that is not a date in UTC"


def _sent_bytes(partition: str, row: str, values: Mapping[str, Value]) -> int:
    size = WRITE_OVERHEAD_BYTES
    for key in (partition, row):
        size += len(urllib.parse.quote(key, safe="")) + len(json.dumps(key))
    for name, value in values.items():
        size += 2 * len(name) + 80  # the name again with its type, punctuation, and the longest number or datetime
        if isinstance(value, str):
            size += len(json.dumps(value))
        elif isinstance(value, bytes):
            size += 4 * (len(value) // 3 + 1)
    return size
