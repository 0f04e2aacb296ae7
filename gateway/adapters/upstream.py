"""The hot path's door: a pool of HTTP/1.1 connections per worker, bytes in and bytes out.

Nothing is decompressed, parsed or copied here. Credentials are put on at this door. Every network fault becomes an
UpstreamError or UpstreamTimeout whose message names no URL. Redirects are not followed, cookies not kept, and the
environment's proxies not used; `upstream_aiohttp.py` does the same on aiohttp, and one contract suite runs over both.
"""

import asyncio
import functools
import math
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from gateway.adapters.credentials import TokenSource, add_credential
from gateway.adapters.http1 import Connection, request_head
from gateway.domain.call import UpstreamRequest
from gateway.domain.deployment import Auth, AuthType
from gateway.errors import UpstreamError, UpstreamTimeout
from gateway.ports import Clock, Upstream

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 55.0  # less than what load balancers allow, so that they do not close under a request
MAX_ANSWER_BYTES = 128 * 1024 * 1024
REMEMBERED_CHARACTERS = 512  # of a URL: at /ai clients write them, and thousands of long ones would fill the memory
FIXED_HEADERS = {"accept-encoding": "identity", "user-agent": "azure-ai-gateway"}


class Client(Upstream, Protocol):
    """An Upstream with connections of its own."""

    async def close(self) -> None:
        """Let them go."""


class Origin(msgspec.Struct, frozen=True):
    """Where connections of one pool lead."""

    secure: bool
    host: str
    port: int


class Pool:
    """The idle connections to one origin. Once it is closed, connections that were in use do not come back to it."""

    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.closed = False


class PooledResponse:
    """An upstream answer; see `ports.UpstreamResponse`."""

    def __init__(self, connection: Connection, pool: Pool, deadline_s: float, idle_timeout_s: float) -> None:
        self._connection: Connection | None = connection
        self._pool = pool
        self._deadline_s = deadline_s
        self._idle_timeout_s = idle_timeout_s
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers

    async def read(self) -> bytes:
        """Read the whole body."""
        connection = self._open()
        timer = None
        if not connection.complete:
            timer = asyncio.get_running_loop().call_at(self._deadline_s, _expire, connection)
        try:
            body = await connection.piece()
            if not connection.complete or len(body) > MAX_ANSWER_BYTES:
                body = await _rest(connection, body)
        finally:
            if timer is not None:
                timer.cancel()
            self.close()
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives; UpstreamTimeout after too long a silence."""
        connection = self._open()
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        timer: asyncio.TimerHandle

        def watch() -> None:
            # One timer per stream that looks at the last chunk's time, instead of one armed and cancelled per chunk.
            nonlocal timer
            left_s = min(heard_s + self._idle_timeout_s - loop.time(), self._idle_timeout_s)
            if left_s > 0:
                timer = loop.call_later(left_s, watch)
            else:
                message = f"the backend's stream was silent for {self._idle_timeout_s:g} s; retry"
                connection.fail(UpstreamTimeout(message, code="upstream_stream_idle"))

        timer = loop.call_later(self._idle_timeout_s, watch)
        try:
            while data := await connection.piece():
                heard_s = math.inf  # while the reader has it: a slow reader is not the backend's silence
                yield data
                self._open()  # if it was closed meanwhile, the connection may be another call's by now
                heard_s = loop.time()
        finally:
            timer.cancel()
            self.close()

    def close(self) -> None:
        """Let the connection go: back to the pool if the body ended properly, aborted otherwise."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.reusable and not self._pool.closed:
            connection.rest(asyncio.get_running_loop().time())
            self._pool.idle.append(connection)
        else:
            connection.abort()

    def _open(self) -> Connection:
        if self._connection is None:
            raise UpstreamError("the backend's answer was closed before it was read; retry", code="upstream_interrupted")
        return self._connection


