"""Who is calling? A virtual key in `Authorization: Bearer`, `api-key` or `x-api-key` becomes a Principal.

One point read per key, cached with bounded staleness (`cached.py`). Fails closed: a key that cannot be checked is not
accepted. The bootstrap administrator's key opens /manage only and calls no model.
"""

import hashlib
import hmac
from collections.abc import Mapping

from gateway.access import keys
from gateway.access.cached import Cached
from gateway.access.directory import KeyRecord
from gateway.domain.access import DEFAULT_TENANT, Principal, Role
from gateway.domain.call import Inbound
from gateway.errors import AuthenticationError, PermissionDenied

PROVED_KEYS = 10_000

ADMINISTRATOR = Principal(tenant=DEFAULT_TENANT, product="", subscription="", key_id="bootstrap-admin", roles=frozenset({Role.ADMIN}))


class Authenticator:
    """Turns request headers into a Principal.

    Args:
        records: Key records by key id.
        pepper: Mixed into the hash of every key.
        admin_key: The bootstrap administrator's key; empty switches it off.
    """

    def __init__(self, records: Cached[KeyRecord], pepper: bytes, admin_key: str) -> None:
        self._records = records
        self._pepper = pepper
        self._proved: dict[str, tuple[str, str]] = {}  # hash and text by key id, the oldest first
        self._admin_hash = hashlib.sha256(admin_key.encode()).digest() if admin_key else b""

    async def authenticate(self, inbound: Inbound) -> Principal:
        """Return the caller of an inference route.

        Args:
            inbound: The request; its body is not looked at.

        Raises:
            AuthenticationError: No key, or one that is malformed, unknown, or not active any more.
            StoreUnavailable: The key could not be checked.
        """
        presented = presented_key(inbound.headers)
        key = keys.parse(presented)
        if key is None:
            if self._is_admin(presented):
                raise PermissionDenied("the administrator key opens /manage only; call models with a virtual key")
            raise AuthenticationError(f"incorrect API key provided: {_mask(presented)}; keys look like gwk_<id>_<secret>")
        record = await self._records.get(key.id)
        # One message for unknown, wrong and revoked: which of them it is would help a guesser.
        if record is None or not record.active or not self._proves(key, record):
            raise AuthenticationError(f"incorrect API key provided: {_mask(presented)}; it does not exist or is no longer active")
        return record.principal

    async def authenticate_administrator(self, inbound: Inbound) -> Principal:
        """Return the caller of a /manage route; AuthenticationError or PermissionDenied otherwise."""
        if self._is_admin(presented_key(inbound.headers)):
            return ADMINISTRATOR
        principal = await self.authenticate(inbound)
        if Role.ADMIN not in principal.roles:
            raise PermissionDenied(f"this needs the role {Role.ADMIN.value}; the key's subscription has not got it")
        return principal

    def _proves(self, key: keys.VirtualKey, record: KeyRecord) -> bool:
        """Tell whether the key is the record's. What was proved once is remembered until the hash changes."""
        proved = self._proved.get(key.id)
        if proved is not None and proved[0] == record.hash and hmac.compare_digest(proved[1], key.text):
            return True
        if not keys.matches(self._pepper, key, record.hash):
            return False
        self._proved[key.id] = (record.hash, key.text)
        if len(self._proved) > PROVED_KEYS:
            del self._proved[next(iter(self._proved))]
        return True

    def _is_admin(self, presented: str) -> bool:
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        return bool(self._admin_hash) and hmac.compare_digest(digest, self._admin_hash)


def presented_key(headers: Mapping[str, str]) -> str:
    """Return the key of `api-key`, `x-api-key` (Anthropic's SDKs) or `Authorization: Bearer`; AuthenticationError says what to send."""
    for name in ("api-key", "x-api-key"):
        key = headers.get(name, "").strip()  # blanks around a field's value are not part of it, and not every server cuts them
        if key:
            return key
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise AuthenticationError(
            "no API key provided; send `Authorization: Bearer <key>`, `api-key: <key>` or `x-api-key: <key>`", code="missing_api_key"
        )
    return key.strip()


def _mask(presented: str) -> str:
    return f"{presented[:4]}…{presented[-4:]}" if len(presented) > 12 else "***"
