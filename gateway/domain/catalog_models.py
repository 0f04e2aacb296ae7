"""The catalogue's models: entries become the values of `catalog.py` and `policy.py`, every name in them checked.

Models name each other (fallbacks, tiers, judges, successors) by id or alias; what is kept is the id. Fallbacks may lead in a
circle, because two models may well stand in for each other: whoever follows them asks each model once, so it ends.

A backend of the protocols `azure-ai`, `azure-ml` and `rest` is asked for at /ai/{backend}, not by a model's name. It gets a
hidden model of its own id, unless it is internal or a model has that name; its pool is the deployment of that id, which is
made where there is none.
"""

import re
from collections.abc import Mapping, Sequence

from gateway.domain.catalog import Model
from gateway.domain.catalog_backends import BY_BACKEND, check_capabilities, check_least, check_share
from gateway.domain.catalog_schema import (
    CatalogError,
    EnrichEntry,
    FallbacksEntry,
    LifecycleEntry,
    ModelEntry,
    PoolEntry,
    TierEntry,
    TransformEntry,
    VerifyEntry,
)
from gateway.domain.deployment import Backend, Deployment, PoolMember, Protocol
from gateway.domain.json_schema import schema_fault
from gateway.domain.patterns import Pattern, check_replacement, compiled
from gateway.domain.policy import (
    STRATEGIES,
    Enrichment,
    Fallbacks,
    Lifecycle,
    LifecycleState,
    StaticAnswer,
    Tier,
    Transform,
    Verifier,
)

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\Z")
NAME_RULE = "letters, digits and . _ : - only (a model's may have /), a letter or digit first, at most 128"
HASH_ON = ("user", "session", "subscription", "prompt")
# The arguments that each transform needs, and those that mean nothing to it.
_ARGUMENTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "regex-replace": (("pattern",), ("field",)),
    "extract": (("pattern", "field"), ("replacement",)),
    "trim": ((), ("pattern", "replacement", "field")),
    "wrap": (("replacement",), ("pattern", "field")),
}
MAX_ATTEMPT_TIMEOUT_S = 230.0
MAX_ENRICHMENT_S = 30.0
MAX_WEIGHT = 1_000_000
_HOLE = re.compile(r"\{(?:user|tenant|session|tag:[^{}]+)\}")
_ENDING = frozenset({LifecycleState.DEPRECATED, LifecycleState.RETIRED})


def index_names(entries: Sequence[ModelEntry]) -> dict[str, str]:
    """Return the id behind every id and alias; each may be there once."""
    owners: dict[str, str] = {}
    ids: set[str] = set()
    for index, entry in enumerate(entries):
        path = f"$.models[{index}]"
        for name in (entry.id, *entry.aliases):
            member = "id" if name == entry.id else "aliases"
            if not MODEL_NAME.match(name):
                raise CatalogError(f"{path}.{member}", f"{name!r} is no name: {NAME_RULE}")
            if name in ids and name == entry.id:
                raise CatalogError(f"{path}.id", f"{name!r} is there twice")
            if name in owners:
                raise CatalogError(path, f"the name {name!r} is taken by the model {owners[name]!r}")
            owners[name] = entry.id
        ids.add(entry.id)
    return owners


def build_model(
    entry: ModelEntry, path: str, names: Mapping[str, str], deployments: Mapping[str, Deployment], backends: Mapping[str, Backend]
) -> Model:
    """Check a model against everything that it names.

    Args:
        entry: As the file has it.
        path: Where it is.
        names: Of all models, see `index_names`.
        deployments: By id.
        backends: By id, for lookups.
    """
    _check_numbers(entry, path)
    check_capabilities(entry.capabilities, f"{path}.capabilities")
    check_strategy(entry.strategy, f"{path}.strategy")
    if entry.hash_on not in HASH_ON:
        raise CatalogError(f"{path}.hash_on", f"{entry.hash_on!r} is not one of {', '.join(HASH_ON)}")
    pool = build_pool(entry.pool, f"{path}.pool", deployments)
    floor = entry.quality_floor
    if floor is not None and not any((member.deployment.quality or 0.0) >= floor for member in pool):
        raise CatalogError(
            f"{path}.quality_floor", f"no deployment of the pool has a `quality` of {floor:g} or more, so no call could be served"
        )
    return Model(
        id=entry.id,
        pool=pool,
        aliases=entry.aliases,
        max_attempts=entry.retry.max_attempts,
        attempt_timeout_s=entry.retry.attempt_timeout_s,
        strategy=entry.strategy,
        capabilities=entry.capabilities,
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        default_output_tokens=entry.default_output_tokens,
        quality_floor=entry.quality_floor,
        latency_ceiling_s=entry.latency_ceiling_s,
        hash_on=entry.hash_on,
        fallbacks=_fallbacks(entry.fallbacks, f"{path}.fallbacks", entry.id, names),
        lifecycle=build_lifecycle(entry.lifecycle, f"{path}.lifecycle", entry.id, names),
        tiers=tuple(_tier(tier, f"{path}.tiers[{index}]", entry.id, names) for index, tier in enumerate(entry.tiers)),
        enrich=tuple(_enrichment(item, f"{path}.enrich[{index}]", backends) for index, item in enumerate(entry.enrich)),
        transform=tuple(_transform(item, f"{path}.transform[{index}]") for index, item in enumerate(entry.transform)),
    )


