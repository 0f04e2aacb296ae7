"""Keys out of a vault on loopback: read once, kept through its outages, rotated under way, and never shown."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from gateway.adapters.keyvault import FAILED_S, KEPT_S, MAX_BYTES, PUBLIC_SUFFIX, REFRESH_S, RETRY_S, KeyVault, secret_url
from gateway.adapters.upstream import PooledUpstream
from gateway.adapters.upstream_aiohttp import AiohttpUpstream
from gateway.adapters.upstream_secrets import SecretUpstream
from gateway.domain.call import UpstreamRequest
from gateway.domain.deployment import Auth, AuthType
from gateway.domain.secret_references import SecretReference
from gateway.errors import Unavailable, UpstreamMisconfigured, UpstreamTimeout
from gateway.ports import UpstreamResponse
from tests.builders import make_backend
from tests.fakes.clock import FakeClock
from tests.fakes.loopback import CHUNKED, END, answer, chunk, loopback
from tests.fakes.vault import TOKEN, VERSION, FakeBackend, FakeVault, served

OLD, NEW = "the-old-key-0001", "the-new-key-0002"
PATH = "/vault/secrets/openai"
REFERENCE = SecretReference("vault", "openai")


async def token_of(auth: Auth) -> str:
    assert (auth.type, auth.scope) == (AuthType.MANAGED_IDENTITY, f"https://{PUBLIC_SUFFIX}/.default")
    return TOKEN


class Scene:
    """A vault, a backend, the clock, and what the gateway has of them."""

    def __init__(self, vault: FakeVault, backend: FakeBackend, kind: type[PooledUpstream] | type[AiohttpUpstream]) -> None:
        self.clock = FakeClock()
        self.vault, self.backend = vault, backend
        self.keys = KeyVault(vault.url, token_of, self.clock)
        self.upstream = SecretUpstream(kind(token_of, self.clock, idle_timeout_s=5), self.keys)
        vault.secrets[PATH] = OLD
        backend.valid = {OLD}

    async def ask(self, auth: Auth | None = None, timeout_s: float = 5) -> UpstreamResponse:
        auth = auth or Auth(type=AuthType.API_KEY, key=str(REFERENCE))
        backend = make_backend(endpoint=self.backend.url, auth=auth)
        return await self.upstream.send(UpstreamRequest(backend, "POST", f"{self.backend.url}/chat", {}, b"{}"), timeout_s)

    async def status(self) -> int:
        response = await self.ask()
        await response.read()
        return response.status

    async def read(self) -> None:
        """Wait for what is being read."""
        reading = self.keys._entries[REFERENCE].reading
        assert reading is not None
        await reading

    async def refused(self) -> UpstreamMisconfigured:
        with pytest.raises(UpstreamMisconfigured) as caught:
            await self.keys.value(REFERENCE)
        return caught.value


@pytest.fixture(params=[PooledUpstream, AiohttpUpstream])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with served(FakeVault()) as vault, served(FakeBackend()) as backend:
        scene = Scene(vault, backend, request.param)
        yield scene
        vault.gate.set()
        await scene.upstream.close()


async def test_many_calls_at_once_read_a_secret_once(scene: Scene) -> None:
    assert await asyncio.gather(*(scene.status() for _ in range(20))) == [200] * 20
    assert scene.vault.asked == [f"{PATH}?api-version=7.4"]
    assert set(scene.backend.seen) == {OLD}


async def test_a_version_is_asked_for_where_the_reference_names_one(scene: Scene) -> None:
    scene.vault.secrets[f"{PATH}/{VERSION}"] = NEW
    assert await scene.keys.value(SecretReference("vault", "openai", VERSION)) == NEW


async def test_a_backend_with_a_plain_key_asks_no_vault(scene: Scene) -> None:
    response = await scene.ask(Auth(type=AuthType.API_KEY, key=OLD))
    assert response.status == 200
    await response.read()
    assert scene.vault.asked == []


async def test_it_is_read_anew_in_the_background_while_the_last_value_serves(scene: Scene) -> None:
    assert await scene.keys.value(REFERENCE) == OLD
    scene.vault.secrets[PATH] = NEW
    scene.clock.advance(REFRESH_S - 1)
    assert await scene.keys.value(REFERENCE) == OLD
    assert len(scene.vault.asked) == 1
    scene.clock.advance(1)
    scene.vault.gate.clear()
    assert [await scene.keys.value(REFERENCE) for _ in range(5)] == [OLD] * 5
    scene.vault.gate.set()
    await scene.read()
    assert await scene.keys.value(REFERENCE) == NEW
    assert len(scene.vault.asked) == 2


async def test_keys_that_overlap_are_rotated_without_a_failed_call(scene: Scene) -> None:
    statuses = [await scene.status() for _ in range(5)]
    scene.backend.valid = {OLD, NEW}
    scene.vault.secrets[PATH] = NEW
    scene.clock.advance(REFRESH_S)
    statuses += await asyncio.gather(*(scene.status() for _ in range(20)))
    await scene.read()
    scene.backend.valid = {NEW}
    statuses += await asyncio.gather(*(scene.status() for _ in range(20)))
    assert statuses == [200] * 45
    assert scene.backend.seen[-20:] == [NEW] * 20


async def test_a_key_that_stopped_working_is_read_again_once_and_no_call_fails(scene: Scene) -> None:
    assert await scene.status() == 200
    scene.backend.valid, scene.vault.secrets[PATH] = {NEW}, NEW
    scene.clock.advance(RETRY_S)
    assert await asyncio.gather(*(scene.status() for _ in range(20))) == [200] * 20
    assert len(scene.vault.asked) == 2


async def test_a_refusal_with_nothing_newer_is_the_answer_and_asks_the_vault_seldom(scene: Scene) -> None:
    scene.backend.valid = set()
    assert [await scene.status() for _ in range(3)] == [401] * 3
    assert len(scene.vault.asked) == 1  # it was read just now
    scene.clock.advance(RETRY_S)
    assert [await scene.status() for _ in range(3)] == [401] * 3
    assert len(scene.vault.asked) == 2
    assert len(scene.backend.seen) == 6  # nothing is sent twice with the same key


async def test_the_last_value_outlives_an_outage_of_a_day_and_no_longer(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    assert await scene.status() == 200
    scene.vault.broken = lambda: web.Response(status=503)
    scene.clock.advance(KEPT_S - 1)
    assert await scene.status() == 200
    await scene.read()
    assert await scene.status() == 200
    assert scene.keys._entries[REFERENCE].reading is None  # not with every call
    assert len(scene.vault.asked) == 2
    assert "its last value is used on" in caplog.text
    scene.clock.advance(RETRY_S)
    await scene.refused()
    scene.vault.broken = None
    scene.clock.advance(FAILED_S)
    assert await scene.status() == 200
    assert OLD not in caplog.text


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda: web.Response(status=403, text=OLD), "Key Vault Secrets User"),
        (lambda: web.Response(status=404), "no such secret"),
        (lambda: web.Response(status=429), "429"),
        (lambda: web.Response(status=302, headers={"location": "/elsewhere"}), "302"),
        (lambda: web.json_response({"valu": OLD}), "holds no secret"),
        (lambda: web.json_response({"value": 12345678}), "holds no secret"),
        (lambda: web.Response(body=b"\xff" + OLD.encode()), "holds no secret"),
        (lambda: web.json_response({"value": "short"}), "fewer than 8"),
        (lambda: web.json_response({"value": f"{OLD}\n"}), "white space"),
        (lambda: web.json_response({"value": f"{OLD}\u00e9"}), "no header can carry"),
        (lambda: web.Response(body=b" " * (MAX_BYTES + 1)), "over"),
    ],
)
async def test_a_secret_that_cannot_be_had_is_told_to_the_operator_alone(
    scene: Scene, caplog: pytest.LogCaptureFixture, broken: Callable[[], web.Response], why: str
) -> None:
    scene.vault.broken = broken
    error = await scene.refused()
    assert error.code == "upstream_auth_failed"
    assert not any(word in error.message for word in ("vault", "openai", "127.0.0.1"))
    assert why in caplog.text
    assert OLD not in caplog.text
    assert TOKEN not in caplog.text
    await scene.refused()
    assert len(scene.vault.asked) == 1  # the next few seconds' calls fail at once
    assert scene.backend.seen == []


async def test_an_identity_without_a_token_and_a_vault_that_is_not_there_are_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def none(auth: Auth) -> str:
        raise Unavailable("no token")

    sources: list[tuple[str, Callable[[Auth], Awaitable[str]]]] = [("http://127.0.0.1:1", token_of), ("http://127.0.0.1:1", none)]
    for suffix, source in sources:
        keys = KeyVault(suffix, source, FakeClock())
        with pytest.raises(UpstreamMisconfigured):
            await keys.value(REFERENCE)
    assert "ClientConnectorError" in caplog.text
    assert "no token" in caplog.text


async def test_a_call_that_cannot_wait_times_out_and_leaves_the_read_to_the_next(scene: Scene) -> None:
    scene.vault.gate.clear()
    with pytest.raises(UpstreamTimeout):
        await scene.ask(timeout_s=0.05)
    scene.vault.gate.set()
    assert await scene.status() == 200
    assert len(scene.vault.asked) == 1


async def test_a_refusal_does_not_wait_for_the_vault_beyond_the_calls_time(scene: Scene) -> None:
    assert await scene.status() == 200
    scene.backend.valid = set()
    scene.clock.advance(RETRY_S)
    scene.vault.gate.clear()
    response = await scene.ask(timeout_s=0.3)
    assert response.status == 401
    response.close()


async def test_a_backend_that_repeats_its_key_is_masked(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    good = await scene.ask()
    assert (good.headers["x-said"], await good.read()) == ("key=***", b'{"echo": "***", "ok": true}')
    scene.backend.valid = set()
    bad = await scene.ask()
    assert (bad.headers["x-said"], await bad.read()) == ("key=***", b'{"error": "*** is not valid"}')
    assert OLD not in caplog.text


async def test_a_key_in_a_query_is_masked_as_it_is_spelled_there(scene: Scene) -> None:
    scene.vault.secrets[PATH] = "a key/with+signs"
    async with loopback() as server:
        server.will(answer(b"a%20key%2Fwith%2Bsigns a+key%2Fwith%2Bsigns a%20key/with%2Bsigns a key/with+signs"))
        auth = Auth(type=AuthType.QUERY, key=str(REFERENCE), name="key")
        backend = make_backend(endpoint=server.url, auth=auth)
        response = await scene.upstream.send(UpstreamRequest(backend, "GET", f"{server.url}/x", {}, b""), 5)
        assert await response.read() == b"*** *** *** ***"
        assert server.received[0].target == "/x?key=a%20key%2Fwith%2Bsigns"


async def test_both_secrets_of_a_signature_come_from_the_vault(scene: Scene) -> None:
    scene.vault.secrets["/vault/secrets/session"] = "the-session-0003"
    async with loopback() as server:
        server.will(answer())
        auth = Auth(
            type=AuthType.AWS_SIGV4, key=str(REFERENCE), key_id="AKID", session_token="keyvault://vault/session", region="eu-west-1"
        )
        response = await scene.upstream.send(UpstreamRequest(make_backend(auth=auth), "GET", f"{server.url}/x", {}, b""), 5)
        await response.read()
        assert server.received[0].headers["x-amz-security-token"] == "the-session-0003"


async def test_a_stream_is_passed_on_as_it_comes(scene: Scene) -> None:
    async with loopback() as server:
        server.will(CHUNKED, chunk(b"data: a"), chunk(b"data: b"), END)
        auth = Auth(type=AuthType.BEARER, key=str(REFERENCE))
        response = await scene.upstream.send(UpstreamRequest(make_backend(auth=auth), "GET", f"{server.url}/x", {}, b""), 5)
        assert b"".join([piece async for piece in response.chunks()]) == b"data: adata: b"
        assert server.received[0].headers["authorization"] == f"Bearer {OLD}"


async def test_the_host_is_the_vaults_in_the_cloud_that_is_set() -> None:
    assert secret_url("vault.azure.cn", REFERENCE) == "https://vault.vault.azure.cn/secrets/openai"
    scopes: list[str] = []

    async def none(auth: Auth) -> str:
        scopes.append(auth.scope)
        raise Unavailable("no token")

    with pytest.raises(UpstreamMisconfigured):
        await KeyVault("vault.azure.cn", none, FakeClock()).value(REFERENCE)
    assert scopes == ["https://vault.azure.cn/.default"]
