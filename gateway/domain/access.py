"""Who may ask: tenants, products (bundles of models and limits), subscriptions (one consumer's access) and principals.

    tenant ─┬─ subscription ── product        a subscription is a tenant's access to a product, with two keys of its own
            └─ subscription ── product        and, where bound, Entra identities

Frozen data. A virtual key is `gwk_<id>_<secret>`; only its HMAC is stored (`access/keys.py`).
"""

import datetime
import enum
import ipaddress
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.domain.conversations import Capture, History, Window
from gateway.domain.guardrails import TenantRule
from gateway.domain.limits import NO_LIMITS, Limits


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose addresses may call: CIDR blocks, v4 and v6. `deny` wins; an empty `allow` allows all others."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


ANYWHERE = Network()


def network_fault(network: Network) -> tuple[str, str] | None:
    """Return the path and the message of the first entry that is no address block; None where all are."""
    for name in ("allow", "deny"):
        for index, block in enumerate(getattr(network, name)):
            try:
                known = "%" not in block and ipaddress.ip_network(block)  # with a zone it means something on one machine only
            except ValueError:
                known = False
            if not known:
                return f"{name}[{index}]", f"{block[:64]!r} is no CIDR block, such as 203.0.113.0/24 or 2001:db8::/32"
    return None


class CallCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to a call that may cost more than `over_usd`, before it is made.

    `offer`: refused with 402 and the cheaper models that could answer it. `draft`: `draft_model` answers in its place.
    Either way the caller has it made by sending it again with `x-gateway-accept-cost-usd` of at least the estimate.
    """

    over_usd: float
    then: Literal["offer", "draft"] = "offer"
    draft_model: str = ""


class ProductTerms(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All of a product but its name.

    Attributes:
        models: Globs over model ids.
        limits: Of each subscription to it; the subscription's own apply as well.
        shared_limits: Of all of one tenant's subscriptions to it together.
        user_limits: Of each user (`x-gateway-user`, or the user of an Entra token) of a subscription.
        operations: Globs over operations (`chat`, `embeddings`, `images.*` …); empty means all.
        requires_approval: A subscription to it is submitted, and serves once an administrator has approved it.
        network: Whose addresses may use it.
        call_cost: What happens to dear calls; None lets them pass.
        guardrails: Names of guardrails, in the order in which they are asked where nothing else decides it.
        history: Conversations that the gateway keeps; None keeps none.
        window: What happens to prompts over a model's context window.
        capture: Whether requests and answers are kept for replays; None keeps none.
    """

    models: tuple[str, ...]
    limits: Limits = NO_LIMITS
    shared_limits: Limits = NO_LIMITS
    user_limits: Limits = NO_LIMITS
    operations: tuple[str, ...] = ()
    requires_approval: bool = False
    network: Network = ANYWHERE
    call_cost: CallCost | None = None
    guardrails: tuple[str, ...] = ()
    history: History | None = None
    window: Window | None = None
    capture: Capture | None = None


class Product(ProductTerms, frozen=True, kw_only=True):
    """A bundle that subscriptions give access to."""

    id: str


class TenantState(enum.StrEnum):
    """A suspended tenant's calls are refused."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Tenant(msgspec.Struct, frozen=True, omit_defaults=True):
    """An organisation.

    Attributes:
        data_zone: Where its data must stay, such as `eu`; empty for anywhere.
        limits: Of all its subscriptions together.
        network: Whose addresses may call for it.
        rules: Guardrails of its own, which its calls pass after those of the product.
        attributes: Context variables of all its calls (`department`, `role`, `application` …), which no caller can set.
    """

    id: str
    name: str
    data_zone: str = ""
    state: TenantState = TenantState.ACTIVE
    limits: Limits = NO_LIMITS
    network: Network = ANYWHERE
    rules: tuple[TenantRule, ...] = ()
    attributes: Mapping[str, str] = {}


class SubscriptionState(enum.StrEnum):
    """submitted → active | rejected; active ⇄ suspended; all but rejected → cancelled. Only an active one may call."""

    SUBMITTED = "submitted"
    ACTIVE = "active"
    REJECTED = "rejected"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


class Role(enum.StrEnum):
    """What a principal may do: all of /manage, its own tenant's part of /manage, call models."""

    ADMIN = "Gateway.Admin"
    TENANT_ADMIN = "Gateway.TenantAdmin"
    USER = "Gateway.User"

    __hash__ = str.__hash__  # roles are looked for in sets by every call


CALLER = frozenset({Role.USER})


class KeySlot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A subscription's key, without its secret: `slot` is primary or secondary, `id` the public part.

    `expires_at`: UTC; of a key whose successor was made, and which still works for a while. None for never.
    """

    slot: str
    id: str
    expires_at: datetime.datetime | None = None

    def works_at(self, utc: datetime.datetime) -> bool:
        """Tell whether it has not expired."""
        return self.expires_at is None or utc < self.expires_at


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """One consumer's access to a product.

    Attributes:
        limits: Its own; the product's apply as well.
        roles: What its keys may do.
        models: Globs that narrow the product's; empty leaves them.
        operations: Globs that narrow the product's; empty leaves them.
        network: Whose addresses may use it.
        identities: Entra identities that call as it: `<oid or client id>`, in small letters.
        keys: Those that work; a key that is not here does not, whatever else is stored of it.
        held: An administrator of the gateway suspended it, so that its tenant's cannot resume it.
        attributes: Context variables of its calls; they win over the tenant's.
    """

    id: str
    tenant: str
    product: str
    name: str
    state: SubscriptionState
    limits: Limits = NO_LIMITS
    roles: frozenset[Role] = CALLER
    models: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    network: Network = ANYWHERE
    identities: tuple[str, ...] = ()
    keys: tuple[KeySlot, ...] = ()
    held: bool = False
    attributes: Mapping[str, str] = {}


class Principal(msgspec.Struct, frozen=True):
    """The authenticated caller.

    Attributes:
        tenant: The organisation; every row and cache entry is partitioned by it.
        product: The product's id.
        subscription: The subscription's id.
        key_id: The public part of the key used; `entra:<oid or client id>` for a token; what an audit entry names.
        limits: The subscription's own limits; the product's and the tenant's apply as well.
        roles: What it may do.
        data_zone: Where its tenant's data must stay, such as `eu`; empty for anywhere.
        user: The user whom a token proves; empty where the caller only says who it is.
        tenant_limits: Of all the tenant's subscriptions together.
        models: Globs that narrow the product's; empty leaves them.
        operations: The same for operations.
        networks: Whose addresses may call; all of them must agree.
        rules: The tenant's own guardrails.
        attributes: Context variables for prompts, from the tenant, the subscription and the token: none that a client could forge.
    """

    tenant: str
    product: str
    subscription: str
    key_id: str
    limits: Limits = NO_LIMITS
    roles: frozenset[Role] = CALLER
    data_zone: str = ""
    user: str = ""
    tenant_limits: Limits = NO_LIMITS
    models: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    rules: tuple[TenantRule, ...] = ()
    attributes: Mapping[str, str] = {}


_KEY = re.compile(r"gwk_([a-z0-9]{16})_[A-Za-z0-9_-]+")


def masked_keys(text: str) -> str:
    """Return a text in which of every virtual key only the public part is left: keys are pasted where they do not belong."""
    return _KEY.sub(r"gwk_\1_***", text) if "gwk_" in text else text


DEFAULT_TENANT = "default"
UNLIMITED_PRODUCT = Product(id="unlimited", models=("*",))
