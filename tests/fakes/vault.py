"""A Key Vault on loopback that a test fills, rotates and breaks, and a backend that takes the keys it is told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

TOKEN = "token-of-the-gateway"
VERSION = "0123456789abcdef0123456789abcdef"


class FakeVault:
    """Answers `GET /{vault}/secrets/{name}[/{version}]`; `broken` answers instead of it, and `gate` holds its answers back."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.asked: list[str] = []
        self.broken: Callable[[], web.Response] | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        await self.gate.wait()
        if self.broken is not None:
            return self.broken()
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": {"code": "Unauthorized"}}, status=401)
        if request.query.get("api-version") != "7.4":
            return web.json_response({"error": {"code": "BadParameter"}}, status=400)
        value = self.secrets.get(request.path)
        if value is None:
            return web.json_response({"error": {"code": "SecretNotFound"}}, status=404)
        return web.json_response({"value": value, "id": f"{self.url}{request.path}/{VERSION}", "attributes": {"enabled": True}})


class FakeBackend:
    """Takes the keys in `valid`; repeats a key that it refuses, in its body and in a header."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.seen: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        key = request.headers.get("api-key", "")
        self.seen.append(key)
        told = {"x-said": f"key={key}"}
        if key not in self.valid:
            return web.json_response({"error": f"{key} is not valid"}, status=401, headers=told)
        return web.json_response({"echo": key, "ok": True}, headers=told)


@contextlib.asynccontextmanager
async def served[S: (FakeVault, FakeBackend)](server: S) -> AsyncIterator[S]:
    """Serve it on 127.0.0.1, on a port of the system's choice."""
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield server
    finally:
        await runner.cleanup()
