"""What the ledger says that counters were charged: the usage records, read for the scopes of limits.

A record says what its call was charged (`charged_…`), in which windows (those of `admitted_at`) and by which process
(`worker`). Records stand under the hour in which their call ended, so a window is looked for up to `LATEST` after its end.

Rules: reads only. A tenant's records are read hour by hour, a few hours at once; only the gateway's own scope reads
everybody's. Where the records come from is `metering/records.py`; packages beside each other do not import each other, so the
table's shape is written here a second time, and a test compares the two.
"""

import asyncio
import datetime
import itertools
from collections.abc import Callable, Mapping

import msgspec

from gateway.domain.amounts import Amounts
from gateway.domain.ledger import USAGE, hour_of
from gateway.domain.limits import MINUTE, NOW, Metric
from gateway.domain.tables import Value
from gateway.limits.windows import window_of
from gateway.ports import Tables

HOUR = datetime.timedelta(hours=1)
LATEST = HOUR  # after its window a call may still end, and its record be written
HOURS_AT_ONCE = 8

_NAMES = ("tenant", "product", "subscription", "user", "worker")

type Take = Callable[["Charge"], None]

_AMOUNTS: dict[str, Callable[[Amounts], int]] = {
    Metric.REQUESTS.value: lambda amounts: amounts.requests,
    Metric.TOKENS.value: lambda amounts: amounts.tokens,
    Metric.INPUT_TOKENS.value: lambda amounts: amounts.input_tokens,
    Metric.OUTPUT_TOKENS.value: lambda amounts: amounts.output_tokens,
    Metric.COST.value: lambda amounts: amounts.cost_micro_usd,
}


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What one call was charged, and whose it was."""

    tenant: str
    product: str
    subscription: str
    user: str
    worker: str
    admitted_at: datetime.datetime
    amounts: Amounts


class Counter(msgspec.Struct, frozen=True, gc=False):
    """A counter's row key, read: `c|tokens.month|2026-11`."""

    row: str
    metric: str
    window: str
    window_id: str

    @property
    def calendar(self) -> bool:
        """Whether the ledger can prove it: rates and concurrency forget by themselves."""
        return self.window not in (MINUTE, NOW)

    @property
    def name(self) -> str:
        """As its ceiling is called: `tokens.month`."""
        return f"{self.metric}.{self.window}"

    @property
    def start(self) -> datetime.datetime:
        """When its calendar window began."""
        return start_of(self.window, self.window_id)

    def counts(self, charge: Charge) -> int:
        """Return what it was charged for a call of its scope; 0 for one of another window."""
        if window_of(self.window, charge.admitted_at) != self.window_id:
            return 0
        return _AMOUNTS[self.metric](charge.amounts)


def read_counter(row: str) -> Counter:
    """Read a counter's row key."""
    _, name, window_id = row.split("|")
    metric, _, window = name.partition(".")
    return Counter(row, metric, window, window_id)


def start_of(window: str, window_id: str) -> datetime.datetime:
    """Return when a calendar window began: the inverse of `window_of`.

    Args:
        window: hour | day | week | month | quarter | year.
        window_id: `2026-11-22T14`, `2026-11-22`, `2026-W47`, `2026-11`, `2026-Q4`, `2026`.
    """
    if window == "quarter":
        year, _, quarter = window_id.partition("-Q")
        window_id = f"{year}-{3 * int(quarter) - 2:02}"
    first = {"year": "-01-01", "quarter": "-01", "month": "-01"}.get(window, "")
    return datetime.datetime.fromisoformat(window_id + first).replace(tzinfo=datetime.UTC)


async def read_charges(tables: Tables, tenant: str | None, start: datetime.datetime, until: datetime.datetime, take: Take) -> None:
    """Hand on every charge whose record stands in the hours of [start, until], in no order.

    Args:
        tables: Where the records are.
        tenant: Whose; None for everybody's.
        start: UTC.
        until: UTC.
        take: Called with each.

    Raises:
        StoreUnavailable: Some may have been handed on already.
    """
    first, last = _hour(start), _hour(until)
    if tenant is None:
        return await _read_range(tables, f"{hour_of(first)}|", f"{hour_of(last)}|~", take)
    hours = (first + n * HOUR for n in range((last - first) // HOUR + 1))
    for together in itertools.batched(hours, HOURS_AT_ONCE, strict=False):
        reads = [f"{hour_of(hour)}|{tenant}|" for hour in together]
        await asyncio.gather(*(_read_range(tables, prefix, f"{prefix}~", take) for prefix in reads))
    return None


async def _read_range(tables: Tables, partition_from: str, partition_below: str, take: Take) -> None:
    continuation: str | None = None
    while True:
        page = await tables.query(USAGE, partition_from=partition_from, partition_below=partition_below, continuation=continuation)
        for entity in page.entities:
            if (charge := _charge(entity.values)) is not None:
                take(charge)
        continuation = page.continuation
        if continuation is None:
            return


def _charge(values: Mapping[str, Value]) -> Charge | None:
    """Read a record; None for a call without limits. A member that is not there is empty or zero."""
    admitted_at = values.get("admitted_at")
    if not isinstance(admitted_at, datetime.datetime):
        return None
    amounts = Amounts(
        _whole(values, "charged_requests"),
        _whole(values, "charged_input_tokens"),
        _whole(values, "charged_output_tokens"),
        _whole(values, "charged_micro_usd"),
    )
    tenant, product, subscription, user, worker = [str(values.get(name, "")) for name in _NAMES]
    return Charge(tenant, product, subscription, user, worker, admitted_at, amounts)


def _whole(values: Mapping[str, Value], name: str) -> int:
    value = values.get(name, 0)
    return value if isinstance(value, int) else 0


def _hour(at: datetime.datetime) -> datetime.datetime:
    return at.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
