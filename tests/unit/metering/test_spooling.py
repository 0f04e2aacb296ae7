import asyncio
import datetime
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.records import SPOOL_ABOVE, Recorder
from tests.fakes.clock import FakeClock
from tests.fakes.spool import FakeSpool
from tests.fakes.tables import FakeTables
from tests.unit.metering.test_records import AT, HeldClock, make_record, settle, stored


def ids(numbers: range) -> list[str]:
    return [f"req_{number:06}" for number in numbers]


def spooled(spool: FakeSpool) -> list[str]:
    return [msgspec.msgpack.decode(entry)[1] for entry in spool.entries]


async def until(condition: Any) -> None:
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


async def test_what_is_recorded_while_the_store_is_down_goes_to_the_spool_at_once_and_into_the_ledger_later() -> None:
    tables, spool = FakeTables(), FakeSpool()
    recorder = Recorder(tables, FakeClock(), spool)
    tables.down = True
    recorder.add(make_record(0))
    await until(lambda: spooled(spool) == ids(range(1)))
    recorder.add(make_record(1))
    await until(lambda: spooled(spool) == ids(range(2)))
    assert len(recorder._buffer) == 0
    tables.down = False
    await until(lambda: stored(tables) == ids(range(2)))
    await until(lambda: spool.entries == [])
    recorder.add(make_record(2))
    await until(lambda: len(stored(tables)) == 3)
    assert (spool.appends, recorder.dropped) == (2, 0)
    assert [entity.values for entity in tables.rows("usage")] == [make_record(number).row() for number in range(3)]
    await recorder.close()


async def test_a_store_that_is_down_is_asked_ever_less_often_although_records_are_spooled_all_the_time() -> None:
    tables, clock, spool = FakeTables(), FakeClock(), FakeSpool()
    tables.down = True
    recorder = Recorder(tables, clock, spool)
    for number in range(64):
        recorder.add(make_record(number))
        await until(lambda number=number: len(clock.slept_s) > number)  # type: ignore[misc]
    assert set(clock.slept_s) == {0.25}
    assert tables.calls <= 7  # after 1, 2, 4, 8, 16, 32 pauses
    assert len(spool.entries) + len(recorder._buffer) == 64
    await recorder.close()
    assert (len(spool.entries), recorder.dropped, spool.closed) == (64, 0, True)


async def test_a_store_that_never_answers_fills_the_spool_and_not_the_memory() -> None:
    tables, spool = FakeTables(), FakeSpool()
    tables.gate = asyncio.Event()
    recorder = Recorder(tables, FakeClock(), spool, capacity=SPOOL_ABOVE * 2)
    for number in range(5 * SPOOL_ABOVE):
        recorder.add(make_record(number))
        if number % 100 == 0:
            await settle()
    await settle()
    assert len(recorder._buffer) < SPOOL_ABOVE * 2
    assert recorder.dropped == 0
    tables.gate.set()
    await until(lambda: len(stored(tables)) == 5 * SPOOL_ABOVE)
    await recorder.close()
    assert spool.entries == []


async def test_a_burst_beyond_the_buffer_is_kept_as_long_as_the_spool_has_room() -> None:
    tables, spool = FakeTables(), FakeSpool()
    recorder = Recorder(tables, HeldClock(), spool, capacity=10)
    for number in range(SPOOL_ABOVE + 500):
        recorder.add(make_record(number))
    await until(lambda: len(spool.entries) == SPOOL_ABOVE + 500)
    assert recorder.dropped == 0
    await recorder.close()
    assert len(stored(tables)) == SPOOL_ABOVE + 500


