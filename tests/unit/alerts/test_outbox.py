"""Alerts are told at least once under one id, whatever dies or fails on the way."""

import asyncio
import datetime
import itertools

import pytest

from gateway.alerts.delivery import PATIENCE, Delivery
from gateway.alerts.outbox import CLAIM_S, DEAD, DELIVERED, FIRST_WAIT_S, KEPT, LONGEST_WAIT_S, PENDING, Outbox
from gateway.errors import Conflict, NotFound, StoreUnavailable, Unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.alerts.conftest import Receiver, Restart, make_alert

DOWN = Unavailable("the webhook answered 503")


def state(tables: FakeTables) -> str:
    (row,) = [row for row in tables.rows("alerts") if row.row.startswith("e|")]
    return str(row.values["state"])


def on_its_way(tables: FakeTables) -> bool:
    return any(row.row.startswith("p|") for row in tables.rows("alerts"))


async def test_an_alert_is_told_once_and_no_more(outbox: Outbox, restart: Restart, receiver: Receiver, tables: FakeTables) -> None:
    await outbox.add(make_alert())
    assert [await restart().run() for _ in range(3)] == [1, 0, 0]
    assert receiver.told == [make_alert().id]
    assert (state(tables), on_its_way(tables)) == (DELIVERED, False)


async def test_what_is_found_twice_is_told_once(outbox: Outbox, restart: Restart, receiver: Receiver) -> None:
    assert await outbox.add(make_alert())
    assert not await outbox.add(make_alert())
    await restart().run()
    assert not await outbox.add(make_alert())
    await restart().run()
    assert receiver.told == [make_alert().id]


async def test_a_process_that_dies_between_sending_and_marking_leaves_it_to_be_sent_again_under_the_same_id(
    outbox: Outbox, restart: Restart, receiver: Receiver, clock: FakeClock, tables: FakeTables
) -> None:
    await outbox.add(make_alert())
    receiver.dying = True
    with pytest.raises(KeyboardInterrupt):
        await restart()._deliver(make_alert().id)
    receiver.dying = False
    assert state(tables) == PENDING
    await restart().run()
    assert receiver.told == [make_alert().id]  # it may still be under way
    clock.advance(CLAIM_S)
    await restart().run()
    assert receiver.told == [make_alert().id] * 2
    assert state(tables) == DELIVERED


async def test_a_process_that_dies_before_sending_loses_nothing(
    outbox: Outbox, restart: Restart, receiver: Receiver, clock: FakeClock
) -> None:
    await outbox.add(make_alert())
    assert await outbox.claim(make_alert().id) is not None
    clock.advance(CLAIM_S)
    await restart().run()
    assert receiver.told == [make_alert().id]


async def test_a_store_that_fails_at_any_call_loses_nothing_and_tells_nothing_under_two_ids(clock: FakeClock) -> None:
    for failing_call in range(1, 12):
        tables, receiver = _FailingTables(failing_call), Receiver()
        for _ in range(4):
            outbox = Outbox(tables, clock, ["webhook"])
            try:
                await outbox.add(make_alert())
                await Delivery(outbox, {"webhook": receiver.tell}, clock).run()
            except StoreUnavailable:
                pass
            clock.advance(CLAIM_S)
        assert set(receiver.told) == {make_alert().id}, failing_call
        assert len(receiver.told) <= 2
        assert state(tables) == DELIVERED


class _FailingTables(FakeTables):
    """Fails at the given call, and loses the answer of a transaction that comes right after it."""

    def __init__(self, failing_call: int) -> None:
        super().__init__()
        self._failing_call = failing_call

    async def transact(self, table, partition, writes):  # type: ignore[no-untyped-def]
        done = await super().transact(table, partition, writes)
        if self.calls == self._failing_call + 1:
            self.calls += 1
            raise StoreUnavailable("the answer was lost")
        return done

    async def _arrive(self) -> None:
        self.calls += 1
        if self.calls == self._failing_call:
            raise StoreUnavailable("nobody there")


async def test_two_that_deliver_at_once_tell_it_once(outbox: Outbox, restart: Restart, receiver: Receiver) -> None:
    await outbox.add(make_alert())
    await asyncio.gather(*(restart().run() for _ in range(5)))
    assert receiver.told == [make_alert().id]


class _SlowTables(FakeTables):
    """Lets others come to their turn after each read."""

    async def get(self, table, partition, row):  # type: ignore[no-untyped-def]
        entity = await super().get(table, partition, row)
        await asyncio.sleep(0)
        return entity


async def test_of_many_that_want_an_alert_one_gets_it(clock: FakeClock) -> None:
    outbox = Outbox(_SlowTables(), clock, ["webhook"])
    await outbox.add(make_alert())
    claims = await asyncio.gather(*(outbox.claim(make_alert().id) for _ in range(5)))
    assert sum(claim is not None for claim in claims) == 1


async def test_what_another_has_just_tried_in_vain_is_not_tried_at_once(outbox: Outbox, restart: Restart, receiver: Receiver) -> None:
    await outbox.add(make_alert())
    (name,) = await outbox.due()
    receiver.failing = DOWN
    assert await restart().run() == 0
    assert await outbox.claim(name) is None


