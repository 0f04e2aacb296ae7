"""The emulated Service Bus as Microsoft's SDK finds it. Time passes where a test says so: the broker's clock is ours."""

import asyncio
import datetime as dt

import pytest
from azure.servicebus import ServiceBusMessageState, ServiceBusReceiveMode
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError, MessageSizeExceededError, MessagingEntityNotFoundError

from tests.contract.bus import Bus, named


@pytest.fixture
async def bus():
    async with Bus() as running:
        yield running


@pytest.fixture
async def receiver(bus):
    async with bus.client.get_queue_receiver("jobs") as opened:
        yield opened


async def test_a_message_arrives_as_it_was_sent_and_is_gone_once_completed(bus, receiver):
    given = {"text": "t", "number": 5, "truth": True, "part": 0.5}
    await bus.send(named("m", b'{"a":1}', application_properties=given, subject="s", correlation_id="c", content_type="application/json"))
    message = await bus.one(receiver)
    assert (b"".join(message.body), message.message_id, message.subject, message.correlation_id) == (b'{"a":1}', "m", "s", "c")
    assert {name.decode(): value for name, value in message.application_properties.items()} == {**given, "text": b"t"}
    assert (message.content_type, message.delivery_count, message.sequence_number) == ("application/json", 0, 1)
    assert message.locked_until_utc - message.enqueued_time_utc >= dt.timedelta(seconds=29)
    await receiver.complete_message(message)
    assert bus.ids() == []


async def test_a_queue_that_is_not_declared_is_refused_by_its_name(bus):
    with pytest.raises(MessagingEntityNotFoundError, match="nowhere"):
        await bus.send(named("m"), queue="nowhere")
    with pytest.raises(MessagingEntityNotFoundError, match="nowhere"):
        async with bus.client.get_queue_receiver("nowhere"):
            pass


async def test_names_of_queues_do_not_depend_on_case(bus):
    await bus.send(named("m"), queue="JOBS")
    async with bus.client.get_queue_receiver("Jobs") as receiver:
        assert (await bus.one(receiver)).message_id == "m"


async def test_a_message_under_a_lock_is_given_to_nobody_else(bus, receiver):
    await bus.send(named("first"), named("second"))
    assert (await bus.one(receiver)).message_id == "first"
    async with bus.client.get_queue_receiver("jobs") as other:
        assert (await bus.one(other)).message_id == "second"


async def test_an_abandoned_message_comes_again_before_younger_ones_and_counts(bus, receiver):
    await bus.send(named("old"), named("young"))
    for times in range(3):
        message = await bus.one(receiver)
        assert (message.message_id, message.delivery_count) == ("old", times)
        await receiver.abandon_message(message)


async def test_a_message_that_fails_ten_times_is_a_dead_letter(bus, receiver):
    await bus.send(named("poison", application_properties={"kept": 7}))
    for _ in range(10):
        await receiver.abandon_message(await bus.one(receiver))
    assert bus.ids() == []
    message = await bus.dead()
    assert (message.message_id, message.delivery_count, message.dead_letter_source) == ("poison", 10, "jobs")
    assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert message.application_properties[b"kept"] == 7


async def test_a_dead_letter_says_why(bus, receiver):
    await bus.send(named("bad"))
    await receiver.dead_letter_message(await bus.one(receiver), reason="BadInput", error_description="it cannot be parsed")
    message = await bus.dead()
    assert (message.dead_letter_reason, message.dead_letter_error_description) == ("BadInput", "it cannot be parsed")
    assert b"".join(message.body) == b"body"


async def test_a_lock_that_expires_gives_the_message_back_and_settles_nothing(bus, receiver):
    await bus.send(named("m"))
    first = await bus.one(receiver)
    bus.pass_time(31)
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(first)
    second = await bus.one(receiver)
    assert (second.message_id, second.delivery_count) == ("m", 1)
    await receiver.complete_message(second)
    assert bus.ids() == []


async def test_a_renewed_lock_holds_as_long_again(bus, receiver):
    await bus.send(named("m"))
    message = await bus.one(receiver)
    bus.pass_time(20)
    before = message.locked_until_utc
    assert await receiver.renew_message_lock(message) - before >= dt.timedelta(seconds=19)
    bus.pass_time(20)
    await receiver.complete_message(message)
    assert bus.ids() == []


async def test_a_lost_lock_cannot_be_renewed(bus, receiver):
    await bus.send(named("m"))
    message = await bus.one(receiver)
    bus.pass_time(31)
    with pytest.raises(MessageLockLostError):
        await receiver.renew_message_lock(message)


async def test_a_scheduled_message_comes_at_its_time_unless_it_is_cancelled(bus, receiver):
    async with bus.client.get_queue_sender("jobs") as sender:
        numbers = await sender.schedule_messages([named("kept"), named("cancelled")], bus.at(60))
        await sender.send_messages(named("annotated", scheduled_enqueue_time_utc=bus.at(30)))
        await sender.cancel_scheduled_messages(numbers[1:])
    peeked = await receiver.peek_messages(10)
    assert [(each.message_id, each.state) for each in peeked] == [
        ("kept", ServiceBusMessageState.SCHEDULED),
        ("annotated", ServiceBusMessageState.SCHEDULED),
    ]
    bus.pass_time(31)
    assert (await bus.one(receiver)).message_id == "annotated"
    bus.pass_time(31)
    message = await bus.one(receiver)
    assert message.message_id == "kept"
    assert message.enqueued_time_utc >= bus.at(-5)


