"""Timer triggers in the embedded host: NCRONTAB schedules, and one run after the other.

A schedule has six fields: second, minute, hour, day, month, day of the week (0 or 7 is Sunday); each is `*`, a number, a range
`a-b`, a step `*/n` or `a-b/n`, a name (`jan`, `mon`), or several of those with commas between. Times are UTC. Where day and day
of the week are both restricted, both must hold.

A timer never overlaps with itself: the next time is looked for once a run has ended. A run that fails is logged.

Source: learn.microsoft.com "Timer trigger for Azure Functions", NCRONTAB expressions (read 2026-11-22).
"""

import asyncio
import contextlib
import datetime
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

log = logging.getLogger("devhost")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"(?P<low>\*|[0-9a-z]+)(?:-(?P<high>[0-9a-z]+))?(?:/(?P<step>[0-9]+))?")
MAX_DAYS = 4 * 366 + 1  # the 29th of February comes every four years

type Run = Callable[[str], Awaitable[None]]


class ScheduleError(ValueError):
    """The schedule cannot be read; the message says which field."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values that each field may have, in the order of the fields."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first time after a moment; None where there is none, such as on the 31st of February."""
        start = moment.replace(microsecond=0) + datetime.timedelta(seconds=1)
        day = start.replace(hour=0, minute=0, second=0)
        for _ in range(MAX_DAYS):
            if self._has(day) and (found := self._first(day, start)) is not None:
                return found
            day += datetime.timedelta(days=1)
        return None

    def _has(self, day: datetime.datetime) -> bool:
        return day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays

    def _first(self, day: datetime.datetime, start: datetime.datetime) -> datetime.datetime | None:
        for hour in sorted(self.hours):
            if day.date() == start.date() and hour < start.hour:
                continue
            for minute in sorted(self.minutes):
                for second in sorted(self.seconds):
                    found = day.replace(hour=hour, minute=minute, second=second)
                    if found >= start:
                        return found
        return None


def read_schedule(text: str) -> Schedule:
    """Read an NCRONTAB expression.

    Raises:
        ScheduleError: It is none.
    """
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise ScheduleError(f"the schedule {text!r} must have six fields: second, minute, hour, day, month, day of the week")
    sets = [_field(field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)]
    sets[5] = frozenset(value % 7 for value in sets[5])
    return Schedule(*sets)


def _field(text: str, name: str, least: int, most: int) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ScheduleError(f"{part!r} is no {name} of a schedule")
        step = int(found["step"] or 1)
        if found["low"] == "*":
            low, high = least, most if name != "day of the week" else 6
        else:
            low = _number(found["low"], name)
            high = _number(found["high"], name) if found["high"] else most if found["step"] else low
        if not least <= low <= high <= most or step < 1 or (found["low"] == "*" and found["high"]):
            raise ScheduleError(f"{part!r} is no {name} of a schedule: they go from {least} to {most}")
        values.update(range(low, high + 1, step))
    return frozenset(values)


def _number(text: str, name: str) -> int:
    names = {"month": _MONTHS, "day of the week": _DAYS}.get(name, ())
    if text in names:
        return names.index(text) + (1 if name == "month" else 0)
    if not text.isdigit():
        raise ScheduleError(f"{text!r} is no {name} of a schedule")
    return int(text)


@dataclass(frozen=True, slots=True)
class Timer:
    """A function with a timer trigger.

    Attributes:
        name: The function's.
        schedule: When it runs.
        run: Runs it once, with the trigger's JSON.
    """

    name: str
    schedule: Schedule
    run: Run


def payload(last: datetime.datetime | None, following: datetime.datetime | None) -> str:
    """Return what the Functions host hands to a timer's function."""
    status = {"Last": _stamp(last), "Next": _stamp(following), "LastUpdated": _stamp(last)}
    return json.dumps({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": False})


def _stamp(at: datetime.datetime | None) -> str:
    return at.isoformat() if at is not None else "0001-01-01T00:00:00+00:00"


class Timers:
    """Runs timers until it is closed.

    Args:
        timers: Which.
        utc: Tells the time.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        timers: Iterable[Timer],
        utc: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.timers = tuple(timers)
        self._utc = utc
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to wait for the first time of each."""
        self._tasks = [asyncio.create_task(self._keep(timer), name=f"timer {timer.name}") for timer in self.timers]

    async def close(self) -> None:
        """Run nothing any more; what runs is cancelled, as it would be in Azure."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _keep(self, timer: Timer) -> None:
        last: datetime.datetime | None = None
        while (due := timer.schedule.after(self._utc())) is not None:
            while (left_s := (due - self._utc()).total_seconds()) > 0:
                await self._sleep(left_s)
            try:
                await timer.run(payload(last, timer.schedule.after(due)))
            except Exception:  # as in Azure: it runs again at its next time
                log.exception("the timer function %s failed", timer.name)
            last = due