async def test_a_receiver_that_is_down_is_asked_ever_more_rarely_for_a_day(
    outbox: Outbox, restart: Restart, receiver: Receiver, clock: FakeClock, tables: FakeTables
) -> None:
    await outbox.add(make_alert())
    receiver.failing, asked = DOWN, []
    began = clock.utc()
    for _ in range(60 * 26):
        before = tables.data[("alerts", "alerts", f"e|{make_alert().id}")].values["attempts"]
        await restart().run()
        if tables.data[("alerts", "alerts", f"e|{make_alert().id}")].values["attempts"] != before:
            asked.append((clock.utc() - began).total_seconds())
        clock.advance(60)
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits[:4] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S, 8 * FIRST_WAIT_S]
    assert max(waits) == LONGEST_WAIT_S
    assert 23 * 3600 < asked[-1] <= 25 * 3600
    assert (state(tables), on_its_way(tables)) == (DEAD, False)


async def test_a_receiver_that_says_when_is_asked_then(outbox: Outbox, restart: Restart, receiver: Receiver, clock: FakeClock) -> None:
    await outbox.add(make_alert())
    receiver.failing = Unavailable("busy", retry_after_s=600)
    await restart().run()
    receiver.failing = None
    clock.advance(599)
    assert await restart().run() == 0
    clock.advance(1)
    assert await restart().run() == 1


async def test_who_was_told_is_not_told_again_because_another_was_not(tables: FakeTables, clock: FakeClock) -> None:
    webhook, queue = Receiver(), Receiver()
    outbox = Outbox(tables, clock, ["webhook", "queue"])
    delivery = Delivery(outbox, {"webhook": webhook.tell, "queue": queue.tell}, clock)
    await outbox.add(make_alert())
    queue.failing = DOWN
    assert await delivery.run() == 0
    queue.failing = None
    clock.advance(FIRST_WAIT_S)
    assert await delivery.run() == 1
    assert (len(webhook.told), len(queue.told)) == (1, 1)


async def test_a_target_that_is_configured_no_more_is_no_reason_to_wait(tables: FakeTables, clock: FakeClock, receiver: Receiver) -> None:
    await Outbox(tables, clock, ["webhook", "queue"]).add(make_alert())
    assert await Delivery(Outbox(tables, clock, ["webhook"]), {"webhook": receiver.tell}, clock).run() == 1
    assert state(tables) == DELIVERED


async def test_without_a_receiver_alerts_are_kept(tables: FakeTables, clock: FakeClock) -> None:
    outbox = Outbox(tables, clock, [])
    await outbox.add(make_alert())
    assert await Delivery(outbox, {}, clock).run() == 0
    assert (state(tables), on_its_way(tables)) == (KEPT, False)
    with pytest.raises(Conflict) as caught:
        await outbox.replay(make_alert().id, None)
    assert caught.value.code == "no_alert_target"


async def test_a_run_gives_a_dead_receiver_up(outbox: Outbox, restart: Restart, receiver: Receiver, tables: FakeTables) -> None:
    for number in range(40):
        await outbox.add(make_alert(number))
    receiver.failing = DOWN
    await restart().run()
    attempts = [row.values["attempts"] for row in tables.rows("alerts") if row.row.startswith("e|")]
    assert PATIENCE <= sum(int(str(each)) for each in attempts) <= 2 * PATIENCE


async def test_one_alert_that_nobody_takes_does_not_hold_up_the_others(
    outbox: Outbox, clock: FakeClock, receiver: Receiver, tables: FakeTables
) -> None:
    poison = make_alert(3).id

    async def tell(alert, body):  # type: ignore[no-untyped-def]
        if alert.id == poison:
            raise DOWN
        await receiver.tell(alert, body)

    for number in range(20):
        await outbox.add(make_alert(number))
    assert await Delivery(outbox, {"webhook": tell}, clock).run() == 19


async def test_a_dead_alert_is_replayed_under_its_own_id(
    outbox: Outbox, restart: Restart, receiver: Receiver, clock: FakeClock, tables: FakeTables
) -> None:
    await outbox.add(make_alert())
    receiver.failing = DOWN
    clock.advance(25 * 3600)
    await restart().run()
    assert state(tables) == DEAD
    receiver.failing = None
    assert (await outbox.replay(make_alert().id, "contoso"))["state"] == PENDING
    assert await restart().run() == 1
    assert receiver.told == [make_alert().id]


async def test_a_replay_is_refused_for_what_is_anothers_or_under_way(outbox: Outbox) -> None:
    await outbox.add(make_alert())
    with pytest.raises(Conflict):
        await outbox.replay(make_alert().id, None)
    for name, tenant in ((make_alert().id, "fabrikam"), ("alert_0", None), ("nonsense/../x", None), ("alert_" + "0" * 200, None)):
        with pytest.raises(NotFound):
            await outbox.replay(name, tenant)


async def test_old_alerts_go_unless_they_are_on_their_way(tables: FakeTables, clock: FakeClock) -> None:
    kept = Outbox(tables, clock, [])
    await kept.add(make_alert(1))
    await Outbox(tables, clock, ["webhook"]).add(make_alert(2))
    clock.advance(datetime.timedelta(days=91).total_seconds())
    await kept.add(make_alert(3, id=make_alert(91 * 86_400).id))
    assert await kept.prune() == 1
    left = [row.row for row in tables.rows("alerts") if row.row.startswith("e|")]
    assert left == [f"e|{make_alert(91 * 86_400).id}", f"e|{make_alert(2).id}"]
