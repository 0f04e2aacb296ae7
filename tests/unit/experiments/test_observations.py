"""Usage records are read once, from the start on, and become sums of units: a user, or a session, of one subscription."""

from typing import Any

import pytest

from gateway.domain.experiments import Experiment, Goal
from gateway.domain.tables import Page
from gateway.errors import StoreUnavailable
from gateway.experiments import observations
from gateway.experiments.feedback_rows import FEEDBACK_TABLE, Vote
from gateway.experiments.observations import Observations, Observed, measured
from gateway.experiments.observations_tally import Seen, Tally
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.experiments.ledger import HOUR, MINUTE, SECOND, START, experiment, record


@pytest.fixture
def tables() -> FakeTables:
    return FakeTables()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START + 2 * HOUR)


@pytest.fixture
def seen(tables: FakeTables, clock: FakeClock) -> Observations:
    return Observations(tables, clock)


async def known(seen: Observations, of: Experiment | None = None) -> Observed:
    found = await seen.of(of or experiment())
    assert found is not None
    return found


async def vote(tables: FakeTables, hour: str = "2026-11-23T10", **over: Any) -> None:
    fields: dict[str, Any] = {"tenant": "contoso", "subscription": "sub_1", "request_id": "req_1", "metric": "helpful", "value": 1.0}
    fields |= {"at": START, "called_at": START + MINUTE, "user": "anna", "experiment": "greeting", "variant": "control"}
    given = Vote(**fields | over)
    await tables.upsert(FEEDBACK_TABLE, f"{hour}|{given.tenant}", given.key, given.row())


async def test_a_unit_counts_once_with_the_mean_over_its_calls(tables: FakeTables, seen: Observations) -> None:
    await record(tables, START + MINUTE, total_s=1.0)
    await record(tables, START + 65 * MINUTE, total_s=3.0)
    await record(tables, START + MINUTE, user="bob", total_s=4.0)
    control = (await known(seen)).tally.variants["control"]
    latency = control.arms["latency_s"]
    assert (control.units, control.calls, control.exposures) == (2, 3, 3)
    assert (latency.now.n, latency.now.mean, latency.first.mean) == (2, 3.0, 2.5)


async def test_calls_before_the_start_of_others_and_of_nobody_are_no_units(tables: FakeTables, seen: Observations) -> None:
    await record(tables, START - SECOND)
    await record(tables, START + MINUTE, experiment="other")
    await record(tables, START + MINUTE, tenant="fabrikam")
    await record(tables, START + MINUTE, variant="gone")
    await record(tables, START + MINUTE, user="")
    control = (await known(seen)).tally.variants["control"]
    assert (control.units, control.calls, control.exposures) == (0, 0, 1)


async def test_the_same_name_in_another_subscription_or_tenant_is_another_unit(tables: FakeTables, seen: Observations) -> None:
    await record(tables, START + MINUTE)
    await record(tables, START + MINUTE, subscription="sub_2")
    await record(tables, START + MINUTE, tenant="fabrikam")
    assert (await known(seen)).tally.variants["control"].units == 2


async def test_a_shared_experiment_and_a_tenants_own_of_the_same_id_are_two(tables: FakeTables, seen: Observations) -> None:
    shared = experiment(tenant="")
    await record(tables, START + MINUTE)
    for tenant in ("contoso", "fabrikam"):
        await record(tables, START + MINUTE, tenant=tenant, experiment=shared.recorded)
    assert (await known(seen)).tally.variants["control"].units == 1
    assert (await known(seen, shared)).tally.variants["control"].units == 2


@pytest.mark.parametrize(("unit", "units"), [("user", 1), ("session", 2), ("request", 3)])
async def test_the_experiment_says_what_a_unit_is(tables: FakeTables, seen: Observations, unit: str, units: int) -> None:
    for session in ("s1", "s2", "s2"):
        await record(tables, START + MINUTE, session=session)
    assert (await known(seen, experiment(unit=unit))).tally.variants["control"].units == units


async def test_a_unit_stays_in_the_arm_of_its_first_call(tables: FakeTables, seen: Observations, clock: FakeClock) -> None:
    await record(tables, START + MINUTE)
    await known(seen)
    clock.advance(120)
    await record(tables, clock.utc() - MINUTE, variant="canary")
    found = await known(seen)
    assert (found.tally.variants["control"].units, found.tally.variants["canary"].units, found.tally.crossed) == (1, 0, 1)


async def test_however_often_one_looks_each_call_counts_once_also_a_long_one(
    tables: FakeTables, seen: Observations, clock: FakeClock
) -> None:
    for _ in range(30):
        clock.advance(60)
        now = clock.utc()
        await record(tables, now - 5 * SECOND, user="u1")
        await record(tables, now - 5 * SECOND, took=14 * MINUTE, user="u2")
        await known(seen)
    clock.advance(60)
    found = await known(seen)
    assert found.tally.variants["control"].calls == 60
    assert found.complete


