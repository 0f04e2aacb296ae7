"""Reads a stream of OpenAI's image, transcription and speech operations: typed events, each passed on as it came.

It ends with its `….completed` or `….done` event, one per image; an end before the first of them is a break. Models that do
not stream transcriptions answer whole although a stream was asked for: the client gets that as the `done` event.

Source: OpenAI API reference, streaming events of "Images", "Transcriptions" and "Speech" (read 2026-11-22).
"""

from typing import Any

import msgspec

from gateway.domain.call import Call, Operation, StreamEvent, Usage
from gateway.domain.sse import MAX_EVENT_BYTES, ServerSentEvent, SseParser, frame
from gateway.errors import GatewayError, UpstreamError
from gateway.providers.failures import UNREADABLE, from_stream, interrupted, malformed
from gateway.providers.openai_media import MediaUsage, decode, heard, spoken, used

_DONE = b"[DONE]"
_ENDS = frozenset({"image_generation.completed", "transcript.text.done", "speech.audio.done"})
_OUTPUT = frozenset({"image_generation.partial_image", "image_generation.completed", "transcript.text.delta", "speech.audio.delta"})


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: str | None = None
    usage: MediaUsage | None = None
    error: Any = None


class _Whole(msgspec.Struct, gc=False):
    text: msgspec.Raw
    usage: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_whole = msgspec.json.Decoder(_Whole).decode


class MediaStream:
    """The StreamDecoder of one stream of images, of a transcription's text, or of speech.

    Args:
        call: The client's: how many images it wants, how long its text is.
        limit: The most bytes an unfinished event may hold.
    """

    __slots__ = ("_begun", "_call", "_closed", "_ends", "_limit", "_parser", "_usage", "_whole")

    def __init__(self, call: Call, *, limit: int = MAX_EVENT_BYTES) -> None:
        self._call = call
        self._limit = limit
        self._parser = SseParser(limit)
        self._whole: bytearray | None = None  # an answer that is no stream
        self._usage: Usage | None = None
        self._ends = 0
        self._begun = self._closed = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        events: list[StreamEvent] = []
        if self._closed or not data:
            return events
        if not self._begun:
            self._begun = True
            self._whole = bytearray() if data[0] == 0x7B else None  # no stream of events begins with a brace
        if self._whole is not None:
            self._whole += data
            return [self._fail(malformed("an answer"))] if len(self._whole) > self._limit else events
        for sent in self._parser.feed(data):
            events.append(self._read(sent))
            if self._closed:
                return events
        if self._parser.overflowed:
            events.append(self._fail(malformed("an event")))
        return events

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream: proper after an event that says so, else an error event."""
        if self._closed:
            return []
        if self._whole is not None:
            return [self._read_whole(bytes(self._whole))]
        events = [self._read(sent) for sent in self._parser.feed(b"\n\n")]
        if self._closed:
            return events
        if not self._ends:
            return [*events, self._fail(interrupted())]
        self._closed = True
        return [*events, StreamEvent(b"", done=True)]

    def _fail(self, error: GatewayError) -> StreamEvent:
        self._closed = True
        return StreamEvent(b"", error=error)

    def _read(self, sent: ServerSentEvent) -> StreamEvent:
        if sent.data == _DONE:
            self._closed = True
            return StreamEvent(frame(_DONE), usage=None if self._ends else self._sum(None), done=True)
        try:
            event = _decode_event(sent.data)
        except UNREADABLE:
            return self._fail(malformed("an event"))
        if event.error is not None or event.type == "error":
            return self._fail(from_stream(sent.data))
        data = b"event: " + sent.event + b"\n" + frame(sent.data) if sent.event else frame(sent.data)
        text = event.delta or "" if event.type == "transcript.text.delta" else ""
        if event.type not in _ENDS:
            return StreamEvent(data, text, event.type in _OUTPUT)
        self._ends += 1
        self._closed = self._ends >= self._call.choices
        return StreamEvent(data, content=event.type in _OUTPUT, usage=self._sum(event.usage), done=self._closed)

    def _sum(self, wire: MediaUsage | None) -> Usage:
        """Add an ending event's usage to those before it: every image has its own."""
        operation = self._call.operation
        if operation is Operation.SPEECH:
            return spoken(self._call, wire)
        if operation is Operation.TRANSCRIPTION:
            return heard(wire)
        new, old = used(wire, 1 if self._ends else 0, "images"), self._usage or Usage()
        self._usage = Usage(
            old.prompt_tokens + new.prompt_tokens,
            old.completion_tokens + new.completion_tokens,
            old.cached_tokens + new.cached_tokens,
            units=old.units + new.units,
            unit="images",
        )
        return self._usage

    def _read_whole(self, body: bytes) -> StreamEvent:
        """Make the one event of a stream that is none."""
        if self._call.operation is not Operation.TRANSCRIPTION:
            return self._fail(malformed("an answer"))
        try:
            usage = decode(self._call, body, {}).usage
            whole = _decode_whole(body)
        except (*UNREADABLE, UpstreamError):
            return self._fail(malformed("an answer"))
        event = {"type": "transcript.text.done", "text": whole.text, "usage": whole.usage}
        self._closed = True
        data = msgspec.json.encode({name: value for name, value in event.items() if value is not msgspec.UNSET})
        return StreamEvent(b"event: transcript.text.done\n" + frame(data), content=True, usage=usage, done=True)
