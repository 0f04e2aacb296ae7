"""What the webhook's receiver gets, checked by an implementation of its own; and what is never sent anywhere."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json

import pytest

from gateway.adapters.webhook import SigningWebhook, key_of, url_fault
from gateway.alerts.events import CONTENT_TYPE, encode
from gateway.errors import Unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.loopback import CUT, HANG, Loopback, Received, answer, loopback
from tests.unit.alerts.conftest import make_alert

SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes at least").decode()
BODY = encode(make_alert())


def verify(received: Received, key: bytes) -> None:
    """Do what a receiver does, after the specification and not after our code."""
    signed = b".".join([received.headers["webhook-id"].encode(), received.headers["webhook-timestamp"].encode(), received.body])
    block = key.ljust(64, b"\0") if len(key) <= 64 else hashlib.sha256(key).digest().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + signed).digest()
    expected = hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()
    version, _, given = received.headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert hmac.compare_digest(binascii.a2b_base64(given), expected)


async def post(receiver: Loopback, secret: str = SECRET, **over: float) -> Received:
    webhook = SigningWebhook(f"{receiver.url}/hook?code=s3cret", secret, FakeClock(), **over)
    try:
        await webhook.post(BODY, message_id=make_alert().id, content_type=CONTENT_TYPE)
    finally:
        await webhook.close()
    return receiver.received[-1]


@pytest.mark.parametrize(
    ("secret", "key"), [(SECRET, b"twenty-four bytes at least"), ("any text of some length", b"any text of some length")]
)
async def test_a_post_is_a_cloudevent_that_its_receiver_can_verify(secret: str, key: bytes) -> None:
    async with loopback() as receiver:
        receiver.will(answer(status="202 Accepted"))
        received = await post(receiver, secret)
    assert (received.method, received.target) == ("POST", "/hook?code=s3cret")
    assert received.headers["content-type"] == "application/cloudevents+json"
    assert received.headers["webhook-id"] == json.loads(received.body)["id"] == make_alert().id
    assert received.headers["webhook-timestamp"] == str(int(FakeClock().utc().timestamp()))
    verify(received, key)
    with pytest.raises(AssertionError):
        verify(received, key + b"x")


async def test_without_a_secret_nothing_is_signed() -> None:
    async with loopback() as receiver:
        receiver.will(answer())
        assert "webhook-signature" not in (await post(receiver, "")).headers


async def test_a_redirect_is_not_followed() -> None:
    async with loopback() as receiver, loopback() as elsewhere:
        receiver.will(answer(b"", "307 Temporary Redirect", f"location: {elsewhere.url}/"))
        with pytest.raises(Unavailable, match="307; redirects are not followed"):
            await post(receiver)
        assert elsewhere.received == []


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "404 Not Found", "410 Gone", "500 Oops", "503 Busy"])
async def test_what_is_no_success_is_tried_again(status: str) -> None:
    async with loopback() as receiver:
        receiver.will(answer(b"internal words", status))
        with pytest.raises(Unavailable) as caught:
            await post(receiver)
    assert status[:3] in caught.value.message
    assert "internal words" not in caught.value.message


@pytest.mark.parametrize(("header", "seconds"), [("120", 120), ("99999999", 3600), ("soon", None), ("-1", None), ("nan", None)])
async def test_a_receiver_may_say_when(header: str, seconds: float | None) -> None:
    async with loopback() as receiver:
        receiver.will(answer(b"", "429 Too Many", f"retry-after: {header}"))
        with pytest.raises(Unavailable) as caught:
            await post(receiver)
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize("piece", [HANG, CUT, b"nonsense\r\n\r\n"])
async def test_a_slow_or_broken_receiver_is_unavailable_and_its_url_stays_secret(piece: bytes) -> None:
    async with loopback() as receiver:
        receiver.will(piece)
        with pytest.raises(Unavailable) as caught:
            await post(receiver, timeout_s=0.2)
    assert "s3cret" not in f"{caught.value.message} {caught.value.__cause__}"
    assert "127.0.0.1" not in caught.value.message


async def test_a_receiver_that_is_not_there_is_unavailable() -> None:
    async with loopback() as receiver:
        url = receiver.url
    webhook = SigningWebhook(url, SECRET, FakeClock())
    with pytest.raises(Unavailable, match="could not be reached"):
        await webhook.post(BODY, message_id="x", content_type=CONTENT_TYPE)
    await webhook.close()


async def test_many_posts_at_once_arrive() -> None:
    async with loopback() as receiver:
        webhook = SigningWebhook(receiver.url, SECRET, FakeClock())
        for _ in range(20):
            receiver.will(answer())
        await asyncio.gather(*(webhook.post(BODY, message_id=str(number), content_type=CONTENT_TYPE) for number in range(20)))
        await webhook.close()
    assert {each.headers["webhook-id"] for each in receiver.received} == {str(number) for number in range(20)}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://hooks.contoso.com/x?sig=1", None),
        ("https://10.0.0.4/x", None),
        ("http://127.0.0.1:8080/x", None),
        ("http://localhost/x", None),
        ("http://[::1]:1/x", None),
        ("https://[::ffff:10.0.0.4]/", None),
        ("http://hooks.contoso.com/x", "loopback"),
        ("http://10.0.0.4/x", "loopback"),
        ("ftp://hooks.contoso.com/x", "https://"),
        ("hooks.contoso.com", "https://"),
        ("https:///x", "https://"),
        ("https://hooks.contoso.com:99999/", "no URL"),
        ("https://user:word@hooks.contoso.com/", "neither a user"),
        ("https://hooks.contoso.com/#x", "fragment"),
        ("https://169.254.169.254/metadata", "no receiver"),
        ("https://[fe80::1]/", "no receiver"),
        ("https://[::ffff:169.254.169.254]/", "no receiver"),
        ("https://168.63.129.16/", "no receiver"),
        ("https://0.0.0.0/", "no receiver"),
        ("https://[::]/", "no receiver"),
        ("https://224.0.0.1/", "no receiver"),
    ],
)
def test_an_address_is_judged_before_anything_is_sent(url: str, fault: str | None) -> None:
    found = url_fault(url)
    assert (found is None) if fault is None else (found is not None and fault in found)
    assert found is None or "contoso" not in found


@pytest.mark.parametrize("also", ["169.254.169.254", "127.0.0.1"])
async def test_a_name_that_leads_to_the_metadata_service_is_refused(monkeypatch: pytest.MonkeyPatch, also: str) -> None:
    async def resolve(self, host, port=0, family=0):  # type: ignore[no-untyped-def]
        return [{"hostname": host, "host": each, "port": port, "family": 2, "proto": 0, "flags": 0} for each in ("127.0.0.1", also)]

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", resolve)
    async with loopback() as receiver:
        receiver.will(answer())
        webhook = SigningWebhook(receiver.url.replace("127.0.0.1", "localhost"), SECRET, FakeClock(), timeout_s=5)
        posting = webhook.post(BODY, message_id="x", content_type=CONTENT_TYPE)
        if also == "127.0.0.1":
            await posting
        else:
            with pytest.raises(Unavailable, match="could not be reached"):
                await posting
        await webhook.close()
        assert len(receiver.received) == (also == "127.0.0.1")


def test_a_secret_that_is_no_base64_is_said() -> None:
    assert key_of("whsec_AAEC") == b"\x00\x01\x02"
    with pytest.raises(ValueError, match="base64"):
        key_of("whsec_***")


@pytest.mark.parametrize(("listed", "sent"), [((), False), (("other.corp",), False), (("*.corp",), False), (("hooks.corp",), True)])
async def test_a_name_that_leads_to_a_private_address_must_be_listed(
    monkeypatch: pytest.MonkeyPatch, listed: tuple[str, ...], sent: bool
) -> None:
    connected: list[str] = []

    async def resolve(self, host, port=0, family=0):  # type: ignore[no-untyped-def]
        return [{"hostname": host, "host": "10.0.0.4", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def start_connection(addr_infos, **_):  # type: ignore[no-untyped-def]
        connected.extend(info[4][0] for info in addr_infos)
        raise OSError("nothing is connected to in this test")

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", resolve)
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", start_connection)
    webhook = SigningWebhook("https://hooks.corp/x", SECRET, FakeClock(), egress=listed)
    with pytest.raises(Unavailable, match="could not be reached"):
        await webhook.post(BODY, message_id="x", content_type=CONTENT_TYPE)
    await webhook.close()
    assert connected == (["10.0.0.4"] if sent else [])
