"""Who is calling? A virtual key or an Entra ID token becomes a Principal.

| credential | goes in | proves |
| --- | --- | --- |
| virtual key | `api-key`, `x-api-key`, `Authorization: Bearer`; `Ocp-Apim-Subscription-Key` behind a trusted front | a subscription |
| Entra ID access token | `Authorization: Bearer` | an identity, which a subscription must name before it may call models |
| administrator's key | any of a key's | the bootstrap administrator: /manage only |

Order: the front and the gateway's own networks (`front.py`), the credential, the state of what it belongs to, the role, the
networks of the caller and its product. One point read per key or identity, cached with bounded staleness (`cached.py`).
Fails closed: what cannot be checked is not accepted, and a store or an issuer that does not answer is 503.
"""

import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from gateway.access import keys
from gateway.access.directory import KeyRecord
from gateway.access.entra import Identity, looks_like_a_token
from gateway.access.entra_tokens import TokenVerifier
from gateway.access.front import OPEN, Front
from gateway.access.network import check_address
from gateway.cached import Cached
from gateway.domain.access import ANYWHERE, CALLER, DEFAULT_TENANT, Principal, Product, Role, SubscriptionState
from gateway.domain.call import Inbound
from gateway.errors import AuthenticationError, PermissionDenied

PROVED_KEYS = 10_000

ADMINISTRATOR = Principal(tenant=DEFAULT_TENANT, product="", subscription="", key_id="bootstrap-admin", roles=frozenset({Role.ADMIN}))

_MANAGERS = frozenset({Role.ADMIN, Role.TENANT_ADMIN})
_NEXT = {
    SubscriptionState.SUBMITTED: "an administrator has to approve it first",
    SubscriptionState.REJECTED: "subscribe to another product, or ask the administrator why",
    SubscriptionState.SUSPENDED: "ask the administrator to resume it",
    SubscriptionState.CANCELLED: "make a new subscription",
}


