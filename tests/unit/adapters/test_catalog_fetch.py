"""Fetching the catalogue over https, from a server on loopback whose certificate the test trusts."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from gateway.adapters import catalog_source
from gateway.adapters.catalog_source import MAX_BYTES, CatalogUnusable, load_catalog
from gateway.domain.catalog import Catalog
from tests.fakes.certificates import serving, trusting
from tests.fakes.loopback import CHUNKED, CUT, END, HANG, Loopback, Piece, answer, chunk, loopback

GOOD = b"""\
version: 1
backends:
  - {id: aoai, protocol: azure-openai, endpoint: "https://x.example.com", auth: {type: api-key, key: "${env:KEY}"}}
deployments:
  - {id: d1, backend: aoai}
models:
  - {id: m1, pool: [{deployment: d1}]}
products:
  - {id: p, models: ["*"]}
"""


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with loopback(tls=serving()) as server:
        yield server


async def fetch(server: Loopback, path: str = "/c.yaml?sig=secret") -> Catalog:
    return await load_catalog(server.url + path, {"KEY": "k"}, trusting())


async def fault(server: Loopback, *pieces: Piece) -> str:
    server.will(*pieces)
    with pytest.raises(CatalogUnusable) as caught:
        await fetch(server)
    assert str(caught.value).startswith(f"{server.url}/c.yaml")
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "pieces",
    [
        [answer(GOOD)],
        [CHUNKED, *[chunk(GOOD[at : at + 1]) for at in range(len(GOOD))], END],
        [answer(gzip.compress(GOOD), "200 OK", "content-encoding: gzip")],
        [answer(GOOD + b"#" * (MAX_BYTES - len(GOOD)))],
    ],
)
async def test_a_catalogue_comes_whole_in_however_many_pieces(server: Loopback, pieces: list[bytes]) -> None:
    server.will(*pieces)
    assert [model.id for model in (await fetch(server)).models] == ["m1"]
    assert (server.received[0].method, server.received[0].target) == ("GET", "/c.yaml?sig=secret")


async def test_a_server_that_nobody_vouches_for_is_not_believed(server: Loopback) -> None:
    with pytest.raises(CatalogUnusable, match="cannot be fetched: ClientConnectorCertificateError"):
        await load_catalog(server.url + "/c.yaml", {})
    assert server.received == []


@pytest.mark.parametrize("status", ["404 Gone", "403 No", "204 Nothing", "206 Part", "500 Broken"])
async def test_any_answer_but_200_is_refused_by_its_number(server: Loopback, status: str) -> None:
    assert f"answered {status[:3]}" in await fault(server, answer(b"" if status[0] == "2" else GOOD, status))


async def test_a_redirect_is_not_followed(server: Loopback) -> None:
    assert "answered 302" in await fault(server, answer(b"", "302 Elsewhere", f"location: {server.url}/other"))
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [answer(b"#" * (MAX_BYTES + 1))],
        [CHUNKED, *[chunk(b"#" * 1024 * 1024)] * 9, HANG],
        [answer(gzip.compress(b"#" * 40 * MAX_BYTES), "200 OK", "content-encoding: gzip")],
    ],
)
async def test_a_catalogue_that_is_too_long_is_not_read_to_its_end(server: Loopback, pieces: list[bytes]) -> None:
    tracemalloc.start()
    try:
        message = await fault(server, *pieces)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"over {MAX_BYTES} bytes" in message
    assert peak < 10 * MAX_BYTES


@pytest.mark.parametrize(
    "pieces",
    [[CUT], [b"nonsense\r\n\r\n", HANG], [answer(GOOD)[:-5], CUT], [CHUNKED, chunk(GOOD), CUT]],
    ids=["head", "no HTTP", "body", "chunks"],
)
async def test_half_a_catalogue_is_none(server: Loopback, pieces: list[bytes]) -> None:
    assert "cannot be fetched" in await fault(server, *pieces)


@pytest.mark.parametrize("pieces", [[HANG], [answer(GOOD)[:-5], HANG]], ids=["head", "body"])
async def test_a_server_that_does_not_finish_is_not_waited_for(
    server: Loopback, pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_source, "FETCH_TIMEOUT_S", 0.2)
    assert "TimeoutError" in await fault(server, *pieces)


async def test_what_is_not_utf_8_is_refused(server: Loopback) -> None:
    assert "not UTF-8" in await fault(server, answer(GOOD + b"# \xff"))


@pytest.mark.parametrize(
    "location", ["https://a..b/c", "https://", "https://127.0.0.1:99999/", "https://[::1", "https://\x7f/", "https:///c"]
)
async def test_an_address_that_is_none_is_refused(location: str) -> None:
    with pytest.raises(CatalogUnusable, match="cannot be fetched"):
        await load_catalog(location, {})
