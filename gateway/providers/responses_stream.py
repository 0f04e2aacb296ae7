"""Reads a stream of OpenAI's Responses operation, event by event.

An event goes to the client as the upstream wrote it, with its `event:` line. The stream ends with `response.completed`,
`response.incomplete`, `response.failed` or `response.cancelled`, which hold the usage; there is no `[DONE]`, and one that a
server sends all the same is dropped. An `error` event, and a response that failed for the backend's own reasons, are errors:
before any output another deployment may do better, and after it the client reads of it in our words, not the backend's. A
response that failed for the client's reasons is an answer.

Source: OpenAI API reference, "Streaming events" of Responses (read 2026-11-22).
"""

import re
from typing import Any

import msgspec

from gateway.domain.call import StreamEvent
from gateway.domain.sse import MAX_EVENT_BYTES, ServerSentEvent, SseParser, frame
from gateway.providers.failures import UNREADABLE, from_stream, interrupted, malformed
from gateway.providers.responses_answer import WireResponse, failure_of, finish_reason_of, made_in_background, usage_of

_DONE = b"[DONE]"
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
# What carries output and is no `….delta`.
_OUTPUT = frozenset({"response.image_generation_call.partial_image"})
_NO_TEXT = frozenset({"response.audio.delta", "response.output_audio.delta"})  # base64
_NAME = re.compile(r"[A-Za-z0-9_.]{1,128}")


class _Event(msgspec.Struct, gc=False):
    type: str
    delta: Any = None


class _End(msgspec.Struct, gc=False):
    response: WireResponse


_decode = msgspec.json.Decoder(_Event).decode
_decode_end = msgspec.json.Decoder(_End).decode


def named(name: str, data: bytes) -> bytes:
    """Write an event of a name as bytes of a stream."""
    return b"event: " + name.encode() + b"\n" + frame(data)


class ResponsesStream:
    """The StreamDecoder of one response.

    Args:
        billed: All that it used is to be paid for; of a stored response only what was made in the background.
        limit: The most bytes an unfinished event may hold.
    """

    __slots__ = ("_billed", "_closed", "_parser")

    def __init__(self, *, billed: bool = True, limit: int = MAX_EVENT_BYTES) -> None:
        self._billed = billed
        self._parser = SseParser(limit)
        self._closed = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        events: list[StreamEvent] = []
        if self._closed:
            return events
        for sent in self._parser.feed(data):
            if not sent.data or sent.data == _DONE:
                continue
            event = self._read(sent)
            events.append(event)
            if event.done or event.error is not None:
                self._closed = True
                return events
        if self._parser.overflowed:
            self._closed = True
            events.append(StreamEvent(b"", error=malformed("an event")))
        return events

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream: nothing where it was closed before, else the last event or an error."""
        if self._closed:
            return []
        # A server that leaves out the blank line after its last event has still sent it, if it is whole.
        rest = [event for event in self.feed(b"\n\n") if event.error is None or event.error.code != "upstream_malformed"]
        if rest and (rest[-1].done or rest[-1].error is not None):
            return rest
        self._closed = True
        return [*rest, StreamEvent(b"", error=interrupted())]

    def _read(self, sent: ServerSentEvent) -> StreamEvent:
        data = sent.data
        try:
            event = _decode(data)
            kind = event.type
            if kind in _ENDS:
                return self._end(kind, data)
        except UNREADABLE:
            return StreamEvent(b"", error=malformed("an event"))
        if kind == "error":
            return StreamEvent(b"", error=from_stream(data))
        framed = named(kind, data) if _NAME.fullmatch(kind) else frame(data)
        if kind.endswith(".delta"):
            text = event.delta if isinstance(event.delta, str) and kind not in _NO_TEXT else ""
            return StreamEvent(framed, text, bool(event.delta))
        return StreamEvent(framed, content=kind in _OUTPUT)

    def _end(self, kind: str, data: bytes) -> StreamEvent:
        answer = _decode_end(data).response
        usage = usage_of(answer.usage) if answer.usage else None
        if not self._billed:
            usage = made_in_background(answer)
        if self._billed and (failure := failure_of(answer)) is not None:
            return StreamEvent(b"", usage=usage, error=failure)
        return StreamEvent(named(kind, data), usage=usage, finish_reason=finish_reason_of(answer), done=True)
