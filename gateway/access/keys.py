"""Virtual keys: `gwk_<id>_<secret>`. The id finds the row, the secret proves it; only an HMAC of the key is stored.

The secret has 256 random bits, so a fast keyed hash is enough: nothing can be guessed from a stolen table without the
pepper, and checking costs microseconds. Pure: randomness comes from `secrets`, nothing is stored here.
"""

import hashlib
import hmac
import re
import secrets

import msgspec

_FORM = re.compile(r"gwk_([a-z0-9]{16})_([A-Za-z0-9_-]{43})\Z")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class VirtualKey(msgspec.Struct, frozen=True):
    """A parsed key: `id` is public, `text` is the whole secret."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"VirtualKey(id={self.id!r}, text='***')"


def mint() -> VirtualKey:
    """Make a new key: 80 random bits of id, 256 of secret."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    return VirtualKey(id=key_id, text=f"gwk_{key_id}_{secrets.token_urlsafe(32)}")


def parse(text: str) -> VirtualKey | None:
    """Read a key; None where the text cannot be one, so that no store is asked about garbage."""
    match = _FORM.match(text)
    return VirtualKey(id=match[1], text=text) if match else None


def hash_key(pepper: bytes, key: VirtualKey) -> str:
    """Return what is stored of a key: hex HMAC-SHA-256 under the pepper."""
    return hmac.digest(pepper, key.text.encode(), hashlib.sha256).hex()


def matches(pepper: bytes, key: VirtualKey, stored_hash: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hash_key(pepper, key), stored_hash)
