"""Tenants and products, as administrators make, see, change and delete them."""

from typing import Any

import pytest

from gateway.access.keys import mint
from gateway.domain.access import CallCost, Network, TenantState
from gateway.domain.catalog import Catalog
from gateway.domain.limits import Limits
from gateway.domain.management import Told
from gateway.domain.tables import pack_continuation
from gateway.errors import Conflict, NotFound, PreconditionFailed, RequestError
from tests.builders import make_model, make_product
from tests.unit.access.office import Office, asked


@pytest.fixture
def office() -> Office:
    return Office()


async def test_tenants_and_products_are_created_once(office: Office) -> None:
    tenant = await office.tenant("contoso", data_zone="eu")
    assert (tenant["id"], tenant["name"], tenant["data_zone"], tenant["state"]) == ("contoso", "contoso", "eu", "active")
    product = await office.product("gold", models=["gpt-*"], limits={"tokens_per_minute": 100})
    assert (product["id"], tuple(product["models"])) == ("gold", ("gpt-*",))
    assert await office.directory.product("gold") == make_product(id="gold", models=("gpt-*",), limits=Limits(tokens_per_minute=100))
    for create, name in (
        (office.tenant, "contoso"),
        (office.tenant, "default"),
        (office.product, "gold"),
        (office.product, "unlimited"),
        (office.product, "filed"),
    ):
        with pytest.raises(Conflict) as caught:
            await create(name)
        assert caught.value.param == "id"


WHOLE_PRODUCT: dict[str, Any] = {
    "models": ["gpt-*"],
    "limits": {"requests_per_minute": 5, "budget_usd": [{"period": "month", "limit": 50}]},
    "shared_limits": {"concurrency": 3},
    "user_limits": {"tokens": [{"period": "day", "limit": 7, "count": "input"}]},
    "operations": ["chat", "images.*"],
    "requires_approval": True,
    "network": {"allow": ["203.0.113.0/24"], "deny": ["2001:db8::/32"]},
    "call_cost": {"over_usd": 0.5, "then": "draft", "draft_model": "mini"},
}


async def test_all_that_a_product_says_is_kept(office: Office) -> None:
    await office.product("whole", **WHOLE_PRODUCT)
    kept = await office.directory.product("whole")
    assert kept is not None
    assert (kept.requires_approval, kept.operations, kept.call_cost) == (True, ("chat", "images.*"), CallCost(0.5, "draft", "mini"))
    assert (kept.network, kept.shared_limits) == (Network(("203.0.113.0/24",), ("2001:db8::/32",)), Limits(concurrency=3))
    assert (kept.limits.budget_usd[0].limit, kept.user_limits.tokens[0].count) == (50, "input")
    told = await office.administration.product(asked(), "whole")
    assert told.value["limits"] == kept.limits
    listed = await office.administration.list_products(asked())
    assert listed["data"][-1] == told.value


async def test_rows_of_earlier_versions_are_read(office: Office) -> None:
    await office.tables.insert("tenants", "tenant", "old", {"name": "Old", "data_zone": "eu"})
    await office.tables.insert("products", "product", "old", {"models": '["a"]', "limits": '{"requests_per_minute":3}'})
    told = await office.administration.tenant(asked(), "old")
    assert (told.value["name"], told.value["data_zone"], told.value["state"]) == ("Old", "eu", "active")
    assert await office.directory.product("old") == make_product(id="old", models=("a",), limits=Limits(requests_per_minute=3))


async def test_a_change_names_members_and_null_takes_one_away(office: Office) -> None:
    await office.product("whole", **WHOLE_PRODUCT)
    told = await office.administration.change_product(asked({"limits": {"concurrency": 1}, "call_cost": None, "network": None}), "whole")
    assert (told.value["limits"], told.value["call_cost"], told.value["network"]) == (Limits(concurrency=1), None, Network())
    assert (told.value["models"], told.value["requires_approval"]) == (("gpt-*",), True)
    assert told.before["call_cost"] == CallCost(0.5, "draft", "mini")
    assert (await office.administration.product(asked(), "whole")).value == told.value
    await office.tenant("contoso", name="Contoso Ltd")
    suspended = await office.administration.change_tenant(asked({"state": "suspended", "name": None}), "contoso")
    assert (suspended.value["state"], suspended.value["name"]) == (TenantState.SUSPENDED, "contoso")