async def test_a_fault_between_two_pages_loses_and_doubles_nothing(
    tables: FakeTables, seen: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        await record(tables, START + number * MINUTE, user=f"u{number}")
    query, calls = tables.query, 0

    async def failing(*args: Any, **kwargs: Any) -> Page:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreUnavailable("down")
        return await query(*args, **kwargs | {"limit": 2})

    monkeypatch.setattr(tables, "query", failing)
    with pytest.raises(StoreUnavailable):
        await known(seen)
    found = await known(seen)
    assert (found.tally.variants["control"].units, found.tally.variants["control"].calls, found.complete) == (6, 6, True)


async def test_a_look_reads_so_many_pages_and_the_next_one_goes_on(
    tables: FakeTables, seen: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(tables, START + MINUTE)
    await record(tables, START + HOUR, user="bob")
    monkeypatch.setattr(observations, "PAGES", 1)
    first = await known(seen)
    assert (first.tally.variants["control"].units, first.complete) == (1, False)
    await known(seen)
    assert ((await known(seen)).tally.variants["control"].units, first.complete) == (2, True)


async def test_looks_within_seconds_do_not_ask_the_store_again(tables: FakeTables, seen: Observations, clock: FakeClock) -> None:
    await known(seen)
    calls = tables.calls
    await known(seen)
    assert tables.calls == calls
    clock.advance(60)
    await known(seen)
    assert tables.calls > calls


async def test_an_experiment_that_ended_is_read_to_its_end(tables: FakeTables, seen: Observations) -> None:
    await record(tables, START + MINUTE)
    await record(tables, START + HOUR, user="bob")
    found = await known(seen, experiment(ended_at=START + 30 * MINUTE))
    assert (found.tally.variants["control"].units, found.until) == (1, START + 30 * MINUTE)
    assert await seen.of(experiment(started_at=None)) is None


def test_beyond_what_is_kept_new_units_are_left_out_and_known_ones_go_on() -> None:
    tally = Tally(["control"], ["latency_s"], most=1)
    for unit in ("anna", "bob", "anna"):
        tally.call(Seen("control", unit, "", {"latency_s": 1.0, "unheard_of": 1.0}))
    assert (tally.variants["control"].units, tally.variants["control"].calls, tally.left_out) == (1, 2, 1)


async def test_a_vote_is_its_units_and_sent_again_it_replaces(tables: FakeTables, seen: Observations, clock: FakeClock) -> None:
    rated = experiment(goal=Goal("feedback.helpful"))
    await record(tables, START + MINUTE)
    await vote(tables)
    await vote(tables, request_id="req_2", value=0.0)
    await vote(tables, request_id="req_3", experiment="other")
    await vote(tables, request_id="req_4", called_at=START - MINUTE)
    await vote(tables, request_id="req_5", called_at=None)
    await vote(tables, request_id="req_6", tenant="fabrikam")
    await vote(tables, request_id="req_7", variant="canary")
    await vote(tables, request_id="req_8", metric="funny")
    arm = (await known(seen, rated)).tally.variants["control"].arms["feedback.helpful"]
    assert (arm.now.n, arm.now.mean) == (1, 0.5)
    clock.advance(60)
    await vote(tables, hour="2026-11-23T11", request_id="req_2", value=1.0)
    arm = (await known(seen, rated)).tally.variants["control"].arms["feedback.helpful"]
    assert (arm.now.n, arm.now.mean) == (1, 1.0)


@pytest.mark.parametrize("unit", ["user", "session"])
async def test_a_vote_on_a_session_is_that_of_who_had_it(tables: FakeTables, seen: Observations, unit: str) -> None:
    await record(tables, START + MINUTE, session="s1")
    await vote(tables, request_id="", session_id="s1", called_at=None)
    await vote(tables, request_id="", session_id="s1", called_at=None, subscription="sub_2")
    await vote(tables, request_id="", session_id="s9", called_at=None)
    arm = (await known(seen, experiment(unit=unit))).tally.variants["control"].arms["feedback.helpful"]
    assert (arm.now.n, arm.now.mean) == (1, 1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"status": 200, "total_s": 2.0, "cost_micro_usd": 5000}, {"error_rate": 0.0, "latency_s": 2.0, "cost_usd": 0.005}),
        ({"status": 200, "unpriced": True}, {"cost_usd": None, "error_rate": 0.0, "ttft_s": None}),
        ({"status": 200, "upstream_ttft_s": 0.5, "prompt_tokens": 3, "completion_tokens": 4}, {"ttft_s": 0.5, "total_tokens": 7.0}),
        ({"status": 502, "error_code": "upstream_error"}, {"error_rate": 1.0, "latency_s": None, "cost_usd": None}),
        ({"status": 429, "error_code": "upstream_throttled"}, {"error_rate": 1.0}),
        ({"status": 400, "error_code": "upstream_rejected"}, {"error_rate": None, "guard_rate": 0.0}),
        ({"status": 429, "error_code": "rate_limit_exceeded"}, {"error_rate": None}),
        ({"status": 400, "error_code": "guardrail_blocked"}, {"guard_rate": 1.0, "error_rate": None}),
    ],
    ids=["answered", "unpriced", "counted", "failed", "throttled", "rejected", "limited", "blocked"],
)
def test_a_record_tells_its_metrics(values: dict[str, Any], expected: dict[str, float | None]) -> None:
    found = measured(values)
    assert {name: found.get(name) for name in expected} == expected
