"""Which deployment is chosen: the cheapest that will do (D9-D11, G5), the fitting one (G1, G2, G6, G8), and none that said 429 (A5)."""

import datetime
import itertools
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import DatedPrice, Deployment, PoolMember, Price, UsageCap
from gateway.domain.policy import Fallbacks, Rule, Schedule, TenantPrice, When
from gateway.routing.control import Control
from gateway.routing.overrides import LiveCatalog
from tests.builders import make_backend, make_deployment, make_model, make_price
from tests.fakes.tables import FakeTables
from tests.fakes.upstream import Reply, deployment_of
from tests.flow.street import CHAT, PRODUCTS, Street, completion, failure

OK = completion()


def street_of(*models: Model, **over: Any) -> Street:
    street = Street(Catalog(models, tuple(PRODUCTS.values()), **over))
    street.upstream.does = lambda _: OK
    return street


def costing(name: str, output: int | None, **over: Any) -> Deployment:
    price = None if output is None else make_price(input=output, output=output)
    return make_deployment(id=name, name=name, price=price, **over)


async def served(street: Street, document: Mapping[str, Any] = CHAT, **over: Any) -> str:
    return (await street.call(document, **over)).headers["x-gateway-deployment"]


def live(street: Street) -> Control:
    """Let the street follow the control plane as a worker does, at once."""
    tables = FakeTables()
    control = Control(tables, street.catalog)
    current = LiveCatalog(street.catalog, control.read)
    street.pipeline._catalog = current.get
    return control


async def test_a_changed_price_changes_the_choice_without_a_restart_and_back() -> None:
    street = street_of(make_model(costing("a", 5_000_000), costing("b", 9_000_000), strategy="lowest-cost"))
    control = live(street)
    assert await served(street) == "a"
    await control.change_deployment("b", {"price": {"input": 1, "output": 1}})
    assert await served(street) == "b"
    record = (await street.records())[-1]
    assert record["cost_micro_usd"] == 1100  # and the record is by the new price too
    await control.change_deployment("b", {"price": None})
    assert await served(street) == "a"


async def test_a_price_that_changes_at_midnight_changes_the_choice_and_the_record_at_midnight() -> None:
    tomorrow = street_of(make_model()).clock.utc().date() + datetime.timedelta(days=1)
    falling = Price(9_000_000, 9_000_000, later=(DatedPrice(tomorrow, Price(1_000_000, 1_000_000)),))
    model = make_model(costing("a", 5_000_000), make_deployment(id="b", name="b", price=falling), strategy="lowest-cost")
    street = street_of(model)
    assert await served(street) == "a"
    left = datetime.datetime.combine(tomorrow, datetime.time(), datetime.UTC) - street.clock.utc()
    street.clock.advance(left.total_seconds() - 1)
    assert await served(street) == "a"
    street.clock.advance(1)
    assert await served(street) == "b"
    assert (await street.records())[-1]["cost_micro_usd"] == 1100


async def test_a_discount_decides_for_its_tenant_while_it_holds() -> None:
    model = make_model(costing("a", 5_000_000), costing("b", 9_000_000), strategy="lowest-cost")
    today = street_of(model).clock.utc().date()
    half = TenantPrice("default", "b", share_ppm=500_000, below=today + datetime.timedelta(days=1))
    street = street_of(model, tenant_prices=(half,))
    assert await served(street) == "b"
    street.clock.advance(datetime.timedelta(days=1).total_seconds())
    assert await served(street) == "a"


async def test_what_a_tenant_negotiated_decides_for_that_tenant_only() -> None:
    models = (make_model(costing("a", 5_000_000), costing("b", 9_000_000), strategy="lowest-cost"),)
    ours = TenantPrice("default", "b", Price(input=1_000_000, output=1_000_000))
    assert await served(street_of(*models, tenant_prices=(ours,))) == "b"
    theirs = TenantPrice("contoso", "b", Price(input=1_000_000, output=1_000_000))
    assert await served(street_of(*models, tenant_prices=(theirs,))) == "a"


async def test_a_cap_that_is_reached_hands_over_and_a_new_day_gives_it_back() -> None:
    capped = msgspec.structs.replace(costing("a", 1_000_000), cap=UsageCap(period="day", cost_micro_usd=2200))
    street = street_of(make_model(capped, costing("b", 9_000_000), strategy="lowest-cost"))
    assert [await served(street) for _ in range(4)] == ["a", "a", "b", "b"]
    told = json.loads((await street.call(headers={"x-gateway-explain": "true"})).body)
    assert [each["code"] for each in told["rejected"]] == ["cap"]
    street.clock.advance(datetime.timedelta(days=1).total_seconds())
    assert await served(street) == "a"