class Authenticator:
    """Turns request headers into a Principal.

    Args:
        records: Key records by key id.
        pepper: Mixed into the hash of every key.
        admin_key: The bootstrap administrator's key; empty switches it off.
        identities: The records of Entra identities, by object or client id in small letters.
        tokens: Tells who a token is; None while Entra ID is not configured.
        products: For their networks.
        front: What stands before us.
    """

    def __init__(
        self,
        records: Cached[KeyRecord],
        pepper: bytes,
        admin_key: str,
        *,
        identities: Cached[KeyRecord] | None = None,
        tokens: TokenVerifier | None = None,
        products: Cached[Product] | None = None,
        front: Front = OPEN,
    ) -> None:
        self._records = records
        self._pepper = pepper
        self._proved: dict[str, tuple[str, str]] = {}  # hash and text by key id, the oldest first
        self._admin_hash = hashlib.sha256(admin_key.encode()).digest() if admin_key else b""
        self._identities = identities
        self._tokens = tokens
        self._products = products
        self._front = None if front == OPEN else front

    async def authenticate(self, inbound: Inbound) -> Principal:
        """Return the caller of an inference route.

        Args:
            inbound: The request; its body is not looked at.

        Raises:
            AuthenticationError: No credential, or one that is malformed, unknown, expired or revoked.
            PermissionDenied: It is known, and may not call: now, from here, or at all.
            StoreUnavailable: It could not be looked up.
            Unavailable: A token's signing key could not be looked up.
        """
        presented = presented_key(inbound.headers, behind_front=self._front is not None and self._front.admit(inbound))
        key = keys.parse(presented)
        if key is not None:
            record = self._records.fresh(key.id) or await self._records.get(key.id)
            principal = self._owner(key, record)
        else:
            principal = await self._of_another(presented, inbound)
        if principal.roles is not CALLER and Role.USER not in principal.roles:
            who = "the credential's subscription" if principal.subscription else "it"
            raise PermissionDenied(f"calling models needs the role {Role.USER.value}; {who} has not got it")
        if principal.networks:
            _check_networks(principal, inbound)
        if self._products is not None:
            product = self._products.fresh(principal.product) or await self._products.get(principal.product)
            if product is not None and product.network is not ANYWHERE:
                check_address(product.network, inbound.client_ip, f"the product {product.id!r}")
        return principal

    async def authenticate_administrator(self, inbound: Inbound) -> Principal:
        """Return the caller of a /manage route: an administrator of everything, or of its tenant.

        A product's network says from where models are called, and does not hold here.

        Raises:
            As `authenticate`.
        """
        presented = presented_key(inbound.headers, behind_front=self._front is not None and self._front.admit(inbound))
        if self._is_admin(presented):
            return ADMINISTRATOR
        key = keys.parse(presented)
        if key is not None:
            principal = self._owner(key, await self._records.get(key.id))
        else:
            principal = await self._of_another(presented, inbound, managing=True)
        if _MANAGERS.isdisjoint(principal.roles):
            needed = f"{Role.ADMIN.value}, or {Role.TENANT_ADMIN.value} for what is its own tenant's"
            raise PermissionDenied(f"this needs the role {needed}; your key's subscription, or your token, has not got it")
        _check_networks(principal, inbound)
        return principal

    def _owner(self, key: keys.VirtualKey, record: KeyRecord | None) -> Principal:
        # One message for unknown, wrong and revoked: which of them it is would help a guesser.
        if record is None or not record.active or not self._proves(key, record):
            raise AuthenticationError(f"incorrect API key provided: {_mask(key.text)}; it does not exist or is no longer active")
        if record.state is not SubscriptionState.ACTIVE or not record.tenant_active:
            refuse_inactive(record)
        return record.principal

    async def _of_another(self, presented: str, inbound: Inbound, *, managing: bool = False) -> Principal:
        """Return whose a credential is that is no virtual key."""
        if not managing and self._is_admin(presented):
            raise PermissionDenied("the administrator key opens /manage only; call models with a virtual key")
        if not looks_like_a_token(presented):
            raise AuthenticationError(f"incorrect API key provided: {_mask(presented)}; keys look like gwk_<id>_<secret>")
        if self._tokens is None:
            raise AuthenticationError(
                "this looks like an Entra ID token, and Entra ID is not configured here; call with a virtual key, or ask the operator"
                " to set GATEWAY_ENTRA_TENANT_ID"
            )
        if _key_header(inbound.headers):
            raise AuthenticationError("an Entra ID token goes in `Authorization: Bearer`, and no key beside it", code="invalid_token")
        identity = await self._tokens.identify(presented)
        if managing and Role.ADMIN in identity.roles:
            key_id, user = f"entra:{identity.oid or identity.client}", identity.oid if identity.user else ""
            return msgspec.structs.replace(ADMINISTRATOR, key_id=key_id, roles=identity.roles, user=user)
        return await self._bound(identity)

    async def _bound(self, identity: Identity) -> Principal:
        """Return the principal of the subscription that names the identity, by its object id first, then by its application's."""
        names = list(dict.fromkeys(each for each in (identity.oid, identity.client) if each))
        for name in names:
            record = await self._identities.get(name) if self._identities is not None else None
            if record is None or not record.active:
                continue
            if record.state is not SubscriptionState.ACTIVE or not record.tenant_active:
                refuse_inactive(record)
            roles = identity.roles | CALLER if identity.user else identity.roles
            if Role.USER not in record.principal.roles:  # the subscription is for managing
                roles -= CALLER
            user = identity.oid if identity.user else ""
            # The record is every token's of this identity; what one token says is put beside it, never into it.
            attributes = {**record.principal.attributes, **identity.attributes}
            return msgspec.structs.replace(record.principal, key_id=f"entra:{name}", roles=roles, user=user, attributes=attributes)
        raise PermissionDenied(
            f"no subscription names this identity; ask an administrator to add {' or '.join(names)} to the `identities` of one"
            " at /manage/subscriptions",
            code="identity_not_bound",
        )

    def _proves(self, key: keys.VirtualKey, record: KeyRecord) -> bool:
        """Tell whether the key is the record's. What was proved once is remembered until the hash changes."""
        proved = self._proved.get(key.id)
        if proved is not None and proved[0] == record.hash and hmac.compare_digest(proved[1], key.text):
            return True
        if not keys.matches(self._pepper, key, record.hash):
            return False
        self._proved[key.id] = (record.hash, key.text)
        if len(self._proved) > PROVED_KEYS:
            del self._proved[next(iter(self._proved))]
        return True

    def _is_admin(self, presented: str) -> bool:
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        return bool(self._admin_hash) and hmac.compare_digest(digest, self._admin_hash)


def presented_key(headers: Mapping[str, str], *, behind_front: bool = False) -> str:
    """Return the credential that the client sent; AuthenticationError says what to send.

    Args:
        headers: Names in lower case.
        behind_front: Whether API Management's own header counts, where there is nothing else.
    """
    if ("api-key" in headers or "x-api-key" in headers) and (key := _key_header(headers)):
        return key
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if (scheme == "Bearer" or scheme.lower() == "bearer") and (key := key.strip()):
        return key
    if behind_front and (key := headers.get("ocp-apim-subscription-key", "").strip()):
        return key
    raise AuthenticationError(
        "no API key provided; send `Authorization: Bearer <key>`, `api-key: <key>` or `x-api-key: <key>`", code="missing_api_key"
    )


def _key_header(headers: Mapping[str, str]) -> str:
    """Return the key of `api-key`, or of `x-api-key` (Anthropic's SDKs); empty where neither has one."""
    # Blanks around a field's value are not part of it, and not every server cuts them.
    return headers.get("api-key", "").strip() or headers.get("x-api-key", "").strip()


def _check_networks(principal: Principal, inbound: Inbound) -> None:
    for network in principal.networks:
        check_address(network, inbound.client_ip, "your organisation or subscription")


def refuse_inactive(record: KeyRecord) -> None:
    """Refuse a caller whose credential is right, and whose subscription or tenant may not call."""
    if not record.tenant_active:
        message = "your organisation's access to this gateway is suspended; ask the gateway's administrator to resume it"
        raise PermissionDenied(message, code="tenant_suspended")
    message = f"your subscription is {record.state.value} and cannot be used; {_NEXT[record.state]}"
    raise PermissionDenied(message, code="subscription_not_active")


def _mask(presented: str) -> str:
    return f"{presented[:4]}…{presented[-4:]}" if len(presented) > 12 else "***"