def _check_numbers(entry: ModelEntry, path: str) -> None:
    if not 1 <= entry.retry.max_attempts <= 10:
        raise CatalogError(f"{path}.retry.max_attempts", "must be from 1 (never retry) to 10")
    _check_seconds(entry.retry.attempt_timeout_s, f"{path}.retry.attempt_timeout_s", MAX_ATTEMPT_TIMEOUT_S)
    _check_seconds(entry.latency_ceiling_s, f"{path}.latency_ceiling_s", MAX_ATTEMPT_TIMEOUT_S)
    check_share(entry.quality_floor, f"{path}.quality_floor")
    for name in ("context_window", "max_output_tokens", "default_output_tokens"):
        check_least(getattr(entry, name), f"{path}.{name}")
    if entry.default_output_tokens and entry.max_output_tokens and entry.default_output_tokens > entry.max_output_tokens:
        raise CatalogError(f"{path}.default_output_tokens", "must not be over max_output_tokens")


def _check_seconds(value: float | None, path: str, most: float) -> None:
    if value is not None and not 0 < value <= most:
        raise CatalogError(path, f"must be seconds, more than 0 and at most {most:g}")


def check_strategy(name: str, path: str) -> None:
    """Refuse a strategy that nobody knows."""
    if name not in STRATEGIES:
        raise CatalogError(path, f"{name!r} is not one of {', '.join(sorted(STRATEGIES))}")


def check_regex(pattern: str, path: str) -> Pattern:
    """Compile a regular expression, or say what is wrong with it."""
    try:
        return compiled(pattern)
    except ValueError as exc:
        raise CatalogError(path, f"this is no regular expression of RE2's syntax: {exc}") from exc


def build_pool(entries: Sequence[PoolEntry], path: str, deployments: Mapping[str, Deployment]) -> tuple[PoolMember, ...]:
    """Check a pool: each deployment is there and once, and one at least gets calls."""
    if not entries:
        raise CatalogError(path, "needs at least one deployment")
    members: list[PoolMember] = []
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.deployment not in deployments:
            raise CatalogError(f"{path}[{index}].deployment", f"there is no deployment {entry.deployment!r}")
        if not 0 <= entry.weight <= MAX_WEIGHT:
            raise CatalogError(f"{path}[{index}].weight", f"must be from 0 (no calls yet) to {MAX_WEIGHT}")
        if entry.deployment in seen:
            raise CatalogError(f"{path}[{index}].deployment", f"{entry.deployment!r} is in the pool twice; give it a weight")
        seen.add(entry.deployment)
        members.append(PoolMember(deployments[entry.deployment], entry.priority, entry.weight))
    if not any(member.weight for member in members):
        raise CatalogError(path, "needs at least one deployment whose weight is not 0")
    return tuple(members)


def _named(name: str, path: str, own: str, names: Mapping[str, str]) -> str:
    if name not in names:
        raise CatalogError(path, f"there is no model {name!r}")
    if names[name] == own:
        raise CatalogError(path, f"{name!r} is this model itself")
    return names[name]


def _fallbacks(entry: FallbacksEntry, path: str, own: str, names: Mapping[str, str]) -> Fallbacks:
    found = {
        member: tuple(_named(name, f"{path}.{member}[{index}]", own, names) for index, name in enumerate(getattr(entry, member)))
        for member in ("any", "context_length", "content_filter")
    }
    return Fallbacks(**found, static=StaticAnswer(entry.static.content) if entry.static else None)


