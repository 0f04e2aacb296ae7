"""Entra ID tokens, subscription states, roles, networks and the front: what becomes of a credential that is right."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.access import keys
from gateway.access.authenticate import Authenticator
from gateway.access.directory import KeyRecord
from gateway.access.entra_tokens import TokenVerifier
from gateway.access.front import OPEN, Front
from gateway.access.jwks import SigningKeys
from gateway.cached import Cached
from gateway.domain.access import Network, Principal, Product, Role, SubscriptionState
from gateway.errors import AuthenticationError, GatewayError, PermissionDenied, StoreUnavailable
from tests.builders import make_inbound, make_principal, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.entra import AUDIENCE, CLIENT, OID, TENANT, Endpoint, app_claims, token, user_claims

PEPPER = b"pepper-pepper-pepper"
ADMIN_KEY = "the-administrators-own-key"
KEY = keys.mint()
FRONT_ID = "55ce4ed1-4b06-4bf1-b40e-4638452104da"
HOME, ABROAD = Network(allow=("203.0.113.0/24",)), "198.51.100.1"


class Door:
    """An authenticator over dictionaries: key records, identities, products."""

    def __init__(self, *, entra: bool = True, front: Front = OPEN) -> None:
        self.clock = FakeClock()
        self.principal = make_principal()
        self.records: dict[str, KeyRecord] = {}
        self.identities: dict[str, KeyRecord] = {}
        self.products: dict[str, Product] = {"starter": make_product()}
        self.asked: list[str] = []
        self.down = False
        self.key_is()
        signing = {TENANT: SigningKeys(Endpoint().fetch, TENANT, self.clock)}
        self.authenticator = Authenticator(
            Cached(self._of(self.records), self.clock),
            PEPPER,
            ADMIN_KEY,
            identities=Cached(self._of(self.identities), self.clock),
            tokens=TokenVerifier(frozenset({AUDIENCE}), signing, self.clock) if entra else None,
            products=Cached(self._of(self.products), self.clock),
            front=front,
        )

    def _of(self, values: Mapping[str, Any]) -> Any:
        async def load(name: str) -> Any:
            self.asked.append(name)
            if self.down:
                raise StoreUnavailable("down")
            return values.get(name)

        return load

    def key_is(self, state: SubscriptionState = SubscriptionState.ACTIVE, *, tenant_active: bool = True, **principal: Any) -> None:
        of_key = msgspec.structs.replace(self.principal, **principal)
        self.records[KEY.id] = KeyRecord(keys.hash_key(PEPPER, KEY), True, of_key, state, tenant_active)
        self.clock.advance(10)

    def bind(self, name: str, state: SubscriptionState = SubscriptionState.ACTIVE, *, active: bool = True, **principal: Any) -> None:
        bound = msgspec.structs.replace(self.principal, key_id=f"entra:{name}", **principal)
        self.identities[name] = KeyRecord("", active, bound, state)
        self.clock.advance(10)

    def app(self, **claims: Any) -> str:
        return token(app_claims(self.clock.utc().timestamp(), **claims))

    def user(self, **claims: Any) -> str:
        return token(user_claims(self.clock.utc().timestamp(), **claims))

    async def calls(self, credential: str = KEY.text, client_ip: str = "", **headers: str) -> Principal:
        """Call a model."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"authorization": f"Bearer {credential}"} if credential else {}
        return await self.authenticator.authenticate(make_inbound(headers=sent | names, client_ip=client_ip))

    async def manages(self, credential: str = KEY.text, client_ip: str = "") -> Principal:
        inbound = make_inbound(headers={"authorization": f"Bearer {credential}"}, client_ip=client_ip)
        return await self.authenticator.authenticate_administrator(inbound)


async def code_of(doing: Any, status: int = 403) -> str:
    with pytest.raises(GatewayError) as caught:
        await doing
    assert caught.value.status == status
    assert "eyJ" not in caught.value.message
    return caught.value.code


async def test_an_application_calls_as_the_subscription_that_names_its_object() -> None:
    door = Door()
    door.bind(OID)
    expected = msgspec.structs.replace(door.principal, key_id=f"entra:{OID}")
    assert await door.calls(door.app()) == expected


async def test_an_application_calls_as_the_subscription_that_names_its_client_id() -> None:
    door = Door()
    door.bind(CLIENT)
    assert (await door.calls(door.app())).key_id == f"entra:{CLIENT}"
    door.bind(OID, subscription="sub_2")  # the object's own is nearer
    assert (await door.calls(door.app())).subscription == "sub_2"


async def test_a_user_is_the_user_of_its_calls_and_an_application_is_none() -> None:
    door = Door()
    door.bind(CLIENT)
    user = await door.calls(door.user(), x_gateway_user="somebody else")
    assert (user.user, user.key_id) == (OID, f"entra:{CLIENT}")
    assert (await door.calls(door.app())).user == ""


