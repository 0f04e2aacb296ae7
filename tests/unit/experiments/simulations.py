"""Experiments by chance, with a look after every batch: what `test_sequential_simulations.py` and `bench/experiments.py` count."""

import math
import random
from collections.abc import Callable, Sequence

from gateway.experiments.sequential import Arm, Moments, compare

type Draw = Callable[[random.Random, int, int], Moments]  # (random, how many, which arm)
type Found = Callable[[list[Arm]], bool]


def yes_or_no(*shares: float) -> Draw:
    """Units of which a share converts: the share by arm."""

    def draw(chance: random.Random, n: int, which: int) -> Moments:
        mean = chance.binomialvariate(n, shares[which]) / n
        return Moments(n, mean, n * mean * (1 - mean))

    return draw


def skewed(batch: int, sigma: float = 1.5) -> Draw:
    """Log-normal units, as costs are, in batches drawn from 5,000 prepared ones."""
    chance, pool = random.Random(7), []
    for _ in range(5000):
        values = [chance.lognormvariate(0.0, sigma) for _ in range(batch)]
        mean = sum(values) / batch
        pool.append(Moments(batch, mean, sum(value * value for value in values) - batch * mean * mean))
    return lambda chance, _, __: chance.choice(pool)


def any_differs(alpha: float) -> Found:
    """Whether any arm is found to differ from the first."""
    return lambda arms: any(compare(arms[0], arm, alpha / (len(arms) - 1)).p_value <= alpha / (len(arms) - 1) for arm in arms[1:])


def first_look(chance: random.Random, draw: Draw, batches: Sequence[int], looks: int, found: Found, least: int = 100) -> int:
    """Return the look at which something was found; 0 for none. `batches` are the units that each arm gets between two looks."""
    arms = [Arm() for _ in batches]
    for look in range(1, looks + 1):
        for which, (arm, n) in enumerate(zip(arms, batches, strict=True)):
            arm.now = arm.first = arm.now.plus(draw(chance, n, which))
        if min(arm.now.n for arm in arms) >= least and found(arms):
            return look
    return 0


def looks_of(runs: int, draw: Draw, batches: Sequence[int], looks: int, found: Found, seed: int = 1) -> list[int]:
    """Return the first look of each run that found something, ascending."""
    chance = random.Random(seed)
    return sorted(look for look in (first_look(chance, draw, batches, looks, found) for _ in range(runs)) if look)


def clustered(chance: random.Random, users: int, grow: int, looks: int, alike: float, effect: float = 0.0) -> bool:
    """Let users call again and again, some much more often than others, and new ones come; return whether a difference is found.

    Args:
        chance: The dice.
        users: Of each arm, at the start.
        grow: New ones of each arm, between two looks.
        looks: So many.
        alike: Which share of a call's variance is its user's.
        effect: Of the second arm, in standard deviations of a call.
    """
    arms, found, own, noise = (Arm(), Arm()), any_differs(0.05), math.sqrt(alike), math.sqrt(1 - alike)
    people: list[list[float]] = []  # which arm, how often, own level, calls, their sum
    for look in range(looks):
        for which in (0, 1):
            people += [
                [which, chance.choice((0.1, 0.3, 1, 3)), chance.gauss(effect * which, own), 0, 0.0] for _ in range(grow if look else users)
            ]
        for person in people:
            which, often, level, calls, total = person
            more = int(often) + (chance.random() < often % 1)
            if not more:
                continue
            arm, value = arms[int(which)], total + more * level + noise * chance.gauss(0.0, math.sqrt(more))
            if calls:
                arm.now.replace(total / calls, value / (calls + more))
            else:
                arm.now.add(value / more)
                arm.first.add(value / more)
            person[3], person[4] = calls + more, value
        if min(arm.now.n for arm in arms) >= 100 and found(list(arms)):
            return True
    return False
