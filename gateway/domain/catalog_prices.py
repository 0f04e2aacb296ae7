"""The catalogue's prices: USD per million become integer micro-USD per million, and what has no price gets the bundled one.

    price: {input: 2.50, cached_input: 1.25, output: 10}           # tokens
    price: {units: {images: 40000, pages: 1500}}                   # what has no tokens, by kind; `unit:` for all kinds
    price: {input: 1.25, output: 10, tiers: [{over_tokens: 200000, input: 2.50, output: 15}]}
    price: [{input: 3, output: 15}, {from: 2027-01-01, input: 2, output: 10}]
    price: {ptu_hour: 1.00}                                        # of a provisioned deployment, with `capacity.ptu`

A provisioned deployment costs the same whether it is used or not. Its calls' costs are `ptu_hour` spread over all the tokens
that fit into an hour (`capacity.tpm`), unless it has token prices too; `metering/amortise.py` divides what the hour cost.
"""

import itertools
from collections.abc import Mapping

import msgspec

from gateway.domain.catalog_price_schema import PriceEntry, Prices, PriceTierEntry, TenantPriceEntry
from gateway.domain.catalog_schema import CatalogError, DeploymentEntry
from gateway.domain.deployment import PROVISIONED, UNITS, Backend, Capacity, DatedPrice, Price, PriceTier
from gateway.domain.policy import TenantPrice
from gateway.domain.price_book import PriceBook

MAX_USD = 1_000_000
MICRO = 1_000_000
MINUTES = 60
_TOKENS = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "audio_input", "audio_output")
NO_CAPACITY = Capacity()


def deployment_price(entry: DeploymentEntry, path: str, backend: Backend, capacity: Capacity, book: PriceBook) -> tuple[Price | None, str]:
    """Return a deployment's price and its origin: what the file says, else what the book knows, else None and nothing."""
    if entry.price is None:
        found = book.find(backend, entry.priced_as or entry.name or entry.id, entry.sku)
        return found, f"table {book.day}" if found is not None else ""
    if entry.priced_as:
        raise CatalogError(f"{path}.priced_as", "looks up a price, and there is a `price` already; leave one of them out")
    price = build_prices(entry.price, f"{path}.price", capacity)
    if entry.sku != PROVISIONED and any(each.ptu_hour is not None for each in (price, *(dated.price for dated in price.later))):
        raise CatalogError(f"{path}.price", f"`ptu_hour` belongs to sku provisioned, not to {entry.sku}")
    return price, "catalogue"


def build_prices(given: Prices, path: str, capacity: Capacity = NO_CAPACITY) -> Price:
    """Build one price, or a list of them: the first holds until the second one's day, and so on."""
    if isinstance(given, PriceEntry):
        return build_price(given, path, capacity)
    if not given:
        raise CatalogError(path, "the list is empty; leave it out, or write a price")
    first = build_price(given[0], f"{path}[0]", capacity)
    for index, (one, two) in enumerate(itertools.pairwise(given), start=1):
        if two.since is None:
            raise CatalogError(f"{path}[{index}].from", "is needed: the day from which this price holds")
        if one.since is not None and one.since >= two.since:
            raise CatalogError(f"{path}[{index}].from", "must be after the day of the price before")
    later = [
        DatedPrice(entry.since, build_price(msgspec.structs.replace(entry, since=None), f"{path}[{index}]", capacity))
        for index, entry in enumerate(given)
        if entry.since is not None
    ]
    return msgspec.structs.replace(first, later=tuple(later))


def build_price(entry: PriceEntry, path: str, capacity: Capacity = NO_CAPACITY) -> Price:
    """Turn USD per million into integer micro-USD per million.

    Args:
        entry: As the file, or an administrator, says it.
        path: Where it stands.
        capacity: What was bought; a price by the hour needs it.
    """
    _check_members(entry, path)
    tokens = {name: _micro(getattr(entry, name), f"{path}.{name}") for name in _TOKENS}
    by_hour = _micro(entry.ptu_hour, f"{path}.ptu_hour")
    hourly = _hourly(by_hour, path, capacity, spread=entry.input is None and entry.unit is None and not entry.units)
    price = Price(
        input=tokens["input"] or hourly,
        output=tokens["output"] or hourly,
        cached_input=tokens["cached_input"],
        cache_write=tokens["cache_write"],
        cache_write_1h=tokens["cache_write_1h"],
        audio_input=tokens["audio_input"],
        audio_output=tokens["audio_output"],
        unit=_micro(entry.unit, f"{path}.unit"),
        units=tuple(sorted((name, _micro(value, f"{path}.units.{name}") or 0) for name, value in entry.units.items())),
        ptu_hour=by_hour,
        amortised=hourly > 0,
    )
    return msgspec.structs.replace(price, tiers=_tiers(entry.tiers, price, path)) if entry.tiers else price