async def test_an_identity_that_no_subscription_names_is_told_which_id_to_bind_where() -> None:
    door = Door()
    with pytest.raises(PermissionDenied) as caught:
        await door.calls(door.app())
    assert caught.value.code == "identity_not_bound"
    assert all(said in caught.value.message for said in (OID, CLIENT, "/manage/subscriptions"))
    door.bind(OID, active=False)
    assert await code_of(door.calls(door.app())) == "identity_not_bound"


async def test_a_binding_that_ends_ends_the_token_though_the_token_is_remembered() -> None:
    door = Door()
    door.bind(OID)
    text = door.app()
    await door.calls(text)
    del door.identities[OID]
    door.clock.advance(4.1)  # the longest that a change goes unnoticed
    assert await code_of(door.calls(text)) == "identity_not_bound"
    door.bind(OID, SubscriptionState.SUSPENDED)
    assert await code_of(door.calls(text)) == "subscription_not_active"


@pytest.mark.parametrize(
    ("make", "over", "roles"),
    [
        ("app", {"roles": ["Gateway.User"]}, {Role.USER}),
        ("app", {"roles": ["Gateway.User", "Gateway.TenantAdmin", "Reader"]}, {Role.USER, Role.TENANT_ADMIN}),
        ("user", {}, {Role.USER}),
        ("user", {"roles": ["Gateway.TenantAdmin"]}, {Role.USER, Role.TENANT_ADMIN}),
    ],
)
async def test_a_token_has_its_own_roles_and_no_others(make: str, over: dict[str, Any], roles: set[Role]) -> None:
    door = Door()
    door.bind(OID, roles=frozenset(Role))  # what the subscription's keys may do is theirs
    assert (await door.calls(getattr(door, make)(**over))).roles == roles


@pytest.mark.parametrize("roles", [None, [], ["Gateway.TenantAdmin"], ["Gateway.Admin"], ["gateway.user"], ["Gateway.User "]])
async def test_an_application_without_the_role_calls_no_model(roles: Any) -> None:
    door = Door()
    door.bind(OID)
    assert await code_of(door.calls(door.app(roles=roles))) == "permission_denied"


async def test_a_subscription_that_is_for_managing_only_calls_no_model_by_token() -> None:
    door = Door()
    door.bind(OID, roles=frozenset({Role.TENANT_ADMIN}))
    assert await code_of(door.calls(door.app())) == "permission_denied"
    assert await code_of(door.calls(door.user())) == "permission_denied"


async def test_an_administrators_token_manages_unbound_and_calls_no_model() -> None:
    door = Door()
    door.down = True  # nobody need be asked
    for text, user in ((door.app(roles=["Gateway.Admin"]), ""), (door.user(roles=["Gateway.Admin"]), OID)):
        found = await door.manages(text)
        assert (found.tenant, found.key_id, found.user, found.roles) == ("default", f"entra:{OID}", user, {Role.ADMIN})
    door.down = False
    assert await code_of(door.calls(door.app(roles=["Gateway.Admin", "Gateway.User"]))) == "identity_not_bound"


async def test_a_tenant_administrators_token_manages_the_tenant_of_its_binding() -> None:
    door = Door()
    text = door.app(roles=["Gateway.TenantAdmin"])
    assert await code_of(door.manages(text)) == "identity_not_bound"
    door.bind(OID)
    found = await door.manages(text)
    assert (found.tenant, found.roles) == ("contoso", {Role.TENANT_ADMIN})


@pytest.mark.parametrize("roles", [None, ["Gateway.User"], ["Gateway.admin"], ["Admin"]])
async def test_no_other_role_manages(roles: Any) -> None:
    door = Door()
    door.bind(OID, roles=frozenset(Role))
    assert await code_of(door.manages(door.app(roles=roles))) == "permission_denied"
    assert await code_of(door.manages(door.user(roles=roles))) == "permission_denied"


async def test_a_key_with_a_tenant_administrators_role_manages() -> None:
    door = Door()
    assert await code_of(door.manages()) == "permission_denied"
    door.key_is(roles=frozenset({Role.TENANT_ADMIN}))
    assert (await door.manages()).tenant == "contoso"
    assert await code_of(door.calls()) == "permission_denied"


async def test_while_entra_is_not_configured_a_token_is_told_so() -> None:
    door = Door(entra=False)
    door.bind(OID)
    with pytest.raises(AuthenticationError, match="Entra ID is not configured") as caught:
        await door.calls(door.app())
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(AuthenticationError, match="Entra ID is not configured"):
        await door.manages(door.app(roles=["Gateway.Admin"]))


async def test_a_token_goes_in_authorization_only() -> None:
    door = Door()
    door.bind(OID)
    for name in ("api_key", "x_api_key"):
        with pytest.raises(AuthenticationError, match="Authorization: Bearer"):
            await door.calls("", **{name: door.app()})


async def test_a_store_that_is_down_refuses_a_good_token_with_503() -> None:
    door = Door()
    door.bind(OID)
    door.down = True
    assert await code_of(door.calls(door.app()), 503) == "store_unavailable"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (SubscriptionState.SUBMITTED, "approve"),
        (SubscriptionState.REJECTED, "another product"),
        (SubscriptionState.SUSPENDED, "resume"),
        (SubscriptionState.CANCELLED, "new subscription"),
    ],
)
async def test_a_subscription_that_is_not_active_says_its_state_and_what_next(state: SubscriptionState, says: str) -> None:
    door = Door()
    door.key_is(state, roles=frozenset(Role))
    for doing in (door.calls, door.manages):
        with pytest.raises(PermissionDenied, match=state.value) as caught:
            await doing()
        assert caught.value.code == "subscription_not_active"
        assert says in caught.value.message


