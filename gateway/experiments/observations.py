"""From the ledger to units: an experiment's usage records and votes, read once, from its start on.

Usage records stand in partitions `<yyyy-mm-ddThh>|<tenant>|<shard>`, rows `req_<UUIDv7 of the arrival>`, under the hour in which the
call ended. They are read in windows of at most an hour: the rows that arrived up to `LONGEST_CALL` before the window, of which those
count that ended in it. A page that was read is counted at once, and after a fault reading goes on at the page that failed: none is
counted twice. What is written more than `SETTLING` late (a spool, replayed after an outage) is missing.

Sums are kept in this worker's memory (`observations_tally.py`). A restart reads again: a query for every hour since the start, and one
more for every 1,000 calls of the tenant (of all tenants, for a shared experiment), at most `PAGES` a look: the rest with the next one.
A tenant with over `MANY` rows a look is read every five minutes.

| metric | of which calls | value |
| --- | --- | --- |
| `cost_usd`, `total_tokens`, `latency_s`, `ttft_s` | answered ones (status below 400) that have it | as recorded |
| `error_rate` | all but those that were the client's fault | 1 where we or the backend failed |
| `guard_rate` | all | 1 where a guardrail blocked |
| `feedback.NAME` | votes | what clients sent; true is 1 |
"""

import asyncio
import datetime
from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from gateway.domain.experiments import FEEDBACK, METRICS, Experiment
from gateway.domain.ledger import ANONYMOUS, USAGE, hour_of
from gateway.domain.tables import Value
from gateway.domain.verdict_text import read_line
from gateway.domain.verdicts import Outcome
from gateway.errors import ContentFiltered, GuardrailBlocked
from gateway.experiments.feedback_rows import FEEDBACK_TABLE, LATE, Vote, read_vote
from gateway.experiments.observations_tally import Seen, Tally
from gateway.ports import Clock, Tables

SETTLING = datetime.timedelta(seconds=20)
LONGEST_CALL = datetime.timedelta(minutes=15)
HOUR = datetime.timedelta(hours=1)
PAGES = 200  # of one look
MANY = 5000
PAUSE_S, LONG_PAUSE_S = 10.0, 300.0
KEPT = 50  # experiments; the least recently asked for goes first
_BLOCKED = (GuardrailBlocked.code, ContentFiltered.code)
_CLIENT, _SERVER = 400, 500


class Observed(msgspec.Struct):
    """What was read of one experiment.

    Attributes:
        tally: The sums.
        until: Every call that ended before is in them; UTC.
        complete: Nothing that could be read is missing.
    """

    tally: Tally
    until: datetime.datetime
    complete: bool = False
    window_end: datetime.datetime | None = None
    votes_from: datetime.datetime | None = None
    continuation: str | None = None
    scanned: int = 0
    due_s: float = 0.0
    lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


