"""Admits calls within all their scopes' limits: reserve before a call, settle after it. Exact over all workers.

Each worker holds slices of the counters in Table Storage (`rows.py`) and spends them in memory. A call that finds enough at
every scope takes it without asking anybody: all of it or nothing. Slices are filled up in the background while they are half
full, so that a call waits for an exchange (`book.py`) only where little is left; at the very end of a limit each call asks for
what it needs. What a worker does not use goes back after a few seconds, and all of it when the worker is stopped.

A refusal comes from the store's own numbers, read a second ago at most. While the store is down, each ceiling lets a bounded
allowance pass, which is charged when it is back; what is beyond that is refused with 503.
"""

import asyncio
import contextlib
import datetime
import logging
import operator
import random
from collections.abc import Mapping

from gateway.domain.amounts import NOTHING, Amounts
from gateway.errors import StoreUnavailable
from gateway.limits.book import Book, Need
from gateway.limits.purse_kinds import CallsPurse
from gateway.limits.purses import InOrder, Purse, amounts_of
from gateway.limits.refusals import heads_of, rate_headers, refusal, wait_s, warning
from gateway.limits.scopes import Scope
from gateway.ports import Clock, Tables

log = logging.getLogger(__name__)

OUTAGE_PERCENT = 5  # of each limit, by each worker and outage
TICK_S = 1.0
ROUNDS = 50  # exchanges that one call waits for while others take what it was granted
REFILL_S = 0.2  # so long after an exchange nobody begins one in the background
FORGET_S = 120.0  # a scope without calls is forgotten
REMEMBERED = 10_000
AT_ONCE = 32  # exchanges of a tick

type _Entries = tuple[tuple[Book, Purse], ...]


class Reservation:
    """What a call holds until it is settled.

    Attributes:
        asked: What was reserved.
        headers: The rate headers as they stood when it was admitted, and the warning of a soft limit.
        admitted_at: In which windows it is counted; None where nothing is.
    """

    __slots__ = ("admitted_at", "amounts", "asked", "entries", "headers", "second")

    def __init__(
        self, asked: Amounts, headers: Mapping[str, str], admitted_at: datetime.datetime | None, amounts: InOrder, entries: _Entries
    ) -> None:
        self.asked = asked
        self.headers = headers
        self.admitted_at = admitted_at
        self.amounts = amounts
        self.entries = entries
        self.second = int(admitted_at.timestamp()) if admitted_at is not None else 0


NOTHING_RESERVED = Reservation(NOTHING, {}, None, (0, 0, 0, 0, 0, 0), ())


class _Plan:
    """A call's scopes with the purses of the running windows."""

    __slots__ = ("entries", "heads", "scopes", "stale_s")

    def __init__(self, scopes: tuple[Scope, ...], entries: _Entries) -> None:
        self.scopes, self.entries = scopes, entries
        purses = [purse for _, purse in entries]
        self.heads = heads_of(purses)
        self.stale_s = min((purse.ends_s for purse in purses), default=float("inf"))


