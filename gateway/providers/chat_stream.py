"""What all decoders of translated server-sent events have in common: pieces in, events out, one proper end.

One stream is open, then closed for good: by its last event, by an error, or by its end. Whatever follows is ignored. An
event that the end of the stream cuts off is read if it is whole.
"""

import abc
from collections.abc import Iterator

from gateway.domain.call import StreamEvent
from gateway.domain.sse import MAX_EVENT_BYTES, SseParser
from gateway.errors import UpstreamError
from gateway.providers.failures import UNREADABLE, malformed


class ChatStream(abc.ABC):
    """The StreamDecoder of one stream; a protocol says what its events mean.

    Args:
        limit: The most bytes an unfinished event may hold.
    """

    __slots__ = ("_closed", "_parser")

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._parser = SseParser(limit)
        self._closed = False

    @abc.abstractmethod
    def _read(self, data: bytes) -> Iterator[StreamEvent]:
        """Turn one event into the client's. May raise UpstreamError, and whatever msgspec raises on garbage."""

    @abc.abstractmethod
    def _ending(self) -> Iterator[StreamEvent]:
        """Say what the end of the upstream's stream means where no event ended it."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        events: list[StreamEvent] = []
        if self._closed:
            return events
        for sent in self._parser.feed(data):
            if sent.data:
                self._take(self._read(sent.data), events)
            if self._closed:
                return events
        if self._parser.overflowed:
            self._closed = True
            events.append(StreamEvent(b"", error=malformed("an event")))
        return events

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream: nothing where it was closed before."""
        events: list[StreamEvent] = []
        if self._closed:
            return events
        for sent in self._parser.feed(b"\n\n"):
            self._take(self._read(sent.data), events)
        if events and events[-1].error is not None and events[-1].error.code == "upstream_malformed":
            events.pop()  # cut off in its middle
            self._closed = False
        if not self._closed:
            self._take(self._ending(), events)
        self._closed = True
        return events

    def _take(self, made: Iterator[StreamEvent], events: list[StreamEvent]) -> None:
        try:
            for event in made:
                events.append(event)
                if event.done or event.error is not None:
                    self._closed = True
                    return
        except UpstreamError as error:
            self._closed = True
            events.append(StreamEvent(b"", error=error))
        except UNREADABLE:
            self._closed = True
            events.append(StreamEvent(b"", error=malformed("an event")))
