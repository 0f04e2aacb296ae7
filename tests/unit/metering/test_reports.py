import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Operation
from gateway.domain.catalog import Catalog
from gateway.domain.ids import uuid7_hex
from gateway.errors import NotFound, RequestError, StoreUnavailable
from gateway.metering.draft import Draft
from gateway.metering.records import Recorder, UsageRecord, finish
from gateway.metering.reports import GROUPS, Reports
from tests.builders import make_backend, make_deployment, make_inbound, make_model, make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

NOW = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)


async def catalog() -> Catalog:
    served = make_deployment(id="gpt-4o-eastus", backend=make_backend(region="eastus", data_zone="us"), sku="data-zone-standard")
    return Catalog((make_model(served),), ())


class Office:
    def __init__(self) -> None:
        self.tables = FakeTables()
        self.recorder = Recorder(self.tables, FakeClock())
        self.reports = Reports(self.tables, self.recorder, FakeClock(NOW), catalog)
        self._number = 0

    def add(self, hours_ago: float = 1, tenant: str = "contoso", **over: Any) -> None:
        self._number += 1
        draft = Draft(make_inbound(request_id=f"req_{self._number:06}", operation=over.pop("operation", Operation.CHAT)))
        draft.principal = make_principal(tenant=tenant) if tenant else None
        record: UsageRecord = finish(draft, 1.0, NOW - datetime.timedelta(hours=hours_ago))
        self.recorder.add(msgspec.structs.replace(record, **{"model": "gpt-4o", "prompt_tokens": 10} | over))

    async def rows(self, **query: str) -> list[dict[str, Any]]:
        return list((await self.report(**query))["data"])

    async def report(self, **query: str) -> dict[str, Any]:
        return await self.reports.usage({name.rstrip("_"): value for name, value in query.items()})


async def test_sums_by_group_in_order() -> None:
    office = Office()
    office.add(completion_tokens=5, cached_tokens=4, reasoning_tokens=3, cost_micro_usd=1_500_000, avoided_micro_usd=250_000)
    office.add(completion_tokens=1, cost_micro_usd=250_000)
    office.add(status=429, prompt_tokens=0, tokens_estimated=True)
    office.add(model="a-model", cost_micro_usd=None, unpriced=True)
    assert await office.rows() == [
        {
            "model": "a-model", "requests": 1, "errors": 0, "prompt_tokens": 10, "completion_tokens": 0, "cached_tokens": 0,
            "reasoning_tokens": 0, "total_tokens": 10, "units": {}, "cost_usd": 0.0, "avoided_usd": 0.0, "unpriced_requests": 1,
            "estimated_requests": 0, "estimated_share": 0.0,
        },
        {
            "model": "gpt-4o", "requests": 3, "errors": 1, "prompt_tokens": 20, "completion_tokens": 6, "cached_tokens": 4,
            "reasoning_tokens": 3, "total_tokens": 26, "units": {}, "cost_usd": 1.75, "avoided_usd": 0.25, "unpriced_requests": 0,
            "estimated_requests": 1, "estimated_share": 0.3333,
        },
    ]  # fmt: skip


async def test_units_are_summed_each_kind_for_itself() -> None:
    office = Office()
    office.add(units=3, unit="pages")
    office.add(units=4, unit="pages")
    office.add(units=100, unit="characters")
    office.add()
    assert (await office.rows())[0]["units"] == {"characters": 100, "pages": 7}


@pytest.mark.parametrize("group", GROUPS)
async def test_every_group_works_also_where_a_row_leaves_it_out(group: str) -> None:
    office = Office()
    office.add(model="", user="", deployment="")
    office.add(tenant="")
    rows = await office.rows(group_by=group)
    assert sum(row["requests"] for row in rows) == 2
    assert all(isinstance(row[group], str) for row in rows)


async def test_the_newest_bound_is_excluded_and_the_oldest_included() -> None:
    office = Office()
    for hours_ago in (0, 1, 2, 3):
        office.add(hours_ago)
    assert (await office.rows(from_="2026-01-31T09:00:00Z", to="2026-01-31T12:00:00Z"))[0]["requests"] == 3
    assert (await office.rows(from_="2026-01-31T10:30", to="2026-01-31T11:00:01+00:00"))[0]["requests"] == 1
    assert await office.rows(from_="2026-01-31T12:00:01Z") == []


