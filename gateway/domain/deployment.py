"""Where a call can be served: backends, and the deployments on them. Frozen data.

Prices are micro-USD per million tokens, so a cost is `tokens × price ÷ 1,000,000` micro-USD.
"""

import datetime
import enum

import msgspec


class Protocol(enum.StrEnum):
    """The wire protocol a backend speaks; one provider each."""

    __hash__ = str.__hash__  # the key of tables that every call looks into

    AZURE_OPENAI = "azure-openai"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    BEDROCK = "bedrock"
    COHERE = "cohere"
    AZURE_AI = "azure-ai"
    AZURE_ML = "azure-ml"
    REST = "rest"


class AuthType(enum.StrEnum):
    """How we prove ourselves to a backend."""

    API_KEY = "api-key"  # in the protocol's own header, or in `name`
    BEARER = "bearer"
    QUERY = "query"  # in the query parameter `name`
    MANAGED_IDENTITY = "managed-identity"
    AWS_SIGV4 = "aws-sigv4"
    NONE = "none"


SHORTEST_SECRET = 8  # what is shorter may stand in any text by chance


class Auth(msgspec.Struct, frozen=True):
    """A backend's credential.

    Attributes:
        type: The scheme.
        key: The secret of `api-key`, `bearer` and `query`, and AWS's secret access key, or the reference to it; never logged, never shown.
        scope: The token scope of `managed-identity`.
        client_id: The user-assigned identity of `managed-identity`; the system-assigned one if absent.
        name: The header of `api-key`, or the parameter of `query`.
        key_id: AWS's access key id.
        session_token: AWS's, with temporary credentials; as secret as the key.
        region: AWS's, for the signature.
        service: AWS's, for the signature.
    """

    type: AuthType
    key: str = ""
    scope: str = "https://cognitiveservices.azure.com/.default"
    client_id: str | None = None
    name: str = "api-key"
    key_id: str = ""
    session_token: str = ""
    region: str = ""
    service: str = "bedrock"

    def __repr__(self) -> str:
        return f"Auth(type={self.type.value!r}, key={'***' if self.key else ''!r})"

    def masked(self, text: str) -> str:
        """Return what a backend said without our secrets: some repeat the key that they refuse."""
        for secret in (self.key, self.session_token):
            if len(secret) >= SHORTEST_SECRET and secret in text:
                text = text.replace(secret, "***")
        return text

    def masked_body(self, body: bytes) -> bytes:
        """The same for a body, whatever its bytes are."""
        return self.masked(body.decode("latin-1")).encode("latin-1")


class Backend(msgspec.Struct, frozen=True):
    """A resource that hosts deployments: its URL without a trailing slash, its protocol and our credential.

    Attributes:
        vendor: The row of `domain/vendors.py` that an OpenAI-compatible host goes by; empty for none.
    """

    id: str
    protocol: Protocol
    endpoint: str
    auth: Auth
    region: str = ""
    data_zone: str = ""
    api_version: str = "2024-10-21"
    vendor: str = ""


# What is paid for besides tokens (`Usage.unit`).
UNITS = frozenset({"images", "characters", "seconds", "pages", "transactions", "text_records", "requests"})


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a deployment costs, in micro-USD per million: tokens, and what has no tokens.

    Attributes:
        cached_input: Of prompt tokens that came out of the provider's cache; None: as `input`.
        cache_write: Of those that went into it; None: as `input`.
        cache_write_1h: Of those that stay there for an hour; None: as `cache_write`.
        audio_input: Of prompt tokens that are sound; None: as `input`.
        audio_output: Of completion tokens that are sound; None: as `output`.
        unit: Of units (images, characters, pages …) of every kind that `units` does not name.
        units: Of units of one kind: (name, price).
        tiers: What other prices a whole call has whose prompt is long, by rising length.
        later: What it costs from a later day on, by rising day.
        ptu_hour: What one provisioned throughput unit costs an hour, in micro-USD.
        amortised: `input` and `output` are no prices but `ptu_hour` spread over all the tokens that fit into the hour.
    """

    input: int
    output: int
    cached_input: int | None = None
    unit: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    units: tuple[tuple[str, int], ...] = ()
    tiers: tuple["PriceTier", ...] = ()
    later: tuple["DatedPrice", ...] = ()
    ptu_hour: int | None = None
    amortised: bool = False

    def at(self, utc: datetime.datetime) -> "Price":
        """Return what holds at a moment; days begin at midnight UTC."""
        if not self.later:
            return self
        today, found = utc.astimezone(datetime.UTC).date(), self
        for dated in self.later:
            if dated.since <= today:
                found = dated.price
        return found

    def for_prompt(self, tokens: int) -> "Price":
        """Return what a call with that long a prompt costs: all of it, not only what is beyond the tier's edge."""
        found = self
        for tier in self.tiers:
            if tokens > tier.over_tokens:
                found = tier.price
        return found

    def of_unit(self, name: str) -> int | None:
        """Return the price of a kind of unit; None if there is none."""
        for kind, price in self.units:
            if kind == name:
                return price
        return self.unit

    @property
    def only_units(self) -> bool:
        """Whether it says nothing about tokens."""
        return not (self.input or self.output) and (self.unit is not None or bool(self.units))


