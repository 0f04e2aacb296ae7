"""Something outside that is connected by the first that needs it, because what connects it is a part of a cold start."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol


class Closes(Protocol):
    """What holds connections."""

    async def close(self) -> None:
        """Let them go."""


class Late[T: Closes]:
    """Connects once.

    Args:
        connect: What it raises is raised by whoever needed it, and the next one tries again.
    """

    def __init__(self, connect: Callable[[], Awaitable[T]]) -> None:
        self._connect = connect
        self._connected: T | None = None
        self._connecting = asyncio.Lock()

    async def get(self) -> T:
        """Return it, connected."""
        async with self._connecting:
            if self._connected is None:
                self._connected = await self._connect()
            return self._connected

    async def close(self) -> None:
        """Let its connections go, if there are any. Safe to call twice."""
        connected, self._connected = self._connected, None
        if connected is not None:
            await connected.close()
