"""The audit trail: an entry before every change, completed after it."""

import datetime
import json
from typing import Any

import pytest

from gateway.access import keys
from gateway.access.audit import AUDIT, MAX_CHARACTERS, MAX_QUERIES, Deed, shown
from gateway.domain.access import Role
from gateway.errors import PermissionDenied, RequestError, StoreUnavailable
from tests.builders import make_principal
from tests.unit.access.office import ADMIN, Office, asked


@pytest.fixture
def office() -> Office:
    return Office()


def make_deed(**over: Any) -> Deed:
    fields: dict[str, Any] = {
        "action": "tenant.change", "target": "tenants/contoso", "tenant": "contoso", "principal": ADMIN, "client_ip": "203.0.113.7",
        "request_id": "req_1", "document": {"name": "New"},
    }  # fmt: skip
    return Deed(**fields | over)


async def trail(office: Office, tenant: str = "", **query: str) -> list[dict[str, Any]]:
    """Page through the trail as it is sent."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await office.audit.list(asked(query=query | ({"after": after} if after else {}), tenant=tenant))
        assert len(page["data"]) <= int(query.get("limit", "100"))
        found += [json.loads(json.dumps(each, default=lambda raw: json.loads(bytes(raw)))) for each in page["data"]]
        if not (after := page["after"] or ""):
            return found


async def test_an_entry_is_begun_and_then_done(office: Office) -> None:
    entry = await office.audit.begin(make_deed())
    (begun,) = await trail(office)
    assert (begun["outcome"], begun["actor"], begun["roles"], begun["action"]) == (
        "begun",
        "the-admin",
        [Role.ADMIN.value],
        "tenant.change",
    )
    assert (begun["tenant"], begun["target"], begun["asked"]) == ("contoso", "tenants/contoso", {"name": "New"})
    assert (begun["request_id"], begun["client_ip"], "before" in begun) == ("req_1", "203.0.113.7", False)
    assert begun["at"] == office.clock.utc().isoformat()
    office.clock.advance(5)
    await office.audit.end(entry, before={"name": "Old"}, after={"name": "New"})
    (done,) = await trail(office)
    assert done == begun | {"outcome": "done", "before": {"name": "Old"}, "after": {"name": "New"}}


async def test_a_change_that_failed_says_why(office: Office) -> None:
    await office.audit.end(await office.audit.begin(make_deed()), error="in_use")
    (entry,) = await trail(office)
    assert (entry["outcome"], entry["error"], "after" in entry) == ("failed", "in_use", False)


async def test_what_cannot_be_audited_must_not_be_done(office: Office) -> None:
    office.tables.down = True
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        await office.audit.begin(make_deed())


async def test_an_entry_that_cannot_be_completed_costs_no_answer_and_is_logged(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    entry = await office.audit.begin(make_deed())
    office.tables.down = True
    await office.audit.end(entry, after={"name": "New"})
    office.tables.down = False
    assert [each["outcome"] for each in await trail(office)] == ["begun"]
    assert "req_1" in caplog.text


async def test_entries_show_keys_without_their_secrets(office: Office) -> None:
    made = await office.subscribe()
    told = await office.subscriptions.regenerate(asked(), made["id"], "primary")
    text = told.value["keys"]["primary"]
    document = {"note": f"was {text}", "hash": "abc", "deep": [{"api_key": "k", text: 1}]}
    await office.audit.end(await office.audit.begin(make_deed(document=document)), before=told.before, after=told.value)
    stored = repr(office.tables.rows(AUDIT))
    assert text.split("_", 2)[2] not in stored
    (entry,) = await trail(office)
    key_id = text.split("_")[1]
    assert entry["after"]["keys"] == {"primary": f"gwk_{key_id}_***"}
    assert entry["asked"] == {"note": f"was gwk_{key_id}_***", "hash": "***", "deep": [{"api_key": "***", f"gwk_{key_id}_***": 1}]}


@pytest.mark.parametrize("name", ["apiKey", "API-KEY", "Password", "client_secret", "accessToken", "pepper_hash", "connectionString"])
def test_a_secret_is_masked_under_whatever_name_it_was_sent(name: str) -> None:
    assert json.loads(shown({"deep": [{name: "sk-1"}]})) == {"deep": [{name: "***"}]}


def test_what_only_sounds_like_a_secret_is_shown() -> None:
    document = {"tokens": [{"period": "day", "limit": 5}], "tokens_per_minute": 3, "keys": {"primary": 1}, "key_slots": [{"id": "a"}]}
    assert json.loads(shown(document)) == document


async def test_a_key_in_a_path_is_no_entrys_target(office: Office) -> None:
    text = keys.mint().text
    entry = await office.audit.begin(make_deed(target=f"subscriptions/{text}/suspend"))
    await office.audit.end(entry, target=f"subscriptions/{text}/suspend")
    assert text not in repr(office.tables.rows(AUDIT))
    assert [each["target"] for each in await trail(office)] == [f"subscriptions/gwk_{text.split('_')[1]}_***/suspend"]


def test_what_is_too_long_says_so() -> None:
    assert json.loads(shown({"x": "y" * (MAX_CHARACTERS - 8)}))["x"][0] == "y"
    assert json.loads(shown({"x": "y" * (MAX_CHARACTERS - 7)})) == {"left_out_characters": MAX_CHARACTERS + 1}


async def test_the_trail_is_paged_and_filtered(office: Office) -> None:
    other = make_principal(key_id="someone-else")
    begun = office.clock.utc()
    for index in range(12):
        by, action = (ADMIN, other)[index % 2], ("tenant.change", "key.revoke", "key.regenerate")[index % 3]
        await office.audit.begin(make_deed(principal=by, action=action, tenant=("contoso", "fabrikam", "")[index % 3], target=str(index)))
        office.clock.advance(3600)

    async def targets(**query: str) -> list[int]:
        return [int(each["target"]) for each in await trail(office, **query)]

    assert sorted(await targets()) == sorted(await targets(limit="1")) == list(range(12))
    assert await targets(tenant="contoso") == await targets(tenant="contoso", limit="2") == [0, 3, 6, 9]  # oldest first
    assert sorted(await targets(actor="someone-else", limit="2")) == [1, 3, 5, 7, 9, 11]
    assert await targets(action="key.revoke", actor="someone-else") == [1, 7]
    start, end = (begun + datetime.timedelta(hours=hours) for hours in (3, 9))
    assert await targets(tenant="contoso", **{"from": start.isoformat(), "to": end.isoformat()}) == [3, 6]
    assert await targets(tenant="contoso", **{"from": f"{start:%Y-%m-%dT%H:%M:%SZ}"}) == [3, 6, 9]


async def test_a_filtered_page_holds_no_more_than_was_asked_for(office: Office) -> None:
    for actor in ("a", "b", "a", "a"):
        await office.audit.begin(make_deed(principal=make_principal(key_id=actor)))
        office.clock.advance(1)
    page = await office.audit.list(asked(query={"limit": "2", "actor": "a"}))
    assert (len(page["data"]), page["has_more"]) == (2, True)
    assert len(await trail(office, limit="2", actor="a")) == 3


async def test_entries_of_later_months_follow_and_no_other_tenant_comes_in_between(office: Office) -> None:
    for _ in range(4):
        for tenant in ("a", "a-b", "aa", "b"):
            await office.audit.begin(make_deed(tenant=tenant))
        office.clock.advance(20 * 24 * 3600)
    found = await trail(office, tenant="a")
    assert {each["tenant"] for each in found} == {"a"}
    assert [each["at"] for each in found] == sorted({each["at"] for each in found})
    assert len(found) == 4


async def test_one_page_looks_far_for_what_fits(office: Office) -> None:
    for actor in ("a", "a", "a", "b", "a"):
        await office.audit.begin(make_deed(principal=make_principal(key_id=actor)))
        office.clock.advance(1)
    page = await office.audit.list(asked(query={"limit": "1", "actor": "b"}))
    assert [each["actor"] for each in page["data"]] == ["b"]
    rest = await office.audit.list(asked(query={"limit": "1", "after": page["after"]}))
    assert ([each["actor"] for each in rest["data"]], rest["has_more"]) == (["a"], False)


async def test_one_page_asks_the_store_only_so_often(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.access.audit.READ_AT_ONCE", 1)
    for _ in range(3 * MAX_QUERIES):
        await office.audit.begin(make_deed())
    before = office.tables.calls
    page = await office.audit.list(asked(query={"limit": "1", "actor": "nobody"}))
    assert (page["data"], page["has_more"], office.tables.calls - before) == ([], True, MAX_QUERIES)


async def test_a_tenants_administrator_reads_its_own_trail(office: Office) -> None:
    for tenant in ("contoso", "fabrikam", ""):
        await office.audit.begin(make_deed(tenant=tenant))
    assert [each["tenant"] for each in await trail(office, tenant="contoso")] == ["contoso"]
    with pytest.raises(PermissionDenied):
        await office.audit.list(asked(query={"tenant": "fabrikam"}, tenant="contoso"))


@pytest.mark.parametrize(
    ("query", "param"), [({"from": "yesterday"}, "from"), ({"to": "1"}, "to"), ({"limit": "0"}, "limit"), ({"after": "x"}, "after")]
)
async def test_a_bad_query_names_its_parameter(office: Office, query: dict[str, str], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await office.audit.list(asked(query=query))
    assert caught.value.param == param
