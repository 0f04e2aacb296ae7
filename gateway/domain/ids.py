"""Ids of requests, traces and spans: unique, and no secret. Keys are made in `access/keys.py`, from `secrets`.

The generator is seeded by the operating system once: asking it anew for every id costs more than all else here. The
standard library has UUIDv7 only from Python 3.14 on.

Source: RFC 9562, section 5.7 (read 2026-11-22).
"""

import os
import random

_random = random.Random()  # noqa: S311 - see above
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_random.seed)


def uuid7_hex(unix_s: float) -> str:
    """Make a UUIDv7 of the given moment as 32 hex digits: 48 bits of milliseconds, then 74 random ones.

    Args:
        unix_s: Seconds since the epoch, from `Clock.utc()`.
    """
    bits = _random.getrandbits(74)
    value = (int(unix_s * 1000) & (2**48 - 1)) << 80 | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits & (2**62 - 1)
    return f"{value:032x}"


def random_hex(digits: int) -> str:
    """Make a random id of so many hex digits, never all zeros."""
    return f"{_random.getrandbits(4 * digits) or 1:0{digits}x}"
