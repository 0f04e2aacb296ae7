"""Values of table lookups as rows, and back.

| table | partition | row | holds |
| --- | --- | --- | --- |
| `lookups` | tenant, a bar, the lookup's id; no tenant: shared | the key, escaped | `key`, `value` (JSON as bytes), `at` (UTC), `by` |

In a row's key whatever is no letter, digit, `.`, `_`, `:`, `@`, space or `-` stands as `=` and two hex digits for each byte of its UTF-8.
"""

import datetime
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.tables import Entity, Value

TABLE = "lookups"
MAX_VALUE_BYTES = 60_000  # a property takes 64 KiB
MAX_ROW_CHARACTERS = 500
_ESCAPED = re.compile(r"[^A-Za-z0-9._:@ -]")


def partition_of(tenant: str, lookup_id: str) -> str:
    """Return the partition of a tenant's values, or of the shared ones where the tenant is empty."""
    return f"{tenant}|{lookup_id}"


def row_of(key: str) -> str | None:
    """Return the row of a key; None for what can be no key: nothing, or too long a text."""
    row = _ESCAPED.sub(lambda match: "".join(f"={byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")), key)
    return row if 0 < len(row) <= MAX_ROW_CHARACTERS else None


def values_of(key: str, value: bytes, at: datetime.datetime, by: str) -> dict[str, Value]:
    """Return the properties of a row."""
    return {"key": key, "value": value, "at": at, "by": by}


def value_of(entity: Entity) -> tuple[Any, int]:
    """Return what a row holds, and its size in bytes."""
    stored = entity.values["value"]
    assert isinstance(stored, bytes)  # nobody else writes this table
    return msgspec.json.decode(stored), len(stored)


def head_of(entity: Entity) -> Mapping[str, Any]:
    """Return what a list says of a row: all but its value."""
    return {"key": entity.values["key"], "at": entity.values["at"], "by": entity.values.get("by", "")}
