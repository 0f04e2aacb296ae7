"""Claims of tokens that become attributes: which, how, and only of the token that holds them."""

from typing import Any

import msgspec
import pytest

from gateway.access.administration_documents import RESERVED
from gateway.access.authenticate import Authenticator
from gateway.access.directory import KeyRecord
from gateway.access.entra_tokens import TokenVerifier
from gateway.access.jwks import SigningKeys
from gateway.cached import Cached
from gateway.domain.access import Principal, SubscriptionState
from gateway.errors import AuthenticationError
from gateway.settings import RESERVED_ATTRIBUTES, SettingsError, load_settings
from tests.builders import make_inbound, make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.entra import AUDIENCE, OID, TENANT, Endpoint, app_claims, token

CLAIMS = {"department": "department", "jobTitle": "role", "groups": "groups"}


class Door:
    """An authenticator that binds one identity to a subscription with attributes of its own."""

    def __init__(self, **attributes: str) -> None:
        self.clock = FakeClock()
        signing = {TENANT: SigningKeys(Endpoint().fetch, TENANT, self.clock)}
        record = KeyRecord("", True, make_principal(attributes=attributes), SubscriptionState.ACTIVE)

        async def bound(name: str) -> KeyRecord | None:
            return record if name == OID else None

        async def nothing(_: str) -> None:
            return None

        verifier = TokenVerifier(frozenset({AUDIENCE}), signing, self.clock, CLAIMS)
        self.record = record
        self.authenticator = Authenticator(
            Cached(nothing, self.clock), b"pepper-pepper-pepper", "", identities=Cached(bound, self.clock), tokens=verifier
        )

    def token(self, **claims: Any) -> str:
        return token(app_claims(self.clock.utc().timestamp(), **claims))

    async def calls(self, text: str) -> Principal:
        return await self.authenticator.authenticate(make_inbound(headers={"authorization": f"Bearer {text}"}))


async def test_claims_win_over_the_subscriptions_and_the_others_stay() -> None:
    door = Door(department="sales", role="agent", application="crm")
    found = await door.calls(door.token(jobTitle="lead", groups=["a", "b"], nickname="x"))
    assert found.attributes == {"department": "sales", "role": "lead", "application": "crm", "groups": "a,b"}


async def test_a_tokens_attributes_are_never_another_tokens_of_the_same_identity() -> None:
    door = Door(role="agent")
    lead, none, clerk = door.token(jobTitle="lead"), door.token(), door.token(jobTitle="clerk")
    for _ in range(2):  # the second time from memory
        assert [(await door.calls(each)).attributes["role"] for each in (lead, none, clerk)] == ["lead", "agent", "clerk"]
    assert door.record.principal.attributes == {"role": "agent"}


@pytest.mark.parametrize("value", [7, True, {"a": "b"}, ["a", 1], "x" * 257, ["x" * 200, "y" * 200]], ids=str)
async def test_a_claim_that_cannot_be_an_attribute_is_refused_by_name_and_not_shown(value: Any) -> None:
    door = Door()
    with pytest.raises(AuthenticationError, match="department") as refused:
        await door.calls(door.token(department=value))
    assert refused.value.code == "invalid_token"
    assert "xxx" not in refused.value.message


async def test_a_claim_of_256_characters_and_an_empty_one_count() -> None:
    door = Door(role="agent")
    found = await door.calls(door.token(department="x" * 256, jobTitle=""))
    assert found.attributes == {"department": "x" * 256, "role": ""}


def settings_of(claims: str) -> Any:
    environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "GATEWAY_KEY_PEPPER": "0123456789abcdef"}
    return load_settings(environment | {"GATEWAY_ENTRA_CONTEXT_CLAIMS": claims}).entra


def test_a_claim_is_called_as_it_is_or_as_the_setting_says() -> None:
    assert msgspec.to_builtins(settings_of(" department , jobTitle = role,").claims) == {"department": "department", "jobTitle": "role"}


@pytest.mark.parametrize(
    "claims",
    ["user", "oid=user", "sub=tenant", "a=", "=a", "a b", "exp", "aud=x", "a=b c", "a,a", "a=x,b=x", ",".join(f"c{n}" for n in range(17))],
)
def test_a_setting_that_names_what_cannot_be_is_a_fault_at_start(claims: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_ENTRA_CONTEXT_CLAIMS"):
        settings_of(claims)


def test_what_is_reserved_for_administrators_is_reserved_for_claims() -> None:
    assert RESERVED_ATTRIBUTES == RESERVED
