"""Tenants, products and subscriptions as rows, and back. Pure.

A text or a state stands in the row as it is, all else as JSON; what has its default is left out. The fields that are keys of
the row (`id`, `tenant`) are not repeated. Rows of earlier versions are read: their subscriptions name two key ids.
"""

from typing import Any

import msgspec

from gateway.domain.access import KeySlot, Subscription
from gateway.domain.tables import Entity, Value

SLOTS = ("primary", "secondary")
_KEYS = frozenset({"id", "tenant"})


class Stored[T](msgspec.Struct, frozen=True):
    """What was read, and the ETag of its row; empty for what is fixed and has none."""

    value: T
    etag: str = ""


def values_of(thing: msgspec.Struct) -> dict[str, Value]:
    """Return a thing's row."""
    values: dict[str, Value] = {}
    for field in msgspec.structs.fields(thing):
        value = getattr(thing, field.name)
        if field.name not in _KEYS and not _is_default(field, value):
            values[field.name] = str(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
    return values


def _is_default(field: msgspec.structs.FieldInfo, value: object) -> bool:
    if field.default_factory is not msgspec.NODEFAULT:  # of what can be changed, such as {}
        return bool(value == field.default_factory())
    return bool(value == field.default)


def thing_of[T: msgspec.Struct](entity: Entity, kind: type[T], **keys: str) -> Stored[T]:
    """Return what a row holds.

    Args:
        entity: The row.
        kind: Of what.
        keys: What its keys say: `id`, `tenant`.
    """
    fields: dict[str, Any] = dict(keys)
    for field in msgspec.structs.fields(kind):
        text = entity.values.get(field.name)
        if field.name in keys or text is None:
            continue
        texts = isinstance(field.type, type) and issubclass(field.type, str)
        fields[field.name] = msgspec.convert(text, field.type) if texts else msgspec.json.decode(str(text), type=field.type)
    return Stored(kind(**fields), entity.etag)


def subscription_of(entity: Entity) -> Stored[Subscription]:
    """Return a subscription's row."""
    stored = thing_of(entity, Subscription, id=entity.row, tenant=entity.partition)
    if "keys" in entity.values:
        return stored
    ids = [(slot, entity.values.get(f"{slot}_key_id")) for slot in SLOTS]
    keys = tuple(KeySlot(slot, str(key_id)) for slot, key_id in ids if key_id)
    return Stored(msgspec.structs.replace(stored.value, keys=keys), entity.etag)
