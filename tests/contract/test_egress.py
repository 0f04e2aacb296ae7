"""What is called on somebody else's word is the listed host, at an address that was checked, wherever its answers point."""

import asyncio
import ssl

import pytest

from gateway.adapters.egress import MOST_REDIRECTS, Egress, Fetched
from gateway.errors import PayloadTooLarge, PermissionDenied, Unavailable
from tests.fakes.certificates import serving, trusting
from tests.fakes.loopback import CUT, HANG, Loopback, answer, loopback

METADATA = "169.254.169.254"


def egress_to(*servers: Loopback, tls: ssl.SSLContext | None = None) -> Egress:
    return Egress(tuple(each.url.partition("://")[2] for each in servers), tls)


async def fetch(server: Loopback, **over) -> Fetched:
    over = {"max_bytes": 1000, "timeout_s": 5} | over
    return await egress_to(server).fetch(f"{server.url}/a.png?sig=s3cret", **over)


@pytest.fixture
def leading(monkeypatch: pytest.MonkeyPatch):
    """Names lead where a test says: to the next of several lists each time, and to the last from then on."""
    asked: list[str] = []

    def lead(*answers: list[str]) -> list[str]:
        async def resolve(self, host, port=0, family=0):
            asked.append(host)
            addresses = answers[min(len(asked), len(answers)) - 1]
            return [
                {"hostname": host, "host": each, "port": port, "family": 10 if ":" in each else 2, "proto": 0, "flags": 0}
                for each in addresses
            ]

        monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", resolve)
        return asked

    return lead


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whom a connection was tried to; none is made."""
    seen: list[str] = []

    async def start_connection(addr_infos, **_):
        seen.extend(info[4][0] for info in addr_infos)
        raise OSError("nothing is connected to in this test")

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", start_connection)
    return seen


async def test_a_listed_loopback_is_called_and_nothing_of_ours_goes_along() -> None:
    async with loopback() as server:
        server.will(answer(b"pixels", "200 OK", "content-type: Image/PNG"))
        assert await fetch(server) == Fetched(200, "image/png", b"pixels")
    (received,) = server.received
    assert (received.method, received.target) == ("GET", "/a.png?sig=s3cret")
    assert received.headers.keys() <= {"host", "accept", "accept-encoding", "user-agent", "connection"}
    assert received.headers["accept-encoding"] == "identity"


async def test_a_body_and_headers_are_sent() -> None:
    async with loopback() as server:
        server.will(answer(b"no", "404 Not Found"))
        found = await fetch(server, method="POST", body=b"{}", headers={"content-type": "application/json"})
    assert (found.status, found.body) == (404, b"no")
    assert (server.received[0].method, server.received[0].body) == ("POST", b"{}")
    assert server.received[0].headers["content-type"] == "application/json"


async def test_a_certificate_is_checked() -> None:
    async with loopback(tls=serving()) as server:
        server.will(answer(b"pixels"))
        found = await egress_to(server, tls=trusting()).fetch(server.url, max_bytes=10, timeout_s=5)
        with pytest.raises(Unavailable, match="could not be reached"):
            await egress_to(server).fetch(server.url, max_bytes=10, timeout_s=5)
    assert found.body == b"pixels"
    assert len(server.received) == 1


async def test_what_is_not_listed_is_not_called() -> None:
    async with loopback() as server, loopback() as other:
        with pytest.raises(PermissionDenied, match="GATEWAY_EGRESS_HOSTS") as caught:
            await egress_to(other).fetch(server.url, max_bytes=10)
    assert caught.value.code == "egress_denied"
    assert server.received == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", METADATA, "::ffff:169.254.169.254", "0.0.0.0", "168.63.129.16", "64:ff9b::7f00:1"])
@pytest.mark.parametrize("host", ["images.contoso.com", "a.blob.contoso.com"])
async def test_a_name_that_leads_inside_is_refused_without_saying_where(leading, connected: list[str], host: str, address: str) -> None:
    leading(["20.50.1.1", address])
    with pytest.raises(PermissionDenied) as caught:
        await Egress(("images.contoso.com", "*.blob.contoso.com")).fetch(f"https://{host}/x?sig=s3cret", max_bytes=10)
    assert caught.value.code == "egress_denied"
    assert repr(host) in caught.value.message
    assert address not in caught.value.message
    assert (connected, caught.value.__cause__) == ([], None)


@pytest.mark.parametrize(("host", "called"), [("images.contoso.com", True), ("a.blob.contoso.com", False)])
async def test_a_private_endpoint_needs_its_whole_name_on_the_list(leading, connected: list[str], host: str, called: bool) -> None:
    leading(["10.0.0.4"])
    with pytest.raises(Unavailable if called else PermissionDenied):
        await Egress(("images.contoso.com", "*.blob.contoso.com")).fetch(f"https://{host}/", max_bytes=10)
    assert connected == (["10.0.0.4"] if called else [])


async def test_a_name_that_changes_its_mind_is_called_where_it_was_checked(leading, connected: list[str]) -> None:
    asked = leading(["20.50.1.1"], ["127.0.0.1"])
    egress = Egress(("images.contoso.com",))
    with pytest.raises(Unavailable):
        await egress.fetch("https://images.contoso.com/", max_bytes=10)
    assert (asked, connected) == (["images.contoso.com"], ["20.50.1.1"])
    with pytest.raises(PermissionDenied):
        await egress.fetch("https://images.contoso.com/", max_bytes=10)
    assert connected == ["20.50.1.1"]


async def test_a_name_that_leads_nowhere_is_unavailable(leading, connected: list[str]) -> None:
    async def resolve(self, host, port=0, family=0):
        raise OSError("no such name")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aiohttp.ThreadedResolver.resolve", resolve)
        with pytest.raises(Unavailable, match=r"'images\.contoso\.com' could not be reached"):
            await Egress(("images.contoso.com",)).fetch("https://images.contoso.com/", max_bytes=10)


async def test_no_redirect_is_followed_unasked() -> None:
    async with loopback() as server:
        server.will(answer(b"", "302 Found", "location: /b.png"))
        with pytest.raises(PermissionDenied, match="redirects"):
            await fetch(server)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_that_may_be_followed_is(status: str) -> None:
    async with loopback() as server, loopback() as other:
        server.will(answer(b"", status, f"location: {other.url}/b.png#x"))
        other.will(answer(b"pixels"))
        found = await egress_to(server, other).fetch(
            f"{server.url}/a", max_bytes=10, redirects=1, headers={"authorization": "Bearer s3cret"}
        )
    assert found.body == b"pixels"
    assert server.received[0].headers["authorization"] == "Bearer s3cret"
    assert "authorization" not in other.received[0].headers


LOCATIONS = [
    f"http://{METADATA}/metadata/instance",
    f"https://{METADATA}/",
    f"//{METADATA}/",
    "http://[::ffff:169.254.169.254]/",
    "http://127.0.0.1:1/",
    "http://localhost/",
    "http://0x7f000001/",
    "https://evil.com/",
    "https://user@127.0.0.1/",
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "javascript:alert(1)",
    "/\\evil.com",
    "\\\\evil.com\\",
    "http://[",
]


@pytest.mark.parametrize("location", LOCATIONS)
async def test_a_redirect_is_judged_like_the_first_url(location: str) -> None:
    async with loopback() as server:
        server.will(answer(b"", "302 Found", f"location: {location}"))
        with pytest.raises(PermissionDenied) as caught:
            await fetch(server, redirects=3)
    assert caught.value.code == "egress_denied"
    assert len(server.received) == 1


async def test_a_redirect_does_not_leave_https() -> None:
    async with loopback(tls=serving()) as server, loopback() as plain:
        server.will(answer(b"", "302 Found", f"location: {plain.url}/"))
        with pytest.raises(PermissionDenied, match="away from https"):
            await egress_to(server, plain, tls=trusting()).fetch(server.url, max_bytes=10, redirects=1, timeout_s=5)
    assert plain.received == []


async def test_three_redirects_are_the_most_whatever_is_asked() -> None:
    async with loopback() as server:
        for _ in range(MOST_REDIRECTS + 1):
            server.will(answer(b"", "302 Found", "location: /again"))
        with pytest.raises(PermissionDenied, match="no further redirect"):
            await fetch(server, redirects=99)
    assert len(server.received) == MOST_REDIRECTS + 1


async def test_what_was_sent_is_not_sent_on() -> None:
    async with loopback() as server:
        server.will(answer(b"", "307 Temporary", "location: /again"))
        with pytest.raises(PermissionDenied, match="no further redirect"):
            await fetch(server, method="POST", body=b"secret", redirects=3)
    assert len(server.received) == 1


async def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    async with loopback() as server:
        server.will(answer(b"x" * 1000))
        assert len((await fetch(server)).body) == 1000
        server.will(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x" * 1001, HANG)
        with pytest.raises(PayloadTooLarge, match="over 1000 bytes"):
            await fetch(server)


async def test_a_compressed_answer_is_refused() -> None:
    async with loopback() as server:
        server.will(answer(b"\x1f\x8b", "200 OK", "content-encoding: gzip"))
        with pytest.raises(Unavailable, match="compressed"):
            await fetch(server)


@pytest.mark.parametrize("piece", [HANG, CUT, b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"])
async def test_a_slow_or_broken_host_is_unavailable_and_its_url_is_not_told(piece: bytes) -> None:
    async with loopback() as server:
        server.will(piece, CUT)
        with pytest.raises(Unavailable) as caught:
            await fetch(server, timeout_s=0.3)
    assert "s3cret" not in f"{caught.value.message} {caught.value.__cause__}"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with loopback() as server, loopback() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        server.will(answer(b"pixels"))
        assert (await fetch(server)).body == b"pixels"
    assert proxy.received == []


async def test_many_calls_at_once_do_not_mix_up_their_hosts(leading, connected: list[str]) -> None:
    leading(["10.0.0.4"])
    egress = Egress(("images.contoso.com", "*.blob.contoso.com"))
    urls = [f"https://{host}/" for host in ("images.contoso.com", "a.blob.contoso.com") for _ in range(5)]
    found = await asyncio.gather(*(egress.fetch(url, max_bytes=10) for url in urls), return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable] * 5 + [PermissionDenied] * 5
