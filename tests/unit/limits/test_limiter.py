"""The limiter over a store in memory: what is admitted, refused, told, given back. The laws are in test_laws_limiter.py."""

import asyncio
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.amounts import NOTHING
from gateway.domain.limits import Budget, Limits, Mode, Quota, TokenQuota
from gateway.errors import QuotaExhausted, RateLimited
from gateway.limits.limiter import NOTHING_RESERVED
from gateway.limits.scopes import scopes_of
from tests.builders import make_principal, make_product
from tests.unit.limits.workers import RATES, START, TOKENS, World, used


async def test_a_call_without_limits_costs_no_look_at_the_store() -> None:
    world = World()
    assert await world.reserve(()) is NOTHING_RESERVED
    world.limiter.settle(NOTHING_RESERVED, used(5))
    assert world.tables.calls == 0


async def test_a_slice_is_spent_without_the_store() -> None:
    world = World()
    wide = Limits(requests_per_minute=10**6, tokens_per_minute=10**9, tokens=(TokenQuota("month", 10**12),))
    for _ in range(10):
        await world.reserve(wide, 100)
        world.clock.advance(0.3)
        for _ in range(5):
            await asyncio.sleep(0)  # what goes on in the background
    before = world.tables.calls
    for _ in range(4):
        world.limiter.settle(await world.reserve(wide, 100), used(50))
    assert world.tables.calls == before


async def test_the_headers_say_what_is_left_of_the_minute() -> None:
    world = World()
    assert (await world.reserve(tokens=TOKENS)).headers == {
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": "61s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "61s",
    }


async def test_where_there_is_no_rate_the_headers_speak_of_the_tightest_quota() -> None:
    quotas = Limits(requests=(Quota("hour", 50), Quota("day", 10)), concurrency=8, budget_usd=(Budget("day", 1.0),))
    assert (await World().reserve(quotas)).headers == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": f"{12 * 3600}s",
    }


async def test_settling_lower_returns_the_room_at_once() -> None:
    world = World()
    world.limiter.settle(await world.reserve(tokens=TOKENS), used(10))
    assert (await world.reserve()).headers["x-ratelimit-remaining-tokens"] == "90"
    await world.reserve(tokens=90)


async def test_settling_lower_returns_the_room_also_after_it_was_told() -> None:
    world = World()
    reservation = await world.reserve(tokens=TOKENS)
    await world.pass_by(8)
    assert json.loads(world.row("c|tokens.minute")["slots"]) == [[START.timestamp(), TOKENS]]
    await world.refused(tokens=1)
    world.limiter.settle(reservation, used(10))
    await world.reserve(tokens=90)
    await world.refused(tokens=1)


async def test_a_second_settlement_changes_nothing() -> None:
    world = World()
    reservation = await world.reserve(tokens=TOKENS)
    for _ in range(3):
        world.limiter.settle(reservation, used(40))
    await world.reserve(tokens=60)
    await world.refused(tokens=1)


async def test_an_excess_counts_from_when_it_is_known_however_long_the_call_took() -> None:
    world = World()
    reservation = await world.reserve(tokens=10)
    await world.pass_by(200)
    world.limiter.settle(reservation, used(100))
    assert (await world.reserve()).headers["x-ratelimit-remaining-tokens"] == "10"
    await world.refused(tokens=11)


async def test_a_late_refund_does_not_free_what_slid_out_already() -> None:
    world = World()
    reservation = await world.reserve(tokens=TOKENS)
    await world.pass_by(61)
    await world.reserve(tokens=40)
    world.limiter.settle(reservation, used(0))
    await world.reserve(tokens=60)
    await world.refused(tokens=1)


async def test_a_refused_call_counts_nothing() -> None:
    world = World()
    for _ in range(3):
        assert "lower max_tokens" in (await world.refused(tokens=TOKENS + 1)).message
    assert (await world.reserve(tokens=TOKENS)).headers["x-ratelimit-remaining-requests"] == "4"


async def test_a_request_that_was_let_in_counts_for_its_minute_whatever_became_of_it() -> None:
    world = World()
    for _ in range(5):
        world.limiter.settle(await world.reserve(), NOTHING)
    error = await world.refused()
    assert (type(error), error.retry_after_s) == (RateLimited, 61)
    assert error.details == {"scope": "subscription", "limit": "requests_per_minute"}


