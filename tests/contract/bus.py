"""A broker of the emulated Service Bus in this process, with a clock of ours, and Microsoft's SDK as its client."""

import datetime as dt

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus._pyamqp.aio._client_async import AMQPClientAsync
from azure.servicebus.aio import ServiceBusClient

from devhost.servicebus.broker import Broker, wall_ms
from devhost.servicebus.terms import Options

QUEUES = {"jobs": Options(lock_s=30), "once": Options(duplicate_window_s=600)}
WAIT_S = 20  # for what is there already; nothing waits so long


async def no_keep_alive(_client) -> None:
    """Stand for the SDK's keep-alive, which looks once a second whether its client was closed, and holds up every close."""


def named(message_id, body="body", **more):
    return ServiceBusMessage(body, message_id=message_id, **more)


class Bus:
    """A broker with a clock that moves when it is told to, and a client of it."""

    def __init__(self, data=None):
        self.ahead_ms = 0
        self.broker = Broker(QUEUES, data, lambda: wall_ms() + self.ahead_ms)

    async def __aenter__(self):
        self._listening = self.broker.listening()
        await self._listening.__aenter__()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(AMQPClientAsync, "_keep_alive_async", no_keep_alive)
        self.client = ServiceBusClient.from_connection_string(self.broker.connection_string, retry_total=0)
        return self

    async def __aexit__(self, *_):
        await self.client.close()
        self._patch.undo()
        await self._listening.__aexit__(None, None, None)

    def pass_time(self, seconds):
        self.ahead_ms += int(seconds * 1000)
        self.broker.run_due()

    def at(self, seconds):
        return dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=self.ahead_ms, seconds=seconds)

    async def send(self, *messages, queue="jobs"):
        async with self.client.get_queue_sender(queue) as sender:
            for message in messages:
                await sender.send_messages(message)

    async def one(self, receiver):
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT_S)
        return message

    def ids(self, queue="jobs"):
        return [each.content.message_id for each in self.broker.queue(queue).peek(0, 1000)]

    async def dead(self):
        async with self.client.get_queue_receiver("jobs", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
            return await self.one(receiver)
