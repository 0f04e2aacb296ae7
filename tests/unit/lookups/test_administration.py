"""Values of table lookups: who writes which, and which one a call finds."""

from typing import Any

import pytest

from gateway.domain.access import Role
from gateway.domain.management import etag_of
from gateway.domain.tables import EntityChanged
from gateway.errors import Conflict, GatewayError, NotFound, PermissionDenied, PreconditionFailed, RequestError, Unavailable
from gateway.lookups.filling import Asking
from gateway.lookups.rows import MAX_VALUE_BYTES
from tests.unit.lookups.desk import Desk, asked, feature_lookup, http_lookup, table_lookup

TENANT = Role.TENANT_ADMIN


@pytest.fixture
def desk() -> Desk:
    return Desk(http_lookup(), table_lookup(), feature_lookup(), table_lookup(id="theirs", tenants=("fabrikam",)))


async def write(desk: Desk, value: Any, key: str = "42", role: Role = Role.ADMIN, **query: str) -> Any:
    return await desk.manage.set_value(asked(role, document={"value": value}, **query), "plan", key)


async def test_a_tenants_own_value_wins_over_the_shared_one_until_it_is_deleted(desk: Desk) -> None:
    await write(desk, "shared")
    assert (await desk.find(table_lookup())).values == {"plan": "shared"}
    await write(desk, {"own": True}, role=TENANT)
    assert (await desk.find(table_lookup())).values == {"plan": {"own": True}}  # at once, in the worker that wrote it
    other = Asking("fabrikam", variables={"id": "42"})
    assert (await desk.find(table_lookup(), asking=other)).values == {"plan": "shared"}
    assert (await desk.manage.delete_value(asked(TENANT), "plan", "42")).status == 204
    assert (await desk.find(table_lookup())).values == {"plan": "shared"}


async def test_a_key_without_a_value_is_a_failure(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="no value for this key"):
        await desk.find(table_lookup())
    with pytest.raises(Unavailable, match="no value for this key"):
        await desk.find(table_lookup(), asking=Asking("contoso", variables={"id": "/" * 500}))


@pytest.mark.parametrize("key", ["a/b", "a\\b#?", "=2F", "ä", "😀", "..", " x ", "a=b"])
async def test_any_text_can_be_a_key_and_no_two_are_the_same(desk: Desk, key: str) -> None:
    await write(desk, "other", key="a=2Fb")
    await write(desk, key, key=key)
    assert (await desk.find(table_lookup(), asking=Asking("contoso", variables={"id": key}))).values == {"plan": key}
    assert (await desk.manage.value(asked(), "plan", key)).value["key"] == key
    assert (await desk.manage.value(asked(), "plan", "a=2Fb")).value["value"] == "other"


@pytest.mark.parametrize("value", [None, False, 0, "", [], {"a": [1.5, None]}, "ä" * 20_000], ids=lambda value: repr(value)[:12])
async def test_any_json_value_comes_back_as_it_was_written(desk: Desk, value: Any) -> None:
    told = await write(desk, value)
    assert (await desk.manage.value(asked(), "plan", "42")).value == told.value
    assert (await desk.find(table_lookup())).values == {"plan": value}


async def test_a_value_that_fits_no_row_is_refused_by_its_field(desk: Desk) -> None:
    await write(desk, "x" * (MAX_VALUE_BYTES - 2))
    for document in ({"value": "x" * (MAX_VALUE_BYTES - 1)}, {}, {"value": 1, "more": 2}):
        with pytest.raises(RequestError) as caught:
            await desk.manage.set_value(asked(document=document), "plan", "42")
        assert (caught.value.param, caught.value.code) in {("value", "invalid_value"), ("more", "invalid_value")}


