"""Connection against everything a backend can do wrong, byte by byte, without a socket."""

import asyncio

import pytest

from gateway.adapters.http1 import MAX_HEADER_BYTES, PAUSE_ABOVE_BYTES, Connection, State, request_head
from gateway.errors import UpstreamError, UpstreamMisconfigured, UpstreamTimeout
from tests.fakes.loopback import CHUNKED, END, answer, chunk
from tests.fakes.transport import FakeTransport

OK = b"HTTP/1.1 200 OK\r\n"
type Pair = tuple[Connection, FakeTransport]


@pytest.fixture
def pair() -> Pair:
    connection, transport = Connection(), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


async def begin(connection: Connection, body: bytes = b"") -> asyncio.Task[None]:
    asking = asyncio.create_task(connection.exchange(b"head", body))
    await asyncio.sleep(0)
    return asking


async def whole(connection: Connection) -> bytes:
    body = b""
    while piece := await connection.piece():
        body += piece
    return body


async def code_of(asking: asyncio.Task[None]) -> str:
    with pytest.raises(UpstreamError) as caught:
        await asking
    return caught.value.code


@pytest.mark.parametrize(
    ("raw", "body", "reusable"),
    [
        (answer(b"ok"), b"ok", True),
        (answer(b"ok", "200"), b"ok", True),
        (CHUNKED + chunk(b"a") + b"1;name=value\r\nb\r\n" + END, b"ab", True),
        (CHUNKED + chunk(b"a") + b"0\r\nx-sum: 9\r\nset-cookie: a\r\n\r\n", b"a", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Hints\r\nlink: a\r\n\r\n" * 3 + answer(b"ok"), b"ok", True),
        (b"HTTP/1.1 103 Hints\r\ncontent-length: 5\r\n\r\n" + answer(b"ok"), b"ok", True),
        (answer(b"ok", "200 OK", "upgrade: h2c", "connection: upgrade"), b"ok", True),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Same\r\ncontent-length: 9\r\n\r\n", b"", True),
        (answer(b"ok", "200 OK", "connection: close"), b"ok", False),
        (answer(b"ok", "200 OK", "connection: close, keep-alive"), b"ok", False),
        (answer(b"ok", "200 OK", "connection: close") + b"more", b"ok", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok", b"ok", True),
        (answer(b"ok") + answer(b"smuggled"), b"ok", False),
        (answer(b"ok") + b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", b"ok", False),
        (answer(b"ok") + b"\0nonsense", b"ok", False),
        (b"HTTP/1.1 204 Nothing\r\ncontent-length: 4\r\n\r\nbody", b"", False),
    ],
)
async def test_reads_an_answer_and_knows_whether_another_may_follow(pair: Pair, raw: bytes, body: bytes, reusable: bool) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(raw)
    await asking
    assert await whole(pair[0]) == body
    assert pair[0].reusable is reusable
    assert pair[1].aborted is not reusable
    assert not {"link", "set-cookie"} & set(pair[0].headers)


@pytest.mark.parametrize("raw", [OK + b"\r\none, two", b"HTTP/1.0 200 OK\r\n\r\none, two", OK + b"connection: close\r\n\r\none, two"])
async def test_a_body_without_a_length_ends_with_the_connection(pair: Pair, raw: bytes) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(raw)
    await asking
    pair[0].eof_received()
    pair[0].connection_lost(None)
    assert await whole(pair[0]) == b"one, two"
    assert not pair[0].reusable


@pytest.mark.parametrize("cause", [None, ConnectionResetError()])
async def test_a_body_without_a_length_that_ends_without_the_other_sides_end_is_cut(pair: Pair, cause: Exception | None) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(OK + b"\r\none")
    await asking
    pair[0].connection_lost(cause)
    assert await pair[0].piece() == b"one"
    with pytest.raises(UpstreamError, match="broke off"):
        await pair[0].piece()


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n" + chunk(b"packed") + END,
        OK + b"transfer-encoding: gzip\r\n\r\npacked",
        OK + b"transfer-encoding: chunked, identity\r\n\r\n",
        CHUNKED.replace(b"chunked", b"chunked \t")[:-2] + b"transfer-encoding: gzip\r\n\r\n",
        OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
        OK + b"content-length: 2, 2\r\n\r\nok",
        OK + b"content-length: -2\r\n\r\nok",
        OK + b"content-length: +2\r\n\r\nok",
        OK + b"content-length:\r\n\r\nok",
        OK + b"content-length: 99999999999999999999999\r\n\r\nok",
        OK + b"content-length : 2\r\n\r\nok",
        OK + b"x: folded\r\n over two\r\ncontent-length: 0\r\n\r\n",
        OK + b"x: a\0b\r\ncontent-length: 0\r\n\r\n",
        OK + b"x\xe9: a\r\ncontent-length: 0\r\n\r\n",
        OK + b": a\r\ncontent-length: 0\r\n\r\n",
        OK + b"x: " + b"a" * MAX_HEADER_BYTES,
        b"HTTP/1.1 103 Hints\r\n\r\n" * (MAX_HEADER_BYTES // 22 + 1),
    ],
)
@pytest.mark.parametrize("step", [1, 1_000_000])
async def test_a_head_that_is_not_proper_is_malformed(pair: Pair, raw: bytes, step: int) -> None:
    asking = await begin(pair[0])
    for at in range(0, len(raw), step):
        if pair[1].aborted:
            break
        pair[0].data_received(raw[at : at + step])
    assert await code_of(asking) == "upstream_malformed"
    assert pair[1].aborted


@pytest.mark.parametrize("tail", [b"fffffffffffffffff\r\na", b"-1\r\na", b"1\na\n", b"1\r\nab\r\n", b"g\r\n", b"\r\n"])
async def test_a_broken_frame_gives_what_came_before_and_then_an_error(pair: Pair, tail: bytes) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(CHUNKED + chunk(b"before"))
    await asking
    pair[0].data_received(tail)
    assert (await pair[0].piece()).startswith(b"before")
    with pytest.raises(UpstreamError) as caught:
        await pair[0].piece()
    assert caught.value.code == "upstream_malformed"


@pytest.mark.parametrize("start", [b"1;", b"0\r\nx: ", b"0\r\n"])
async def test_an_endless_extension_or_trailer_is_not_kept(pair: Pair, start: bytes) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(CHUNKED + start)
    await asking
    sent = 0
    while not pair[1].aborted and sent < 2 * MAX_HEADER_BYTES:
        pair[0].data_received(b"a: b\r\n" * 100 if start.endswith(b"\n") else b"a" * 600)
        sent += 600
    assert sent <= MAX_HEADER_BYTES + 600
    with pytest.raises(UpstreamError):
        await whole(pair[0])


async def test_many_small_chunks_are_no_overhead(pair: Pair) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(CHUNKED)
    await asking
    for _ in range(MAX_HEADER_BYTES // 3):
        pair[0].data_received(b"1\r\na\r\n")
    pair[0].data_received(END)
    assert len(await whole(pair[0])) == MAX_HEADER_BYTES // 3
    assert pair[0].reusable


async def test_header_values_come_as_they_are(pair: Pair) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(OK + b"X-Empty:\r\nX-Word:  Gr\xfc\xdfe \r\ncontent-length: 0\r\n\r\n")
    await asking
    assert pair[0].headers == {"x-empty": "", "x-word": "Grüße", "content-length": "0"}


@pytest.mark.parametrize(("unsent", "size", "status"), [(1, 10, 200), (1, 10, 413), (0, PAUSE_ABOVE_BYTES + 1, 413)])
async def test_a_connection_is_not_used_again_while_our_request_may_be_stuck_in_it(pair: Pair, unsent: int, size: int, status: int) -> None:
    asking = await begin(pair[0], b"x" * size)
    pair[1].unsent = unsent
    pair[0].data_received(answer(b"early", f"{status} Early"))
    await asking
    assert await whole(pair[0]) == b"early"
    assert not pair[0].reusable
    assert pair[1].aborted


async def test_a_large_request_that_was_answered_well_leaves_a_good_connection(pair: Pair) -> None:
    body = b"x" * (PAUSE_ABOVE_BYTES + 1)
    asking = await begin(pair[0], body)
    pair[0].data_received(answer(b"ok"))
    await asking
    assert pair[1].written == b"head" + body
    assert pair[0].reusable


async def test_a_reader_that_stops_stops_the_socket_and_then_gets_every_byte(pair: Pair) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(CHUNKED)
    await asking
    sent = bytearray()
    while not pair[1].paused:
        sent += b"%06d" % len(sent) * 1000
        pair[0].data_received(chunk(bytes(sent[-6000:])))
        assert len(sent) < PAUSE_ABOVE_BYTES + 10_000
    got = await pair[0].piece()
    assert not pair[1].paused
    pair[0].data_received(chunk(b"last") + END)
    assert got + await whole(pair[0]) == bytes(sent) + b"last"
    assert pair[0].reusable


async def test_a_paused_connection_reads_again_when_it_rests(pair: Pair) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(answer(b"x" * (PAUSE_ABOVE_BYTES + 1)))
    await asking
    assert pair[1].paused
    pair[0].rest(0)
    assert not pair[1].paused
    pair[0].data_received(b"late")
    assert not pair[0].reusable


@pytest.mark.parametrize("how", ["data", "end", "reset"])
async def test_a_connection_that_moved_while_idle_is_not_used(pair: Pair, how: str) -> None:
    if how == "data":
        pair[0].data_received(answer(b"unasked"))
    else:
        pair[0].connection_lost(None if how == "end" else ConnectionResetError())
    assert not pair[0].reusable
    assert await code_of(await begin(pair[0])) == "upstream_interrupted"
    assert pair[1].written == b""


async def test_an_end_as_we_send_is_an_interruption_that_may_be_retried(pair: Pair) -> None:
    asking = await begin(pair[0])
    pair[0].eof_received()
    pair[0].connection_lost(None)
    with pytest.raises(UpstreamError) as caught:
        await asking
    assert (caught.value.code, caught.value.retryable) == ("upstream_interrupted", True)


async def test_a_deadline_ends_a_wait_but_not_an_answer_that_is_complete(pair: Pair) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(answer(b"ok"))
    pair[0].fail(UpstreamTimeout("late"))  # in the same turn of the loop
    await asking
    assert await whole(pair[0]) == b"ok"
    assert not pair[0].reusable
    other, transport = Connection(), FakeTransport()
    other.connection_made(transport)
    asking = await begin(other)
    other.fail(UpstreamTimeout("late"))
    other.connection_lost(None)
    assert await code_of(asking) == "upstream_timeout"


@pytest.mark.parametrize("woken", [True, False])
async def test_a_reader_that_is_still_waiting_keeps_the_connection_from_the_next_call(pair: Pair, woken: bool) -> None:
    asking = await begin(pair[0])
    pair[0].data_received(answer(b"four")[:-2])
    await asking
    await pair[0].piece()
    reading = asyncio.create_task(pair[0].piece())
    await asyncio.sleep(0)
    if woken:  # the answer is complete, but its reader has not come to its turn
        pair[0].data_received(b"ur")
        assert pair[0].state is State.IDLE
    assert not pair[0].reusable
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert pair[0].reusable is woken


@pytest.mark.parametrize("bad", ["a\r\nb: c", "a\n", "a\rb", "a\0b", "a\tb", "a\x7fb", "é", "\ud800"])
def test_a_request_that_could_be_read_as_two_is_never_made(bad: str) -> None:
    for target, host, headers in (("/" + bad, "h", {}), ("/", bad, {}), ("/", "h", {"x": bad}), ("/", "h", {bad: "x"}), ("/a b", "h", {})):
        with pytest.raises(UpstreamMisconfigured):
            request_head("POST", target, host, headers, 0)
    assert request_head("POST", "/", "h", {"a": "b c"}, 3) == b"POST / HTTP/1.1\r\nhost: h\r\na: b c\r\ncontent-length: 3\r\n\r\n"
