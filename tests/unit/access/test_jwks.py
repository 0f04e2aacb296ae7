"""An issuer's keys: which are taken, and how seldom the endpoint is asked for them."""

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.access.jwks import FRESH_S, MAX_KEYS, OUTAGE_S, UNKNOWN_S, SigningKeys, load, parse_keys
from gateway.errors import Unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.entra import KID, OTHER_TENANT, TENANT, Endpoint, jwk, jwks, number, sign


class Issuer:
    """A tenant's keys over an endpoint that counts."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.endpoint = Endpoint()
        self.keys = SigningKeys(self.endpoint.fetch, TENANT, self.clock)

    async def has(self, kid: str) -> bool:
        found = await self.keys.key(kid) is not None
        for _ in range(3):  # what goes on in the background ends
            await asyncio.sleep(0)
        return found


async def test_the_set_is_read_once_and_serves_for_an_hour() -> None:
    issuer = Issuer()
    for _ in range(100):
        assert await issuer.has(KID)
        issuer.clock.advance(FRESH_S / 100)
    assert issuer.endpoint.asked == 1


async def test_an_old_set_serves_while_it_is_read_again_in_the_background() -> None:
    issuer = Issuer()
    await issuer.has(KID)
    issuer.clock.advance(FRESH_S + 1)
    issuer.endpoint.answer = jwks(jwk("next"))
    assert await issuer.has(KID)
    assert await issuer.has("next")
    assert not await issuer.has(KID)  # it was taken back
    assert issuer.endpoint.asked == 2


async def test_a_new_key_is_found_by_asking_again() -> None:
    issuer = Issuer()
    await issuer.has(KID)
    issuer.endpoint.answer = jwks(jwk(), jwk("next"))
    issuer.clock.advance(UNKNOWN_S)
    assert await issuer.has("next")
    assert issuer.endpoint.asked == 2


async def test_all_who_ask_at_once_share_one_question() -> None:
    issuer = Issuer()
    found = await asyncio.gather(*(issuer.keys.key(kid) for kid in (KID, "a", "b", KID) for _ in range(50)))
    assert issuer.endpoint.asked == 1
    assert sum(key is not None for key in found) == 100


async def test_a_caller_that_gives_up_does_not_end_the_question_of_the_others() -> None:
    issuer = Issuer()
    first = asyncio.create_task(issuer.keys.key(KID))
    await asyncio.sleep(0)
    first.cancel()
    assert await issuer.has(KID)
    assert issuer.endpoint.asked == 1


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.tuples(st.floats(0, 40), st.sampled_from([KID, "x", "y", "z"]), st.booleans()), max_size=60))
async def test_strangers_have_the_endpoint_asked_at_most_once_a_minute(steps: list[tuple[float, str, bool]]) -> None:
    issuer = Issuer()
    await issuer.has(KID)
    passed_s = 0.0
    for wait_s, kid, down in steps:
        issuer.clock.advance(wait_s)
        passed_s += wait_s
        issuer.endpoint.down = down
        try:
            assert await issuer.has(kid) is (kid == KID)
        except Unavailable:
            assert kid != KID  # what is kept is given, whatever the endpoint does
        assert issuer.endpoint.asked <= 1 + passed_s / UNKNOWN_S


async def test_known_keys_outlive_an_outage_of_a_day_and_no_longer() -> None:
    issuer = Issuer()
    await issuer.has(KID)
    issuer.endpoint.down = True
    while issuer.clock.now_s() + 600 < OUTAGE_S:
        issuer.clock.advance(600)
        assert await issuer.has(KID)
    issuer.clock.advance(1200)
    with pytest.raises(Unavailable):
        await issuer.has(KID)
    issuer.endpoint.down = False
    issuer.clock.advance(5)
    assert await issuer.has(KID)


async def test_an_endpoint_that_is_down_is_asked_once_a_minute_however_many_callers_there_are() -> None:
    issuer = Issuer()
    await issuer.has(KID)
    issuer.endpoint.down = True
    issuer.clock.advance(FRESH_S + 1)
    for _ in range(600):
        assert await issuer.has(KID)
        issuer.clock.advance(1)
    assert issuer.endpoint.asked == 1 + 10


async def test_an_unknown_key_that_nobody_can_ask_about_is_503() -> None:
    issuer = Issuer()
    await issuer.has(KID)
    issuer.clock.advance(UNKNOWN_S)
    assert not await issuer.has("x")
    issuer.endpoint.down = True
    issuer.clock.advance(UNKNOWN_S)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await issuer.has("x")
    assert issuer.endpoint.asked == 3


async def test_while_nothing_was_ever_read_it_is_tried_every_five_seconds() -> None:
    issuer = Issuer()
    issuer.endpoint.down = True
    for _ in range(60):
        with pytest.raises(Unavailable) as caught:
            await issuer.has(KID)
        assert caught.value.retry_after_s == 5
        issuer.clock.advance(1)
    assert issuer.endpoint.asked == 12
    issuer.endpoint.down = False
    assert await issuer.has(KID)


@pytest.mark.parametrize("answer", [b"", b"<html>", b"{}", b'{"keys":[]}', b'{"keys":7}', b"\xff", b'{"keys":[{"kid":7}]}'])
async def test_an_answer_without_a_key_leaves_the_old_ones(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    await issuer.has(KID)
    issuer.endpoint.answer = answer
    issuer.clock.advance(FRESH_S + 1)
    with caplog.at_level(logging.WARNING):
        assert await issuer.has(KID)
    assert await issuer.has(KID)
    assert TENANT in caplog.text


@pytest.mark.parametrize(
    "over",
    [
        {"kty": "EC"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"use": "enc"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kid": ""},
        {"kid": None},
        {"n": None},
        {"n": "AQAB"},
        {"n": "!!!"},
        {"n": "€"},
        {"n": number(1 << 2100)},
        {"n": number((1 << 8193) + 1)},
        {"e": None},
        {"e": "AQ"},
        {"e": number(65536)},
        {"e": number(2**40 + 1)},
        {"issuer": f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"},
    ],
)
def test_keys_of_another_use_kind_size_or_issuer_are_left_out(over: dict[str, Any]) -> None:
    found = parse_keys(jwks(jwk("bad", **over), jwk()), TENANT)
    assert set(found) == {KID}


def test_short_keys_are_left_out() -> None:
    assert set(parse_keys(jwks(jwk("short", bits=1024), jwk()), TENANT)) == {KID}


@pytest.mark.parametrize(
    "over", [{}, {"alg": "RS256"}, {"use": None}, {"issuer": f"x/{TENANT}/y"}, {"issuer": "x/{tenantid}/y"}, {"x5c": ["MII"]}]
)
def test_keys_as_microsoft_publishes_them_are_taken(over: dict[str, Any]) -> None:
    assert set(parse_keys(jwks(jwk(**over)), TENANT)) == {KID}


def test_of_two_keys_with_one_id_the_first_counts_and_there_is_an_end_to_them() -> None:
    load()
    (found,) = parse_keys(jwks(jwk(), jwk("other") | {"kid": KID}), TENANT).values()
    assert found.signed(b"x", sign("x"))
    assert not found.signed(b"x", sign("x", "other"))
    many = json.dumps({"keys": [jwk() | {"kid": f"k{index}"} for index in range(MAX_KEYS + 50)]}).encode()
    assert len(parse_keys(many, TENANT)) == MAX_KEYS
