"""One suite for everything that takes messages: the fake, and Service Bus through Microsoft's SDK on an emulated one."""

import asyncio
import gc
import socket
import subprocess
import sys
import warnings

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.servicebus import exceptions
from azure.servicebus._pyamqp.aio._client_async import AMQPClientAsync

from devhost.servicebus.broker import Broker
from devhost.servicebus.terms import Options
from gateway import connections
from gateway.adapters import queue as azure
from gateway.adapters.late_queue import LateQueue
from gateway.errors import NotFound, RequestError, Unavailable
from gateway.settings import load_settings
from tests.contract.bus import no_keep_alive
from tests.fakes.queue import FakeQueue, Sent

SETTINGS = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "GATEWAY_KEY_PEPPER": "x" * 16}
QUEUES = {"jobs": Options(duplicate_window_s=600), "other": Options()}


class Emulated:
    """Service Bus, and how a test looks into it."""

    def __init__(self, broker, **options):
        self.broker = broker
        self.queue = azure.ServiceBusQueue(broker.connection_string, **options)

    def sent(self, name):
        return [each.content.message_id for each in self.broker.queue(name).peek(0, 100)]


class Faked:
    def __init__(self):
        self.queue = FakeQueue(*QUEUES)

    def sent(self, name):
        return [each.message_id for each in self.queue.queues[name]]


