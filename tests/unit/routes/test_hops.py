"""Whose address is it? The attacker's own words never decide."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routes.hops import client_address


def seen(*forwarded: str, hops: int, peer: str | None = "10.9.8.7") -> str:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value.encode("latin-1")) for value in forwarded), (b"x-real-ip", b"6.6.6.6")]
    scope: dict[str, Any] = {"headers": headers, "client": None if peer is None else (peer, 50000)}
    return client_address(scope, hops)


@pytest.mark.parametrize(
    ("forwarded", "hops", "expected"),
    [
        ((), 0, "10.9.8.7"),
        (("203.0.113.7",), 0, "10.9.8.7"),
        (("203.0.113.7",), 1, "203.0.113.7"),
        (("203.0.113.7:50123",), 1, "203.0.113.7"),
        (("198.51.100.9, 203.0.113.7:50123",), 1, "203.0.113.7"),
        (("198.51.100.9,203.0.113.7:50123 , 10.0.0.4",), 2, "203.0.113.7"),
        (("198.51.100.9", "203.0.113.7"), 1, "203.0.113.7"),
        (("198.51.100.9, 203.0.113.7", "10.0.0.4"), 2, "203.0.113.7"),
        (("198.51.100.9, 203.0.113.7", "10.0.0.4"), 3, "198.51.100.9"),
        (("198.51.100.9, 203.0.113.7", "10.0.0.4"), 4, ""),
        (("2001:db8::7",), 1, "2001:db8::7"),
        (("2001:DB8:0::7",), 1, "2001:db8::7"),
        (("[2001:db8::7]",), 1, "2001:db8::7"),
        (("[2001:db8::7]:443",), 1, "2001:db8::7"),
        (("::ffff:203.0.113.7",), 1, "203.0.113.7"),
        (("[::ffff:203.0.113.7]:1",), 1, "203.0.113.7"),
        ((), 1, ""),
        (("",), 1, ""),
        ((",",), 1, ""),
        (("203.0.113.7,",), 1, ""),
        (("203.0.113.7, ",), 2, "203.0.113.7"),
        (("unknown",), 1, ""),
        (("_hidden",), 1, ""),
        (("203.0.113.7:port",), 1, ""),
        (("203.0.113.7:123456",), 1, ""),
        (("203.0.113.7 203.0.113.8",), 1, ""),
        (("203.0.113.256",), 1, ""),
        (("for=203.0.113.7",), 1, ""),
        (("[2001:db8::7",), 1, ""),
        (("2001:db8::7]",), 1, ""),
        (("fe80::1%eth0",), 1, ""),
        (("203.0.113.7\x00",), 1, ""),
        (("9" * 100_000,), 1, ""),
    ],
)
def test_the_entry_that_the_outermost_trusted_hop_appended_counts(forwarded: tuple[str, ...], hops: int, expected: str) -> None:
    assert seen(*forwarded, hops=hops) == expected


@pytest.mark.parametrize(("peer", "expected"), [("::ffff:10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("testclient", ""), (None, "")])
def test_without_trusted_hops_the_sockets_address_counts(peer: str | None, expected: str) -> None:
    assert seen("203.0.113.7", hops=0, peer=peer) == expected


WORDS = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30), max_size=5)


@given(words=WORDS, hops=st.integers(1, 4), apart=st.booleans())
def test_what_the_caller_writes_left_of_the_trusted_entries_changes_nothing(words: list[str], hops: int, apart: bool) -> None:
    appended = [f"203.0.113.{index}:{1000 + index}" for index in range(hops)]
    own = ", ".join(words)
    lines = [own, ", ".join(appended)] if apart else [", ".join([own, *appended])]
    assert seen(*lines, hops=hops) == seen(", ".join(appended), hops=hops) == "203.0.113.0"
