"""Prices in the catalogue: what they may say, where they are from, and every fault at its path."""

import datetime
from typing import Any

import msgspec
import pytest

from gateway.domain.catalog import Catalog
from gateway.domain.catalog_file import CatalogError, build_catalog
from gateway.domain.deployment import DatedPrice, Price, PriceTier
from gateway.domain.price_book import PriceBook
from tests.unit.domain.catalog_documents import ENVIRONMENT, GOOD, build, fault

NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
BOOK = PriceBook("2026-11-22", {"azure": {"gpt-4.1": {"": msgspec.Raw(b'{"input":2000000,"output":8000000}')}}})
DAY = datetime.date(2027, 1, 1)


def priced(price: Any, **more: Any) -> Price | None:
    return build(lambda document: document["deployments"][0].update(price=price, **more)).deployments["d1"].price


def faulty(price: Any, **more: Any) -> CatalogError:
    return fault(lambda document: document["deployments"][0].update(price=price, **more))


def test_all_that_a_price_can_say() -> None:
    price = {
        "input": 1, "output": 2, "cached_input": 0.1, "cache_write": 1.25, "cache_write_1h": 2, "audio_input": 30, "audio_output": 60,
        "unit": 7, "units": {"images": 40000, "characters": 15},
        "tiers": [{"over_tokens": 200000, "input": 2, "output": 4, "cached_input": 0.2}],
    }  # fmt: skip
    found = priced(price)
    base = Price(
        1_000_000, 2_000_000, 100_000, 7_000_000, 1_250_000, 2_000_000, 30_000_000, 60_000_000,
        (("characters", 15_000_000), ("images", 40_000_000_000)),
    )  # fmt: skip
    above = msgspec.structs.replace(base, input=2_000_000, output=4_000_000, cached_input=200_000)
    assert found == msgspec.structs.replace(base, tiers=(PriceTier(200_000, above),))


def test_a_list_of_prices_holds_from_day_to_day() -> None:
    found = priced([{"input": 3, "output": 15}, {"from": DAY, "input": 2, "output": 10}, {"from": "2027-02-01", "unit": 1}])
    assert found == Price(
        3_000_000, 15_000_000,
        later=(DatedPrice(DAY, Price(2_000_000, 10_000_000)), DatedPrice(datetime.date(2027, 2, 1), Price(0, 0, unit=1_000_000))),
    )  # fmt: skip


def test_an_hours_price_is_spread_over_the_tokens_that_fit_into_the_hour() -> None:
    found = priced({"ptu_hour": 2}, sku="provisioned", capacity={"ptu": 15, "tpm": 37_500})
    assert found == Price(13_333_334, 13_333_334, ptu_hour=2_000_000, amortised=True)  # 30 dollars ÷ 2.25 million tokens, rounded up


@pytest.mark.parametrize(("tokens", "each"), [({"input": 0, "output": 0}, 0), ({"input": 2, "output": 2}, 2_000_000)])
def test_an_hours_price_beside_token_prices_leaves_them(tokens: dict[str, float], each: int) -> None:
    found = priced({"ptu_hour": 2, **tokens}, sku="provisioned", capacity={"ptu": 15})
    assert found == Price(each, each, ptu_hour=2_000_000)


FAULTS: list[tuple[Any, dict[str, Any], str]] = [
    ({}, {}, ""),
    ({"input": 1}, {}, ""),
    ({"output": 1}, {}, ""),
    ({"cached_input": 1, "unit": 1}, {}, ""),
    ({"unit": 1, "tiers": [{"over_tokens": 1, "input": 1, "output": 1}]}, {}, ""),
    ({"input": 1, "output": 1, "audio_input": -1}, {}, ".audio_input"),
    ({"input": 1, "output": 1_000_001}, {}, ".output"),
    ({"units": {"elephants": 1}}, {}, ".units.elephants"),
    ({"units": {"images": -1}}, {}, ".units.images"),
    ({"input": 1, "output": 1, "from": DAY}, {}, ".from"),
    ({"input": 1, "output": 1, "tiers": [{"over_tokens": 0, "input": 1, "output": 1}]}, {}, ".tiers[0].over_tokens"),
    ({"input": 1, "output": 1, "tiers": [{"over_tokens": 5, "input": 1, "output": 1}] * 2}, {}, ".tiers[1].over_tokens"),
    ({"input": 1, "output": 1, "tiers": [{"over_tokens": 5, "input": -1, "output": 1}]}, {}, ".tiers[0].input"),
    ([], {}, ""),
    ([{"from": DAY, "input": 1, "output": 1}], {}, "[0].from"),
    ([{"input": 1, "output": 1}, {"input": 2, "output": 2}], {}, "[1].from"),
    ([{"input": 1, "output": 1}, *[{"from": DAY, "input": 2, "output": 2}] * 2], {}, "[2].from"),
    ([{"input": 1, "output": 1}, {"from": DAY, "input": 2}], {}, "[1]"),
    ({"ptu_hour": 1}, {"sku": "provisioned"}, ".ptu_hour"),
    ({"ptu_hour": 1}, {"sku": "provisioned", "capacity": {"ptu": 1}}, ".ptu_hour"),
    ({"ptu_hour": 1}, {"capacity": {"ptu": 1, "tpm": 1}}, ""),
    ([{"input": 1, "output": 1}, {"from": DAY, "ptu_hour": 1}], {"capacity": {"ptu": 1, "tpm": 1}}, ""),
]


