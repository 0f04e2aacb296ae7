"""From which addresses may one call?"""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.network import check_address, normal
from gateway.domain.access import Network
from gateway.errors import PermissionDenied

NOWHERE = ("", "garbage", "203.0.113.7:80", "[2001:db8::1]", "1.2.3", "1.2.3.4.5", "01.2.3.4", "fe80::1%eth0", "x" * 10_000)


def passes(address: str, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> bool:
    try:
        check_address(Network(allow, deny), address, "the product 'p'")
    except PermissionDenied:
        return False
    return True


@pytest.mark.parametrize(
    ("address", "allow", "deny", "expected"),
    [
        ("203.0.113.7", (), (), True),
        ("203.0.113.7", ("203.0.113.0/24",), (), True),
        ("203.0.114.7", ("203.0.113.0/24",), (), False),
        ("203.0.113.7", ("203.0.113.7",), (), True),
        ("203.0.113.8", ("203.0.113.7/32",), (), False),
        ("203.0.113.7", ("0.0.0.0/0",), ("203.0.113.0/29",), False),
        ("203.0.113.8", ("0.0.0.0/0",), ("203.0.113.0/29",), True),
        ("203.0.113.7", ("203.0.113.7",), ("203.0.113.7",), False),
        ("203.0.113.7", (), ("198.51.100.0/24", "203.0.113.7"), False),
        ("2001:db8::7", ("2001:db8::/32",), (), True),
        ("2001:DB8:0:0:0:0:0:7", ("2001:db8::/32",), (), True),
        ("2001:db9::7", ("2001:db8::/32",), (), False),
        ("2001:db8::7", ("0.0.0.0/0",), (), False),
        ("203.0.113.7", ("::/0",), (), False),
        ("::1", ("0.0.0.0/0", "::/0"), (), True),
        ("::ffff:203.0.113.7", ("203.0.113.0/24",), (), True),
        ("::ffff:cb00:7107", (), ("203.0.113.0/24",), False),
        ("203.0.113.7", (), ("::ffff:203.0.113.0/120",), False),
        ("203.0.114.7", ("::ffff:203.0.113.0/120",), (), False),
        ("0.0.0.0", ("0.0.0.0/1",), (), True),
        ("255.255.255.255", ("0.0.0.0/1",), (), False),
    ],
)
def test_deny_wins_and_allow_lets_pass_only_what_it_names(
    address: str, allow: tuple[str, ...], deny: tuple[str, ...], expected: bool
) -> None:
    assert passes(address, allow, deny) is expected


@pytest.mark.parametrize("address", NOWHERE)
def test_an_address_that_is_not_known_is_in_no_block(address: str) -> None:
    assert normal(address) == ""
    assert not passes(address, allow=("0.0.0.0/0", "::/0"))
    assert passes(address, deny=("0.0.0.0/0", "::/0"))
    assert passes(address)


def test_a_refusal_does_not_name_the_networks() -> None:
    with pytest.raises(PermissionDenied) as caught:
        check_address(Network(allow=("198.51.100.0/24",)), "203.0.113.7", "this gateway")
    assert caught.value.code == "address_not_allowed"
    assert "this gateway" in caught.value.message
    assert "203.0.113.7" in caught.value.message
    assert "198.51" not in caught.value.message


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
BLOCKS = st.builds(
    lambda address, spare: str(ipaddress.ip_network((address, max(address.max_prefixlen - spare, 0)), strict=False)),
    ADDRESSES,
    st.integers(0, 128),
)


@given(ADDRESSES, st.lists(BLOCKS, max_size=6), st.lists(BLOCKS, max_size=6))
def test_it_decides_as_the_standard_library_would(address: ipaddress.IPv4Address, allow: list[str], deny: list[str]) -> None:
    def plain(value: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        mapped = getattr(value, "ipv4_mapped", None)
        return mapped or value

    def within(blocks: list[str]) -> bool:
        return any(plain(address) in ipaddress.ip_network(block) for block in blocks)

    expected = not within(deny) and (not allow or within(allow))
    assert passes(str(address), tuple(allow), tuple(deny)) is expected
