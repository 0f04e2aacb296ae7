"""Secrets out of Azure Key Vault, held in memory: a backend's key is read before it is needed, and outlives its vault's outages.

| a value that was read | does |
| --- | --- |
| less than REFRESH_S ago | serves |
| less than KEPT_S ago | serves, while one read in the background looks for a newer one, every RETRY_S at most |
| longer ago, or never | the call waits for a read; one that failed is not repeated for FAILED_S |

A backend that refuses a value has it read again (`renewed`), every RETRY_S at most. Calls share one read at a time, which goes on
when the call that began it is gone. What the vault answers is believed only as far as a header can carry it. Nothing of it is
logged; a fault is logged with the reference, and clients are told neither.

    GET https://{vault}.{suffix}/secrets/{name}/{version}?api-version=7.4  →  {"value": "…", …}

Needs the role `Key Vault Secrets User`. Source: Key Vault REST API, "Get Secret" (read 2026-11-22).
"""

import asyncio
import logging
import math
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec

from gateway.domain.deployment import SHORTEST_SECRET, Auth, AuthType
from gateway.domain.secret_references import SecretReference
from gateway.errors import GatewayError, UpstreamMisconfigured
from gateway.ports import Clock

log = logging.getLogger(__name__)

API_VERSION = "7.4"
PUBLIC_SUFFIX = "vault.azure.net"
REFRESH_S = 300.0
RETRY_S = 30.0
FAILED_S = 5.0
KEPT_S = 24 * 3600.0
TIMEOUT_S = 8.0  # the identity's token and the vault's answer together
MAX_BYTES = 128 * 1024  # a value has 25 KB at most

type TokenSource = Callable[[Auth], Awaitable[str]]


class _Unreadable(Exception):
    """Why there is no value, for the operator."""


class _Answer(msgspec.Struct):
    value: str

    def __repr__(self) -> str:
        return "_Answer(…)"


class _Entry:
    """What is held of one secret; times are the clock's, in seconds."""

    __slots__ = ("asked_s", "read_s", "reading", "value")

    def __init__(self) -> None:
        self.value = ""
        self.read_s = -math.inf
        self.asked_s = -math.inf
        self.reading: asyncio.Task[None] | None = None


class KeyVault:
    """The vaults of one cloud.

    Args:
        suffix: What follows a vault's name in its host; or `http://` and a loopback address, for a simulated one.
        tokens: Gives the bearer token of a managed identity.
        clock: Tells how old a value is.
        tls: Whom to trust, if not those whom the system trusts.
    """

    def __init__(self, suffix: str, tokens: TokenSource, clock: Clock, tls: ssl.SSLContext | None = None) -> None:
        self._suffix = suffix
        audience = PUBLIC_SUFFIX if suffix.startswith("http://") else suffix
        self._auth = Auth(type=AuthType.MANAGED_IDENTITY, scope=f"https://{audience}/.default")
        self._tokens = tokens
        self._clock = clock
        self._tls = tls
        self._entries: defaultdict[SecretReference, _Entry] = defaultdict(_Entry)

    async def value(self, reference: SecretReference) -> str:
        """Return the secret; UpstreamMisconfigured where it cannot be had."""
        entry, now_s = self._entries[reference], self._clock.now_s()
        age_s = now_s - entry.read_s
        if age_s < REFRESH_S:
            return entry.value
        if age_s < KEPT_S:
            if now_s - entry.asked_s >= RETRY_S:
                self._read(reference, entry)
            return entry.value
        entry.value = ""
        if entry.reading is not None or now_s - entry.asked_s >= FAILED_S:
            await asyncio.shield(self._read(reference, entry))
        if not entry.value:
            message = "the gateway could not read the credential of the model's backend; its operator finds the reason in the log"
            raise UpstreamMisconfigured(message, code="upstream_auth_failed")
        return entry.value

    async def renewed(self, reference: SecretReference, refused: str) -> str:
        """Return what to use in place of a value that a backend refused: the same where there is no other one."""
        entry = self._entries[reference]
        if entry.value == refused and (entry.reading is not None or self._clock.now_s() - entry.asked_s >= RETRY_S):
            await asyncio.shield(self._read(reference, entry))
        return entry.value or refused

    async def close(self) -> None:
        """Break off what is being read, and forget all values."""
        reading = [entry.reading for entry in self._entries.values() if entry.reading is not None]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        self._entries.clear()

    def _read(self, reference: SecretReference, entry: _Entry) -> asyncio.Task[None]:
        if entry.reading is None:
            entry.asked_s = self._clock.now_s()
            entry.reading = asyncio.create_task(self._renew(reference, entry))
        return entry.reading

    async def _renew(self, reference: SecretReference, entry: _Entry) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                value = await self._fetch(reference)
        except (_Unreadable, GatewayError, aiohttp.ClientError, OSError, ValueError) as exc:  # OSError: TimeoutError as well
            # An error of the network's may hold the request and with it our token: its name says enough.
            why = str(exc) if isinstance(exc, _Unreadable | GatewayError) else type(exc).__name__
            state = "its last value is used on" if entry.value else "calls that need it fail"
            log.warning("the secret %s cannot be read: %s; %s", reference, why, state)
        else:
            entry.value, entry.read_s = value, self._clock.now_s()
        finally:
            entry.reading = None

    async def _fetch(self, reference: SecretReference) -> str:
        headers = {"authorization": f"Bearer {await self._tokens(self._auth)}", "accept-encoding": "identity"}
        url = f"{secret_url(self._suffix, reference)}?api-version={API_VERSION}"
        async with (
            aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, headers=headers, allow_redirects=False, ssl=self._tls or True) as response,
        ):
            if response.status != 200:
                raise _Unreadable(f"the vault answered {response.status}" + _HINTS.get(response.status, ""))
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > MAX_BYTES:
                    raise _Unreadable(f"the vault's answer is over {MAX_BYTES} bytes")
        try:
            value = msgspec.json.decode(data, type=_Answer).value
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _Unreadable("the vault's answer holds no secret") from None
        if len(value) < SHORTEST_SECRET:  # it could not be masked where a backend repeats it
            raise _Unreadable(f"its value has fewer than {SHORTEST_SECRET} characters")
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            raise _Unreadable("its value has white space around it, or characters in it that no header can carry")
        return value


_HINTS = {
    401: ": it takes no token of the gateway's tenant",
    403: ": give the gateway's identity the role Key Vault Secrets User, let its network in, and see that the secret is enabled",
    404: ": there is no such secret, or no such version",
}


def secret_url(suffix: str, reference: SecretReference) -> str:
    """Return a secret's address, without a query."""
    base = f"{suffix}/{reference.vault}" if suffix.startswith("http://") else f"https://{reference.vault}.{suffix}"
    return f"{base}/secrets/{reference.name}" + (f"/{reference.version}" if reference.version else "")
