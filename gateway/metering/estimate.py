"""What a call may cost before it is made: an upper bound over everything that its model can lead to.

    worst = every tier's answer, and its judge's verdict + the dearest of: the pool, the fallbacks' pools
    dearest over: the model itself, and every routing rule that may send its calls elsewhere

It is linear in the tokens between the edges of long prompts, so a model's bound is a few numbers, worked out once for each
(catalogue, model, tenant, day); a call is two multiplications. Deployments that get no call (weight 0, draining) do not count.
Tokens are bounded likewise (`worst_tokens`): each tier answers, and its judge reads and answers; an image may be made of tokens.
What a bound cannot hold: calls that are pinned to a deployment by an id of an earlier answer cost what that deployment costs,
which is in the same pools.
"""

import datetime
import fnmatch
import weakref
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.domain.call import Operation
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import PoolMember, Price
from gateway.domain.policy import Rule, Tier
from gateway.metering.pricing import TOKENS_PER_PRICE

JUDGE_TOKENS = 512  # what stands around an answer in a judge's prompt, beside the operator's question
VERDICT_TOKENS = 64
# Tokens that a unit takes at most where a deployment is paid by the token for it. Generous: an image; a second that is heard (some
# 17, at the prices of gpt-4o-transcribe by the minute and by the token) with the words in it; a character that is spoken (some 20 a
# second, likewise); the 1,000 bytes of a body that stand for a unit of what is passed through.
TOKENS_PER_UNIT: Mapping[Operation, int] = MappingProxyType({
    Operation.IMAGES: 10_000,
    Operation.TRANSCRIPTION: 40,
    Operation.SPEECH: 4,
    Operation.FORWARD: 1000,
})  # fmt: skip
_NO_END = 2**62
REMEMBERED = 10_000


class Rates(NamedTuple):
    """What a token of the prompt, one of the answer and a unit cost at most, in micro-USD per million; `fixed` comes on top.

    `token`: the dearest token of deployments that have no price for units.
    """

    input: int = 0
    output: int = 0
    unit: int = 0
    fixed: int = 0
    token: int = 0


class Bound(NamedTuple):
    """A model's rates: `rates[i]` up to and with `edges[i]` prompt tokens, the last one beyond.

    `only_units`: something in it has a price for units and none for tokens, so a call whose units nobody knows has no bound.
    """

    edges: tuple[int, ...]
    rates: tuple[Rates, ...]
    only_units: bool = False


# By catalogue: they are never changed, only replaced.
_bounds: "weakref.WeakKeyDictionary[Catalog, dict[tuple[str, str, datetime.date], Bound | None]]" = weakref.WeakKeyDictionary()
_tiers: "weakref.WeakKeyDictionary[Catalog, dict[tuple[str, str], tuple[tuple[Tier, ...], ...]]]" = weakref.WeakKeyDictionary()


def worst_cost_micro_usd(
    catalog: Catalog, model: Model, tenant: str, input_tokens: int, output_tokens: int, utc: datetime.datetime,
    *, units: int = 0, operation: Operation = Operation.CHAT,
) -> int | None:  # fmt: skip
    """Return what a call costs at most, in micro-USD; None where something that may answer it has no price.

    Args:
        catalog: As it stands now.
        model: The one that is asked for.
        tenant: Who pays.
        input_tokens: At most so many in the prompt.
        output_tokens: At most so many in all choices together.
        utc: Prices are those of its day.
        units: At most so many images, characters, seconds ….
        operation: What they are of: where units have no price, their tokens are bounded by it (TOKENS_PER_UNIT).
    """
    bound = _known_bound(catalog, model, tenant, utc)
    if bound is None or (bound.only_units and not units):
        return None
    rates = bound.rates[bisect_left(bound.edges, input_tokens)] if bound.edges else bound.rates[0]
    cost = input_tokens * rates.input + output_tokens * rates.output + rates.fixed
    if units:
        cost += units * max(rates.unit, rates.token * TOKENS_PER_UNIT.get(operation, 0))
    return -(-cost // TOKENS_PER_PRICE)


def worst_tokens(
    catalog: Catalog, model: Model, tenant: str, input_tokens: int, output_tokens: int, utc: datetime.datetime,
    *, units: int = 0, operation: Operation = Operation.CHAT,
) -> tuple[int, int]:  # fmt: skip
    """Return how many tokens of prompts and of answers a call takes at most, over all models that are asked for it.

    Args: see `worst_cost_micro_usd`. What has a price for units, or none at all, is taken to make no tokens of them.
    """
    prompts, answers = input_tokens, output_tokens
    for tiers in _tiered(catalog, model, tenant):
        judges = [tier.verify for tier in tiers if tier.verify.judge_model]
        read = sum(input_tokens + output_tokens + len(judge.question.encode()) + JUDGE_TOKENS for judge in judges)
        prompts = max(prompts, input_tokens * (len(tiers) + 1) + read)
        answers = max(answers, output_tokens * (len(tiers) + 1) + VERDICT_TOKENS * len(judges))
    if units and operation is Operation.IMAGES:
        bound = _known_bound(catalog, model, tenant, utc)
        answers += units * TOKENS_PER_UNIT[operation] if bound is not None and bound.rates[-1].token else 0
    return prompts, answers


def _tiered(catalog: Catalog, model: Model, tenant: str) -> Iterable[tuple[Tier, ...]]:
    """Return the tiers that a call may go through, for each way that has some."""
    known = _tiers.get(catalog)
    if known is None or len(known) >= REMEMBERED:
        known = _tiers[catalog] = {}
    found = known.get((model.id, tenant))
    if found is None:
        targets = (model, *[target for target, _ in _ways_of_rules(catalog, model, tenant)])
        found = known[model.id, tenant] = tuple(target.tiers for target in targets if target.tiers)
    return found


def _known_bound(catalog: Catalog, model: Model, tenant: str, utc: datetime.datetime) -> Bound | None:
    known = _bounds.get(catalog)
    if known is None:
        known = _bounds[catalog] = {}
    key = (model.id, tenant, utc.date())
    try:
        return known[key]
    except KeyError:
        if any(day != key[2] for _, _, day in known):
            known.clear()  # yesterday's
        bound = known[key] = bound_of(catalog, model, tenant, utc)
        return bound


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
        total = Rates(
            total.input + rates.input, total.output + rates.output, total.unit + rates.unit, total.fixed, total.token + rates.token
        )
        if tier.verify.judge_model:  # it reads the request and the answer
            judge, asked = of(_pool(catalog, tier.verify.judge_model), _NO_END), len(tier.verify.question.encode()) + JUDGE_TOKENS
            fixed = total.fixed + asked * judge.input + VERDICT_TOKENS * judge.output
            total = Rates(total.input + judge.input, total.output + judge.input, total.unit, fixed, total.token)
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
    token = 0 if any(value is not None for value in units) else max(_largest(inputs), _largest(outputs))
    return Rates(_largest(inputs), _largest(outputs), _largest(units), token=token)


def _largest(values: Iterable[int | None]) -> int:
    return max((value for value in values if value is not None), default=0)


def _dearest(ways: Iterable[Rates]) -> Rates:
    found = list(ways)
    return Rates(*(max(values) for values in zip(*found, strict=True))) if found else Rates()