@pytest.mark.parametrize(("price", "more", "path"), FAULTS)
def test_a_price_that_cannot_be_is_refused_where_it_stands(price: Any, more: dict[str, Any], path: str) -> None:
    assert faulty(price, **more).path == f"$.deployments[0].price{path}"


def with_book(**deployment: Any) -> Catalog:
    document = {**GOOD, "deployments": [{"id": "d1", "backend": "aoai", **deployment}, GOOD["deployments"][1]]}
    return build_catalog(document, ENVIRONMENT, BOOK)


@pytest.mark.parametrize(
    ("deployment", "price", "origin"),
    [
        ({"name": "gpt-4.1"}, Price(2_000_000, 8_000_000), "table 2026-11-22"),
        ({"name": "our-model", "priced_as": "gpt-4.1"}, Price(2_000_000, 8_000_000), "table 2026-11-22"),
        ({"name": "gpt-4.1", "price": {"input": 1, "output": 1}}, Price(1_000_000, 1_000_000), "catalogue"),
        ({"name": "gpt-4.1", "price": {"input": 0, "output": 0}}, Price(0, 0), "catalogue"),
        ({"name": "our-model"}, None, ""),
        ({"name": "gpt-4.1", "sku": "provisioned"}, None, ""),
    ],
)
def test_a_deployment_has_its_own_price_or_the_books_or_none(deployment: dict[str, Any], price: Price | None, origin: str) -> None:
    found = with_book(**deployment).deployments["d1"]
    assert (found.price, found.price_origin) == (price, origin)


def test_those_without_a_price_are_named() -> None:
    assert with_book(name="gpt-4.1").unpriced == ("crm", "d2")
    assert with_book().unpriced == ("crm", "d1", "d2")


def test_a_look_up_beside_a_price_says_two_things() -> None:
    assert faulty({"input": 1, "output": 1}, priced_as="gpt-4.1").path == "$.deployments[0].priced_as"


def test_a_cap_in_money_may_rest_on_the_books_price() -> None:
    cap = {"period": "month", "usd": 5}
    assert with_book(name="gpt-4.1", cap=cap).deployments["d1"].cap is not None
    assert fault(lambda document: document["deployments"][0].update(cap=cap)).path == "$.deployments[0].cap.usd"


def negotiated(*entries: dict[str, Any], price: Any = None) -> Catalog:
    def change(document: dict[str, Any]) -> None:
        document["deployments"][0]["price"] = price or {"input": 2, "output": 4}
        document["tenant_prices"] = [{"tenant": "contoso", "deployment": "d*"} | entry for entry in entries]

    return build(change)


def paid(catalog: Catalog, utc: datetime.datetime = NOON, tenant: str = "contoso", deployment: str = "d1") -> int | None:
    price = catalog.price(catalog.deployments[deployment], tenant, utc)
    return None if price is None else price.input


def test_a_discount_is_taken_off_the_deployments_own_price() -> None:
    catalog = negotiated({"discount": 0.15})
    assert catalog.price(catalog.deployments["d1"], "contoso", NOON) == Price(1_700_000, 3_400_000)
    assert (paid(catalog, tenant="fabrikam"), paid(catalog, deployment="d2")) == (2_000_000, None)


def test_a_discounted_price_changes_when_the_price_does() -> None:
    catalog = negotiated({"discount": 0.5}, price=[{"input": 2, "output": 4}, {"from": DAY, "input": 6, "output": 4}])
    assert [paid(catalog, utc) for utc in (NOON, datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC))] == [1_000_000, 3_000_000]


def test_a_negotiated_price_holds_between_its_days_and_the_first_that_holds_counts() -> None:
    catalog = negotiated(
        {"price": {"input": 1, "output": 1}, "from": datetime.date(2026, 11, 1), "below": datetime.date(2026, 11, 23)},
        {"discount": 0.25, "from": datetime.date(2026, 11, 1)},
    )
    moments = [datetime.datetime(2026, 10, 31, 23, 59, tzinfo=datetime.UTC), NOON, datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)]
    assert [paid(catalog, utc) for utc in moments] == [2_000_000, 1_000_000, 1_500_000]


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({}, ""),
        ({"price": {"input": 1, "output": 1}, "discount": 0.1}, ""),
        ({"discount": 0}, ".discount"),
        ({"discount": 1}, ".discount"),
        ({"discount": 15}, ".discount"),
        ({"discount": 0.1, "from": DAY, "below": DAY}, ".below"),
        ({"price": {"ptu_hour": 1}}, ".price.ptu_hour"),
        ({"price": {"input": 1}}, ".price"),
    ],
)
def test_a_negotiated_price_that_cannot_be_is_refused_where_it_stands(entry: dict[str, Any], path: str) -> None:
    with pytest.raises(CatalogError) as caught:
        negotiated(entry)
    assert caught.value.path == f"$.tenant_prices[0]{path}"
