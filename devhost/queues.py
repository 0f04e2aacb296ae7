"""The queues beside the gateway on one machine: an emulated Service Bus, started where it is asked for or needed."""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devhost.functions import AppError

QUEUES = ("alerts",)
_CONNECTIONS = ("GATEWAY_SERVICEBUS", "GATEWAY_SERVICEBUS__fullyQualifiedNamespace")


def needed() -> bool:
    """Tell whether the settings name a queue, and no Service Bus that has it."""
    return bool(os.environ.get("GATEWAY_ALERTS_QUEUE")) and not any(map(os.environ.get, _CONNECTIONS))


@asynccontextmanager
async def service_bus(*, wanted: bool, data: Path) -> AsyncIterator[str | None]:
    """Run the queues, tell the app where they are, and yield the connection string.

    They are `alerts` and whatever queue the settings name, keep their messages in the data folder, and end after the gateway.

    Raises:
        AppError: Their file cannot be used, or the settings name another Service Bus.
    """
    if not wanted and not needed():
        yield None
        return
    if any(map(os.environ.get, _CONNECTIONS)):
        raise AppError(f"--service-bus starts queues here, but {' or '.join(_CONNECTIONS)} names others: leave one of them out")
    from devhost.servicebus.broker import Broker
    from devhost.servicebus.terms import Options

    names = {*QUEUES, os.environ.get("GATEWAY_ALERTS_QUEUE") or QUEUES[0]}
    try:
        broker = Broker({name: Options() for name in sorted(names)}, data / "servicebus.db")
    except sqlite3.Error as error:
        raise AppError(f"cannot keep queues in {data / 'servicebus.db'}: {error}") from error
    async with broker.listening():
        os.environ["GATEWAY_SERVICEBUS"] = broker.connection_string
        try:
            yield broker.connection_string
        finally:
            del os.environ["GATEWAY_SERVICEBUS"]
