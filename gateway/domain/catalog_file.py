"""The catalogue file's document becomes a `Catalog`.

Pure: reading and parsing the YAML is `adapters/catalog_source.py`'s job. What may stand in the file is in
`catalog_schema.py`. Every fault is a `CatalogError` with the path of the value at fault (`$.backends[0].endpoint`), which
the adapter turns into a line number. Secrets are `${env:NAME}` or `keyvault://vault/secret` and nothing else, so none can
stand in the file.
"""

import datetime
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.access import UNLIMITED_PRODUCT, Product, network_fault
from gateway.domain.catalog import Catalog
from gateway.domain.catalog_backends import build_backend, build_deployment
from gateway.domain.catalog_guardrails import build_guardrails, language_backends, unknown_guardrail
from gateway.domain.catalog_lookups import build_lookups
from gateway.domain.catalog_models import NAME_RULE, build_model, hidden_models, index_names
from gateway.domain.catalog_rules import build_rule, build_tenant_price
from gateway.domain.catalog_schema import CatalogError, File, ProductEntry
from gateway.domain.conversations import conversations_fault
from gateway.domain.guardrail_faults import Check, nothing_more
from gateway.domain.limits import Limits, limits_fault
from gateway.domain.price_book import NO_PRICES, PriceBook
from gateway.domain.secret_references import SCHEME
from gateway.domain.shapes import what_is_wrong

__all__ = ["CatalogError", "build_catalog"]

SECRETS = ("key", "session_token")
_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")


def build_catalog(document: Any, environment: Mapping[str, str], book: PriceBook = NO_PRICES, check: Check = nothing_more) -> Catalog:
    """Validate a parsed document and resolve it.

    Args:
        document: What the YAML or JSON says.
        environment: Fills `${env:NAME}` in every string.
        book: Prices of deployments that the file gives none.
        check: Says what is wrong with a guardrail that only its detector can tell.

    Raises:
        CatalogError: The first fault.
    """
    used: dict[str, str] = {}
    try:
        return _build(document, environment, used, book, check)
    except CatalogError as exc:
        # Any of them may be a secret in the wrong place, and the message is for a log.
        hidden = functools.reduce(lambda text, pair: text.replace(pair[1], f"${{env:{pair[0]}}}"), used.items(), exc.message)
        raise CatalogError(exc.path, hidden) from None


def _build(document: Any, environment: Mapping[str, str], used: dict[str, str], book: PriceBook, check: Check) -> Catalog:
    _refuse_inline_secrets(document)
    resolved = _interpolate(document, environment, "$", used)
    try:
        file = msgspec.convert(resolved, File)
    except msgspec.ValidationError as exc:
        wrong = what_is_wrong(exc, File, resolved)
        raise CatalogError(wrong.path, f"`{wrong.field}` {wrong.said}" if wrong.field else wrong.said) from exc
    if file.version != 1:
        raise CatalogError("$.version", f"version {file.version} is not known; this gateway reads version 1")
    backends = _index("backends", file.backends, build_backend)
    deployments = _index("deployments", file.deployments, lambda entry, path: build_deployment(entry, path, backends, book))
    names = index_names(file.models)
    models = [build_model(entry, f"$.models[{index}]", names, deployments, backends) for index, entry in enumerate(file.models)]
    places = {entry.id: index for index, entry in enumerate(file.deployments)}
    open_backends = [backends[entry.id] for entry in file.backends if not entry.internal]
    models += hidden_models(open_backends, deployments, places, names)
    guardrails, guard_backends = build_guardrails(file.guardrails, check), language_backends(file.guardrails, backends)
    products = _index("products", file.products, lambda entry, path: _product(entry, path, names, guardrails))
    _check_limits(file.limits, "$.limits")
    rules = _index("routing_rules", file.routing_rules, lambda entry, path: build_rule(entry, path, names, deployments))
    prices = [build_tenant_price(entry, f"$.tenant_prices[{index}]", deployments) for index, entry in enumerate(file.tenant_prices)]
    lookups = build_lookups(file.lookups, backends)
    pools, bundles = tuple(models), tuple(products.values())
    return Catalog(pools, bundles, tuple(rules.values()), tuple(prices), file.limits, guardrails, guard_backends, *lookups)