@pytest.mark.parametrize("zone", ["mars", "EU", "x" * 300])
async def test_a_tenant_whose_data_zone_nobody_serves_is_refused(office: Office, zone: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.tenant("contoso", data_zone=zone)
    assert (caught.value.param, caught.value.code) == ("data_zone", "invalid_value")
    assert "choose one of eu, us" in caught.value.message
    assert office.tables.data == {}


async def test_without_data_zones_in_the_catalogue_no_tenant_can_have_one() -> None:
    office = Office(filed=Catalog((make_model(),), ()))
    assert (await office.tenant("free"))["data_zone"] == ""
    with pytest.raises(RequestError, match="no backend has a data zone"):
        await office.tenant("pinned", data_zone="eu")


async def test_a_change_never_fails_for_what_it_leaves_alone(office: Office) -> None:
    await office.tables.insert("tenants", "tenant", "old", {"name": "Old", "data_zone": "gone"})
    assert (await office.administration.change_tenant(asked({"name": "New"}), "old")).value["data_zone"] == "gone"


BAD_PRODUCTS: list[tuple[dict[str, Any], str]] = [
    ({"models": ["*"]}, "id"),
    ({"id": "p"}, "models"),
    ({"id": "p", "models": []}, "models"),
    ({"id": "p", "models": "*"}, "models"),
    ({"id": "p", "models": ["x" * 40_000]}, "models[0]"),
    ({"id": "p", "models": ["a", ""]}, "models[1]"),
    ({"id": "p", "models": ["*"] * 257}, "models"),
    ({"id": "-p", "models": ["*"]}, "id"),
    ({"id": "p" * 65, "models": ["*"]}, "id"),
    ({"id": "pé", "models": ["*"]}, "id"),
    ({"id": "p\n", "models": ["*"]}, "id"),
    ({"id": "p", "models": ["*"], "shared_limits": {"concurrency": 0}}, "shared_limits.concurrency"),
    ({"id": "p", "models": ["*"], "user_limits": {"tokens": [{"period": "day", "limit": 0}]}}, "user_limits.tokens[0].limit"),
    ({"id": "p", "models": ["*"], "operations": ["chat", "chatt"]}, "operations[1]"),
    ({"id": "p", "models": ["*"], "network": {"allow": ["10.0.0.1/8"]}}, "network.allow[0]"),
    ({"id": "p", "models": ["*"], "network": {"deny": ["::/0"] * 257}}, "network"),
    ({"id": "p", "models": ["*"], "call_cost": {"over_usd": 0}}, "call_cost.over_usd"),
    ({"id": "p", "models": ["*"], "call_cost": {"over_usd": 1, "then": "draft"}}, "call_cost.draft_model"),
    ({"id": "p", "models": ["*"], "call_cost": {"over_usd": 1, "then": "draft", "draft_model": "nobody"}}, "call_cost.draft_model"),
    ({"id": "p", "models": ["*"], "call_cost": {"over_usd": 1, "then": "draft", "draft_model": "any"}}, "call_cost.draft_model"),
    ({"id": "p", "models": ["*"], "call_cost": {"over_usd": 1, "draft_model": "mini"}}, "call_cost.draft_model"),
    ({"id": "p", "models": ["*"], "window": {"over": "summarise"}}, "window.summary_model"),
    ({"id": "p", "models": ["*"], "window": {"over": "summarise", "summary_model": "nobody"}}, "window.summary_model"),
    ({"id": "p", "models": ["*"], "window": {"over": "truncate", "summary_model": "mini"}}, "window.summary_model"),
    ({"id": "p", "models": ["*"], "window": {"over": "bigger-model", "model": "nobody"}}, "window.model"),
    ({"id": "p", "models": ["*"], "window": {"keep_turns": 0}}, "window.keep_turns"),
    ({"id": "p", "models": ["*"], "window": {"max_output_tokens": 0}}, "window.max_output_tokens"),
    ({"id": "p", "models": ["*"], "window": {"default_output_tokens": -1}}, "window.default_output_tokens"),
    ({"id": "p", "models": ["*"], "history": {"ttl_days": 0}}, "history.ttl_days"),
    ({"id": "p", "models": ["*"], "history": {"max_messages": 1001}}, "history.max_messages"),
    ({"id": "p", "models": ["*"], "capture": {"share": 1.5}}, "capture.share"),
    ({"id": "p", "models": ["*"], "capture": {"days": 0}}, "capture.days"),
    ({"id": "p", "models": ["*"], "guardrails": ["mask-pii", "nobody"]}, "guardrails[1]"),
    ({"id": "p", "models": ["*"], "guardrails": ["mask-pii", "mask-pii"]}, "guardrails[1]"),
    ({"id": "p", "models": ["*"], "guardrails": "mask-pii"}, "guardrails"),
]


@pytest.mark.parametrize(("document", "param"), BAD_PRODUCTS)
async def test_a_bad_product_names_its_field(office: Office, document: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.create_product(asked(document))
    assert (caught.value.param, caught.value.status) == (param, 400)
    assert param in caught.value.message
    assert office.tables.data == {}


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"id": "other"}, "id"),
        ({"state": "asleep"}, "state"),
        ({"name": "x" * 257}, "name"),
        ({"limits": {"tokens_per_minute": -1}}, "limits.tokens_per_minute"),
        ({"network": {"allow": ["everywhere"]}}, "network.allow[0]"),
        ({"network": {"deny": ["fe80::1%eth0/128"]}}, "network.deny[0]"),
        ({"name": "was " + mint().text}, "name"),
        ({"id": None}, "id"),
        ({"nmae": None}, "nmae"),
    ],
)
async def test_a_bad_change_of_a_tenant_names_its_field_and_changes_nothing(office: Office, document: dict[str, Any], param: str) -> None:
    await office.tenant("contoso")
    before = dict(office.tables.data)
    with pytest.raises(RequestError) as caught:
        await office.administration.change_tenant(asked(document), "contoso")
    assert caught.value.param == param
    assert office.tables.data == before


