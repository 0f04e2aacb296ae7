"""Subscriptions, as administrators of the gateway and of a tenant make, see and change them."""

from typing import Any

import pytest

from gateway.access import administration_subscriptions
from gateway.domain.access import CALLER, Network, Role, SubscriptionState
from gateway.domain.limits import Limits
from gateway.errors import Conflict, GatewayError, NotFound, PermissionDenied, PreconditionFailed, RequestError
from tests.unit.access.office import ALICE, BOB, CAROL, Office, asked


@pytest.fixture
async def office() -> Office:
    office = Office()
    for name in ("contoso", "fabrikam"):
        await office.tenant(name)
    return office


async def test_a_subscription_comes_with_two_working_keys_that_are_shown_once(office: Office) -> None:
    created = await office.subscribe(name="app", limits={"requests_per_minute": 5})
    assert (created["tenant"], created["product"], created["state"]) == ("default", "unlimited", "active")
    assert set(created["keys"]) == {"primary", "secondary"}
    for slot, text in created["keys"].items():
        record = await office.record(text)
        assert record is not None
        assert (record.active, record.state, record.tenant_active) == (True, SubscriptionState.ACTIVE, True)
        assert (record.principal.subscription, record.principal.key_id) == (created["id"], text.split("_")[1])
        assert record.principal.limits == Limits(requests_per_minute=5)
        assert (slot, record.principal.key_id) in {(each.slot, each.id) for each in created["key_slots"]}
    listing = await office.subscriptions.list(asked())
    shown = await office.subscriptions.read(asked(), created["id"])
    assert listing["data"] == [shown.value]
    assert "keys" not in shown.value


async def test_no_row_holds_a_secret(office: Office) -> None:
    created = await office.subscribe()
    told = await office.subscriptions.regenerate(asked(), created["id"], "primary")
    secrets = [text.split("_", 2)[2] for text in (*created["keys"].values(), *told.value["keys"].values())]
    assert len(secrets) == 3
    assert not any(secret in repr(office.tables.data) for secret in secrets)


