import itertools
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.eventstream import EventMessage, EventStreamParser
from tests.fakes.eventstream import framed, header, message

texts = st.text(max_size=10)
names = st.text(st.characters(codec="ascii"), min_size=1, max_size=10)
messages = st.builds(EventMessage, st.dictionaries(names, texts, max_size=3), st.binary(max_size=40))

# The vectors that AWS's SDKs share, as raw bytes.
VECTORS = [
    (b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff", {}, b""),
    (b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96", {}, b"{'foo':'bar'}"),
    (
        b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
        {"content-type": "application/json"},
        b"{'foo':'bar'}",
    ),
    (
        (
            b"\x00\x00\x00\x62\x00\x00\x00\x52\x03\xb5\xcb\x9c"
            b"\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00\x03\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05"
            b"\x016\x06\x00\x05bytes\x017\x07\x00\x04utf8"
            b"\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef"
            b"\x63\x35\x36\x71"
        ),
        {"7": "utf8"},
        b"",
    ),
]
EMPTY = VECTORS[0][0]


def written(each: EventMessage) -> bytes:
    return message(dict(each.headers), each.payload)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def read(pieces: list[bytes], limit: int = 1 << 20) -> tuple[list[EventMessage], bool, bool]:
    parser = EventStreamParser(limit)
    found = [each for piece in pieces for each in parser.feed(piece)]
    return found, parser.broken, parser.unfinished


@pytest.mark.parametrize(("raw", "headers", "payload"), VECTORS)
def test_reads_the_shared_vectors(raw: bytes, headers: dict[str, str], payload: bytes) -> None:
    assert read([raw]) == ([EventMessage(headers, payload)], False, False)


def test_keeps_text_headers_and_steps_over_all_other_types() -> None:
    sizes = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
    others = b"".join(header(b"n%d" % kind, kind, b"\xff" * size) for kind, size in sizes.items())
    others += header(b"bytes", 6, struct.pack(">H", 3) + b"\xff\x00a")
    raw = message({":event-type": "metadata", "é": "ü"}, b"{}", others + header(b"last", 7, struct.pack(">H", 1) + b"x"))
    assert read([raw])[0] == [EventMessage({":event-type": "metadata", "é": "ü", "last": "x"}, b"{}")]


@given(st.lists(messages, max_size=5), st.lists(st.integers(0), max_size=8))
def test_reads_back_what_was_written_wherever_it_is_cut(sent: list[EventMessage], places: list[int]) -> None:
    assert read(cut(b"".join(map(written, sent)), places)) == (sent, False, False)


@given(st.lists(messages, min_size=1, max_size=3), st.integers(0), st.integers(1, 255))
def test_one_wrong_byte_breaks_the_stream_from_its_message_on(sent: list[EventMessage], place: int, flip: int) -> None:
    raw = bytearray(b"".join(map(written, sent)))
    place %= len(raw)
    raw[place] ^= flip
    whole = sum(1 for end in itertools.accumulate(len(written(each)) for each in sent) if end <= place)
    found, broken, _ = read([bytes(raw)])
    assert found == sent[:whole]
    assert broken


@given(st.binary(max_size=60), st.lists(st.binary(max_size=20), max_size=4))
def test_takes_any_bytes(headers: bytes, pieces: list[bytes]) -> None:
    assert read(pieces) == read([b"".join(pieces)])
    found, broken, unfinished = read([framed(headers, b"x")])  # framed well, whatever the headers hold
    assert (len(found) == 1, broken, unfinished) in ((True, False, False), (False, True, False))


@given(messages, st.integers(1))
def test_a_message_that_is_cut_off_is_unfinished(sent: EventMessage, missing: int) -> None:
    raw = written(sent)
    kept = raw[: len(raw) - missing % (len(raw) - 1) - 1]
    assert read([kept]) == ([], False, bool(kept))


@pytest.mark.parametrize(
    "raw",
    [
        framed(b"\x05abc"),  # a name longer than the headers
        framed(b"\x01a"),  # no type
        framed(b"\x01a\x0a"),  # a type that does not exist
        framed(b"\x01a\x07\x00"),  # half a length
        framed(b"\x01a\x07\x00\x05abc"),  # a value longer than the headers
        framed(b"\x01a\x07\x00\x02\xff\xfe"),  # a text that is not UTF-8
        framed(b"\x01\xff\x07\x00\x01a"),  # a name that is not
        framed(b"\x01a\x00\x01a\x01"),  # the same name twice
        framed(b"".join(header(name, 6, b"\xff\xff" + b"x" * 65_535) for name in (b"a", b"b", b"c"))),  # too many bytes of them
    ],
)
def test_headers_that_are_none_break_the_stream(raw: bytes) -> None:
    assert read([raw, EMPTY]) == ([], True, False)


@pytest.mark.parametrize(("total", "headers"), [(0, 0), (15, 0), (16, 1), (2**32 - 1, 0), (1001, 0)])
def test_impossible_lengths_break_the_stream_before_anything_is_kept(total: int, headers: int) -> None:
    prelude = struct.pack(">II", total, headers)
    raw = prelude + struct.pack(">I", zlib.crc32(prelude))
    assert read([raw], limit=1000) == ([], True, False)


def test_takes_a_message_of_the_limit_and_none_above() -> None:
    assert len(read([framed(b"", b"x" * 984)], limit=1000)[0]) == 1
    assert read([framed(b"", b"x" * 985)], limit=1000) == ([], True, False)


def test_takes_a_megabyte_byte_by_byte() -> None:  # about a second; quadratic would run into the suite's time limit
    raw = framed(b"", b"x" * 500_000) + framed(b"", b"y" * 10) * 19_000
    assert len(read([raw[i : i + 1] for i in range(len(raw))])[0]) == 19_001
