"""The catalogue's `lookups:`: what is wrong with them that a type cannot say, and which of them a tenant's prompts may use. Pure."""

import re
from collections.abc import Mapping, Sequence

from gateway.domain.catalog import matches
from gateway.domain.catalog_schema import CatalogError
from gateway.domain.deployment import Backend, Protocol
from gateway.domain.guardrails import Fail
from gateway.domain.lookups import PLACEHOLDER, FeatureLookup, HttpLookup, Lookup, TableLookup, needs_of, template_of

MAX_TTL_S = 86_400.0
MAX_TIMEOUT_S = 30.0
MAX_FEATURES = 100
# As a template writes it: {{lookups.NAME}}.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")

type _Fault = tuple[str, str]


def build_lookups(entries: Sequence[Lookup], backends: Mapping[str, Backend]) -> tuple[Mapping[str, Lookup], Mapping[str, Backend]]:
    """Return the lookups and the backends that they ask, each by id.

    Raises:
        CatalogError: One of them is wrong.
    """
    found: dict[str, Lookup] = {}
    asked: dict[str, Backend] = {}
    for index, entry in enumerate(entries):
        path = f"$.lookups[{index}]"
        if entry.id in found:
            raise CatalogError(f"{path}.id", f"{entry.id!r} is there twice")
        if fault := _common_fault(entry) or _own_fault(entry):
            raise CatalogError(f"{path}.{fault[0]}", fault[1])
        if not isinstance(entry, TableLookup):
            backend = backends.get(entry.backend)
            if backend is None or backend.protocol is not Protocol.REST:
                raise CatalogError(f"{path}.backend", f"there is no backend {entry.backend[:64]!r} with the protocol rest")
            asked[entry.backend] = backend
        found[entry.id] = entry
    return found, asked


def lookup_fault(lookups: Mapping[str, Lookup], tenant: str, name: str) -> str | None:
    """Return what is wrong with a lookup's name in a prompt, after the name of the field; None where nothing is.

    Args:
        lookups: The catalogue's.
        tenant: Whose prompt it is; empty for a shared one, which is told when it is used whether its caller's tenant may.
        name: As the prompt has it.
    """
    if _usable(lookups, tenant, name) is not None:
        return None
    known = ", ".join(sorted(each for each in lookups if _usable(lookups, tenant, each) is not None))
    return f"names no lookup that you may use: {name[:64]!r}; there are {known or 'none'}"


def _usable(lookups: Mapping[str, Lookup], tenant: str, name: str) -> Lookup | None:
    lookup = lookups.get(name)
    return lookup if lookup is not None and (not tenant or serves(lookup, tenant)) else None


def serves(lookup: Lookup, tenant: str) -> bool:
    """Tell whether prompts of a tenant's calls may use it."""
    return not lookup.tenants or matches(lookup.tenants, tenant)


def _common_fault(entry: Lookup) -> _Fault | None:
    if not _NAME.match(entry.id):
        return "id", f"{entry.id[:64]!r} is no lookup's name: a letter, then letters, digits and _, 64 at most, as templates write it"
    if not 0 <= entry.ttl_s <= MAX_TTL_S:
        return "ttl_s", f"must be seconds, from 0 (asked each time) to {MAX_TTL_S:g}"
    if not 0 < entry.timeout_s <= MAX_TIMEOUT_S:
        return "timeout_s", f"must be seconds, more than 0 and at most {MAX_TIMEOUT_S:g}"
    if entry.fail is Fail.CLOSED and entry.default is not None:
        return "default", "is only for `fail: open`: a lookup that fails closed refuses the call"
    name = "path" if isinstance(entry, HttpLookup) else "key"
    if set("{}") & set(PLACEHOLDER.sub("", template_of(entry))):
        return name, "has a brace that means nothing: in braces stand {variables.NAME} or {context.NAME} and nothing else"
    return None


def _own_fault(entry: Lookup) -> _Fault | None:
    if isinstance(entry, HttpLookup):
        fixed = PLACEHOLDER.sub("", entry.path)
        if not entry.path.startswith("/") or not fixed.isprintable() or set(" #\\") & set(fixed) or ".." in fixed:
            return "path", "must begin with / and be a URL's path, without spaces, fragments and `..`"
        return ("pick", "has an empty member") if entry.pick and not all(entry.pick.split(".")) else None
    if not entry.key:
        return "key", "must not be empty"
    if isinstance(entry, FeatureLookup):
        return _features_fault(entry)
    if not any(needs_of(entry)) and not entry.key.isprintable():
        return "key", "has a character that cannot be seen"
    return None


def _features_fault(entry: FeatureLookup) -> _Fault | None:
    if not entry.entity:
        return "entity", "must not be empty: it is the name of the entity's join key"
    if not 1 <= len(entry.features) <= MAX_FEATURES:
        return "features", f"takes 1 to {MAX_FEATURES} features"
    names = set[str]()
    for feature in entry.features:
        name = short_name(feature)
        if not name or name == entry.entity or name in names:
            return "features", f"has {feature[:128]!r}, whose short name is empty, the entity's, or there twice"
        names.add(name)
    return None


def short_name(feature: str) -> str:
    """Return how a feature is called in an answer, and in a template: without its view."""
    return feature.rpartition(":")[2]
