"""Administrators' documents become tenants, products and subscriptions. Pure.

A document of a change names members: one that is not there stays, null takes it away, and each is replaced as a whole. Only what
a document names is checked, so that a change never fails for what it leaves alone. Every fault names its field. Ids are letters,
digits and `. _ : -`, at most 64, so that they fit a Table Storage key.
"""

import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.access import (
    ANYWHERE,
    CALLER,
    DEFAULT_TENANT,
    CallCost,
    Network,
    Product,
    ProductTerms,
    Role,
    Subscription,
    SubscriptionState,
    Tenant,
    TenantState,
    masked_keys,
    network_fault,
)
from gateway.domain.call import Operation
from gateway.domain.catalog import Catalog
from gateway.domain.catalog_guardrails import rules_fault, unknown_guardrail
from gateway.domain.conversations import Capture, History, Window, conversations_fault
from gateway.domain.documents import convert
from gateway.domain.guardrail_faults import Check, nothing_more
from gateway.domain.guardrails import TenantRule
from gateway.domain.limits import NO_LIMITS, Limits, limits_fault
from gateway.errors import RequestError

MAX_NAME_CHARACTERS = 256
MAX_GLOBS = 256
MAX_IDENTITIES = 32
MAX_BLOCKS = 256
MAX_ATTRIBUTES = 32
MAX_ATTRIBUTE_CHARACTERS = 256
# What a prompt's context says of every call itself.
RESERVED = frozenset({"tenant", "product", "subscription", "user", "claimed_user", "session"})
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_IDENTITY = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _TenantFields(_Fields, frozen=True, kw_only=True):
    name: str = ""
    data_zone: str = ""
    state: TenantState = TenantState.ACTIVE
    limits: Limits = NO_LIMITS
    network: Network = ANYWHERE
    rules: tuple[TenantRule, ...] = ()
    attributes: dict[str, str] = {}


class _NewTenant(_TenantFields, frozen=True, kw_only=True):
    id: str


class _ProductFields(ProductTerms, frozen=True, forbid_unknown_fields=True):
    pass


class _NewProduct(Product, frozen=True, forbid_unknown_fields=True):
    pass


class _SubscriptionFields(_Fields, frozen=True, kw_only=True):
    name: str = ""
    limits: Limits = NO_LIMITS
    roles: frozenset[Role] = CALLER
    models: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    network: Network = ANYWHERE
    identities: tuple[str, ...] = ()
    attributes: dict[str, str] = {}


class _Rules(_Fields, frozen=True, kw_only=True):
    rules: tuple[TenantRule, ...]


class _NewSubscription(_SubscriptionFields, frozen=True, kw_only=True):
    product: str
    tenant: str = DEFAULT_TENANT


