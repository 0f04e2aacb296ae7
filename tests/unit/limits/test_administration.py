"""What administrators see of counters, and what a tenant's administrator does not."""

import datetime
import json

import pytest

from gateway.domain.access import Role
from gateway.domain.management import Asked
from gateway.errors import NotFound, PermissionDenied, RequestError
from gateway.limits.administration import LimitsAdministration
from gateway.limits.proof import Prover
from gateway.limits.reconcile import Reconciler
from tests.builders import make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
MINE, THEIRS = "subscription|contoso|sub_1", "tenant|fabrikam"
MONTH = "c|tokens.month|2026-11"
OPERATOR = make_principal(tenant="-", roles=frozenset({Role.ADMIN}))
TENANT_ADMIN = make_principal(roles=frozenset({Role.TENANT_ADMIN}))


@pytest.fixture
async def tables():
    tables = FakeTables()
    for partition in (MINE, THEIRS, "gateway"):
        await tables.upsert("limits", partition, MONTH, {"spent": 0, "out": 100})
        held = {"held": json.dumps({MONTH: [0, 100]}), "seq": 1, "since": NOON, "expires": NOON}
        await tables.upsert("limits", partition, "l|dead", held)
    return tables


@pytest.fixture
def administration(tables):
    clock = FakeClock(NOON + datetime.timedelta(hours=1))
    return LimitsAdministration(Prover(tables, clock), Reconciler(tables, clock))


async def test_an_administrator_sees_all_scopes_in_pages(administration):
    page = await administration.get(Asked(OPERATOR, query={"limit": "2"}))
    assert [each["scope"] for each in page["data"]] == ["gateway", MINE]
    rest = await administration.get(Asked(OPERATOR, query={"limit": "2", "after": page["after"]}))
    assert [each["scope"] for each in rest["data"]] == [THEIRS]
    assert rest["has_more"] is False


async def test_a_tenant_s_administrator_sees_its_own_scopes_only(administration):
    page = await administration.get(Asked(TENANT_ADMIN))
    assert [each["scope"] for each in page["data"]] == [MINE]
    assert (await administration.get(Asked(TENANT_ADMIN, query={"scope": MINE})))["counters"][0]["out"] == 100
    for scope in (THEIRS, "gateway", "tenant|nobody"):
        with pytest.raises(NotFound) as refusal:
            await administration.get(Asked(TENANT_ADMIN, query={"scope": scope}))
        assert refusal.value.code == "unknown_scope"
    with pytest.raises(PermissionDenied):
        await administration.get(Asked(TENANT_ADMIN, query={"tenant": "fabrikam"}))


@pytest.mark.parametrize(
    ("query", "param"), [({"scope": "a/b"}, "scope"), ({"scope": MINE, "at": "yesterday"}, "at"), ({"limit": "0"}, "limit")]
)
async def test_a_parameter_that_is_not_understood_is_named(administration, query, param):
    with pytest.raises(RequestError) as refusal:
        await administration.get(Asked(OPERATOR, query=query))
    assert refusal.value.param == param


async def test_earlier_windows_are_shown_at_their_time(administration):
    shown = await administration.get(Asked(OPERATOR, query={"scope": MINE, "at": "2026-12-01"}))
    assert shown["counters"] == []


async def test_one_scope_is_taken_back_on_request_or_all(administration, tables):
    told = await administration.reconcile(Asked(OPERATOR, document={"scope": MINE}))
    assert told["returned"] == [{"scope": MINE, "worker": "dead", "given_back": {"tokens.month|2026-11": 100}}]
    told = await administration.reconcile(Asked(OPERATOR))
    assert sorted(each["scope"] for each in told["returned"]) == ["gateway", THEIRS]
    assert not [entity for entity in tables.rows("limits") if entity.row.startswith("l|")]
    with pytest.raises(RequestError) as refusal:
        await administration.reconcile(Asked(OPERATOR, document={"all": True}))
    assert refusal.value.param == "all"
