"""One usage record per call, refused ones included: the draft a call fills in, and the recorder that stores it.

The hot path never awaits the store: `add` puts the record into a bounded buffer, a background task writes the buffer
every `FLUSH_EVERY_S` in transactions of up to 100, and a drain writes what is left. A process that is killed loses at
most what it recorded since the last write. If the store is down the buffer fills; beyond its bound the oldest records
are dropped, counted and logged: a call is never slowed down or refused for its record's sake.

Table `usage`, partition `<yyyy-mm-ddThh>|<tenant>|<shard>`, row = the request's id, which sorts by time. The shard is a
hex digit of this worker's, so that a busy tenant is not bound to one partition's 2,000 rows a second.
"""

import asyncio
import collections
import contextlib
import datetime
import logging
import random

import msgspec

from gateway.domain.tables import MAX_TRANSACTION_WRITES, Action, Value, Write
from gateway.errors import StoreUnavailable
from gateway.metering.draft import Draft
from gateway.ports import Clock, Tables

log = logging.getLogger(__name__)

USAGE = "usage"
FLUSH_EVERY_S = 0.25
BUFFER_RECORDS = 20_000
ANONYMOUS = "-"
MAX_LABEL_CHARACTERS = 256


class UsageRecord(msgspec.Struct, frozen=True, gc=False):
    """A finished call, as stored. Durations are seconds; `cost_micro_usd` is None where there was no price.

    `tokens_estimated` speaks for `units` as well. What the caller's limits were charged stands in `charged_…`, in the windows of
    `admitted_at`; it differs from what was used where nobody knows how far a backend had come. A call without limits has none.
    `worker` is the process that held the limits' leases.
    """

    at: datetime.datetime
    request_id: str
    trace_id: str
    tenant: str
    product: str
    subscription: str
    key_id: str
    user: str
    session: str
    tags: str
    operation: str
    surface: str
    path: str
    model: str
    deployment: str
    backend: str
    stream: bool
    status: int
    error_code: str
    finish_reason: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    units: int
    unit: str
    tokens_estimated: bool
    unpriced: bool
    cost_micro_usd: int | None
    aside_cost_micro_usd: int | None
    avoided_micro_usd: int
    admitted_at: datetime.datetime | None
    charged_requests: int
    charged_input_tokens: int
    charged_output_tokens: int
    charged_micro_usd: int
    worker: str
    client_request_id: str
    upstream_request_id: str
    rule: str
    tier: str
    fallback: str
    reason: str
    route: str
    changes: str
    admission_s: float
    guard_s: float
    queue_s: float
    upstream_ttft_s: float
    stream_s: float
    overhead_s: float
    total_s: float

    def row(self) -> dict[str, Value]:
        """Return the row's properties. An absent one is empty, zero or false; an absent cost with `unpriced` is unknown."""
        values: dict[str, Value] = {name: value for name in self.__struct_fields__ if (value := getattr(self, name))}
        values["status"] = self.status
        return values


def finish(draft: Draft, now_s: float, at: datetime.datetime) -> UsageRecord:
    """Turn a draft into the record.

    Args:
        draft: The call, complete.
        now_s: When the last byte was handed on, on the Clock.
        at: The same moment, in UTC.
    """
    inbound, principal, usage = draft.inbound, draft.principal, draft.usage
    label = inbound.headers.get
    admission_s, stream_s, overhead_s, total_s = _latencies(draft, now_s)
    return UsageRecord(
        at=at,
        request_id=inbound.request_id,
        trace_id=draft.trace_id,
        tenant=principal.tenant if principal else ANONYMOUS,
        product=principal.product if principal else "",
        subscription=principal.subscription if principal else "",
        key_id=principal.key_id if principal else "",
        user=user_of(draft)[:MAX_LABEL_CHARACTERS],
        session=label("x-gateway-session", "")[:MAX_LABEL_CHARACTERS],
        tags=label("x-gateway-tags", "")[:MAX_LABEL_CHARACTERS],
        operation=inbound.operation.value,
        surface=inbound.surface.value,
        path=f"{inbound.method} {inbound.path}"[: 2 * MAX_LABEL_CHARACTERS],
        model=draft.model[:MAX_LABEL_CHARACTERS],
        deployment=draft.deployment,
        backend=draft.backend,
        stream=draft.stream,
        status=draft.status,
        error_code=draft.error_code,
        finish_reason=(draft.finish_reason or "")[:MAX_LABEL_CHARACTERS],
        attempts=draft.attempts,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        units=usage.units,
        unit=usage.unit,
        tokens_estimated=usage.estimated,
        unpriced=draft.cost_micro_usd is None,
        cost_micro_usd=draft.cost_micro_usd,
        aside_cost_micro_usd=draft.aside_cost_micro_usd,
        avoided_micro_usd=draft.avoided_micro_usd,
        admitted_at=draft.admitted_at,
        charged_requests=draft.charged.requests,
        charged_input_tokens=draft.charged.input_tokens,
        charged_output_tokens=draft.charged.output_tokens,
        charged_micro_usd=draft.charged.cost_micro_usd,
        worker=draft.worker,
        client_request_id=label("x-ms-client-request-id", "")[:MAX_LABEL_CHARACTERS],
        upstream_request_id=draft.upstream_request_id[:MAX_LABEL_CHARACTERS],
        rule=draft.rule,
        tier=draft.tier,
        fallback=draft.fallback,
        reason=draft.reason,
        route=" ".join(draft.route)[: 4 * MAX_LABEL_CHARACTERS],
        changes=" ".join(draft.changes),
        admission_s=admission_s,
        guard_s=draft.guard_s,
        queue_s=draft.queue_s,
        upstream_ttft_s=draft.upstream_wait_s,
        stream_s=stream_s,
        overhead_s=overhead_s,
        total_s=total_s,
    )


