import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from gateway.conversations.history import Histories, Owner
from gateway.conversations.turns import Turns
from gateway.domain.call import Answer, Operation
from gateway.domain.conversations import History
from gateway.errors import GatewayError, StoreUnavailable
from tests.fakes.blobs import FakeBlobs
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

ANNA = Owner("contoso", "sub_1", "anna", "s-1")
KEPT = History(ttl_days=1)
SAID = ({"role": "user", "content": "One"},)


class Tables(FakeTables):
    """A table store that can be held, or fail a few times."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.failures = 0

    async def insert(self, table: str, partition: str, row: str, values: Mapping[str, Any]) -> str:
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("no")
        return await super().insert(table, partition, row, values)


class Stream:
    """A client's stream."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def aclose(self, error: GatewayError | None = None) -> None:
        self.closed = True


def make() -> tuple[Turns, Tables]:
    tables, clock = Tables(), FakeClock()
    return Turns(Histories(tables, FakeBlobs(), b"pepper", clock), clock), tables


def whole(text: str) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Answer({}, json.dumps({"choices": [choice]}).encode())


def streamed(*texts: str, finish: str | None = "stop") -> Answer:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in texts]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}] if finish else []
    return Answer({}, stream=Stream(*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"))


async def remembered(turns: Turns, answer: Answer, number: int = 1, said: tuple[dict[str, Any], ...] = SAID) -> Answer:
    return await turns.remember(ANNA, f"req_{number:032x}", said, KEPT, answer, Operation.CHAT)


async def test_a_whole_answers_turn_is_there_when_the_client_has_it() -> None:
    turns, _ = make()
    assert await remembered(turns, whole("Hi!")) == whole("Hi!")
    assert await turns.past(ANNA, KEPT) == (*SAID, {"role": "assistant", "content": "Hi!"})


async def test_a_streams_turn_is_found_by_the_next_call_of_the_worker() -> None:
    turns, tables = make()
    tables.open.clear()
    answer = await remembered(turns, streamed("He", "llo"))
    assert answer.stream is not None
    assert b"".join([piece async for piece in answer.stream]).endswith(b"[DONE]\n\n")  # the client waits for nothing
    asking = asyncio.create_task(turns.past(ANNA, KEPT))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asking.done()
    tables.open.set()
    assert await asking == (*SAID, {"role": "assistant", "content": "Hello"})


@pytest.mark.parametrize("answer", [streamed("Hel", finish=None), streamed("Hel", finish="content_filter")], ids=["broken", "filtered"])
async def test_an_answer_that_is_none_leaves_no_turn(answer: Answer) -> None:
    turns, _ = make()
    told = await remembered(turns, answer)
    assert told.stream is not None
    _ = [piece async for piece in told.stream]
    await turns.close()
    assert await turns.past(ANNA, KEPT) == ()


@pytest.mark.parametrize("body", [b'{"choices": [1]}', b'{"choices": [{"index": 0, "message": 1}]}', b"[]", b"{"], ids=repr)
async def test_an_odd_answer_is_handed_on_and_not_kept(body: bytes) -> None:
    turns, _ = make()
    assert await remembered(turns, Answer({}, body)) == Answer({}, body)
    assert await turns.past(ANNA, KEPT) == ()


async def test_a_store_that_fails_holds_nobody_up_and_gets_the_turn_later() -> None:
    turns, tables = make()
    tables.failures = 2
    await remembered(turns, whole("Hi!"))
    await turns.close()
    assert await turns.past(ANNA, KEPT) == (*SAID, {"role": "assistant", "content": "Hi!"})


async def test_another_session_waits_for_nobody() -> None:
    turns, tables = make()
    tables.open.clear()
    answer = await remembered(turns, streamed("Hi"))
    assert answer.stream is not None
    _ = [piece async for piece in answer.stream]
    assert await turns.past(Owner("contoso", "sub_1", "anna", "s-2"), KEPT) == ()
    tables.open.set()
    await turns.close()