async def test_by_default_the_last_day_counts_to_this_very_moment() -> None:
    office = Office()
    for hours_ago in (0, 23, 25, 24 * 40):
        office.add(hours_ago)
    assert (await office.rows())[0]["requests"] == 2


async def test_an_offset_that_came_unencoded_is_understood() -> None:
    office = Office()
    office.add(0.5)
    assert len(await office.rows(from_="2026-01-31T13:15:00 02:00", to="2026-01-31T14:00:00+02:00")) == 1


async def test_management_calls_are_not_usage() -> None:
    office = Office()
    office.add(operation=Operation.MANAGE)
    assert await office.rows() == []


async def test_a_report_reads_every_page() -> None:
    office = Office()
    for _ in range(1205):
        office.add()
    assert (await office.rows(group_by="tenant"))[0]["requests"] == 1205


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "model,colour"}, "group_by"),
        ({"group_by": "model,model"}, "group_by"),
        ({"group_by": ","}, "group_by"),
        ({"group_by": "tag:"}, "group_by"),
        ({"group_by": "tenant,product,subscription,user,model,deployment,status"}, "group_by"),
        ({"interval": "week"}, "interval"),
        ({"tag": "=web"}, "tag"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"from": "0001-01-01T00:00:00+10:00"}, "from"),
        ({"to": "9999-12-31T23:00:00-10:00"}, "to"),
    ],
)
async def test_a_bad_parameter_is_named(query: dict[str, str], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await Office().reports.usage(query)
    assert caught.value.param == param


@pytest.mark.parametrize("to", ["0001-01-01", "9999-12-31"])
async def test_the_ends_of_time_are_no_fault(to: str) -> None:
    assert (await Office().reports.usage({"to": to}))["data"] == []


async def test_a_store_that_is_down_says_so() -> None:
    office = Office()
    office.tables.down = True
    with pytest.raises(StoreUnavailable):
        await office.rows()


async def test_several_groups_and_intervals_make_a_row_for_each_combination() -> None:
    office = Office()
    office.add(1.5, model="a", user="u")
    office.add(1.25, model="a", user="u")
    office.add(0.5, model="a", user="v")
    office.add(0.5, model="b", user="u")
    rows = await office.rows(group_by="model, user", interval="hour")
    assert [(row["start"][11:16], row["model"], row["user"], row["requests"]) for row in rows] == [
        ("10:00", "a", "u", 2), ("11:00", "a", "v", 1), ("11:00", "b", "u", 1),
    ]  # fmt: skip
    assert list(rows[0])[:3] == ["start", "model", "user"]
    for interval, start in (("day", "2026-01-31T00:00:00+00:00"), ("month", "2026-01-01T00:00:00+00:00")):
        report = await office.report(group_by="key", interval=interval)
        assert [(row["start"], row["key"], row["requests"]) for row in report["data"]] == [(start, "a" * 16, 4)]
        assert report["interval"] == interval
    assert "start" not in (await office.rows(interval="none"))[0]


async def test_tags_group_by_each_of_them_and_the_total_stays_true() -> None:
    office = Office()
    office.add(tags="team=web, task=code")
    office.add(tags="team=web")
    office.add(tags="team=shop,nonsense,=x")
    office.add()
    report = await office.report(group_by="tag")
    assert [(row["tag"], row["requests"]) for row in report["data"]] == [("", 1), ("task=code", 1), ("team=shop", 1), ("team=web", 2)]
    assert (report["total"]["requests"], report["total"]["prompt_tokens"], report["rows_overlap"]) == (4, 40, True)
    report = await office.report(group_by="tag:team,model")
    assert [(row["tag:team"], row["requests"]) for row in report["data"]] == [("", 1), ("shop", 1), ("web", 2)]
    assert report["rows_overlap"] is False


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"model": "a"}, 2), ({"model": "a", "user": "v"}, 1), ({"user": "nobody"}, 0), ({"tenant": "fabrikam"}, 1), ({"status": "429"}, 1),
        ({"tag": "team=web"}, 2), ({"tag": "team"}, 3), ({"tag": "team=web,task"}, 1), ({"tag": "team=x"}, 0), ({"model": ""}, 4),
        ({"session": "s-1"}, 1), ({"trace": "t-1"}, 1), ({"key": "a" * 16}, 4), ({"key": "b"}, 0), ({"client_request_id": "theirs"}, 1),
        ({"upstream_request_id": "theirs"}, 0), ({"upstream_request_id": "the backend's"}, 1),
    ],
)  # fmt: skip
async def test_a_filter_leaves_what_is_exactly_so(query: dict[str, str], found: int) -> None:
    office = Office()
    office.add(model="a", user="u", tags="team=web,task=code", session="s-1", client_request_id="theirs")
    office.add(model="a", user="v", tags="team=web", trace_id="t-1", upstream_request_id="the backend's")
    office.add(model="b", user="u", tags="team=shop", status=429)
    office.add(tenant="fabrikam", model="ab", user="uv")
    assert (await office.report(**query))["total"]["requests"] == found
    assert len((await office.reports.records(query))["data"]) == found


