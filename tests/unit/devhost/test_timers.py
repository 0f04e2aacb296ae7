"""When timers run, and that one run follows the other."""

import asyncio
import datetime
import json

import pytest

from devhost.timers import Schedule, ScheduleError, Timer, Timers, payload, read_schedule
from tests.fakes.clock import FakeClock

NOW = datetime.datetime(2026, 11, 22, 12, 34, 56, 789, tzinfo=datetime.UTC)  # a Sunday


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("0 * * * * *", "2026-11-22T12:35:00"),
        ("* * * * * *", "2026-11-22T12:34:57"),
        ("56 34 12 * * *", "2026-11-23T12:34:56"),
        ("30 */15 * * * *", "2026-11-22T12:45:30"),
        ("0 0 0 * * *", "2026-11-23T00:00:00"),
        ("0 30 9 * * 1-5", "2026-11-23T09:30:00"),
        ("0 30 9 * * Mon-Fri", "2026-11-23T09:30:00"),
        ("0 0 13 * * 7", "2026-11-22T13:00:00"),
        ("0 0 13 * * sun", "2026-11-22T13:00:00"),
        ("0 0 3 1 Jan *", "2027-01-01T03:00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 6,18 * * *", "2026-11-22T18:00:00"),
        ("0 5/20 * * * *", "2026-11-22T12:45:00"),
        ("0 0-10/5 * * * *", "2026-11-22T13:00:00"),
    ],
)
def test_says_when_it_runs_next(schedule: str, following: str) -> None:
    assert read_schedule(schedule).after(NOW) == at(following)


def test_a_day_that_never_comes_is_never() -> None:
    assert read_schedule("0 0 0 31 2 *").after(NOW) is None


@pytest.mark.parametrize(
    "text",
    ["", "* * * * *", "60 * * * * *", "* * 24 * * *", "* * * 0 * *", "* * * * 13 *", "* * * * * 8", "a * * * * *", "*/0 * * * * *",
     "5-2 * * * * *", "*-5 * * * * *", "1,,2 * * * * *", "-1 * * * * *", "jan * * * * *", "00:01:00"],
)  # fmt: skip
def test_refuses_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ScheduleError):
        read_schedule(text)


def every_minute() -> Schedule:
    return read_schedule("0 * * * * *")


async def run_until_stopped(clock: FakeClock, timer: Timer) -> None:
    timers = Timers([timer], clock.utc, clock.sleep)
    timers.start()
    await asyncio.wait(timers._tasks)
    await timers.close()


async def test_runs_at_its_times_though_a_run_fails_and_never_beside_itself(caplog: pytest.LogCaptureFixture) -> None:
    clock, begun, last = FakeClock(NOW), [], []

    async def run(text: str) -> None:
        last.append(json.loads(text)["ScheduleStatus"]["Last"][11:19])
        begun.append(clock.utc().strftime("%H:%M:%S"))
        if len(begun) == 1:
            raise ValueError("the first one fails")
        if len(begun) == 4:
            raise asyncio.CancelledError
        clock.advance(90)  # longer than until its next time, which is left out

    await run_until_stopped(clock, Timer("tick", every_minute(), run))
    assert begun == ["12:35:00", "12:36:00", "12:38:00", "12:40:00"]
    assert last == ["00:00:00", *begun[:3]]
    assert "the first one fails" in caplog.text


async def test_close_cancels_what_runs() -> None:
    clock, ended, running = FakeClock(NOW), [], asyncio.Event()

    async def run(text: str) -> None:
        try:
            running.set()
            await asyncio.Event().wait()
        finally:
            ended.append("yes")

    timers = Timers([Timer("tick", every_minute(), run)], clock.utc, clock.sleep)
    timers.start()
    await running.wait()
    await timers.close()
    assert ended == ["yes"]


def test_the_payload_is_what_the_functions_host_sends() -> None:
    told = json.loads(payload(None, NOW))
    assert told.keys() == {"Schedule", "ScheduleStatus", "IsPastDue"}
    assert told["ScheduleStatus"]["Last"] == "0001-01-01T00:00:00+00:00"
    assert told["ScheduleStatus"]["Next"] == NOW.isoformat()
