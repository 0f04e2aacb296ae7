"""The catalogue file's entries: what may stand in it, and of which type. Field by field what `catalog.yaml` says.

`catalog_file.py` reads a document into `File`; `catalog_backends.py`, `catalog_models.py` and `catalog_rules.py` turn its
entries into the domain's values and check what a type cannot say. Unknown keys are refused, so a misspelt limit cannot be a
limit that silently does not hold. Prices are in `catalog_price_schema.py`.
"""

import datetime
from typing import Any

import msgspec

from gateway.domain.access import Product
from gateway.domain.catalog_price_schema import Prices, TenantPriceEntry
from gateway.domain.deployment import AuthType, Protocol
from gateway.domain.guardrails import Guardrail
from gateway.domain.limits import NO_LIMITS, Limits
from gateway.domain.lookups import Lookup
from gateway.domain.policy import LifecycleState


class CatalogError(Exception):
    """The catalogue cannot be used: `path` points into the document."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


# One name, or a list of which one must fit.
type Names = str | tuple[str, ...]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class AuthEntry(_Strict, frozen=True):
    """`auth:` of a backend; the type may be left to its `vendor`."""

    type: AuthType | None = None
    key: str = ""
    name: str = ""
    scope: str = ""
    client_id: str = ""
    key_id: str = ""
    session_token: str = ""
    region: str = ""
    service: str = ""

    def __repr__(self) -> str:
        return f"AuthEntry(type={self.type!r}, …)"  # its key is a secret


class BackendEntry(_Strict, frozen=True):
    """An item of `backends:`; `endpoint` and `auth` may be left out where the vendor or the protocol says them.

    An `internal` one is for lookups only: clients cannot ask for it at /ai/{backend}.
    """

    id: str
    protocol: Protocol
    vendor: str = ""
    endpoint: str = ""
    auth: AuthEntry | None = None
    region: str = ""
    data_zone: str = ""
    api_version: str = ""
    internal: bool = False


class CapacityEntry(_Strict, frozen=True):
    """`capacity:` of a deployment: what was bought."""

    ptu: int | None = None
    tpm: int | None = None
    rpm: int | None = None
    concurrency: int | None = None
    queue: int = 64


class CapEntry(_Strict, frozen=True):
    """`cap:` of a deployment: how much of it may be used in a `day` or a `month`, all clients together."""

    period: str
    tokens: int | None = None
    usd: float | None = None


class DeploymentEntry(_Strict, frozen=True):
    """An item of `deployments:`."""

    id: str
    backend: str
    name: str | None = None
    sku: str = "standard"
    quota_group: str = ""
    capacity: CapacityEntry | None = None
    price: Prices | None = None
    priced_as: str = ""
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    quality: float | None = None
    cap: CapEntry | None = None
    draining: bool = False


class PoolEntry(_Strict, frozen=True):
    """An item of a model's or a rule's `pool:`; weight 0 is a canary that gets nothing yet."""

    deployment: str
    priority: int = 1
    weight: int = 1


class RetryEntry(_Strict, frozen=True):
    """`retry:` of a model."""

    max_attempts: int = 3
    attempt_timeout_s: float | None = None


class StaticEntry(_Strict, frozen=True):
    """`static:` of a model's fallbacks."""

    content: str


class FallbacksEntry(_Strict, frozen=True):
    """`fallbacks:` of a model: other models, by why this one failed."""

    any: tuple[str, ...] = ()
    context_length: tuple[str, ...] = ()
    content_filter: tuple[str, ...] = ()
    static: StaticEntry | None = None


class LifecycleEntry(_Strict, frozen=True):
    """`lifecycle:` of a model."""

    state: LifecycleState = LifecycleState.ACTIVE
    deprecated: datetime.date | None = None
    sunset: datetime.date | None = None
    successor: str = ""


class JudgeEntry(_Strict, frozen=True):
    """`judge:` of a tier's verifier."""

    model: str
    question: str = ""
    passes: str = ""


class VerifyEntry(_Strict, frozen=True):
    """`verify:` of a tier: exactly one of these."""

    json_schema: dict[str, Any] | None = None
    regex: str | None = None
    judge: JudgeEntry | None = None


class TierEntry(_Strict, frozen=True):
    """An item of a model's `tiers:`."""

    model: str
    verify: VerifyEntry


class EnrichEntry(_Strict, frozen=True):
    """An item of a model's `enrich:`."""

    backend: str
    path: str
    template: str = "{result}"
    pick: str = ""
    timeout_s: float = 2.0
    required: bool = False


class TransformEntry(_Strict, frozen=True):
    """An item of a model's `transform:`."""

    type: str
    pattern: str = ""
    replacement: str = ""
    field: str = ""


class ModelEntry(_Strict, frozen=True):
    """An item of `models:`."""

    id: str
    pool: tuple[PoolEntry, ...]
    aliases: tuple[str, ...] = ()
    retry: RetryEntry = RetryEntry()
    strategy: str = "priority"
    fallbacks: FallbacksEntry = FallbacksEntry()
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    default_output_tokens: int | None = None
    quality_floor: float | None = None
    latency_ceiling_s: float | None = None
    hash_on: str = "session"
    lifecycle: LifecycleEntry = LifecycleEntry()
    tiers: tuple[TierEntry, ...] = ()
    enrich: tuple[EnrichEntry, ...] = ()
    transform: tuple[TransformEntry, ...] = ()


class ScheduleEntry(_Strict, frozen=True):
    """`schedule:` of a rule: times as "HH:MM"; an unquoted one is a number to YAML."""

    days: Names = ()
    start: str | int = "00:00"
    below: str | int = "00:00"
    timezone: str = "UTC"


class WhenEntry(_Strict, frozen=True):
    """`when:` of a rule: all that is given must hold."""

    tenant: Names = ()
    product: Names = ()
    subscription: Names = ()
    key: Names = ()
    user: Names = ()
    tags: dict[str, str] = {}
    model: Names = ()
    operation: Names = ()
    task: Names = ()
    text: str = ""
    tokens_over: int | None = None
    tokens_under: int | None = None
    capability: Names = ()
    classification: Names = ()
    priority: Names = ()
    schedule: ScheduleEntry | None = None


class RuleEntry(_Strict, frozen=True):
    """An item of `routing_rules:`: to a model or to a pool, or only in another order."""

    id: str
    when: WhenEntry = WhenEntry()
    model: str = ""
    pool: tuple[PoolEntry, ...] = ()
    strategy: str = ""
    confine: bool = False


class ProductEntry(Product, frozen=True, forbid_unknown_fields=True):
    """An item of `products:`."""


class File(_Strict, frozen=True):
    """The whole file."""

    version: int
    backends: tuple[BackendEntry, ...]
    deployments: tuple[DeploymentEntry, ...]
    models: tuple[ModelEntry, ...]
    products: tuple[ProductEntry, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    routing_rules: tuple[RuleEntry, ...] = ()
    tenant_prices: tuple[TenantPriceEntry, ...] = ()
    limits: Limits = NO_LIMITS
