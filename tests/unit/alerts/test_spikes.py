"""A month of each kind of traffic, simulated: quiet where nothing happened, loud where something did.

The numbers stand in docs/alerts.md.
"""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.alerts.spikes import BUCKETS_PER_DAY, LEAST_DAYS, SERIES, Lasting, judge

LEAST = 250_000
WEEK = 7 * BUCKETS_PER_DAY
MONTH = 30 * BUCKETS_PER_DAY
SEEDS = range(6)
NOISE = 0.3

type Traffic = Callable[[random.Random, int], int | None]


def noise(rng: random.Random) -> float:
    return math.exp(rng.gauss(0, NOISE))


def flat(rng: random.Random, index: int) -> int:
    return round(1_000_000 * noise(rng))


def calls(rng: random.Random, index: int) -> int:
    """About 40 calls, each with a cost of its own."""
    return round(sum(25_000 * math.exp(rng.gauss(-0.5, 1)) for _ in range(max(0, round(rng.gauss(40, 40**0.5))))))


def office_hours(rng: random.Random, index: int) -> int:
    """Ten times as much in the day as at night; nights only at weekends."""
    day, bucket = divmod(index, BUCKETS_PER_DAY)
    busy = 8 <= bucket / 12 + rng.gauss(0, 0.1) < 20 and day % 7 < 5
    return round((3_000_000 if busy else 300_000) * noise(rng))


def sun(rng: random.Random, index: int) -> int:
    """A wave over the day, from 200,000 to 2,000,000; a third of it at weekends."""
    day, bucket = divmod(index, BUCKETS_PER_DAY)
    weekend = 0.3 if day % 7 >= 5 else 1
    return round(200_000 * math.exp(1.15 * (1 - math.cos(2 * math.pi * bucket / BUCKETS_PER_DAY))) * weekend * noise(rng))


def ramp(rng: random.Random, index: int) -> int:
    """A hundredfold in a month."""
    return round(100_000 * math.exp(index / MONTH * math.log(100)) * noise(rng))


def wild(rng: random.Random, index: int) -> int:
    """Half of it, or nearly double, at any time."""
    return round(1_000_000 * math.exp(rng.gauss(0, 2 * NOISE)))


def hardly_any(rng: random.Random, index: int) -> int:
    return rng.choice([0] * 30 + [5_000, 20_000, 60_000, 200_000])


def gaps(rng: random.Random, index: int) -> int | None:
    """Now and then nobody sums, or nobody calls, for some hours."""
    if 4_000 <= index % 5_000 < 4_060:
        return None
    return 0 if 500 <= index % 1_000 < 560 else flat(rng, index)


def alarms(traffic: Traffic, seed: int, buckets: int = MONTH) -> list[int]:
    """Return where a spike is told, in a month after a week of history."""
    rng = random.Random(seed)
    series: list[int | None] = []
    found: list[int] = []
    lasting: Lasting | None = None
    for index in range(WEEK + buckets):
        series.append(traffic(rng, index))
        if index < WEEK:
            continue
        if lasting is not None:
            lasting = lasting.after(series[-1] or 0, LEAST)
        elif (verdict := judge(series[-SERIES:], LEAST)) is not None and verdict.spike:
            found.append(index)
            lasting = Lasting(verdict.level)
    return found


@pytest.mark.parametrize("traffic", [flat, calls, office_hours, sun, ramp, hardly_any, gaps])
def test_says_at_most_once_a_month_what_is_not_so(traffic: Traffic) -> None:
    assert sum(len(alarms(traffic, seed)) for seed in SEEDS) <= len(SEEDS)


def test_what_is_wild_by_nature_is_told_hardly_more_often() -> None:
    assert sum(len(alarms(wild, seed)) for seed in SEEDS) <= 2 * len(SEEDS)


