"""A pool through bad times, the whole street under a fake clock: one of three fails, hangs or comes back, or all of them are out.

Calls come one after the other. The same with real sockets is `make bench`'s; with decisions alone, `tests/unit/routing/test_recovery.py`.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.call import UpstreamRequest
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import PoolMember
from gateway.errors import GatewayError
from gateway.routing.breaker import MAX_OPEN_S, OPEN_S, PROBES_TO_CLOSE
from gateway.routing.budget import CAPACITY, EARNED
from gateway.routing.strategies import STRATEGIES
from tests.builders import make_deployment, make_price
from tests.fakes.upstream import FOREVER, Reply, deployment_of
from tests.flow.street import CHAT, PRODUCTS, STREAM, Street, completion, failure, read, streamed, until

PAUSE_S = 0.05
GOOD = Reply(steps=completion().steps, wait_s=0.1)
GOOD_STREAM = Reply(steps=streamed().steps, wait_s=0.1)
BAD = Reply(status=500, steps=[b"{}"], wait_s=0.02)
HANGING = Reply(steps=completion().steps, wait_s=30.0)
THROTTLED = failure(429, **{"retry-after": "20"})
NAMES = ("a", "b", "c")


class Pool:
    """A model over three deployments, of which the first is the one that every strategy would like best."""

    def __init__(self, strategy: str = "priority", **over: Any) -> None:
        members = tuple(
            PoolMember(make_deployment(id=name, name=name, price=make_price(input=cost, output=cost)), priority=cost)
            for cost, name in enumerate(NAMES, 1)
        )
        model = Model(id="gpt-4o", pool=members, strategy=strategy, **over)
        self.street = Street(Catalog((model,), tuple(PRODUCTS.values())))
        self.replies: dict[str, Callable[[], Reply]] = {}
        self.street.upstream.does = self._reply
        self.stream = False

    def _reply(self, request: UpstreamRequest) -> Reply:
        special = self.replies.get(deployment_of(request))
        return special() if special else GOOD_STREAM if self.stream else GOOD

    def all_do(self, reply: Reply) -> None:
        self.replies = dict.fromkeys(NAMES, lambda: reply)

    async def run(self, calls: int) -> tuple[float, Counter[str]]:
        """Make calls; returns the share that succeeded, and how often each deployment was asked meanwhile."""
        upstream, good = self.street.upstream, 0
        upstream.requests.clear()
        upstream.responses.clear()
        for _ in range(calls):
            self.street.clock.advance(PAUSE_S)
            try:
                answer = await self.street.call(STREAM if self.stream else CHAT)
                if answer.stream is not None:
                    await read(answer)
                good += 1
            except GatewayError:
                pass
        return good / calls, Counter(upstream.deployments)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reply", [BAD, THROTTLED, Reply(steps=[b""]), Reply(status=401, steps=[b"{}"])])
async def test_with_one_of_three_failing_every_call_999_of_1000_are_answered(strategy: str, stream: bool, reply: Reply) -> None:
    pool = Pool(strategy)
    pool.stream, pool.replies = stream, {"a": lambda: reply}
    share, asked = await pool.run(3000 if strategy == "priority" and not stream and reply in (BAD, THROTTLED) else 300)
    assert share >= 0.999
    assert asked["a"] < 0.05 * sum(asked.values())


@pytest.mark.parametrize("strategy", ["priority", "weighted", "least-latency", "balanced"])
async def test_with_one_of_three_answering_after_30_s_99_of_100_are_answered(strategy: str) -> None:
    pool = Pool(strategy, attempt_timeout_s=2.0)
    pool.replies = {"a": lambda: HANGING}
    began_s = pool.street.clock.now_s()
    share, asked = await pool.run(1000)
    assert share >= 0.99
    assert asked["a"] < 40
    assert (pool.street.clock.now_s() - began_s) / 1000 < 0.3  # seconds a call: most never meet it


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
async def test_what_turns_bad_loses_its_traffic_within_twenty_of_its_calls_and_gets_it_back(strategy: str) -> None:
    pool = Pool(strategy)
    _, asked = await pool.run(300)
    before = asked["a"] / 300
    pool.replies = {"a": lambda: BAD}
    while (await pool.run(1))[1]["a"] == 0:
        pass
    hit = 1
    calls = 0
    while calls < 200:  # from its first failure on
        _, asked = await pool.run(1)
        hit, calls = hit + asked["a"], calls + 1
    assert hit <= 20
    _, asked = await pool.run(400)
    assert asked["a"] <= max(0.05 * before * 400, 8)  # probes, as long as it is bad
    pool.replies = {}
    healed_s = pool.street.clock.now_s()
    await pool.street.clock.sleep(MAX_OPEN_S)
    _, asked = await pool.run(40)  # every strategy asks it within these: the first three are probes
    if strategy in ("priority", "lowest-cost"):
        assert asked["a"] >= 40 - PROBES_TO_CLOSE
    _, asked = await pool.run(300)
    assert asked["a"] / 300 >= 0.5 * before
    assert pool.street.clock.now_s() - healed_s < MAX_OPEN_S + 340 * (PAUSE_S + 0.2)


@pytest.mark.parametrize("reply", [BAD, HANGING, failure(504), Reply(steps=[b"no json"])])
@pytest.mark.parametrize("calls", [5, 300])
async def test_in_an_outage_backends_get_a_tenth_and_ten_more_requests_than_there_are_calls(reply: Reply, calls: int) -> None:
    pool = Pool(attempt_timeout_s=1.0)
    pool.all_do(reply)
    share, asked = await pool.run(calls)
    assert share == 0.0
    assert sum(asked.values()) <= (1 + EARNED) * calls + CAPACITY


async def test_in_steady_state_a_tenth_of_failures_costs_a_tenth_of_extra_requests() -> None:
    pool = Pool("weighted", max_attempts=5)
    turns = itertools.count()
    pool.replies = dict.fromkeys(NAMES, lambda: BAD if next(turns) % 5 == 0 else GOOD)
    _, asked = await pool.run(2000)
    assert sum(asked.values()) <= (1 + EARNED) * 2000 + CAPACITY


async def test_calls_share_a_pool_by_weight_within_two_hundredths_over_ten_thousand() -> None:
    weights = {"a": 70, "b": 25, "c": 5}
    members = tuple(PoolMember(make_deployment(id=name, name=name), weight=weight) for name, weight in weights.items())
    street = Street(Catalog((Model(id="gpt-4o", pool=members, strategy="weighted"),), tuple(PRODUCTS.values())))
    street.upstream.does = lambda _: GOOD
    asked = Counter([(await street.call()).headers["x-gateway-deployment"] for _ in range(10_000)])
    for name, weight in weights.items():
        assert abs(asked[name] / 10_000 - weight / 100) < 0.02


async def test_half_open_lets_one_call_at_a_time_through_however_many_come() -> None:
    pool = Pool()
    pool.replies = {"a": lambda: BAD}
    await pool.run(10)
    pool.street.clock.advance(OPEN_S)
    under_way, most, gate = 0, 0, asyncio.Event()
    send = pool.street.upstream.send

    async def slow(request: UpstreamRequest, timeout_s: float) -> Any:
        nonlocal under_way, most
        if deployment_of(request) != "a":
            return await send(request, timeout_s)
        under_way += 1
        most = max(most, under_way)
        await gate.wait()
        under_way -= 1
        return await send(request, timeout_s)

    pool.street.upstream.send = slow  # type: ignore[method-assign]
    pool.replies = {}
    pool.street.upstream.requests.clear()
    calls = [asyncio.ensure_future(pool.street.call()) for _ in range(50)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert (under_way, most) == (1, 1)
    assert pool.street.upstream.deployments.count("b") == 49
    gate.set()
    await asyncio.gather(*calls)
    states = {state.deployment: state.breaker for state in pool.street.health.states(pool.street.clock.now_s())}
    assert states["a"] == "half-open"  # one success is no proof yet
    await pool.run(PROBES_TO_CLOSE - 1)
    states = {state.deployment: state.breaker for state in pool.street.health.states(pool.street.clock.now_s())}
    assert states["a"] == "closed"


async def test_a_probe_whose_client_leaves_gives_its_place_to_the_next_one() -> None:
    pool = Pool()
    pool.replies = {"a": lambda: BAD}
    await pool.run(10)
    pool.street.clock.advance(OPEN_S)
    pool.replies = {"a": lambda: Reply(wait_s=FOREVER)}
    pool.street.upstream.requests.clear()
    probing = asyncio.ensure_future(pool.street.call())
    await until(lambda: pool.street.upstream.deployments)
    assert pool.street.upstream.deployments == ["a"]
    probing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probing
    pool.replies = {}
    _, asked = await pool.run(1)
    assert asked == {"a": 1}


async def test_who_asks_for_time_gets_it_even_from_the_call_that_found_every_breaker_open() -> None:
    pool = Pool()
    pool.street.catalog = Catalog((Model(id="gpt-4o", pool=pool.street.catalog.models[0].pool[:1]),), tuple(PRODUCTS.values()))
    pool.replies = {"a": lambda: BAD}
    await pool.run(3)
    pool.replies = {"a": lambda: failure(503, **{"retry-after": "6"})}
    _, asked = await pool.run(1)
    assert asked == {"a": 1}
    refused = await pool.street.refused()
    assert (refused.status, refused.code) == (503, "no_capacity")  # nobody was over a limit
    assert refused.retry_after_s == pytest.approx(6.0)
    pool.street.clock.advance(6.1)
    pool.replies = {}
    share, _ = await pool.run(1)
    assert share == 1.0


@pytest.mark.parametrize("bad", [("a",), ("a", "b")])
async def test_any_deployment_down_leaves_every_call_answered(bad: tuple[str, ...]) -> None:
    pool = Pool()
    pool.replies = dict.fromkeys(bad, lambda: failure(503))
    share, _ = await pool.run(30)
    assert share == 1.0