async def test_what_is_built_in_or_the_catalogues_stays_and_says_so(office: Office) -> None:
    admin = office.administration
    for changing in (admin.change_tenant(asked({"name": "x"}), "default"), admin.delete_tenant(asked(), "default")):
        with pytest.raises(Conflict, match="built in") as caught:
            await changing
        assert caught.value.code == "built_in"
    for name in ("unlimited", "filed"):
        for changing in (admin.change_product(asked({"models": ["x"]}), name), admin.delete_product(asked(), name)):
            with pytest.raises(Conflict, match="catalogue"):
                await changing
        assert (await admin.product(asked(), name)).etag


@pytest.mark.parametrize("name", ["nobody", "a/b", "", "x" * 65, "\u0000"])
async def test_what_is_not_there_is_not_found(office: Office, name: str) -> None:
    admin = office.administration
    for asking in (admin.tenant(asked(), name), admin.change_tenant(asked(), name), admin.delete_tenant(asked(), name)):
        with pytest.raises(NotFound) as caught:
            await asking
        assert caught.value.code == "tenant_not_found"
    for asking in (admin.product(asked(), name), admin.change_product(asked(), name), admin.delete_product(asked(), name)):
        with pytest.raises(NotFound) as caught:
            await asking
        assert caught.value.code == "product_not_found"


async def test_nothing_is_deleted_while_living_subscriptions_refer_to_it(office: Office) -> None:
    await office.tenant("contoso")
    await office.product("gold")
    made = await office.subscribe("gold", tenant="contoso")
    for deleting in (office.administration.delete_tenant(asked(), "contoso"), office.administration.delete_product(asked(), "gold")):
        with pytest.raises(Conflict, match=made["id"]) as caught:
            await deleting
        assert caught.value.code == "in_use"
    await office.subscriptions.transition(asked(), made["id"], "cancel")
    told = await office.administration.delete_tenant(asked(), "contoso")
    assert (told.status, told.value, told.before["id"]) == (204, None, "contoso")
    await office.administration.delete_product(asked(), "gold")
    assert await office.directory.tenant("contoso") is None
    assert await office.directory.product("gold") is None
    record = await office.record(made["keys"]["primary"])
    assert record is None  # whose tenant is gone opens nothing


async def test_an_id_that_was_deleted_is_nobody_elses_again(office: Office) -> None:
    await office.tenant("contoso")
    await office.product("gold")
    await office.administration.delete_tenant(asked(), "contoso")
    await office.administration.delete_product(asked(), "gold")
    for creating in (office.tenant("contoso"), office.product("gold")):
        with pytest.raises(Conflict, match="never used") as caught:
            await creating
        assert (caught.value.param, caught.value.code) == ("id", "id_used")
    shown = [await office.administration.list_tenants(asked()), await office.administration.list_products(asked())]
    assert [{"contoso", "gold"} & {each["id"] for each in page["data"]} for page in shown] == [set(), set()]