def _latencies(draft: Draft, now_s: float) -> tuple[float, float, float, float]:
    """Return the parts of a call's time that are not on the draft: admission, stream, overhead, and the total."""
    received_s = draft.inbound.received_s
    total_s = now_s - received_s
    admission_s = (draft.admitted_s if draft.admitted_s is not None else now_s) - received_s
    last_byte_s = draft.last_byte_s if draft.last_byte_s is not None else now_s
    stream_s = last_byte_s - draft.first_token_s if draft.first_token_s is not None else 0.0
    return admission_s, stream_s, total_s - admission_s - draft.guard_s - draft.queue_s - draft.upstream_wait_s - stream_s, total_s


def user_of(draft: Draft) -> str:
    """Return whom a token proves the caller to be, else whom the caller says it is."""
    proved = draft.principal.user if draft.principal else ""
    return proved or draft.inbound.headers.get("x-gateway-user", "").strip()


class Recorder:
    """Buffers records and writes them in the background.

    Args:
        tables: Where they go.
        clock: Its `sleep` paces the writing.
        capacity: Records kept while the store is slow or down.
    """

    def __init__(self, tables: Tables, clock: Clock, *, capacity: int = BUFFER_RECORDS) -> None:
        self._tables = tables
        self._clock = clock
        self._capacity = capacity
        self._buffer: collections.deque[UsageRecord] = collections.deque()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._shard = f"{random.randrange(16):x}"  # noqa: S311 - spreads load, hides nothing
        self.dropped = 0

    def add(self, record: UsageRecord) -> None:
        """Take a record; returns at once and never fails."""
        if len(self._buffer) >= self._capacity:
            self._buffer.popleft()
            self._count_dropped(1, "the store does not keep up")
        self._buffer.append(record)
        if self._task is None or self._task.done():
            with contextlib.suppress(RuntimeError):  # no loop runs here: a dropped stream is collected in any thread; the next one writes
                loop = asyncio.get_running_loop()
                self._task = loop.create_task(self._keep_writing(), name="usage records")

    async def flush(self) -> None:
        """Write all that is buffered; StoreUnavailable leaves the rest in the buffer, a row that no store takes is dropped."""
        async with self._writing:
            while self._buffer:
                batch = self._next_batch()
                partition = self._partition(batch[0])
                try:
                    await self._write(partition, batch)
                except (StoreUnavailable, asyncio.CancelledError):
                    # Perhaps it was written after all: to write it again then changes nothing.
                    self._buffer.extendleft(reversed(batch))
                    raise
                except Exception:  # noqa: BLE001 - whatever is wrong with one record must not keep the others from the store
                    await self._write_singly(partition, batch)

    async def close(self) -> None:
        """Stop the background task and write what is left; what the store does not take now is lost, and counted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        try:
            await self.flush()
        except StoreUnavailable as exc:
            lost = len(self._buffer)
            self._buffer.clear()
            self._count_dropped(lost, f"the store did not answer at the end: {exc}")

    async def _keep_writing(self) -> None:
        failures = 0
        while self._buffer:
            await self._clock.sleep(FLUSH_EVERY_S * min(2**failures, 32))
            try:
                await self.flush()
                failures = 0
            except StoreUnavailable as exc:
                failures += 1
                log.warning("usage records wait for the store (%d buffered): %s", len(self._buffer), exc)

    async def _write_singly(self, partition: str, batch: list[UsageRecord]) -> None:
        """Write a refused batch record by record: the one that no store takes is dropped, the others stay."""
        waiting = collections.deque(batch)
        while waiting:
            try:
                await self._write(partition, [waiting[0]])
            except (StoreUnavailable, asyncio.CancelledError):
                self._buffer.extendleft(reversed(waiting))
                raise
            except Exception:
                log.exception("the usage record of %s cannot be stored and is dropped", waiting[0].request_id)
                self._count_dropped(1, "no store can take them")
            waiting.popleft()

    def _count_dropped(self, count: int, reason: str) -> None:
        before, self.dropped = self.dropped, self.dropped + count
        if before.bit_length() != self.dropped.bit_length():  # at 1, 2, 4, 8 …: loud, but not one line per lost record
            log.error("usage records dropped because %s: %d so far", reason, self.dropped)

    def _next_batch(self) -> list[UsageRecord]:
        """Take up to 100 records of the oldest one's partition; the others keep their order."""
        partition = self._partition(self._buffer[0])
        batch: list[UsageRecord] = []
        others: list[UsageRecord] = []
        while self._buffer and len(batch) < MAX_TRANSACTION_WRITES and len(others) < 10 * MAX_TRANSACTION_WRITES:
            record = self._buffer.popleft()
            (batch if self._partition(record) == partition else others).append(record)
        self._buffer.extendleft(reversed(others))
        return batch

    def _partition(self, record: UsageRecord) -> str:
        return f"{hour_of(record.at)}|{record.tenant}|{self._shard}"

    async def _write(self, partition: str, batch: list[UsageRecord]) -> None:
        # Upserts under the request's id: a write that is repeated after a lost answer changes nothing.
        writes = [Write(action=Action.UPSERT, row=record.request_id, values=record.row()) for record in batch]
        await self._tables.transact(USAGE, partition, writes)


def hour_of(at: datetime.datetime) -> str:
    """Return the hour of a UTC time as the partitions of `usage` begin with it: `2026-01-31T12`."""
    return at.isoformat()[:13]