async def test_what_waits_for_a_slow_store_is_spooled_after_a_second_and_what_is_being_written_too() -> None:
    tables, spool = FakeTables(), FakeSpool()
    tables.gate = asyncio.Event()
    recorder = Recorder(tables, FakeClock(), spool)
    recorder.add(make_record(0))
    await until(lambda: tables.calls == 1)
    recorder.add(make_record(1, at=AT + datetime.timedelta(seconds=0.9)))
    await settle()
    assert spool.entries == []
    recorder.add(make_record(2, at=AT + datetime.timedelta(seconds=1.1)))
    await until(lambda: spooled(spool) == ids(range(3)))
    recorder.add(make_record(3, at=AT + datetime.timedelta(seconds=9)))
    await settle()
    assert spooled(spool) == ids(range(3))
    tables.gate.set()
    await until(lambda: stored(tables) == ids(range(4)))
    await until(lambda: spool.entries == [])
    await recorder.close()
    assert recorder.dropped == 0


async def test_records_are_dropped_only_where_the_buffer_and_the_spool_are_full(caplog: pytest.LogCaptureFixture) -> None:
    tables, spool = FakeTables(), FakeSpool(room=30)
    tables.down = True
    recorder = Recorder(tables, FakeClock(), spool, capacity=10)
    for number in range(60):
        recorder.add(make_record(number))
        await settle()
        assert recorder.dropped == max(number + 1 - 40, 0)
    assert "the spool is full" in caplog.text
    assert set(spooled(spool)) | {record.request_id for record in recorder._buffer} >= {*ids(range(30)), *ids(range(50, 60))}
    tables.down, spool.room = False, 1000
    await until(lambda: len(stored(tables)) == 40)
    await recorder.close()
    assert recorder.dropped == 20


async def test_a_spool_that_had_no_room_gets_the_rest_as_soon_as_it_has() -> None:
    tables, spool = FakeTables(), FakeSpool(room=0)
    tables.down = True
    recorder = Recorder(tables, FakeClock(), spool, capacity=10)
    for number in range(5):
        recorder.add(make_record(number))
    await settle()
    assert spool.entries == []
    spool.room = 100
    await until(lambda: spooled(spool) == ids(range(5)))
    assert recorder.dropped == 0
    await recorder.close()


async def test_a_spool_that_was_full_once_is_asked_again_after_the_store_answered() -> None:
    tables, spool = FakeTables(), FakeSpool(room=0)
    tables.down = True
    recorder = Recorder(tables, FakeClock(), spool, capacity=SPOOL_ABOVE)
    recorder.add(make_record(0))
    await settle()
    tables.down = False
    await until(lambda: len(stored(tables)) == 1)
    await settle()
    tables.gate, spool.room = asyncio.Event(), 100_000
    for number in range(1, SPOOL_ABOVE + 500):
        recorder.add(make_record(number))
    await until(lambda: len(spool.entries) > SPOOL_ABOVE)
    tables.gate.set()
    await recorder.close()
    assert (len(stored(tables)), recorder.dropped) == (SPOOL_ABOVE + 500, 0)


async def test_what_the_store_does_not_take_at_the_end_is_spooled_and_written_by_the_next_process() -> None:
    tables, spool = FakeTables(), FakeSpool()
    tables.down = True
    recorder = Recorder(tables, HeldClock(), spool)
    for number in range(700):
        recorder.add(make_record(number, tenant="a" if number % 2 else "b"))
    await recorder.close()
    assert sorted(spooled(spool)) == ids(range(700))
    assert recorder.dropped == 0
    tables.down = False
    following = Recorder(tables, FakeClock(), spool)
    following._shard = "x"  # another process has another shard, and must not write the same record under it again
    following.start()
    await until(lambda: spool.entries == [])
    assert sorted(stored(tables)) == ids(range(700))
    assert {entity.partition.rsplit("|", 1)[1] for entity in tables.rows("usage")} == {recorder._shard}
    assert max(size for _, size in tables.transactions) == 100
    await following.close()


async def test_close_brings_in_what_was_spooled_if_the_store_is_back() -> None:
    tables, spool = FakeTables(), FakeSpool()
    recorder = Recorder(tables, HeldClock(), spool)
    tables.down = True
    recorder.add(make_record(0))
    await recorder._set_aside()
    tables.down = False
    recorder.add(make_record(1))
    await recorder.close()
    assert stored(tables) == ids(range(2))
    assert spool.entries == []


