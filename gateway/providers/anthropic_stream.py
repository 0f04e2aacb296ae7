"""Reads a stream of Anthropic's Messages operation: passed on event by event, or said as chunks of a chat.

    message_start {"message": {"id", "usage", …}} · content_block_start {"index", "content_block"} · content_block_delta {"index",
    "delta": {"type": "text_delta" | "input_json_delta" | "thinking_delta" | "signature_delta" | …}} · content_block_stop ·
    message_delta {"delta": {"stop_reason"}, "usage"} · message_stop · ping · error

Usage counts once the message has its end (`message_delta`): a client that hangs up before is billed by estimate, since the
numbers of `message_start` hold no output. What `message_delta` leaves out, `message_start` has said. New events and deltas
pass on the native way, and mean nothing on the other.

One stream is open, then closed for good: by `message_stop`, by an error, or by its end. An end without `message_stop` is a
proper one if the message had its stop reason; else it is an error.

Source: Claude API reference, "Streaming messages" (read 2026-11-22).
"""

import msgspec

from gateway.domain.call import Call, StreamEvent
from gateway.domain.sse import MAX_EVENT_BYTES, ServerSentEvent, SseParser
from gateway.errors import GatewayError
from gateway.providers.anthropic_answer import (
    WireBlock,
    WireMessage,
    WireUsage,
    finish_reason_of,
    text_of,
    thinking_block,
    usage_of,
)
from gateway.providers.chat_answer import Chunks
from gateway.providers.failures import UNREADABLE, from_stream, interrupted, malformed


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str
    index: int = 0
    message: WireMessage | None = None
    content_block: WireBlock | None = None
    delta: _Delta | None = None
    usage: WireUsage | None = None


_decode = msgspec.json.Decoder(_Event).decode
_STOP = b'{"type":"message_stop"}'


def framed(kind: bytes, data: bytes) -> bytes:
    """Write one event of Anthropic's stream."""
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"event: " + kind + b"\ndata: " + data + b"\n\n"


def _name_of(event: _Event) -> bytes:
    return event.type.encode() if event.type.isascii() and event.type.isidentifier() else b"message"


