"""Which row of the price table holds for a deployment."""

import datetime
import json
from typing import Any

import msgspec
import pytest

from gateway.domain.deployment import Backend, DatedPrice, Price, PriceTier, Protocol
from gateway.domain.price_book import NO_PRICES, PriceBook, vendor_of
from tests.builders import make_backend


def row(number: int, **more: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps({"input": number, "output": number} | more).encode())


BOOK = PriceBook(
    "2026-11-22",
    {
        "azure": {
            "m": {
                "": row(1, batch={"input": 10, "output": 10}), "global": row(2, batch={"input": 20, "output": 20}),
                "eu": row(3), "us": row(4),
            },
            "plain": {"": row(5)},
        },
        "bedrock": {"m": {"": row(6), "eu-west-1": row(7)}},
        "gemini": {"m": {"": row(8, later=[{"since": "2027-01-01", "input": 9, "output": 9}], batch={"input": 4, "output": 4})}},
        "openai": {"m": {"": row(11)}},
        "groq": {"m": {"": row(12)}},
    },
)  # fmt: skip


def azure(**over: Any) -> Backend:
    return make_backend(**over)


def other(protocol: Protocol, **over: Any) -> Backend:
    return make_backend(protocol=protocol, **over)


@pytest.mark.parametrize(
    ("backend", "model", "sku", "found"),
    [
        (azure(), "m", "standard", 1),
        (azure(region="westeurope"), "m", "standard", 3),
        (azure(region="EastUS2"), "M", "standard", 4),
        (azure(region="eastus2", data_zone="eu"), "m", "standard", 3),  # the operator's word
        (azure(region="brazilsouth"), "m", "standard", 1),
        (azure(region="westeurope"), "plain", "standard", 5),
        (azure(region="westeurope"), "m", "global-standard", 2),
        (azure(region="westeurope"), "plain", "global-standard", 5),
        (azure(data_zone="us"), "m", "data-zone", 4),
        (azure(data_zone="us"), "plain", "data-zone", None),
        (azure(), "m", "data-zone", None),
        (azure(region="westeurope"), "m", "batch", 20),
        (azure(), "plain", "batch", None),
        (azure(), "m", "provisioned", None),
        (azure(), "m", "self-hosted", None),
        (azure(), "n", "standard", None),
        (other(Protocol.BEDROCK, region="eu-west-1"), "m", "standard", 7),
        (other(Protocol.BEDROCK, region="eu-west-2"), "m", "standard", 6),
        (other(Protocol.GEMINI, region="westeurope"), "m", "standard", 8),
        (other(Protocol.GEMINI), "m", "batch", None),  # its price is to change, and nobody says what to for batches
        (other(Protocol.COHERE), "m", "standard", None),
    ],
)
def test_the_row_of_its_vendor_zone_and_sku_holds(backend: Backend, model: str, sku: str, found: int | None) -> None:
    price = BOOK.find(backend, model, sku)
    assert (price.input if price else None) == found


def test_an_empty_book_knows_nothing() -> None:
    assert NO_PRICES.find(azure(), "m", "standard") is None


def test_all_that_a_row_says_is_in_the_price() -> None:
    more = {"cached_input": 1, "cache_write": 2, "cache_write_1h": 3, "audio_input": 4, "audio_output": 5, "units": {"images": 6, "a": 7}}
    tier = {"over_tokens": 8, "input": 9, "output": 10, "cached_input": 11}
    book = PriceBook("d", {"azure": {"m": {"": row(0, **more, tiers=[tier], later=[{"since": "2027-01-01", "input": 12, "output": 13}])}}})
    assert book.find(azure(), "m", "standard") == Price(
        0, 0, 1, None, 2, 3, 4, 5, (("a", 7), ("images", 6)), (PriceTier(8, Price(9, 10, 11)),),
        (DatedPrice(datetime.date(2027, 1, 1), Price(12, 13)),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("over", "vendor"),
    [
        ({"vendor": "groq"}, "groq"),
        ({"vendor": "azure-foundry"}, "azure"),
        ({"endpoint": "https://api.openai.com/v1"}, "openai"),
        ({"endpoint": "https://llm.example.com/v1"}, ""),
    ],
)
def test_a_host_of_openais_protocol_is_known_by_its_vendor(over: dict[str, Any], vendor: str) -> None:
    assert vendor_of(other(Protocol.OPENAI, **over)) == vendor


@pytest.mark.parametrize("protocol", [Protocol.AZURE_ML, Protocol.AZURE_AI, Protocol.REST])
def test_services_and_models_of_ones_own_are_in_no_list(protocol: Protocol) -> None:
    assert vendor_of(other(protocol)) == ""
