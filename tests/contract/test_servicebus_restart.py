"""What the emulated Service Bus keeps: over a stop, over kill -9 under load, and when its disk fails."""

import asyncio
import contextlib
import datetime as dt
import gc
import signal
import sqlite3
import sys
import warnings

import pytest
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from devhost.servicebus.broker import Broker
from devhost.servicebus.terms import Options
from gateway.domain.ids import random_hex
from tests.contract.bus import Bus, named

KILLS = 3
SENDERS = 4
ENOUGH = 25  # acknowledged messages between two kills


@pytest.fixture
def dropped_sockets():
    """Sweep up after the SDK, which does not close its socket where the other end is gone."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def test_a_stop_keeps_messages_their_order_and_their_numbers(tmp_path):
    async with Bus(tmp_path / "bus.db") as bus:
        await bus.send(named("a", b"z" * 200_000, application_properties={"n": 1}), named("b"))
    async with Bus(tmp_path / "bus.db") as bus, bus.client.get_queue_receiver("jobs") as receiver:
        message = await bus.one(receiver)
        assert (message.message_id, message.sequence_number, message.application_properties) == ("a", 1, {b"n": 1})
        assert b"".join(message.body) == b"z" * 200_000
        await receiver.complete_message(message)
        await bus.send(named("c"))
    async with Bus(tmp_path / "bus.db") as bus, bus.client.get_queue_receiver("jobs") as receiver:
        assert [(each.message_id, each.sequence_number) for each in await receiver.peek_messages(10)] == [("b", 2), ("c", 3)]


async def test_a_number_is_never_given_twice(tmp_path):
    numbers = []
    for name in ("a", "b"):
        async with Bus(tmp_path / "bus.db") as bus, bus.client.get_queue_receiver("jobs") as receiver:
            await bus.send(named(name))
            message = await bus.one(receiver)
            numbers.append(message.sequence_number)
            await receiver.complete_message(message)
    assert numbers == [1, 2]


async def test_a_stop_keeps_what_is_deferred_scheduled_dead_or_was_seen(tmp_path):
    async with Bus(tmp_path / "bus.db") as bus, bus.client.get_queue_receiver("jobs") as receiver:
        await bus.send(named("deferred"), named("dead"))
        await receiver.defer_message(await bus.one(receiver))
        await receiver.dead_letter_message(await bus.one(receiver), reason="R")
        await bus.send(named("later", scheduled_enqueue_time_utc=bus.at(60), time_to_live=dt.timedelta(seconds=600)))
        await bus.send(named("same"), queue="once")
    async with Bus(tmp_path / "bus.db") as bus, bus.client.get_queue_receiver("jobs") as receiver:
        await bus.send(named("same"), queue="once")
        assert bus.ids("once") == ["same"]
        assert (await bus.dead()).dead_letter_reason == "R"
        (deferred,) = await receiver.receive_deferred_messages([1])
        await receiver.complete_message(deferred)
        bus.pass_time(61)
        assert (await bus.one(receiver)).message_id == "later"


async def test_a_delivery_that_a_stop_cut_off_counts(tmp_path):
    for times in range(2):
        async with Bus(tmp_path / "bus.db") as bus, bus.client.get_queue_receiver("jobs") as receiver:
            if times == 0:
                await bus.send(named("m"))
            assert (await bus.one(receiver)).delivery_count == times


@pytest.mark.usefixtures("dropped_sockets")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_broker_whose_disk_fails_acknowledges_nothing_and_stops(tmp_path, caplog):
    async with Bus(tmp_path / "bus.db") as bus:
        await bus.send(named("kept"))

        def fail(_):
            raise sqlite3.OperationalError("disk I/O error")

        bus.broker._journal._write = fail
        with pytest.raises(ServiceBusError):
            await bus.send(named("lost"))
        await bus.broker.stopped.wait()
        assert isinstance(bus.broker.failed, sqlite3.OperationalError)
    assert "stops before it promises more" in caplog.text
    async with Bus(tmp_path / "bus.db") as bus:
        assert bus.ids() == ["kept"]


class Process:
    """A broker in a process of its own, which can be killed and started again at the same port."""

    def __init__(self, data):
        self.data = data
        self.port = 0

    async def start(self):
        command = [
            sys.executable,
            "-m",
            "devhost.servicebus",
            "--port",
            str(self.port),
            "--data",
            str(self.data),
            "--queue",
            "jobs:lock_s=300",
        ]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        line = (await self.process.stdout.readline()).decode().strip()
        assert line, "it did not start"
        self.connection_string = line
        self.port = int(line.split(";")[0].rpartition(":")[2])

    async def end(self, number):
        self.process.send_signal(number)
        return await self.process.wait()


class Load:
    """Clients that send and complete without a pause, over a broker that dies."""

    def __init__(self, broker):
        self.broker = broker
        self.acknowledged, self.tried, self.completed = [], set(), set()
        self._stop = False
        self._wanted, self._reached = 0, asyncio.Event()

    async def until_acknowledged(self, more):
        self._wanted = len(self.acknowledged) + more
        self._reached.clear()
        await self._reached.wait()

    def stop(self):
        self._stop = True

    async def again(self, work):
        """Do it with a new client after each failure, as an application would."""
        while not self._stop:
            async with self._client() as client:
                with contextlib.suppress(ServiceBusError):
                    await work(client)

    async def send(self, client):
        async with client.get_queue_sender("jobs") as sender:
            while not self._stop:
                name = random_hex(8)  # one that failed may have been kept or not: it is never sent again
                await sender.send_messages(named(name))
                self.acknowledged.append(name)
                if len(self.acknowledged) >= self._wanted:
                    self._reached.set()

    async def complete(self, client):
        async with client.get_queue_receiver("jobs") as receiver:
            while not self._stop:
                for message in await receiver.receive_messages(5, max_wait_time=1):
                    self.tried.add(message.message_id)  # if its answer is lost, it may be completed or there
                    await receiver.complete_message(message)
                    self.completed.add(message.message_id)

    async def left(self):
        found, number = set(), 1
        async with self._client() as client, client.get_queue_receiver("jobs") as receiver:
            while page := await receiver.peek_messages(250, sequence_number=number):
                found |= {each.message_id for each in page}
                number = page[-1].sequence_number + 1
        return found

    def _client(self):
        return ServiceBusClient.from_connection_string(self.broker.connection_string, retry_total=0)


@pytest.mark.usefixtures("dropped_sockets")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_nothing_that_was_acknowledged_is_lost_when_it_is_killed_under_load(tmp_path):
    broker = Process(tmp_path / "bus.db")
    await broker.start()
    load = Load(broker)
    tasks = [asyncio.create_task(load.again(work)) for work in (*[load.send] * SENDERS, load.complete)]
    for _ in range(KILLS):
        await load.until_acknowledged(ENOUGH)
        assert await broker.end(signal.SIGKILL) == -signal.SIGKILL
        await broker.start()
    await load.until_acknowledged(ENOUGH)
    load.stop()
    await asyncio.gather(*tasks)
    left = await load.left()
    assert await broker.end(signal.SIGTERM) == 0
    assert set(load.acknowledged) - load.tried - left == set(), "acknowledged, never completed, and not there"
    unanswered = load.tried - load.completed - left
    assert len(unanswered) <= KILLS, "more were completed without an answer than were under way when it was killed"
    assert load.completed & left == set(), "completed, and there again"
    assert load.completed


async def test_a_port_that_is_taken_is_said():
    async with Broker({"jobs": Options()}).listening() as broker:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "devhost.servicebus", "--port", str(broker.port), "--queue", "jobs", stderr=asyncio.subprocess.PIPE
        )
        _, error = await process.communicate()
    assert process.returncode == 1
    assert b"cannot serve the queues" in error


@pytest.mark.parametrize("queue", ["jobs:lock_s=soon", "jobs:lock=30", "jobs/deep", ":lock_s=30"])
async def test_a_queue_that_cannot_be_declared_is_refused_by_its_words(queue, capsys):
    from devhost.servicebus.__main__ import parse

    with pytest.raises(SystemExit):
        parse(["--queue", queue])
    assert repr(queue) in capsys.readouterr().err


async def test_strangers_at_the_port_are_sent_away_and_nobody_else_notices():
    async with Bus() as bus:
        for greeting in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"AMQP\x00\x01\x00\x00" + b"\xff" * 64):
            reader, writer = await asyncio.open_connection("127.0.0.1", bus.broker.port)
            writer.write(greeting)
            assert (await reader.read()).startswith(b"AMQP\x00\x01\x00\x00")
            writer.close()
            await writer.wait_closed()
        await bus.send(named("m"))
        assert bus.ids() == ["m"]
