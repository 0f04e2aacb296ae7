import csv
import datetime
import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.metering.focus import COLUMNS, FORMULA
from tests.unit.metering.test_reports import NOW, Office

# focus.finops.org, "FOCUS Specification v1.3" and "v1.4": the columns of the Cost and Usage dataset that must be there, and
# those of them that must not be null for a usage charge.
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "HostProviderName",
    "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ServiceCategory", "ServiceName", "ServiceProviderName",
}  # fmt: skip
NULL = {"ChargeClass"}  # not a correction


async def table(office: Office, **query: str) -> list[dict[str, str]]:
    data = (await office.reports.focus(query)).decode()
    assert data.splitlines()[0] == ",".join(COLUMNS)
    assert data.count("\r\n") >= 1
    return list(csv.DictReader(io.StringIO(data, newline="")))


def served(office: Office, **over: object) -> None:
    fields = {"deployment": "gpt-4o-eastus", "backend": "aoai-eastus", "cost_micro_usd": 1_234_567, "completion_tokens": 5, "user": "anna"}
    office.add(**{**fields, **over})  # type: ignore[arg-type]


async def test_a_row_says_who_pays_for_what_when_and_how_much() -> None:
    office = Office()
    served(office, tags="team=web,task=code", cached_tokens=4, avoided_micro_usd=1, tokens_estimated=True)
    served(office, tags="team=web,task=code")
    (row,) = await table(office)
    assert {column for column in MANDATORY - NULL if not row[column]} == set()
    expected = {
        "BilledCost": "2.469134", "EffectiveCost": "2.469134", "ListCost": "2.469134", "ContractedCost": "2.469134",
        "BillingAccountId": "contoso", "SubAccountId": "sub_1", "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-01-01T00:00:00Z", "BillingPeriodEnd": "2026-02-01T00:00:00Z",
        "ChargePeriodStart": "2026-01-31T00:00:00Z", "ChargePeriodEnd": "2026-02-01T00:00:00Z",
        "ChargeCategory": "Usage", "ChargeClass": "", "ChargeDescription": "chat with gpt-4o",
        "ConsumedQuantity": "30", "ConsumedUnit": "Tokens", "PricingQuantity": "30", "PricingUnit": "Tokens",
        "ServiceProviderName": "Microsoft", "InvoiceIssuerName": "Microsoft", "ProviderName": "Microsoft", "ServiceName": "Azure OpenAI",
        "RegionId": "eastus", "ResourceId": "gpt-4o-eastus", "ResourceName": "gpt-4o-eastus", "SkuId": "gpt4o", "SkuMeter": "chat tokens",
        "x_Sku": "data-zone-standard", "x_DataZone": "us", "x_Backend": "aoai-eastus", "x_Model": "gpt-4o", "x_Product": "starter",
        "x_Requests": "2", "x_PromptTokens": "20", "x_CompletionTokens": "10", "x_CachedTokens": "4", "x_AvoidedCost": "0.000001",
        "x_EstimatedRequests": "1", "x_UnpricedRequests": "0",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert json.loads(row["Tags"]) == {"team": "web", "task": "code"}


def test_columns_stand_in_the_order_of_the_specification_and_ours_after_them() -> None:
    own = [column for column in COLUMNS if column.startswith("x_")]
    theirs = [column for column in COLUMNS if not column.startswith("x_")]
    assert list(COLUMNS) == [*sorted(theirs), *sorted(own)]
    assert set(theirs) >= MANDATORY


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        ("hour", "2026-01-31T11:00:00Z", "2026-01-31T12:00:00Z"),
        ("day", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("month", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
    ],
)
async def test_a_charge_period_is_the_interval(interval: str, start: str, end: str) -> None:
    office = Office()
    served(office, hours_ago=0.5)
    (row,) = await table(office, interval=interval)
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (start, end)


async def test_what_has_no_price_has_no_cost_and_a_row_of_its_own() -> None:
    office = Office()
    served(office)
    served(office, cost_micro_usd=None, unpriced=True)
    priced, unpriced = await table(office)
    assert (priced["BilledCost"], priced["x_UnpricedRequests"]) == ("1.234567", "0")
    assert [unpriced[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")] == [""] * 4
    assert (unpriced["ConsumedQuantity"], unpriced["x_UnpricedRequests"]) == ("15", "1")
    assert unpriced["ChargeDescription"] == "chat with gpt-4o, which has no known price"


async def test_units_are_quantities_each_in_its_row() -> None:
    office = Office()
    served(office, prompt_tokens=0, completion_tokens=0, units=3, unit="pages")
    served(office, prompt_tokens=0, completion_tokens=0, units=200, unit="characters")
    assert [(row["ConsumedQuantity"], row["ConsumedUnit"]) for row in await table(office)] == [("200", "Characters"), ("3", "Pages")]


async def test_calls_that_used_nothing_have_no_row() -> None:
    office = Office()
    served(office, status=404, prompt_tokens=0, completion_tokens=0, cost_micro_usd=0)
    assert await table(office) == []


async def test_a_deployment_that_the_catalogue_has_no_more_is_named_by_its_records() -> None:
    office = Office()
    served(office, deployment="gone")
    (row,) = await table(office)
    assert (row["ResourceId"], row["SkuId"], row["ServiceProviderName"], row["RegionId"]) == ("gone", "gpt-4o", "AI gateway", "")


@example(text="=1+1", first=" ")
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20), st.sampled_from(["", " ", *FORMULA]))
async def test_no_cell_of_text_is_a_formula_whatever_callers_call_themselves(text: str, first: str) -> None:
    office = Office()
    name = first + text
    served(office, model=name, subscription=name, product=name, deployment=name, tags=f"team={name}")
    (row,) = await table(office)
    assert [column for column, cell in row.items() if cell.lstrip(" ").startswith(FORMULA)] == []
    assert row["x_Model"].removeprefix("'") == name.removeprefix("'")


@pytest.mark.parametrize(
    ("query", "param"), [({"group_by": "model"}, "group_by"), ({"interval": "none"}, "interval"), ({"from": "x"}, "from")]
)
async def test_what_a_table_cannot_be_asked_is_named(query: dict[str, str], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await Office().reports.focus(query)
    assert caught.value.param == param


@given(
    st.lists(
        st.tuples(
            st.floats(0, 100), st.sampled_from("ab"), st.sampled_from("mn"), st.integers(0, 10**12), st.booleans(), st.integers(0, 3)
        ),
        max_size=20,
    ),
    st.sampled_from(["hour", "day", "month"]),
)
async def test_the_tables_costs_and_quantities_sum_to_the_reports(
    made: list[tuple[float, str, str, int, bool, int]], interval: str
) -> None:
    office = Office()
    for hours_ago, tenant, model, cost, unpriced, tokens in made:
        served(office, hours_ago=hours_ago, tenant=tenant, model=model, cost_micro_usd=None if unpriced else cost, unpriced=unpriced,
               prompt_tokens=tokens, completion_tokens=0)  # fmt: skip
    start = (NOW - datetime.timedelta(days=10)).isoformat()
    rows = await table(office, **{"from": start, "interval": interval})
    total = (await office.report(from_=start))["total"]
    assert sum(int(row["BilledCost"].replace(".", "") or 0) for row in rows) == round(total["cost_usd"] * 1e6)
    assert sum(int(row["ConsumedQuantity"]) for row in rows) == total["total_tokens"]
    assert sum(int(row["x_UnpricedRequests"]) for row in rows) == total["unpriced_requests"]
