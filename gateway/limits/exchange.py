"""The exchange between a worker and the store, as a pure function: rows as read + what the worker reports and wants → writes.

`spent` is what holders report as taken, calls under way included; `out` is what they were granted and have not taken yet.
Everything is charged before it is spent: what is granted stands in `out` before anybody may take of it. All writes of an
exchange are one transaction, each under the ETag that was read, so either all that it was decided on still holds, or nothing
happens.

Laws: spent + out <= limit after every grant. counter.out == the leases' out together. A reported debt is charged before
anything is granted. Minute: `out` counts as spent now, and a slot counts for 61 s, since it is a second wide. What a holder
left that died comes back here for calls at once (when its lease is over) and for minutes (61 s later); in calendar windows
only the reconciler may say what it has not spent.
"""

import datetime
from collections.abc import Mapping, Sequence

import msgspec

from gateway.domain.limits import MINUTE, NOW, Ceiling, Mode
from gateway.domain.tables import Action, Entity, Value, Write
from gateway.limits.rows import ANNOUNCEMENT, COUNTER, LEASE, decoded, encoded, held_of, integer, moment

SLOT_LIFE_S = 61  # 60 s and the width of a slot
LEASE_S = 30
SHARE = 4  # a slice takes at most what is left ÷ (SHARE × live holders)
BURIED_AT_ONCE = 20  # dead holders' leases that one exchange clears away


class Report(msgspec.Struct, frozen=True):
    """What a worker has done with one counter since the last exchange that is known to have happened.

    Attributes:
        spent: (UTC second, amount) for a minute, ((0, amount),) for a calendar window; amounts below 0 are refunds.
        taken: How much of its slice that was; below 0 where refunds went back into it.
    """

    spent: tuple[tuple[int, int], ...] = ()
    taken: int = 0


class Ask(msgspec.Struct, frozen=True):
    """One counter in an exchange.

    Attributes:
        row: The counter's.
        ceiling: What must hold.
        report: What was done.
        back: How much of the slice is given back.
        need: What calls wait for, beyond what is held.
        least: The smallest of those calls.
        want: What would make a good slice, beyond what is held.
        floor: Calls under way: what cannot be given back.
        running: Its window is not over: there may be grants.
        possible: At least one of the waiting calls would fit the whole limit.
        refused: A call that would fit it was refused since the last exchange.
    """

    row: str
    ceiling: Ceiling
    report: Report = Report()
    back: int = 0
    need: int = 0
    least: int = 0
    want: int = 0
    floor: int = 0
    running: bool = True
    possible: bool = True
    refused: bool = False


class Rows(msgspec.Struct, frozen=True):
    """A scope's counters and leases as read, by row."""

    counters: Mapping[str, Entity]
    leases: Mapping[str, Entity]


class Outcome(msgspec.Struct, frozen=True):
    """What an exchange comes to, once its writes are done.

    Attributes:
        writes: One transaction; empty where there is nothing to say.
        outs: The worker's slice of each counter.
        free: What is left of each limit, below 0 where it was passed.
        slots: Of minutes, the oldest first.
        holders: Live ones, this worker included.
    """

    writes: tuple[Write, ...]
    outs: Mapping[str, int]
    free: Mapping[str, int]
    slots: Mapping[str, tuple[tuple[int, int], ...]]
    holders: int


class _Counter:
    """A counter while it is worked on."""

    __slots__ = ("before", "out", "slots", "spent", "told")

    def __init__(self, entity: Entity | None, window: str, now: int) -> None:
        values = entity.values if entity is not None else {}
        self.out = integer(values, "out")
        self.spent = integer(values, "spent")
        self.told: list[int] = decoded(values, "told", [])
        slots = decoded(values, "slots", []) if window == MINUTE else []
        self.slots: dict[int, int] = {second: amount for second, amount in slots if second > now - SLOT_LIFE_S}
        self.before = self.values(window)

    @property
    def charged(self) -> int:
        """What was taken: spent, or in slots."""
        return self.spent + sum(self.slots.values())

    @property
    def used(self) -> int:
        """All that counts: charged, and out."""
        return self.charged + self.out

    def values(self, window: str) -> dict[str, Value]:
        values: dict[str, Value] = {"out": self.out}
        if window == MINUTE:
            values["slots"] = msgspec.json.encode(sorted(self.slots.items())).decode()
        elif window != NOW:
            values["spent"] = self.spent
        if self.told:
            values["told"] = msgspec.json.encode(self.told).decode()
        return values