async def test_who_may_see_one_tenant_only_sees_nothing_of_another() -> None:
    office = Office()
    own, other = request_id_at(1), request_id_at(1)
    office.add(request_id=own)
    office.add(request_id=other, tenant="contoso-2")
    office.add(request_id=request_id_at(1), tenant="")
    for query in ({}, {"tenant": "contoso-2"}, {"group_by": "tenant"}):
        report = await office.reports.usage(query, "contoso")
        assert report["total"]["requests"] == 1
        assert [record["request_id"] for record in (await office.reports.records(query, "contoso"))["data"]] == [own]
    assert b"contoso-2" not in await office.reports.focus({}, "contoso")
    assert (await office.reports.record(own, "contoso"))["tenant"] == "contoso"
    with pytest.raises(NotFound):
        await office.reports.record(other, "contoso")


async def test_a_report_of_too_many_rows_says_how_to_ask_for_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.metering.sums.MAX_ROWS", 3)
    office = Office()
    for number in range(4):
        office.add(user=str(number))
    with pytest.raises(RequestError) as caught:
        await office.rows(group_by="user")
    assert caught.value.code == "report_too_large"
    assert "fewer groups" in caught.value.message
    assert len(await office.rows(group_by="model")) == 1


FIELD = st.sampled_from(["", "a", "b"])
COUNT = st.integers(0, 10**15)


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    unpriced = draw(st.booleans())
    return {
        "hours_ago": draw(st.floats(0, 80)), "tenant": draw(FIELD), "user": draw(FIELD), "model": draw(FIELD), "session": draw(FIELD),
        "status": draw(st.sampled_from([200, 404, 429])), "prompt_tokens": draw(COUNT), "completion_tokens": draw(COUNT),
        "cached_tokens": draw(COUNT), "cost_micro_usd": None if unpriced else draw(COUNT), "unpriced": unpriced,
        "units": draw(COUNT), "unit": draw(st.sampled_from(["pages", "images"])), "tokens_estimated": draw(st.booleans()),
        "tags": draw(st.sampled_from(["", "team=web", "team=shop,task=code"])),
        "operation": draw(st.sampled_from([Operation.CHAT, Operation.EMBEDDINGS, Operation.MANAGE])),
    }  # fmt: skip


NUMBERS = (
    "requests",
    "errors",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "unpriced_requests",
    "estimated_requests",
)


