"""Which Entra ID tokens are believed, and every known way to forge one."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.access import entra
from gateway.access.entra import Identity
from gateway.access.entra_tokens import REMEMBERED, TokenVerifier
from gateway.access.jwks import SigningKeys
from gateway.domain.access import Role
from gateway.errors import AuthenticationError, Unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.entra import (
    AUDIENCE,
    CLIENT,
    KID,
    OID,
    OTHER_TENANT,
    TENANT,
    V1,
    V2,
    Endpoint,
    app_claims,
    b64,
    jwk,
    jwks,
    private_key,
    sign,
    token,
    user_claims,
)


class Door:
    """A verifier that trusts one tenant, or the given ones, each with an endpoint of its own."""

    def __init__(self, *tenants: str) -> None:
        self.clock = FakeClock()
        self.endpoints = {tenant: Endpoint() for tenant in tenants or (TENANT,)}
        self.endpoint = next(iter(self.endpoints.values()))
        keys = {tenant: SigningKeys(endpoint.fetch, tenant, self.clock) for tenant, endpoint in self.endpoints.items()}
        self.verifier = TokenVerifier(frozenset({AUDIENCE, CLIENT}), keys, self.clock)

    @property
    def now(self) -> float:
        return self.clock.utc().timestamp()

    async def identify(self, text: str) -> Identity:
        return await self.verifier.identify(text)

    async def refuses(self, text: str) -> str:
        with pytest.raises(AuthenticationError) as caught:
            await self.identify(text)
        assert caught.value.code == "invalid_token"
        assert text[:20] not in caught.value.message
        return caught.value.message


async def test_an_applications_token_says_who_it_is() -> None:
    door = Door()
    found = await door.identify(token(app_claims(door.now)))
    assert found == Identity(TENANT, OID, CLIENT, user=False, roles=frozenset({Role.USER}), expires_at=int(door.now) + 3600)


async def test_a_users_token_says_who_it_is() -> None:
    door = Door()
    found = await door.identify(token(user_claims(door.now, roles=["Gateway.Admin", "Reader", "Gateway.TenantAdmin"])))
    assert (found.user, found.oid, found.client) == (True, OID, CLIENT)
    assert found.roles == {Role.ADMIN, Role.TENANT_ADMIN}


@pytest.mark.parametrize("issuer", [V1, V2])
@pytest.mark.parametrize("audience", [AUDIENCE, CLIENT])
@pytest.mark.parametrize("kind", ["JWT", "at+jwt"])
async def test_both_versions_both_audiences_and_both_types_count(issuer: str, audience: str, kind: str) -> None:
    door = Door()
    await door.identify(token(app_claims(door.now, iss=issuer.format(TENANT), aud=audience), typ=kind))


@pytest.mark.parametrize(("claims", "user"), [({}, False), ({"scp": "a"}, False), ({"idtyp": None}, False), ({"idtyp": "device"}, False)])
async def test_only_scopes_make_a_user_and_never_of_an_application(claims: dict[str, Any], user: bool) -> None:
    door = Door()
    assert (await door.identify(token(app_claims(door.now, **claims)))).user is user
    assert (await door.identify(token(app_claims(door.now, idtyp="user", scp="a b")))).user


async def test_ids_are_compared_in_small_letters() -> None:
    door = Door()
    found = await door.identify(token(app_claims(door.now, oid=OID.upper(), azp=CLIENT.upper())))
    assert (found.oid, found.client) == (OID, CLIENT)


async def test_alg_none_is_refused() -> None:
    door = Door()
    for alg in ("none", "None", "NONE", "nOnE"):
        whole = token(app_claims(door.now), alg=alg)
        assert "RS256" in await door.refuses(whole)
        await door.refuses(whole.rpartition(".")[0] + ".")
        await door.refuses(whole.rpartition(".")[0])


async def test_the_public_key_is_no_hmac_secret() -> None:
    door = Door()
    numbers = private_key().public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
        secret = numbers.public_bytes(Encoding.PEM, form)
        signed = token(app_claims(door.now), alg="HS256").rpartition(".")[0]
        forged = f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"
        assert "RS256" in await door.refuses(forged)


@pytest.mark.parametrize("alg", ["RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256", "RS256 ", "", None, 256, ["RS256"], {"a": 1}])
async def test_no_other_algorithm_counts(alg: Any) -> None:
    door = Door()
    assert "RS256" in await door.refuses(token(app_claims(door.now), alg=alg))


@pytest.mark.parametrize(
    "member",
    [
        {"jwk": jwk("attacker")},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/cert"},
        {"x5c": ["MII"]},
        {"crit": ["exp"]},
        {"crit": []},
    ],
)
async def test_a_key_or_a_demand_in_the_header_is_refused(member: dict[str, Any]) -> None:
    door = Door()
    assert "header" in await door.refuses(token(app_claims(door.now), **member))
    assert "header" in await door.refuses(token(app_claims(door.now), key="attacker", **member))


@pytest.mark.parametrize("kid", ["attacker", "../../keys", "' OR 1=1 --", f"{KID} ", KID.upper(), "k" * 128])
async def test_a_key_that_is_not_published_is_refused(kid: str) -> None:
    door = Door()
    assert "does not publish" in await door.refuses(token(app_claims(door.now), kid, key="attacker"))
    assert "does not publish" in await door.refuses(token(app_claims(door.now), kid, key=KID))


@pytest.mark.parametrize("kid", [None, "", "k" * 129, 7, [KID], {"kid": KID}])
async def test_a_key_id_that_is_none_is_refused(kid: Any) -> None:
    door = Door()
    assert "signing key" in await door.refuses(token(app_claims(door.now), kid, key=KID))


@pytest.mark.parametrize("kind", [None, "", "jwt", "JWE", "dpop+jwt", 1, ["JWT"]])
async def test_a_token_of_another_type_is_refused(kind: Any) -> None:
    door = Door()
    assert "no access token" in await door.refuses(token(app_claims(door.now), typ=kind))


async def test_a_strangers_signature_under_a_published_key_id_is_refused() -> None:
    door = Door()
    assert "signature" in await door.refuses(token(app_claims(door.now), KID, key="attacker"))


async def test_a_signature_of_another_tokens_is_refused() -> None:
    door = Door()
    one, two = token(app_claims(door.now)), token(app_claims(door.now, roles=["Gateway.Admin"]))
    assert "signature" in await door.refuses(f"{two.rpartition('.')[0]}.{one.rpartition('.')[2]}")


@pytest.mark.parametrize(
    ("audience", "says"),
    [
        ("api://other", "audience"),
        (AUDIENCE.upper(), "audience"),
        (f"{AUDIENCE}/", "audience"),
        ("", "audience"),
        (None, "claim"),
        ([AUDIENCE], "claim"),
    ],
)
async def test_a_token_for_somebody_else_is_refused(audience: Any, says: str) -> None:
    door = Door()
    assert says in await door.refuses(token(app_claims(door.now, aud=audience)))


@pytest.mark.parametrize(
    "over",
    [
        {"tid": OTHER_TENANT, "iss": V2.format(OTHER_TENANT)},
        {"tid": OTHER_TENANT},
        {"iss": V2.format(OTHER_TENANT)},
        {"iss": V1.format(OTHER_TENANT)},
        {"iss": V2.format(TENANT) + "/"},
        {"iss": V2.format(TENANT).replace("https", "http")},
        {"iss": V1.format(TENANT).rstrip("/")},
        {"iss": V2.format("common")},
        {"iss": "https://login.microsoftonline.com.attacker.example/" + TENANT + "/v2.0"},
        {"tid": TENANT.upper().replace("1", "A"), "iss": V2.format(TENANT)},
        {"tid": "common", "iss": V2.format("common")},
        {"tid": "{tid}", "iss": V2.format("{tid}")},
        {"tid": None},
        {"iss": None},
        {"iss": 7},
    ],
)
async def test_another_tenants_or_issuers_token_is_refused(over: dict[str, Any]) -> None:
    door = Door()
    await door.refuses(token(app_claims(door.now, **over)))
    assert door.endpoint.asked == 0


@pytest.mark.parametrize("roles", [None, ["Gateway.User"], ["Gateway.Admin"]])
async def test_a_token_for_signing_in_is_no_access_token(roles: list[str] | None) -> None:
    door = Door()
    # An ID token of our own application's sign-in page has our client id as its audience, and no azp or appid.
    signed_in = app_claims(door.now, aud=CLIENT, azp=None, idtyp=None, roles=roles, nonce="abc", preferred_username="ann@contoso.com")
    assert "no access token" in await door.refuses(token(signed_in))
    assert "no access token" in await door.refuses(token(signed_in | {"iss": V1.format(TENANT), "ver": "1.0"}))


async def test_only_the_first_tenant_makes_administrators_of_the_gateway() -> None:
    door, roles = Door(TENANT, OTHER_TENANT), [each.value for each in Role]
    own = await door.identify(token(app_claims(door.now, roles=roles)))
    others = await door.identify(token(app_claims(door.now, tid=OTHER_TENANT, iss=V2.format(OTHER_TENANT), roles=roles)))
    assert own.roles == set(Role)
    assert others.roles == {Role.USER, Role.TENANT_ADMIN}  # the latter of what it is bound to


async def test_one_tenants_key_signs_for_no_other_tenant() -> None:
    door = Door(TENANT, OTHER_TENANT)
    door.endpoints[OTHER_TENANT].answer = jwks(jwk("theirs"))
    theirs = {"tid": OTHER_TENANT, "iss": V2.format(OTHER_TENANT)}
    assert (await door.identify(token(app_claims(door.now, **theirs), "theirs"))).tenant == OTHER_TENANT
    assert "does not publish" in await door.refuses(token(app_claims(door.now), "theirs"))
    assert "does not publish" in await door.refuses(token(app_claims(door.now, **theirs), KID))


async def test_time_is_allowed_a_minute_of_difference_and_no_more() -> None:
    door = Door()
    now = int(door.now)
    for good in ({"exp": now - 59}, {"nbf": now + 60}, {"iat": now + 60}):
        await door.identify(token(app_claims(now, **good)))
    assert "expired" in await door.refuses(token(app_claims(now, exp=now - 60)))
    for early in ({"nbf": now + 61}, {"iat": now + 61}):
        assert "not valid yet" in await door.refuses(token(app_claims(now, **early)))


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [None, "4102444800", 4102444800.5, True, [4102444800], 1e300, 2**63])
async def test_a_time_that_is_missing_or_no_integer_is_refused(name: str, value: Any) -> None:
    door = Door()
    await door.refuses(token(app_claims(door.now, **{name: value})))


@pytest.mark.parametrize(
    "over",
    [
        {"oid": None, "azp": None},
        {"oid": "", "azp": ""},
        {"oid": "anna@example.com"},
        {"oid": OID + "\n"},
        {"azp": "*"},
        {"oid": [OID]},
        {"roles": "Gateway.Admin"},
        {"roles": [1]},
        {"roles": {"Gateway.Admin": True}},
        {"scp": ["a"]},
        {"idtyp": 1},
    ],
)
async def test_claims_of_the_wrong_form_are_refused(over: dict[str, Any]) -> None:
    door = Door()
    await door.refuses(token(app_claims(door.now, **over)))


async def test_a_users_token_without_the_user_is_refused() -> None:
    door = Door()
    assert "which user" in await door.refuses(token(user_claims(door.now, oid=None)))


async def test_members_that_are_there_twice_are_refused() -> None:
    door = Door()
    claims = json.dumps(app_claims(door.now)).encode()
    assert "two ways" in await door.refuses(token(claims[:-1] + b',"roles":["Gateway.Admin"]}'))
    head = b'{"alg":"RS256","typ":"JWT","kid":"attacker","kid":"' + KID.encode() + b'"}'
    signed = f"{b64(head)}.{b64(claims)}"
    assert "two ways" in await door.refuses(f"{signed}.{b64(sign(signed))}")


@pytest.mark.parametrize("claims", [b"", b"[]", b"7", b"null", b"{", b'{"a":NaN}', b"\xff{}", b'{"a":' * 200 + b"1" + b"}" * 200])
async def test_claims_that_are_no_object_are_refused(claims: bytes) -> None:
    await Door().refuses(token(claims))


async def test_a_token_that_is_too_long_is_not_even_decoded() -> None:
    door = Door()
    assert "characters" in await door.refuses(token(app_claims(door.now, padding="x" * entra.MAX_CHARACTERS)))
    assert "characters" in await door.refuses("eyJ" + "." * 10_000_000)


@pytest.mark.parametrize("text", ["", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "eyJ.eyJ.", "\u20ac.\u20ac.\u20ac", "eyJh\n.eyJh.c2ln"])
async def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(AuthenticationError):
        await Door().identify(text)


async def test_base64_has_one_spelling() -> None:
    door = Door()
    head, body, signature = token(app_claims(door.now)).split(".")
    for other in (f"{signature}=", f"{signature}==", f" {signature}", f"{signature}\n", signature[:100] + "." + signature[100:]):
        await door.refuses(f"{head}.{body}.{other}")
    standard = base64.b64encode(base64.urlsafe_b64decode(signature + "==")).decode().rstrip("=")
    assume_differs = standard != signature
    assert not assume_differs or await door.refuses(f"{head}.{body}.{standard}")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = [
        signature[:-1] + each
        for each in last
        if each != signature[-1] and base64.urlsafe_b64decode(signature[:-1] + each + "==") == base64.urlsafe_b64decode(signature + "==")
    ]
    assert same_bytes  # 2048 bits are not a whole number of characters
    for spelling in same_bytes:
        assert "base64url" in await door.refuses(f"{head}.{body}.{spelling}")


GOOD = token(app_claims(FakeClock().utc().timestamp()))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), other=st.characters(min_codepoint=1, max_codepoint=0x2FF))
async def test_a_token_of_which_one_character_is_changed_is_refused(at: int, other: str) -> None:
    assume(GOOD[at] != other)
    door = Door()
    await door.identify(GOOD)  # that the right one is remembered must not help
    with pytest.raises(AuthenticationError):
        await door.identify(GOOD[:at] + other + GOOD[at + 1 :])


@settings(max_examples=100, deadline=None)
@given(
    tid=st.sampled_from([TENANT, OTHER_TENANT, "", "common"]),
    issuer=st.sampled_from([V1.format(TENANT), V2.format(TENANT), V1.format(OTHER_TENANT), V2.format(OTHER_TENANT), "", TENANT]),
    audience=st.sampled_from([AUDIENCE, CLIENT, "api://other", "", TENANT]),
)
async def test_only_our_tenants_tokens_for_our_audience_count(tid: str, issuer: str, audience: str) -> None:
    door = Door()
    text = token(app_claims(door.now, tid=tid, iss=issuer, aud=audience))
    if tid == TENANT and issuer in {V1.format(TENANT), V2.format(TENANT)} and audience in {AUDIENCE, CLIENT}:
        assert (await door.identify(text)).tenant == TENANT
    else:
        await door.refuses(text)


async def test_a_token_that_comes_again_is_not_verified_again_until_it_expires() -> None:
    door = Door()
    text = token(app_claims(door.now))
    first = await door.identify(text)
    door.endpoint.down = True
    door.verifier._keys = {}  # whoever asks for a key now fails
    assert await door.identify(text) is first
    door.clock.advance(3659)
    assert await door.identify(text) is first
    door.clock.advance(1)
    assert "expired" in await door.refuses(text)


async def test_a_bounded_number_of_tokens_is_remembered_and_none_of_them_in_clear() -> None:
    door = Door()
    text = token(app_claims(door.now))
    await door.identify(text)
    assert text not in repr(vars(door.verifier))
    for number in range(REMEMBERED):
        door.verifier._verified[number.to_bytes(32)] = await door.identify(text)
    other = token(user_claims(door.now))
    await door.identify(other)
    assert len(door.verifier._verified) == REMEMBERED


async def test_without_any_key_set_a_good_token_is_503_and_not_401() -> None:
    door = Door()
    door.endpoint.down = True
    with pytest.raises(Unavailable) as caught:
        await door.identify(token(app_claims(door.now)))
    assert (caught.value.status, caught.value.code) == (503, "identity_unavailable")
    assert "://" not in caught.value.message


def test_keys_do_not_look_like_tokens() -> None:
    assert entra.looks_like_a_token(GOOD)
    assert not any(map(entra.looks_like_a_token, ("gwk_a_b", "sk-x", "", "eyJ", "eyJ.a", "a.b.c", "eyJ.a.b.c")))
