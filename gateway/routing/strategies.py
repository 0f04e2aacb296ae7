"""In which order deployments are tried: one pure function per strategy, over options that may all serve the call.

| strategy | first goes |
| --- | --- |
| `priority` | the lowest priority number; within one, by weight, provisioned capacity before all else |
| `weighted` | by weight, whatever the priority |
| `least-latency` | the less loaded of two that are drawn by weight: peak EWMA × calls under way |
| `lowest-cost` | the cheapest for this call; what is too slow is left out if anything is faster |
| `most-reliable` | by weight × success⁸ |
| `consistent-hash` | always the same one for one affinity, in shares of the weights |
| `balanced` | by weight × e^(−8 × a score of latency, cost, failures and utilisation) |

Whatever is drawn by weight is drawn without replacement: the order of e ÷ w, with e exponentially distributed. After every
strategy comes `spill`: provisioned deployments that would refuse the call go behind all others.

Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006; Thaler and Ravishankar, "Using
name-based mappings to increase hit rates", 1998 (rendezvous hashing); Mitzenmacher, "The power of two choices in randomized
load balancing", 2001.
"""

import functools
import hashlib
import random
from collections.abc import Mapping, Sequence
from math import exp, inf, log

from gateway.domain.deployment import PROVISIONED
from gateway.routing import utilisation
from gateway.routing.situation import Option, Situation, Strategy

# The eighth power tells 99 % from 90 % as clearly as a weight of two from one.
RELIABILITY_POWER = 8
# The score's parts are 0 (as good as the best of the options) to 1.
BALANCE = {"latency": 0.3, "cost": 0.3, "failures": 0.2, "quality": 0.1, "utilisation": 0.1}
SHARPNESS = 8.0
# What an unknown latency counts for where calls are under way already, and nothing is known of any other.
ASSUMED_LATENCY_S = 1.0

_LATENCY, _COST, _FAILURES = BALANCE["latency"], BALANCE["cost"], BALANCE["failures"]
_QUALITY, _UTILISATION = BALANCE["quality"], BALANCE["utilisation"]
_MASK = 2**64 - 1


