"""Gives back what dead holders held and the ledger proves unspent, proves counters by the ledger, and prunes old rows.

A process that is killed leaves its slices behind. Until somebody knows better they count as spent, so that no limit is ever
passed because of a crash. Once its lease has been over for `GRACE`, longer than any call runs and any record waits, the ledger
knows better: in one transaction per lease its share of each calendar counter becomes what the records of that process say,
`out` loses its slices, and the lease's row is deleted. What it held of rates and of concurrency is simply dropped.

Old rows go: calendar counters and announcements `KEEP` after their window's end, rates as soon as they count nothing. Safe in
any number of processes at once: every write depends on the ETags that were read. The rows are described in `limiter.py`.
"""

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from gateway.domain.tables import MAX_TRANSACTION_WRITES, Action, Entity, EntityChanged, Write
from gateway.limits.ledger import Charge, Counter, read_charges, read_counter
from gateway.limits.rows import ANNOUNCEMENT, COUNTER, LEASE, LIMITS, decoded, integer
from gateway.limits.scopes import partitions_of, tenant_of_partition
from gateway.limits.stored import Lease, read_lease, read_rows
from gateway.limits.windows import end_of
from gateway.ports import Clock, Tables

GRACE = datetime.timedelta(minutes=15)
KEEP = datetime.timedelta(days=731)
SLIDING_S = 61
ATTEMPTS = 8
PAGE = 1000
SCANNED_AT_ONCE = 20_000


class Returned(msgspec.Struct, frozen=True):
    """What became of one dead lease.

    Attributes:
        given_back: Per counter: what counted as spent or was out, and is free again; negative where records say more.
    """

    partition: str
    worker: str
    given_back: Mapping[str, int]


class Summary(msgspec.Struct, frozen=True):
    """What one run over many scopes did; `more`: it stopped before the end, and the next run goes on from there."""

    scanned_rows: int
    returned: tuple[Returned, ...]
    pruned_rows: int
    more: bool


class _Tally:
    """Sums of charges per partition, worker and counter: for those asked for only."""

    def __init__(self) -> None:
        self._leases: dict[tuple[str, str], Lease] = {}
        self._counters: dict[tuple[str, str], list[Counter]] = {}
        self.sums: dict[tuple[str, str], dict[str, int]] = {}

    def want(self, partition: str, lease: Lease) -> None:
        key = partition, lease.worker
        self._leases[key] = lease
        self._counters[key] = lease.counters()
        self.sums[key] = dict.fromkeys((counter.row for counter in self._counters[key]), 0)

    def start(self) -> datetime.datetime | None:
        """Return the earliest moment that a wanted charge can have been admitted at; None where none is wanted."""
        starts = [max(counter.start, self._leases[key].since) for key, counters in self._counters.items() for counter in counters]
        return min(starts, default=None)

    def take(self, charge: Charge) -> None:
        for partition in partitions_of(charge.tenant, charge.product, charge.subscription, charge.user):
            key = partition, charge.worker
            lease = self._leases.get(key)
            if lease is not None and charge.admitted_at >= lease.since:
                for counter in self._counters[key]:
                    self.sums[key][counter.row] += counter.counts(charge)


