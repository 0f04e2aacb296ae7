"""What administrators see and change of models and deployments."""

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.cached import Cached
from gateway.domain.catalog import Catalog
from gateway.domain.deployment import PoolMember
from gateway.domain.tables import Entity
from gateway.errors import Conflict, GatewayError, NotFound, RequestError
from gateway.routing.control import OVERRIDES, Control
from gateway.routing.overrides import LiveCatalog
from tests.builders import make_backend, make_deployment, make_model, make_price
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

EAST = make_deployment(id="east", backend=make_backend(region="eastus", data_zone="us"), price=make_price())
WEST = make_deployment(id="west", sku="provisioned")
LLAMA = "meta-llama/Llama-3.3"


class Desk:
    def __init__(self) -> None:
        pool = (PoolMember(EAST, 1, 100), PoolMember(WEST, 2, 0))
        models = (make_model(id="gpt-4o", aliases=("chat",), pool=pool), make_model(WEST, id=LLAMA), make_model(EAST, id="ai", hidden=True))
        self.tables = FakeTables()
        self.catalog = Catalog(models, ())
        self.told = 0
        self.control = Control(self.tables, self.catalog, lambda: {"east": {"breaker": "closed"}}, self.tell)

    def tell(self) -> None:
        self.told += 1


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_model_is_shown_as_it_stands(desk: Desk) -> None:
    assert (await desk.control.model("chat")).value == {
        "id": "gpt-4o", "aliases": ("chat",), "strategy": "priority", "hidden": False, "lifecycle": {"state": "active"},
        "pool": [
            {
                "deployment": "east", "priority": 1, "weight": 100, "sku": "standard", "data_zone": "us", "draining": False,
                "health": {"breaker": "closed"},
            },
            {"deployment": "west", "priority": 2, "weight": 0, "sku": "provisioned", "data_zone": "", "draining": False, "health": None},
        ],
        "overridden": [],
    }  # fmt: skip


async def test_a_deployment_is_shown_with_its_places_and_without_its_address(desk: Desk) -> None:
    shown = (await desk.control.deployment("east")).value
    assert shown == {
        "id": "east", "backend": "aoai-eastus", "protocol": "azure-openai", "name": "gpt4o", "sku": "standard", "region": "eastus",
        "data_zone": "us", "quota_group": "", "price": {"input": 2.5, "cached_input": 1.25, "output": 10.0}, "price_origin": "none",
        "draining": False,
        "pools": [{"model": "gpt-4o", "priority": 1, "weight": 100}, {"model": "ai", "priority": 0, "weight": 1}],
        "health": {"breaker": "closed"}, "overridden": [],
    }  # fmt: skip
    everything = repr([shown, await desk.control.list_models({}), await desk.control.list_deployments({})])
    assert "https://" not in everything
    assert "upstream-secret" not in everything


async def test_a_change_is_shown_kept_and_taken_back(desk: Desk) -> None:
    asked = {"weights": {"west": 5}, "lifecycle": {"state": "deprecated", "successor": LLAMA}}
    changed = (await desk.control.change_model("gpt-4o", asked)).value
    assert [member["weight"] for member in changed["pool"]] == [100, 5]
    assert (changed["lifecycle"], changed["overridden"]) == ({"state": "deprecated", "successor": LLAMA}, ["weights", "lifecycle"])
    assert (await desk.control.model("gpt-4o")).value == changed
    assert (await desk.control.change_model("chat", {})).value == changed
    more = (await desk.control.change_model("gpt-4o", {"weights": {"east": 0}})).value
    assert [member["weight"] for member in more["pool"]] == [0, 5]
    less = (await desk.control.change_model("gpt-4o", {"weights": {"east": None}, "lifecycle": None})).value
    assert ([member["weight"] for member in less["pool"]], less["overridden"]) == ([100, 5], ["weights"])
    none = (await desk.control.change_model("gpt-4o", {"weights": None})).value
    assert ([member["weight"] for member in none["pool"]], none["overridden"]) == ([100, 0], [])


async def test_a_deployment_is_drained_and_priced_and_taken_back(desk: Desk) -> None:
    changed = (await desk.control.change_deployment("east", {"draining": True, "price": {"input": 1, "output": 2}})).value
    assert (changed["draining"], changed["price"], changed["overridden"]) == (True, {"input": 1.0, "output": 2.0}, ["draining", "price"])
    assert (await desk.control.model("gpt-4o")).value["pool"][0]["draining"] is True
    assert (await desk.control.change_deployment("east", {"price": None})).value["overridden"] == ["draining"]
    assert (await desk.control.change_deployment("east", {"draining": None})).value["overridden"] == []


async def test_an_id_with_a_slash_fits_a_row(desk: Desk) -> None:
    changed = (await desk.control.change_model(LLAMA, {"lifecycle": {"state": "retired"}})).value
    assert changed["lifecycle"] == {"state": "retired"}
    assert (await desk.control.read()).models.keys() == {LLAMA}


