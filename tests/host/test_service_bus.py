"""The queues beside the embedded host: there when they are asked for or needed, kept in its folder, and otherwise absent."""

import asyncio
import subprocess
import sys
from pathlib import Path

from gateway.adapters.queue import connect
from tests.host.conftest import RunHost


def send(location: str, queue: str, message_id: str) -> None:
    async def work() -> None:
        sender = connect(location)
        await sender.send(queue, b"{}", message_id=message_id)
        await sender.close()

    asyncio.run(work())


def waiting(location: str, queue: str) -> list[str | None]:
    from azure.servicebus import ServiceBusClient

    with ServiceBusClient.from_connection_string(location) as client, client.get_queue_receiver(queue) as receiver:
        return [message.message_id for message in receiver.peek_messages(100)]


def test_queues_keep_their_messages_when_the_host_is_started_again(run_host: RunHost, tmp_path: Path) -> None:
    arguments = ("--service-bus", "--data", str(tmp_path / "kept"), "--no-simulator")
    first = run_host(*arguments)
    send(first.service_bus, "alerts", "m")  # type: ignore[attr-defined]
    assert first.stop() == 0
    again = run_host(*arguments)
    assert waiting(again.service_bus, "alerts") == ["m"]  # type: ignore[attr-defined]


def test_a_queue_that_the_settings_name_is_there_without_being_asked_for(run_host: RunHost) -> None:
    host = run_host("--no-simulator", settings={"GATEWAY_ALERTS_QUEUE": "spikes"})
    send(host.service_bus, "spikes", "m")  # type: ignore[attr-defined]
    assert waiting(host.service_bus, "spikes") == ["m"]  # type: ignore[attr-defined]


def test_without_a_need_there_are_no_queues_and_nothing_of_them_is_loaded(run_host: RunHost) -> None:
    assert run_host("--no-simulator").service_bus is None  # type: ignore[attr-defined]
    code = (
        "import sys, devhost.__main__; sys.exit(any(name.startswith(('azure.servicebus', 'devhost.servicebus')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_two_places_for_queues_are_one_too_many(run_host: RunHost) -> None:
    string = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=k;SharedAccessKey=s;UseDevelopmentEmulator=true;"
    host = run_host("--service-bus", settings={"GATEWAY_SERVICEBUS": string})
    assert host.wait() == 1
    assert "leave one of them out" in host.errors()


def test_a_file_that_cannot_keep_queues_is_said_at_the_start(run_host: RunHost, tmp_path: Path) -> None:
    (tmp_path / "kept" / "servicebus.db").mkdir(parents=True)
    host = run_host("--service-bus", "--data", str(tmp_path / "kept"), "--no-simulator")
    assert host.wait() == 1
    assert "cannot keep queues" in host.errors()
