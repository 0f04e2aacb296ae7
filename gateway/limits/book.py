"""One scope's purses in this worker, and its exchanges with the store: one at a time, shared by all calls that wait.

An attempt has a number (`seq`) of its own, which stands in the lease row that it writes. Where its fate is unknown, the row
tells whether it was done; until it was either seen there or overtaken by a later attempt, which needs the same row unchanged,
what it reported is kept and what it gave back is not spent. Nothing is counted twice, and no grant is spent that was not made.
"""

import asyncio
import datetime
import logging
import random

from gateway.domain.limits import Ceiling
from gateway.domain.tables import Entity, EntityChanged, EntityExists
from gateway.errors import StoreUnavailable
from gateway.limits.exchange import LEASE_S, Outcome, Report, Rows, exchange
from gateway.limits.purse_kinds import purse_of
from gateway.limits.purses import IDLE_S, Purse
from gateway.limits.reading import Reader
from gateway.limits.rows import COUNTER, LEASE, LIMITS, held_of, integer
from gateway.limits.scopes import Scope
from gateway.limits.windows import SLIDING, end_of, window_of
from gateway.ports import Clock, Tables

log = logging.getLogger(__name__)

SKEW_S = 2.0  # a holder stops so long before its lease is over
RENEW_S = 12.0  # a lease that ends within this time is renewed
REPORT_S = 5.0  # what was spent is told after this time at the latest
ATTEMPTS = 40
BACKOFF_S = 0.004  # times 1, 2, 4 … up to 32, times 0.5 to 1.5
WAIT_S = 5.0  # so long a call waits for the store before it is taken to be down
DOWN_S = 1.0  # so long nobody asks a store that was down

type _Told = dict[Purse, Report]


type Need = dict[Purse, int]  # what one call waits for


class _Round:
    """Those who wait for the next exchange."""

    __slots__ = ("needs", "task")

    def __init__(self) -> None:
        self.needs: list[Need] = []
        self.task: asyncio.Task[None] | None = None


