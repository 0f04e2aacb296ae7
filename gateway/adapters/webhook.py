"""Posts alerts to the operator's webhook, signed as Standard Webhooks.

    webhook-id: <the event's id>          the same when it is sent again: receivers drop what they have seen
    webhook-timestamp: <Unix seconds>     of this sending
    webhook-signature: v1,<base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>">   where there is a secret

Rules: https, or http on the loopback. Redirects are not followed: they would carry the event to whoever answers. The setting
vouches for the host that it names, and for no address behind a name: every one that it leads to is judged (`egress_rules.py`), and a
private one needs the name in GATEWAY_EGRESS_HOSTS. Any 2xx is a success; everything else is tried again. No message names the
URL, which may hold a secret.

Source: Standard Webhooks 1.0.0 (read 2026-11-22).
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Iterable
from urllib.parse import urlsplit

import aiohttp

from gateway.adapters.egress import CheckedResolver
from gateway.adapters.egress_rules import PORTS, AllowList, Kind, address_of, kind_of
from gateway.errors import Unavailable
from gateway.ports import Clock

TIMEOUT_S = 10.0
MAX_RETRY_AFTER_S = 3600.0
SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with


def url_fault(url: str) -> str | None:
    """Return what is wrong with a webhook's address, without saying the address; None where nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    if not host or parts.scheme not in ("https", "http"):
        return "must be an https:// URL"
    if parts.username is not None or parts.fragment:
        return "must have neither a user nor a fragment"
    address = address_of(host)
    kind = kind_of(address) if address is not None else Kind.LOOPBACK if host == "localhost" else Kind.PUBLIC
    if parts.scheme == "http" and kind is not Kind.LOOPBACK:
        return "must be an https:// URL; http:// is for the loopback alone"
    return "names an address that no receiver has" if kind is Kind.NEVER else None


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for: of `whsec_<base64>` the bytes, of any other text itself.

    Raises:
        ValueError: What follows `whsec_` is no base64.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as exc:
        raise ValueError("what follows whsec_ is no base64") from exc


class SigningWebhook:
    """One receiver; see `ports.Webhook`.

    Args:
        url: Where it is; checked by `url_fault`.
        secret: What signs; empty for no signature.
        clock: Stamps each sending.
        timeout_s: How long an answer may take.
        egress: GATEWAY_EGRESS_HOSTS: a name that stands there may lead to private addresses.
    """

    def __init__(self, url: str, secret: str, clock: Clock, *, timeout_s: float = TIMEOUT_S, egress: Iterable[str] = ()) -> None:
        self._url = url
        self._key = key_of(secret) if secret else b""
        self._clock = clock
        self._timeout_s = timeout_s
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._private = {host: AllowList(egress).names(host, port, parts.scheme)}
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, *, message_id: str, content_type: str) -> None:
        """Send it; Unavailable unless the receiver answered with a 2xx."""
        headers = {"content-type": content_type, **self._signed(body, message_id)}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._open().post(self._url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                status, retry_after_s = response.status, _seconds(response.headers.get("retry-after", ""))
        except TimeoutError as exc:
            raise Unavailable(f"the webhook did not answer within {self._timeout_s:g} s") from exc
        except (aiohttp.ClientError, OSError, ValueError):  # their texts and tracebacks may hold the URL
            raise Unavailable("the webhook could not be reached") from None
        if not 200 <= status < 300:
            moved = "; redirects are not followed" if 300 <= status < 400 else ""
            raise Unavailable(f"the webhook answered {status}{moved}", retry_after_s=retry_after_s)

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _signed(self, body: bytes, message_id: str) -> dict[str, str]:
        timestamp = str(int(self._clock.utc().timestamp()))
        headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
        if self._key:
            digest = hmac.digest(self._key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=8, resolver=CheckedResolver(self._private), use_dns_cache=False)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=("User-Agent", "Accept-Encoding")
            )
        return self._session


def _seconds(text: str) -> float | None:
    """Read a Retry-After in seconds; None where it is a date, or nothing."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, MAX_RETRY_AFTER_S) if math.isfinite(seconds) and seconds > 0 else None