def _refuse_inline_secrets(document: Any) -> None:
    backends = document.get("backends") if isinstance(document, dict) else None
    for index, backend in enumerate(backends if isinstance(backends, list) else ()):
        auth = backend.get("auth") if isinstance(backend, dict) else None
        given = auth if isinstance(auth, dict) else {}
        for name in SECRETS:
            value = given.get(name)
            if value is not None and not (isinstance(value, str) and (_REFERENCE.fullmatch(value) or value.startswith(SCHEME))):
                hint = "write ${env:NAME} and put the secret into that app setting, or write keyvault://vault/secret"
                raise CatalogError(f"$.backends[{index}].auth.{name}", f"a secret must not stand in the catalogue; {hint}")


def _interpolate(value: Any, environment: Mapping[str, str], path: str, used: dict[str, str]) -> Any:
    if isinstance(value, str):

        def resolve(match: re.Match[str]) -> str:
            if not environment.get(match[1]):
                raise CatalogError(path, f"the setting {match[1]} is not set, and ${{env:{match[1]}}} needs it")
            used[match[1]] = environment[match[1]]
            return environment[match[1]]

        return _REFERENCE.sub(resolve, value)
    if isinstance(value, dict):
        return {name: _interpolate(item, environment, f"{path}.{name}", used) for name, item in value.items()}
    if isinstance(value, list):
        return [_interpolate(item, environment, f"{path}[{index}]", used) for index, item in enumerate(value)]
    if type(value) is datetime.date:  # YAML takes 2024-10-21 for one, wherever it stands; an API's version is a text
        return value.isoformat()
    return value


def _index[E, T](section: str, entries: Sequence[E], build: Callable[[E, str], T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for index, entry in enumerate(entries):
        path = f"$.{section}[{index}]"
        name: str = entry.id  # type: ignore[attr-defined]  # every entry has one
        if not _ID.match(name):
            raise CatalogError(f"{path}.id", f"{name!r} is no id: {NAME_RULE}")
        if name in found:
            raise CatalogError(f"{path}.id", f"{name!r} is there twice")
        found[name] = build(entry, path)
    return found


def _product(entry: ProductEntry, path: str, names: Mapping[str, str], guardrails: Iterable[str]) -> Product:
    if entry.id == UNLIMITED_PRODUCT.id:
        raise CatalogError(f"{path}.id", f"the product {entry.id!r} is built in and cannot be defined")
    for name in ("limits", "shared_limits", "user_limits"):
        _check_limits(getattr(entry, name), f"{path}.{name}")
    if fault := network_fault(entry.network):
        raise CatalogError(f"{path}.network.{fault[0]}", fault[1])
    if fault := unknown_guardrail(entry.guardrails, guardrails, f"{path}.guardrails"):
        raise CatalogError(*fault)
    for name in ("history", "window", "capture"):
        if fault := conversations_fault(getattr(entry, name), names.__contains__):
            raise CatalogError(f"{path}.{name}.{fault[0]}", fault[1])
    cost = entry.call_cost
    if cost is not None and cost.over_usd <= 0:
        raise CatalogError(f"{path}.call_cost.over_usd", "must be over 0")
    if cost is not None and (cost.then == "draft") != (cost.draft_model in names and bool(cost.draft_model)):
        known = "must be a model of the catalogue" if cost.then == "draft" else "is only for `then: draft`"
        raise CatalogError(f"{path}.call_cost.draft_model", known)
    return Product(**msgspec.structs.asdict(entry))


def _check_limits(limits: Limits, path: str) -> None:
    if fault := limits_fault(limits):
        raise CatalogError(f"{path}.{fault[0]}", fault[1])
