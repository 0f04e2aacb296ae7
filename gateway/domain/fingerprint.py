"""What tells two bodies apart without keeping either: a hash of 128 bits."""

import hashlib


def hash_of(body: bytes) -> str:
    """Return the body's fingerprint, 32 hex digits."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()
