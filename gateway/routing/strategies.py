"""Which deployments may serve a call, and in which order: pure functions over a pool."""

import random

from gateway.domain.call import Candidate, Plan
from gateway.domain.catalog import Model


def by_priority(model: Model, rng: random.Random) -> Plan:
    """Order the pool by priority and, within a priority, by weighted chance.

    Args:
        model: Whose pool and attempts.
        rng: Where chance comes from, so that tests can fix it.
    """
    pool = model.pool
    if len(pool) == 1:
        return Plan(candidates=(Candidate(deployment=pool[0].deployment, reason="the only deployment"),), max_attempts=model.max_attempts)
    # Weighted order without replacement (Efraimidis and Spirakis 2006): the largest u^(1/w) goes first.
    order = sorted(pool, key=lambda member: (member.priority, -(rng.random() ** (1.0 / member.weight))))
    candidates = tuple(Candidate(m.deployment, f"priority {m.priority}, weight {m.weight}") for m in order)
    return Plan(candidates=candidates, max_attempts=model.max_attempts)
