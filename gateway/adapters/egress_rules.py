"""Which hosts the gateway may call on somebody else's word, and to which addresses their names may lead.

    https://images.contoso.com/a.png ─target_of─▶ Target ─resolve─▶ addresses ─may_reach, each─▶ connect to what was checked

Rules:
- https; http only to the loopback, and only where that is listed. No user in a URL. A URL is read once, by the reader that the
  client uses, so no two parsers can disagree about its host.
- A host is on the list by its name, or as part of `*.suffix`; with the port that the list says, otherwise its scheme's.
- A name leads to public addresses. One that is listed by its whole name may lead to private ones too (a private endpoint); the
  loopback is reached as `localhost` or by its address alone.
- Never: link-local addresses and clouds' metadata services, the unspecified, multicast and reserved ones, and addresses inside
  6to4 and Teredo. What is inside IPv4-mapped, IPv4-compatible and NAT64 addresses is judged as what it is; what is inside ISATAP
  addresses must be public.

Source: RFC 6890, RFC 6052, RFC 3056, RFC 4380, RFC 5214; IANA "IPv4 and IPv6 Special-Purpose Address Registries";
learn.microsoft.com "Azure Instance Metadata Service", "What is IP address 168.63.129.16?" (read 2026-11-22).
"""

import enum
import ipaddress
import re
from collections.abc import Iterable

import msgspec
from yarl import URL

from gateway.errors import PermissionDenied

MAX_URL = 8192
PORTS = {"https": 443, "http": 80}

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Kind(enum.Enum):
    """What an address is, for somebody who should not reach into the gateway's network."""

    PUBLIC = enum.auto()
    PRIVATE = enum.auto()
    LOOPBACK = enum.auto()
    NEVER = enum.auto()


class Target(msgspec.Struct, frozen=True):
    """A URL that may be called.

    Attributes:
        url: As the client reads it.
        host: In small letters, without a dot at its end; an IPv6 address without brackets.
        private: Its name may lead to private addresses.
    """

    url: URL
    host: str
    private: bool

    def __repr__(self) -> str:
        return f"Target({self.host!r}, …)"  # a query may be a signature


