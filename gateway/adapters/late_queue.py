"""A JobQueue that is opened by its first message, because what opens it is half a second of a cold start."""

from collections.abc import Awaitable, Callable

from gateway.adapters.late import Late
from gateway.ports import JobQueue


class LateQueue:
    """Stands for a queue until it is needed.

    Args:
        connect: Opens it; what it raises is raised by the send that needed it, and the next one tries again.
    """

    def __init__(self, connect: Callable[[], Awaitable[JobQueue]]) -> None:
        self._late = Late(connect)

    async def send(self, queue: str, body: bytes, *, message_id: str, content_type: str = "application/json", subject: str = "") -> None:
        """Put a message into a queue; see the port."""
        opened = await self._late.get()
        await opened.send(queue, body, message_id=message_id, content_type=content_type, subject=subject)

    async def close(self) -> None:
        """Let connections go, if there are any. Safe to call twice."""
        await self._late.close()
