"""What /manage/budgets shows is what the limiter counts."""

import random
from typing import Any

import msgspec
import pytest

from gateway.access.directory import Directory
from gateway.budgets import Budgets
from gateway.domain.access import Role
from gateway.domain.amounts import Amounts
from gateway.domain.catalog import Catalog
from gateway.domain.limits import Budget, Limits, Quota, TokenQuota
from gateway.domain.management import Asked
from gateway.errors import NotFound, PermissionDenied, RequestError
from gateway.limits.limiter import Limiter
from gateway.limits.scopes import scopes_of
from tests.builders import make_principal, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

SHARED = make_product(
    id="starter",
    limits=Limits(tokens=(TokenQuota("day", 1000),), requests_per_minute=50, concurrency=10),
    shared_limits=Limits(requests=(Quota("month", 100),)),
    user_limits=Limits(budget_usd=(Budget("month", 2.0),)),
)
GATEWAY = Limits(budget_usd=(Budget("year", 1000.0),))
TENANT = Limits(budget_usd=(Budget("month", 10.0),))
OWN = Limits(requests=(Quota("hour", 4),))


def asked(role: Role = Role.ADMIN, **query: str) -> Asked:
    return Asked(make_principal(tenant="contoso", roles=frozenset({role})), query=query)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def tables() -> FakeTables:
    tables = FakeTables()
    for tenant in ("contoso", "fabrikam"):
        await tables.insert("tenants", "tenant", tenant, {"name": tenant, "limits": msgspec.json.encode(TENANT).decode()})
        for number, state in enumerate(("active", "active", "cancelled")):
            values = {"product": "starter", "name": "x", "state": state, "limits": msgspec.json.encode(OWN).decode()}
            await tables.insert("subscriptions", tenant, f"sub_{number}", values)
    return tables


@pytest.fixture
def budgets(tables: FakeTables, clock: FakeClock) -> Budgets:
    catalog = Catalog((), (SHARED,), limits=GATEWAY)
    return Budgets(tables, Directory(tables, catalog, b"pepper", clock), GATEWAY, clock)


async def use(tables: FakeTables, clock: FakeClock, subscription: str, user: str = "", cost: int = 500_000) -> None:
    """Make one call and give the slices back."""
    limiter = Limiter(tables, clock, f"w{random.random()}", random.Random(1))
    principal = make_principal(subscription=subscription, limits=OWN, tenant_limits=TENANT)
    amounts = Amounts(1, 60, 40, cost)
    limiter.settle(await limiter.reserve(scopes_of(GATEWAY, principal, SHARED, user), amounts), amounts)
    await limiter.close()


def brief(page: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted(
        (each["scope"], each["name"], f"{each['metric']}.{each['window']}", each["charged"], each["percent"]) for each in page["data"]
    )


async def test_every_calendar_limit_is_shown_with_what_is_charged(tables: FakeTables, clock: FakeClock, budgets: Budgets) -> None:
    await use(tables, clock, "sub_0", "ann")
    await use(tables, clock, "sub_0", "bob", cost=250_000)
    await use(tables, clock, "sub_1")
    page = await budgets.page(asked(tenant="contoso"))
    users = [each for each in page["data"] if each["scope"] == "user"]
    assert [line for line in brief(page) if line[0] != "user"] == [
        ("product", "starter", "requests.month", 3, 3.0),
        ("subscription", "sub_0", "requests.hour", 2, 50.0),
        ("subscription", "sub_0", "tokens.day", 200, 20.0),
        ("subscription", "sub_1", "requests.hour", 1, 25.0),
        ("subscription", "sub_1", "tokens.day", 100, 10.0),
        ("tenant", None, "cost.month", 1_250_000, 12.5),
    ]
    assert sorted(each["charged_usd"] for each in users) == [0.25, 0.5]
    assert all(each["name"].startswith("sub_0/") and each["limit_usd"] == 2.0 for each in users)
    assert not any("ann" in str(each) for each in users)


async def test_what_workers_hold_is_charged_as_well(tables: FakeTables, budgets: Budgets) -> None:
    await tables.insert("limits", "tenant|contoso", "c|cost.month|2026-01", {"spent": 3_000_000, "out": 500_000})
    data = (await budgets.page(asked(tenant="contoso")))["data"]
    assert [(each["charged_usd"], each["percent"]) for each in data if each["scope"] == "tenant"] == [(3.5, 35.0)]


async def test_a_line_says_whose_limit_it_is_and_when_its_window_ends(budgets: Budgets, clock: FakeClock) -> None:
    data = (await budgets.page(asked(tenant="contoso")))["data"]
    (tokens,) = [each for each in data if each["metric"] == "tokens" and each["name"] == "sub_0"]
    assert (tokens["limit"], tokens["charged"], tokens["mode"], tokens["limit_of"]) == (1000, 0, "enforce", "product")
    assert (tokens["window_id"], tokens["ends_at"].isoformat()) == ("2026-01-01", "2026-01-02T00:00:00+00:00")


async def test_what_was_charged_in_the_window_before_is_not_shown(tables: FakeTables, clock: FakeClock, budgets: Budgets) -> None:
    await use(tables, clock, "sub_0", "ann")
    clock.advance(32 * 86_400)
    page = await budgets.page(asked(tenant="contoso"))
    assert {line[3] for line in brief(page)} == {0}
    assert not [each for each in page["data"] if each["scope"] == "user"]


async def test_pages_are_of_whole_tenants_and_begin_with_the_gateways_own(tables: FakeTables, clock: FakeClock, budgets: Budgets) -> None:
    await use(tables, clock, "sub_0")
    found: list[list[str | None]] = []
    after: str | None = ""
    while after is not None:
        page = await budgets.page(asked(limit="1", **({"after": after} if after else {})))
        found.append(sorted({each["tenant"] or each["scope"] for each in page["data"]}))
        after = page["after"]
    assert [each for each in found if each] == [["gateway"], ["contoso"], ["fabrikam"]]


async def test_a_tenants_administrator_sees_its_own_only(budgets: Budgets) -> None:
    data = (await budgets.page(asked(Role.TENANT_ADMIN)))["data"]
    assert {each["tenant"] for each in data} == {"contoso"}
    with pytest.raises(PermissionDenied):
        await budgets.page(asked(Role.TENANT_ADMIN, tenant="fabrikam"))


@pytest.mark.parametrize("name", ["a/b", "\0", "x" * 2000])
async def test_what_can_be_no_tenant_is_refused_by_its_parameters_name(budgets: Budgets, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        await budgets.page(asked(tenant=name))
    assert caught.value.param == "tenant"


async def test_a_tenant_that_does_not_exist_is_not_found(budgets: Budgets) -> None:
    with pytest.raises(NotFound):
        await budgets.page(asked(tenant="nobody"))