def exchange(
    rows: Rows,
    asks: Sequence[Ask],
    scope: str,
    worker: str,
    seq: int,
    utc: datetime.datetime,
    *,
    since: datetime.datetime | None = None,
    final: bool = False,
    renew: bool = False,
) -> Outcome:
    """Decide one exchange.

    Args:
        rows: The scope as read.
        asks: All counters that the worker has to do with.
        scope: Its kind, for announcements.
        worker: Whose lease.
        seq: Of this attempt; no other attempt of this worker may have it.
        utc: Now.
        since: From when on calls belong to a lease that begins now; by default from now on.
        final: The worker goes: nothing is granted, and its lease is removed if it holds nothing any more.
        renew: Its lease must go on although it holds nothing: calls are under way whose records are still to come.
    """
    now = int(utc.timestamp())
    own = rows.leases.get(LEASE + worker)
    held = held_of(own)
    counters = {ask.row: _Counter(rows.counters.get(ask.row), ask.ceiling.window, now) for ask in asks}
    writes = _bury(rows, {ask.row: ask.ceiling.window for ask in asks}, counters, LEASE + worker, utc)
    living = sum(1 for row, lease in rows.leases.items() if row != LEASE + worker and moment(lease, "expires") > utc)
    new_held = {row: each for row, each in held.items() if row not in counters and each[1]}
    outs: dict[str, int] = {}
    for ask in asks:
        counter = counters[ask.row]
        spent, out = held.get(ask.row, (0, 0))
        kept = max(out - ask.report.taken - ask.back, ask.floor, 0)
        counter.out += kept - out
        calendar = _spend(counter, ask, now)
        granted = 0 if final or not ask.running else _grant(counter, ask, living + 1)
        counter.out += granted
        outs[ask.row] = kept + granted
        new_held[ask.row] = (spent + calendar, kept + granted)
        refused = ask.possible and ask.running and ask.need > 0 and granted == 0 and not final and ask.ceiling.mode is Mode.ENFORCE
        refused = refused or ask.refused
        writes += _announce(counter, ask, scope, utc, refused=refused)
    for ask in asks:
        writes += _write_counter(rows.counters.get(ask.row), ask, counters[ask.row])
    writes += _write_lease(own, LEASE + worker, new_held, seq, utc, since or utc, final=final, changed=renew or bool(writes))
    return Outcome(
        tuple(writes),
        outs,
        {ask.row: ask.ceiling.amount - counters[ask.row].used for ask in asks},
        {ask.row: tuple(sorted(counters[ask.row].slots.items())) for ask in asks},
        living + 1,
    )


def _spend(counter: _Counter, ask: Ask, now: int) -> int:
    """Charge what is reported; returns how much of it a calendar window is charged."""
    if ask.ceiling.window == MINUTE:
        for second, amount in ask.report.spent:
            if second > now - SLOT_LIFE_S:
                counter.slots[second] = counter.slots.get(second, 0) + amount
        counter.slots = {second: amount for second, amount in counter.slots.items() if amount > 0}
        return 0
    charged = sum(amount for _, amount in ask.report.spent)
    counter.spent += charged
    return charged


def _grant(counter: _Counter, ask: Ask, holders: int) -> int:
    """Return the new slice: what calls wait for first; more only of what is plenty."""
    left = ask.ceiling.amount - counter.used
    if left <= 0:
        return 0
    share = min(ask.want, left // (SHARE * holders))
    if ask.need <= left:
        return max(ask.need, share)
    return left if 0 < ask.least <= left else 0


def _announce(counter: _Counter, ask: Ask, scope: str, utc: datetime.datetime, *, refused: bool) -> list[Write]:
    """Return the thresholds that are crossed now, each once in its window; a refusal is 100 %."""
    ceiling = ask.ceiling
    if ceiling.window == MINUTE and 2 * counter.used < ceiling.amount:
        counter.told = []  # the burst is over: the next one is told again
    crossed = [
        percent
        for percent in ceiling.alert_at
        if percent not in counter.told and (counter.charged * 100 >= ceiling.amount * percent or (refused and percent == 100))
    ]
    counter.told += crossed
    name = ask.row.removeprefix(COUNTER)
    return [
        Write(
            Action.UPSERT,
            f"{ANNOUNCEMENT}{name}|{percent}",
            {
                "at": utc,
                "spent": counter.used if ceiling.window == MINUTE else counter.spent,
                "limit": ceiling.amount,
                "percent": percent,
                "mode": ceiling.mode.value,
                "scope": scope,
                "source": ceiling.source,
                "delivered": False,
            },
        )
        for percent in crossed
    ]


def _bury(rows: Rows, windows: Mapping[str, str], counters: Mapping[str, _Counter], own: str, utc: datetime.datetime) -> list[Write]:
    """Take back what dead holders have of minutes and of calls at once; what calendar windows gave them stays."""
    writes: list[Write] = []
    for row, lease in rows.leases.items():
        over_s = (utc - moment(lease, "expires")).total_seconds()
        if row == own or over_s <= 0 or len(writes) >= BURIED_AT_ONCE:
            continue
        held = held_of(lease)
        dead = [
            name
            for name in held
            if name in counters and ((windows[name] == NOW) or (windows[name] == MINUTE and over_s > SLOT_LIFE_S)) and held[name][1]
        ]
        if not dead:
            continue
        for name in dead:
            counters[name].out -= held.pop(name)[1]
        if held:
            writes.append(Write(Action.REPLACE, row, {**lease.values, "held": encoded(held)}, lease.etag))
        else:
            writes.append(Write(Action.DELETE, row, etag=lease.etag))
    return writes


def _write_counter(entity: Entity | None, ask: Ask, counter: _Counter) -> list[Write]:
    values = counter.values(ask.ceiling.window)
    if values == counter.before:
        return []
    return [Write(Action.INSERT, ask.row, values) if entity is None else Write(Action.REPLACE, ask.row, values, entity.etag)]


def _write_lease(
    own: Entity | None,
    row: str,
    held: Mapping[str, tuple[int, int]],
    seq: int,
    utc: datetime.datetime,
    since: datetime.datetime,
    *,
    final: bool,
    changed: bool,
) -> list[Write]:
    holds = any(out for _, out in held.values())
    if final and not holds:
        return [Write(Action.DELETE, row, etag=own.etag)] if own is not None else []
    if not changed and not holds and (own is None or held == held_of(own)):
        return []
    expires = utc + datetime.timedelta(seconds=LEASE_S)
    begun = own.values.get("since", since) if own is not None else since
    values: dict[str, Value] = {"held": encoded(held), "expires": expires, "seq": seq, "since": begun}
    return [Write(Action.INSERT, row, values) if own is None else Write(Action.REPLACE, row, values, own.etag)]
