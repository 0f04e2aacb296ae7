"""Prices that administrators set: kept whole, shown as they hold, refused by name where they cannot be."""

from typing import Any

import pytest

from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Capacity
from gateway.errors import RequestError
from gateway.routing.control import Control
from gateway.routing.overrides import apply
from tests.builders import make_deployment, make_model, make_price
from tests.fakes.tables import FakeTables

PTU = make_deployment(
    id="ptu", sku="provisioned", capacity=Capacity(ptu=10, tpm=60_000), price=make_price(), price_origin="table 2026-11-22"
)
CATALOG = Catalog((make_model(PTU),), ())


@pytest.fixture
def control() -> Control:
    return Control(FakeTables(), CATALOG)


async def shown(control: Control) -> dict[str, Any]:
    return dict((await control.deployment("ptu")).value)


@pytest.mark.parametrize(
    "price",
    [
        {
            "input": 1.0,
            "output": 2.0,
            "cached_input": 0.1,
            "cache_write": 1.25,
            "cache_write_1h": 2.0,
            "audio_input": 30.0,
            "audio_output": 60.0,
        },
        {"unit": 7.0, "input": 0.0, "output": 0.0, "units": {"images": 40000.0, "pages": 1500.0}},
        {"input": 1.0, "output": 2.0, "tiers": [{"over_tokens": 200000, "input": 2.0, "output": 4.0}]},
        {"input": 0.0, "output": 0.0, "ptu_hour": 1.5},
    ],
)
async def test_what_is_set_is_kept_and_shown_whole_until_it_is_taken_back(control: Control, price: dict[str, Any]) -> None:
    assert (await shown(control))["price_origin"] == "table 2026-11-22"
    await control.change_deployment("ptu", {"price": price})
    after = await shown(control)
    assert (after["price"], after["price_origin"], after["overridden"]) == (price, "override", ["price"])
    await control.change_deployment("ptu", {"price": None})
    assert (await shown(control))["price_origin"] == "table 2026-11-22"


async def test_an_hours_price_is_spread_by_the_deployments_own_capacity(control: Control) -> None:
    await control.change_deployment("ptu", {"price": {"ptu_hour": 3.6}})
    # 36 dollars an hour ÷ 3.6 million tokens
    assert (await shown(control))["price"] == {"input": 10.0, "output": 10.0, "ptu_hour": 3.6, "amortised": True}


async def test_every_worker_reads_what_was_set_as_it_was_set(control: Control) -> None:
    price = {"input": 1, "output": 2, "units": {"images": 3}, "tiers": [{"over_tokens": 5, "input": 2, "output": 4}]}
    await control.change_deployment("ptu", {"price": price})
    found = apply(CATALOG, await control.read()).deployments["ptu"].price
    assert found is not None
    assert (found.of_unit("images"), found.for_prompt(6).output, found.for_prompt(5).output) == (3_000_000, 4_000_000, 2_000_000)


@pytest.mark.parametrize(
    ("price", "param"),
    [
        ({"input": 1}, "price"),
        ({"input": 1, "output": -1}, "price.output"),
        ({"units": {"elephants": 1}}, "price.units.elephants"),
        ({"input": 1, "output": 1, "from": "2027-01-01"}, "price.from"),
    ],
)
async def test_a_price_that_cannot_be_is_refused_by_name(control: Control, price: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await control.change_deployment("ptu", {"price": price})
    assert caught.value.param == param
