"""The JobQueue port in memory, with the service's limits and duplicate detection, and faults at a test's word."""

from typing import NamedTuple

from gateway.errors import NotFound, RequestError, Unavailable

MAX_BYTES = 256 * 1024


class Sent(NamedTuple):
    """One message in a queue."""

    body: bytes
    message_id: str
    content_type: str
    subject: str


class FakeQueue:
    """See `ports.JobQueue`. `down` makes everything fail; `queues` holds what was sent, by queue."""

    def __init__(self, *names: str) -> None:
        self.queues: dict[str, list[Sent]] = {name: [] for name in names}
        self.down = False
        self.closed = False

    async def send(self, queue: str, body: bytes, *, message_id: str, content_type: str = "application/json", subject: str = "") -> None:
        if len(body) > MAX_BYTES:
            raise RequestError("the message is too large", param="body")
        if not 1 <= len(message_id) <= 128:
            raise RequestError("a message's id must have from 1 to 128 characters", param="message_id")
        if self.down:
            raise Unavailable("the queue did not answer; send it again under the same id")
        if queue not in self.queues:
            raise NotFound(f"there is no queue {queue!r}")
        if message_id not in {each.message_id for each in self.queues[queue]}:
            self.queues[queue].append(Sent(body, message_id, content_type, subject))

    async def close(self) -> None:
        self.closed = True
