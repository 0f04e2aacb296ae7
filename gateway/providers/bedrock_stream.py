"""Reads a ConverseStream, message by message, and says it as chunks of a chat.

    messageStart, (contentBlockStart?, contentBlockDelta…, contentBlockStop)…, messageStop, metadata

Only calls of tools begin with a contentBlockStart. A call without arguments gets `{}`, which clients can parse. The chunk of the
usage and `[DONE]` come when both messageStop and metadata were there, or at the stream's end if it was a proper one: after
messageStop. Messages of `exception` and `error` type break the stream; what they mean is `bedrock_failures.py`'s.

Source: AWS Bedrock API reference, ConverseStream: ConverseStreamOutput; smithy.io, "Event stream" message types (read 2026-11-22).
"""

from collections.abc import Iterator

import msgspec

from gateway.domain.call import Call, StreamEvent
from gateway.domain.sse import MAX_EVENT_BYTES
from gateway.errors import UpstreamError
from gateway.providers.bedrock_answer import WireUsage, finish_reason_of, thinking_blocks, usage_of
from gateway.providers.bedrock_failures import from_stream
from gateway.providers.chat_answer import Chunks
from gateway.providers.eventstream import EventMessage, EventStreamParser
from gateway.providers.failures import UNREADABLE, interrupted, malformed


class _ToolUseStart(msgspec.Struct, gc=False, rename="camel"):
    tool_use_id: str
    name: str


class _Start(msgspec.Struct, gc=False, rename="camel"):
    tool_use: _ToolUseStart | None = None


class _ToolUseDelta(msgspec.Struct, gc=False):
    input: str = ""


class _ReasoningDelta(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _ToolUseDelta | None = None
    reasoning_content: _ReasoningDelta | None = None


class _Event(msgspec.Struct, gc=False, rename="camel"):
    """Every event's members: which of them are there is said by `:event-type`."""

    content_block_index: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str = ""
    usage: WireUsage | None = None


class _Call:
    """A call of a tool that has begun: its position among the calls, and whether it has arguments yet."""

    __slots__ = ("has_arguments", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self.has_arguments = False


_decode = msgspec.json.Decoder(_Event).decode


class BedrockStream:
    """The StreamDecoder of one stream.

    Args:
        call: The client's.
        limit: The most bytes a message may have, and the most characters all reasoning of the answer.
    """

    __slots__ = ("_calls", "_chunks", "_closed", "_kept", "_limit", "_parser", "_stopped", "_thoughts", "_told_usage")

    def __init__(self, call: Call, limit: int = MAX_EVENT_BYTES) -> None:
        self._chunks = Chunks(call)
        self._parser = EventStreamParser(limit)
        self._limit = limit
        self._calls: dict[int, _Call] = {}  # by the index of their block
        self._thoughts: dict[int, list[_ReasoningDelta]] = {}
        self._kept = 0  # characters of thoughts
        self._stopped = self._told_usage = self._closed = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        events: list[StreamEvent] = []
        if self._closed:
            return events
        for message in self._parser.feed(data):
            try:
                events += self._read(message)
            except UpstreamError as error:
                return [*events, self._fail(error)]
            except UNREADABLE:
                return [*events, self._fail(malformed("an event"))]
            if self._stopped and self._told_usage:
                self._closed = True
                return [*events, self._chunks.done()]
        if self._parser.broken:
            events.append(self._fail(malformed("an event")))
        return events

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream: nothing where it was closed before, else `[DONE]` or an error event."""
        if self._closed:
            return []
        self._closed = True
        if self._stopped and not self._parser.unfinished:
            return [self._chunks.done()]
        return [self._fail(interrupted())]

    def _fail(self, error: UpstreamError) -> StreamEvent:
        self._closed = True
        return StreamEvent(b"", error=error)

    def _read(self, message: EventMessage) -> Iterator[StreamEvent]:
        kind = message.headers.get(":message-type")
        if kind != "event":
            raise from_stream(message.headers, message.payload)
        event = _decode(message.payload or b"{}")
        match message.headers.get(":event-type"):
            case "contentBlockStart":
                yield from self._begin(event)
            case "contentBlockDelta":
                yield from self._delta(event)
            case "contentBlockStop":
                yield from self._end(event.content_block_index)
            case "messageStop":
                self._stopped = True
                yield self._chunks.end(finish_reason_of(event.stop_reason, calls=bool(self._calls)))
            case "metadata" if event.usage is not None:
                self._told_usage = True
                yield self._chunks.usage(usage_of(event.usage))

    def _begin(self, event: _Event) -> Iterator[StreamEvent]:
        if event.start is not None and event.start.tool_use is not None:
            use = event.start.tool_use
            call = self._calls[event.content_block_index] = _Call(len(self._calls))
            yield self._chunks.tool_call(call.position, use.tool_use_id, use.name)

    def _delta(self, event: _Event) -> Iterator[StreamEvent]:
        delta = event.delta
        if delta is None:
            return
        if delta.text:
            yield self._chunks.content(delta.text)
        elif delta.tool_use is not None and delta.tool_use.input:
            call = self._calls.get(event.content_block_index)
            if call is None:
                raise malformed("arguments of a call that did not begin")
            call.has_arguments = True
            yield self._chunks.arguments(call.position, delta.tool_use.input)
        elif delta.reasoning_content is not None:
            self._think(event.content_block_index, delta.reasoning_content)
            if delta.reasoning_content.text:
                yield self._chunks.reasoning(delta.reasoning_content.text)

    def _think(self, index: int, piece: _ReasoningDelta) -> None:
        """Keep the thought until it ends, because its signature covers all of it."""
        self._thoughts.setdefault(index, []).append(piece)
        self._kept += 1 + sum(len(text or "") for text in (piece.text, piece.signature, piece.redacted_content))
        if self._kept > self._limit:
            raise malformed("more reasoning than anybody reads")

    def _end(self, index: int) -> Iterator[StreamEvent]:
        call, thought = self._calls.get(index), self._thoughts.pop(index, None)
        if call is not None and not call.has_arguments:
            call.has_arguments = True
            yield self._chunks.arguments(call.position, "{}")
        if thought is not None:
            text, signature, redacted = (
                "".join(getattr(piece, name) or "" for piece in thought) for name in _ReasoningDelta.__struct_fields__
            )
            for block in thinking_blocks(text, signature, redacted):
                yield self._chunks.delta({"thinking_blocks": [block]}, content=False)
