"""Every call is settled once and gives every place back once, however it ends and however many models it asked."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.attempts import Hold
from gateway.domain.amounts import NOTHING
from gateway.domain.call import CLIENT_GONE
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import Capacity, Deployment
from gateway.domain.policy import Fallbacks, StaticAnswer, Tier, Verifier
from gateway.errors import GatewayError, UpstreamError
from tests.builders import make_deployment, make_model, make_price
from tests.fakes.upstream import FOREVER, Reply
from tests.flow.street import CHAT, COST, DONE, PRODUCTS, STREAM, USAGE_JSON, Street, completion, event, failure, read, streamed, until

LIMITED = {"max_tokens": 100}


def one_place(name: str) -> Deployment:
    return make_deployment(id=name, name=name, price=make_price(), capacity=Capacity(concurrency=1, queue=1))


def chain(**verify: Any) -> Catalog:
    """A model with a cheaper tier, a judge, a fallback and words of its own; one place at each deployment."""
    fallbacks = Fallbacks(any=("spare",), content_filter=("lax",), static=StaticAnswer("Later."))
    asked = make_model(one_place("premium"), tiers=(Tier("cheap", Verifier(**verify)),), fallbacks=fallbacks, max_attempts=1)
    others: list[Model] = [make_model(one_place(name), id=name, max_attempts=1) for name in ("cheap", "judge", "spare", "lax")]
    return Catalog((asked, *others), tuple(PRODUCTS.values()))


class Watched:
    """A street on which settlements and places are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **verify: Any) -> None:
        self.street = Street(chain(**verify))
        self.settled: list[Any] = []
        self.released: dict[int, int] = {}
        self.holds: list[Hold] = []
        limiter, init, leave = self.street.limiter, Hold.__init__, self.street.gates.leave
        settle = limiter.settle

        def settling(reservation: Any, used: Any) -> None:
            self.settled.append(used)
            settle(reservation, used)

        def made(hold: Hold, *args: Any) -> None:
            init(hold, *args)
            self.holds.append(hold)

        def leaving(deployment: Deployment, held_s: float) -> None:
            self.released[len(self.released)] = 1
            leave(deployment, held_s)

        monkeypatch.setattr(limiter, "settle", settling)
        monkeypatch.setattr(Hold, "__init__", made)
        monkeypatch.setattr(self.street.gates, "leave", leaving)

    async def check(self, calls: int = 1) -> None:
        street = self.street
        assert len(self.settled) == calls
        assert len(await street.records()) == calls
        assert len(self.released) == len(self.holds)
        for deployment in street.catalog.deployments.values():
            assert street.gates._gate(deployment).busy == 0
        assert not any(state.in_flight for state in street.health.states(street.clock.now_s()))
        assert all(response.closed for response in street.upstream.responses)


