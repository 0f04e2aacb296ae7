import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.windows import end_of, window_of

PERIODS = ("hour", "day", "week", "month", "quarter", "year")
MOMENTS = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001 - the zone follows


@pytest.mark.parametrize(
    ("window", "name", "end"),
    [
        ("hour", "2026-11-22T14", "2026-11-22T15:00"),
        ("day", "2026-11-22", "2026-11-23T00:00"),
        ("week", "2026-W47", "2026-11-23T00:00"),
        ("month", "2026-11", "2026-12-01T00:00"),
        ("quarter", "2026-Q4", "2027-01-01T00:00"),
        ("year", "2026", "2027-01-01T00:00"),
    ],
)
def test_a_moment_lies_in_the_window_that_people_would_name(window: str, name: str, end: str) -> None:
    utc = dt.datetime(2026, 11, 22, 14, 5, 6, 7, tzinfo=dt.UTC)
    assert window_of(window, utc) == name
    assert end_of(window, utc) == dt.datetime.fromisoformat(f"{end}:00+00:00")


def test_rates_have_no_calendar_window() -> None:
    utc = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    assert (window_of("minute", utc), window_of("now", utc)) == ("", "")


def test_a_year_may_begin_in_the_last_week_of_the_one_before() -> None:
    assert window_of("week", dt.datetime(2027, 1, 1, tzinfo=dt.UTC)) == "2026-W53"


@given(MOMENTS, st.sampled_from(PERIODS))
def test_a_window_ends_where_the_next_one_begins(utc: dt.datetime, window: str) -> None:
    end = end_of(window, utc)
    assert end > utc
    assert window_of(window, end - dt.timedelta(microseconds=1)) == window_of(window, utc)
    assert window_of(window, end) > window_of(window, utc)


@given(MOMENTS)
def test_no_day_is_longer_or_shorter_than_others(utc: dt.datetime) -> None:
    midnight = end_of("day", utc)
    assert end_of("day", midnight) - midnight == dt.timedelta(hours=24)
