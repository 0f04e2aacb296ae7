"""The hours of provisioned capacity that a report of costs divides: who used them, and what of it the report is about.

An hour is divided among all who used it, whomever the report is about; so all of its records must be read. Hours that nobody
used have a row of their own, for those who may see everything.
"""

import datetime
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import msgspec

from gateway.domain.deployment import Deployment
from gateway.domain.ledger import hour_of
from gateway.domain.tables import Entity
from gateway.errors import RequestError
from gateway.metering.amortise import IDLE, divided, hour_costs, weight_of
from gateway.metering.query import Query

MAX_HOURS = 24 * 400
MAX_USES = 200_000
_HOUR = len("2026-01-31T12")

type Key = tuple[str, ...]  # a row: the interval's beginning, if there are intervals, then a value for each group


class Hours:
    """What hours of provisioned capacity cost, and who used them.

    Args:
        costs: Micro-USD by deployment and hour (`2026-01-31T12`).
        idle_key: The row of an hour that nobody used; None where it is nobody's business.
    """

    def __init__(self, costs: Mapping[tuple[str, str], int], idle_key: Callable[[str, str], Key | None]) -> None:
        self._costs = costs
        self._idle_key = idle_key
        self._uses: dict[tuple[str, str], dict[tuple[Key, ...], int]] = defaultdict(lambda: defaultdict(int))
        self._count = 0

    def use(self, entity: Entity, keys: tuple[Key, ...]) -> bool:
        """Note a record, and the rows that it is in; return whether it is paid by the hour."""
        values = entity.values
        place = (str(values.get("deployment", "")), entity.partition[:_HOUR])
        if place not in self._costs:
            return False
        prompt, completion, cached = (int(str(values.get(f"{name}_tokens", 0))) for name in ("prompt", "completion", "cached"))
        if weight := weight_of(prompt, completion, cached):
            uses = self._uses[place]
            self._count += keys not in uses
            uses[keys] += weight
            if self._count > MAX_USES:
                raise too_large(f"{MAX_USES} users of provisioned hours")
        return True

    def shares(self) -> Iterator[tuple[tuple[Key, ...], int]]:
        """Iterate over rows and their shares in micro-USD; of each hour all shares together, others' too, are its cost."""
        for (deployment, hour), cost in sorted(self._costs.items()):
            users = {msgspec.json.encode(keys).decode(): keys for keys in self._uses[deployment, hour]}
            weights = {name: self._uses[deployment, hour][keys] for name, keys in users.items()}
            for name, share in divided(cost, weights).items():
                if name != IDLE:
                    if users[name]:  # else it is another's than the report is about
                        yield users[name], share
                elif (key := self._idle_key(deployment, hour)) is not None:
                    yield (key,), share


def hours_of(
    query: Query, deployments: Mapping[str, Deployment], now: datetime.datetime, idle_key: Callable[[str, str], Key]
) -> Hours | None:
    """Return the hours that a report has to divide; None where no deployment is paid by the hour.

    Args:
        query: What is asked.
        deployments: The catalogue's.
        now: Hours to come cost nothing yet.
        idle_key: The row of an hour that nobody used.

    Raises:
        RequestError: The span is too long.
    """
    if not any(deployment.capacity.ptu and deployment.price is not None for deployment in deployments.values()):
        return None
    below = min(query.below, now + datetime.timedelta(seconds=1))
    if below - query.start > datetime.timedelta(hours=MAX_HOURS):
        raise too_large(f"{MAX_HOURS} hours of provisioned capacity")
    costs = {(deployment, hour_of(hour)): cost for (deployment, hour), cost in hour_costs(deployments, query.start, below).items()}
    filters = dict(query.filters)
    wanted = filters.pop("deployment", None)
    seen = not filters and not query.tags  # an hour that nobody used is no tenant's, no user's …
    return Hours(costs, lambda deployment, hour: idle_key(deployment, hour) if seen and wanted in (None, deployment) else None)


def too_large(what: str) -> RequestError:
    """Return the refusal of a report that would not fit into memory."""
    return RequestError(
        f"the report has more than {what}; ask for fewer groups, a longer interval, a shorter time or one tenant",
        param="group_by",
        code="report_too_large",
    )