@pytest.fixture
def dropped_sockets():
    """Sweep up after the SDK, which does not close its socket where the other end is gone."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(AMQPClientAsync, "_keep_alive_async", no_keep_alive)


@pytest.fixture
async def broker():
    async with Broker(QUEUES).listening() as listening:
        yield listening


@pytest.fixture(params=["fake", "servicebus"])
async def store(request, broker):
    made = Faked() if request.param == "fake" else Emulated(broker)
    yield made
    await made.queue.close()


async def test_messages_arrive_in_their_queue_and_order(store):
    for number in range(3):
        await store.queue.send("jobs", b"{}", message_id=f"m{number}")
    await store.queue.send("other", b"{}", message_id="o")
    assert (store.sent("jobs"), store.sent("other")) == (["m0", "m1", "m2"], ["o"])


async def test_many_may_send_at_once(store):
    await asyncio.gather(*(store.queue.send("jobs", b"{}", message_id=f"m{number}") for number in range(20)))
    assert sorted(store.sent("jobs")) == sorted(f"m{number}" for number in range(20))


async def test_an_id_that_was_seen_is_dropped(store):
    for _ in range(2):
        await store.queue.send("jobs", b"{}", message_id="same")
    assert store.sent("jobs") == ["same"]


async def test_a_queue_that_is_not_there_is_named_and_the_others_go_on(store):
    with pytest.raises(NotFound, match="'nowhere'"):
        await store.queue.send("nowhere", b"{}", message_id="m")
    await store.queue.send("jobs", b"{}", message_id="m")
    assert store.sent("jobs") == ["m"]


async def test_a_body_over_256_kb_is_refused_before_it_is_sent(store):
    with pytest.raises(RequestError) as caught:
        await store.queue.send("jobs", b"x" * (256 * 1024 + 1), message_id="m")
    assert caught.value.param == "body"
    await store.queue.send("jobs", b"x" * 255 * 1024, message_id="fits")
    assert store.sent("jobs") == ["fits"]


@pytest.mark.parametrize("message_id", ["", "m" * 129])
async def test_an_id_must_be_one(store, message_id):
    with pytest.raises(RequestError) as caught:
        await store.queue.send("jobs", b"{}", message_id=message_id)
    assert caught.value.param == "message_id"


async def test_closing_twice_is_as_good_as_once(store):
    await store.queue.send("jobs", b"{}", message_id="m")
    await store.queue.close()


async def test_a_message_carries_its_type_and_subject(broker):
    from azure.servicebus.aio import ServiceBusClient

    queue = azure.connect(broker.connection_string)
    await queue.send("jobs", b'{"a":1}', message_id="m", content_type="application/cloudevents+json", subject="budget")
    await queue.close()
    async with ServiceBusClient.from_connection_string(broker.connection_string) as client, client.get_queue_receiver("jobs") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=20)
        assert Sent(b"".join(message.body), message.message_id, message.content_type, message.subject) == Sent(
            b'{"a":1}', "m", "application/cloudevents+json", "budget"
        )


async def test_a_body_that_only_its_properties_make_too_large_is_refused_likewise(broker):
    queue = azure.connect(broker.connection_string)
    with pytest.raises(RequestError) as caught:
        await queue.send("jobs", b"x" * 256 * 1024, message_id="m")
    assert caught.value.param == "body"
    await queue.send("jobs", b"{}", message_id="next")
    await queue.close()
    assert broker.queue("jobs").peek(0, 9)[0].content.message_id == "next"


@pytest.mark.usefixtures("dropped_sockets")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_service_that_went_away_is_unavailable_and_taken_up_again_when_it_is_back(tmp_path):
    async with Broker(QUEUES, tmp_path / "bus.db").listening() as first:
        queue, port = azure.connect(first.connection_string), first.port
        await queue.send("jobs", b"{}", message_id="before")
    with pytest.raises(Unavailable) as caught:
        await queue.send("jobs", b"{}", message_id="lost")
    assert caught.value.retryable
    async with Broker(QUEUES, tmp_path / "bus.db").listening(port) as second:
        await queue.send("jobs", b"{}", message_id="after")
        assert [each.content.message_id for each in second.queue("jobs").peek(0, 9)] == ["before", "after"]
        await queue.close()


@pytest.mark.usefixtures("dropped_sockets")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_service_that_is_silent_is_unavailable_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        location = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=k;SharedAccessKey=s;UseDevelopmentEmulator=true;"
        queue = azure.ServiceBusQueue(location, timeout_s=0.3)
        with pytest.raises(Unavailable, match="under the same id"):
            await queue.send("jobs", b"{}", message_id="m")
        await queue.close()


@pytest.mark.parametrize(
    ("foreign", "says"),
    [
        (exceptions.ServiceBusAuthorizationError(message="no"), "Azure Service Bus Data Sender"),
        (exceptions.ServiceBusAuthenticationError(message="no"), "Azure Service Bus Data Sender"),
        (ClientAuthenticationError("no"), "Azure Service Bus Data Sender"),
        (exceptions.MessagingEntityDisabledError(message="no"), "disabled"),
        (exceptions.ServiceBusServerBusyError(message="no"), "same id"),
        (exceptions.ServiceBusQuotaExceededError(message="no"), "same id"),
        (ConnectionResetError("sb://secret.example"), "same id"),
    ],
)
async def test_what_the_sdk_raises_is_said_in_our_words(broker, monkeypatch, foreign, says):
    queue = azure.connect(broker.connection_string)

    class Failing:
        async def send_messages(self, message):
            raise foreign

        async def close(self):
            raise foreign

    monkeypatch.setattr(queue._client, "get_queue_sender", lambda name: Failing())
    with pytest.raises(Unavailable, match=says) as caught:
        await queue.send("jobs", b"{}", message_id="m")
    assert caught.value.__cause__ is foreign
    assert "secret" not in caught.value.message
    await queue.close()


def test_a_location_that_is_none_is_refused_without_its_text():
    with pytest.raises(Unavailable, match="GATEWAY_SERVICEBUS") as caught:
        azure.connect("Endpoint=nonsense;SharedAccessKey=5ecret")
    assert "5ecret" not in caught.value.message


async def test_the_container_opens_what_the_settings_name(broker):
    settings = load_settings(SETTINGS | {"GATEWAY_SERVICEBUS": broker.connection_string})
    queue = connections.open_queue(settings, None)
    await queue.send("jobs", b"{}", message_id="m")
    await queue.close()
    assert len(broker.queue("jobs")) == 1
    assert connections.open_queue(load_settings(SETTINGS), None) is None


async def test_a_late_queue_is_opened_once_by_its_first_message():
    opened = []

    async def connect():
        opened.append(FakeQueue("jobs"))
        return opened[-1]

    queue = LateQueue(connect)
    await queue.close()
    assert opened == []
    await asyncio.gather(*(queue.send("jobs", b"{}", message_id=f"m{number}") for number in range(3)))
    assert [len(each.queues["jobs"]) for each in opened] == [3]
    await queue.close()
    await queue.close()
    assert opened[0].closed


async def test_a_late_queue_that_could_not_be_opened_is_tried_again():
    answers = [Unavailable("not yet"), FakeQueue("jobs")]

    async def connect():
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    queue = LateQueue(connect)
    with pytest.raises(Unavailable, match="not yet"):
        await queue.send("jobs", b"{}", message_id="m")
    await queue.send("jobs", b"{}", message_id="m")


def test_a_late_queue_loads_no_sdk():
    code = "import sys, gateway.adapters.late_queue; sys.exit(any(name.startswith('azure') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