async def test_peeking_shows_everything_and_takes_nothing(bus, receiver):
    await bus.send([named(f"m{number}") for number in range(5)])
    locked = await bus.one(receiver)
    assert [each.message_id for each in await receiver.peek_messages(10, sequence_number=1)] == [f"m{number}" for number in range(5)]
    assert [each.message_id for each in await receiver.peek_messages(2, sequence_number=4)] == ["m3", "m4"]
    await receiver.complete_message(locked)


async def test_a_batch_is_as_large_as_a_message_may_be_and_arrives_in_order(bus, receiver):
    async with bus.client.get_queue_sender("jobs") as sender:
        batch = await sender.create_message_batch()
        for number in range(26):
            batch.add_message(named(f"b{number}", "y" * 10_000))
        with pytest.raises(MessageSizeExceededError):
            batch.add_message(named("too many", "y" * 10_000))
        await sender.send_messages(batch)
    assert batch.max_size_in_bytes == 262_144
    for number in range(26):
        message = await bus.one(receiver)
        assert message.message_id == f"b{number}"
        await receiver.complete_message(message)


async def test_a_message_over_256_kb_is_refused_and_the_link_goes_on(bus, receiver):
    async with bus.client.get_queue_sender("jobs") as sender:
        for size in (262_145, 3_000_000):
            with pytest.raises(MessageSizeExceededError):
                await sender.send_messages(named("large", b"z" * size))
        await sender.send_messages(named("fits", b"z" * 261_000))
    message = await bus.one(receiver)
    assert (message.message_id, len(b"".join(message.body))) == ("fits", 261_000)
    await receiver.complete_message(message)


async def test_an_id_that_was_seen_is_accepted_and_dropped_until_its_window_ends(bus):
    await bus.send(named("same"), named("same"), [named("other"), named("same")], queue="once")
    assert bus.ids("once") == ["same", "other"]
    bus.pass_time(601)
    await bus.send(named("same"), queue="once")
    assert bus.ids("once") == ["same", "other", "same"]


async def test_without_duplicate_detection_an_id_may_come_twice(bus):
    await bus.send(named("same"), named("same"))
    assert bus.ids() == ["same", "same"]


async def test_a_deferred_message_comes_by_its_number_only(bus, receiver):
    await bus.send(named("later"), named("now"))
    message = await bus.one(receiver)
    await receiver.defer_message(message)
    assert (await bus.one(receiver)).message_id == "now"
    assert [each.state for each in await receiver.peek_messages(1, sequence_number=1)] == [ServiceBusMessageState.DEFERRED]
    (again,) = await receiver.receive_deferred_messages([message.sequence_number])
    with pytest.raises(MessageNotFoundError):  # it is under a lock
        await receiver.receive_deferred_messages([message.sequence_number])
    await receiver.abandon_message(again)
    (again,) = await receiver.receive_deferred_messages([message.sequence_number])
    assert (again.message_id, again.delivery_count) == ("later", 2)
    await receiver.complete_message(again)
    assert bus.ids() == ["now"]


async def test_a_message_that_waits_too_long_is_a_dead_letter_but_never_under_a_lock(bus, receiver):
    await bus.send(named("held", time_to_live=dt.timedelta(seconds=10)), named("waits", time_to_live=dt.timedelta(seconds=10)))
    held = await bus.one(receiver)
    bus.pass_time(11)
    assert bus.ids() == ["held"]
    message = await bus.dead()
    assert (message.message_id, message.dead_letter_reason) == ("waits", "TTLExpiredException")
    await receiver.complete_message(held)
    assert bus.ids() == []


async def test_receive_and_delete_keeps_nothing(bus):
    await bus.send(named("m"))
    async with bus.client.get_queue_receiver("jobs", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        assert (await bus.one(receiver)).message_id == "m"
    assert bus.ids() == []


async def test_a_receiver_that_prefetches_gets_every_message_once(bus):
    await bus.send([named(f"m{number}") for number in range(500)])
    seen = []
    async with bus.client.get_queue_receiver("jobs", prefetch_count=100) as receiver:
        async for message in receiver:
            seen.append(message.message_id)
            await receiver.complete_message(message)
            if len(seen) == 500:
                break
    assert seen == [f"m{number}" for number in range(500)]
    assert bus.ids() == []


async def test_a_receiver_that_waits_is_told_at_once(bus, receiver):
    waiting = asyncio.create_task(bus.one(receiver))
    await bus.send(named("m"))
    assert (await waiting).message_id == "m"


async def test_sessions_of_messages_are_refused_with_words(bus):
    with pytest.raises(Exception, match="Sessions of messages are not emulated"):
        async with bus.client.get_queue_receiver("jobs", session_id="s"):
            pass