class LostAnswers(FakeTables):
    """Writes, and says that it did not."""

    async def transact(self, *args: Any, **kwargs: Any) -> list[str | None]:
        done = await super().transact(*args, **kwargs)
        if not self.down:
            self.down = True
            await self._arrive()
        return done


async def test_what_was_written_although_the_store_said_no_is_not_counted_twice() -> None:
    tables, spool = LostAnswers(), FakeSpool()
    recorder = Recorder(tables, FakeClock(), spool)
    for number in range(5):
        recorder.add(make_record(number))
    await until(lambda: len(spool.entries) == 5)
    assert stored(tables) == ids(range(5))
    tables.down = True
    await recorder.close()
    following = Recorder(FakeTables(), FakeClock(), spool)
    following._tables.data = tables.data  # type: ignore[attr-defined]
    following.start()
    await until(lambda: spool.entries == [])
    assert stored(tables) == ids(range(5))
    await following.close()


async def test_a_record_that_no_store_takes_does_not_keep_the_others_in_the_spool(caplog: pytest.LogCaptureFixture) -> None:
    tables, spool = FakeTables(), FakeSpool()
    tables.down = True
    recorder = Recorder(tables, HeldClock(), spool)
    for number in range(6):
        over = [{"prompt_tokens": 2**63}, {"path": "\ud800"}, {"prompt_tokens": 2**64}][number % 3] if number % 2 else {}
        recorder.add(make_record(number, **over))
    await recorder.close()
    spool.parts["later"] = [b"\xc1 is not MessagePack", msgspec.msgpack.encode(["too", "short"])]
    tables.down = False
    following = Recorder(tables, FakeClock(), spool)
    following.start()
    await until(lambda: spool.entries == [])
    assert stored(tables) == ["req_000000", "req_000002", "req_000004"]
    assert recorder.dropped + following.dropped == 3
    assert caplog.text.count("none of this version's") == 2
    await following.close()


async def test_a_closing_in_the_middle_of_spooling_loses_nothing() -> None:
    class Slow(FakeSpool):
        gate = asyncio.Event()

        async def append(self, entries: Any) -> int:
            await self.gate.wait()
            return await super().append(entries)

    tables, spool = FakeTables(), Slow()
    tables.down = True
    recorder = Recorder(tables, FakeClock(), spool)
    recorder.add(make_record(0))
    await settle()
    closing = asyncio.create_task(recorder.close())
    await settle()
    spool.gate.set()
    await closing
    assert spooled(spool) == ids(range(1))


steps = st.lists(st.sampled_from(["add", "down", "up", "full", "room", "work", "restart"]), max_size=60)


@given(steps)
def test_whatever_happens_the_ledger_ends_up_with_each_record_once_and_all_that_was_not_dropped(done: list[str]) -> None:
    async def run() -> None:
        tables, spool = FakeTables(), FakeSpool()
        recorder = Recorder(tables, FakeClock(), spool, capacity=5)
        made = dropped = 0
        for step in done:
            if step == "add":
                recorder.add(make_record(made))
                made += 1
            elif step in ("down", "up"):
                tables.down = step == "down"
            elif step in ("full", "room"):
                spool.room = 0 if step == "full" else 100
            elif step == "work":
                await settle()
            else:
                await recorder.close()
                dropped += recorder.dropped
                recorder = Recorder(tables, FakeClock(), spool, capacity=5)
                recorder.start()
        tables.down, spool.room = False, 100
        await recorder.close()
        following = Recorder(tables, FakeClock(), spool)
        following.start()
        await until(lambda: spool.entries == [])
        await following.close()
        names = stored(tables)
        assert len(names) == len(set(names)) == made - dropped - recorder.dropped

    logging.getLogger("gateway.metering.records").disabled = True
    try:
        asyncio.run(run())
    finally:
        logging.getLogger("gateway.metering.records").disabled = False
