"""Votes are on the caller's own calls only, count once, are joined with their calls, and are forgotten in the end."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.domain.call import Answer
from gateway.domain.catalog import Catalog
from gateway.domain.ids import uuid7_hex
from gateway.errors import GatewayError, NotFound, PayloadTooLarge, RateLimited, RequestError
from gateway.experiments.feedback import A_MINUTE, KEPT_DAYS, Feedback
from gateway.experiments.feedback_rows import FEEDBACK_TABLE, read_vote
from tests.builders import make_inbound, make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.experiments.ledger import HOUR, MINUTE, START, record

NOBODY: Mapping[str, str] = {}


@pytest.fixture
def tables() -> FakeTables:
    return FakeTables()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START + 2 * HOUR)


@pytest.fixture
def feedback(tables: FakeTables, clock: FakeClock) -> Feedback:
    return Feedback(tables, clock)


async def send(feedback: Feedback, document: Any, headers: Mapping[str, str] = NOBODY, **principal: Any) -> Answer:
    async def body() -> bytes:
        return document if isinstance(document, bytes) else json.dumps(document).encode()

    return await feedback.receive(make_inbound(headers=headers), body, make_principal(**principal), Catalog((), ()))


def said(request_id: str, **over: Any) -> dict[str, Any]:
    return {"request_id": request_id, "metric": "helpful", "value": True} | over


async def test_a_vote_is_joined_with_its_call_and_kept(feedback: Feedback, tables: FakeTables) -> None:
    request = await record(tables, START + HOUR, took=15 * MINUTE, session="s1", variant="canary")
    answer = await send(feedback, said(request, comment="good"))
    shown = json.loads(answer.body)
    assert (answer.status, shown["status"], shown["request_id"], shown["value"], shown["comment"]) == (200, "stored", request, 1.0, "good")
    kept = read_vote(tables.rows(FEEDBACK_TABLE)[0].values)
    assert (kept.user, kept.session, kept.experiment, kept.variant, kept.called_at) == ("anna", "s1", "greeting", "canary", START + HOUR)


async def test_the_same_vote_again_replaces_it_and_another_users_does_not(feedback: Feedback, tables: FakeTables) -> None:
    request = await record(tables, START + HOUR)
    await send(feedback, said(request))
    await send(feedback, said(request, value=-2.5))
    assert [row.values["value"] for row in tables.rows(FEEDBACK_TABLE)] == [-2.5]
    await send(feedback, said(request), headers={"x-gateway-user": "bob"})
    await send(feedback, said(request), user="carol")
    await send(feedback, said(request, metric="funny"))
    assert len(tables.rows(FEEDBACK_TABLE)) == 4


@pytest.mark.parametrize("other", [{"tenant": "fabrikam"}, {"subscription": "sub_2"}], ids=["tenant", "subscription"])
async def test_anothers_call_looks_like_one_that_never_was(
    feedback: Feedback, tables: FakeTables, clock: FakeClock, other: dict[str, str]
) -> None:
    answers = []
    for at in (START, clock.utc()):
        theirs, never = await record(tables, at), f"req_{uuid7_hex(at.timestamp())}"
        for request in (theirs, never):
            try:
                answer = await send(feedback, said(request), **other)
                answers.append((answer.status, json.loads(answer.body)["status"]))
            except NotFound as exc:
                answers.append((exc.status, exc.message))
    assert answers[0] == answers[1]
    assert answers[2] == answers[3] == (202, "pending")
    await feedback.join()
    assert not any("experiment" in row.values for row in tables.rows(FEEDBACK_TABLE))


async def test_a_vote_that_came_before_its_record_is_joined_later(feedback: Feedback, tables: FakeTables, clock: FakeClock) -> None:
    ended = clock.utc() + MINUTE
    request = f"req_{uuid7_hex((ended - 2 * MINUTE).timestamp())}"
    assert (await send(feedback, said(request))).status == 202
    assert await feedback.join() == 0
    found = await record(tables, ended)
    moved = tables.data.pop(next(key for key in tables.data if key[2] == found))
    await tables.insert("usage", moved.partition, request, moved.values)
    assert (await feedback.join(), await feedback.join()) == (1, 0)
    assert tables.rows(FEEDBACK_TABLE)[0].values["variant"] == "control"


@pytest.mark.parametrize(
    "request_id",
    ["req_1", "req_" + "g" * 32, f"req_{uuid7_hex(4e9)}", f"req_{uuid7_hex(1.0)}", "req_" + "f" * 12 + "7" + "0" * 19],
    ids=["short", "no hex", "of the future", "of 1970", "of no time"],
)
async def test_an_id_that_no_call_had_is_not_found(feedback: Feedback, tables: FakeTables, request_id: str) -> None:
    with pytest.raises(NotFound) as caught:
        await send(feedback, said(request_id))
    assert caught.value.param == "request_id"
    assert not tables.rows(FEEDBACK_TABLE)


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"metric": "helpful", "value": 1}, "request_id"),
        ({"request_id": "a", "session_id": "b", "metric": "helpful", "value": 1}, "request_id"),
        ({"request_id": "", "metric": "helpful", "value": 1}, "request_id"),
        ({"session_id": " ", "metric": "helpful", "value": 1}, "session_id"),
        ({"session_id": 7, "metric": "helpful", "value": 1}, "session_id"),
        ({"session_id": "s", "value": 1}, "metric"),
        ({"session_id": "s", "metric": "a b", "value": 1}, "metric"),
        ({"session_id": "s", "metric": "a" * 65, "value": 1}, "metric"),
        ({"session_id": "s", "metric": "feedback.helpful", "value": 1}, "metric"),
        ({"session_id": "s", "metric": "helpful"}, "value"),
        ({"session_id": "s", "metric": "helpful", "value": "1"}, "value"),
        ({"session_id": "s", "metric": "helpful", "value": 1e10}, "value"),
        ({"session_id": "s", "metric": "helpful", "value": 1, "comment": "x" * 2001}, "comment"),
        ({"session_id": "s", "metric": "helpful", "value": 1, "rating": 5}, "rating"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_vote_is_refused_by_the_member_at_fault(feedback: Feedback, document: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await send(feedback, document)
    assert caught.value.param == param


async def test_a_body_that_is_too_long_or_no_json_is_refused(feedback: Feedback) -> None:
    with pytest.raises(PayloadTooLarge):
        await send(feedback, b" " * 20_000)
    with pytest.raises(RequestError):
        await send(feedback, b"[]")


async def test_a_session_is_voted_on_without_a_call_and_a_key_in_a_comment_is_masked(feedback: Feedback, tables: FakeTables) -> None:
    key = "gwk_0123456789abcdef_" + "s" * 43
    answer = await send(feedback, {"session_id": "s1", "metric": "solved", "value": False, "comment": f"my key is {key}"})
    assert answer.status == 200
    kept = read_vote(tables.rows(FEEDBACK_TABLE)[0].values)
    assert (kept.session_id, kept.value, kept.comment) == ("s1", 0.0, "my key is gwk_0123456789abcdef_***")
    assert "my key" not in repr(kept)


async def test_a_subscription_that_sends_too_many_waits_and_others_do_not(feedback: Feedback, clock: FakeClock) -> None:
    document = {"session_id": "s1", "metric": "solved", "value": 1}
    for _ in range(A_MINUTE):
        await send(feedback, document)
    with pytest.raises(RateLimited) as caught:
        await send(feedback, document)
    assert 0 < (caught.value.retry_after_s or 0) <= 60
    await send(feedback, document, subscription="sub_2")
    clock.advance(60)
    await send(feedback, document)


async def test_old_votes_are_forgotten_and_young_ones_kept(feedback: Feedback, tables: FakeTables, clock: FakeClock) -> None:
    for number in range(150):
        await send(feedback, {"session_id": f"s{number}", "metric": "solved", "value": 1})
    clock.advance(KEPT_DAYS * 86400 + 3601)
    await send(feedback, {"session_id": "s1", "metric": "solved", "value": 1})
    assert (await feedback.purge(), await feedback.purge()) == (150, 0)
    assert len(tables.rows(FEEDBACK_TABLE)) == 1


async def test_nothing_is_accepted_while_the_store_is_down(feedback: Feedback, tables: FakeTables) -> None:
    tables.down = True
    with pytest.raises(GatewayError) as caught:
        await send(feedback, {"session_id": "s1", "metric": "solved", "value": 1})
    assert caught.value.status == 503
