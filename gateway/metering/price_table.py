"""The price table that comes with the gateway: `data/prices.json.gz`, built by `make prices` and never written at runtime.

    {"day": "2026-11-22", "sources": [{"package", "version", "licence", "file", "sha256"}], "prices": {vendor: {model: {zone: row}}}}

Rows stay bytes until somebody asks for one: reading the file takes milliseconds.
"""

import functools
import gzip
from pathlib import Path

import msgspec

from gateway.domain.price_book import PriceBook

TABLE = Path(__file__).parent / "data" / "prices.json.gz"


class Source(msgspec.Struct, frozen=True):
    """A public list that numbers were taken from."""

    package: str
    version: str
    licence: str
    file: str
    sha256: str


class Table(msgspec.Struct, frozen=True):
    """The file."""

    day: str
    sources: tuple[Source, ...]
    prices: dict[str, dict[str, dict[str, msgspec.Raw]]]


_decode = msgspec.json.Decoder(Table).decode


def read_table() -> Table:
    """Read the file."""
    return _decode(gzip.decompress(TABLE.read_bytes()))


@functools.cache
def bundled_prices() -> PriceBook:
    """Return the bundled prices; read once."""
    table = read_table()
    return PriceBook(table.day, table.prices)
