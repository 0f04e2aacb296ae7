"""Calls a host on somebody else's word: an image of a request, a tool's address. See `egress_rules.py` for who may be called.

Rules: every address that a name leads to is checked, and the connection is made to one of those, so a name cannot change its mind
in between. Redirects are followed only where the caller says so, three at most, and each is judged like the first. Nothing of
ours goes along: no cookies, no credentials, no proxy of the environment. A body is read up to a size; compressed ones are
refused, because a small one may stand for gigabytes.

Must not: name an address that a name leads to, or repeat more of a URL than its host.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.adapters.egress_rules import AllowList, Target, denied, may_reach, target_of
from gateway.errors import PayloadTooLarge, PermissionDenied, Unavailable

MOST_REDIRECTS = 3
TIMEOUT_S = 10.0
_CHUNK_BYTES = 64 * 1024
_MOVED = frozenset({301, 302, 303, 307, 308})


class Fetched(msgspec.Struct, frozen=True):
    """An answer: its HTTP status, whatever that is, its media type in small letters, and its body."""

    status: int
    content_type: str
    body: bytes


class LedAstray(OSError):
    """A name leads to an address that it may not lead to."""


class CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to an address that they may not lead to.

    Args:
        private: Host → whether it may lead to private addresses.
    """

    def __init__(self, private: Mapping[str, bool]) -> None:
        self._resolver = aiohttp.ThreadedResolver()
        self._private = private

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Return all addresses of a name; LedAstray where one of them may not be reached."""
        found = await self._resolver.resolve(host, port, family)
        private = self._private.get(host, False)
        if not found or not all(may_reach(host, each["host"], private=private) for each in found):
            raise LedAstray("the name leads to an address that may not be reached")
        return found

    async def close(self) -> None:
        """Let it go."""
        await self._resolver.close()


class Egress:
    """Calls hosts that are on the list.

    Args:
        allowed: See `egress_rules.AllowList`.
        tls: Whom to trust, if not those whom the system trusts.
    """

    def __init__(self, allowed: tuple[str, ...], tls: ssl.SSLContext | None = None) -> None:
        self._allowed = AllowList(allowed)
        self._tls = tls

    def check(self, url: str) -> Target:
        """Judge a URL before anything is sent; what its name leads to is judged when it is called.

        Raises:
            PermissionDenied: `egress_denied`: it may not be called.
        """
        return target_of(url, self._allowed)

    async def fetch(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_s: float = TIMEOUT_S,
        redirects: int = 0,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        """Call it, and read the answer.

        Args:
            url: Whom.
            max_bytes: The most that the answer's body may be.
            timeout_s: How long all of it may take, in seconds.
            redirects: How many may be followed, at most `MOST_REDIRECTS`; of a GET alone.
            method: HTTP's.
            body: What is sent.
            headers: What else is sent; not passed on to another host.

        Raises:
            PermissionDenied: `egress_denied`: it, or where it redirects to, may not be called.
            PayloadTooLarge: The answer is over `max_bytes`.
            Unavailable: There was no answer that can be used in time.
        """
        target = self.check(url)
        left = min(redirects, MOST_REDIRECTS) if method == "GET" else 0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    moved = await self._exchange(target, method, body, headers or {}, max_bytes)
                    if isinstance(moved, Fetched):
                        return moved
                    if left == 0:
                        raise denied(f"{target.host!r} redirects, and no further redirect is followed")
                    left -= 1
                    target, headers = self._next(target, moved, headers)
        except TimeoutError as exc:
            raise Unavailable(f"{target.host!r} did not answer within {timeout_s:g} s") from exc

    def _next(self, before: Target, location: str, headers: Mapping[str, str] | None) -> tuple[Target, Mapping[str, str] | None]:
        if "\\" in location or not location.isprintable():  # readers of URLs disagree about these
            raise denied(f"{before.host!r} redirects to what is no URL")
        try:
            joined = str(before.url.join(URL(location)))
        except ValueError:
            raise denied(f"{before.host!r} redirects to what is no URL") from None
        target = self.check(joined)
        if before.url.scheme == "https" and target.url.scheme != "https":
            raise denied(f"{before.host!r} redirects away from https://")
        return target, headers if target.url.origin() == before.url.origin() else None

    async def _exchange(self, target: Target, method: str, body: bytes | None, headers: Mapping[str, str], max_bytes: int) -> Fetched | str:
        """Return the answer, or where it says that it is."""
        connector = aiohttp.TCPConnector(
            limit=1, resolver=CheckedResolver({target.host: target.private}), use_dns_cache=False, force_close=True
        )
        try:
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
                session.request(
                    method,
                    target.url,
                    data=body,
                    headers={"accept-encoding": "identity", "user-agent": "ai-gateway", **headers},
                    allow_redirects=False,
                    ssl=self._tls or True,
                ) as response,
            ):
                if response.status in _MOVED:
                    return response.headers.get("location", "")
                return await _read(response, target.host, max_bytes)
        except aiohttp.ClientError as exc:  # its text holds the address
            if _led_astray(exc):
                raise denied(f"{target.host!r} leads to an address that is not called from here") from None
            raise Unavailable(f"{target.host!r} could not be reached: {type(exc).__name__}") from None
        except (PermissionDenied, PayloadTooLarge, Unavailable, TimeoutError):
            raise
        except (OSError, ValueError) as exc:
            raise Unavailable(f"{target.host!r} could not be reached: {type(exc).__name__}") from None


async def _read(response: aiohttp.ClientResponse, host: str, max_bytes: int) -> Fetched:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise Unavailable(f"{host!r} answered with a compressed body, which was not asked for")
    data = bytearray()
    async for piece in response.content.iter_chunked(_CHUNK_BYTES):
        data += piece
        if len(data) > max_bytes:
            raise PayloadTooLarge(f"what {host!r} answered is over {max_bytes} bytes")
    return Fetched(response.status, response.content_type.lower(), bytes(data))


def _led_astray(exc: BaseException | None) -> bool:
    while exc is not None:
        if isinstance(exc, LedAstray) or isinstance(getattr(exc, "os_error", None), LedAstray):
            return True
        exc = exc.__cause__ or exc.__context__
    return False
