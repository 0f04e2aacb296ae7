"""The catalogue file's prices: what may stand in them. USD per million tokens, or per million units (images, characters, pages).

`catalog_prices.py` turns them into the domain's values and checks what a type cannot say. The first day on which something
holds is `from` in the file, which Python keeps for itself.
"""

import datetime

import msgspec


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class PriceTierEntry(_Strict, frozen=True):
    """An item of a price's `tiers:`; what it does not say costs as much as for a short prompt."""

    over_tokens: int
    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None


class PriceEntry(_Strict, frozen=True):
    """`price:` of a deployment, USD per million: `input` and `output` tokens, or what is counted in units; see `Price`."""

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    unit: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None
    units: dict[str, float] = {}
    tiers: tuple[PriceTierEntry, ...] = ()
    ptu_hour: float | None = None
    since: datetime.date | None = msgspec.field(default=None, name="from")


# One price, or a list of them of which each holds from its day on.
type Prices = PriceEntry | tuple[PriceEntry, ...]


class TenantPriceEntry(_Strict, frozen=True):
    """An item of `tenant_prices:`; `deployment` is a glob. Either a price, or a discount on the deployment's own."""

    tenant: str
    deployment: str
    price: PriceEntry | None = None
    discount: float | None = None
    since: datetime.date | None = msgspec.field(default=None, name="from")
    below: datetime.date | None = None
