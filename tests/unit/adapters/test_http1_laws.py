"""What holds for every answer, however its bytes are cut: the same result, or one clear error, and never another call's."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.http1 import Connection, State
from gateway.errors import UpstreamError
from tests.fakes.loopback import answer, chunk
from tests.fakes.transport import FakeTransport

FEW = settings(max_examples=150, deadline=None)
type Result = tuple[int, dict[str, str], bytes] | str

VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)
NAMES = st.from_regex(r"x-[a-z0-9!#$%&'*+.^_`|~-]{0,8}", fullmatch=True)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4)
BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=5)
INTERIM = st.lists(st.tuples(st.sampled_from([100, 102, 103]), HEADERS), max_size=2)
EXTENSIONS = st.sampled_from(["", ";a", ";a=b", ';a="c"'])


def head_of(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Reason", *[f"{name.title()}: {value}" for name, value in headers.items()]]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, Result]:
    """Return a proper answer's bytes and what must come of them."""
    interim = b"".join(head_of(status, headers) for status, headers in draw(INTERIM))
    headers, pieces, status = draw(HEADERS), draw(BODIES), draw(st.sampled_from([200, 201, 400, 429, 503]))
    body = b"".join(pieces)
    framing = draw(st.sampled_from(["length", "chunked", "end"]))
    if framing == "length":
        headers["content-length"] = str(len(body))
    elif framing == "chunked":
        headers["transfer-encoding"] = draw(st.sampled_from(["chunked", "Chunked"]))
        framed = [f"{len(piece):X}{draw(EXTENSIONS)}\r\n".encode() + piece + b"\r\n" for piece in pieces]
        trailers = "".join(f"{name}: {value}\r\n" for name, value in draw(HEADERS).items()).encode("latin-1")
        return interim + head_of(status, headers) + b"".join(framed) + b"0\r\n" + trailers + b"\r\n", (status, headers, body)
    return interim + head_of(status, headers) + body, (status, headers, body)


@st.composite
def cuttings(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> list[bytes]:
    data = draw(source)
    cuts = sorted(draw(st.sets(st.integers(1, max(len(data) - 1, 1)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


async def deliver(connection: Connection, transport: FakeTransport, parts: list[bytes]) -> None:
    for part in parts:
        if transport.is_closing():
            return
        connection.data_received(part)
        await asyncio.sleep(0)


async def outcome(connection: Connection) -> Result:
    try:
        await connection.exchange(b"", b"")
        body = b""
        while piece := await connection.piece():
            body += piece
    except UpstreamError as error:
        return error.code if error.retryable else "not retryable"
    return connection.status, connection.headers, body


async def converse(parts: list[bytes], *, until_end: bool = True) -> tuple[Result, Connection, FakeTransport]:
    """Exchange once; the other side says `parts` and then, if the answer is not complete by then, ends."""
    connection, transport = Connection(), FakeTransport()
    connection.connection_made(transport)
    asking = asyncio.ensure_future(outcome(connection))
    await asyncio.sleep(0)
    await deliver(connection, transport, parts)
    if until_end and not connection.complete:
        connection.eof_received()
        connection.connection_lost(None)
    async with asyncio.timeout(5):
        return await asking, connection, transport


@FEW
@given(answers(), st.data())
async def test_an_answer_is_the_same_however_its_bytes_are_cut(given_answer: tuple[bytes, Result], data: st.DataObject) -> None:
    raw, expected = given_answer
    parts = data.draw(cuttings(st.just(raw)))
    assert (await converse(parts))[0] == expected


@FEW
@given(answers(), st.data())
async def test_an_answer_that_is_cut_off_is_never_taken_for_a_whole_one(given_answer: tuple[bytes, Result], data: st.DataObject) -> None:
    raw, expected = given_answer
    parts = data.draw(cuttings(st.just(raw[: data.draw(st.integers(0, len(raw) - 1))])))
    result, connection, _ = await converse(parts)
    ends_with_connection = not {"content-length", "transfer-encoding"} & set(expected[1])  # type: ignore[arg-type]
    assert result == "upstream_interrupted" or ends_with_connection
    assert not connection.reusable


@FEW
@given(answers(), st.binary(min_size=1, max_size=60) | answers().map(lambda pair: pair[0]), st.data())
async def test_what_follows_an_answer_never_becomes_the_next_ones(
    given_answer: tuple[bytes, Result], extra: bytes, data: st.DataObject
) -> None:
    raw, expected = given_answer
    if not {"content-length", "transfer-encoding"} & set(expected[1]):  # type: ignore[arg-type]
        return
    result, connection, transport = await converse(data.draw(cuttings(st.just(raw + extra))), until_end=False)
    assert result == expected
    assert not connection.reusable or not extra.strip(b"\r\n")
    if connection.reusable:  # blank lines between messages are allowed
        connection.rest(0)
        asking = asyncio.ensure_future(outcome(connection))
        await asyncio.sleep(0)
        await deliver(connection, transport, [answer(b"mine")])
        assert await asking == (200, {"content-length": "4"}, b"mine")
    else:
        assert transport.aborted
        assert await outcome(connection) == "upstream_interrupted"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return an answer with a stretch of it overwritten."""
    raw = draw(answers())[0]
    at = draw(st.integers(0, len(raw)))
    junk = draw(st.binary(max_size=8) | st.sampled_from([b"\r\n", b"\0", b"\r\n\r\n", b"\r\n ", b"-1", b"ffffffffffffffff", b": "]))
    return raw[:at] + junk + raw[at + draw(st.integers(0, 8)) :]


@FEW
@given(cuttings(st.binary(max_size=200) | damaged()))
async def test_garbage_is_an_answer_or_one_clear_error_and_never_hangs(parts: list[bytes]) -> None:
    result, connection, transport = await converse(parts)
    if isinstance(result, str):
        assert result in ("upstream_interrupted", "upstream_malformed")
        assert connection.state is State.CLOSED
        assert not connection.reusable
    else:
        assert 200 <= result[0] < 600
        assert not any(set(value) & set("\r\n\0") for value in result[1].values())
    assert connection.reusable or connection.state is not State.IDLE or transport.aborted


@FEW
@given(st.lists(st.binary(min_size=1, max_size=50), min_size=2, max_size=6))
async def test_exchanges_that_follow_each_other_get_each_its_own(bodies: list[bytes]) -> None:
    connection, transport = Connection(), FakeTransport()
    connection.connection_made(transport)
    for number, body in enumerate(bodies):
        raw = answer(body) if number % 2 else b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(body) + b"0\r\nt: 1\r\n\r\n"
        asking = asyncio.ensure_future(outcome(connection))
        await asyncio.sleep(0)
        await deliver(connection, transport, [raw])
        result = await asking
        assert result[2] == body
        assert "t" not in result[1]
        assert connection.reusable
        connection.rest(0)