_FORM = re.compile(r"(https?)://(?!/)([^/?#\\\s]+)([/?#][^\\\s]*)?", re.IGNORECASE)
_NAME = re.compile(r"(?!-)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")  # the last label of what some resolvers read as an address
_NETWORKS = {
    Kind.NEVER: (
        *("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "192.88.99.0/24", "fe80::/10", "fec0::/10", "fd00:ec2::/32"),
        *("2002::/16", "2001::/32", "64:ff9b:1::/48", "100::/64", "3fff::/20"),
    ),
    Kind.PRIVATE: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    Kind.LOOPBACK: ("127.0.0.0/8", "::1/128"),
}
_KINDS = [(kind, ipaddress.ip_network(each)) for kind, networks in _NETWORKS.items() for each in networks]
_NAT64, _COMPATIBLE = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def address_of(host: str) -> Address | None:
    """Return the address that a host is; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def kind_of(address: Address) -> Kind:
    """Return what an address is; of one with another inside, also what the other is."""
    if isinstance(address, ipaddress.IPv6Address):
        if (inner := _inside(address)) is not None:
            return kind_of(inner)
        if _interface(address) in _ISATAP and kind_of(_last(address)) is not Kind.PUBLIC:
            return Kind.NEVER
    for kind, network in _KINDS:
        if address.version == network.version and address in network:
            return kind
    return Kind.PUBLIC if address.is_global and not address.is_multicast and not address.is_reserved else Kind.NEVER


class AllowList:
    """The hosts that may be called.

    Args:
        hosts: `host`, `*.suffix` or an address (IPv6 in brackets), each with `:port` where it is not the scheme's.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._whole: set[tuple[str, int | None]] = set()
        self._suffixes: set[tuple[str, int | None]] = set()
        for each in hosts:
            name, _, port = each.rpartition(":") if re.search(r"(?:[^:]|\]):[0-9]+\Z", each) else (each, "", "")
            key = name.strip("[]").lower(), int(port) if port else None
            if key[0].startswith("*."):
                self._suffixes.add((key[0][1:], key[1]))
            else:
                self._whole.add((_canonical(key[0]), key[1]))

    def names(self, host: str, port: int, scheme: str) -> bool:
        """Tell whether a host is listed by its whole name, or its address."""
        return any(key in self._whole for key in _keys(host, port, scheme))

    def holds(self, host: str, port: int, scheme: str) -> bool:
        """Tell whether a host is listed at all."""
        if self.names(host, port, scheme):
            return True
        labels = () if address_of(host) else range(1, host.count(".") + 1)
        tails = [f".{host.split('.', label)[label]}" for label in labels]
        return any(key in self._suffixes for tail in tails for key in _keys(tail, port, scheme))


def target_of(text: str, allowed: AllowList) -> Target:
    """Judge a URL.

    Args:
        text: As somebody wrote it.
        allowed: What may be called.

    Raises:
        PermissionDenied: It may not be called; the message names its host, where it has one.
    """
    url, host = _read(text)
    port = PORTS[url.scheme] if url.explicit_port is None else url.explicit_port
    address = address_of(host)
    loopback = host == "localhost" if address is None else kind_of(address) is Kind.LOOPBACK
    if url.scheme == "http" and not loopback:
        raise denied(f"{host!r} may be called over https:// only")
    if not allowed.holds(host, port, url.scheme):
        shown = f"{host}:{port}" if port != PORTS[url.scheme] else host
        raise denied(f"{shown!r} is not among the hosts that may be called; the operator lists them in GATEWAY_EGRESS_HOSTS")
    target = Target(url, host, allowed.names(host, port, url.scheme))
    if address is not None and not may_reach(target.host, str(address), private=target.private):
        raise denied(f"{host!r} is an address that is never called")
    return target


def may_reach(host: str, address: str, *, private: bool) -> bool:
    """Tell whether a host may lead to an address.

    Args:
        host: As in `Target`.
        address: Where its name leads, or the host itself.
        private: Private addresses are among those that it may lead to.
    """
    found = address_of(address.partition("%")[0])
    if found is None:
        return False
    kind = kind_of(found)
    if kind is Kind.LOOPBACK:
        return host == "localhost" or address_of(host) == found
    return kind is Kind.PUBLIC or (kind is Kind.PRIVATE and private)


def denied(why: str) -> PermissionDenied:
    """Make the refusal."""
    return PermissionDenied(f"the gateway does not call this address: {why}", code="egress_denied")


def _read(text: str) -> tuple[URL, str]:
    """Return a URL and its host, in the one form that both the list and the client understand alike."""
    found = _FORM.fullmatch(text) if len(text) <= MAX_URL and text.isprintable() else None
    if found is None:
        raise denied("it is no https:// URL")
    if "@" in found[2]:
        raise denied("it names a user")
    try:
        url = URL(text).with_fragment(None)
        host = (url.raw_host or "").removesuffix(".")
        url = url.with_host(host)
    except (ValueError, UnicodeError):
        raise denied("it is no https:// URL") from None
    address = address_of(host)
    if address is None and (not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2])):
        raise denied("its host is neither a name nor an address in its usual form")
    return url, host if address is None else str(address)


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return _last(address) if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1) else None


def _interface(address: ipaddress.IPv6Address) -> int:
    return (int(address) >> 32) & 0xFFFFFFFF


def _last(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _canonical(host: str) -> str:
    address = address_of(host)
    return host if address is None else str(address)


def _keys(host: str, port: int, scheme: str) -> list[tuple[str, int | None]]:
    return [(host, port), (host, None)] if port == PORTS[scheme] else [(host, port)]