async def test_every_version_has_its_own_etag_and_a_write_can_name_it(office: Office) -> None:
    await office.tenant("contoso")
    first = await office.administration.tenant(asked(), "contoso")
    second = await office.administration.change_tenant(asked({"name": "A"}, if_match=first.etag), "contoso")
    assert first.etag != second.etag == (await office.administration.tenant(asked(), "contoso")).etag
    for late in (
        office.administration.change_tenant(asked({"name": "B"}, if_match=first.etag), "contoso"),
        office.administration.delete_tenant(asked(if_match=first.etag), "contoso"),
    ):
        with pytest.raises(PreconditionFailed, match="GET it again") as caught:
            await late
        assert (caught.value.status, caught.value.code) == (412, "precondition_failed")
    for good in ("*", f'"other", {second.etag}', ""):
        told: Told = await office.administration.change_tenant(asked({"name": "A"}, if_match=good), "contoso")
        assert told.etag == second.etag  # nothing changed, so nothing was written
    assert (await office.administration.delete_tenant(asked(if_match=second.etag), "contoso")).status == 204


LISTED = {"tenants": ["default", "a", "b"], "products": ["unlimited", "filed", "a", "b"]}


async def listed(office: Office, what: str, limit: int) -> list[list[str]]:
    """Page through a list by its own `after`."""
    listing = {"tenants": office.administration.list_tenants, "products": office.administration.list_products}[what]
    found, after = [], ""
    while True:
        page = await listing(asked(query={"limit": str(limit), "after": after}))
        found.append([item["id"] for item in page["data"]])
        after = page["after"]
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("what", LISTED)
async def test_what_always_exists_comes_first_and_counts_towards_the_limit(office: Office, what: str, limit: int) -> None:
    for name in ("a", "b"):
        await office.tenant(name)
        await office.product(name)
    everything = LISTED[what]
    assert await listed(office, what, limit) == [everything[begin : begin + limit] for begin in range(0, len(everything), limit)]


@pytest.mark.parametrize("what", LISTED)
async def test_a_page_that_holds_all_there_is_has_no_next_one(office: Office, what: str) -> None:
    fixed = LISTED[what][:-2]
    assert await listed(office, what, len(fixed)) == [fixed]


@pytest.mark.parametrize("place", [("", "x"), ("", ""), ("", "-1"), ("", None), (None, None), (None, "1" * 7)])
async def test_a_place_that_no_page_gave_is_refused(office: Office, place: tuple[str | None, str | None]) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.list_products(asked(query={"after": pack_continuation(*place)}))
    assert (caught.value.param, caught.value.code) == ("after", "invalid_value")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1.5", "²", "99999"])
async def test_a_bad_page_size_is_refused(office: Office, limit: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.administration.list_tenants(asked(query={"limit": limit}))
    assert caught.value.param == "limit"


async def test_a_tenants_administrator_sees_what_a_product_gives_and_its_own_tenant(office: Office) -> None:
    await office.tenant("contoso")
    await office.tenant("fabrikam")
    await office.product("whole", **WHOLE_PRODUCT)
    listed = await office.administration.list_products(asked(tenant="contoso"))
    assert {name for item in listed["data"] for name in item} == {"id", "models", "limits"}
    assert (await office.administration.tenant(asked(tenant="contoso"), "contoso")).value["id"] == "contoso"
    for other in ("fabrikam", "default", "nobody"):  # whether it exists is not told
        with pytest.raises(NotFound) as caught:
            await office.administration.tenant(asked(tenant="contoso"), other)
        assert caught.value.message.replace(other, "") == "there is no tenant ''; create it at /manage/tenants"


@pytest.mark.parametrize(
    ("route", "names"),
    [
        ("manage/prompts/{prompt}/versions", {"prompt": "support"}),
        ("manage/lookups/{lookup}/{key}", {"lookup": "customer", "key": "4711"}),
        ("manage/experiments", {}),
        ("manage/captures", {}),
        ("manage/sessions", {}),
        ("manage/replay", {}),
    ],
)
async def test_what_is_done_to_a_tenants_things_is_in_its_own_trail(office: Office, route: str, names: dict[str, str]) -> None:
    concerned = office.administration.concerned
    assert await concerned(asked(query={"tenant": "contoso"}), route, names) == "contoso"
    assert await concerned(asked(), route, names) == ""
    assert await concerned(asked(query={"tenant": "fabrikam"}, tenant="contoso"), route, names) == "contoso"
    said = {"tenant": "fabrikam"}
    assert await concerned(asked(said), route, names) == ("fabrikam" if route == "manage/replay" else "")
