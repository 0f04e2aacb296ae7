from typing import Any

import pytest

from gateway.access import keys
from gateway.access.administration import Administration
from gateway.access.directory import Directory
from gateway.domain.catalog import Catalog
from gateway.domain.limits import Limits
from gateway.domain.tables import pack_continuation
from gateway.errors import Conflict, GatewayError, NotFound, RequestError
from tests.builders import make_backend, make_deployment, make_model, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

PEPPER = b"pepper-pepper-pepper"


class Office:
    def __init__(self) -> None:
        self.tables = FakeTables()
        european = make_deployment(backend=make_backend(data_zone="eu"))
        american = make_deployment(id="gpt-4o-us", backend=make_backend(id="us", data_zone="us"))
        homeless = make_deployment(id="gpt-4o-any", backend=make_backend(id="any"))
        catalog = Catalog((make_model(european, american, homeless),), (make_product(id="filed"),))
        self.directory = Directory(self.tables, catalog, PEPPER, FakeClock())
        self.administration = Administration(self.directory)


@pytest.fixture
def office() -> Office:
    return Office()


async def test_a_subscription_comes_with_two_working_keys_that_are_shown_once(office: Office) -> None:
    created = await office.administration.create_subscription({"product": "unlimited", "name": "app", "limits": {"requests_per_minute": 5}})
    assert (created["tenant"], created["product"], created["state"]) == ("default", "unlimited", "active")
    assert set(created["keys"]) == {"primary", "secondary"}
    for text in created["keys"].values():
        key = keys.parse(text)
        assert key is not None
        record = await office.directory.key_record(key.id)
        assert record is not None
        assert record.active
        assert keys.matches(PEPPER, key, record.hash)
        assert (record.principal.subscription, record.principal.key_id) == (created["id"], key.id)
        assert record.principal.limits == Limits(requests_per_minute=5)
    listing = await office.administration.list_subscriptions({})
    assert [item["id"] for item in listing["data"]] == [created["id"]]
    assert "keys" not in listing["data"][0]


async def test_a_key_knows_its_tenants_data_zone_in_one_read(office: Office) -> None:
    await office.administration.create_tenant({"id": "eu-only", "data_zone": "eu"})
    for tenant, zone in (("eu-only", "eu"), ("default", "")):
        created = await office.administration.create_subscription({"product": "unlimited", "tenant": tenant})
        for text in created["keys"].values():
            key = keys.parse(text)
            assert key is not None
            before = office.tables.calls
            record = await office.directory.key_record(key.id)
            assert record is not None
            assert (record.principal.data_zone, office.tables.calls - before) == (zone, 1)


async def test_a_key_from_before_there_were_zones_has_none(office: Office) -> None:
    created = await office.administration.create_subscription({"product": "unlimited"})
    key = keys.parse(created["keys"]["primary"])
    assert key is not None
    row = await office.tables.get("keys", key.id, "key")
    assert row is not None
    old = {name: value for name, value in row.values.items() if name != "data_zone"}
    await office.tables.upsert("keys", key.id, "key", old)
    record = await office.directory.key_record(key.id)
    assert record is not None
    assert record.principal.data_zone == ""


async def test_no_row_holds_a_secret(office: Office) -> None:
    created = await office.administration.create_subscription({"product": "unlimited"})
    secrets = [text.split("_", 2)[2] for text in created["keys"].values()]
    everything = repr(office.tables.data)
    assert len(secrets) == 2
    assert not any(secret in everything for secret in secrets)


