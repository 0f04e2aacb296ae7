import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.sse import ServerSentEvent as Event
from gateway.domain.sse import SseParser, frame

line_text = st.binary(max_size=12).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
eol = st.sampled_from([b"\n", b"\r\n", b"\r"])
field = st.sampled_from([b"data: ", b"data:", b"event: ", b"event:", b"id: ", b"id:", b": ", b":", b"retry: ", b"other: "])
line = st.builds(lambda name, text, end: name + text + end, field, line_text, eol)
any_stream = st.lists(line | eol | st.just(b"data\n") | st.just(b"data: {}\n\n"), max_size=20).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def read(pieces: list[bytes], limit: int = 1 << 20) -> tuple[list[Event], bool]:
    parser = SseParser(limit)
    return [event for piece in pieces for event in parser.feed(piece)], parser.overflowed


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event(b"a")]),
        (b"data:a\n\ndata:  b\n\n", [Event(b"a"), Event(b" b")]),
        (b"data: a\r\rdata: b\r\n\r\n", [Event(b"a"), Event(b"b")]),
        (b"data: a\ndata: b\ndata\n\n", [Event(b"a\nb\n")]),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [Event(b"a")]),
        (b": ping\n\nevent: e\n\ndata: a\n\n", [Event(b"a")]),
        (b"event: e\ndata: a\n\ndata: b\n\n", [Event(b"a", b"e"), Event(b"b")]),
        (b"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", [Event(b"a", id=b"7"), Event(b"b", id=b"7"), Event(b"c")]),
        (b"id: 1\0\ndata: a\n\nretry: 9\nnonsense\n\n", [Event(b"a")]),
        (b"data:\n\ndata: \n\n", [Event(b""), Event(b"")]),
        (b"data: a\n\ndata: cut off\n", [Event(b"a")]),
        (b"data: \n\ndata: a\n\ndata: b\ndata: c\n\n", [Event(b""), Event(b"a"), Event(b"b\nc")]),
    ],
)
def test_reads_as_the_standard_says(stream: bytes, events: list[Event]) -> None:
    assert read([stream])[0] == events
    assert read([stream[i : i + 1] for i in range(len(stream))])[0] == events


@given(any_stream, st.lists(st.integers(0), max_size=8), st.sampled_from([8, 30, 1 << 20]))
def test_events_do_not_depend_on_where_the_stream_is_cut(stream: bytes, places: list[int], limit: int) -> None:
    assert read(cut(stream, places), limit) == read([stream], limit)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_takes_any_bytes(pieces: list[bytes]) -> None:
    assert read(pieces) == read([b"".join(pieces)])


@given(st.lists(line_text | st.builds(lambda a, b: a + b"\n" + b, line_text, line_text), max_size=5), st.lists(st.integers(0), max_size=5))
def test_reads_back_what_frame_writes(payloads: list[bytes], places: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    assert [event.data for event in read(cut(stream, places))[0]] == payloads


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 1_000_000 + b"\n\n", b"data: x\n" * 125_000 + b"\n"])
def test_takes_a_megabyte_byte_by_byte(stream: bytes) -> None:  # quadratic would run into the suite's time limit
    events, overflowed = read([stream[i : i + 1] for i in range(len(stream))], limit=2_000_000)
    assert (len(events), overflowed) == (1, False)


@pytest.mark.parametrize("piece", [b"data: more\n", b"more", b"event: e\n: c\ndata:\n"])
def test_bounds_an_event_that_never_ends(piece: bytes) -> None:
    parser = SseParser(limit=1_000)
    assert parser.feed(b"data: a\n\n") == [Event(b"a")]
    for _ in range(2_000):
        assert parser.feed(piece) == []
    assert parser.overflowed
    assert parser.feed(b"\n\ndata: b\n\n") == []