def priority(options: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Order by priority, then provisioned first, then by weight."""
    draw = situation.rng.random
    keys = []
    for index, option in enumerate(options):
        member = option.member
        drawn = -log(1.0 - draw()) / member.weight if member.weight > 0 else inf
        keys.append((member.priority, member.deployment.sku != PROVISIONED, drawn, index))
    keys.sort()
    return [options[key[3]] for key in keys]


def weighted(options: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Order by weight alone."""
    return _drawn(options, [option.member.weight for option in options], situation.rng)


def least_latency(options: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Draw two by weight, put the one with less to wait for in front, and the rest behind by what there is to wait for."""
    order = weighted(options, situation)
    if len(order) < 2:
        return order
    now_s = situation.now_s
    known = [latency_s for option in order if (latency_s := option.vitals.latency_now_s(now_s))]
    # An unknown one is tried at once, but not by everybody: with calls under way it counts like the others.
    assumed_s = sum(known) / len(known) if known else ASSUMED_LATENCY_S
    loads = []
    for option in order:
        vitals = option.vitals
        latency_s = vitals.latency_now_s(now_s)
        loads.append(latency_s * (vitals.in_flight + 1) if latency_s else assumed_s * vitals.in_flight)
    first = 0 if loads[0] <= loads[1] else 1
    rest = sorted((load, index) for index, load in enumerate(loads) if index != first)
    return [order[first], *(order[index] for _, index in rest)]


def lowest_cost(options: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Order by what this call would cost, the unpriced last; equals by weight."""
    ceiling_s = situation.latency_ceiling_s
    if ceiling_s is not None:
        now_s = situation.now_s
        options = [option for option in options if option.vitals.latency_now_s(now_s) <= ceiling_s] or options
    order = weighted(options, situation)
    return sorted(order, key=lambda option: _cost(option, situation))  # stable: equals stay as drawn


def most_reliable(options: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Order by weight and success."""
    now_s = situation.now_s
    weights = [option.member.weight * option.vitals.success_now(now_s) ** RELIABILITY_POWER for option in options]
    return _drawn(options, weights, situation.rng)


def consistent_hash(options: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Order by the hash of affinity and deployment: one that goes or comes moves only its own share of the affinities."""
    if not situation.affinity:
        return weighted(options, situation)
    seed = int.from_bytes(hashlib.blake2b(situation.affinity.encode(errors="surrogatepass"), digest_size=8).digest())
    keys = []
    for index, option in enumerate(options):
        weight = option.member.weight
        unit = (_mixed(seed ^ _name_hash(option.member.deployment.id)) + 0.5) / 2**64
        keys.append((-log(unit) / weight if weight > 0 else inf, index))
    keys.sort()
    return [options[index] for _, index in keys]


def balanced(options: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Order by weight and by a score: the sum of the parts that `BALANCE` weighs, each 0 to 1.

    Latency counts 1 − best ÷ its own (with the calls under way; unknown as the best), cost likewise (unpriced as the worst),
    failures 1 − success, quality what it lacks to the best one's (unknown as the best), utilisation the share of bought capacity
    in use.
    """
    now_s = situation.now_s
    latencies = [option.vitals.latency_now_s(now_s) * (option.vitals.in_flight + 1) for option in options]
    best_s = min(filter(None, latencies), default=0.0)
    costs = [_cost(option, situation) for option in options]
    cheapest = min(costs)
    best_quality = max((option.member.deployment.quality or 0.0 for option in options), default=0.0)
    weights = []
    for option, latency_s, cost in zip(options, latencies, costs, strict=True):
        vitals = option.vitals
        score = _FAILURES * (1.0 - vitals.success_now(now_s)) + _UTILISATION * min(utilisation.level(vitals, now_s), 1.0)
        if (quality := option.member.deployment.quality) is not None:
            score += _QUALITY * (best_quality - quality)
        if latency_s > best_s:
            score += _LATENCY * (1.0 - best_s / latency_s)
        if cost > cheapest:
            score += _COST * (1.0 - cheapest / cost) if cost != inf else _COST
        weights.append(option.member.weight * exp(-SHARPNESS * score))
    return _drawn(options, weights, situation.rng)


# A model's or a rule's `strategy` names one of these.
STRATEGIES: Mapping[str, Strategy] = {
    "priority": priority,
    "weighted": weighted,
    "least-latency": least_latency,
    "lowest-cost": lowest_cost,
    "most-reliable": most_reliable,
    "consistent-hash": consistent_hash,
    "balanced": balanced,
}


def spill(ordered: Sequence[Option], situation: Situation) -> Sequence[Option]:
    """Put provisioned deployments that would refuse this call behind all others, before they do."""
    full: list[Option] | None = None
    for option in ordered:
        deployment = option.member.deployment
        if deployment.sku == PROVISIONED and not utilisation.would_fit(
            option.vitals, deployment, situation.prompt_tokens + situation.output_tokens, situation.now_s
        ):
            full = [option] if full is None else [*full, option]
    if full is None:
        return ordered
    return [option for option in ordered if not any(option is each for each in full)] + full


def _drawn(options: Sequence[Option], weights: Sequence[float], rng: random.Random) -> Sequence[Option]:
    """Order by chance, weighted; a weight of 0 comes last."""
    draw = rng.random
    keys = [(-log(1.0 - draw()) / weight if weight > 0 else inf, index) for index, weight in enumerate(weights)]
    keys.sort()
    return [options[index] for _, index in keys]


def _cost(option: Option, situation: Situation) -> float:
    """Return what the call would cost there, in millionths of a micro-USD; infinite where there is no price.

    Where tokens have no price a unit's counts: deployments of one pool are asked for the same thing, so for as many.
    """
    price = situation.price(option.member.deployment)
    if price is None:
        return inf
    if price.tiers:
        price = price.for_prompt(situation.prompt_tokens)
    if price.only_units:
        return float(max(price.unit or 0, *(each for _, each in price.units), 0))
    return float(situation.prompt_tokens * price.input + situation.output_tokens * price.output)


@functools.lru_cache(maxsize=65536)
def _name_hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())


def _mixed(bits: int) -> int:
    """Spread 64 bits over 64 bits, so that two names' hashes do not keep their distance (the finalizer of SplitMix64)."""
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB & _MASK
    return bits ^ (bits >> 31)