class Reconciler:
    """See the module.

    Args:
        tables: Where counters, leases and records are.
        clock: The time.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._continuation: str | None = None

    async def reconcile(self, partition: str) -> list[Returned]:
        """Take the dead leases of one scope back.

        Raises:
            StoreUnavailable: Whatever was done is whole; the next run does the rest.
        """
        return await self._take_back([(partition, lease) for lease in self._dead(await read_rows(self._tables, partition))])

    async def reconcile_all(self, limit: int = SCANNED_AT_ONCE) -> Summary:
        """Take dead leases back and prune old rows, over up to `limit` rows from where the last run stopped.

        Raises:
            StoreUnavailable: Whatever was done is whole; the next run does the rest.
        """
        scanned, pruned = 0, 0
        dead: list[tuple[str, Lease]] = []
        stale: set[str] = set()
        while scanned < limit:
            page = await self._tables.query(LIMITS, limit=PAGE, continuation=self._continuation)
            self._continuation = page.continuation
            scanned += len(page.entities)
            for entity in page.entities:
                if self._prunable(entity):
                    stale.add(entity.partition)
                elif entity.row.startswith(LEASE) and self._is_dead(lease := read_lease(entity)):
                    dead.append((entity.partition, lease))
            if page.continuation is None:
                break
        returned = await self._take_back(dead)
        for partition in sorted(stale):
            pruned += await self._prune(partition)
        return Summary(scanned, tuple(returned), pruned, more=self._continuation is not None)

    async def _take_back(self, dead: Sequence[tuple[str, Lease]]) -> list[Returned]:
        by_tenant: dict[str | None, list[tuple[str, Lease]]] = defaultdict(list)
        for partition, lease in dead:
            by_tenant[tenant_of_partition(partition)].append((partition, lease))
        returned = []
        for tenant, leases in by_tenant.items():
            tally = _Tally()
            for partition, lease in leases:
                tally.want(partition, lease)
            if (start := tally.start()) is not None:
                await read_charges(self._tables, tenant, start, self._clock.utc(), tally.take)
            for partition, lease in leases:
                told = await self._give_back(partition, lease, tally.sums[partition, lease.worker])
                returned += [told] if told is not None else []
        return returned

    async def _give_back(self, partition: str, lease: Lease, proved: Mapping[str, int]) -> Returned | None:
        """Make the dead holder's shares what the ledger proves, and delete its lease; None where it is not dead any more, or gone."""
        for _ in range(ATTEMPTS):
            rows = await read_rows(self._tables, partition)
            found = rows.get(f"{LEASE}{lease.worker}")
            if found is None or found.etag != lease.etag:
                return None
            writes = [Write(Action.DELETE, found.row, etag=found.etag)]
            given_back: dict[str, int] = {}
            for row, (spent, out) in lease.held.items():
                if (counter := rows.get(row)) is None:
                    continue
                change = proved[row] - spent if row in proved else 0
                if out or change:
                    values = {**counter.values, "out": integer(counter.values, "out") - out}
                    if row in proved:
                        values["spent"] = integer(counter.values, "spent") + change
                        given_back[row] = out - change
                    writes.append(Write(Action.REPLACE, row, values, counter.etag))
            try:
                await self._tables.transact(LIMITS, partition, writes)
            except EntityChanged:
                continue
            return Returned(partition, lease.worker, given_back)
        return None  # too much is going on there: the next run finds it again

    async def _prune(self, partition: str) -> int:
        entities = (await read_rows(self._tables, partition)).values()
        writes = [Write(Action.DELETE, entity.row, etag=entity.etag) for entity in entities if self._prunable(entity)]
        if any(entity.row.startswith(LEASE) for entity in entities):  # its holder would make its rates anew at once
            writes = [write for write in writes if not write.row.startswith(COUNTER) or read_counter(write.row).calendar]
        writes = writes[:MAX_TRANSACTION_WRITES]
        if not writes:
            return 0
        try:
            await self._tables.transact(LIMITS, partition, writes)
        except EntityChanged:
            return 0  # it is used after all
        return len(writes)

    def _prunable(self, entity: Entity) -> bool:
        now = self._clock.utc()
        if entity.row.startswith(ANNOUNCEMENT):
            at = entity.values.get("at")
            return isinstance(at, datetime.datetime) and at + KEEP < now
        if not entity.row.startswith(COUNTER) or integer(entity.values, "out"):
            return False
        counter = read_counter(entity.row)
        if counter.calendar:
            return end_of(counter.window, counter.start) + KEEP < now
        slots = decoded(entity.values, "slots", [])
        return all(second + SLIDING_S < now.timestamp() for second, _ in slots)

    def _dead(self, rows: Mapping[str, Entity]) -> list[Lease]:
        leases = [read_lease(entity) for row, entity in rows.items() if row.startswith(LEASE)]
        return [lease for lease in leases if self._is_dead(lease)]

    def _is_dead(self, lease: Lease) -> bool:
        return lease.expires + GRACE < self._clock.utc()