@pytest.mark.parametrize(
    ("document", "param", "code"),
    [({"tenant": "nobody"}, "tenant", "tenant_not_found"), ({"product": "nothing"}, "product", "product_not_found")],
)
async def test_a_subscription_to_what_does_not_exist_names_what_is_missing(
    office: Office, document: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(NotFound) as caught:
        await office.subscribe(**{"product": "unlimited", **document})
    assert (caught.value.param, caught.value.code) == (param, code)
    assert office.tables.rows("keys") == office.tables.rows("subscriptions") == []


BAD: list[tuple[dict[str, Any], str]] = [
    ({"product": None}, "product"),
    ({"colour": "red"}, "colour"),
    ({"product": 5}, "product"),
    ({"product": "a/b"}, "product"),
    ({"tenant": ""}, "tenant"),
    ({"name": "x" * 257}, "name"),
    ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
    ({"limits": {"tokens_per_minute": -1}}, "limits.tokens_per_minute"),
    ({"limits": {"tokens_per_minute": 10**13}}, "limits.tokens_per_minute"),
    ({"limits": {"tokens_per_minute": "5"}}, "limits.tokens_per_minute"),
    ({"limits": {"tokens_per_minute": True}}, "limits.tokens_per_minute"),
    ({"limits": {"tokens_per_second": 5}}, "limits.tokens_per_second"),
    ({"limits": []}, "limits"),
    ({"limits": {"budget_usd": [{"period": "day", "limit": 0}]}}, "limits.budget_usd[0].limit"),
    ({"roles": []}, "roles"),
    ({"roles": ["Gateway.Admin"]}, "roles"),
    ({"operations": ["nothing"]}, "operations[0]"),
    ({"models": [""]}, "models[0]"),
    ({"network": {"allow": ["x"]}}, "network.allow[0]"),
    ({"identities": ["alice"]}, "identities[0]"),
    ({"identities": [f"{index:08x}{ALICE[8:]}" for index in range(33)]}, "identities"),
]


@pytest.mark.parametrize(("document", "param"), BAD)
async def test_a_bad_subscription_names_its_field(office: Office, document: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.subscribe(**{"product": "unlimited", **document})
    assert (caught.value.status, caught.value.param) == (400, param)
    assert param in caught.value.message
    assert office.tables.rows("subscriptions") == []
    if param in ("product", "tenant"):
        return
    made = await office.subscribe()
    with pytest.raises(RequestError) as caught:
        await office.subscriptions.change(asked(document), made["id"])
    assert caught.value.param == param


async def test_a_change_reaches_every_key_without_touching_its_row(office: Office) -> None:
    made = await office.subscribe(tenant="contoso")
    rows = office.tables.rows("keys")
    change = {
        "limits": {"concurrency": 1}, "roles": ["Gateway.User", "Gateway.TenantAdmin"], "models": ["mini"], "operations": ["chat"],
        "network": {"allow": ["203.0.113.0/24"]},
    }  # fmt: skip
    await office.subscriptions.change(asked(change), made["id"])
    tenant = {"data_zone": "eu", "limits": {"requests_per_minute": 9}, "network": {"deny": ["203.0.113.9"]}}
    await office.administration.change_tenant(asked(tenant), "contoso")
    assert office.tables.rows("keys") == rows
    for text in made["keys"].values():
        record = await office.record(text)
        assert record is not None
        principal = record.principal
        assert (principal.limits, principal.tenant_limits) == (Limits(concurrency=1), Limits(requests_per_minute=9))
        assert (principal.models, principal.operations, principal.data_zone) == (("mini",), ("chat",), "eu")
        assert principal.networks == (Network(deny=("203.0.113.9",)), Network(allow=("203.0.113.0/24",)))
        assert principal.roles == {Role.USER, Role.TENANT_ADMIN}
    await office.subscriptions.change(asked({"roles": None, "network": None}), made["id"])
    record = await office.record(made["keys"]["primary"])
    assert record is not None
    assert (record.principal.roles, len(record.principal.networks)) == (CALLER, 1)


async def test_approval_makes_the_keys_work_that_were_shown_before(office: Office) -> None:
    await office.product("gold", requires_approval=True)
    made = await office.subscribe("gold")
    assert made["state"] == "submitted"
    record = await office.record(made["keys"]["primary"])
    assert record is not None
    assert (record.active, record.state) == (True, SubscriptionState.SUBMITTED)
    told = await office.subscriptions.transition(asked(), made["id"], "approve")
    assert (told.value["state"], told.before["state"]) == ("active", "submitted")
    record = await office.record(made["keys"]["primary"])
    assert record is not None
    assert record.state is SubscriptionState.ACTIVE
    with pytest.raises(Conflict, match="suspend or cancel"):
        await office.subscriptions.transition(asked(), made["id"], "approve")


async def test_a_suspended_tenants_keys_say_so_and_come_back(office: Office) -> None:
    made = await office.subscribe(tenant="contoso")
    for state, active in (("suspended", False), ("active", True)):
        await office.administration.change_tenant(asked({"state": state}), "contoso")
        record = await office.record(made["keys"]["primary"])
        assert record is not None
        assert record.tenant_active is active


async def test_if_match_and_etags_hold_for_every_change(office: Office) -> None:
    made = await office.subscribe()
    old = (await office.subscriptions.read(asked(), made["id"])).etag
    new = (await office.subscriptions.change(asked({"name": "x"}, if_match=old), made["id"])).etag
    assert new == (await office.subscriptions.read(asked(), made["id"])).etag != old
    late = asked(if_match=old)
    for change in (
        office.subscriptions.change(late, made["id"]),
        office.subscriptions.transition(late, made["id"], "suspend"),
        office.subscriptions.regenerate(late, made["id"], "primary"),
        office.subscriptions.revoke(late, made["id"], "primary"),
    ):
        with pytest.raises(PreconditionFailed):
            await change
    assert len(office.tables.rows("keys")) == 2
    assert (await office.subscriptions.transition(asked(if_match=new), made["id"], "suspend")).value["state"] == "suspended"


async def test_an_identity_is_one_subscriptions(office: Office) -> None:
    assert (await office.subscribe(identities=[CAROL.upper(), CAROL]))["identities"] == (CAROL,)
    first = await office.subscribe(identities=[ALICE], name="first")
    record = await office.directory.identity_record(ALICE)
    assert record is not None
    assert (record.hash, record.active, record.principal.key_id) == ("", True, f"entra:{ALICE}")
    assert record.principal.subscription == first["id"]
    second = await office.subscribe()
    for _ in range(2):
        with pytest.raises(Conflict, match="bound to another") as caught:
            await office.subscriptions.change(asked({"identities": [BOB, ALICE]}), second["id"])
        assert caught.value.param == "identities"
        assert first["id"] not in caught.value.message
        office.clock.advance(3600)  # it stays so
    await office.subscriptions.change(asked({"identities": None}), first["id"])
    assert await office.directory.identity_record(ALICE) is None
    await office.subscriptions.change(asked({"identities": [ALICE, BOB]}), second["id"])
    for identity in (ALICE, BOB):
        record = await office.directory.identity_record(identity)
        assert record is not None
        assert record.principal.subscription == second["id"]


async def test_a_claim_that_nobody_names_is_respected_for_a_minute(office: Office) -> None:
    made = await office.subscribe()
    other = {"tenant": "default", "subscription": "sub_other", "at": office.clock.utc()}
    await office.tables.insert("identities", ALICE, "identity", other)  # somebody is about to name it, or died
    with pytest.raises(Conflict, match="just now"):
        await office.subscriptions.change(asked({"identities": [ALICE]}), made["id"])
    office.clock.advance(60)
    told = await office.subscriptions.change(asked({"identities": [ALICE]}), made["id"])
    assert told.value["identities"] == (ALICE,)


async def test_an_identity_that_another_one_took_meanwhile_is_not_set_free(office: Office) -> None:
    made = await office.subscribe(identities=[ALICE])
    await office.tables.upsert(
        "identities", ALICE, "identity", {"tenant": "default", "subscription": "sub_other", "at": office.clock.utc()}
    )
    await office.subscriptions.change(asked({"identities": None}), made["id"])
    (row,) = office.tables.rows("identities")
    assert row.values["subscription"] == "sub_other"


async def test_what_has_ended_sets_its_identities_free(office: Office) -> None:
    first = await office.subscribe(identities=[ALICE])
    await office.subscriptions.transition(asked(), first["id"], "cancel")
    second = await office.subscribe(identities=[ALICE])
    record = await office.directory.identity_record(ALICE)
    assert record is not None
    assert record.principal.subscription == second["id"]


async def listed(office: Office, query: dict[str, str], tenant: str = "") -> list[list[str]]:
    found, after = [], ""
    while True:
        page = await office.subscriptions.list(asked(query=query | ({"after": after} if after else {}), tenant=tenant))
        assert page["has_more"] == (page["after"] is not None)
        found.append([item["name"] for item in page["data"]])
        if (after := page["after"]) is None:
            return found


async def test_lists_page_in_order(office: Office) -> None:
    for index in range(5):
        await office.subscribe(name=f"s{index}")
    await office.subscribe(name="theirs", tenant="contoso")
    found = await listed(office, {"limit": "2", "tenant": "default"})
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(name for page in found for name in page) == [f"s{index}" for index in range(5)]
    assert await listed(office, {"tenant": "contoso"}) == [["theirs"]]
    assert sum(map(len, await listed(office, {"limit": "1"}))) == 6


async def test_lists_can_be_of_a_state_and_of_a_product(office: Office) -> None:
    await office.product("gold", requires_approval=True)
    for index in range(4):
        await office.subscribe(("unlimited", "gold")[index % 2], name=str(index))
    for limit in ("1", "2", "100"):
        pages = await listed(office, {"state": "submitted", "limit": limit})
        assert sorted(name for page in pages for name in page) == ["1", "3"]
        assert all(len(page) <= int(limit) for page in pages)
    assert sorted((await listed(office, {"product": "unlimited", "state": "active"}))[0]) == ["0", "2"]
    assert await listed(office, {"product": "gold", "state": "active"}) == [[]]


@pytest.mark.parametrize(("query", "param"), [({"after": "nonsense"}, "after"), ({"tenant": "a/b"}, "tenant"), ({"state": "x"}, "state")])
async def test_a_bad_query_names_its_parameter(office: Office, query: dict[str, str], param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        await office.subscriptions.list(asked(query=query))
    assert (caught.value.status, caught.value.param) == (400, param)


async def test_a_subscription_of_an_earlier_version_is_found_and_works(office: Office) -> None:
    made = await office.subscribe(tenant="contoso")
    slots = {f"{each.slot}_key_id": each.id for each in made["key_slots"]}
    old = {"product": "unlimited", "state": "active", "limits": "{}"}
    await office.tables.upsert("subscriptions", "contoso", made["id"], {**old, "name": "old", **slots})
    for row in office.tables.rows("keys"):
        await office.tables.upsert("keys", row.partition, "key", {**row.values, **old, "data_zone": "us"})
    await office.tables.delete("subscriptionids", made["id"], "subscription")
    for text in made["keys"].values():
        record = await office.record(text)
        assert record is not None
        assert (record.active, record.principal.data_zone) == (True, "")  # its tenant's, not what its row repeats
    assert (await office.subscriptions.read(asked(), made["id"])).value["name"] == "old"
    await office.subscriptions.revoke(asked(), made["id"], "primary")
    assert await office.record(made["keys"]["primary"]) is None
    record = await office.record(made["keys"]["secondary"])
    assert record is not None
    assert record.active


async def test_a_tenants_administrator_may_do_this_and_no_more(office: Office) -> None:
    await office.product("gold", requires_approval=True)
    await office.product("free")
    made = await office.subscribe("free", by="contoso", limits={"concurrency": 2})
    assert (made["tenant"], made["state"]) == ("contoso", "active")
    assert (await office.subscribe("gold", by="contoso"))["state"] == "submitted"
    assert (await office.subscribe("unlimited", by="contoso"))["state"] == "submitted"
    for refused, param in (
        ({"tenant": "fabrikam"}, "tenant"),
        ({"roles": ["Gateway.TenantAdmin"]}, "roles"),
        ({"identities": [BOB]}, "identities"),
    ):
        with pytest.raises(PermissionDenied) as caught:
            await office.subscribe("free", by="contoso", **refused)
        assert caught.value.param == param
    for action, state in (("suspend", "suspended"), ("resume", "active"), ("cancel", "cancelled")):
        told = await office.subscriptions.transition(asked(tenant="contoso"), made["id"], action)
        assert told.value["state"] == state


async def test_what_the_gateways_administrator_suspended_only_one_of_them_resumes(office: Office) -> None:
    made = await office.subscribe(tenant="contoso")
    own = asked(tenant="contoso")
    await office.subscriptions.transition(own, made["id"], "suspend")
    await office.subscriptions.transition(asked(), made["id"], "suspend")  # the tenant's own word is not enough any more
    with pytest.raises(PermissionDenied, match="administrator of the gateway"):
        await office.subscriptions.transition(own, made["id"], "resume")
    assert (await office.subscriptions.transition(asked(), made["id"], "resume")).value["state"] == "active"
    await office.subscriptions.transition(asked(), made["id"], "suspend")
    with pytest.raises(PermissionDenied):
        await office.subscriptions.transition(own, made["id"], "resume")
    assert (await office.subscriptions.transition(asked(), made["id"], "resume")).value["state"] == "active"
    await office.subscriptions.transition(own, made["id"], "suspend")
    assert (await office.subscriptions.transition(own, made["id"], "resume")).value["state"] == "active"


async def test_what_is_anothers_is_not_there(office: Office) -> None:
    theirs, nobodys = (await office.subscribe(tenant="fabrikam"))["id"], "sub_nobody"
    own = asked({}, tenant="contoso")
    before = dict(office.tables.data)
    told = set()
    for name in (theirs, nobodys, "a/b", "x" * 65):
        for doing in (
            office.subscriptions.read(own, name),
            office.subscriptions.change(own, name),
            office.subscriptions.transition(own, name, "suspend"),
            office.subscriptions.regenerate(own, name, "primary"),
            office.subscriptions.revoke(own, name, "primary"),
        ):
            with pytest.raises(NotFound) as caught:
                await doing
            told.add((caught.value.code, caught.value.message.replace(repr(name[:64]), "?")))
    assert told == {("subscription_not_found", "there is no subscription ?; GET /manage/subscriptions lists them")}
    assert office.tables.data == before
    assert await listed(office, {}, tenant="contoso") == [[]]
    with pytest.raises(PermissionDenied):
        await listed(office, {"tenant": "fabrikam"}, tenant="contoso")


async def test_names_are_told_of_what_may_be_seen_and_of_nothing_else(office: Office) -> None:
    shop = await office.subscribe(tenant="contoso", name="shop")
    till = await office.subscribe(tenant="fabrikam", name="till")
    await office.subscribe(tenant="contoso", name="not asked for")
    both = {shop["id"], till["id"], "sub_unknown"}
    assert await office.subscriptions.names(None, both) == {shop["id"]: "shop", till["id"]: "till"}
    assert await office.subscriptions.names("contoso", both) == {shop["id"]: "shop"}


async def test_names_are_found_on_any_page(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administration_subscriptions, "MAX_PAGE", 2)
    made = [await office.subscribe(name=f"n{number}") for number in range(5)]
    assert await office.subscriptions.names(None, {made[4]["id"]}) == {made[4]["id"]: "n4"}
    assert await office.subscriptions.names(None, ()) == {}
