"""From which addresses may one call? CIDR blocks, v4 and v6.

Several networks may apply to a call: the gateway's, the tenant's, the product's, the subscription's. Each must let the
address pass: `deny` wins, and an `allow` that is not empty lets pass only what it names. A v4 address that is written as v6
(`::ffff:203.0.113.7`) is the v4 address, in calls and in blocks. An address that nobody vouches for is in no block, so any
`allow` refuses it.
"""

import functools
import ipaddress

from gateway.domain.access import Network
from gateway.errors import PermissionDenied

_MAPPED_BITS = 96  # of the prefix ::ffff:0:0/96

type _Blocks = dict[tuple[int, int], frozenset[int]]  # networks by version and length of their prefix


def check_address(network: Network, address: str, whose: str) -> None:
    """Refuse an address that the network does not let pass.

    Args:
        network: With valid blocks.
        address: The caller's; empty where it is not known.
        whose: Whose network it is, for the message.

    Raises:
        PermissionDenied: Says whose network it is, and never which addresses pass.
    """
    if not network.allow and not network.deny:
        return
    if not _passes(network, address):
        seen = f"calls from {address}" if address else "calls whose address nobody vouches for"
        message = f"{whose} does not take {seen}; call from an allowed network, or ask the administrator"
        raise PermissionDenied(message, code="address_not_allowed")


def normal(address: str) -> str:
    """Return the address in its one spelling, v4 where it is v4 in v6's clothes; empty where it is none."""
    return _normal(address) if len(address) <= 45 else ""


@functools.lru_cache(maxsize=4096)
def _normal(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:  # it means something on one machine only
            return ""
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
    return str(found)


@functools.lru_cache(maxsize=65536)
def _passes(network: Network, address: str) -> bool:
    known = normal(address)
    if not known:
        return not network.allow
    if _holds(network.deny, known):
        return False
    return not network.allow or _holds(network.allow, known)


def _holds(blocks: tuple[str, ...], address: str) -> bool:
    found = ipaddress.ip_address(address)
    bits, value, version = found.max_prefixlen, int(found), found.version
    return any(kind == version and value >> (bits - length) in starts for (kind, length), starts in _compiled(blocks).items())


@functools.lru_cache(maxsize=4096)
def _compiled(blocks: tuple[str, ...]) -> _Blocks:
    found: dict[tuple[int, int], set[int]] = {}
    for block in blocks:
        network = ipaddress.ip_network(block)
        start, length, version = network.network_address, network.prefixlen, network.version
        if isinstance(start, ipaddress.IPv6Address) and start.ipv4_mapped is not None:  # then its prefix is as long as theirs
            start, length, version = start.ipv4_mapped, length - _MAPPED_BITS, 4
        found.setdefault((version, length), set()).add(int(start) >> (start.max_prefixlen - length))
    return {kind: frozenset(starts) for kind, starts in found.items()}