async def test_a_call_that_was_not_answered_counts_against_no_quota_of_requests() -> None:
    world, two = World(), Limits(requests=(Quota("day", 2),))
    for _ in range(5):
        world.limiter.settle(await world.reserve(two), NOTHING)
    for _ in range(2):
        world.limiter.settle(await world.reserve(two), used())
    error = await world.refused(two)
    assert (type(error), error.status, error.code) == (QuotaExhausted, 403, "insufficient_quota")
    assert error.retry_after_s == 12 * 3600
    assert error.details == {"scope": "subscription", "limit": "requests.day"}
    assert "2 requests per day is used up until 2026-11-23T00:00Z" in error.message


async def test_a_budget_names_its_money() -> None:
    world, budget = World(), Limits(budget_usd=(Budget("month", 0.5),))
    await world.reserve(budget, cost=400_000)
    error = await world.refused(budget, cost=200_000)
    assert error.details["limit"] == "budget_usd.month"
    assert error.message == (
        "this call may cost $0.2, more than the $0.1 that are left of the subscription's budget of $0.5 per month until 2026-12-01T00:00Z; "
        "lower max_tokens, shorten the prompt or ask a cheaper model, wait until then, or ask the administrator for more"
    )
    await world.reserve(budget, cost=100_000)
    assert "budget of $0.5 per month is used up until 2026-12-01T00:00Z; wait until then" in (await world.refused(budget, cost=1)).message
    assert "may cost $0.6, more than" in (await world.refused(budget, cost=600_000)).message


async def test_as_many_calls_as_allowed_are_under_way() -> None:
    world, two = World(), Limits(concurrency=2)
    held = [await world.reserve(two) for _ in range(2)]
    error = await world.refused(two)
    assert (error.status, error.retry_after_s, error.details["limit"]) == (429, 1.0, "concurrency")
    world.limiter.settle(held[0], NOTHING)
    await world.reserve(two)
    await world.refused(two)


async def test_a_place_that_one_worker_frees_another_one_can_take() -> None:
    world, one = World(workers=2), Limits(concurrency=1)
    held = await world.reserve(one)
    await world.refused(one, worker=1)
    world.limiter.settle(held, used())
    for _ in range(5):
        await asyncio.sleep(0)
    world.clock.advance(1)
    await world.reserve(one, worker=1)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 80), st.integers(0, 80)), max_size=30))
@settings(max_examples=40, deadline=None)
def test_waiting_as_told_always_admits(steps: list[tuple[float, int, int]]) -> None:
    async def walk() -> None:
        world = World()
        for pause_s, asked, taken in steps:
            world.clock.advance(pause_s)
            try:
                reservation = await world.reserve(tokens=asked)
            except RateLimited as exc:
                world.clock.advance(min(exc.retry_after_s or 0, 61) + 1e-5)
                reservation = await world.reserve(tokens=asked)
            world.limiter.settle(reservation, used(min(taken, asked)))

    asyncio.run(walk())


async def test_subscriptions_are_counted_apart() -> None:
    world = World()
    for name in ("sub_1", "sub_2"):
        await world.reserve(scopes_of(Limits(), make_principal(subscription=name, limits=RATES), make_product(), ""), TOKENS)


async def test_workers_share_a_limit_to_the_token() -> None:
    world = World(workers=3)
    for number in range(10):
        await world.reserve(Limits(tokens=(TokenQuota("month", TOKENS),)), 10, worker=number % 3)
    for worker in range(3):
        await world.refused(Limits(tokens=(TokenQuota("month", TOKENS),)), 1, worker=worker)


async def test_what_lies_idle_goes_to_whom_it_serves() -> None:
    world, month = World(workers=2), Limits(tokens=(TokenQuota("month", 1000),))
    for _ in range(4):
        await world.reserve(month, 20)
        world.clock.advance(0.1)
    assert world.row("c|tokens.month")["out"] > 0
    await world.pass_by(4)
    assert world.row("c|tokens.month") == {"out": 0, "spent": 80}
    await world.reserve(month, 920, worker=1)


async def test_nobody_asks_the_store_while_nothing_is_held() -> None:
    world = World()
    world.limiter.settle(await world.reserve(tokens=10), used(10))
    await world.pass_by(20)
    before = world.tables.calls
    await world.pass_by(300)
    assert world.tables.calls == before
    assert world.limiter._books == {}


async def test_a_lease_that_was_not_renewed_in_time_is_not_spent() -> None:
    world, month = World(), Limits(tokens=(TokenQuota("month", 1000),))
    for _ in range(3):
        await world.reserve(month, 20)
        world.clock.advance(0.1)
    world.clock.advance(29)
    before = len(world.tables.transactions)
    await world.reserve(month, 1)
    assert len(world.tables.transactions) == before + 1


