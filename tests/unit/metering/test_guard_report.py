from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.domain.guardrails import Direction
from gateway.domain.verdict_text import line_of
from gateway.domain.verdicts import Outcome, Verdict
from gateway.errors import RequestError
from tests.unit.metering.test_reports import NOW, Office

MAIL = Verdict("mask-pii", Direction.MESSAGES, Outcome.REDACTED, "email", count=2, ms=0.5, label="personal")
CARD = Verdict("mask-pii", Direction.OUTPUT, Outcome.REDACTED, "card", count=1, ms=0.25)
CLEAR = Verdict("content-safety", Direction.MESSAGES, Outcome.PASSED, ms=30)
HARM = Verdict("content-safety", Direction.MESSAGES, Outcome.BLOCKED, "hate", 4, count=1, ms=20)
DOWN = Verdict("content-safety", Direction.OUTPUT, Outcome.UNAVAILABLE)


class Desk(Office):
    def judged(self, *verdicts: Verdict, hours_ago: float = 1, tenant: str = "contoso", **over: Any) -> None:
        self.add(hours_ago, tenant, guardrails=line_of(verdicts), **over)

    async def verdicts(self, tenant: str | None = None, **query: str) -> dict[str, Any]:
        return await self.reports.guardrails({name.rstrip("_"): value for name, value in query.items()}, tenant)


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.judged(MAIL, CARD, CLEAR)
    made.judged(HARM, tenant="fabrikam", model="other")
    made.judged(CLEAR, DOWN, hours_ago=3)
    made.add()  # not guarded
    return made


def brief(report: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in report["data"]]


async def test_verdicts_are_summed_by_guardrail_and_outcome(desk: Desk) -> None:
    report = await desk.verdicts()
    assert report["group_by"] == "guard,outcome"
    assert brief(report, "guard", "outcome", "verdicts", "calls", "findings", "ms") == [
        ("content-safety", "blocked", 1, 1, 1, 20),
        ("content-safety", "passed", 2, 2, 0, 60),
        ("content-safety", "unavailable", 1, 1, 0, 0),
        ("mask-pii", "redacted", 2, 1, 3, 0.75),
    ]
    total = {name: value for name, value in report["total"].items() if value}
    assert total == {"verdicts": 6, "calls": 3, "findings": 4, "redacted": 2, "passed": 2, "blocked": 1, "unavailable": 1, "ms": 80.75}


async def test_a_row_has_a_sum_for_each_outcome(desk: Desk) -> None:
    (row,) = (await desk.verdicts(group_by="guard", guard="content-safety"))["data"]
    assert {outcome.value: row[outcome.value] for outcome in Outcome if row[outcome.value]} == {"blocked": 1, "passed": 2, "unavailable": 1}


@pytest.mark.parametrize(
    ("group_by", "rows"),
    [
        ("category", [("", 3), ("card", 1), ("email", 1), ("hate", 1)]),
        ("severity", [("", 5), ("4", 1)]),
        ("direction", [("messages", 4), ("output", 2)]),
        ("tenant", [("contoso", 5), ("fabrikam", 1)]),
        ("model", [("gpt-4o", 5), ("other", 1)]),
        ("label", [("", 5), ("personal", 1)]),
    ],
)
async def test_it_groups_by_what_is_said_of_a_verdict_and_of_its_call(desk: Desk, group_by: str, rows: list[tuple[str, int]]) -> None:
    assert brief(await desk.verdicts(group_by=group_by), group_by, "verdicts") == rows


async def test_filters_are_for_verdicts_and_for_calls(desk: Desk) -> None:
    assert brief(await desk.verdicts(group_by="guard", direction="output"), "guard", "verdicts") == [("content-safety", 1), ("mask-pii", 1)]
    assert (await desk.verdicts(model="other", outcome="blocked"))["total"]["verdicts"] == 1
    assert (await desk.verdicts(model="other", outcome="passed"))["total"]["calls"] == 0


async def test_intervals_make_rows_of_their_own(desk: Desk) -> None:
    report = await desk.verdicts(group_by="guard", guard="content-safety", interval="hour")
    assert brief(report, "start", "calls") == [("2026-01-31T09:00:00+00:00", 1), ("2026-01-31T11:00:00+00:00", 2)]
    assert (await desk.verdicts(from_=NOW.isoformat()))["data"] == []


async def test_a_tenants_administrator_sees_its_own_only(desk: Desk) -> None:
    assert brief(await desk.verdicts("fabrikam", group_by="tenant"), "tenant", "calls") == [("fabrikam", 1)]
    assert (await desk.verdicts("fabrikam", tenant_="contoso"))["total"]["blocked"] == 1


async def test_what_cannot_be_read_is_counted_and_management_is_not(desk: Desk) -> None:
    desk.add(guardrails='[{"guard":"x","direction":"sideways","outcome":"passed"}]')
    desk.judged(MAIL, operation=Operation.MANAGE)
    report = await desk.verdicts()
    assert (report["unreadable_records"], report["total"]["verdicts"]) == (1, 6)


WRONG: list[tuple[dict[str, str], str]] = [
    ({"group_by": "guards"}, "group_by"),
    ({"outcome": "fine"}, "outcome"),
    ({"direction": "input"}, "direction"),
    ({"from": "x"}, "from"),
]


@pytest.mark.parametrize(("query", "param"), WRONG)
async def test_what_is_not_understood_is_named(desk: Desk, query: dict[str, str], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await desk.reports.guardrails(query)
    assert caught.value.param == param


async def test_usage_takes_none_of_its_groups(desk: Desk) -> None:
    with pytest.raises(RequestError):
        await desk.reports.usage({"group_by": "guard"})