async def test_a_write_holds_to_the_version_that_it_names(desk: Desk) -> None:
    first = await write(desk, 1)
    second = await desk.manage.set_value(asked(document={"value": 2}, if_match=first.etag), "plan", "42")
    assert (second.etag != first.etag, second.value["value"], "value" in second.before) == (True, 2, False)
    for act in (desk.manage.set_value, desk.manage.delete_value):
        with pytest.raises(PreconditionFailed):
            await act(asked(document={"value": 3}, if_match=first.etag), "plan", "42")
    with pytest.raises(PreconditionFailed):
        await desk.manage.set_value(asked(document={"value": 3}, if_match=etag_of("x")), "plan", "new")
    assert (await desk.manage.value(asked(), "plan", "42")).etag == second.etag


async def test_a_change_in_between_is_a_conflict(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(desk, 1)

    async def changed(*_: Any) -> str:
        raise EntityChanged("x")

    monkeypatch.setattr(desk.tables, "replace", changed)
    monkeypatch.setattr(desk.tables, "delete", changed)
    for act in (desk.manage.set_value, desk.manage.delete_value):
        with pytest.raises(Conflict):
            await act(asked(document={"value": 2}), "plan", "42")


async def test_keys_are_listed_page_by_page_without_their_values_and_each_tenants_apart(desk: Desk) -> None:
    for key in ("a", "b", "c"):
        await write(desk, "secret", key=key, tenant="contoso")
    await write(desk, "secret", key="z")
    page = await desk.manage.keys(asked(TENANT, limit="2"), "plan")
    assert [each["key"] for each in page["data"]] == ["a", "b"]
    rest = await desk.manage.keys(asked(TENANT, after=page["after"]), "plan")
    assert [each["key"] for each in rest["data"]] == ["c"]
    assert "secret" not in repr((page, rest))
    assert [each["key"] for each in (await desk.manage.keys(asked(), "plan"))["data"]] == ["z"]


REFUSED: tuple[tuple[Role, str, dict[str, str], type[GatewayError]], ...] = (
    (TENANT, "plan", {"tenant": "fabrikam"}, PermissionDenied),
    (TENANT, "theirs", {}, NotFound),
    (Role.ADMIN, "theirs", {"tenant": "contoso"}, NotFound),
    (Role.ADMIN, "nobody", {}, NotFound),
    (Role.ADMIN, "customer", {}, RequestError),
    (Role.ADMIN, "plan", {"tenant": "a|b"}, RequestError),
)


@pytest.mark.parametrize(("role", "name", "query", "error"), REFUSED, ids=[f"{role}-{name}-{query}" for role, name, query, _ in REFUSED])
async def test_what_is_anothers_or_has_no_values_is_refused(
    desk: Desk, role: Role, name: str, query: dict[str, str], error: type[GatewayError]
) -> None:
    who = asked(role, document={"value": 1}, **query)
    for act in (desk.manage.value, desk.manage.set_value, desk.manage.delete_value):
        with pytest.raises(error):
            await act(who, name, "42")
    with pytest.raises(error):
        await desk.manage.keys(who, name)


async def test_what_is_not_there_is_not_found_and_no_key_is_none(desk: Desk) -> None:
    for act in (desk.manage.value, desk.manage.delete_value):
        with pytest.raises(NotFound):
            await act(asked(), "plan", "42")
        with pytest.raises(RequestError):
            await act(asked(), "plan", "x" * 501)


async def test_a_tenants_administrator_sees_what_its_prompts_may_use_and_not_where_it_leads(desk: Desk) -> None:
    everything = (await desk.manage.list(asked()))["data"]
    assert [each["id"] for each in everything] == ["customer", "plan", "facts", "theirs"]
    assert (everything[0]["backend"], everything[0]["path"]) == ("crm", "/customers/{variables.id}")
    own = (await desk.manage.list(asked(TENANT)))["data"]
    assert [each["id"] for each in own] == ["customer", "plan", "facts"]
    assert own[0] == {
        "id": "customer", "type": "http", "ttl_s": 60.0, "timeout_s": 2.0, "fail": "closed", "default": None, "needs": ["variables.id"],
    }  # fmt: skip
    assert own[2]["features"] == {"customer:value": "number", "customer:orders": "integer"}
