import gzip
import zlib
from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ClientDisconnected, GatewayError, PayloadTooLarge, RequestError, UnsupportedMediaType
from gateway.routes.body import INFLATE_STEP_BYTES, BodyReader

LIMIT = 1000
GONE = b"<gone>"


class Body:
    """ASGI's receive over the pieces of a body; counts what was taken."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.taken = 0

    async def receive(self) -> MutableMapping[str, Any]:
        piece = self.pieces[self.taken]
        self.taken += 1
        if piece is GONE:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": self.taken < len(self.pieces)}


async def read(pieces: Sequence[bytes], limit: int = LIMIT, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await BodyReader(Body(*pieces).receive, named, limit).read()


async def fault(pieces: Sequence[bytes], limit: int = LIMIT, **headers: str) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await read(pieces, limit, **headers)
    return caught.value


@pytest.mark.parametrize("pieces", [[b"{}"], [b"{", b"}"], [b"", b"{}", b""], [b""]])
async def test_a_body_is_the_sum_of_its_pieces(pieces: list[bytes]) -> None:
    reader = BodyReader(Body(*pieces).receive, {}, LIMIT)
    assert not reader.finished
    assert await reader.read() == b"".join(pieces)
    assert reader.finished


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json", " application/json ;x=y"]
)
async def test_json_is_read_under_any_of_its_names(media_type: str) -> None:
    assert await read([b"{}"], content_type=media_type) == b"{}"


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", "", "json", "application/jsonx", "x" * 10_000])
async def test_another_media_type_is_refused(media_type: str) -> None:
    error = await fault([b"{}"], content_type=media_type)
    assert isinstance(error, UnsupportedMediaType)
    assert error.param == "content-type"
    assert len(error.message) < 200


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd", "x" * 10_000])
async def test_another_content_coding_is_refused(coding: str) -> None:
    error = await fault([b"{}"], content_encoding=coding)
    assert isinstance(error, UnsupportedMediaType)
    assert error.param == "content-encoding"


@pytest.mark.parametrize("coding", ["identity", "", "IDENTITY "])
async def test_no_coding_at_all_is_taken(coding: str) -> None:
    assert await read([b"{}"], content_encoding=coding) == b"{}"


async def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert len(await read([b"x" * LIMIT])) == LIMIT
    assert isinstance(await fault([b"x" * LIMIT, b"x"]), PayloadTooLarge)


async def test_what_is_announced_too_large_is_not_even_read() -> None:
    body = Body(b"x")
    with pytest.raises(PayloadTooLarge):
        await BodyReader(body.receive, {"content-length": "1001"}, LIMIT).read()
    assert body.taken == 0


@pytest.mark.parametrize("announced", ["1", "", "-5", "abc", "\u00b2", "9" * 400, "0x1"])
async def test_what_is_announced_is_never_trusted(announced: str) -> None:
    error = await fault([b"x" * LIMIT, b"x"], content_length=announced)
    assert isinstance(error, PayloadTooLarge)


async def test_reading_stops_at_the_limit() -> None:
    body = Body(*[b"x" * 400] * 100)
    with pytest.raises(PayloadTooLarge):
        await BodyReader(body.receive, {}, LIMIT).read()
    assert body.taken == 3


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([0, 1, INFLATE_STEP_BYTES, 2 * INFLATE_STEP_BYTES]), st.integers(-300, 300), st.binary(max_size=64))
async def test_gzip_is_inflated_whatever_its_size(around: int, offset: int, seed: bytes) -> None:
    text = (seed or b"\0") * (1 + (around + offset) // len(seed or b"\0")) if around + offset > 0 else b""
    packed = gzip.compress(text)
    assert await read([packed[:7], packed[7:]], limit=4 * INFLATE_STEP_BYTES, content_encoding="gzip") == text


async def test_a_bomb_is_never_held() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000, 9)
    assert isinstance(await fault([bomb], limit=len(bomb), content_encoding="GZIP"), PayloadTooLarge)


async def test_the_limit_counts_inflated_bytes() -> None:
    assert len(await read([gzip.compress(b"x" * LIMIT)], content_encoding="gzip")) == LIMIT
    assert isinstance(await fault([gzip.compress(b"x" * (LIMIT + 1))], content_encoding="gzip"), PayloadTooLarge)


PACKED = gzip.compress(b"{}", mtime=0)  # the same in every test process
BROKEN = [
    b"",
    b"{}",
    PACKED[:-1],
    PACKED[:5],
    PACKED + b"x",
    PACKED + PACKED,
    zlib.compress(b"{}"),
    PACKED[:-5] + b"\0\0\0\0\0",
    b"\x1f\x8b",
]


@pytest.mark.parametrize("data", BROKEN)
async def test_broken_gzip_is_the_clients_fault(data: bytes) -> None:
    error = await fault([data], content_encoding="gzip")
    assert (type(error), error.code) == (RequestError, "invalid_gzip")


@pytest.mark.parametrize("pieces", [[GONE], [b"{", GONE]])
async def test_a_client_that_goes_away_while_it_sends_is_noticed(pieces: list[bytes]) -> None:
    assert isinstance(await fault(pieces), ClientDisconnected)
