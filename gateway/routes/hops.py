"""Whose address is it? The socket's, or the one that trusted hops have appended to `x-forwarded-for`.

    x-forwarded-for: 198.51.100.9, 203.0.113.7:50123, 10.0.0.4
                     └─ whatever   └─ trusted_hops=2  └─ trusted_hops=1

Each trusted hop appends the address that it was reached from, so with N of them the Nth entry from the right is the caller's,
and what stands left of it is the caller's own word, which counts for nothing. Fewer entries than hops: a hop was gone round,
and nobody knows the address.

In Azure Functions it is 1: the host sets the header anew, with the address that App Service was reached from, and the socket's
is always the host's own. Through Front Door this is Front Door's address; there the front's own word counts (`access/front.py`).

Source: Azure/azure-functions-host, ScriptInvocationRequestTransformer, and YARP's default transforms (read 2026-11-22).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.access.network import normal

FORWARDED = b"x-forwarded-for"
_WITH_PORT = re.compile(r"([0-9.]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")


def client_address(scope: Mapping[str, Any], trusted_hops: int) -> str:
    """Return the caller's address in its one spelling; empty where nobody vouches for one.

    Args:
        scope: ASGI's.
        trusted_hops: How many proxies append to the header; 0 for none.
    """
    if trusted_hops:
        return appended_by(scope["headers"], trusted_hops)
    client = scope.get("client")
    return normal(client[0]) if client else ""


def appended_by(headers: Iterable[tuple[bytes, bytes]], hops: int) -> str:
    """Return what the outermost of so many hops has appended; empty where that is no address, or there are fewer entries."""
    lines = b",".join(value for name, value in headers if name == FORWARDED).decode("latin-1")
    entries = lines.rsplit(",", hops)[-hops:] if lines.count(",") >= hops - 1 else []
    return _address(entries[0].strip()) if entries else ""


def _address(entry: str) -> str:
    found = _WITH_PORT.match(entry)
    return normal(found[1].strip("[]") if found else entry)
