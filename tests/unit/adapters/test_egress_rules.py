"""What may be called on somebody else's word: the listed hosts, at addresses that outsiders could reach as well."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.egress_rules import AllowList, Kind, address_of, kind_of, may_reach, target_of
from gateway.errors import PermissionDenied

LISTED = (
    *("images.contoso.com", "*.blob.core.windows.net", "api.contoso.com:8443", "*.tools.contoso.com:9443", "xn--bcher-kva.example"),
    *("10.0.0.4", "127.0.0.1:7072", "[::1]:7072", "localhost:7073", "8.8.8.8", "169.254.169.254", "[fd00:ec2::254]", "*.254"),
    *("2130706433", "0x7f000001", "127.1", "0177.0.0.1", "[::ffff:169.254.169.254]"),
)
ALLOWED = AllowList(LISTED)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://images.contoso.com/a.png?sig=1%2B2", "images.contoso.com"),
        ("HTTPS://Images.Contoso.COM", "images.contoso.com"),
        ("https://images.contoso.com./a", "images.contoso.com"),
        ("https://images.contoso.com:443/a", "images.contoso.com"),
        ("https://images.contoso.com?a=b", "images.contoso.com"),
        ("https://images.contoso.com/a#part", "images.contoso.com"),
        ("https://images.contoso.com/@host/%40", "images.contoso.com"),
        ("https://acct.blob.core.windows.net/c/b", "acct.blob.core.windows.net"),
        ("https://a.b.blob.core.windows.net/", "a.b.blob.core.windows.net"),
        ("https://api.contoso.com:8443/v1", "api.contoso.com"),
        ("https://x.tools.contoso.com:9443/", "x.tools.contoso.com"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://10.0.0.4/", "10.0.0.4"),
        ("https://8.8.8.8/", "8.8.8.8"),
        ("http://127.0.0.1:7072/", "127.0.0.1"),
        ("https://127.0.0.1:7072/", "127.0.0.1"),
        ("http://[::1]:7072/", "::1"),
        ("http://[0:0::1]:7072/", "::1"),
        ("http://localhost:7073/", "localhost"),
    ],
)
def test_what_is_listed_may_be_called(url: str, host: str) -> None:
    target = target_of(url, ALLOWED)
    assert target.host == host
    assert target.url.raw_host == host
    assert "sig" not in repr(target)


NOT_LISTED = {
    "another host": "https://evil.com/",
    "the suffix itself": "https://blob.core.windows.net/",
    "a suffix without its dot": "https://evilblob.core.windows.net/",
    "a listed name as a label": "https://images.contoso.com.evil.com/",
    "a listed name at the end": "https://evil-images.contoso.com/",
    "a subdomain of a whole name": "https://a.images.contoso.com/",
    "another port": "https://images.contoso.com:8443/",
    "the usual port of another": "https://api.contoso.com/",
    "another port of a suffix": "https://x.tools.contoso.com/",
    "http's port over https": "https://images.contoso.com:80/",
    "an address": "https://1.1.1.1/",
    "an IPv6 address": "https://[2606:4700::1111]/",
    "an address under a suffix": "https://169.254.170.254/",
    "another loopback": "http://127.0.0.2:7072/",
    "another port of the loopback": "http://127.0.0.1:7073/",
    "localhost by another port": "http://localhost:22/",
    "a subdomain of localhost": "https://a.localhost:7073/",
    "the listed name as a path": "https://evil.com/images.contoso.com",
    "the listed name as a query": "https://evil.com?images.contoso.com",
    "the listed name as a fragment": "https://evil.com#@images.contoso.com",
    "look-alike letters": "https://images.cont\u043eso.com/",
    "a mapped IPv6 address": "https://[::ffff:10.0.0.5]/",
    "a private address": "https://192.168.0.1/",
    "Azure's wire server": "https://168.63.129.16/",
    "everything": "https://*/",
    "a wildcard's own text": "https://*.blob.core.windows.net/",
}
NO_URL = {
    "nothing": "",
    "a word": "images.contoso.com",
    "no scheme": "//images.contoso.com/",
    "ftp": "ftp://images.contoso.com/",
    "file": "file:///etc/passwd",
    "data": "data:image/png;base64,AAAA",
    "gopher": "gopher://127.0.0.1:6379/_",
    "one slash": "https:/images.contoso.com/",
    "three slashes": "https:///images.contoso.com/",
    "no host": "https:///",
    "no host but a port": "https://:443/",
    "a backslash for a slash": "https:\\\\images.contoso.com\\",
    "a backslash before a user": "https://evil.com\\@images.contoso.com/",
    "a backslash in the path": "https://images.contoso.com/\\evil.com",
    "a user": "https://user@images.contoso.com/",
    "a user that is a host": "https://images.contoso.com@evil.com/",
    "a host that is a user": "https://evil.com@images.contoso.com/",
    "a user with a word": "https://a:b@images.contoso.com/",
    "an empty user": "https://@images.contoso.com/",
    "two users": "https://a@b@images.contoso.com/",
    "a space before": " https://images.contoso.com/",
    "a space in the host": "https://images.contoso.com evil.com/",
    "a bell in the path": "https://images.contoso.com/\a",
    "a tab": "https://images.contoso.com/\t",
    "a line": "https://images.contoso.com/\r\nhost: evil.com",
    "a line in the scheme": "ht\ntps://images.contoso.com/",
    "a zero": "https://images.contoso.com\0.evil.com/",
    "an invisible space": "https://images.contoso.com\u200b/",
    "another direction": "https://images.contoso.com\u202e/",
    "an escaped dot": "https://images%2econtoso.com/",
    "an escaped slash": "https://images.contoso.com%2f.evil.com/",
    "an escaped zero": "https://images.contoso.com%00.evil.com/",
    "no port": "https://images.contoso.com:/a b",
    "port 0": "https://images.contoso.com:0/",
    "a port too high": "https://images.contoso.com:99999/",
    "a port that is none": "https://images.contoso.com:443a/",
    "two ports": "https://images.contoso.com:443:80/",
    "two dots at the end": "https://images.contoso.com../",
    "an empty label": "https://images..contoso.com/",
    "a bracket": "https://[images.contoso.com]/",
    "half a bracket": "https://[::1/",
    "a zone": "https://[fe80::1%25eth0]/",
    "a zone of the loopback": "http://[::1%25lo]:7072/",
    "too long": "https://images.contoso.com/" + "a" * 8192,
}
ODD_ADDRESSES = {
    "decimal": "https://2130706433/",
    "hexadecimal": "https://0x7f000001/",
    "octal": "https://0177.0.0.1/",
    "three parts": "https://127.0.1/",
    "two parts": "https://127.1/",
    "hexadecimal parts": "https://0xa9.0xfe.0xa9.0xfe/",
    "octal metadata": "https://0251.0376.0251.0376/",
    "decimal metadata": "https://2852039166/",
    "five parts": "https://1.2.3.4.5/",
    "too high a part": "https://256.1.1.1/",
    "an empty hexadecimal": "https://1.2.3.0x/",
    "a name that ends in a number": "https://images.contoso.com.1/",
    "full-width digits": "https://\uff11\uff16\uff19.254.169.254/",
    "circled digits": "https://\u2460\u2467.0.0.1/",
    "ideographic dots": "https://127\u30020\u30020\u30021/",
}
NEVER = {
    "metadata, though it is listed": "https://169.254.169.254/metadata/instance",
    "metadata with a dot": "https://169.254.169.254./",
    "metadata, mapped": "https://[::ffff:169.254.169.254]/",
    "metadata, mapped, in hexadecimal": "https://[::ffff:a9fe:a9fe]/",
    "metadata of another cloud": "https://[fd00:ec2::254]/",
}
PLAIN = {
    "http": "http://images.contoso.com/",
    "http to a listed private address": "http://10.0.0.4/",
    "http by https's port": "http://images.contoso.com:443/",
    "http to a suffix": "http://acct.blob.core.windows.net/",
}
# What the refusal says → the URLs that are refused so.
HOSTILE = {"is not among": NOT_LISTED, "address": NO_URL | ODD_ADDRESSES, "never called": NEVER, "https:// only": PLAIN}
CASES = [pytest.param(url, words, id=name) for words, cases in HOSTILE.items() for name, url in cases.items()]


@pytest.mark.parametrize(("url", "words"), CASES)
def test_what_is_hostile_is_refused(url: str, words: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        target_of(url, ALLOWED)
    assert caught.value.code == "egress_denied"
    if url not in ("https://*/", "https://*.blob.core.windows.net/", "https://images.cont\u043eso.com/"):
        assert words in caught.value.message


def test_there_are_many_hostile_urls_and_each_is_another() -> None:
    urls = [case.values[0] for case in CASES]
    assert len(set(urls)) == len(urls) >= 60


def test_a_refusal_names_the_host_and_says_who_can_change_it_and_nothing_else_of_the_url() -> None:
    with pytest.raises(PermissionDenied, match=r"'evil\.com:8443' is not among .* GATEWAY_EGRESS_HOSTS") as caught:
        target_of("https://evil.com:8443/secret?sig=hush", ALLOWED)
    assert "hush" not in caught.value.message
    assert "secret" not in caught.value.message


def test_an_empty_list_allows_nothing() -> None:
    for url in ("https://images.contoso.com/", "http://127.0.0.1/", "http://localhost/"):
        with pytest.raises(PermissionDenied):
            target_of(url, AllowList(()))


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        *((each, Kind.PUBLIC) for each in ("8.8.8.8", "20.50.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1")),
        *((each, Kind.PRIVATE) for each in ("10.0.0.4", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255")),
        *((each, Kind.PRIVATE) for each in ("fc00::1", "fd12:3456::1", "::ffff:10.0.0.4", "64:ff9b::a00:4", "::10.0.0.4")),
        *((each, Kind.LOOPBACK) for each in ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::127.0.0.1")),
        *((each, Kind.NEVER) for each in ("169.254.169.254", "169.254.0.1", "168.63.129.16", "100.100.100.200", "0.0.0.0", "0.1.2.3")),
        *((each, Kind.NEVER) for each in ("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.192", "198.18.0.1")),
        *((each, Kind.NEVER) for each in ("192.0.2.1", "192.88.99.1", "::", "fe80::1", "febf::1", "fec0::1", "ff02::1", "fd00:ec2::254")),
        *((each, Kind.NEVER) for each in ("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::169.254.169.254", "::ffff:0.0.0.0")),
        *((each, Kind.NEVER) for each in ("2002:a9fe:a9fe::1", "2002:808:808::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2")),
        *((each, Kind.NEVER) for each in ("3fff::1", "64:ff9b:1::1")),
        *((each, Kind.NEVER) for each in ("2001:db8::1", "100::1", "2606:4700::5efe:10.0.0.4", "fe80::5efe:8.8.8.8")),
        ("2606:4700::5efe:8.8.8.8", Kind.PUBLIC),
    ],
)
def test_an_address_is_what_it_leads_to(address: str, kind: Kind) -> None:
    assert kind_of(ipaddress.ip_address(address)) is kind


@pytest.mark.parametrize(
    ("host", "address", "private", "may"),
    [
        ("images.contoso.com", "20.50.1.1", False, True),
        ("images.contoso.com", "10.0.0.4", False, False),
        ("images.contoso.com", "10.0.0.4", True, True),
        ("images.contoso.com", "127.0.0.1", True, False),
        ("images.contoso.com", "::1", True, False),
        ("images.contoso.com", "169.254.169.254", True, False),
        ("images.contoso.com", "fe80::1%eth0", True, False),
        ("images.contoso.com", "nonsense", True, False),
        ("localhost", "127.0.0.1", False, True),
        ("localhost", "::1", False, True),
        ("localhost", "10.0.0.4", False, False),
        ("127.0.0.1", "127.0.0.1", False, True),
        ("127.0.0.1", "127.0.0.2", False, False),
    ],
)
def test_a_name_leads_to_public_addresses_and_a_listed_one_to_private_ones_too(host: str, address: str, private: bool, may: bool) -> None:
    assert may_reach(host, address, private=private) is may


def test_a_whole_name_may_be_private_and_a_suffix_may_not() -> None:
    assert target_of("https://images.contoso.com/", ALLOWED).private
    assert not target_of("https://acct.blob.core.windows.net/", ALLOWED).private


@given(st.ip_addresses(v=4))
def test_what_is_inside_an_ipv6_address_is_what_the_ipv4_address_is(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address((0xFFFF << 32) | int(address))
    translated = ipaddress.IPv6Address((0x64FF9B << 96) | int(address))
    assert kind_of(mapped) is kind_of(translated) is kind_of(address)
    assert kind_of(ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80) | 1)) is Kind.NEVER


@given(st.ip_addresses())
def test_nothing_that_is_not_global_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    inner = getattr(address, "ipv4_mapped", None) or address
    if inner.is_private or inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner.is_loopback:
        assert kind_of(address) is not Kind.PUBLIC


@given(st.text(alphabet=st.sampled_from("https:/@\\.[]%:#?0123456789abcx \t\u3002\uff0eevilcontoso"), max_size=40))
def test_whatever_passes_leads_to_a_listed_host(text: str) -> None:
    for url in (text, f"https://{text}", f"https://images.contoso.com{text}"):
        try:
            target = target_of(url, ALLOWED)
        except PermissionDenied:
            continue
        assert target.url.raw_host == target.host
        assert target.url.user is None
        assert address_of(target.host) is not None or ALLOWED.holds(target.host, target.url.port or 0, target.url.scheme)