async def test_what_a_dead_worker_held_of_a_rate_comes_back_when_its_lease_is_long_over() -> None:
    world = World(workers=2)
    await world.reserve(tokens=1)
    world.clock.advance(0.1)
    await world.reserve(tokens=40)  # it dies with what it was granted
    world.workers.pop(0)
    world.clock.advance(29)
    await world.refused(tokens=TOKENS)
    world.clock.advance(63)
    await world.reserve(tokens=TOKENS)


@pytest.mark.parametrize(
    ("start", "window", "ends_in_s"),
    [
        (dt.datetime(2026, 11, 22, 23, 59, 50, tzinfo=dt.UTC), "day", 10),
        (dt.datetime(2026, 11, 30, 23, 59, 50, tzinfo=dt.UTC), "month", 10),
        (dt.datetime(2026, 11, 22, 23, 59, 50, tzinfo=dt.UTC), "week", 10),
        (dt.datetime(2026, 12, 31, 23, 59, 50, tzinfo=dt.UTC), "quarter", 10),
        (dt.datetime(2026, 3, 29, 0, 59, 50, tzinfo=dt.UTC), "hour", 10),  # Europe's clocks skip the next hour, UTC does not
    ],
)
async def test_a_new_window_begins_with_nothing_spent(start: dt.datetime, window: Any, ends_in_s: int) -> None:
    world, quota = World(start), Limits(tokens=(TokenQuota(window, TOKENS),))
    held = await world.reserve(quota, TOKENS)
    assert (await world.refused(quota, 1)).retry_after_s == ends_in_s
    world.clock.advance(ends_in_s)
    await world.reserve(quota, TOKENS)
    world.limiter.settle(held, used(30))
    await world.refused(quota, 1)
    await world.limiter.close()
    spent = [entity.values["spent"] for entity in world.tables.rows("limits") if entity.row.startswith("c|")]
    assert spent == [30, TOKENS]


async def test_what_an_old_window_granted_goes_back_to_it() -> None:
    world = World(dt.datetime(2026, 11, 22, 23, 59, 58, tzinfo=dt.UTC))
    for _ in range(4):
        await world.reserve(Limits(tokens=(TokenQuota("day", 1000),)), 10)
        world.clock.advance(0.1)
    assert world.row("c|tokens.day|2026-11-22")["out"] > 0
    world.clock.advance(2)
    await world.reserve(Limits(tokens=(TokenQuota("day", 1000),)), 10)
    assert world.row("c|tokens.day|2026-11-22") == {"out": 0, "spent": 40}


async def test_a_soft_limit_lets_pass_and_says_so() -> None:
    world, soft = World(), Limits(tokens=(TokenQuota("month", TOKENS),), mode=Mode.SOFT)
    assert "x-gateway-limit-warning" not in (await world.reserve(soft, 90)).headers
    assert (await world.reserve(soft, 20)).headers["x-gateway-limit-warning"] == "subscription:tokens.month"
    await world.limiter.close()
    assert world.row("c|tokens.month")["spent"] == 110
    assert world.announced() == [f"a|tokens.month|2026-11|{percent}" for percent in (100, 50, 80)]


async def test_a_limit_in_shadow_only_counts() -> None:
    world, shadow = World(), Limits(tokens=(TokenQuota("month", TOKENS),), requests_per_minute=1, mode=Mode.SHADOW)
    for _ in range(3):
        assert (await world.reserve(shadow, 50)).headers == {}
    await world.limiter.close()
    assert world.row("c|tokens.month")["spent"] == 150
    assert world.row("a|tokens.month|2026-11|100")["mode"] == "shadow"


async def test_all_scopes_must_agree_and_a_refusal_names_the_one_that_does_not() -> None:
    world = World()
    scopes = scopes_of(
        Limits(tokens_per_minute=1000),
        make_principal(tenant_limits=Limits(tokens_per_minute=50), limits=Limits(tokens_per_minute=500)),
        make_product(shared_limits=Limits(tokens_per_minute=500)),
        "",
    )
    await world.reserve(scopes, 40)
    assert (await world.refused(scopes, 20)).details == {"scope": "tenant", "limit": "tokens_per_minute"}
    await world.limiter.close()
    for scope in scopes:
        (slots,) = [json.loads(str(each.values["slots"])) for each in world.tables.rows("limits") if each.partition == scope.partition]
        assert slots == [[START.timestamp(), 40]]


async def test_of_several_scopes_that_refuse_the_outermost_is_named() -> None:
    world = World()
    one = Limits(requests_per_minute=1)
    scopes = scopes_of(one, make_principal(tenant_limits=one, limits=one), make_product(shared_limits=one), "")
    await world.reserve(scopes)
    assert (await world.refused(scopes)).details["scope"] == "gateway"
