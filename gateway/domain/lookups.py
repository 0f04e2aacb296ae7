"""Lookups: named sources of live data, declared by the operator in the catalogue, that prompts put into their text. Frozen data.

A prompt names them (`lookups: [customer]`) and writes `{{lookups.customer}}`, or a member: `{{lookups.customer.plan}}`. What is
found is data: it is never read as a template, and guardrails see it as a document.

In `path` and `key` stand `{variables.NAME}` and `{context.NAME}`; in a path what is filled in is escaped.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from gateway.domain.guardrails import Fail

PLACEHOLDER = re.compile(r"\{(variables|context)\.([A-Za-z_][A-Za-z0-9_-]{0,63})\}")


class _Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What all lookups have.

    Attributes:
        id: Its name.
        tenants: Globs; prompts of these tenants' calls may use it. Empty for all.
        ttl_s: How long a result is served from memory, in seconds; 0 asks each time.
        timeout_s: How long it may take, in seconds.
        fail: `closed` refuses the call (503 `lookup_failed`); `open` goes on with `default`, and the record says so.
        default: What stands in its place then.
    """

    id: str
    tenants: tuple[str, ...] = ()
    ttl_s: float = 60.0
    timeout_s: float = 2.0
    fail: Fail = Fail.CLOSED
    default: Any = None


class HttpLookup(_Lookup, frozen=True, kw_only=True, tag="http"):
    """A GET at a backend of the catalogue (protocol `rest`): no other host can be asked. `pick`: members of a JSON answer to go down."""

    backend: str
    path: str
    pick: str = ""


class TableLookup(_Lookup, frozen=True, kw_only=True, tag="table"):
    """A row that was written at `PUT /manage/lookups/{id}/{key}`, a tenant's own before the shared one."""

    key: str


class FeatureLookup(_Lookup, frozen=True, kw_only=True, tag="features"):
    """Features of an entity, by its key: from a feature server (`POST /get-online-features`), typed.

    Attributes:
        backend: A `rest` backend that speaks Feast's HTTP protocol.
        entity: The name of the entity's join key.
        key: Its value.
        features: What is asked for (`customer:lifetime_value`), and the type that each must have.
    """

    backend: str
    entity: str
    key: str
    features: dict[str, Literal["string", "number", "integer", "boolean", "any"]]


type Lookup = HttpLookup | TableLookup | FeatureLookup


def template_of(lookup: Lookup) -> str:
    """Return the text whose placeholders a call fills in: an HTTP lookup's path, another one's key."""
    return lookup.path if isinstance(lookup, HttpLookup) else lookup.key


def needs_of(lookup: Lookup) -> Iterator[tuple[str, str]]:
    """Yield what a call must bring: (`variables` or `context`, name), in the order in which it stands there."""
    for match in PLACEHOLDER.finditer(template_of(lookup)):
        yield match[1], match[2]