@given(
    st.lists(calls(), max_size=25),
    st.lists(st.sampled_from([group for group in GROUPS if group != "tag"] + ["tag:team"]), min_size=1, max_size=4, unique=True),
    st.sampled_from(["none", "hour", "day", "month"]),
)
async def test_the_rows_of_any_grouping_sum_to_the_total_and_that_to_the_records(
    made: list[dict[str, Any]], groups: list[str], interval: str
) -> None:
    office = Office()
    for call in made:
        office.add(**call)
    report = await office.report(group_by=",".join(groups), interval=interval, from_="2026-01-20")
    rows, total = report["data"], report["total"]
    records = [entity.values for entity in office.tables.rows("usage") if entity.values["operation"] != "manage"]
    assert {name: sum(row[name] for row in rows) for name in NUMBERS} == {name: total[name] for name in NUMBERS}
    for name in ("cost_usd", "avoided_usd"):
        assert sum(round(row[name] * 1e6) for row in rows) == round(total[name] * 1e6)
    assert total["requests"] == len(records)
    assert round(total["cost_usd"] * 1e6) == sum(int(str(record.get("cost_micro_usd", 0))) for record in records)
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert total[name] == sum(int(str(record.get(name, 0))) for record in records)
    for unit in ("pages", "images"):
        counted = sum(int(str(record["units"])) for record in records if record.get("unit") == unit and "units" in record)
        assert sum(row["units"].get(unit, 0) for row in rows) == total["units"].get(unit, 0) == counted
    keys = [tuple(row[name] for name in (*(["start"] if interval != "none" else []), *groups)) for row in rows]
    assert len(keys) == len(set(keys))
    assert keys == sorted(keys)


@given(st.lists(calls(), max_size=40), st.integers(1, 7))
async def test_a_list_shows_each_record_once_however_it_is_cut_into_pages(made: list[dict[str, Any]], limit: int) -> None:
    office = Office()
    for call in made:
        office.add(**call)
    seen: list[str] = []
    query = {"from": "2026-01-20", "limit": str(limit)}
    while True:
        page = await office.reports.records(query)
        assert len(page["data"]) <= limit
        seen += [record["request_id"] for record in page["data"]]
        assert page["has_more"] == (page["after"] is not None)
        if page["after"] is None:
            break
        query["after"] = page["after"]
    assert seen == [entity.row for entity in office.tables.rows("usage") if entity.values["operation"] != "manage"]


async def test_a_list_says_where_to_go_on_when_it_has_looked_through_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.metering.reports.PAGES_LOOKED_THROUGH", 1)
    office = Office()
    for number in range(1100):
        office.add(model="wanted" if number == 1050 else "other")
    first = await office.reports.records({"model": "wanted"})
    assert (first["data"], first["has_more"]) == ([], True)
    second = await office.reports.records({"model": "wanted", "after": first["after"]})
    assert [record["request_id"] for record in second["data"]] == ["req_001051"]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"after": "nonsense"}, {"after": "W251bGwsbnVsbF0="}])
async def test_a_list_names_what_it_cannot_use(query: dict[str, str]) -> None:
    with pytest.raises(RequestError) as caught:
        await Office().reports.records(query)
    assert caught.value.param == next(iter(query))


UNKNOWN = "req_019c13a3a0007" + "0" * 19


def request_id_at(hours_ago: float) -> str:
    return f"req_{uuid7_hex((NOW - datetime.timedelta(hours=hours_ago)).timestamp())}"


@pytest.mark.parametrize("took_hours", [0, 0.99])
async def test_a_record_is_found_by_its_request_id_even_if_the_hour_has_turned(took_hours: float) -> None:
    office = Office()
    wanted, other = request_id_at(5), request_id_at(5)
    office.add(hours_ago=5 - took_hours, request_id=other, model="other")
    office.add(hours_ago=5 - took_hours, request_id=wanted, model="wanted")
    record = await office.reports.record(wanted)
    assert (record["request_id"], record["model"], record["prompt_tokens"]) == (wanted, "wanted", 10)
    assert record["at"].startswith("2026-01-31T0")


@pytest.mark.parametrize("request_id", ["", "req_1", "req_zz", "req_" + "f" * 32, UNKNOWN, "req_" + "0" * 32, UNKNOWN + "0"])
async def test_an_unknown_request_id_is_not_found(request_id: str) -> None:
    office = Office()
    office.add()
    with pytest.raises(NotFound) as caught:
        await office.reports.record(request_id)
    assert caught.value.code == "record_not_found"