async def test_with_all_caps_reached_the_fallback_answers_or_it_says_so() -> None:
    capped = msgspec.structs.replace(costing("a", 1_000_000), cap=UsageCap(period="month", tokens=1))
    other = make_model(costing("b", 9_000_000), id="other")
    street = street_of(make_model(capped, fallbacks=Fallbacks(any=("other",))), make_model(capped, id="alone"), other)
    assert [await served(street) for _ in range(2)] == ["a", "b"]
    refused = await street.refused(CHAT | {"model": "alone"})
    assert refused.status == 503
    assert "usage cap" in refused.message
    month_ends = (street.clock.utc().replace(day=1) + datetime.timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert refused.retry_after_s == pytest.approx((month_ends - street.clock.utc()).total_seconds())
    street.clock.advance(refused.retry_after_s)
    assert await served(street, CHAT | {"model": "alone"}) == "a"


@st.composite
def pools(draw: st.DrawFn) -> tuple[PoolMember, ...]:
    capabilities = st.sampled_from([("chat",), ("chat", "tools"), ("chat", "tools", "vision")])
    count = draw(st.integers(1, 6))
    return tuple(
        PoolMember(
            costing(
                f"d{index}",
                draw(st.sampled_from([None, 1_000_000, 2_000_000, 3_000_000, 4_000_000])),
                quality=draw(st.sampled_from([None, 0.2, 0.5, 0.9])),
                capabilities=draw(capabilities),
                context_window=draw(st.sampled_from([None, 50, 5_000])),
            ),
            weight=draw(st.integers(0, 3)),
        )
        for index in range(count)
    )


QUESTIONS = st.sampled_from([
    CHAT,
    CHAT | {"tools": [{"type": "function", "function": {"name": "f"}}]},
    CHAT | {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]}]},
    CHAT | {"messages": [{"role": "user", "content": "word " * 100}]},
    CHAT | {"max_tokens": 1000},
])  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(pools(), QUESTIONS, st.sampled_from([None, 0.4, 0.8]), st.sets(st.integers(0, 5)))
def test_of_all_that_will_do_the_cheapest_is_asked_first(
    pool: tuple[PoolMember, ...], question: dict[str, Any], floor: float | None, slow: set[int]
) -> None:
    """What will do is worked out here again, in the plainest words."""
    import asyncio

    async def chosen() -> tuple[str | None, str]:
        street = street_of(Model(id="gpt-4o", pool=pool, strategy="lowest-cost", quality_floor=floor, latency_ceiling_s=2.0))
        for index in slow:
            if index < len(pool):
                street.health.vitals(pool[index].deployment).observe_latency(30.0, street.clock.now_s())
        told = json.loads((await street.call(question, headers={"x-gateway-explain": "true"})).body)
        return next((each["deployment"] for each in told["candidates"]), None), str(told["rejected"])

    needs = {"tools"} if "tools" in question else {"vision"} if isinstance(question["messages"][0]["content"], list) else set()
    tokens = 5 if question is CHAT or needs else 100
    needed = tokens + question.get("max_tokens", 0)
    fitting = [
        index
        for index, member in enumerate(pool)
        if member.weight
        and needs <= set(member.deployment.capabilities)
        and (floor is None or (member.deployment.quality or 0) >= floor)
        and (needs == {"vision"} or (member.deployment.context_window or 10**9) >= needed)
    ]
    quick = [index for index in fitting if index not in slow] or fitting
    prices = {index: price.output if (price := pool[index].deployment.price) else 10**12 for index in quick}
    first, rejected = asyncio.run(chosen())
    if needs == {"vision"} and any(member.deployment.context_window == 50 for member in pool):
        return  # how many tokens an image is, is not for this test to say
    if not prices:
        assert first is None, rejected
    else:
        assert first in {f"d{index}" for index, price in prices.items() if price == min(prices.values())}, rejected


FORMS = {
    "retry-after-ms": lambda seconds: {"retry-after-ms": str(seconds * 1000)},
    "x-ms-retry-after-ms": lambda seconds: {"x-ms-retry-after-ms": str(seconds * 1000)},
    "seconds": lambda seconds: {"retry-after": str(seconds)},
    "date": lambda seconds: {"date": "Thu, 01 Jan 2026 00:00:00 GMT", "retry-after": f"Thu, 01 Jan 2026 00:00:{seconds:02} GMT"},
}  # fmt: skip


@pytest.mark.parametrize("waits", list(itertools.permutations((7, 30, 50))))
@pytest.mark.parametrize("form", FORMS)
async def test_an_empty_pool_answers_with_the_smallest_wait_however_and_by_whomever_it_was_said(form: str, waits: tuple[int, ...]) -> None:
    names = ("a", "b", "c")
    street = street_of(make_model(*(costing(name, 1) for name in names)))
    street.upstream.does = lambda request: failure(429, **FORMS[form](waits[names.index(deployment_of(request))]))
    first, again = await street.refused(), await street.refused()
    assert [(each.status, each.retry_after_s) for each in (first, again)] == [(429, 7.0)] * 2
    assert len(street.upstream.requests) == 3
    street.clock.advance(7.0)
    street.upstream.does = lambda _: OK
    assert await served(street) == names[waits.index(7)]


