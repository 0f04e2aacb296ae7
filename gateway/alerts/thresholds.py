"""Announcements of limits become alerts: at 50, 80, 100 percent, and where a ceiling refuses.

Whoever crosses a threshold writes a row beside the counter, in the same transaction, so it is there exactly once per window:

    table `limits`, partition = scope, row a|<metric>.<window>|<window id>|<percent>
    at, spent, limit, percent, mode, kind, source, delivered

The process that wrote it hands it over at once (`hand_over`); a process that died before it did leaves that to the
next `sweep`. Handed over means kept in the outbox and then marked, in this order: twice found is once told, by its id.

The partitions of scopes: `gateway`, `tenant|<t>`, `product|<t>|<p>`, `subscription|<t>|<s>`, `user|<t>|<s>|<hash>`.
"""

import datetime
import logging
from collections.abc import Mapping
from typing import Any

from gateway.alerts.events import GATEWAY, Alert, Kind, alert_id, dollars, subject_of
from gateway.alerts.outbox import Outbox
from gateway.domain.limits import Metric
from gateway.domain.tables import Entity, EntityChanged, Value
from gateway.ports import Tables

log = logging.getLogger(__name__)

LIMITS = "limits"
ANNOUNCED = "a|"
REFUSED_PERCENT = 100


class Thresholds:
    """Hands announcements over.

    Args:
        tables: Where they are.
        outbox: What keeps them until they are told.
    """

    def __init__(self, tables: Tables, outbox: Outbox) -> None:
        self._tables = tables
        self._outbox = outbox

    async def hand_over(self, partition: str, row: str) -> None:
        """Hand one announcement over, if that was not done; StoreUnavailable leaves it to the next sweep."""
        entity = await self._tables.get(LIMITS, partition, row)
        if entity is not None and not entity.values.get("delivered"):
            await self._hand_over(entity)

    async def sweep(self) -> int:
        """Hand over all that are still there to be; returns how many. It reads the whole table's announcements."""
        found = 0
        continuation: str | None = None
        while True:
            page = await self._tables.query(LIMITS, row_from=ANNOUNCED, row_below="a}", continuation=continuation)
            for entity in page.entities:
                if not entity.values.get("delivered"):
                    await self._hand_over(entity)
                    found += 1
            continuation = page.continuation
            if continuation is None:
                return found

    async def _hand_over(self, entity: Entity) -> None:
        await self._outbox.add(alert_of(entity))
        try:
            await self._tables.replace(LIMITS, entity.partition, entity.row, {**entity.values, "delivered": True}, entity.etag)
        except EntityChanged:
            log.debug("the announcement %s of %s was handed over by somebody else", entity.row, entity.partition)


def alert_of(entity: Entity) -> Alert:
    """Return what an announcement says, as an alert."""
    values = entity.values
    _, name, window_id, percent = entity.row.split("|")
    metric, _, window = name.partition(".")
    kind, tenant, scope = read_partition(entity.partition)
    at = values["at"]
    if not isinstance(at, datetime.datetime):
        raise TypeError(f"the announcement {entity.row} of {entity.partition} has no time")
    spent, limit = _whole(values, "spent"), _whole(values, "limit")
    data: dict[str, Any] = {
        "scope": kind,
        "tenant": tenant or None,
        "name": scope or None,
        "metric": metric,
        "window": window,
        "window_id": window_id or None,
        "percent": int(percent),
        "spent": spent,
        "limit": limit,
        "mode": str(values.get("mode", "")),
        "limit_of": str(values.get("source", "")) or kind,
    }
    if metric == Metric.COST.value:
        data |= {"spent_usd": dollars(spent), "limit_usd": dollars(limit)}
    name = alert_id(at, entity.partition, entity.row)
    return Alert(name, Kind.THRESHOLD, subject_of(kind, tenant, scope), tenant, at, data)


def read_partition(partition: str) -> tuple[str, str, str]:
    """Return a scope's kind, tenant and name: of a product, a subscription, or a subscription and the user's hash."""
    kind, _, rest = partition.partition("|")
    tenant, _, name = rest.partition("|")
    return kind or GATEWAY, tenant, name.replace("|", "/")


def _whole(values: Mapping[str, Value], name: str) -> int:
    value = values.get(name, 0)
    return value if isinstance(value, int) else 0
