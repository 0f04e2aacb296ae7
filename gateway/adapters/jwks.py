"""Fetches an issuer's key set: https only, except on loopback; no redirects, a few seconds, a few hundred kilobytes.

`access/jwks.py` decides when, and what the keys are worth. Each fetch has a connection of its own: there are a few a day.
"""

import ssl
from urllib.parse import urlsplit

import aiohttp

from gateway.errors import Unavailable

PUBLISHED = "https://login.microsoftonline.com/{tid}/discovery/v2.0/keys"
TIMEOUT_S = 5.0
MAX_BYTES = 256 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def keys_url(template: str, tenant: str) -> str:
    """Return where a tenant's keys are.

    Args:
        template: With `{tid}` for the tenant's id; empty for where Microsoft publishes them.
        tenant: The id.
    """
    return (template or PUBLISHED).replace("{tid}", tenant)


class KeySetEndpoint:
    """Where a key set is published.

    Args:
        url: An https address, or an http one on loopback.
        tls: Whom to trust, if not those whom the system trusts.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("a key set is fetched over https:// only")
        self._url = url
        self._tls = tls

    async def fetch(self) -> bytes:
        """Return the endpoint's answer; Unavailable where there is none that can be used."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
                session.get(self._url, allow_redirects=False, ssl=self._tls or True) as response,
            ):
                if response.status != 200:
                    raise _unavailable(f"it answered {response.status}")
                data = bytearray()
                async for piece in response.content.iter_any():
                    data += piece
                    if len(data) > MAX_BYTES:
                        raise _unavailable(f"its answer is over {MAX_BYTES} bytes")
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:  # ValueError: a host that cannot be one, such as a..b
            raise _unavailable(type(exc).__name__) from exc
        return bytes(data)


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"the key set cannot be fetched: {why}", code="identity_unavailable")
