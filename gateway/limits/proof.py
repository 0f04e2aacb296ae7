"""Counters beside the ledger, for administrators: what is counted, what the records say, and what lies between the two.

For every calendar counter of a scope: counted as spent == the records' sum + what living holders have under way. Anything else
is drift: a record that was lost, or one that came after its holder's lease was taken back.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.domain.tables import Entity
from gateway.errors import NotFound
from gateway.limits.ledger import LATEST, Charge, Counter, read_charges, read_counter
from gateway.limits.rows import COUNTER, LEASE, LIMITS, decoded, integer
from gateway.limits.scopes import partitions_of, tenant_of_partition
from gateway.limits.stored import Lease, read_lease, read_rows
from gateway.limits.windows import end_of, window_of
from gateway.ports import Clock, Tables

MINUTE_S = 60
ROWS_AT_ONCE = 200
# Less, and more, than any character in the name of a scope.
_NEXT, _LAST = "!", "~~"


class Proof(msgspec.Struct, frozen=True):
    """A calendar counter beside the ledger.

    Attributes:
        spent: As counted, calls under way included.
        out: Slices that are granted and not spent.
        ledger: The sum of the records.
        under_way: What holders whose leases are there have spent, less their records; negative where they have not reported all.
        drift: `spent` less `ledger` less `under_way`: 0 where all is well.
    """

    counter: Counter
    spent: int
    out: int
    ledger: int
    under_way: int
    drift: int


class Prover:
    """Compares and shows.

    Args:
        tables: Where counters, leases and records are.
        clock: The time.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock

    async def verify(self, partition: str, at: datetime.datetime | None = None) -> list[Proof]:
        """Compare the calendar counters of a scope with the ledger; reads all records of their windows.

        A call that ends while this reads may show as a drift: one that a second look does not show was none.

        Args:
            partition: The scope's.
            at: Of which moment the windows are compared; by default those of now.

        Raises:
            StoreUnavailable: It cannot be said.
        """
        return await self._compare(partition, await read_rows(self._tables, partition), at or self._clock.utc())

    async def show(self, partition: str, at: datetime.datetime | None = None) -> dict[str, Any]:
        """Return a scope's counters beside the ledger, its rates and its holders, as JSON-ready values.

        Raises:
            NotFound: Nothing is counted for the scope.
            StoreUnavailable: It cannot be said.
        """
        now = self._clock.utc()
        rows = await read_rows(self._tables, partition)
        if not rows:
            raise NotFound(
                f"nothing is counted for the scope {partition[:200]!r}; GET /manage/limits lists the scopes", code="unknown_scope"
            )
        proofs = await self._compare(partition, rows, at or now)
        leases = [read_lease(entity) for row, entity in rows.items() if row.startswith(LEASE)]
        return {
            "object": "limits.scope",
            "scope": partition,
            "drift": any(proof.drift for proof in proofs),
            "counters": [_shown(proof) for proof in proofs],
            "rates": [_rate(entity, now) for row, entity in rows.items() if row.startswith(COUNTER) and not read_counter(row).calendar],
            "holders": [_holder(lease, now) for lease in leases],
        }

    async def scopes(self, tenant: str | None, limit: int, after: str) -> tuple[list[str], str | None]:
        """Return up to `limit` scopes that have rows, ordered by name, and the `after` of the next page; None where there is none.

        Args:
            tenant: Whose; None for all, the gateway's own included.
            limit: The most of them.
            after: The last one of the page before, or empty.

        Raises:
            StoreUnavailable: It cannot be said.
        """
        found: list[str] = []
        for first, below in _ranges(tenant):
            start = max(first, f"{after}{_NEXT}" if after else "")
            while len(found) <= limit and start < below:
                page = await self._tables.query(LIMITS, partition_from=start, partition_below=below, limit=ROWS_AT_ONCE)
                found += sorted({entity.partition for entity in page.entities})
                if not page.entities:
                    break
                start = found[-1] + _NEXT
        return found[:limit], found[limit - 1] if len(found) > limit else None

    async def _compare(self, partition: str, rows: Mapping[str, Entity], at: datetime.datetime) -> list[Proof]:
        counters = [counter for row in rows if row.startswith(COUNTER) and (counter := read_counter(row)).calendar]
        counters = [counter for counter in counters if window_of(counter.window, at) == counter.window_id]
        leases = {lease.worker: lease for row, entity in rows.items() if row.startswith(LEASE) for lease in [read_lease(entity)]}
        total = {counter.row: 0 for counter in counters}
        of_leases = dict(total)  # of total, what was charged under a lease that is still there

        def take(charge: Charge) -> None:
            if partition not in partitions_of(charge.tenant, charge.product, charge.subscription, charge.user):
                return
            lease = leases.get(charge.worker)
            for counter in counters:
                amount = counter.counts(charge)
                total[counter.row] += amount
                if lease is not None and counter.row in lease.held and charge.admitted_at >= lease.since:
                    of_leases[counter.row] += amount

        if counters:
            until = min(max(end_of(each.window, each.start) for each in counters) + LATEST, self._clock.utc())
            await read_charges(self._tables, tenant_of_partition(partition), min(each.start for each in counters), until, take)
        return [_proof(each, rows[each.row], leases.values(), total[each.row], of_leases[each.row]) for each in counters]


def _proof(counter: Counter, entity: Entity, leases: Iterable[Lease], ledger: int, of_leases: int) -> Proof:
    spent = integer(entity.values, "spent")
    under_way = sum(lease.held[counter.row][0] for lease in leases if counter.row in lease.held) - of_leases
    return Proof(counter, spent, integer(entity.values, "out"), ledger, under_way, spent - ledger - under_way)


def _shown(proof: Proof) -> dict[str, Any]:
    numbers = {name: getattr(proof, name) for name in ("spent", "out", "ledger", "under_way", "drift")}
    counter = proof.counter
    return {"limit": counter.name, "window": counter.window_id, "ends_at": end_of(counter.window, counter.start).isoformat(), **numbers}


def _rate(entity: Entity, now: datetime.datetime) -> dict[str, Any]:
    slots = decoded(entity.values, "slots", [])
    spent = sum(amount for second, amount in slots if second > now.timestamp() - MINUTE_S)
    return {"limit": read_counter(entity.row).name, "spent": spent, "out": integer(entity.values, "out")}


def _holder(lease: Lease, now: datetime.datetime) -> dict[str, Any]:
    held = {row.removeprefix(COUNTER): {"spent": spent, "out": out} for row, (spent, out) in lease.held.items()}
    return {"worker": lease.worker, "expires_at": lease.expires.isoformat(), "alive": lease.expires > now, "held": held}


def _ranges(tenant: str | None) -> list[tuple[str, str]]:
    """Return the ranges of partitions to list, in order."""
    if tenant is None:
        return [("a", _LAST)]
    *inner, of_tenant = (f"{kind}|{tenant}|" for kind in ("product", "subscription", "user", "tenant"))
    named = [(prefix, prefix + _LAST) for prefix in inner]
    exact = of_tenant.removesuffix("|")
    return [*named[:2], (exact, exact + _NEXT), named[2]]