def _check_members(entry: PriceEntry, path: str) -> None:
    """Refuse members that mean nothing without others."""
    if entry.since is not None:
        raise CatalogError(f"{path}.from", "is for a list of prices, from its second one on: the first holds until then")
    if (entry.input is None) != (entry.output is None):
        raise CatalogError(path, "needs both `input` and `output`")
    if entry.input is None:
        if entry.tiers or any(getattr(entry, name) is not None for name in _TOKENS):
            raise CatalogError(path, "prices parts of the tokens; it needs `input` and `output` as well")
        if entry.unit is None and not entry.units and entry.ptu_hour is None:
            raise CatalogError(path, "needs `input` and `output`, or `unit` or `units` for what has no tokens, or `ptu_hour`")
    for name in entry.units:
        if name not in UNITS:
            raise CatalogError(f"{path}.units.{name}", f"{name!r} is not one of {', '.join(sorted(UNITS))}")


def _micro(usd: float | None, path: str) -> int | None:
    if usd is None:
        return None
    if not 0 <= usd <= MAX_USD:
        raise CatalogError(path, f"must be USD, from 0 to {MAX_USD}: per million, or per hour")
    return round(usd * MICRO)


def _hourly(ptu_hour: int | None, path: str, capacity: Capacity, *, spread: bool) -> int:
    """Return what a million tokens cost when the hour's price is spread over all that fit into it; 0 where it is not."""
    if ptu_hour is None:
        return 0
    if capacity.ptu is None:
        raise CatalogError(f"{path}.ptu_hour", "needs the deployment's `capacity.ptu`: how many units there are")
    if not spread:
        return 0
    if capacity.tpm is None:
        raise CatalogError(
            f"{path}.ptu_hour", "needs `capacity.tpm`, to estimate what a token costs, or `input` and `output` that say it (0 for nothing)"
        )
    return -(-ptu_hour * capacity.ptu * MICRO // (capacity.tpm * MINUTES))


def _tiers(entries: tuple[PriceTierEntry, ...], base: Price, path: str) -> tuple[PriceTier, ...]:
    tiers: list[PriceTier] = []
    for index, entry in enumerate(entries):
        where = f"{path}.tiers[{index}]"
        if entry.over_tokens < 1 or (tiers and tiers[-1].over_tokens >= entry.over_tokens):
            raise CatalogError(f"{where}.over_tokens", "must be more than 0, and more than that of the tier before")
        names = [name for name in _TOKENS if name in entry.__struct_fields__]
        given: Mapping[str, int] = {name: value for name in names if (value := _micro(getattr(entry, name), f"{where}.{name}")) is not None}
        tiers.append(PriceTier(entry.over_tokens, msgspec.structs.replace(base, **given)))
    return tuple(tiers)


def negotiated(entry: TenantPriceEntry, path: str) -> TenantPrice:
    """Build a tenant's price: one of its own, or a share of the deployment's."""
    if (entry.price is None) == (entry.discount is None):
        raise CatalogError(path, "needs a `price` or a `discount`, one of the two")
    if entry.since is not None and entry.below is not None and entry.below <= entry.since:
        raise CatalogError(f"{path}.below", "must be after the day of `from`")
    share = MICRO
    if entry.discount is not None:
        if not 0 < entry.discount < 1:
            raise CatalogError(f"{path}.discount", "must be between 0 and 1, such as 0.15 for 15 % less")
        share = round((1 - entry.discount) * MICRO)
    return TenantPrice(
        tenant=entry.tenant,
        deployment=entry.deployment,
        price=build_price(entry.price, f"{path}.price") if entry.price is not None else None,
        share_ppm=share,
        since=entry.since,
        below=entry.below,
    )
