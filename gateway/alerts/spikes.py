"""Is this a spike? Pure: sums per five minutes in, a verdict out.

A spike is a level that neither the last hour nor this time of day explains, for two buckets running:

- over 3 times the median of the hour before (and over what its noise explains: 3.75 robust standard deviations of the logarithms),
- over 2 times what is usual at this time of day: of each of the last 7 days the highest that was held for a quarter of an
  hour within half an hour of now, and of these the second highest. So neither mornings nor Mondays are spikes, and one
  mad day does not hide the next,
- one of the two buckets may be lower, down to 2 times the hour before (and 2 deviations): a spike does not begin on the minute.

It says nothing before it has seen 3 days at this time of day, nor below a least amount, under which all levels are alike.
While a spike lasts it is not announced again; it has ended after three calm buckets, or after a day: then it is the level.

Series are lists of sums, the newest last, `None` where nobody has summed. All amounts of a series have one unit.

Source: median and MAD as robust estimators: Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (read 2026-11-22).
Measured (tests/unit/alerts/test_spikes.py): of 5-fold spikes of 10 minutes over 30 % noise at least 95 % are found.
"""

import math
import statistics
from collections.abc import Sequence

import msgspec

BUCKET_S = 300
BUCKETS_PER_DAY = 86_400 // BUCKET_S
DAYS = 7
LEAST_DAYS = 3
SERIES = DAYS * BUCKETS_PER_DAY + 8  # the current bucket, seven days before it, and half an hour before those
RATIO, HALF_RATIO, USUAL_RATIO = 3.0, 2.0, 2.0
SIGMAS, HALF_SIGMAS = 3.75, 2.0
_HOUR = 12
_WINDOW = 6  # half an hour
_CALM = 3
_LONGEST = BUCKETS_PER_DAY
_TO_SIGMA = 1.4826

type Sums = Sequence[int | None]


class Verdict(msgspec.Struct, frozen=True):
    """What a bucket is compared with.

    Attributes:
        amount: Its own sum.
        level: What was to be expected: the higher of the hour before and the usual.
        spike: Whether it is one.
    """

    amount: int
    level: int
    spike: bool


class Lasting(msgspec.Struct, frozen=True):
    """A spike that was announced and has not ended.

    Attributes:
        level: What was to be expected when it began.
        buckets: For how many it has lasted.
        calm: How many of the last were calm again.
    """

    level: int
    buckets: int = 0
    calm: int = 0

    def after(self, amount: int, least: int) -> "Lasting | None":
        """Return it after one more bucket; None once it has ended."""
        calm = self.calm + 1 if amount <= HALF_RATIO * max(self.level, least / RATIO) else 0
        ended = calm >= _CALM or self.buckets + 1 >= _LONGEST
        return None if ended else Lasting(self.level, self.buckets + 1, calm)


def judge(series: Sums, least: int) -> Verdict | None:
    """Compare the last bucket with what was to be expected.

    Args:
        series: Up to `SERIES` sums, the newest last.
        least: The least sum of a bucket that can be a spike.

    Returns:
        None where too little is known to say anything.
    """
    floor = least / RATIO  # all below is the same: nearly nothing
    amount, before = (max(series[-1] or 0, floor), max(series[-2] or 0, floor)) if len(series) > 1 else (floor, floor)
    hour = [max(value, floor) for value in series[-_HOUR - 2 : -2] if value is not None]
    if len(hour) < _HOUR // 2:
        return None
    recent = statistics.median(hour)
    higher, lower = max(amount, before), min(amount, before)
    if higher <= RATIO * recent or lower <= HALF_RATIO * recent:  # nearly always: the rest costs more
        return Verdict(series[-1] or 0, round(recent), False)
    days = [day for number in range(1, DAYS + 1) if (day := _around(series, number, floor))]
    if len(days) < LEAST_DAYS:
        return None
    usual = sorted(_held(day) for day in days)[-2]
    noise = math.exp(_TO_SIGMA * statistics.median(_deviations([hour, *days])))
    high, half = max(RATIO, noise**SIGMAS), max(HALF_RATIO, noise**HALF_SIGMAS)
    spike = higher > max(high * recent, USUAL_RATIO * usual) and lower > half * recent
    return Verdict(series[-1] or 0, round(max(recent, usual)), spike)


def _around(series: Sums, days_ago: int, floor: float) -> list[float]:
    """Return what was summed within half an hour of this time, so many days ago; nothing where most of it was not."""
    middle = len(series) - 1 - days_ago * BUCKETS_PER_DAY
    window = [max(value, floor) for value in series[max(middle - _WINDOW, 0) : max(middle + _WINDOW + 1, 0)] if value is not None]
    return window if len(window) > _WINDOW else []


def _held(values: Sequence[float]) -> float:
    """Return the highest level that was held for three buckets."""
    return max(statistics.median(values[index : index + 3]) for index in range(len(values) - 2))


def _deviations(groups: Sequence[Sequence[float]]) -> list[float]:
    """Return how far the values lie from their own group's median, as logarithms."""
    found: list[float] = []
    for group in groups:
        middle = math.log(statistics.median(group))
        found += [abs(math.log(value) - middle) for value in group]
    return found
