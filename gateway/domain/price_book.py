"""A table of prices: by vendor, model and zone, what a deployment costs that says nothing of its price itself.

    book.find(backend, "gpt-4.1", "data-zone") → Price or None

| deployment | row |
| --- | --- |
| Azure, `global-standard` | of the zone `global`, else the model's plain row |
| Azure, `data-zone` | of its data zone; none where the table has no such row |
| Azure, `standard` (regional) | of its data zone, which costs as much, else the plain row |
| Azure, `batch` | the batch prices of the `global` or the plain row |
| Bedrock | of its region, else the plain row |
| another vendor | the plain row |
| `provisioned`, `self-hosted` | none: what they cost is between the operator and its supplier |

Pure; the rows are data (`metering/price_table.py` reads them) and are made into prices when they are asked for. Zones of
Azure regions: learn.microsoft.com, "Deployment types for Microsoft Foundry Models" (read 2026-11-22); a backend's own
`data_zone` comes first.
"""

import datetime
from collections.abc import Mapping

import msgspec

from gateway.domain.deployment import PROVISIONED, Backend, DatedPrice, Price, PriceTier, Protocol

# Vendors of backends that are not known by `vendor:`.
_BY_PROTOCOL: Mapping[Protocol, str] = {
    Protocol.AZURE_OPENAI: "azure",
    Protocol.ANTHROPIC: "anthropic",
    Protocol.GEMINI: "gemini",
    Protocol.BEDROCK: "bedrock",
    Protocol.COHERE: "cohere",
}
_RENAMED = {"azure-foundry": "azure"}
_OPENAI = "https://api.openai.com/v1"
_ZONES: Mapping[str, frozenset[str]] = {
    "us": frozenset({
        "eastus", "eastus2", "centralus", "northcentralus", "southcentralus", "westcentralus", "westus", "westus2", "westus3",
    }),
    "eu": frozenset({
        "westeurope", "northeurope", "swedencentral", "francecentral", "germanywestcentral", "italynorth", "spaincentral",
        "polandcentral", "austriaeast", "belgiumcentral",
    }),
    "us-gov": frozenset({"usgovvirginia", "usgovarizona", "usgovtexas"}),
}  # fmt: skip


class Rates(msgspec.Struct, frozen=True):
    """Prices of a row, of a tier of it (`over_tokens`), or from a day on (`since`): micro-USD per million."""

    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    units: dict[str, int] = {}
    tiers: tuple["Rates", ...] = ()
    later: tuple["Rates", ...] = ()
    batch: "Rates | None" = None
    over_tokens: int = 0
    since: datetime.date | None = None

    def price(self) -> Price:
        """Return them as a price."""
        return Price(
            input=self.input,
            output=self.output,
            cached_input=self.cached_input,
            cache_write=self.cache_write,
            cache_write_1h=self.cache_write_1h,
            audio_input=self.audio_input,
            audio_output=self.audio_output,
            units=tuple(sorted(self.units.items())),
            tiers=tuple(PriceTier(tier.over_tokens, tier.price()) for tier in self.tiers),
            later=tuple(DatedPrice(dated.since, dated.price()) for dated in self.later if dated.since is not None),
        )


_decode = msgspec.json.Decoder(Rates).decode


class PriceBook:
    """The table.

    Args:
        day: When it was made, `2026-11-22`; empty for a book without prices.
        rows: Vendor → model (in small letters) → zone → `Rates` as JSON; the zone `` is the plain row.
    """

    def __init__(self, day: str = "", rows: Mapping[str, Mapping[str, Mapping[str, msgspec.Raw]]] | None = None) -> None:
        self.day = day
        self._rows = rows or {}

    def find(self, backend: Backend, model: str, sku: str) -> Price | None:
        """Return what a deployment costs; None where the table does not say.

        Args:
            backend: Where it is: its vendor, its data zone and its region decide.
            model: What its maker calls it.
            sku: How it was bought.
        """
        if sku in (PROVISIONED, "self-hosted"):
            return None
        vendor = vendor_of(backend)
        zones = self._rows.get(vendor, {}).get(model.lower())
        if not zones:
            return None
        raw = next((zones[zone] for zone in _zones_of(vendor, backend, sku) if zone in zones), None)
        if raw is None:
            return None
        rates = _decode(raw)
        if sku == "batch":  # of a price to come nobody says what it is for batches
            return None if rates.batch is None or rates.later else rates.batch.price()
        return rates.price()


NO_PRICES = PriceBook()


def vendor_of(backend: Backend) -> str:
    """Return whose prices hold at a backend; empty where nobody can know."""
    if backend.protocol is Protocol.OPENAI:
        if not backend.vendor:
            return "openai" if backend.endpoint == _OPENAI else ""
        return _RENAMED.get(backend.vendor, backend.vendor)
    return _BY_PROTOCOL.get(backend.protocol, "")


def _zones_of(vendor: str, backend: Backend, sku: str) -> tuple[str, ...]:
    """Return the zones whose rows hold, the first that there is."""
    if vendor == "bedrock":
        return backend.region or backend.auth.region, ""
    if vendor != "azure":
        return ("",)
    if sku in ("global-standard", "batch"):
        return "global", ""
    zone = backend.data_zone or next((name for name, regions in _ZONES.items() if backend.region.lower() in regions), "")
    if sku == "data-zone":
        return (zone,) if zone else ()
    return zone, ""
