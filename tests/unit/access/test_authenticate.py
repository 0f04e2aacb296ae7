from collections.abc import Mapping

import pytest

from gateway.access import keys
from gateway.access.authenticate import ADMINISTRATOR, Authenticator, presented_key
from gateway.access.directory import KeyRecord
from gateway.cached import Cached
from gateway.domain.access import Role
from gateway.errors import AuthenticationError, PermissionDenied
from tests.builders import make_inbound, make_principal
from tests.fakes.clock import FakeClock

PEPPER = b"pepper-pepper-pepper"
ADMIN_KEY = "the-administrators-own-key"
KEY = keys.mint()


class Door:
    """An authenticator over a dictionary of key records."""

    def __init__(self, admin_key: str = ADMIN_KEY) -> None:
        self.clock = FakeClock()
        self.records: dict[str, KeyRecord] = {KEY.id: KeyRecord(keys.hash_key(PEPPER, KEY), active=True, principal=make_principal())}
        self.reads = 0
        self.authenticator = Authenticator(Cached(self._load, self.clock), PEPPER, admin_key)

    async def _load(self, key_id: str) -> KeyRecord | None:
        self.reads += 1
        return self.records.get(key_id)


@pytest.mark.parametrize(
    "headers",
    [
        {"api-key": KEY.text},
        {"authorization": f"Bearer {KEY.text}"},
        {"authorization": f"bearer   {KEY.text} "},
        {"api-key": KEY.text, "authorization": "Bearer something-else"},
        {"x-api-key": KEY.text},
        {"x-api-key": f" {KEY.text} ", "api-key": "", "authorization": "Bearer something-else"},
    ],
)
async def test_a_key_is_found_in_either_header(headers: Mapping[str, str]) -> None:
    assert await Door().authenticator.authenticate(make_inbound(headers=headers)) == make_principal()


@pytest.mark.parametrize("headers", [{}, {"authorization": KEY.text}, {"authorization": "Bearer"}, {"api-key": ""}, {"x-api-key": " "}])
def test_no_key_says_what_to_send(headers: Mapping[str, str]) -> None:
    with pytest.raises(AuthenticationError, match="send `Authorization: Bearer") as caught:
        presented_key(headers)
    assert caught.value.code == "missing_api_key"
    assert all(f"`{way}: <key>`" in caught.value.message for way in ("api-key", "x-api-key"))


async def test_an_inactive_key_is_refused_like_an_unknown_one() -> None:
    door = Door()
    door.records[KEY.id] = KeyRecord(keys.hash_key(PEPPER, KEY), active=False, principal=make_principal())
    with pytest.raises(AuthenticationError) as inactive:
        await door.authenticator.authenticate(make_inbound(headers={"api-key": KEY.text}))
    del door.records[KEY.id]
    door.clock.advance(10)
    with pytest.raises(AuthenticationError) as unknown:
        await door.authenticator.authenticate(make_inbound(headers={"api-key": KEY.text}))
    assert inactive.value.message == unknown.value.message


async def test_a_wrong_secret_is_refused_also_after_the_right_one_was_proved() -> None:
    door = Door()
    await door.authenticator.authenticate(make_inbound(headers={"api-key": KEY.text}))
    wrong = KEY.text[:-4] + ("AAAA" if not KEY.text.endswith("AAAA") else "BBBB")
    with pytest.raises(AuthenticationError):
        await door.authenticator.authenticate(make_inbound(headers={"api-key": wrong}))
    assert await door.authenticator.authenticate(make_inbound(headers={"api-key": KEY.text})) == make_principal()


async def test_a_proved_key_is_refused_once_its_hash_changed_or_it_was_revoked() -> None:
    door = Door()
    await door.authenticator.authenticate(make_inbound(headers={"api-key": KEY.text}))
    for record in (
        KeyRecord(keys.hash_key(b"another pepper", KEY), active=True, principal=make_principal()),
        KeyRecord(keys.hash_key(PEPPER, KEY), active=False, principal=make_principal()),
    ):
        door.records[KEY.id] = record
        door.clock.advance(4.1)  # the longest that a change goes unnoticed
        with pytest.raises(AuthenticationError):
            await door.authenticator.authenticate(make_inbound(headers={"api-key": KEY.text}))


async def test_garbage_asks_no_store() -> None:
    door = Door()
    for garbage in ("gwk_x_y", "sk-0123456789", "x" * 100_000):
        with pytest.raises(AuthenticationError):
            await door.authenticator.authenticate(make_inbound(headers={"api-key": garbage}))
    assert door.reads == 0


async def test_a_refusal_does_not_repeat_the_secret() -> None:
    secret = "sk-live-0123456789abcdefghij"
    with pytest.raises(AuthenticationError) as caught:
        await Door().authenticator.authenticate(make_inbound(headers={"api-key": secret}))
    assert secret[5:-5] not in caught.value.message


async def test_the_administrators_key_opens_management_only() -> None:
    door = Door()
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    assert await door.authenticator.authenticate_administrator(make_inbound(headers=headers)) is ADMINISTRATOR
    with pytest.raises(PermissionDenied):
        await door.authenticator.authenticate(make_inbound(headers=headers))


async def test_without_an_administrator_key_nothing_opens_management() -> None:
    door = Door(admin_key="")
    for key in ("", ADMIN_KEY):
        with pytest.raises(AuthenticationError):
            await door.authenticator.authenticate_administrator(make_inbound(headers={"authorization": f"Bearer {key}"}))


async def test_management_needs_the_role() -> None:
    door = Door()
    with pytest.raises(PermissionDenied, match="the role"):
        await door.authenticator.authenticate_administrator(make_inbound(headers={"api-key": KEY.text}))
    admin = make_principal(roles=frozenset({Role.ADMIN}))
    door.records[KEY.id] = KeyRecord(keys.hash_key(PEPPER, KEY), active=True, principal=admin)
    door.clock.advance(10)
    assert await door.authenticator.authenticate_administrator(make_inbound(headers={"api-key": KEY.text})) == admin