def build_lifecycle(entry: LifecycleEntry, path: str, own: str, names: Mapping[str, str]) -> Lifecycle:
    """Check a lifecycle: only what is coming to its end has dates and a successor."""
    for member in ("deprecated", "sunset", "successor"):
        if getattr(entry, member) and entry.state not in _ENDING:
            raise CatalogError(f"{path}.{member}", f"belongs to the states deprecated and retired, not to {entry.state.value}")
    if entry.deprecated and entry.sunset and entry.sunset < entry.deprecated:
        raise CatalogError(f"{path}.sunset", "must not be before the day of `deprecated`")
    successor = _named(entry.successor, f"{path}.successor", own, names) if entry.successor else ""
    return Lifecycle(entry.state, entry.deprecated, entry.sunset, successor)


def _tier(entry: TierEntry, path: str, own: str, names: Mapping[str, str]) -> Tier:
    return Tier(_named(entry.model, f"{path}.model", own, names), _verifier(entry.verify, f"{path}.verify", names))


def _verifier(entry: VerifyEntry, path: str, names: Mapping[str, str]) -> Verifier:
    if sum(value is not None for value in (entry.json_schema, entry.regex, entry.judge)) != 1:
        raise CatalogError(path, "needs exactly one of `json_schema`, `regex` and `judge`")
    if entry.regex is not None:
        check_regex(entry.regex, f"{path}.regex")
    if entry.json_schema is not None and (fault := schema_fault(entry.json_schema)) is not None:
        raise CatalogError(f"{path}.json_schema", fault)
    if entry.judge is None:
        return Verifier(json_schema=entry.json_schema, regex=entry.regex)
    judge = _named(entry.judge.model, f"{path}.judge.model", "", names)
    given = {name: value for name in ("question", "passes") if (value := getattr(entry.judge, name))}
    return Verifier(judge_model=judge, **given)


def _enrichment(entry: EnrichEntry, path: str, backends: Mapping[str, Backend]) -> Enrichment:
    backend = backends.get(entry.backend)
    if backend is None or backend.protocol is not Protocol.REST:
        raise CatalogError(f"{path}.backend", f"there is no backend {entry.backend!r} with the protocol rest")
    fixed = _HOLE.sub("", entry.path)
    if not entry.path.startswith("/") or not fixed.isprintable() or set("{} ") & set(fixed):
        raise CatalogError(f"{path}.path", "must begin with /; in braces stand {user}, {tenant}, {session} or {tag:NAME} and nothing else")
    if "{result}" not in entry.template:
        raise CatalogError(f"{path}.template", "needs {result} where the lookup's text goes")
    _check_seconds(entry.timeout_s, f"{path}.timeout_s", MAX_ENRICHMENT_S)
    return Enrichment(backend, entry.path, entry.template, entry.pick, entry.timeout_s, entry.required)


def _transform(entry: TransformEntry, path: str) -> Transform:
    if entry.type not in _ARGUMENTS:
        raise CatalogError(f"{path}.type", f"{entry.type!r} is not one of {', '.join(_ARGUMENTS)}")
    needed, useless = _ARGUMENTS[entry.type]
    for name in needed:
        if not getattr(entry, name):
            raise CatalogError(f"{path}.{name}", f"is what {entry.type} needs")
    for name in useless:
        if getattr(entry, name):
            raise CatalogError(f"{path}.{name}", f"means nothing to {entry.type}; leave it out")
    if entry.type == "wrap" and "{text}" not in entry.replacement:
        raise CatalogError(f"{path}.replacement", "needs {text} where the answer's text goes")
    pattern = check_regex(entry.pattern, f"{path}.pattern")
    if entry.type == "regex-replace":
        try:
            check_replacement(pattern, entry.replacement)
        except ValueError as exc:
            raise CatalogError(f"{path}.replacement", f"does not go with the pattern: {exc}") from exc
    return Transform(entry.type, entry.pattern, entry.replacement, entry.field)


def hidden_models(
    backends: Sequence[Backend], deployments: Mapping[str, Deployment], places: Mapping[str, int], names: Mapping[str, str]
) -> list[Model]:
    """Make the models behind /ai/{backend}.

    Args:
        backends: Those that are not internal.
        deployments: Those of the file, by id.
        places: Their indices in the file, for messages.
        names: Taken by models of the file.
    """
    models: list[Model] = []
    for backend in backends:
        if backend.protocol not in BY_BACKEND or backend.id in names:
            continue
        deployment = deployments.get(backend.id) or Deployment(id=backend.id, backend=backend, name="")
        if deployment.backend is not backend:
            where = f"$.deployments[{places[backend.id]}].id"
            raise CatalogError(where, f"{backend.id!r} is the id of a backend at /ai/, whose deployment it must then be")
        models.append(Model(id=backend.id, pool=(PoolMember(deployment),), hidden=True))
    return models
