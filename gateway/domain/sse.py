"""Server-sent events, from bytes in any pieces to events: the WHATWG parsing rules, sans-IO.

The result never depends on where the network cut the stream, and time is linear in its length. A line ends with CR, LF or
CRLF; `data` lines of one event are joined with LF; `event` and `id` are kept, `retry`, comments and unknown fields are
dropped; an event without `data` is none. An event that the stream's end cuts off is discarded.

Values stay bytes: decoding UTF-8 is the business of whoever reads the JSON in them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.
"""

import re

import msgspec

MAX_EVENT_BYTES = 16 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_EOL = re.compile(rb"\r\n|\r|\n")


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event: its joined data, its type (empty means `message`) and the last id the stream gave."""

    data: bytes
    event: bytes = b""
    id: bytes = b""


class SseParser:
    """The state of one stream.

    Args:
        limit: The most bytes an unfinished event may hold; past it `overflowed` is true and nothing is read any more.
    """

    __slots__ = ("_after_cr", "_data", "_event", "_first", "_held", "_id", "_limit", "_tail", "overflowed")

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self.overflowed = False
        self._limit = limit
        self._tail = bytearray()  # the line that has not ended
        self._data: list[bytes] = []  # the data lines of the event that has not ended
        self._held = 0  # their bytes
        self._event = b""
        self._id = b""
        self._first = True  # the stream's first line may begin with a BOM
        self._after_cr = False  # a LF that comes next belongs to that CR

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes and return the events they complete."""
        if not (self._tail or self._data or self._after_cr or self._event or self._id or self.overflowed):
            whole = _whole_events(data)
            if whole is not None and len(data) <= self._limit:
                self._first = False
                return whole
        return self._feed_lines(data)

    def _feed_lines(self, data: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        if self.overflowed or not data:
            return events
        if self._after_cr and data[0] == 0x0A:
            data = data[1:]
            self._after_cr = False
            if not data:
                return events
        self._after_cr = data[-1] == 0x0D
        *lines, rest = _EOL.split(data)
        for line in lines:
            self._tail += line
            if self._over_limit():
                return events
            full = bytes(self._tail)
            self._tail.clear()
            if self._first:
                self._first = False
                full = full.removeprefix(_BOM)
            if full:
                self._field(full)
            else:
                self._dispatch(events)
        self._tail += rest
        self._over_limit()
        return events

    def _over_limit(self) -> bool:
        self.overflowed = self._held + len(self._tail) > self._limit
        if self.overflowed:
            self._tail.clear()
            self._data.clear()
        return self.overflowed

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._held += len(value) + 1  # the LF that joins it also counts, so that empty lines are bounded too
        elif name == b"event":
            self._event = value
        elif name == b"id" and b"\0" not in value:
            self._id = value

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            events.append(ServerSentEvent(b"\n".join(self._data), self._event, self._id))
            self._data = []
            self._held = 0
        self._event = b""


def _whole_events(data: bytes) -> list[ServerSentEvent] | None:
    """Read what nearly every read from a model's backend is: whole events of one `data: ` line each; None for all else."""
    if not (data.startswith(b"data: ") and data.endswith(b"\n\n")) or b"\r" in data:
        return None
    if data.find(b"\n") == len(data) - 2:
        return [ServerSentEvent(data[6:-2])]
    parts = data[6:-2].split(b"\n\ndata: ")
    if data.count(b"\n") != 2 * len(parts):
        return None
    return [ServerSentEvent(part) for part in parts]


def frame(data: bytes) -> bytes:
    """Write one event's data as bytes of a stream."""
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"data: " + data + b"\n\n"
