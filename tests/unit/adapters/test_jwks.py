"""Fetching a key set, from a server on loopback."""

import tracemalloc
from collections.abc import AsyncIterator

import pytest

from gateway.access.jwks import SigningKeys
from gateway.adapters import jwks as adapter
from gateway.adapters.jwks import MAX_BYTES, KeySetEndpoint, keys_url
from gateway.errors import Unavailable
from tests.fakes.certificates import serving, trusting
from tests.fakes.clock import FakeClock
from tests.fakes.entra import KID, TENANT, jwks
from tests.fakes.loopback import CHUNKED, CUT, END, HANG, Loopback, Piece, answer, chunk, loopback


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with loopback() as server:
        yield server


async def fault(server: Loopback, *pieces: Piece) -> str:
    server.will(*pieces)
    with pytest.raises(Unavailable) as caught:
        await KeySetEndpoint(f"{server.url}/keys").fetch()
    assert caught.value.code == "identity_unavailable"
    assert server.url not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("pieces", [[answer(jwks())], [CHUNKED, *[chunk(jwks()[at : at + 7]) for at in range(0, len(jwks()), 7)], END]])
async def test_a_key_set_comes_whole_in_however_many_pieces(server: Loopback, pieces: list[bytes]) -> None:
    server.will(*pieces)
    keys = SigningKeys(KeySetEndpoint(f"{server.url}/keys").fetch, TENANT, FakeClock())
    assert await keys.key(KID) is not None
    assert (server.received[0].method, server.received[0].target) == ("GET", "/keys")
    assert "authorization" not in server.received[0].headers


async def test_over_https_only_who_is_trusted_is_believed() -> None:
    async with loopback(tls=serving()) as server:
        server.will(answer(jwks()))
        assert await KeySetEndpoint(f"{server.url}/keys", trusting()).fetch() == jwks()
        with pytest.raises(Unavailable, match="ClientConnectorCertificateError"):
            await KeySetEndpoint(f"{server.url}/keys").fetch()
        assert len(server.received) == 1


@pytest.mark.parametrize("status", ["404 Gone", "204 Nothing", "206 Part", "429 Slow", "500 Broken"])
async def test_any_answer_but_200_is_none(server: Loopback, status: str) -> None:
    assert f"answered {status[:3]}" in await fault(server, answer(b"" if status[0] == "2" else jwks(), status))


async def test_a_redirect_is_not_followed(server: Loopback) -> None:
    assert "answered 302" in await fault(server, answer(b"", "302 Elsewhere", f"location: {server.url}/other"))
    assert len(server.received) == 1


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(server: Loopback) -> None:
    tracemalloc.start()
    try:
        message = await fault(server, CHUNKED, *[chunk(b"#" * MAX_BYTES)] * 40, HANG)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"over {MAX_BYTES} bytes" in message
    assert peak < 16 * MAX_BYTES


@pytest.mark.parametrize("pieces", [[CUT], [b"nonsense\r\n\r\n", HANG], [answer(jwks())[:-5], CUT]], ids=["head", "no HTTP", "body"])
async def test_half_a_key_set_is_none(server: Loopback, pieces: list[bytes]) -> None:
    assert await fault(server, *pieces)


@pytest.mark.parametrize("pieces", [[HANG], [answer(jwks())[:-5], HANG]], ids=["head", "body"])
async def test_a_server_that_does_not_finish_is_not_waited_for(
    server: Loopback, pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "TIMEOUT_S", 0.2)
    assert "TimeoutError" in await fault(server, *pieces)


@pytest.mark.parametrize("url", ["http://keys.example/", "http://127.0.0.1.example/", "ftp://127.0.0.1/", "file:///keys", "keys", ""])
def test_only_https_or_loopback_is_asked(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        KeySetEndpoint(url)


@pytest.mark.parametrize("url", ["https://a..b/c", "https://127.0.0.1:99999/", "https:///c"])
async def test_an_address_that_is_none_is_unavailable(url: str) -> None:
    with pytest.raises(Unavailable):
        await KeySetEndpoint(url).fetch()


def test_each_tenant_has_its_own_place() -> None:
    assert keys_url("", TENANT) == f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"
    assert keys_url("http://127.0.0.1:1/{tid}/keys", TENANT) == f"http://127.0.0.1:1/{TENANT}/keys"
    assert keys_url("https://x.example/keys", TENANT) == "https://x.example/keys"