async def test_a_suspended_tenant_is_told_so_by_any_credential() -> None:
    door = Door()
    door.key_is(tenant_active=False)
    assert await code_of(door.calls()) == "tenant_suspended"
    assert await code_of(door.manages()) == "tenant_suspended"


async def test_only_who_has_the_whole_key_is_told_its_state() -> None:
    door = Door()
    door.key_is(SubscriptionState.SUSPENDED)
    wrong = KEY.text[:-4] + ("AAAA" if not KEY.text.endswith("AAAA") else "BBBB")
    assert await code_of(door.calls(wrong), 401) == "invalid_api_key"


async def test_the_networks_of_subscription_and_product_must_both_let_pass() -> None:
    door = Door()
    assert await door.calls(client_ip=ABROAD)
    door.key_is(networks=(HOME,))
    assert await door.calls(client_ip="203.0.113.7")
    for address in (ABROAD, ""):
        assert await code_of(door.calls(client_ip=address)) == "address_not_allowed"
    door.products["starter"] = make_product(network=Network(deny=("203.0.113.7",)))
    door.clock.advance(10)
    assert await code_of(door.calls(client_ip="203.0.113.7")) == "address_not_allowed"
    assert await door.calls(client_ip="203.0.113.8")


async def test_networks_hold_for_tokens_and_for_managing_too() -> None:
    door = Door()
    door.bind(OID, networks=(HOME,))
    door.key_is(networks=(HOME,), roles=frozenset({Role.TENANT_ADMIN}))
    assert await code_of(door.calls(door.app(), ABROAD)) == "address_not_allowed"
    assert await code_of(door.manages(door.app(roles=["Gateway.TenantAdmin"]), ABROAD)) == "address_not_allowed"
    assert await code_of(door.manages(client_ip=ABROAD)) == "address_not_allowed"
    assert await door.manages(client_ip="203.0.113.7")


async def test_whom_the_gateway_itself_denies_is_refused_before_anything_is_looked_up() -> None:
    door = Door(front=Front(network=Network(deny=(ABROAD,))))
    for credential in (KEY.text, ADMIN_KEY, "garbage", ""):
        assert await code_of(door.calls(credential, ABROAD)) == "address_not_allowed"
    assert await code_of(door.manages(ADMIN_KEY, ABROAD)) == "address_not_allowed"
    assert door.asked == []
    assert await door.manages(ADMIN_KEY, "203.0.113.7")


async def test_api_managements_key_counts_with_the_fronts_proof_only() -> None:
    door = Door(front=Front(FRONT_ID))
    assert await door.calls("", ocp_apim_subscription_key=KEY.text, x_azure_fdid=FRONT_ID) == door.principal
    for proof in ({}, {"x_azure_fdid": "wrong"}):
        assert await code_of(door.calls("", ocp_apim_subscription_key=KEY.text, **proof), 401) == "missing_api_key"
    untrusting = Door()
    assert await code_of(untrusting.calls("", ocp_apim_subscription_key=KEY.text, x_azure_fdid=FRONT_ID), 401) == "missing_api_key"


async def test_what_the_client_itself_sent_comes_before_api_managements_key() -> None:
    door = Door(front=Front(FRONT_ID))
    apim = {"ocp_apim_subscription_key": "0123456789abcdef0123456789abcdef", "x_azure_fdid": FRONT_ID}
    assert await door.calls(KEY.text, **apim) == door.principal
    assert await code_of(door.calls("", **apim), 401) == "invalid_api_key"


async def test_where_the_front_is_required_no_key_goes_round_it() -> None:
    door = Door(front=Front(FRONT_ID, required=True))
    assert await code_of(door.calls()) == "not_through_front_door"
    assert await code_of(door.manages(ADMIN_KEY)) == "not_through_front_door"
    assert await door.calls(x_azure_fdid=FRONT_ID) == door.principal


WORDS = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=60)
NAMES = ("authorization", "api-key", "x-api-key", "ocp-apim-subscription-key", "x-azure-fdid", "x-azure-socketip", "x-forwarded-for")
SENT = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        WORDS, WORDS.map("Bearer {}".format), st.lists(WORDS, min_size=3, max_size=3).map(lambda parts: "Bearer eyJ" + ".".join(parts))
    ),
)


@settings(max_examples=300, deadline=None)
@given(SENT)
async def test_whatever_is_sent_in_place_of_a_credential_is_401(headers: dict[str, str]) -> None:
    door = Door(front=Front(FRONT_ID))
    for ask in (door.authenticator.authenticate, door.authenticator.authenticate_administrator):
        with pytest.raises(AuthenticationError):
            await ask(make_inbound(headers=headers))
    assert door.asked == []