class MessagesStream:
    """The StreamDecoder of a Messages call: every event as it came, and what we read from it.

    Args:
        limit: The most bytes an unfinished event may hold.
    """

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._parser = SseParser(limit)
        self._closed = False
        self._ended = False  # the message has its stop reason
        self._start: WireUsage | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        events: list[StreamEvent] = []
        if self._closed:
            return events
        for sent in self._parser.feed(data):
            if not sent.data:
                continue
            events += self._read(sent)
            if self._closed:
                return events
        if self._parser.overflowed:
            events.append(self._fail(malformed("an event")))
        return events

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream: nothing where it was closed before, else its end or an error event."""
        if self._closed:
            return []
        # A server that leaves out the blank line after its last event has still sent it, if it is whole.
        rest = [event for sent in self._parser.feed(b"\n\n") for event in self._read(sent)]
        events = [event for event in rest if event.error is None or event.error.code != "upstream_malformed"]
        if events and (events[-1].done or events[-1].error is not None):
            return events
        if not self._ended:
            return [*events, self._fail(interrupted())]
        self._closed = True
        return events + self._stop(ServerSentEvent(_STOP, b"message_stop"))

    def _fail(self, error: GatewayError) -> StreamEvent:
        self._closed = True
        return StreamEvent(b"", error=error)

    def _read(self, sent: ServerSentEvent) -> list[StreamEvent]:
        try:
            event = _decode(sent.data)
            if event.type == "error":
                return [self._fail(from_stream(sent.data))]
            if event.type == "message_stop":
                self._closed = True
                return self._stop(sent)
            if event.type == "message_start" and event.message is not None:
                self._start = event.message.usage
            if event.type == "message_delta" and event.delta is not None and event.delta.stop_reason:
                self._ended = True
            return self._say(event, sent)
        except UNREADABLE:
            return [self._fail(malformed("an event"))]

    def _stop(self, sent: ServerSentEvent) -> list[StreamEvent]:
        return [StreamEvent(framed(b"message_stop", sent.data), done=True)]

    def _say(self, event: _Event, sent: ServerSentEvent) -> list[StreamEvent]:
        data = framed(sent.event or _name_of(event), sent.data)
        block, delta = event.content_block, event.delta
        if event.type == "content_block_start" and block is not None:
            return [StreamEvent(data, block.text or block.thinking or "", bool(block.type == "tool_use" or block.text or block.thinking))]
        if event.type == "content_block_delta" and delta is not None:
            text = delta.text or delta.partial_json or delta.thinking or ""
            return [StreamEvent(data, text, content=bool(text))]
        if event.type == "message_delta":
            usage = usage_of(event.usage, self._start) if event.usage else None
            return [StreamEvent(data, usage=usage, finish_reason=finish_reason_of(delta.stop_reason) if delta else None)]
        return [StreamEvent(data)]


class ChatFromMessages(MessagesStream):
    """The StreamDecoder of a chat call: the same events as chunks.

    Args:
        call: The client's chat.
        limit: The most bytes an unfinished event may hold.
    """

    def __init__(self, call: Call, limit: int = MAX_EVENT_BYTES) -> None:
        super().__init__(limit)
        self._chunks = Chunks(call)
        self._calls: dict[int, int] = {}  # a tool's place among the calls, by its block's index
        self._silent: set[int] = set()  # blocks of tools that have no arguments yet
        self._thoughts: dict[int, WireBlock] = {}  # thinking blocks that are not whole yet

    def _stop(self, sent: ServerSentEvent) -> list[StreamEvent]:  # noqa: ARG002 - whatever the event says, it is the end
        return [self._chunks.done()]

    def _say(self, event: _Event, sent: ServerSentEvent) -> list[StreamEvent]:  # noqa: ARG002 - chunks are made anew
        match event.type:
            case "message_start" if event.message is not None:
                self._chunks.answer_id = event.message.id or self._chunks.answer_id
                return []
            case "content_block_start" if event.content_block is not None:
                return self._begin(event.index, event.content_block)
            case "content_block_delta" if event.delta is not None:
                return self._go_on(event.index, event.delta)
            case "content_block_stop":
                return self._end(event.index)
            case "message_delta":
                reason = finish_reason_of(event.delta.stop_reason, called=bool(self._calls)) if event.delta else None
                events = [self._chunks.end(reason)] if reason else []
                return [*events, self._chunks.usage(usage_of(event.usage, self._start))] if event.usage else events
        return []

    def _begin(self, index: int, block: WireBlock) -> list[StreamEvent]:
        if block.type == "tool_use":
            place = self._calls[index] = len(self._calls)
            arguments = text_of(block)
            if arguments.strip("{} \t\r\n"):  # some servers give all of them at once
                return [self._chunks.tool_call(place, block.id, block.name, arguments)]
            self._silent.add(index)
            return [self._chunks.tool_call(place, block.id, block.name)]
        if block.type in {"thinking", "redacted_thinking"}:
            self._thoughts[index] = block
        if block.type == "text" and block.text:
            return [self._chunks.content(block.text)]
        return [self._chunks.reasoning(block.thinking)] if block.type == "thinking" and block.thinking else []

    def _go_on(self, index: int, delta: _Delta) -> list[StreamEvent]:
        if delta.text:
            return [self._chunks.content(delta.text)]
        if delta.partial_json and index in self._calls:
            self._silent.discard(index)
            return [self._chunks.arguments(self._calls[index], delta.partial_json)]
        thought = self._thoughts.get(index)
        if thought is not None:
            thought.thinking = (thought.thinking or "") + (delta.thinking or "")
            thought.signature = (thought.signature or "") + (delta.signature or "")
        return [self._chunks.reasoning(delta.thinking)] if delta.thinking else []

    def _end(self, index: int) -> list[StreamEvent]:
        if index in self._silent:  # a call without arguments is one of an empty object, which chat clients parse
            self._silent.discard(index)
            return [self._chunks.arguments(self._calls[index], "{}")]
        thought = self._thoughts.pop(index, None)
        signed = thinking_block(thought) if thought is not None else None
        return [self._chunks.delta({"thinking_blocks": [signed]})] if signed else []
