"""Responses that are made in the background: what nobody waits for is counted all the same."""

import json
from typing import Any

import pytest

from gateway.domain.call import Answer, Operation
from gateway.domain.catalog import Catalog
from tests.builders import make_backend, make_deployment, make_model, make_price
from tests.fakes.upstream import Reply
from tests.flow.street import PRODUCTS, Street, read

ASK: dict[str, Any] = {"operation": Operation.RESPONSES, "path": "/v1/responses"}
ITEM: dict[str, Any] = {"operation": Operation.RESPONSE_ITEM, "method": "GET", "path": "/v1/responses/id"}
FEW = {"product": "few-tokens"}
DOCUMENT = {"model": "gpt-5", "input": "Write a book", "background": True, "max_output_tokens": 800}
DONE = {"status": "completed", "usage": {"input_tokens": 5, "output_tokens": 700}}


@pytest.fixture
def street() -> Street:
    held = make_deployment(id="held", name="held", backend=make_backend(), price=make_price())
    return Street(Catalog((make_model(held, id="gpt-5", capabilities=("responses",)),), tuple(PRODUCTS.values())))


def stored(**over: Any) -> dict[str, Any]:
    return {"id": "resp_up", "object": "response", "background": True, "status": "queued", "output": [], "usage": None, **over}


def whole(**over: Any) -> Reply:
    return Reply(steps=[json.dumps(stored(**over)).encode()])


def left(answer: Answer) -> int:
    return int(answer.headers["x-ratelimit-remaining-tokens"])


async def begun(street: Street, **over: Any) -> str:
    street.upstream.will(whole())
    return str(json.loads((await street.call(DOCUMENT, **ASK, **over)).body)["id"])


async def test_one_that_has_only_begun_keeps_all_that_was_reserved_for_it(street: Street) -> None:
    response_id = await begun(street, **FEW)
    street.upstream.will(whole())
    assert left(await street.call({}, **ITEM, **FEW, path_model=response_id)) < 1000 - 800


async def test_its_output_is_counted_when_it_is_fetched_and_only_then(street: Street) -> None:
    response_id = await begun(street)
    street.upstream.will(whole(), whole(**DONE), whole(**DONE))
    for _ in range(3):
        answer = await street.call({}, **ITEM, path_model=response_id)
    assert [record.get("completion_tokens", 0) for record in await street.records()] == [0, 0, 700, 0]
    assert answer.headers["x-gateway-cost-usd"] == "0.000000"


async def test_watching_it_as_a_stream_is_no_way_around(street: Street) -> None:
    response_id = await begun(street)
    events = [{"type": "response.output_text.delta", "delta": "Hi"}, {"type": "response.completed", "response": stored(**DONE)}]
    street.upstream.will(Reply(steps=[f"data: {json.dumps(each)}\n\n".encode() for each in events]))
    await read(await street.call({}, **ITEM, path_model=response_id, query={"stream": "true"}))
    street.upstream.will(Reply(steps=[f"data: {json.dumps(events[0])}\n\n".encode()] * 40))
    answer = await street.call({}, **ITEM, path_model=response_id, query={"stream": "true"})
    assert answer.stream is not None
    await anext(aiter(answer.stream))
    await answer.stream.aclose()  # it has heard enough before the end
    _, watched, left_early = [record.get("completion_tokens", 0) for record in await street.records()]
    assert (watched, bool(left_early)) == (700, True)


async def test_one_that_was_complete_at_once_is_not_charged_again_when_it_is_fetched(street: Street) -> None:
    street.upstream.will(whole(**DONE))
    response_id = str(json.loads((await street.call(DOCUMENT, **ASK)).body)["id"])
    street.upstream.will(whole(**DONE))
    await street.call({}, **ITEM, path_model=response_id)
    assert [record.get("completion_tokens", 0) for record in await street.records()] == [700, 0]
