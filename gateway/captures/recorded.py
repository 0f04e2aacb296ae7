"""A street's outside for a call that is run again: backends that answer as they did then, and a store that keeps nothing.

`RecordedUpstream` gives what the backend answered in the captured call, whoever is asked. `Recorded` encodes for whom the street
chose and reads the answer in the protocol that it was given in, so a call can be run again over backends of another protocol.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from gateway.captures.record import Captured, Heard
from gateway.domain.access import Principal
from gateway.domain.call import Call, Completion, Inbound, UpstreamRequest
from gateway.domain.deployment import Deployment
from gateway.domain.tables import Entity, Page, Value, Write
from gateway.errors import UpstreamError, UpstreamRejected
from gateway.ports import Provider, StreamDecoder


class RecordedResponse:
    """See `ports.UpstreamResponse`."""

    def __init__(self, heard: Heard) -> None:
        self.status = heard.status
        self.headers: Mapping[str, str] = {"content-type": heard.content_type} if heard.content_type else {}
        self._body = heard.body

    async def read(self) -> bytes:
        """Return the body."""
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body, in one piece."""
        yield self._body

    def close(self) -> None:
        """Nothing is held."""


class RecordedUpstream:
    """Answers as the captured call was answered; see `ports.Upstream`. Nothing goes out."""

    def __init__(self, captured: Captured) -> None:
        self._heard = captured.heard

    async def send(self, request: UpstreamRequest, timeout_s: float) -> RecordedResponse:  # noqa: ARG002 - the port's signature
        """Return the recorded answer.

        Raises:
            UpstreamRejected: `not_recorded`: none was kept, or not all of it.
        """
        if self._heard is None or not self._heard.complete:
            raise UpstreamRejected("no complete answer was recorded for this call", status=502, code="not_recorded")
        return RecordedResponse(self._heard)


class Recorded:
    """A provider that encodes as one protocol says and reads as another does; see `ports.Provider`."""

    def __init__(self, asked: Provider, answered: Provider) -> None:
        self._asked = asked
        self._answered = answered

    def encode(self, call: Call, deployment: Deployment) -> UpstreamRequest:
        """Build the request for whom the street chose."""
        return self._asked.encode(call, deployment)

    def decode(self, call: Call, body: bytes, headers: Mapping[str, str]) -> Completion:
        """Read the recorded answer."""
        return self._answered.decode(call, body, headers)

    def decoder(self, call: Call) -> StreamDecoder:
        """Make what reads the recorded stream."""
        return self._answered.decoder(call)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Say what the recorded failure means."""
        return self._answered.classify(status, headers, body)


class KnownCallers:
    """Knows the callers of captured calls, by request; stands for `access.authenticate.Authenticator`."""

    def __init__(self) -> None:
        self.callers: dict[str, Principal] = {}

    async def authenticate(self, inbound: Inbound) -> Principal:
        """Return who made the captured call."""
        return self.callers[inbound.request_id]


class Collected:
    """Keeps records for the report; stands for `metering.records.Recorder`."""

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}

    def add(self, record: Any) -> None:
        """Take a usage record."""
        self.records[record.request_id] = record


class Nowhere:
    """A store in which nothing is found and nothing stays; see `ports.Tables`."""

    async def get(self, table: str, partition: str, row: str) -> Entity | None:  # noqa: ARG002 - the port's signatures
        """Find nothing."""
        return None

    async def insert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:  # noqa: ARG002
        """Take it, and forget it."""
        return "0"

    async def upsert(self, table: str, partition: str, row: str, values: Mapping[str, Value]) -> str:  # noqa: ARG002
        """Take it, and forget it."""
        return "0"

    async def replace(self, table: str, partition: str, row: str, values: Mapping[str, Value], etag: str) -> str:  # noqa: ARG002
        """Take it, and forget it."""
        return "0"

    async def delete(self, table: str, partition: str, row: str, etag: str = "*") -> None:
        """Do nothing."""

    async def transact(self, table: str, partition: str, writes: Sequence[Write]) -> list[str | None]:  # noqa: ARG002
        """Take them, and forget them."""
        return ["0" for _ in writes]

    async def query(
        self,
        table: str,  # noqa: ARG002
        *,
        partition: str | None = None,  # noqa: ARG002
        partition_from: str | None = None,  # noqa: ARG002
        partition_below: str | None = None,  # noqa: ARG002
        row_from: str | None = None,  # noqa: ARG002
        row_below: str | None = None,  # noqa: ARG002
        limit: int = 1000,  # noqa: ARG002
        continuation: str | None = None,  # noqa: ARG002
    ) -> Page:
        """Find nothing."""
        return Page([], None)

    async def close(self) -> None:
        """Nothing is held."""
