"""The keys that an issuer signs with: read, kept, and asked for again when they must be, but never at a stranger's pace.

| | |
| --- | --- |
| a key that is known | is given at once; once the set is older than an hour, it is read again in the background |
| a key that is not | has the set read again, at most once in 60 s for all callers together, who wait for the same answer |
| the endpoint is down | the old set serves for up to 24 h; a key that it lacks can be judged by nobody: 503, not 401 |
| nothing was ever read | 503; the next try is at most every 5 s |

Rules: a key comes from the configured endpoint, never from a token. RSA of 2048 to 8192 bits, for signing with RS256; keys
of another use, kind or issuer are left out, and a set without any usable one counts as not read.

Must not: import `cryptography` before `load` (60 ms; for a thread). Measured (2026-11, one core of the development machine): 22 µs to
check a signature.

Source: RFC 7517; RFC 7518, section 6.3; Microsoft identity platform, "Signing key rollover" (read 2026-11-22).
"""

import asyncio
import base64
import functools
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.errors import GatewayError, Unavailable
from gateway.ports import Clock

log = logging.getLogger(__name__)

type Fetch = Callable[[], Awaitable[bytes]]

FRESH_S = 3600.0
OUTAGE_S = 24 * 3600.0
UNKNOWN_S = 60.0
FIRST_S = 5.0
MIN_BITS, MAX_BITS = 2048, 8192
MAX_KEYS = 100
_MOST_EXPONENT = 2**32


def load() -> None:
    """Import what checks signatures; for a thread, so that no call waits for it on the event loop."""
    import cryptography.hazmat.primitives.asymmetric.padding  # noqa: PLC0415 - not before the first token
    import cryptography.hazmat.primitives.asymmetric.rsa  # noqa: F401, PLC0415


class SigningKey:
    """An RSA public key.

    Args:
        modulus: Of 2048 bits or more.
        exponent: Odd.
    """

    def __init__(self, modulus: int, exponent: int) -> None:
        self._modulus = modulus
        self._exponent = exponent

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature (RS256) over the message is this key's; `load` must have been called."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - imported by `load`
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        try:
            self._key.verify(signature, message, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    @functools.cached_property
    def _key(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers  # noqa: PLC0415 - imported by `load`

        return RSAPublicNumbers(self._exponent, self._modulus).public_key()


class _Entry(msgspec.Struct, frozen=True):
    kty: str = ""
    kid: str = ""
    use: str = "sig"
    alg: str = "RS256"
    n: str = ""
    e: str = ""
    issuer: str = ""


class _Set(msgspec.Struct, frozen=True):
    keys: tuple[_Entry, ...]


def parse_keys(raw: bytes, tenant: str) -> dict[str, SigningKey]:
    """Read a key set.

    Args:
        raw: The endpoint's answer.
        tenant: The Entra tenant's id; keys of another issuer are left out.

    Returns:
        The usable keys by their ids; of two with one id the first.

    Raises:
        Unavailable: It cannot be read, or has no usable key.
    """
    try:
        entries = msgspec.json.decode(raw, type=_Set).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _unavailable("it is no JSON web key set") from exc
    found: dict[str, SigningKey] = {}
    for entry in entries[:MAX_KEYS]:
        key = _usable(entry, tenant)
        if key is not None:
            found.setdefault(entry.kid, key)
    if not found:
        raise _unavailable("it has no usable key")
    return found


def _usable(entry: _Entry, tenant: str) -> SigningKey | None:
    if (entry.kty, entry.use, entry.alg) != ("RSA", "sig", "RS256") or not entry.kid:
        return None
    if entry.issuer and tenant not in entry.issuer and "{tenantid}" not in entry.issuer:
        return None
    modulus, exponent = _number(entry.n), _number(entry.e)
    if not MIN_BITS <= modulus.bit_length() <= MAX_BITS or not 3 <= exponent < _MOST_EXPONENT or not exponent % 2 or not modulus % 2:
        return None
    return SigningKey(modulus, exponent)


def _number(text: str) -> int:
    """Read base64url as a number; 0 where it is none, which no key has."""
    try:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return 0


class SigningKeys:
    """One tenant's keys.

    Args:
        fetch: Asks the endpoint; raises Unavailable.
        tenant: The Entra tenant's id.
        clock: Whose monotonic seconds the ages are counted in.
    """

    def __init__(self, fetch: Fetch, tenant: str, clock: Clock) -> None:
        self._fetch = fetch
        self._tenant = tenant
        self._clock = clock
        self._keys: Mapping[str, SigningKey] = {}
        self._read_s = -math.inf  # when the set was read that is kept
        self._asked_s = -math.inf  # when the endpoint was last asked
        self._failed = False  # what came of that
        self._asking: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> SigningKey | None:
        """Return the key of that id; None where the issuer has none.

        Raises:
            Unavailable: The issuer cannot be asked, and what is kept does not answer.
        """
        now_s = self._clock.now_s()
        age_s = now_s - self._read_s
        if age_s > OUTAGE_S:
            self._keys = {}
        found = self._keys.get(kid)
        if found is not None:
            if age_s > FRESH_S and now_s - self._asked_s >= UNKNOWN_S:
                self._ask()
            return found
        if self._asking is not None or now_s - self._asked_s >= (UNKNOWN_S if self._keys else FIRST_S):
            await asyncio.shield(self._ask())
            found = self._keys.get(kid)
        if found is None and self._failed:
            raise _unavailable("its endpoint does not answer", retry_after_s=FIRST_S)
        return found

    def _ask(self) -> "asyncio.Task[None]":
        if self._asking is None:
            self._asked_s = self._clock.now_s()
            self._asking = asyncio.create_task(self._read(), name="read signing keys")
        return self._asking

    async def _read(self) -> None:
        try:
            self._keys = parse_keys(await self._fetch(), self._tenant)
            self._read_s = self._clock.now_s()
            self._failed = False
        except GatewayError as exc:
            self._failed = True
            log.warning("the signing keys of the Entra tenant %s could not be read: %s", self._tenant, exc.message)
        finally:
            self._asking = None


def _unavailable(why: str, retry_after_s: float | None = None) -> Unavailable:
    message = f"the token cannot be checked: Entra ID's key set is not to be had ({why}); try again, or call with a virtual key"
    return Unavailable(message, code="identity_unavailable", retry_after_s=retry_after_s)