class Limiter:
    """Admits calls within limits that all workers share.

    Args:
        tables: Where the workers meet.
        clock: The time.
        worker: This process's name: no other one, earlier or later, may have it.
        rng: Spreads retries.
        outage_percent: How much of each limit this worker lets pass while the store is down.
    """

    def __init__(self, tables: Tables, clock: Clock, worker: str, rng: random.Random, *, outage_percent: int = OUTAGE_PERCENT) -> None:
        self._tables = tables
        self._clock = clock
        self.worker = worker
        self._rng = rng
        self._outage_percent = outage_percent
        self._books: dict[str, Book] = {}
        self._plans: dict[int, _Plan] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._closed = False

    async def reserve(self, scopes: tuple[Scope, ...], asked: Amounts) -> Reservation:
        """Count the call at every scope, or refuse it and count nothing.

        Args:
            scopes: Of `scopes_of`.
            asked: The most that the call may use.

        Raises:
            RateLimited: A rate, or the number of calls at once, would be passed.
            QuotaExhausted: A calendar quota or a budget would be passed.
            StoreUnavailable: The store is down, and the allowance for that is used up.
        """
        if not scopes:
            return NOTHING_RESERVED
        amounts = amounts_of(asked)
        for _ in range(ROUNDS):
            now_s, utc = self._clock.now_s(), self._clock.utc()
            plan = self._plan(scopes, utc)
            short = [
                (book, purse)
                for book, purse in plan.entries
                if (amount := amounts[purse.index]) > purse.left or (amount and now_s >= book.good_until_s)
            ]
            if not short:
                return self._take(plan, asked, amounts, now_s, utc)
            waits, passed = self._judge(plan, short, amounts, now_s, utc)
            if not waits:
                return self._take(plan, asked, amounts, now_s, utc, passed)
            await _all(waits)
        raise StoreUnavailable("too many calls ask for what is left of a limit; try again", retry_after_s=1.0)

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        """Replace what was reserved by what was used: at once, exactly once, and without fail.

        Args:
            reservation: Of `reserve`; a second time does nothing.
            used: `requests` 0 counts against no calendar quota of requests; a rate of requests is never given back.
        """
        entries, reservation.entries = reservation.entries, ()
        if not entries:
            return
        amounts, now = amounts_of(used), int(self._clock.utc().timestamp())
        for book, purse in entries:
            purse.settle(reservation.second, reservation.amounts[purse.index], amounts[purse.index], now)
            if isinstance(purse, CallsPurse) and purse.many and not book.busy:
                self._refresh(book)  # others wait for places
        if self._timer is None:
            self._wake()

    async def tick(self) -> None:
        """Give back what lies idle, renew what is held, tell what was spent. Runs once a second while anything is held."""
        now_s = self._clock.now_s()
        due = [book for book in self._books.values() if not book.busy and book.is_due(now_s)]
        for start in range(0, len(due), AT_ONCE):
            await asyncio.wait([book.refresh() for book in due[start : start + AT_ONCE]])
        now_s = self._clock.now_s()
        over = [name for name, book in self._books.items() if book.idle and all(now_s - each.last_s > FORGET_S for each in book.all)]
        for name in over:
            del self._books[name]
        if over:
            self._plans.clear()

    async def close(self) -> None:
        """Return all slices; what the store does not take now counts as spent until the ledger proves otherwise."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._ticking is not None:
            await asyncio.wait({self._ticking})
        books = list(self._books.values())
        for start in range(0, len(books), AT_ONCE):
            left = await asyncio.gather(*(book.surrender() for book in books[start : start + AT_ONCE]), return_exceptions=True)
            for fault in left:
                if isinstance(fault, Exception):
                    log.error("slices could not be given back", exc_info=fault)

    def _plan(self, scopes: tuple[Scope, ...], utc: datetime.datetime) -> _Plan:
        plan = self._plans.get(id(scopes))
        if plan is not None and plan.scopes is scopes and utc.timestamp() < plan.stale_s:
            return plan
        entries: list[tuple[Book, Purse]] = []
        for scope in scopes:
            book = self._books.get(scope.partition)
            if book is None:
                book = Book(scope, self._tables, self._clock, self.worker, self._rng, self._outage_percent, utc)
                self._books[scope.partition] = book
            elif book.scope is not scope:
                self._plans.clear()  # they may lead to purses that are gone
            entries += [(book, purse) for purse in book.open_windows(scope, utc)]
        if len(self._plans) >= REMEMBERED:
            self._plans.clear()
        plan = self._plans[id(scopes)] = _Plan(scopes, tuple(entries))
        return plan

    def _judge(
        self, plan: _Plan, short: list[tuple[Book, Purse]], amounts: InOrder, now_s: float, utc: datetime.datetime
    ) -> tuple[dict[Book, Need], list[Purse]]:
        """Say which exchanges a call must wait for, and which soft limits it passes; raises where it is refused."""
        waits: dict[Book, Need] = {}
        passed: list[Purse] = []
        refused: list[tuple[float, Purse, int]] = []
        utc_s = utc.timestamp()
        for book, purse in short:
            if not purse.patient:
                continue
            asked = amounts[purse.index]
            held = purse.left if now_s < book.good_until_s else min(purse.left, 0)
            lacks = asked - held
            if book.down and (not purse.enforced or asked - max(held, 0) <= book.credit(purse, asked)):
                if now_s >= book.down_until_s:
                    self._refresh(book)
            elif book.down and (book.busy or now_s < book.down_until_s):  # nobody waits for what hangs
                message = "the limits of this call cannot be checked, because the store does not answer; try again"
                raise StoreUnavailable(message, retry_after_s=1.0)
            elif now_s < purse.dry_until_s and lacks > purse.free:
                if purse.enforced:
                    refused.append((wait_s(purse, asked, lacks - purse.free, utc_s), purse, asked))
                    purse.refused = purse.refused or (asked <= purse.ceiling.amount and bool(purse.ceiling.alert_at))
                else:
                    passed.append(purse)
            else:
                waits.setdefault(book, {})[purse] = asked
        if refused:  # whoever waits for the one that takes longest finds room at the others too
            longest, purse, asked = max(refused, key=operator.itemgetter(0))
            raise refusal(purse, asked, longest, rate_headers(plan.heads, utc_s))
        return waits, passed

    def _take(
        self, plan: _Plan, asked: Amounts, amounts: InOrder, now_s: float, utc: datetime.datetime, passed: list[Purse] | None = None
    ) -> Reservation:
        utc_s = utc.timestamp()
        second = int(utc_s)
        for book, purse in plan.entries:
            amount = amounts[purse.index]
            if book.down and purse.credit is not None:
                purse.credit -= max(amount - max(purse.left, 0), 0) if now_s < book.good_until_s else amount
            purse.take(amount, second, now_s)
            if purse.left * 2 < purse.target or purse.left < 0:
                self._refill(book, purse, amount, now_s)
        headers = rate_headers(plan.heads, utc_s)
        if passed:
            headers |= warning(passed)
        if self._timer is None:
            self._wake()
        return Reservation(asked, headers, utc, amounts, plan.entries)

    def _refill(self, book: Book, purse: Purse, amount: int, now_s: float) -> None:
        """Begin an exchange in the background, unless there is one, or nothing to be had, or so little that calls ask themselves."""
        if book.busy or book.down or now_s - book.told_s < REFILL_S:
            return
        worth = purse.left >= 0 and purse.free > 0 and purse.target >= 4 * amount
        if worth or (purse.left < 0 and now_s >= purse.dry_until_s):
            self._refresh(book)

    def _refresh(self, book: Book) -> None:
        with contextlib.suppress(RuntimeError):  # no loop runs here: a stream that is collected in any thread; the tick does it
            asyncio.get_running_loop()
            book.refresh()

    def _wake(self) -> None:
        """See to it that there will be a tick."""
        with contextlib.suppress(RuntimeError):  # likewise
            loop = asyncio.get_running_loop()
            if self._timer is None or self._loop is not loop:
                self._loop = loop
                self._timer = loop.call_later(TICK_S, self._begin_tick)

    def _begin_tick(self) -> None:
        self._ticking = asyncio.get_running_loop().create_task(self._tick_on(), name="limits tick")

    async def _tick_on(self) -> None:
        try:
            await self.tick()
        except Exception:
            log.exception("slices could not be looked after")
        self._timer = None
        if self._books and not self._closed:
            self._wake()


async def _all(waits: Mapping[Book, Need]) -> None:
    """Wait for an exchange of each book; what it brings is kept until the call has had its turn."""
    for book in waits:
        book.waiters += 1
    try:
        if len(waits) == 1:
            ((book, need),) = waits.items()
            await book.obtain(need)
        else:
            await asyncio.gather(*(book.obtain(need) for book, need in waits.items()))
    finally:
        for book in waits:
            book.waiters -= 1