@pytest.fixture
async def judged(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    watched = Watched(monkeypatch, judge_model="judge")
    yield watched
    await watched.street.recorder.close()


def no_text(content: bytes) -> Reply:
    """Return an answer whose content is something else."""
    return Reply(steps=[b'{"choices": [{"index": 0, "message": {"content": ' + content + b"}}]}"])


BAD_STREAM = streamed(event("bad"), event(finish_reason="stop"), event(usage=USAGE_JSON), DONE)
BREAK = UpstreamError("cut", code="upstream_interrupted")
DOWN = failure(500)
SCRIPTS: dict[str, list[Reply]] = {
    "the tier's answer passes": [completion("x"), completion("yes")],
    "it does not": [completion("x"), completion("no"), completion("y")],
    "the judge is down": [completion("x"), DOWN, completion("y")],
    "the judge is cut off": [completion("x"), Reply(steps=[b"{", BREAK]), completion("y")],
    "the tier is down": [DOWN, completion("y")],
    "all but the fallback are down": [DOWN, DOWN, completion("y")],
    "all are down": [DOWN, DOWN, DOWN],
    "all are out of time": [Reply(wait_s=500.0)],
    "the prompt is filtered": [failure(400, "content_filter")] * 3,
    "the request is wrong": [failure(400, "invalid_value")] * 2,
    "the judge says nothing": [completion("x"), completion(""), completion("y")],
    "the answer is no text": [no_text(b"[1]"), completion("no"), completion("y")],
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_asked_many_models_is_settled_once_and_holds_nothing(judged: Watched, name: str, stream: bool) -> None:
    street = judged.street
    script = list(SCRIPTS[name])
    if stream:  # the judge is never asked for a stream; everybody else is
        first = [index for index, reply in enumerate(script) if reply.status == 200 and not reply.wait_s]
        judge = 1 if script[0].status == 200 and not script[0].wait_s else -1
        for index in first:
            if index != judge:
                script[index] = BAD_STREAM
    street.upstream.will(*script)
    with contextlib.suppress(GatewayError):
        answer = await street.call((STREAM if stream else CHAT) | LIMITED, product="few-tokens")
        if answer.stream is not None:
            await read(answer)
    await judged.check()


async def _cancelled_at(watched: Watched, requests: int, document: Any = CHAT) -> None:
    """Begin a call and go away once so many requests are out and the last one waits."""
    upstream = watched.street.upstream
    calling = asyncio.ensure_future(watched.street.call(document | LIMITED, product="few-tokens"))
    await until(lambda: len(upstream.requests) == requests)
    for _ in range(5):
        await asyncio.sleep(0)
    calling.cancel(CLIENT_GONE)
    with pytest.raises(asyncio.CancelledError):
        await calling


WAITING = [Reply(wait_s=FOREVER), Reply(steps=[b"{", FOREVER])]


@pytest.mark.parametrize("waiting", WAITING)
@pytest.mark.parametrize(
    "before",
    [[], [completion("x")], [completion("x"), completion("no")], [DOWN, DOWN], [completion("x"), completion("no"), DOWN]],
    ids=["at the tier", "at the judge", "at the premium model", "at the fallback", "at the fallback after a verdict"],
)
async def test_a_client_that_leaves_while_any_of_the_models_is_asked_leaves_nothing_behind(
    judged: Watched, before: list[Reply], waiting: Reply
) -> None:
    judged.street.upstream.will(*before, waiting)
    await _cancelled_at(judged, len(before) + 1)
    await judged.check()
    record = await judged.street.record()
    assert (record["status"], record["error_code"]) == (499, "client_disconnected")
    paid = sum(reply.status == 200 for reply in before)
    assert int(str(record["cost_micro_usd"])) >= paid * COST  # what came is paid for, whoever waited for it


async def test_a_stream_that_waits_for_its_verdict_is_let_go_with_its_client(judged: Watched) -> None:
    judged.street.upstream.will(BAD_STREAM, Reply(wait_s=FOREVER))
    await _cancelled_at(judged, 2, STREAM)
    await judged.check()


async def test_a_judge_in_doubt_gives_its_place_back_and_the_next_call_may_be_judged(judged: Watched) -> None:
    street = judged.street
    street.upstream.will(completion("x"), Reply(wait_s=FOREVER))
    await _cancelled_at(judged, 2)
    street.upstream.will(completion("x"), completion("yes"))
    assert (await street.call()).headers["x-gateway-tier"] == "cheap"
    await judged.check(2)


async def test_the_operators_own_words_are_settled_once_read_or_not(judged: Watched) -> None:
    street = judged.street
    for reading in (True, False):
        street.upstream.will(DOWN, DOWN, DOWN)
        answer = await street.call(STREAM)
        if reading:
            assert b"Later." in await read(answer)
        else:
            assert answer.stream is not None
            await answer.stream.aclose()
        del answer
    await judged.check(2)
    statuses = [record["status"] for record in await street.records()]
    assert statuses == [200, 499]


async def test_an_explanation_holds_and_spends_nothing(judged: Watched) -> None:
    answer = await judged.street.call(headers={"x-gateway-explain": "true"}, product="few-tokens")
    assert json.loads(answer.body)["object"] == "gateway.explanation"
    assert (judged.settled, judged.holds) == ([NOTHING], [])
    await judged.check()
    assert (await judged.street.record())["cost_micro_usd"] == 0


async def test_one_that_is_refused_a_place_and_one_that_leaves_the_queue_are_settled_once(judged: Watched) -> None:
    street = judged.street
    ask = {"model": "spare"} | LIMITED
    street.upstream.will(Reply(wait_s=FOREVER))
    holding = asyncio.ensure_future(street.call(CHAT | ask))
    await until(lambda: street.upstream.requests)
    waiting = asyncio.ensure_future(street.call(CHAT | ask))
    await until(lambda: street.gates.waiting(street.catalog.deployments["spare"]))
    refused = await street.refused(CHAT | ask)
    assert (refused.status, refused.code) == (503, "overloaded")
    for task in (waiting, holding):
        task.cancel(CLIENT_GONE)
        with pytest.raises(asyncio.CancelledError):
            await task
    await judged.check(3)
    assert sorted(str(record["error_code"]) for record in await street.records()) == ["client_disconnected"] * 2 + ["overloaded"]


async def test_what_is_no_text_is_checked_and_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for verify in ({"regex": "x"}, {"json_schema": {"type": "string"}}):
        watched = Watched(monkeypatch, **verify)
        for content in (b"[1]", b"{}", b"5", b"null"):
            watched.street.upstream.will(no_text(content), completion("y"))
            answer = await watched.street.call()
            assert answer.headers["x-gateway-deployment"] == "premium"
        await watched.street.recorder.close()