class PooledUpstream:
    """The outbound inference network; see `ports.Upstream`.

    Args:
        tokens: Gives the bearer token of a managed identity.
        clock: Tells the time that signatures carry.
        idle_timeout_s: How long a stream may be silent.
    """

    def __init__(self, tokens: TokenSource, clock: Clock, *, idle_timeout_s: float) -> None:
        self._tokens = tokens
        self._clock = clock
        self._idle_timeout_s = idle_timeout_s
        self._pools: defaultdict[Origin, Pool] = defaultdict(Pool)
        self._tls: ssl.SSLContext | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def send(self, request: UpstreamRequest, timeout_s: float) -> PooledResponse:
        """Authenticate and send; return when the headers are here."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        origin, host, target = _split(request.url)
        headers = {**FIXED_HEADERS, **request.headers}
        auth = request.backend.auth
        # The only credential that may have to be waited for.
        token = await self._token(auth, deadline_s) if auth.type is AuthType.MANAGED_IDENTITY else ""
        url = add_credential(request, headers, self._clock, token)
        if url is not request.url:
            target = _parts(url)[2]
        head = request_head(request.method, target, host, headers, len(request.body))
        pool = self._pools[origin]
        connection = self._idle(pool.idle, loop.time()) or await self._connect(origin, deadline_s)
        timer = loop.call_at(deadline_s, _expire, connection)
        try:
            await connection.exchange(head, request.body)
        except BaseException:
            connection.abort()
            raise
        finally:
            timer.cancel()
        return PooledResponse(connection, pool, deadline_s, self._idle_timeout_s)

    async def close(self) -> None:
        """Close all idle connections; those in use end with their answers."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for pool in self._pools.values():
            pool.closed = True
            for connection in pool.idle:
                connection.abort()
        self._pools.clear()

    async def _token(self, auth: Auth, deadline_s: float) -> str:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await self._tokens(auth)
        except TimeoutError as exc:
            raise UpstreamTimeout("the gateway's identity got no token in time; retry") from exc

    def _idle(self, idle: list[Connection], now_s: float) -> Connection | None:
        while idle:
            connection = idle.pop()  # the one used last: it is the least likely to be closed by now
            if connection.reusable and now_s - connection.idle_since_s < KEEPALIVE_S:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, deadline_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        if origin.secure and self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)  # it reads the system's certificates
        if self._sweeping is None:
            self._sweeping = loop.call_later(KEEPALIVE_S, self._sweep)
        tls = self._tls if origin.secure else None
        try:
            async with asyncio.timeout_at(min(loop.time() + CONNECT_TIMEOUT_S, deadline_s)):
                _, connection = await loop.create_connection(Connection, origin.host, origin.port, ssl=tls)
        except TimeoutError as exc:
            raise UpstreamTimeout("the backend could not be reached in time; retry", code="upstream_connect_timeout") from exc
        except (OSError, ValueError) as exc:  # ssl.SSLError is the one; the other: a name that cannot be one, such as a..b
            raise UpstreamError("the backend could not be reached; retry", code="upstream_unreachable") from exc
        return connection

    def _sweep(self) -> None:
        """Close what has been idle for too long, so that a burst's connections do not stay for ever."""
        loop = asyncio.get_running_loop()
        for pool in self._pools.values():
            kept = [each for each in pool.idle if each.reusable and loop.time() - each.idle_since_s < KEEPALIVE_S]
            for connection in set(pool.idle).difference(kept):
                connection.abort()
            pool.idle[:] = kept
        self._sweeping = loop.call_later(KEEPALIVE_S, self._sweep)  # even if all are in use now: they will come back


def _expire(connection: Connection) -> None:
    connection.fail(UpstreamTimeout("the backend did not answer in time; retry, or raise x-gateway-timeout-ms"))


async def _rest(connection: Connection, body: bytes) -> bytes:
    pieces = [body]
    size = len(body)
    while body:
        if size > MAX_ANSWER_BYTES:
            raise UpstreamError(f"the backend's answer is over {MAX_ANSWER_BYTES} bytes; ask for less", code="upstream_malformed")
        body = await connection.piece()
        pieces.append(body)
        size += len(body)
    return b"".join(pieces)


def _parts(url: str) -> tuple[Origin, str, str]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    origin = Origin(secure=secure, host=parts.hostname or "", port=parts.port or (443 if secure else 80))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return origin, parts.netloc, target


_remembered = functools.lru_cache(maxsize=4096)(_parts)  # never for a URL that holds a secret


def _split(url: str) -> tuple[Origin, str, str]:
    return _remembered(url) if len(url) <= REMEMBERED_CHARACTERS else _parts(url)
