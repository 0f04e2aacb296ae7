"""The catalogue that recorded calls are run again under: what of it holds in a replay, and where it may lead. Pure.

Limits do not hold. Nothing is looked up for a model's prompt, because what was looked up then is put in again. Where no model is
asked there are no tiers: nobody could tell what a cheaper one would have answered.
"""

from collections.abc import Iterator, Mapping

import msgspec

from gateway.captures.rebuild import REPEATED, Expand, as_sent_on
from gateway.captures.record import Captured
from gateway.domain.access import Principal, Product
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import Backend, PoolMember
from gateway.domain.limits import NO_LIMITS
from gateway.domain.policy import Rule
from gateway.domain.prompts import PromptVersion
from gateway.domain.splice import splice
from gateway.domain.steps import Classify
from gateway.errors import RequestError

# Changes of the captured request that are made again; the street makes the others itself.
_AS_THEN = frozenset({"context", "window"})


class NoSettings(Mapping[str, str]):
    """What fills `${env:NAME}` in a replay's catalogue: the same for every name, so that none can be read by way of a report."""

    def __getitem__(self, name: str) -> str:
        return "https://setting.invalid"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def rehearsed(catalog: Catalog, running: Catalog, *, live: bool) -> Catalog:
    """Return the catalogue as a replay has it.

    Args:
        catalog: The one that was given, or the running one itself.
        running: What serves.
        live: Deployments are asked: then all of its backends must be the running catalogue's, and are taken from there.

    Raises:
        RequestError: It leads to a backend that the running catalogue has not got.
    """
    known: Mapping[str, Backend] | None = None
    if live and catalog is not running:
        known = {each.backend.id: each.backend for each in running.deployments.values()}
    models = tuple(_model(model, known, live=live) for model in catalog.models)
    rules = tuple(_rule(rule, known) for rule in catalog.rules)
    products = tuple(catalog.products.values())
    return Catalog(models, products, rules, catalog.tenant_prices, NO_LIMITS, catalog.guardrails, running.guard_backends)


def unlimited(product: Product, guardrails: tuple[str, ...] | None) -> Product:
    """Return a product as a replay has it: with the given guardrails in place of its own, unless they are None."""
    return msgspec.structs.replace(
        product,
        limits=NO_LIMITS,
        shared_limits=NO_LIMITS,
        user_limits=NO_LIMITS,
        call_cost=None,
        history=None,
        window=None,
        capture=None,
        guardrails=product.guardrails if guardrails is None else guardrails,
    )


def as_caller(principal: Principal) -> Principal:
    """Return the caller of a captured call, free of limits and networks."""
    return msgspec.structs.replace(principal, limits=NO_LIMITS, tenant_limits=NO_LIMITS, networks=())


def body_again(captured: Captured, version: PromptVersion | None, expand: Expand, model: str) -> bytes:
    """Return a captured request's body, before the street does anything to it.

    Args:
        captured: The call.
        version: Its prompt is rendered from; None where it had none.
        expand: Repeats the expansion.
        model: Is asked for in place of its own; empty leaves it.
    """
    same = version is None or captured.source is None or version.hash == captured.source.hash
    # A body that was kept was made of the version of then.
    kept = tuple(each for each in captured.changes if each.by in _AS_THEN and (same or not each.body))
    body = as_sent_on(msgspec.structs.replace(captured, changes=kept), version, expand, REPEATED).body
    return splice(body, {"model": msgspec.json.encode(model)}) if model else body


def repeatable(version: PromptVersion, *, live: bool) -> PromptVersion:
    """Return a version as far as its steps can be done again: what another model said of an answer was not recorded."""
    if live:
        return version
    return msgspec.structs.replace(version, steps=tuple(step for step in version.steps if not isinstance(step, Classify)))


def _model(model: Model, known: Mapping[str, Backend] | None, *, live: bool) -> Model:
    return msgspec.structs.replace(model, pool=_pool(model.pool, known), enrich=(), tiers=model.tiers if live else ())


def _rule(rule: Rule, known: Mapping[str, Backend] | None) -> Rule:
    return msgspec.structs.replace(rule, pool=_pool(rule.pool, known))


def _pool(pool: tuple[PoolMember, ...], known: Mapping[str, Backend] | None) -> tuple[PoolMember, ...]:
    return pool if known is None else tuple(_member(member, known) for member in pool)


def _member(member: PoolMember, known: Mapping[str, Backend]) -> PoolMember:
    deployment = member.deployment
    backend = known.get(deployment.backend.id)
    if backend is None or backend.protocol is not deployment.backend.protocol:
        message = (
            f"the backend {deployment.backend.id!r} is not one of the running catalogue's with the same protocol; a live replay "
            'asks no other; use "mode": "dry"'
        )
        raise RequestError(message, param="with.catalog", code="invalid_value")
    return msgspec.structs.replace(member, deployment=msgspec.structs.replace(deployment, backend=backend))
