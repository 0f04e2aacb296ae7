"""What was used, summed from the usage records: `GET /manage/usage`.

A scan over the hours asked for, newest bound excluded: right for days, slow for months.
"""

import datetime
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from gateway.domain.call import Operation
from gateway.domain.tables import Value
from gateway.errors import RequestError
from gateway.metering.records import USAGE, Recorder, hour_of
from gateway.ports import Clock, Tables

GROUPS = ("tenant", "product", "subscription", "user", "model", "deployment", "operation", "status", "error_code")
DEFAULT_SPAN = datetime.timedelta(hours=24)
_FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_SUMS = ("prompt_tokens", "completion_tokens", "cached_tokens")


class Reports:
    """Sums over the usage table.

    Args:
        tables: Where the records are.
        recorder: Flushed first, so that a reader sees this instance's own calls.
        clock: Says what "now" is where `to` is not given.
    """

    def __init__(self, tables: Tables, recorder: Recorder, clock: Clock) -> None:
        self._tables = tables
        self._recorder = recorder
        self._clock = clock

    async def usage(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return one row per value of `group_by` over [from, to), ordered by that value.

        Args:
            query: `group_by` (one of GROUPS, default `model`), `from` and `to` as ISO 8601; the last 24 hours by default.

        Raises:
            RequestError: A parameter is not understood; `param` names it.
        """
        group_by = query.get("group_by", "model")
        if group_by not in GROUPS:
            raise RequestError(f"'group_by' must be one of {', '.join(GROUPS)}", param="group_by", code="invalid_value")
        below = _instant(query, "to") or self._clock.utc() + datetime.timedelta(seconds=1)
        start = _instant(query, "from") or max(below, _FIRST + DEFAULT_SPAN) - DEFAULT_SPAN
        await self._recorder.flush()
        rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        continuation: str | None = None
        while True:
            page = await self._tables.query(
                USAGE, partition_from=f"{hour_of(start)}|", partition_below=f"{hour_of(below)}|~", continuation=continuation
            )
            for entity in page.entities:
                at = entity.values["at"]
                inside = isinstance(at, datetime.datetime) and start <= at < below
                if inside and entity.values["operation"] != Operation.MANAGE.value:
                    _add(rows[str(entity.values.get(group_by, ""))], entity.values)
            continuation = page.continuation
            if continuation is None:
                break
        data = [_row(group_by, name, sums) for name, sums in sorted(rows.items())]
        return {"object": "list", "group_by": group_by, "from": start.isoformat(), "to": below.isoformat(), "data": data}


def _add(sums: dict[str, int], values: Mapping[str, Value]) -> None:
    sums["requests"] += 1
    sums["errors"] += int(str(values["status"])) >= 400
    for name in (*_SUMS, "cost_micro_usd"):
        value = values.get(name, 0)
        sums[name] += value if isinstance(value, int) else 0
    sums["unpriced_requests"] += bool(values.get("unpriced"))


def _row(group_by: str, name: str, sums: Mapping[str, int]) -> dict[str, Any]:
    return {
        group_by: name,
        "requests": sums["requests"],
        "errors": sums["errors"],
        **{field: sums[field] for field in _SUMS},
        "total_tokens": sums["prompt_tokens"] + sums["completion_tokens"],
        "cost_usd": sums["cost_micro_usd"] / 1_000_000,
        "unpriced_requests": sums["unpriced_requests"],
    }


def _instant(query: Mapping[str, str], name: str) -> datetime.datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        # "+" of an offset arrives as a space where the client did not encode it.
        instant = datetime.datetime.fromisoformat(text.replace(" ", "+"))
        return instant.replace(tzinfo=datetime.UTC) if instant.tzinfo is None else instant.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as exc:
        raise RequestError(
            f"'{name}' must be an ISO 8601 date or time, such as 2026-01-31T12:00:00Z", param=name, code="invalid_value"
        ) from exc
