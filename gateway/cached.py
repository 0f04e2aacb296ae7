"""A read-through cache with bounded staleness: the hot path reads memory, the store is asked in the background.

An entry younger than `fresh_s` is served as it is. Up to `stale_s` it is still served, and one background read renews
it. Beyond that the caller waits for the store. If the store fails, an entry survives for `outage_s`: a store that is
down must not lock out callers who were good a moment ago, and nobody new is let in. While the last failure is younger than
`fresh_s` nobody waits for the next one, and to a caller who is known a store that takes over `PATIENCE_S` is down. Misses are
kept for `fresh_s` too, so that a flood of one unknown id asks the store once, and apart from the values, so that a flood of
many unknown ids pushes no caller out.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from gateway.errors import StoreUnavailable
from gateway.ports import Clock

PATIENCE_S = 2.0  # so long a caller who is known waits for the store

type Load[T] = Callable[[str], Awaitable[T | None]]


class _Entry[T]:
    __slots__ = ("read_s", "value")

    def __init__(self, value: T | None, read_s: float) -> None:
        self.value = value
        self.read_s = read_s


class Cached[T]:
    """Values by name, read through `load`.

    Args:
        load: Asks the store; returns None for what does not exist, raises StoreUnavailable.
        clock: Whose monotonic seconds the ages are counted in.
        fresh_s: Up to this age nothing is asked.
        stale_s: The longest time a change in the store can go unnoticed.
        outage_s: The same while the store does not answer.
        capacity: Entries kept; the least recently used goes first.
    """

    def __init__(
        self,
        load: Load[T],
        clock: Clock,
        *,
        fresh_s: float = 1.0,
        stale_s: float = 4.0,
        outage_s: float = 60.0,
        capacity: int = 10_000,
    ) -> None:
        self._load = load
        self._clock = clock
        self._fresh_s, self._stale_s, self._outage_s = fresh_s, stale_s, outage_s
        self._capacity = capacity
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()
        self._misses: OrderedDict[str, _Entry[T]] = OrderedDict()
        self._failed_s = -math.inf
        self._loading: dict[str, asyncio.Task[T | None]] = {}
        self._began_s: dict[str, float] = {}  # when; of those that are loading

    async def get(self, name: str) -> T | None:
        """Return the value, None where there is none; waits for the store only if memory cannot answer.

        Raises:
            StoreUnavailable: Memory has nothing young enough and the store does not answer.
        """
        now_s = self._clock.now_s()
        entry = self._entries.get(name)
        if entry is None:
            missed = self._misses.get(name)
            if missed is not None and now_s - missed.read_s <= self._fresh_s:
                return None
            return await asyncio.shield(self._reading(name))
        self._entries.move_to_end(name)
        age_s = now_s - entry.read_s
        if age_s <= self._fresh_s:
            return entry.value
        reading = self._reading(name)
        if age_s <= self._stale_s or (age_s <= self._outage_s and now_s - self._failed_s <= self._fresh_s):
            return entry.value
        return await self._waited_for(name, reading, entry, now_s)

    def fresh(self, name: str) -> T | None:
        """Return the value if memory has it and nothing need be asked; None says nothing, and `get` does. Awaits nothing."""
        entry = self._entries.get(name)
        if entry is None or self._clock.now_s() - entry.read_s > self._fresh_s:
            return None
        self._entries.move_to_end(name)
        return entry.value

    def forget(self, name: str) -> None:
        """Drop the value, so that the next read asks the store: for the instance that wrote a change."""
        self._entries.pop(name, None)
        self._misses.pop(name, None)
        self._loading.pop(name, None)
        self._began_s.pop(name, None)

    def forget_all(self, concerned: Callable[[T], bool], *, misses: bool = False) -> None:
        """Drop every value that a change concerns; what is being read is dropped too, since nobody knows yet what it is.

        Args:
            concerned: Whether a value is to be dropped.
            misses: Whether what was not there is to be asked for anew.
        """
        for name in [name for name, entry in self._entries.items() if entry.value is not None and concerned(entry.value)]:
            del self._entries[name]
        if misses:
            self._misses.clear()
        self._loading.clear()
        self._began_s.clear()

    async def _waited_for(self, name: str, reading: asyncio.Task[T | None], entry: _Entry[T], now_s: float) -> T | None:
        """Return what is being read, or what is known where the store fails or takes too long."""
        known = now_s - entry.read_s <= self._outage_s
        if known:
            done, _ = await asyncio.wait({reading}, timeout=max(self._began_s[name] + PATIENCE_S - now_s, 0.0))
            if not done:  # it is renewed once the store answers after all
                self._failed_s = self._clock.now_s()
                return entry.value
        try:
            return await asyncio.shield(reading)
        except StoreUnavailable:
            if known:
                return entry.value
            raise

    def _reading(self, name: str) -> asyncio.Task[T | None]:
        task = self._loading.get(name)
        if task is None:
            task = asyncio.create_task(self._read(name), name=f"read {name}")
            # A failed background read is no fault while memory still serves; whoever must wait for it sees the error.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._loading[name] = task
            self._began_s[name] = self._clock.now_s()
        return task

    async def _read(self, name: str) -> T | None:
        asked_s = self._clock.now_s()
        mine = asyncio.current_task()
        try:
            value = await self._load(name)
            if self._loading.get(name) is mine:  # not forgotten in between: then what was read may be the old value
                self._keep(name, _Entry(value, asked_s))
        except StoreUnavailable:
            self._failed_s = self._clock.now_s()
            raise
        else:
            return value
        finally:
            if self._loading.get(name) is mine:
                del self._loading[name], self._began_s[name]

    def _keep(self, name: str, entry: _Entry[T]) -> None:
        kept, other = (self._misses, self._entries) if entry.value is None else (self._entries, self._misses)
        other.pop(name, None)
        kept[name] = entry
        kept.move_to_end(name)
        while len(kept) > self._capacity:
            kept.popitem(last=False)