@pytest.mark.parametrize(
    ("document", "param", "code"),
    [
        ({"product": "unlimited", "tenant": "nobody"}, "tenant", "tenant_not_found"),
        ({"product": "nothing"}, "product", "product_not_found"),
    ],
)
async def test_a_subscription_to_what_does_not_exist_names_what_is_missing(
    office: Office, document: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(NotFound) as caught:
        await office.administration.create_subscription(document)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert office.tables.data == {}


async def test_tenants_and_products_are_created_once(office: Office) -> None:
    tenant = await office.administration.create_tenant({"id": "contoso", "data_zone": "eu"})
    assert tenant == {"id": "contoso", "name": "contoso", "data_zone": "eu"}
    product = await office.administration.create_product({"id": "gold", "models": ["gpt-*"], "limits": {"tokens_per_minute": 100}})
    assert (product["id"], tuple(product["models"])) == ("gold", ("gpt-*",))
    assert await office.directory.product("gold") == make_product(id="gold", models=("gpt-*",), limits=Limits(tokens_per_minute=100))
    subscription = await office.administration.create_subscription({"product": "gold", "tenant": "contoso"})
    assert subscription["tenant"] == "contoso"
    for create, document in (
        (office.administration.create_tenant, {"id": "contoso"}),
        (office.administration.create_tenant, {"id": "default"}),
        (office.administration.create_product, {"id": "gold", "models": ["*"]}),
        (office.administration.create_product, {"id": "unlimited", "models": ["*"]}),
        (office.administration.create_product, {"id": "filed", "models": ["*"]}),
    ):
        with pytest.raises(Conflict) as caught:
            await create(document)
        assert caught.value.param == "id"


@pytest.mark.parametrize("zone", ["mars", "EU", "x" * 300])
async def test_a_tenant_whose_data_zone_nobody_serves_is_refused(office: Office, zone: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.create_tenant({"id": "contoso", "data_zone": zone})
    assert (caught.value.param, caught.value.code) == ("data_zone", "invalid_value")
    assert "choose one of eu, us" in caught.value.message
    assert office.tables.data == {}


async def test_without_data_zones_in_the_catalogue_no_tenant_can_have_one(office: Office) -> None:
    administration = Administration(Directory(office.tables, Catalog((make_model(),), ()), PEPPER, FakeClock()))
    assert (await administration.create_tenant({"id": "free"}))["data_zone"] == ""
    with pytest.raises(RequestError, match="no backend has a data zone"):
        await administration.create_tenant({"id": "pinned", "data_zone": "eu"})


BAD_SUBSCRIPTIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "product"),
    ({"product": "unlimited", "colour": "red"}, "colour"),
    ({"product": 5}, "product"),
    ({"product": "a/b"}, "product"),
    ({"product": "unlimited", "tenant": ""}, "tenant"),
    ({"product": "unlimited", "name": "x" * 257}, "name"),
    ({"product": "unlimited", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
    ({"product": "unlimited", "limits": {"tokens_per_minute": -1}}, "limits.tokens_per_minute"),
    ({"product": "unlimited", "limits": {"tokens_per_minute": 10**13}}, "limits.tokens_per_minute"),
    ({"product": "unlimited", "limits": {"tokens_per_minute": "5"}}, "limits.tokens_per_minute"),
    ({"product": "unlimited", "limits": {"tokens_per_minute": True}}, "limits.tokens_per_minute"),
    ({"product": "unlimited", "limits": {"tokens_per_second": 5}}, "limits.tokens_per_second"),
    ({"product": "unlimited", "limits": []}, "limits"),
]


@pytest.mark.parametrize(("document", "param"), BAD_SUBSCRIPTIONS)
async def test_a_bad_subscription_names_its_field(office: Office, document: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.create_subscription(document)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert param in caught.value.message
    assert office.tables.data == {}


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"models": ["*"]}, "id"),
        ({"id": "p"}, "models"),
        ({"id": "p", "models": []}, "models"),
        ({"id": "p", "models": "*"}, "models"),
        ({"id": "p", "models": ["x" * 40_000]}, "models"),
        ({"id": "-p", "models": ["*"]}, "id"),
        ({"id": "p" * 65, "models": ["*"]}, "id"),
        ({"id": "pé", "models": ["*"]}, "id"),
        ({"id": "p\n", "models": ["*"]}, "id"),
    ],
)
async def test_a_bad_product_names_its_field(office: Office, document: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.create_product(document)
    assert caught.value.param == param


async def pages(office: Office, query: dict[str, str]) -> list[list[str]]:
    found, after = [], None
    while True:
        page = await office.administration.list_subscriptions(query | ({"after": after} if after else {}))
        assert page["has_more"] == (page["after"] is not None)
        found.append([item["name"] for item in page["data"]])
        after = page["after"]
        if after is None:
            return found


async def test_lists_page_in_order(office: Office) -> None:
    await office.administration.create_tenant({"id": "other"})
    for index in range(5):
        await office.administration.create_subscription({"product": "unlimited", "name": f"s{index}"})
    await office.administration.create_subscription({"product": "unlimited", "name": "theirs", "tenant": "other"})
    found = await pages(office, {"limit": "2", "tenant": "default"})
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(name for page in found for name in page) == [f"s{index}" for index in range(5)]
    assert await pages(office, {"tenant": "other"}) == [["theirs"]]
    assert sum(map(len, await pages(office, {"limit": "1"}))) == 6


LISTED = {"tenants": ["default", "a", "b"], "products": ["unlimited", "filed", "a", "b"]}


async def listed(office: Office, what: str, limit: int) -> list[list[str]]:
    """Page through a list by its own `after`."""
    listing = {"tenants": office.administration.list_tenants, "products": office.administration.list_products}[what]
    found, after = [], ""
    while True:
        page = await listing({"limit": str(limit), "after": after})
        found.append([item["id"] for item in page["data"]])
        after = page["after"]
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("what", LISTED)
async def test_what_always_exists_comes_first_and_counts_towards_the_limit(office: Office, what: str, limit: int) -> None:
    for name in ("a", "b"):
        await office.administration.create_tenant({"id": name})
        await office.administration.create_product({"id": name, "models": ["*"]})
    everything = LISTED[what]
    assert await listed(office, what, limit) == [everything[begin : begin + limit] for begin in range(0, len(everything), limit)]


@pytest.mark.parametrize("what", LISTED)
async def test_a_page_that_holds_all_there_is_has_no_next_one(office: Office, what: str) -> None:
    fixed = LISTED[what][:-2]
    assert await listed(office, what, len(fixed)) == [fixed]


@pytest.mark.parametrize("place", [("", "x"), ("", ""), ("", "-1"), ("", None), (None, None), (None, "1" * 7)])
async def test_a_place_that_no_page_gave_is_refused(office: Office, place: tuple[str | None, str | None]) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.list_products({"after": pack_continuation(*place)})
    assert (caught.value.param, caught.value.code) == ("after", "invalid_value")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1.5", "²", "99999"])
async def test_a_bad_page_size_is_refused(office: Office, limit: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.list_tenants({"limit": limit})
    assert caught.value.param == "limit"


@pytest.mark.parametrize(("query", "param"), [({"after": "nonsense"}, "after"), ({"tenant": "a/b"}, "tenant")])
async def test_a_bad_query_names_its_parameter(office: Office, query: dict[str, str], param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        await office.administration.list_subscriptions(query)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(("name", "none", "some"), [("guardrails", [], ["mask-pii"]), ("requires_approval", False, True)])
async def test_what_this_version_cannot_hold_is_refused_and_not_ignored(name: str, none: Any, some: Any) -> None:
    office = Office()
    await office.administration.create_product({"id": "p", "models": ["*"], name: none})
    with pytest.raises(RequestError) as caught:
        await office.administration.create_product({"id": "q", "models": ["*"], name: some})
    assert (caught.value.param, caught.value.code) == (name, "not_supported")
