"""The seams: what the gateway asks of the world, as Protocols, and nothing else.

Each has at least two real implementations (a fake counts), one contract suite runs over all of them, and only
`gateway/adapters/` may talk to the outside. Methods raise members of `gateway.errors` only.
"""

import datetime
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from gateway.domain.call import Call, Completion, StreamEvent, UpstreamRequest
from gateway.domain.deployment import Deployment
from gateway.domain.tables import Entity, Page, Value, Write
from gateway.domain.verdicts import Analysis
from gateway.errors import UpstreamError


class StreamDecoder(Protocol):
    """Turns an upstream's stream into client events. Holds the state of one stream; never shared."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream: what was left over, or an error event if it broke off."""


class Provider(Protocol):
    """One wire protocol, sans-IO: bytes in, bytes out, no sockets, no clocks, no secrets."""

    def encode(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Build the upstream request. Idempotent: it runs once per attempt. Credentials are the Upstream's business."""

    def decode(self, call: Call, body: bytes, headers: Mapping[str, str]) -> Completion:
        """Read a complete 2xx answer; raises UpstreamError where it is not what the protocol promises."""

    def decoder(self, call: Call) -> StreamDecoder:
        """Make the decoder of one stream."""

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Say what an answer outside 2xx means. Header names are in lower case."""


class UpstreamResponse(Protocol):
    """An answer whose headers have arrived and whose body has not yet been read."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case."""

    async def read(self) -> bytes:
        """Read the whole body; raises UpstreamTimeout or UpstreamError."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives, in whatever pieces the network delivers."""

    def close(self) -> None:
        """Let the connection go; aborts it if the body was not read to its end. Safe to call twice."""


class Upstream(Protocol):
    """The whole outbound inference network."""

    async def send(self, request: UpstreamRequest, timeout_s: float) -> UpstreamResponse:
        """Authenticate and send; return when the headers are here. Raises UpstreamTimeout or UpstreamError."""


class Tables(Protocol):
    """Table Storage's semantics: point reads, conditional writes, entity-group transactions, ordered pages.

    Tables are made on first use. Limits are checked before anything is sent (`gateway.domain.tables`). Raises
    EntityExists, EntityChanged, RequestError (a limit) and StoreUnavailable; after the last nobody knows whether a write
    was done: read again before counting.
    """

    async def get(self, table: str, partition: str, row: str) -> Entity | None:
        """Read one row; None where there is none."""

    async def insert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        """Write a new row and return its ETag; EntityExists where there is one."""

    async def upsert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:
        """Write the row whole, whatever was there, and return its ETag."""

    async def replace(self, table: str, partition: str, row: str, values: Mapping[str, Value], etag: str) -> str:
        """Write the row whole if its ETag still is `etag` (`*`: if it exists); EntityChanged otherwise."""

    async def delete(self, table: str, partition: str, row: str, etag: str = "*") -> None:
        """Delete the row if its ETag still is `etag`; EntityChanged otherwise, also where there is no row."""

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:
        """Do all of up to 100 writes in one partition, or none; returns the new ETags (None for a delete)."""

    async def query(
        self,
        table: str,
        *,
        partition: str | None = None,
        partition_from: str | None = None,
        partition_below: str | None = None,
        row_from: str | None = None,
        row_below: str | None = None,
        limit: int = 1000,
        continuation: str | None = None,
    ) -> Page:
        """Read up to `limit` (≤ 1000) rows, ordered by (partition, row); the page after the last row may be empty.

        Reads one `partition`, which wins, or those in [partition_from, partition_below); of each the rows in [row_from,
        row_below); all of it where nothing is given. `continuation` is what the page before returned.
        """

    async def close(self) -> None:
        """Let connections and files go."""


class Blobs(Protocol):
    """Blob storage: whole objects by name. Raises NotFound, EntityExists, RequestError (a bad name) and StoreUnavailable."""

    async def put(
        self, container: str, name: str, data: bytes, *, content_type: str = "application/octet-stream", overwrite: bool = True
    ) -> str:
        """Write the whole blob, atomically, and return its ETag; EntityExists if it is there and `overwrite` is false."""

    async def get(self, container: str, name: str) -> bytes:
        """Read the whole blob; NotFound where there is none."""

    async def delete(self, container: str, name: str) -> bool:
        """Delete the blob; False where there was none."""

    async def list(self, container: str, prefix: str = "", *, limit: int = 1000, after: str | None = None) -> list[str]:
        """Return up to `limit` names with the prefix, ordered by code point, after the name `after`."""

    async def close(self) -> None:
        """Let connections go."""


class Spool(Protocol):
    """Where entries wait on this machine, beyond the end of the process, until a store takes them. Never raises."""

    async def append(self, entries: Sequence[bytes]) -> int:
        """Keep entries; return how many of them, from the first on, are safe: fewer where it is full or faulty."""

    async def take(self) -> tuple[str, list[bytes]] | None:
        """Return the name and the entries of a part that no other living process holds; None where there is none.

        A part that was taken is returned again until it is done with.
        """

    async def done(self, name: str) -> None:
        """Forget a part that was taken."""

    async def close(self) -> None:
        """Let it go, and keep what is in it. Safe to call twice."""


class JobQueue(Protocol):
    """Queues whose messages others take. Raises Unavailable (send it again under the same id), NotFound and RequestError (too large)."""

    async def send(self, queue: str, body: bytes, *, message_id: str, content_type: str = "application/json", subject: str = "") -> None:
        """Put a message into a queue; receivers and the queue itself may drop an id that they have seen."""

    async def close(self) -> None:
        """Let connections go."""


class Webhook(Protocol):
    """Somebody who wants to be told by HTTP."""

    async def post(self, body: bytes, *, message_id: str, content_type: str) -> None:
        """Tell them; Unavailable unless they confirmed it. The same id may come twice."""

    async def close(self) -> None:
        """Let connections go."""


class ContentSafety(Protocol):
    """Azure AI Content Safety. Each text has at most 10,000 characters. Raises GuardrailUnavailable."""

    async def analyze(
        self, text: str, *, categories: Sequence[str], blocklists: Sequence[str] = (), halt_on_blocklist: bool = False, levels: int = 4
    ) -> Analysis:
        """Grade a text by category (`Hate`, `SelfHarm`, `Sexual`, `Violence`), and look for a blocklist's items."""

    async def shield(self, prompt: str, documents: Sequence[str] = ()) -> tuple[bool, tuple[bool, ...]]:
        """Tell whether the prompt, and each of at most 5 documents (10,000 characters together), holds an attack."""

    async def protected_material(self, text: str) -> bool:
        """Tell whether a text holds known text that is somebody's."""

    async def groundedness(self, text: str, sources: Sequence[str], *, query: str, domain: str, task: str) -> tuple[float, tuple[str, ...]]:
        """Return which share of a text is not founded in its sources, 0 to 1, and why."""

    async def close(self) -> None:
        """Let connections go."""


class Clock(Protocol):
    """The only time that exists."""

    def now_s(self) -> float:
        """Return seconds on a monotonic clock."""

    def utc(self) -> datetime.datetime:
        """Return the aware UTC time of day."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