async def test_a_429_of_one_deployment_leaves_its_neighbours_on_the_same_resource_alone() -> None:
    resource = make_backend(id="one-resource")
    a, b = (costing(name, 1, backend=resource) for name in "ab")
    street = street_of(make_model(a, b), make_model(b, id="other"))
    street.upstream.does = lambda request: failure(429, **{"retry-after": "60"}) if deployment_of(request) == "a" else OK
    assert [await served(street) for _ in range(3)] == ["b", "b", "b"]
    assert await served(street, CHAT | {"model": "other"}) == "b"
    assert street.upstream.deployments == ["a", "b", "b", "b", "b"]


async def test_a_quota_group_cools_down_in_every_model_that_it_serves() -> None:
    grouped = [costing(name, 1, quota_group="shared", backend=make_backend(id=f"backend-{name}")) for name in "ab"]
    street = street_of(make_model(grouped[0], costing("c", 1)), make_model(grouped[1], id="other"))
    street.upstream.does = lambda request: failure(429, **{"retry-after-ms": "9000"}) if deployment_of(request) == "a" else OK
    assert await served(street) == "c"
    refused = await street.refused(CHAT | {"model": "other"})
    assert (refused.status, refused.retry_after_s) == (429, 9.0)
    street.clock.advance(9.0)
    assert await served(street, CHAT | {"model": "other"}) == "b"


PEAK = Schedule(frozenset(range(5)), datetime.time(8), datetime.time(18))
RULES = (
    Rule("critical", When(priority=("high",), schedule=PEAK), model="powerful"),
    Rule("sentiment", When(task=("sentiment",)), model="text-analytics"),
    Rule("code", When(text=r"(?i)\bpython\b"), model="coder"),
    Rule("sees", When(capability=("vision",)), model="seeing"),
    Rule("long", When(tokens_over=400), model="wide"),  # until the tokenizer is loaded a byte counts as one
    Rule("partner", When(user=("partner-*",)), model="partners"),
)
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]}


@pytest.mark.parametrize(
    ("content", "headers", "hour", "expected"),
    [
        ("Hello", {}, 0, "gpt-4o"),
        ("Hello", {"x-gateway-tags": "task=sentiment"}, 0, "text-analytics"),
        ("Write Python", {}, 0, "coder"),
        ("word " * 100, {}, 0, "wide"),
        ("word " * 60, {}, 0, "gpt-4o"),
        (IMAGE["content"], {}, 0, "seeing"),
        ("Hello", {"x-gateway-user": "partner-7"}, 0, "partners"),
        ("Hello", {"x-gateway-priority": "high"}, 12, "powerful"),
        ("Hello", {"x-gateway-priority": "high"}, 3, "gpt-4o"),  # off-peak the small one will do
        ("Write Python", {"x-gateway-priority": "high"}, 12, "powerful"),  # the first rule that fits
    ],
)
async def test_the_table_of_rules_leads_where_it_says(content: Any, headers: dict[str, str], hour: int, expected: str) -> None:
    names = ("gpt-4o", "powerful", "text-analytics", "coder", "wide", "seeing", "partners")
    street = street_of(*(make_model(costing(name, 1), id=name) for name in names), rules=RULES)
    street.clock.advance(hour * 3600 - 1000)
    document = CHAT | {"messages": [{"role": "user", "content": content}]}
    answer = await street.call(document, headers=headers)
    assert answer.headers["x-gateway-model"] == expected


@pytest.mark.parametrize("strategy", ["least-latency", "balanced"])
async def test_a_latency_that_changes_moves_the_traffic_and_back(strategy: str) -> None:
    street = street_of(make_model(costing("a", 1), costing("b", 1), strategy=strategy))
    slow = "a"
    street.upstream.does = lambda request: Reply(steps=OK.steps, wait_s=2.0 if deployment_of(request) == slow else 0.1)
    for slow in ("a", "b", "a"):
        for _ in range(100):  # time to notice
            await served(street)
        names = [await served(street) for _ in range(200)]
        assert names.count(slow) < 60


async def test_who_keeps_its_word_is_preferred_to_who_fails_one_call_in_three() -> None:
    street = street_of(make_model(costing("a", 1), costing("b", 1), strategy="most-reliable"))
    turns = itertools.count()
    street.upstream.does = lambda request: failure(500) if deployment_of(request) == "a" and next(turns) % 3 == 0 else OK
    names = []
    for _ in range(300):
        names.append(await served(street))
        street.clock.advance(1.0)
    assert names.count("b") > 180
