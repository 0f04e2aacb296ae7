"""What a call may cost before it is made: an upper bound over everything that its model can lead to.

    worst = every tier's answer, and its judge's verdict + the dearest of: the pool, the fallbacks' pools
    dearest over: the model itself, and every routing rule that may send its calls elsewhere

It is linear in the tokens between the edges of long prompts, so a model's bound is a few numbers, worked out once for each
(catalogue, model, tenant, day); a call is two multiplications. Deployments that get no call (weight 0, draining) do not count.
What a bound cannot hold: calls that are pinned to a deployment by an id of an earlier answer cost what that deployment costs,
which is in the same pools.
"""

import datetime
import fnmatch
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from gateway.domain.call import Operation
from gateway.domain.capabilities import may_serve
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import PoolMember, Price
from gateway.domain.policy import Rule

TOKENS_PER_PRICE = 1_000_000
JUDGE_TOKENS = 512  # what stands around an answer in a judge's prompt, beside the operator's question
VERDICT_TOKENS = 64
MOST_OFFERS = 5
_NO_END = 2**62

# Tells whether the caller may ask for a model.
type Allowed = Callable[[Model], bool]


class Rates(NamedTuple):
    """What a token of the prompt, one of the answer and a unit cost at most, in micro-USD per million; `fixed` comes on top."""

    input: int = 0
    output: int = 0
    unit: int = 0
    fixed: int = 0


class Bound(NamedTuple):
    """A model's rates: `rates[i]` up to and with `edges[i]` prompt tokens, the last one beyond.

    `only_units`: something in it has a price for units and none for tokens, so a call whose units nobody knows has no bound.
    """

    edges: tuple[int, ...]
    rates: tuple[Rates, ...]
    only_units: bool = False


class Offer(NamedTuple):
    """A cheaper model, and what the call may cost there."""

    model: str
    cost_micro_usd: int


# By catalogue: they are never changed, only replaced.
_bounds: "weakref.WeakKeyDictionary[Catalog, dict[tuple[str, str, datetime.date], Bound | None]]" = weakref.WeakKeyDictionary()