def found_of(traffic: Traffic, hours: tuple[int, int] = (0, 23)) -> float:
    """Return how many of 200 five-fold spikes of ten minutes are found, that begin anywhere in a bucket of the ninth day."""
    rng, found = random.Random(7), 0
    for _ in range(10):
        calm = [traffic(rng, index) or 0 for index in range(9 * BUCKETS_PER_DAY)]
        for _ in range(20):
            begin = 8 * BUCKETS_PER_DAY + rng.uniform(12 * hours[0], 12 * hours[1])
            series = calm[: int(begin)]
            for index in range(int(begin), int(begin) + 4):
                within = max(0.0, min(index + 1, begin + 2) - max(index, begin))
                series.append(round(calm[index] * (1 + 4 * within)))
                if is_spike(series[-SERIES:]):
                    found += 1
                    break
    return found / 200


def is_spike(series: list[int | None] | list[int]) -> bool:
    verdict = judge(series, LEAST)
    return verdict is not None and verdict.spike


@pytest.mark.parametrize("traffic", [flat, calls, ramp])
def test_finds_a_fivefold_spike_of_ten_minutes(traffic: Traffic) -> None:
    assert found_of(traffic) >= 0.95


def test_finds_most_of_those_in_busy_hours() -> None:
    assert found_of(office_hours, (9, 19)) >= 0.9


def test_a_spike_is_told_once_and_the_next_one_again() -> None:
    def traffic(rng: random.Random, index: int) -> int:
        high = 0 <= index - WEEK - 100 < 12 or 0 <= index - WEEK - 300 < 3
        return flat(rng, index) * (10 if high else 1)

    found = alarms(traffic, 1, 400)
    assert [each - WEEK for each in found] == [101, 301]


def test_a_new_level_is_one_spike_and_then_the_level() -> None:
    def traffic(rng: random.Random, index: int) -> int:
        return flat(rng, index) * (10 if index >= WEEK + 100 else 1)

    assert len(alarms(traffic, 1, 4 * BUCKETS_PER_DAY)) == 1


def test_says_nothing_before_it_has_seen_some_days() -> None:
    rng = random.Random(1)
    for days in range(LEAST_DAYS + 2):
        series = [flat(rng, index) for index in range(days * BUCKETS_PER_DAY + 20)] + [20_000_000, 20_000_000]
        verdict = judge(series, LEAST)
        assert (verdict is not None and verdict.spike) == (days >= LEAST_DAYS), days


def test_one_high_bucket_alone_is_none() -> None:
    steady = [1_000_000] * SERIES
    assert not is_spike([*steady, 9_000_000])
    assert is_spike([*steady, 9_000_000, 9_000_000])


def test_says_what_was_to_be_expected() -> None:
    verdict = judge([1_000_000] * SERIES + [9_000_000, 8_000_000], LEAST)
    assert verdict is not None
    assert (verdict.amount, verdict.level) == (8_000_000, 1_000_000)


def test_what_is_less_than_the_least_is_never_a_spike() -> None:
    assert not is_spike([0] * SERIES + [LEAST - 1, LEAST - 1])
    assert is_spike([0] * SERIES + [LEAST + 1, LEAST + 1])


def test_a_spike_has_ended_after_three_calm_buckets() -> None:
    lasting: Lasting | None = Lasting(level=1_000_000)
    for amount in (9_000_000, 1_000_000, 1_000_000, 9_000_000, 1_000_000, 1_000_000):
        assert lasting is not None
        lasting = lasting.after(amount, LEAST)
    assert lasting is not None
    assert lasting.after(1_000_000, LEAST) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | st.integers(0, 10**12), max_size=SERIES), st.integers(1, 10**9), st.integers(1, 50))
def test_any_series_is_judged_and_more_money_is_no_less_a_spike(series: list[int | None], least: int, times: int) -> None:
    verdict = judge(series, least)
    if verdict is None or len(series) < 2:
        return
    more = judge([*series[:-2], (series[-2] or 0) * times, (series[-1] or 0) * times], least)
    assert more is None or more.spike >= verdict.spike
