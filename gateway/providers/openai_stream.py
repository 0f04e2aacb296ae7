"""Reads a stream of OpenAI's chat and completions operations, chunk by chunk: the hot path of every streamed token.

A chunk goes to the client as the upstream wrote it. Two things change, and only where the client did not ask for usage
itself (we do, wherever we can): the chunk without choices that holds usage is withheld, and `usage`, null or not, is cut
out of the others. Content that is no text is made one (`openai_content.py`).
Azure's first chunk (`prompt_filter_results`, no choices) is part of its protocol and passes. Comments are dropped.

One stream is open, then closed for good: by `[DONE]`, by an error, or by its end. Whatever follows is ignored. An end
without `[DONE]` is a proper one if every choice had its finish reason, and the client gets the `[DONE]`; else it is an error.
"""

from typing import Any

import msgspec

from gateway.domain.call import Call, Operation, StreamEvent
from gateway.domain.splice import drop
from gateway.domain.sse import MAX_EVENT_BYTES, SseParser, frame
from gateway.errors import GatewayError
from gateway.ports import StreamDecoder
from gateway.providers.failures import UNREADABLE, from_stream, interrupted, malformed
from gateway.providers.openai_answer import WireMessage, WireUsage, text_of, usage_of
from gateway.providers.openai_content import joined
from gateway.providers.responses_answer import OPERATIONS as RESPONSES
from gateway.providers.responses_stream import ResponsesStream

_DONE = b"[DONE]"
_NULL_USAGE = b',"usage":null'


class _Choice(msgspec.Struct, gc=False):
    index: Any = 0
    delta: WireMessage | None = None
    finish_reason: str | None = None
    text: str | None = None  # of completions


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: WireUsage | msgspec.UnsetType | None = msgspec.UNSET  # null is not the same as absent: it is to be cut out
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


def decoder_of(call: Call) -> StreamDecoder:
    """Make the decoder of one stream of any operation."""
    if call.operation in RESPONSES:
        return ResponsesStream(billed=call.operation is Operation.RESPONSES)
    return OpenAIStream(include_usage=call.include_usage, choices=call.choices)


class OpenAIStream:
    """The StreamDecoder of one chat stream.

    Args:
        include_usage: The client asked for the usage chunk itself, so it gets everything as it came.
        choices: How many were asked for.
        limit: The most bytes an unfinished event may hold.
    """

    __slots__ = ("_closed", "_include_usage", "_parser", "_unfinished")

    def __init__(self, *, include_usage: bool, choices: int = 1, limit: int = MAX_EVENT_BYTES) -> None:
        self._include_usage = include_usage
        self._unfinished = set(range(choices))
        self._parser = SseParser(limit)
        self._closed = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        events: list[StreamEvent] = []
        if self._closed:
            return events
        for sent in self._parser.feed(data):
            if not sent.data:
                continue  # some servers keep a connection alive like this
            event = self._read(sent.data)
            events.append(event)
            if event.done or event.error is not None:
                self._closed = True
                return events
        if self._parser.overflowed:
            events.append(self._fail(malformed("an event")))
        return events

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream: nothing where it was closed before, else `[DONE]` or an error event."""
        if self._closed:
            return []
        self._closed = True
        # A server that leaves out the blank line after its last event has still sent it, if it is whole.
        rest = [self._read(sent.data) for sent in self._parser.feed(b"\n\n")]
        events = [event for event in rest if event.error is None or event.error.code != "upstream_malformed"]
        if events and (events[-1].done or events[-1].error is not None):
            return events
        if self._unfinished:
            return [*events, self._fail(interrupted())]
        return [*events, StreamEvent(frame(_DONE), done=True)]

    def _fail(self, error: GatewayError) -> StreamEvent:
        self._closed = True
        return StreamEvent(b"", error=error)

    def _read(self, data: bytes) -> StreamEvent:
        if data == _DONE:
            return StreamEvent(frame(_DONE), done=True)
        try:
            try:
                chunk = _decode(data)
            except msgspec.ValidationError:
                chunk = _decode(data := joined(data))
            if chunk.error is not None:
                return StreamEvent(b"", error=from_stream(data))
            if chunk.usage is not msgspec.UNSET and not self._include_usage:
                if chunk.usage is None:
                    data = without_null_usage(data)
                elif chunk.choices:
                    data = drop(data, "usage")
        except UNREADABLE:
            return StreamEvent(b"", error=malformed("an event"))
        usage = usage_of(chunk.usage) if chunk.usage else None
        choices = chunk.choices
        if not choices:
            withheld = usage is not None and not self._include_usage
            return StreamEvent(b"" if withheld else frame(data), usage=usage)
        content, text, reason = _read_choice(choices[0])
        for choice in choices[1:]:
            more, its_text, its_reason = _read_choice(choice)
            content, text, reason = content or more, text + its_text, reason or its_reason
        if reason:
            self._unfinished.difference_update([choice.index for choice in choices if choice.finish_reason and type(choice.index) is int])
        return StreamEvent(frame(data), text, content, usage, reason)


def _read_choice(choice: _Choice) -> tuple[bool, str, str | None]:
    """Return whether the choice carries output, its text, and its finish reason."""
    delta = choice.delta
    if delta is None:
        return bool(choice.text), choice.text or "", choice.finish_reason
    if delta.tool_calls or delta.refusal or delta.reasoning_content or delta.reasoning or delta.function_call or delta.audio:
        return True, text_of(delta), choice.finish_reason
    text = delta.content
    return bool(text), text or "", choice.finish_reason


def without_null_usage(data: bytes) -> bytes:
    """Cut the top-level member `"usage":null` out of a chunk that has one, leaving all other bytes as they are.

    The quick way takes the last literal spelling, and only if a single `}` follows it: that one closes the document, so the
    member is the document's own. It cannot be the inside of a string, where a quote would have a backslash before it.
    """
    start = data.rfind(_NULL_USAGE)
    end = start + len(_NULL_USAGE)
    if start >= 0 and data[end : end + 1] in (b",", b"}") and data.count(b"}", end) == 1:
        return data[:start] + data[end:]
    return drop(data, "usage")