BAD_MODEL: list[tuple[dict[str, Any], str]] = [
    ({"weights": {"nobody": 1}}, "weights.nobody"),
    ({"weights": {"west": -1}}, "weights.west"),
    ({"weights": {"west": 10**7}}, "weights.west"),
    ({"weights": {"east": 0}}, "weights"),
    ({"weights": {"east": 1, "west": 1.5}}, "weights.west"),
    ({"weights": {"west": True}}, "weights.west"),
    ({"lifecycle": {"state": "dead"}}, "lifecycle.state"),
    ({"lifecycle": {"state": "active", "sunset": "2027-01-01"}}, "lifecycle.sunset"),
    ({"lifecycle": {"state": "retired", "successor": "nobody"}}, "lifecycle.successor"),
    ({"lifecycle": {"state": "retired", "successor": "chat"}}, "lifecycle.successor"),
]


@pytest.mark.parametrize(("document", "param"), BAD_MODEL)
async def test_a_bad_change_of_a_model_names_its_field_and_changes_nothing(desk: Desk, document: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await desk.control.change_model("gpt-4o", document)
    assert (caught.value.param, caught.value.status) == (param, 400)
    assert desk.tables.rows(OVERRIDES) == []


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"draining": "yes"}, "draining"),
        ({"price": {"input": 1}}, "price"),
        ({"price": {"input": -1, "output": 1}}, "price.input"),
        ({"price": {"input": 1, "output": 1, "colour": 1}}, "price.colour"),
        ({"weight": 1}, "weight"),
    ],
)
async def test_a_bad_change_of_a_deployment_names_its_field(desk: Desk, document: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await desk.control.change_deployment("east", document)
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message
    assert desk.tables.rows(OVERRIDES) == []


async def test_what_is_not_there_is_not_found(desk: Desk) -> None:
    for asking in (desk.control.model("x"), desk.control.change_model("x", {})):
        with pytest.raises(NotFound) as caught:
            await asking
        assert caught.value.code == "model_not_found"
    for asking in (desk.control.deployment("x"), desk.control.change_deployment("x", {})):
        with pytest.raises(NotFound) as caught:
            await asking
        assert caught.value.code == "deployment_not_found"


class InterruptedTables(FakeTables):
    """Lets others in after every read."""

    async def get(self, table: str, partition: str, row: str) -> Entity | None:
        found = await super().get(table, partition, row)
        await asyncio.sleep(0)
        return found


async def test_of_two_changes_at_once_one_is_told_to_look_again(desk: Desk) -> None:
    control = Control(InterruptedTables(), desk.catalog)
    for weights in ((1, 2), (3, 4)):  # the first time there is no row, the second time there is one
        changes = [control.change_model("gpt-4o", {"weights": {"west": weight}}) for weight in weights]
        results = await asyncio.gather(*changes, return_exceptions=True)
        assert [type(result) for result in results if isinstance(result, GatewayError)] == [Conflict]


async def test_lists_page_in_the_order_of_the_file(desk: Desk) -> None:
    first = await desk.control.list_models({"limit": "2"})
    assert ([item["id"] for item in first["data"]], first["has_more"], first["after"]) == (["gpt-4o", LLAMA], True, LLAMA)
    second = await desk.control.list_models({"limit": "2", "after": LLAMA})
    assert ([item["id"] for item in second["data"]], second["has_more"], second["after"]) == (["ai"], False, None)
    assert [item["id"] for item in (await desk.control.list_deployments({}))["data"]] == ["east", "west"]
    for query in ({"limit": "0"}, {"limit": "x"}, {"after": "nobody"}):
        with pytest.raises(RequestError) as caught:
            await desk.control.list_models(query)
        assert caught.value.param == next(iter(query))
    assert msgspec.json.encode(first)


async def test_every_worker_follows_within_five_seconds_and_the_one_that_wrote_at_once(desk: Desk) -> None:
    clock = FakeClock()
    workers = [Cached(desk.control.read, clock) for _ in range(2)]
    writer = Control(desk.tables, desk.catalog, changed=lambda: workers[0].forget(OVERRIDES))
    lives = [LiveCatalog(desk.catalog, lambda worker=worker: worker.get(OVERRIDES)) for worker in workers]  # type: ignore[misc]

    async def weights() -> list[int]:
        return [(await live.get()).models[0].pool[1].weight for live in lives]

    assert await weights() == [0, 0]
    await writer.change_model("gpt-4o", {"weights": {"west": 5}})
    assert await weights() == [5, 0]
    clock.advance(5)
    assert await weights() == [5, 5]
    calls = desk.tables.calls
    assert await weights() == [5, 5]
    assert desk.tables.calls == calls