class Documents:
    """Reads documents.

    Args:
        catalog: Whose models, data zones and guardrails they may name.
        check: Says what is wrong with a tenant's rule that only its detector can tell.
    """

    def __init__(self, catalog: Catalog, check: Check = nothing_more) -> None:
        self._catalog = catalog
        self._check_guardrail = check
        self._zones = sorted({deployment.backend.data_zone for deployment in catalog.deployments.values()} - {""})
        limits = dict.fromkeys(("limits", "shared_limits", "user_limits"), _check_limits)
        self._checks: Mapping[str, Callable[[Any, str], None]] = {
            "name": _check_name,
            "data_zone": self._check_zone,
            "models": _check_globs,
            "operations": _check_operations,
            "network": _check_network,
            "roles": _check_roles,
            "identities": _check_identities,
            "call_cost": self._check_call_cost,
            **dict.fromkeys(("history", "window", "capture"), self._check_conversations),
            "guardrails": self._check_guardrails,
            "rules": self._check_rules,
            "attributes": _check_attributes,
            **limits,
        }

    def new_tenant(self, document: Mapping[str, Any]) -> Tenant:
        """Read `{"id", "name"?, "data_zone"?, "state"?, "limits"?, "network"?, "rules"?, "attributes"?}`."""
        fields = msgspec.structs.asdict(convert(document, _NewTenant))
        check_id(fields["id"])
        self._check(fields, document)
        return Tenant(**fields | {"name": fields["name"] or fields["id"]})

    def changed_tenant(self, tenant: Tenant, document: Mapping[str, Any]) -> Tenant:
        """Return the tenant as a change leaves it."""
        fields = self._change(tenant, document, _TenantFields)
        return msgspec.structs.replace(tenant, **fields | {"name": fields["name"] or tenant.id})

    def changed_rules(self, tenant: Tenant, document: Mapping[str, Any]) -> Tenant:
        """Return the tenant with other rules: `{"rules": [guardrails]}` takes the place of all it had."""
        rules = convert(document, _Rules).rules
        self._check_rules(rules, "rules")
        return msgspec.structs.replace(tenant, rules=rules)

    def new_product(self, document: Mapping[str, Any]) -> Product:
        """Read `{"id", "models": [globs], …}`: all that a product of the catalogue takes."""
        fields = msgspec.structs.asdict(convert(document, _NewProduct))
        check_id(fields["id"])
        self._check(fields, document)
        return Product(**fields)

    def changed_product(self, product: Product, document: Mapping[str, Any]) -> Product:
        """Return the product as a change leaves it."""
        return msgspec.structs.replace(product, **self._change(product, document, _ProductFields))

    def new_subscription(self, document: Mapping[str, Any]) -> Subscription:
        """Read `{"product", "tenant"?, "name"?, "limits"?, "roles"?, "models"?, "network"?, "identities"?, …}`: all that can be changed."""
        fields = msgspec.structs.asdict(convert(document, _NewSubscription))
        check_id(fields["tenant"], "tenant")
        check_id(fields["product"], "product")
        self._check(fields, document)
        return Subscription(id="", state=SubscriptionState.ACTIVE, **_with_small_identities(fields))

    def changed_subscription(self, subscription: Subscription, document: Mapping[str, Any]) -> Subscription:
        """Return the subscription as a change leaves it."""
        fields = self._change(subscription, document, _SubscriptionFields)
        return msgspec.structs.replace(subscription, **_with_small_identities(fields))

    def _change(self, thing: msgspec.Struct, document: Mapping[str, Any], shape: type[msgspec.Struct]) -> dict[str, Any]:
        now = {name: value for name, value in msgspec.to_builtins(thing).items() if name in shape.__struct_fields__}
        named = shape.__struct_fields__  # what is none of them is refused, null or not
        merged = {name: value for name, value in {**now, **document}.items() if value is not None or name not in named}
        fields = msgspec.structs.asdict(convert(merged, shape))
        self._check(fields, document)
        return fields

    def _check(self, fields: Mapping[str, Any], named: Mapping[str, Any]) -> None:
        for name in named:
            if check := self._checks.get(name):
                check(fields[name], name)
        if "models" in named and "shared_limits" in fields and not fields["models"]:
            raise RequestError("'models' needs at least one glob; [\"*\"] means all", param="models", code="invalid_value")

    def _check_zone(self, zone: str, param: str) -> None:
        """Refuse a zone that no deployment lies in: its tenant could call nothing."""
        if not zone or zone in self._zones:
            return
        known = ", ".join(self._zones)
        advice = f"of the catalogue's data zones choose one of {known}" if known else "leave it out: no backend has a data zone"
        raise RequestError(f"no deployment lies in this 'data_zone'; {advice}", param=param, code="invalid_value")

    def _check_guardrails(self, names: tuple[str, ...], param: str) -> None:
        if fault := unknown_guardrail(names, self._catalog.guardrails, param):
            raise _fault(*fault)

    def _check_rules(self, rules: tuple[TenantRule, ...], _param: str) -> None:
        if fault := rules_fault(rules, self._catalog.guardrails, self._check_guardrail):
            raise _fault(*fault)

    def _check_call_cost(self, cost: CallCost | None, param: str) -> None:
        if cost is None:
            return
        if cost.over_usd <= 0:
            raise _fault(f"{param}.over_usd", "must be over 0")
        if cost.then == "offer" and cost.draft_model:
            raise _fault(f"{param}.draft_model", 'is only for "then": "draft"')
        if cost.then == "draft" and not self._is_model(cost.draft_model):
            raise _fault(f"{param}.draft_model", "must be a model of the catalogue")

    def _check_conversations(self, said: History | Window | Capture | None, param: str) -> None:
        if fault := conversations_fault(said, self._is_model):
            raise _fault(f"{param}.{fault[0]}", fault[1])

    def _is_model(self, name: str) -> bool:
        model = self._catalog.find(name)
        return model is not None and not model.hidden


