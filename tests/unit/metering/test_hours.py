import csv
import datetime
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Capacity
from gateway.errors import RequestError
from gateway.metering.reports import Reports
from tests.builders import make_deployment, make_model, make_price
from tests.fakes.clock import FakeClock
from tests.unit.metering.test_reports import NOW, Office

HOUR_MICRO_USD = 3 * 1_000_001  # three units
HOURS = 3  # from 09:30: the hours that begin at 9, 10 and 11


async def catalog() -> Catalog:
    paid = make_deployment(id="ptu", name="ptu", sku="provisioned", capacity=Capacity(ptu=3), price=make_price(ptu_hour=1_000_001))
    return Catalog((make_model(paid, make_deployment(id="east")),), ())


class PaidOffice(Office):
    def __init__(self) -> None:
        super().__init__()
        self.reports = Reports(self.tables, self.recorder, FakeClock(NOW - datetime.timedelta(seconds=1)), catalog)

    async def costs(self, only: str | None = None, **query: str) -> dict[str, Any]:
        return await self.reports.costs({"from": "2026-01-31T09:30:00Z"} | query, only)


def call(office: Office, hours_ago: float, **over: Any) -> None:
    office.add(hours_ago, **{"deployment": "ptu", "prompt_tokens": 100, "cost_micro_usd": 7} | over)


def micro_usd(dollars: float) -> int:
    return round(dollars * 1e6)


async def test_an_hour_is_divided_by_the_tokens_that_were_worked_on_and_the_estimates_make_way() -> None:
    office = PaidOffice()
    call(office, 1.5)
    call(office, 1.5, tenant="fabrikam", prompt_tokens=500, cached_tokens=400, completion_tokens=100)
    call(office, 1.5, tenant="fabrikam", deployment="east", cost_micro_usd=1_000)
    report = await office.costs()
    rows = {row["tenant"]: row for row in report["data"]}
    assert micro_usd(rows["contoso"]["provisioned_usd"]) == HOUR_MICRO_USD // 3
    assert micro_usd(rows["fabrikam"]["effective_usd"]) == 2 * HOUR_MICRO_USD // 3 + 1_000
    assert micro_usd(rows["fabrikam"]["cost_usd"]) == 1_007
    assert micro_usd(rows["(idle)"]["effective_usd"]) == (HOURS - 1) * HOUR_MICRO_USD
    assert rows["(idle)"]["requests"] == 0
    assert micro_usd(report["total"]["effective_usd"]) == HOURS * HOUR_MICRO_USD + 1_000


async def test_who_sees_one_tenant_only_sees_its_share_of_what_all_used_and_no_idle_hours() -> None:
    office = PaidOffice()
    call(office, 1.5)
    call(office, 1.5, tenant="fabrikam")
    for report in (await office.costs("contoso"), await office.costs(None, tenant="contoso")):
        assert [(row["tenant"], micro_usd(row["effective_usd"])) for row in report["data"]] == [("contoso", (HOUR_MICRO_USD + 1) // 2)]
        assert report["total"]["requests"] == 1


async def test_what_is_before_the_span_in_its_first_hour_has_its_share_and_is_not_shown() -> None:
    office = PaidOffice()
    call(office, 2.75)
    call(office, 2.25)
    report = await office.costs(interval="hour", group_by="tenant,deployment")
    shown = {(row["start"][11:13], row["tenant"], row["deployment"]): micro_usd(row["effective_usd"]) for row in report["data"]}
    assert shown["09", "contoso", "ptu"] == (HOUR_MICRO_USD + 1) // 2
    assert {key for key in shown if key[1] == "(idle)"} == {("10", "(idle)", "ptu"), ("11", "(idle)", "ptu")}


async def test_hours_to_come_cost_nothing_yet_and_too_many_are_refused() -> None:
    office = PaidOffice()
    report = await office.costs(to="2026-02-28")
    assert micro_usd(report["total"]["effective_usd"]) == HOURS * HOUR_MICRO_USD
    with pytest.raises(RequestError) as caught:
        await office.costs(**{"from": "2020-01-01"})
    assert caught.value.code == "report_too_large"


async def test_the_table_has_the_shares_and_a_row_for_what_nobody_used() -> None:
    office = PaidOffice()
    call(office, 1.5)
    data = (await office.reports.focus({"from": "2026-01-31T09:30:00Z"})).decode()
    idle, used = csv.DictReader(io.StringIO(data, newline=""))
    assert (used["BillingAccountId"], used["EffectiveCost"], used["x_Sku"]) == ("contoso", "3.000003", "provisioned")
    assert (idle["BillingAccountId"], idle["EffectiveCost"], idle["ChargeDescription"]) == ("(idle)", "6.000006", "unused hours of ptu")


uses = st.fixed_dictionaries({
    "hours_ago": st.floats(0.01, 2.4),
    "tenant": st.sampled_from("abc"),
    "user": st.sampled_from("uv"),
    "deployment": st.sampled_from(["ptu", "east"]),
    "prompt_tokens": st.integers(0, 9),
    "completion_tokens": st.integers(0, 9),
    "cached_tokens": st.integers(0, 9),
    "cost_micro_usd": st.integers(0, 10**6),
    "tags": st.sampled_from(["", "team=web"]),
})  # fmt: skip


@given(
    st.lists(uses, max_size=12),
    st.sampled_from(["tenant", "tenant,user", "user,tag:team", "deployment", "tag"]),
    st.sampled_from(["none", "hour"]),
)
async def test_whatever_the_groups_all_shares_are_the_hours_price_to_the_micro_dollar(
    made: list[dict[str, Any]], group_by: str, interval: str
) -> None:
    office = PaidOffice()
    for one in made:
        call(office, **one)
    report = await office.costs(group_by=group_by, interval=interval)
    other = sum(one["cost_micro_usd"] for one in made if one["deployment"] == "east")
    assert micro_usd(report["total"]["effective_usd"]) == HOURS * HOUR_MICRO_USD + other
    assert sum(micro_usd(row["effective_usd"]) for row in report["data"]) == HOURS * HOUR_MICRO_USD + other
    assert micro_usd(report["total"]["cost_usd"]) == sum(one["cost_micro_usd"] for one in made)
    parts = [await office.costs(tenant) for tenant in "abc"]
    idle = [row for row in (await office.costs())["data"] if row["tenant"] == "(idle)"]
    effective = sum(micro_usd(part["total"]["effective_usd"]) for part in parts) + sum(micro_usd(row["effective_usd"]) for row in idle)
    assert abs(effective - HOURS * HOUR_MICRO_USD - other) <= 3 * HOURS  # each of them is rounded for itself