class PriceTier(msgspec.Struct, frozen=True):
    """The price of a whole call whose prompt has more than `over_tokens` tokens."""

    over_tokens: int
    price: Price


class DatedPrice(msgspec.Struct, frozen=True):
    """The price from midnight UTC of `since` on."""

    since: datetime.date
    price: Price


def scaled(price: Price, share_ppm: int) -> Price:
    """Return a share (parts per million) of a price, of everything in it, each part rounded up to the micro-dollar."""

    def part(value: int | None) -> int | None:
        return None if value is None else -(-value * share_ppm // 1_000_000)

    return Price(
        input=part(price.input) or 0,
        output=part(price.output) or 0,
        cached_input=part(price.cached_input),
        unit=part(price.unit),
        cache_write=part(price.cache_write),
        cache_write_1h=part(price.cache_write_1h),
        audio_input=part(price.audio_input),
        audio_output=part(price.audio_output),
        units=tuple((name, part(value) or 0) for name, value in price.units),
        tiers=tuple(PriceTier(tier.over_tokens, scaled(tier.price, share_ppm)) for tier in price.tiers),
        later=tuple(DatedPrice(dated.since, scaled(dated.price, share_ppm)) for dated in price.later),
        ptu_hour=part(price.ptu_hour),
        amortised=price.amortised,
    )


class Capacity(msgspec.Struct, frozen=True):
    """What a deployment was bought with: what plans and queues are made by.

    Attributes:
        ptu: Provisioned throughput units.
        tpm: Tokens a minute, prompt and completion together.
        rpm: Requests a minute.
        concurrency: Calls at once; None means no cap of ours.
        queue: Calls that may wait for one of them.
    """

    ptu: int | None = None
    tpm: int | None = None
    rpm: int | None = None
    concurrency: int | None = None
    queue: int = 64


class UsageCap(msgspec.Struct, frozen=True):
    """How much of a deployment may be used in a calendar period, all clients together: past it the next one is asked."""

    period: str  # day | month
    tokens: int | None = None
    cost_micro_usd: int | None = None


PROVISIONED = "provisioned"


class Deployment(msgspec.Struct, frozen=True):
    """A named model instance on a backend; `name` is what the resource calls it.

    Attributes:
        quota_group: Deployments that share one upstream quota: one's 429 speaks for all; empty for its own.
        price: None where it is unknown, which is not the same as nothing.
        price_origin: Where the price is from: `catalogue`, `table <day>`, `override`; empty where there is none.
        capabilities: What it can do; empty means what its model says.
        context_window: Tokens; None means what its model says.
        quality: 0 to 1, by whatever evaluation the operator trusts.
        draining: No new call goes to it; those under way end as they would.
    """

    id: str
    backend: Backend
    name: str
    sku: str = "standard"
    quota_group: str = ""
    price: Price | None = None
    price_origin: str = ""
    capacity: Capacity = Capacity()
    capabilities: tuple[str, ...] = ()
    context_window: int | None = None
    quality: float | None = None
    cap: UsageCap | None = None
    draining: bool = False


class PoolMember(msgspec.Struct, frozen=True):
    """A deployment's place in a pool: lower priority numbers first, then by weight; weight 0 gets no calls."""

    deployment: Deployment
    priority: int = 1
    weight: int = 1
