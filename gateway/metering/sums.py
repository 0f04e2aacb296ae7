"""Records summed by groups, in integers, while they are read: what a report holds is its rows, never the records.

A request counts in one row, and in the total. Only `tag` makes it count in a row for each of its tags (in the row "" if it has
none): such rows overlap, and their sum is more than the total, which stays true.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.domain.call import Operation
from gateway.domain.limits import MICRO_USD
from gateway.domain.tables import Entity, Value
from gateway.metering.hours import Hours, Key, too_large
from gateway.metering.query import FIELDS, TAG, Query, read_tags

MAX_ROWS = 20_000
NOBODY = "(idle)"
_HOUR, _DAY, _MONTH = len("2026-01-31T12"), len("2026-01-31"), len("2026-01")
_CUT = {"hour": _HOUR, "day": _DAY, "month": _MONTH}
_REST = {"hour": ":00:00+00:00", "day": "T00:00:00+00:00", "month": "-01T00:00:00+00:00"}


class Totals:
    """The sums of some records. Money is micro-USD."""

    __slots__ = (
        "avoided", "by_hour", "cached", "completion", "cost", "errors", "estimated", "prompt", "reasoning", "requests", "shares", "units",
        "unpriced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = self.errors = self.prompt = self.completion = self.cached = self.reasoning = 0
        self.cost = self.avoided = self.unpriced = self.estimated = 0
        self.by_hour = 0  # of the cost, what is an estimate because provisioned capacity is paid by the hour
        self.shares = 0  # what stands in its place: shares of those hours
        self.units: dict[str, int] = {}  # one sum per unit: pages and seconds have no common one

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a record, as stored: what is zero or false is not there."""
        get = values.get
        self.requests += 1
        if values["status"] >= 400:
            self.errors += 1
        self.prompt += get("prompt_tokens", 0)
        self.completion += get("completion_tokens", 0)
        self.cached += get("cached_tokens", 0)
        self.reasoning += get("reasoning_tokens", 0)
        self.cost += get("cost_micro_usd", 0)
        self.avoided += get("avoided_micro_usd", 0)
        if "unpriced" in values:
            self.unpriced += values["unpriced"]
        if "tokens_estimated" in values:
            self.estimated += values["tokens_estimated"]
        if "units" in values:
            unit = get("unit", "")
            self.units[unit] = self.units.get(unit, 0) + values["units"]

    @property
    def effective(self) -> int:
        """The cost, with hours of provisioned capacity as they were divided."""
        return self.cost - self.by_hour + self.shares

    def shown_costs(self) -> dict[str, Any]:
        """Return what a report of costs shows besides."""
        return {**self.shown(), "provisioned_usd": self.shares / MICRO_USD, "effective_usd": self.effective / MICRO_USD}

    def shown(self) -> dict[str, Any]:
        """Return it as a report's row shows it."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "cached_tokens": self.cached,
            "reasoning_tokens": self.reasoning,
            "total_tokens": self.prompt + self.completion,
            "units": {unit: self.units[unit] for unit in sorted(self.units)},
            "cost_usd": self.cost / MICRO_USD,
            "avoided_usd": self.avoided / MICRO_USD,
            "unpriced_requests": self.unpriced,
            "estimated_requests": self.estimated,
            "estimated_share": round(self.estimated / self.requests, 4) if self.requests else 0.0,
        }


class Sums:
    """Rows of sums, and their total.

    Args:
        query: What is asked.
        keys: A record's rows.
        hours: Where provisioned capacity is to be divided among its users: what it cost, and how.
    """

    def __init__(self, query: Query, keys: Callable[[Entity], Iterable[Key]] | None = None, hours: Hours | None = None) -> None:
        self._query = query
        self._keys = keys or keys_of(query)
        self._hours = hours
        self.rows: dict[Key, Totals] = {}
        self.total = Totals()

    def add(self, entities: Iterable[Entity]) -> None:
        """Add what counts of a page of records; RequestError where that makes more rows than there may be."""
        counts, rows, total, hours = self._query.counts, self.rows, self.total, self._hours
        for entity in entities:
            values = entity.values
            if values["operation"] == Operation.MANAGE.value:
                continue
            keys = tuple(self._keys(entity)) if counts(values) else ()
            by_hour = hours is not None and hours.use(entity, keys)
            if not keys:
                continue
            for sums in (total, *(self._row(key) for key in keys)):
                sums.add(values)
                if by_hour:
                    sums.by_hour += int(str(values.get("cost_micro_usd", 0)))
        if len(rows) > MAX_ROWS:
            raise too_large(f"{MAX_ROWS} rows")

    def divide(self) -> None:
        """Put the shares of provisioned hours into their rows; once, after all records."""
        for keys, share in self._hours.shares() if self._hours is not None else ():
            for sums in (self.total, *(self._row(key) for key in keys)):
                sums.shares += share

    def _row(self, key: Key) -> Totals:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Totals()
        return row

    def shown(self, show: Callable[[Totals], dict[str, Any]] = Totals.shown) -> list[dict[str, Any]]:
        """Return the rows in the order of their keys."""
        names = (*(("start",) if self._query.interval else ()), *self._query.groups)
        return [dict(zip(names, key, strict=True)) | show(totals) for key, totals in sorted(self.rows.items())]


def keys_of(query: Query) -> Callable[[Entity], Iterable[Key]]:
    """Return what finds a record's rows."""
    parts = [part_of(group) for group in query.groups]
    if query.interval:
        parts.insert(0, lambda entity: (start_of(query.interval, entity.partition),))
    if TAG not in query.groups:
        return lambda entity: (tuple(part(entity)[0] for part in parts),)
    return lambda entity: itertools.product(*(part(entity) for part in parts))


def start_of(interval: str, partition: str) -> str:
    """Return the beginning of a record's interval as ISO 8601: its partition begins with its hour."""
    return partition[: _CUT[interval]] + _REST[interval]


def idle_key_of(query: Query) -> Callable[[str, str], Key]:
    """Return what makes the row of an hour of a deployment that nobody used."""

    def idle_key(deployment: str, hour: str) -> Key:
        groups = (deployment if group == "deployment" else NOBODY for group in query.groups)
        return (*((start_of(query.interval, hour),) if query.interval else ()), *groups)

    return idle_key


def part_of(group: str) -> Callable[[Entity], tuple[str, ...]]:
    """Return what finds a record's values for one of a report's groups: several for `tag` alone."""
    if group == TAG:
        return lambda entity: tuple(f"{name}={value}" for name, value in _tags(entity.values).items()) or ("",)
    if group.startswith(f"{TAG}:"):
        label = group.removeprefix(f"{TAG}:")
        return lambda entity: (_tags(entity.values).get(label, ""),)
    field = FIELDS[group]
    return lambda entity: (str(entity.values.get(field, "")),)


def _tags(values: Mapping[str, Value]) -> Mapping[str, str]:
    return read_tags(str(values.get("tags", "")))