class Observations:
    """What this worker knows of experiments.

    Args:
        tables: Where the records and the votes are.
        clock: The time.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._known: OrderedDict[tuple[str, str, datetime.datetime], Observed] = OrderedDict()

    async def of(self, experiment: Experiment) -> Observed | None:
        """Read what is new, and return all that is known; None for an experiment that never began.

        Raises:
            StoreUnavailable: What was read before is kept.
        """
        start = experiment.started_at
        if start is None:
            return None
        key = (experiment.tenant, experiment.id, start)
        known = self._known.get(key)
        if known is None:
            known = Observed(Tally([each.id for each in experiment.variants], metrics_of(experiment)), start)
            self._known[key] = known
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        async with known.lock:
            if self._clock.now_s() >= known.due_s:
                await self._read(experiment, known)
                await self._votes(experiment, known)
                pause_s = LONG_PAUSE_S if known.scanned > MANY else PAUSE_S
                known.due_s = self._clock.now_s() + pause_s if known.complete else 0.0
        return known

    async def _read(self, experiment: Experiment, known: Observed) -> None:
        end = self._clock.utc() - SETTLING
        if experiment.ended_at is not None:
            end = min(end, experiment.ended_at)
        known.scanned = 0
        for _ in range(PAGES):
            if known.until >= end:
                break
            await self._page(experiment, known, end)
        known.complete = known.until >= end

    async def _page(self, experiment: Experiment, known: Observed, end: datetime.datetime) -> None:
        hour = known.until.replace(minute=0, second=0, microsecond=0)
        until = known.window_end = known.window_end or min(hour + HOUR, end)
        tenant, prefix = experiment.tenant, hour_of(hour)
        page = await self._tables.query(
            USAGE,
            partition_from=f"{prefix}|{tenant}|" if tenant else f"{prefix}|{ANONYMOUS}|~",
            partition_below=f"{prefix}|{tenant}|~" if tenant else f"{prefix}|~",
            row_from=f"req_{_ms(known.until - LONGEST_CALL):012x}",
            row_below=f"req_{_ms(until) + 1000:012x}",
            continuation=known.continuation,
        )
        known.scanned += len(page.entities)
        for entity in page.entities:
            at = entity.values.get("at")
            if isinstance(at, datetime.datetime) and known.until <= at < until and is_of(experiment, entity.values):
                known.tally.call(seen_in(experiment, entity.row, entity.values))
        known.continuation = page.continuation
        if page.continuation is None:
            known.until, known.window_end = until, None

    async def _votes(self, experiment: Experiment, known: Observed) -> None:
        """Read the votes of the last `LATE` before what is known of the calls: again and again, which changes nothing."""
        if not any(metric.startswith(FEEDBACK) for metric in metrics_of(experiment)):
            return
        start = known.votes_from or experiment.started_at or known.until
        continuation: str | None = None
        hour = start.replace(minute=0, second=0, microsecond=0)
        while hour <= known.until + LATE:
            prefix, tenant = hour_of(hour), experiment.tenant
            while True:
                page = await self._tables.query(
                    FEEDBACK_TABLE,
                    partition=f"{prefix}|{tenant}" if tenant else None,
                    partition_from=f"{prefix}|",
                    partition_below=f"{prefix}|~",
                    continuation=continuation,
                )
                for entity in page.entities:
                    _count(experiment, known.tally, entity.row, read_vote(entity.values))
                continuation = page.continuation
                if continuation is None:
                    break
            hour += HOUR
        known.votes_from = max(start, known.until - LATE)


def metrics_of(experiment: Experiment) -> tuple[str, ...]:
    """Return what is measured: all that the ledger tells, and the feedback that decides."""
    named = [experiment.goal.metric, *(guard.metric for guard in experiment.guards)]
    return tuple(dict.fromkeys([*METRICS, *(each for each in named if each.startswith(FEEDBACK))]))


def is_of(experiment: Experiment, values: Mapping[str, Value]) -> bool:
    """Return whether a usage record is one of the experiment's calls."""
    return values.get("experiment") == experiment.recorded and values.get("tenant") == (experiment.tenant or values.get("tenant"))


def seen_in(experiment: Experiment, request_id: str, values: Mapping[str, Value]) -> Seen:
    """Return what a usage record says of a call of the experiment."""
    tenant, subscription = str(values.get("tenant", "")), str(values.get("subscription", ""))
    name = request_id if experiment.unit == "request" else str(values.get(experiment.unit, ""))
    session = str(values.get("session", ""))
    return Seen(
        str(values.get("variant", "")),
        unit_key(tenant, subscription, name),
        unit_key(tenant, subscription, session),
        measured(values),
    )


def unit_key(tenant: str, subscription: str, name: str) -> str:
    """Return the key of a user, a session or a request: nobody shares it with another subscription's; empty without a name."""
    return f"{tenant}|{subscription}|{name}" if name else ""


def measured(values: Mapping[str, Value]) -> dict[str, float]:
    """Return the metrics that a usage record tells."""
    status, code = _number(values, "status"), str(values.get("error_code", ""))
    failed = status >= _SERVER or (code.startswith("upstream_") and code != "upstream_rejected")
    found = {"guard_rate": float(_blocked(values, code))}
    if failed or status < _CLIENT:
        found["error_rate"] = float(failed)
    if status >= _CLIENT:
        return found
    found["latency_s"] = _number(values, "total_s")
    found["total_tokens"] = _number(values, "prompt_tokens") + _number(values, "completion_tokens")
    if not values.get("unpriced"):
        found["cost_usd"] = _number(values, "cost_micro_usd") / 1e6
    if ttft_s := _number(values, "upstream_ttft_s"):
        found["ttft_s"] = ttft_s
    return found


def _blocked(values: Mapping[str, Value], code: str) -> bool:
    if code in _BLOCKED:
        return True
    line = str(values.get("guardrails", ""))
    return Outcome.BLOCKED.value in line and any(verdict.outcome is Outcome.BLOCKED for verdict in read_line(line))


def _count(experiment: Experiment, tally: Tally, key: str, vote: Vote) -> None:
    metric = FEEDBACK + vote.metric
    if vote.session_id:
        session = unit_key(vote.tenant, vote.subscription, vote.session_id)
        tally.vote(key, session if experiment.unit == "session" else tally.unit_of(session), "", metric, vote.value)
    elif vote.experiment == experiment.recorded and vote.called_at and vote.called_at >= (experiment.started_at or vote.called_at):
        name = {"user": vote.user, "session": vote.session, "request": vote.request_id}[experiment.unit]
        tally.vote(key, unit_key(vote.tenant, vote.subscription, name), vote.variant, metric, vote.value)


def _ms(at: datetime.datetime) -> int:
    return max(int(at.timestamp() * 1000), 0)


def _number(values: Mapping[str, Value], name: str) -> float:
    value = values.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
