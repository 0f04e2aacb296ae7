"""Guardrails' verdicts, summed out of the usage records: `GET /manage/guardrails/report`.

A verdict counts in one row, by what is said of it (guard, outcome, category …) and of its call (tenant, product, model …). `calls`
are those that have at least one verdict in the row, so that rows that differ in the verdict share calls, and their sum is more
than the total. A record whose verdicts cannot be read is counted, and left out.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from gateway.domain.call import Operation
from gateway.domain.guardrails import Direction
from gateway.domain.tables import Entity
from gateway.domain.verdict_text import read_line
from gateway.domain.verdicts import Outcome, Verdict
from gateway.errors import RequestError
from gateway.metering.hours import Key, too_large
from gateway.metering.query import Query
from gateway.metering.sums import MAX_ROWS, part_of, start_of

# What a verdict can be grouped and filtered by; all else that `group_by` takes is its call's.
ASPECTS: Mapping[str, Callable[[Verdict], str]] = {
    "guard": lambda verdict: verdict.guard,
    "outcome": lambda verdict: verdict.outcome.value,
    "category": lambda verdict: verdict.category,
    "severity": lambda verdict: "" if verdict.severity is None else str(verdict.severity),
    "direction": lambda verdict: verdict.direction.value,
    "label": lambda verdict: verdict.label,
}
_KNOWN: Mapping[str, frozenset[str]] = {"outcome": frozenset(Outcome), "direction": frozenset(Direction)}


class VerdictTotals:
    """The sums of some verdicts."""

    __slots__ = ("calls", "findings", "ms", "outcomes", "verdicts")

    def __init__(self) -> None:
        self.verdicts = self.calls = self.findings = 0
        self.outcomes = dict.fromkeys(Outcome, 0)
        self.ms = 0.0

    def add(self, verdict: Verdict) -> None:
        """Add a verdict; its call is counted by whoever knows whether it was counted already."""
        self.verdicts += 1
        self.findings += verdict.count
        self.outcomes[verdict.outcome] += 1
        self.ms += verdict.ms

    def shown(self) -> dict[str, Any]:
        """Return it as a report's row shows it."""
        outcomes = {outcome.value: count for outcome, count in self.outcomes.items()}
        return {"verdicts": self.verdicts, "calls": self.calls, "findings": self.findings, **outcomes, "ms": round(self.ms, 3)}


class VerdictSums:
    """Rows of sums of verdicts, and their total.

    Args:
        query: What is asked; members of ASPECTS may be among its groups.
        wanted: Aspect, and the value that a verdict must have.
    """

    def __init__(self, query: Query, wanted: Mapping[str, str]) -> None:
        self._query = query
        self._wanted = tuple(wanted.items())
        self._parts = {group: part_of(group) for group in query.groups if group not in ASPECTS}
        self.rows: dict[Key, VerdictTotals] = {}
        self.total = VerdictTotals()
        self.unreadable = 0

    def add(self, entities: Iterable[Entity]) -> None:
        """Add what counts of a page of records; RequestError where that makes more rows than there may be."""
        for entity in entities:
            text = entity.values.get("guardrails")
            if text and entity.values["operation"] != Operation.MANAGE.value and self._query.counts(entity.values):
                self._add(entity, str(text))
        if len(self.rows) > MAX_ROWS:
            raise too_large(f"{MAX_ROWS} rows")

    def _add(self, entity: Entity, text: str) -> None:
        try:
            verdicts = read_line(text)
        except msgspec.MsgspecError:  # of another version; the report says how many
            self.unreadable += 1
            return
        seen: set[Key] = set()
        for verdict in verdicts:
            if all(ASPECTS[name](verdict) == value for name, value in self._wanted):
                self.total.add(verdict)
                keys = set(self._keys(entity, verdict))
                for key in keys:
                    self._row(key).add(verdict)
                seen |= keys
        for key in seen:
            self.rows[key].calls += 1
        self.total.calls += bool(seen)

    def _keys(self, entity: Entity, verdict: Verdict) -> Iterable[Key]:
        parts = [(ASPECTS[group](verdict),) if group in ASPECTS else self._parts[group](entity) for group in self._query.groups]
        if self._query.interval:
            parts.insert(0, (start_of(self._query.interval, entity.partition),))
        return itertools.product(*parts)

    def _row(self, key: Key) -> VerdictTotals:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = VerdictTotals()
        return row

    def shown(self) -> list[dict[str, Any]]:
        """Return the rows in the order of their keys."""
        names = (*(("start",) if self._query.interval else ()), *self._query.groups)
        return [dict(zip(names, key, strict=True)) | totals.shown() for key, totals in sorted(self.rows.items())]


def read_wanted(query: Mapping[str, str]) -> dict[str, str]:
    """Return which verdicts are asked for: aspect → value; RequestError for a value that no verdict can have."""
    wanted = {name: value for name in ASPECTS if (value := query.get(name))}
    for name, value in wanted.items():
        if name in _KNOWN and value not in _KNOWN[name]:
            raise RequestError(f"'{name}' must be one of {', '.join(sorted(_KNOWN[name]))}", param=name, code="invalid_value")
    return wanted
