"""What provisioned capacity cost, divided among those who used it: hour by hour, to the micro-dollar.

    an hour of a deployment = `capacity.ptu` × `ptu_hour`
    a caller's share of it  = the tokens it had worked on there ÷ all tokens worked on there (cached ones weigh nothing)
    an hour that nobody used is its own row, `idle`

Shares are whole micro-dollars that add up to the hour exactly: what is left after rounding down goes to the largest
remainders, equals in the order of their keys, so that the same records always give the same report. An hour that has begun
counts whole, as it is paid.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.domain.deployment import Deployment

IDLE = "idle"
HOUR = datetime.timedelta(hours=1)


class Use(NamedTuple):
    """What a call, or several of one caller, used of a deployment in an hour.

    Attributes:
        deployment: Its id.
        hour: The hour's beginning, UTC.
        key: Whoever is to pay for it: a tenant, a subscription, a tag ….
        weight: Tokens, see `weight_of`.
    """

    deployment: str
    hour: datetime.datetime
    key: str
    weight: int


class Share(NamedTuple):
    """A part of what an hour of a deployment cost; `key` is IDLE where nobody used it."""

    deployment: str
    hour: datetime.datetime
    key: str
    cost_micro_usd: int


def weight_of(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> int:
    """Return what a call weighs: the tokens that the deployment had to work on."""
    return max(prompt_tokens - cached_tokens, 0) + completion_tokens


def hour_costs(
    deployments: Mapping[str, Deployment], start: datetime.datetime, below: datetime.datetime
) -> dict[tuple[str, datetime.datetime], int]:
    """Return what each hour that begins in [start's hour, below) costs, of each deployment that is paid by the hour.

    Args:
        deployments: The catalogue's; the price is that of the hour's day.
        start: UTC.
        below: UTC.
    """
    paid = [deployment for deployment in deployments.values() if deployment.capacity.ptu and deployment.price is not None]
    costs: dict[tuple[str, datetime.datetime], int] = {}
    hour = start.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    while paid and hour < below:
        for deployment in paid:
            price = deployment.price.at(hour) if deployment.price is not None else None
            if price is not None and price.ptu_hour is not None:
                costs[deployment.id, hour] = price.ptu_hour * (deployment.capacity.ptu or 0)
        hour += HOUR
    return costs


def amortise(used: Iterable[Use], costs: Mapping[tuple[str, datetime.datetime], int]) -> list[Share]:
    """Divide every hour's cost among those who used it.

    Args:
        used: In any order; uses of hours that are not in `costs` are passed over.
        costs: What each (deployment, hour) cost, see `hour_costs`.

    Returns:
        Shares by deployment, hour and key; of each hour they add up to its cost.
    """
    weights: dict[tuple[str, datetime.datetime], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for use in used:
        if use.weight > 0 and (use.deployment, use.hour) in costs:
            weights[use.deployment, use.hour][use.key] += use.weight
    return [
        Share(deployment, hour, key, cost)
        for (deployment, hour), total in sorted(costs.items())
        for key, cost in sorted(divided(total, weights.get((deployment, hour), {})).items())
    ]


def divided(total_micro_usd: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide an amount by weights, exactly, by largest remainder; all of it is IDLE's where nothing weighs."""
    weight = sum(weights.values())
    if not weight:
        return {IDLE: total_micro_usd}
    shares = {key: total_micro_usd * each // weight for key, each in weights.items()}
    left = total_micro_usd - sum(shares.values())
    largest = sorted(weights, key=lambda key: (-(total_micro_usd * weights[key] % weight), key))
    for key in largest[:left]:
        shares[key] += 1
    return shares