def is_id(value: str) -> bool:
    """Tell whether a tenant, product or subscription could have this id."""
    return _ID.match(value) is not None


def check_id(value: str, param: str = "id") -> None:
    """Raise RequestError for what cannot be an id."""
    if not is_id(value):
        raise _fault(param, "must be 1 to 64 letters, digits and . _ : -, a letter or digit first")


def _check_name(value: str, param: str) -> None:
    if len(value) > MAX_NAME_CHARACTERS:
        raise _fault(param, f"must have at most {MAX_NAME_CHARACTERS} characters")
    if masked_keys(value) != value:
        raise _fault(param, "must hold no key: names are shown to everybody who may see the thing")


def _check_limits(limits: Limits, param: str) -> None:
    if fault := limits_fault(limits):
        raise _fault(f"{param}.{fault[0]}", fault[1])


def _check_network(network: Network, param: str) -> None:
    if len(network.allow) + len(network.deny) > MAX_BLOCKS:
        raise _fault(param, f"takes at most {MAX_BLOCKS} blocks")
    if fault := network_fault(network):
        raise _fault(f"{param}.{fault[0]}", fault[1])


def _check_globs(globs: tuple[str, ...], param: str) -> None:
    if len(globs) > MAX_GLOBS:
        raise _fault(param, f"takes at most {MAX_GLOBS} globs")
    for index, each in enumerate(globs):
        if not 1 <= len(each) <= MAX_NAME_CHARACTERS:
            raise _fault(f"{param}[{index}]", f"must have 1 to {MAX_NAME_CHARACTERS} characters")


def _check_operations(globs: tuple[str, ...], param: str) -> None:
    _check_globs(globs, param)
    for index, each in enumerate(globs):
        if not any(fnmatch.fnmatchcase(operation.value, each) for operation in Operation):
            raise _fault(f"{param}[{index}]", f"matches no operation; there are chat, embeddings, images.* and others, not {each[:64]!r}")


def _check_roles(roles: frozenset[Role], param: str) -> None:
    if not roles:
        raise _fault(param, f"needs one at least; a subscription that calls models has {Role.USER.value}")
    if Role.ADMIN in roles:
        raise _fault(param, f"cannot hold {Role.ADMIN.value}: that is for the administrator's key and for tokens of Entra ID")


def _check_attributes(attributes: Mapping[str, str], param: str) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise _fault(param, f"takes at most {MAX_ATTRIBUTES}")
    for name, value in attributes.items():
        if not _ATTRIBUTE.match(name) or name in RESERVED:
            taken = ", ".join(sorted(RESERVED))
            raise _fault(f"{param}.{name[:64]}", f"must be called by letters, digits, _ and -, a letter or _ first, and none of {taken}")
        if len(value) > MAX_ATTRIBUTE_CHARACTERS:
            raise _fault(f"{param}.{name}", f"must have at most {MAX_ATTRIBUTE_CHARACTERS} characters")


def _check_identities(identities: tuple[str, ...], param: str) -> None:
    if len(identities) > MAX_IDENTITIES:
        raise _fault(param, f"takes at most {MAX_IDENTITIES}")
    for index, each in enumerate(identities):
        if not _IDENTITY.match(each.lower()):
            raise _fault(
                f"{param}[{index}]", "must be an object id or a client id of Entra ID, such as 11111111-2222-3333-4444-555555555555"
            )


def _with_small_identities(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"identities": tuple(dict.fromkeys(each.lower() for each in fields["identities"]))}


def _fault(param: str, message: str) -> RequestError:
    return RequestError(f"'{param}' {message}", param=param, code="invalid_value")
