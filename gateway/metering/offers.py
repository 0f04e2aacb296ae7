"""Which models do the same for less: what a caller is offered whose call may be dear."""

import datetime
from collections.abc import Callable
from typing import NamedTuple

from gateway.domain.call import Operation
from gateway.domain.capabilities import may_serve
from gateway.domain.catalog import Catalog, Model
from gateway.metering.estimate import worst_cost_micro_usd

MOST_OFFERS = 5

# Tells whether the caller may ask for a model.
type Allowed = Callable[[Model], bool]


class Offer(NamedTuple):
    """A cheaper model, and what the call may cost there."""

    model: str
    cost_micro_usd: int


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
    units: int = 0,
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
        units: At most so many images, characters, seconds ….
    """
    own = worst_cost_micro_usd(catalog, model, tenant, input_tokens, output_tokens, utc, units=units, operation=operation)
    found = []
    for other in catalog.models:
        if other.id == model.id or other.hidden or other.lifecycle.is_over(utc) or not allowed(other):
            continue
        if not can_replace(other, model, operation, needs):
            continue
        if other.context_window is not None and other.context_window < input_tokens + output_tokens:
            continue
        cost = worst_cost_micro_usd(catalog, other, tenant, input_tokens, output_tokens, utc, units=units, operation=operation)
        if cost is not None and (own is None or cost < own):
            found.append(Offer(other.id, cost))
    return tuple(sorted(found, key=lambda offer: (offer.cost_micro_usd, offer.model))[:MOST_OFFERS])


def can_replace(other: Model, model: Model, operation: Operation, needs: frozenset[str]) -> bool:
    """Tell whether a model says that it can do what was asked of another; of one that says nothing only such another is replaced."""
    if not other.capabilities:
        return not model.capabilities
    return may_serve(operation, other.capabilities) and needs <= frozenset(other.capabilities)
