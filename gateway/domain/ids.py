"""Ids that sort by time. The standard library has UUIDv7 only from Python 3.14 on.

Source: RFC 9562, section 5.7 (read 2026-11-22).
"""

import secrets


def uuid7_hex(unix_s: float) -> str:
    """Make a UUIDv7 of the given moment as 32 hex digits: 48 bits of milliseconds, then 74 random ones.

    Args:
        unix_s: Seconds since the epoch, from `Clock.utc()`.
    """
    random = secrets.randbits(74)
    value = (int(unix_s * 1000) & (2**48 - 1)) << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (2**62 - 1)
    return f"{value:032x}"