def worst_cost_micro_usd(
    catalog: Catalog, model: Model, tenant: str, input_tokens: int, output_tokens: int, utc: datetime.datetime, *, units: int = 0
) -> int | None:
    """Return what a call costs at most, in micro-USD; None where something that may answer it has no price.

    Args:
        catalog: As it stands now.
        model: The one that is asked for.
        tenant: Who pays.
        input_tokens: At most so many in the prompt.
        output_tokens: At most so many in all choices together.
        utc: Prices are those of its day.
        units: At most so many images, characters, seconds ….
    """
    known = _bounds.get(catalog)
    if known is None:
        known = _bounds[catalog] = {}
    key = (model.id, tenant, utc.date())
    try:
        bound = known[key]
    except KeyError:
        if any(day != key[2] for _, _, day in known):
            known.clear()  # yesterday's
        bound = known[key] = bound_of(catalog, model, tenant, utc)
    if bound is None or (bound.only_units and not units):
        return None
    rates = bound.rates[bisect_left(bound.edges, input_tokens)] if bound.edges else bound.rates[0]
    cost = input_tokens * rates.input + output_tokens * rates.output + units * rates.unit + rates.fixed
    return -(-cost // TOKENS_PER_PRICE)


def offers(
    catalog: Catalog,
    allowed: Allowed,
    model: Model,
    tenant: str,
    input_tokens: int,
    output_tokens: int,
    utc: datetime.datetime,
    *,
    operation: Operation,
    needs: frozenset[str] = frozenset(),
) -> tuple[Offer, ...]:
    """Return the models that can do the same for less, the cheapest first, at most MOST_OFFERS.

    Args:
        catalog: As it stands now.
        allowed: Which of its models the caller may ask for.
        model: The one that was asked for. One that says nothing of what it can do is replaced only by others that say nothing.
        tenant: Who pays.
        input_tokens: At most so many in the prompt.
        output_tokens: At most so many in all choices together.
        utc: Prices are those of its day.
        operation: What is asked for.
        needs: What else the call needs.
    """
    own = worst_cost_micro_usd(catalog, model, tenant, input_tokens, output_tokens, utc)
    found = []
    for other in catalog.models:
        if other.id == model.id or other.hidden or other.lifecycle.is_over(utc) or not allowed(other):
            continue
        if not can_replace(other, model, operation, needs):
            continue
        if other.context_window is not None and other.context_window < input_tokens + output_tokens:
            continue
        cost = worst_cost_micro_usd(catalog, other, tenant, input_tokens, output_tokens, utc)
        if cost is not None and (own is None or cost < own):
            found.append(Offer(other.id, cost))
    return tuple(sorted(found, key=lambda offer: (offer.cost_micro_usd, offer.model))[:MOST_OFFERS])


def can_replace(other: Model, model: Model, operation: Operation, needs: frozenset[str]) -> bool:
    """Tell whether a model says that it can do what was asked of another; of one that says nothing only such another is replaced."""
    if not other.capabilities:
        return not model.capabilities
    return may_serve(operation, other.capabilities) and needs <= frozenset(other.capabilities)


def bound_of(catalog: Catalog, model: Model, tenant: str, utc: datetime.datetime) -> Bound | None:
    """Work out a model's bound; None where something in it has no price."""
    ways = [(model, model.pool), *_ways_of_rules(catalog, model, tenant)]
    edges: set[int] = set()
    only_units = False
    for target, pool in ways:
        for members in _reached(catalog, target, pool):
            for price in _prices(catalog, members, tenant, utc):
                if price is None:
                    return None
                only_units = only_units or price.only_units
                edges.update(tier.over_tokens for tier in price.tiers)
    ordered = tuple(sorted(edges))
    rates = [_dearest([_way(catalog, target, pool, tenant, utc, edge) for target, pool in ways]) for edge in (*ordered, _NO_END)]
    return Bound(ordered, tuple(rates), only_units)


def _ways_of_rules(catalog: Catalog, model: Model, tenant: str) -> Iterator[tuple[Model, tuple[PoolMember, ...]]]:
    for rule in catalog.rules:
        if not _may_fit(rule, model, tenant):
            continue
        target = catalog.find(rule.model) if rule.model else model
        if target is not None:
            yield target, rule.pool or target.pool


def _may_fit(rule: Rule, model: Model, tenant: str) -> bool:
    """Tell whether a rule may apply to some call; what it asks of the call itself is taken to hold."""
    return _one_fits(rule.when.model, model.id) and _one_fits(rule.when.tenant, tenant)


def _one_fits(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _reached(catalog: Catalog, target: Model, pool: tuple[PoolMember, ...]) -> Iterator[tuple[PoolMember, ...]]:
    """Every pool that a call to the target may be answered, or judged, by."""
    yield pool
    for name in _fallbacks(target):
        yield _pool(catalog, name)
    for tier in target.tiers:
        yield _pool(catalog, tier.model)
        if tier.verify.judge_model:
            yield _pool(catalog, tier.verify.judge_model)


def _way(catalog: Catalog, target: Model, pool: tuple[PoolMember, ...], tenant: str, utc: datetime.datetime, prompt: int) -> Rates:
    """Add up what one way costs for a prompt of so many tokens at most."""

    def of(members: Iterable[PoolMember], tokens: int) -> Rates:
        return _dearest([_most(price, tokens) for price in _prices(catalog, members, tenant, utc) if price is not None])

    total = _dearest([of(pool, prompt), *[of(_pool(catalog, name), prompt) for name in _fallbacks(target)]])
    for tier in target.tiers:
        rates = of(_pool(catalog, tier.model), prompt)
        total = Rates(total.input + rates.input, total.output + rates.output, total.unit + rates.unit, total.fixed)
        if tier.verify.judge_model:  # it reads the request and the answer
            judge, asked = of(_pool(catalog, tier.verify.judge_model), _NO_END), len(tier.verify.question.encode()) + JUDGE_TOKENS
            fixed = total.fixed + asked * judge.input + VERDICT_TOKENS * judge.output
            total = Rates(total.input + judge.input, total.output + judge.input, total.unit, fixed)
    return total


def _fallbacks(model: Model) -> tuple[str, ...]:
    return (*model.fallbacks.any, *model.fallbacks.context_length, *model.fallbacks.content_filter)


def _pool(catalog: Catalog, name: str) -> tuple[PoolMember, ...]:
    found = catalog.find(name)
    return found.pool if found is not None else ()


def _prices(catalog: Catalog, members: Iterable[PoolMember], tenant: str, utc: datetime.datetime) -> Iterator[Price | None]:
    for member in members:
        if member.weight and not member.deployment.draining:
            yield catalog.price(member.deployment, tenant, utc)


def _most(price: Price, prompt: int) -> Rates:
    """Return the most that a token can cost in a prompt of so many at most."""
    read = [price] + [tier.price for tier in price.tiers if tier.over_tokens < prompt]
    inputs = [value for each in read for value in (each.input, each.cached_input, each.cache_write, each.cache_write_1h, each.audio_input)]
    outputs = [value for each in read for value in (each.output, each.audio_output)]
    units = [value for each in read for value in (each.unit, *[unit for _, unit in each.units])]
    return Rates(_largest(inputs), _largest(outputs), _largest(units))


def _largest(values: Iterable[int | None]) -> int:
    return max((value for value in values if value is not None), default=0)


def _dearest(ways: Iterable[Rates]) -> Rates:
    found = list(ways)
    return Rates(*(max(values) for values in zip(*found, strict=True))) if found else Rates()