class Book:
    """A scope as this worker sees it.

    Args:
        scope: Whose limits.
        tables: Where all workers meet.
        clock: The time.
        worker: This process's name.
        rng: Spreads retries.
        outage_percent: How much of a limit may be taken while the store is down.
        utc: When it was opened: by the clock as its first call read it, for that call is charged to the lease that begins then.
    """

    def __init__(
        self, scope: Scope, tables: Tables, clock: Clock, worker: str, rng: random.Random, outage_percent: int, utc: datetime.datetime
    ) -> None:
        self.scope = scope
        self._tables = tables
        self._clock = clock
        self._worker = worker
        self._rng = rng
        self._outage_percent = outage_percent
        self.purses: dict[str, Purse] = {}  # the running windows', by the ceiling's name
        self._old: list[Purse] = []  # windows that are over, and ceilings that are gone: until all is said of them
        self.good_until_s = float("-inf")  # the slices may be spent before then
        self.down_until_s = float("-inf")
        self.down = False
        self.waiters = 0  # calls that wait for an exchange, or have not taken yet what it brought
        self.told_s = float("-inf")
        self._told_at = self._deciding_at = utc  # what was admitted later stands in no lease that was
        self._seq = 0
        self._pending: dict[int, _Told] = {}
        self._removing = 0  # the attempt that removes the lease
        self._reader = Reader(tables, scope.partition, LEASE + worker)
        self._round: _Round | None = None
        self._active: asyncio.Task[None] | None = None

    def open_windows(self, scope: Scope, utc: datetime.datetime) -> list[Purse]:
        """Return the purses of the scope's ceilings in the running windows, in their order."""
        utc_s = utc.timestamp()
        if scope is not self.scope:
            self.scope = scope
            kept = {ceiling.name for ceiling in scope.ceilings}
            self._old += [self.purses.pop(name) for name in list(self.purses) if name not in kept]
        found = []
        for ceiling in scope.ceilings:
            purse = self.purses.get(ceiling.name)
            if purse is None or utc_s >= purse.ends_s:
                purse = self._turn_to(ceiling, purse, utc)
            elif purse.ceiling is not ceiling:
                purse.limit_to(ceiling)
            found.append(purse)
        return found

    def _turn_to(self, ceiling: Ceiling, over: Purse | None, utc: datetime.datetime) -> Purse:
        if over is not None:
            self._old.append(over)
        ends_s = float("inf") if ceiling.window in SLIDING else end_of(ceiling.window, utc).timestamp()
        row = f"{COUNTER}{ceiling.name}|{window_of(ceiling.window, utc)}"
        again = next((purse for purse in self._old if purse.row == row), None)  # a ceiling that came back
        if again is not None:
            self._old.remove(again)
            again.limit_to(ceiling)
        self.purses[ceiling.name] = purse = again or purse_of(row, ceiling, self.scope.kind, ends_s)
        if self.down:
            purse.credit = None
        return purse

    @property
    def all(self) -> list[Purse]:
        """The purses of all windows that something is still to be said of."""
        return [*self.purses.values(), *self._old]

    @property
    def busy(self) -> bool:
        """An exchange is under way, or about to be."""
        return self._round is not None or (self._active is not None and not self._active.done())

    @property
    def idle(self) -> bool:
        """It holds nothing and waits for nothing, so that it may be forgotten."""
        return not self.busy and not self._pending and all(purse.idle for purse in self.all)

    def is_due(self, now_s: float) -> bool:
        """Tell whether an exchange would do good: something lies idle, is to be told, or is about to run out."""
        if now_s < self.down_until_s:
            return False
        purses = self.all
        if any(purse.out or purse.taken or purse.flights for purse in purses) and now_s >= self.good_until_s - RENEW_S:
            return True
        if now_s - self.told_s >= REPORT_S and (self._pending or any(purse.unsaid for purse in purses)):
            return True
        over = any(purse.left > 0 for purse in self._old) or any(purse.refused for purse in purses)
        return over or any(purse.left > 0 and now_s - purse.last_s >= IDLE_S for purse in purses)

    def credit(self, purse: Purse, asked: int) -> int:
        """Return what may still be taken of a ceiling in this outage: a share of it at first, or what the first call asks for."""
        if purse.credit is None:
            share = purse.ceiling.amount * self._outage_percent // 100
            purse.credit = min(max(share, asked), purse.ceiling.amount) if self._outage_percent else 0
        return purse.credit

    async def obtain(self, need: Need) -> None:
        """Wait for an exchange that knows of this need: afterwards it is held, or `free` says how little there is.

        The store may be down afterwards (`down`): nobody waits for it longer than `WAIT_S`.
        """
        task = self.refresh(need)
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        if done:
            task.result()
        else:
            self._went_down(StoreUnavailable("the table store takes too long"))

    def refresh(self, need: Need | None = None) -> asyncio.Task[None]:
        """Have an exchange begun, after the one that is under way."""
        if self._round is None:
            self._round = _Round()
        round_ = self._round
        if need:
            round_.needs.append(need)
        if round_.task is None:
            round_.task = asyncio.get_running_loop().create_task(self._run(round_), name="limits")
            round_.task.add_done_callback(_heard)
        return round_.task

    async def surrender(self) -> None:
        """Give all back, and remove the lease: the worker goes."""
        while self._active is not None and not self._active.done():
            await asyncio.wait({self._active})
        self._active = asyncio.current_task()
        await self._exchange([], final=True)

    async def _run(self, round_: _Round) -> None:
        while self._active is not None and not self._active.done():
            await asyncio.wait({self._active})
        self._active = asyncio.current_task()
        self._round = None
        try:
            await self._exchange(round_.needs)
        except Exception:
            log.exception("the limits of %s could not be exchanged", self.scope.kind)
            raise

    async def _exchange(self, needs: list[Need], *, final: bool = False) -> None:
        for attempt in range(ATTEMPTS):
            now_s, utc = self._clock.now_s(), self._clock.utc()
            try:
                rows = await self._reader.read({purse.row for purse in self.all})
                self._resolve(rows.leases.get(LEASE + self._worker))
                told, outcome = self._decide(rows, needs, now_s, utc, final=final)
                if outcome.writes:
                    self._pending[self._seq] = told
                    await self._tables.transact(LIMITS, self.scope.partition, outcome.writes)
                    self.good_until_s = now_s + LEASE_S - SKEW_S
                self._learn(told, outcome, now_s, utc.timestamp())
            except (EntityExists, EntityChanged):
                self._pending.pop(self._seq, None)
                await self._clock.sleep(BACKOFF_S * 2 ** min(attempt, 5) * (0.5 + self._rng.random()))
            except StoreUnavailable as exc:
                # After a write nobody knows whether it was done: the next read tells.
                if self._seq not in self._pending or attempt == ATTEMPTS - 1 or not await self._reader.answers():
                    self._went_down(exc)
                    return
            else:
                return

    def _resolve(self, lease: Entity | None) -> None:
        """See which attempt was done, if one is in doubt, and what this worker holds in truth."""
        seq = integer(lease.values, "seq") if lease is not None else self._removing
        done = self._pending.get(seq)
        if done is not None:
            for purse, report in done.items():
                purse.confirm(report)
            self._pending.clear()
        self._seq = max(self._seq, seq)
        held = held_of(lease)
        for purse in self.all:
            if not self._pending:
                purse.back = 0
            purse.found(held.get(purse.row, (0, 0))[1])

    def _decide(self, rows: Rows, needs: list[Need], now_s: float, utc: datetime.datetime, *, final: bool) -> tuple[_Told, Outcome]:
        utc_s = utc.timestamp()
        asks = {}
        for purse in self.all:
            amounts = [need[purse] for need in needs if purse in need]
            least = min(amounts, default=0)
            possible = least <= purse.ceiling.amount
            asks[purse] = purse.ask(sum(amounts), least, now_s, utc_s, possible=possible, keep=self.waiters > 0, final=final)
        self._seq += 1
        self._deciding_at = self._clock.utc()
        renew = any(purse.flights for purse in asks)
        outcome = exchange(
            rows,
            tuple(asks.values()),
            self.scope.kind,
            self._worker,
            self._seq,
            utc,
            since=self._told_at,
            final=final,
            renew=renew,
        )
        if final and LEASE + self._worker in rows.leases and not any(outcome.outs.values()):
            self._removing = self._seq
        return {purse: ask.report for purse, ask in asks.items()}, outcome

    def _learn(self, told: _Told, outcome: Outcome, now_s: float, utc_s: float) -> None:
        """Take over what an exchange came to."""
        self._pending.clear()
        for purse, report in told.items():
            purse.confirm(report)
            purse.found(outcome.outs[purse.row])
            purse.learn(outcome.free[purse.row], outcome.slots[purse.row], outcome.holders, now_s, utc_s)
        self._old = [purse for purse in self._old if not purse.idle]
        self.told_s = now_s
        self._told_at = self._deciding_at
        self.down_until_s = float("-inf")
        if self.down:
            self.down = False
            log.info("the limits of %s are checked with other workers again", self.scope.kind)

    def _went_down(self, exc: StoreUnavailable) -> None:
        """Note an outage: every ceiling gets an allowance, once."""
        self.down_until_s = self._clock.now_s() + DOWN_S
        if not self.down:
            self.down = True
            for purse in self.purses.values():
                purse.credit = None
            log.warning("the limits of %s are kept by this worker alone until the store answers: %s", self.scope.kind, exc)


def _heard(task: asyncio.Task[None]) -> None:
    """Take note of a failure that nobody waits for: it is in the log."""
    if not task.cancelled():
        task.exception()
