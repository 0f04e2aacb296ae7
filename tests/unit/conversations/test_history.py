"""Conversations are kept whole, apart and unreadable, and go when they are over."""

import asyncio
import itertools

import pytest

from gateway.conversations.history import TABLE, Histories, Owner
from gateway.domain.ids import uuid7_hex
from gateway.errors import StoreUnavailable
from tests.fakes.blobs import FakeBlobs
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

DAY_S = 86_400
ANNA = Owner("contoso", "sub_1", "anna", "s-1")
OTHERS = (Owner("contoso", "sub_1", "anna", "s-2"), Owner("contoso", "sub_1", "ben", "s-1"), Owner("contoso", "sub_2", "anna", "s-1"))
ELSEWHERE = Owner("fabrikam", "sub_1", "anna", "s-1")


def turn(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": f"{text}!"}]


class Kept:
    def __init__(self) -> None:
        self.tables, self.blobs, self.clock = FakeTables(), FakeBlobs(), FakeClock()
        self.histories = Histories(self.tables, self.blobs, b"pepper", self.clock)
        self.numbers = itertools.count()

    async def say(self, owner: Owner, text: str) -> str:
        request = uuid7_hex(self.clock.utc().timestamp() + next(self.numbers))
        assert await self.histories.append(owner, request, turn(text), 30)
        return request

    async def said(self, owner: Owner, most: int = 200) -> list[str]:
        return [each["content"] for each in (await self.histories.load(owner, most)).messages]


async def test_turns_come_back_in_their_order_from_one_query() -> None:
    kept = Kept()
    for text in ("a", "b", "c"):
        await kept.say(ANNA, text)
    before = kept.tables.calls
    assert await kept.said(ANNA) == ["a", "a!", "b", "b!", "c", "c!"]
    assert kept.tables.calls == before + 1
    assert await kept.said(ANNA, 5) == ["b", "b!", "c", "c!"]
    assert not (await kept.histories.load(ANNA, 5)).complete


async def test_nobody_reads_anothers_conversation() -> None:
    kept = Kept()
    await kept.say(ANNA, "mine")
    assert [await kept.said(each) for each in (*OTHERS, ELSEWHERE)] == [[]] * 4


async def test_a_turn_written_twice_is_there_once_and_two_at_once_both_stay() -> None:
    kept = Kept()
    request = await kept.say(ANNA, "a")
    assert not await kept.histories.append(ANNA, request, turn("a"), 30)
    await asyncio.gather(kept.say(ANNA, "b"), kept.say(ANNA, "c"))
    assert sorted(await kept.said(ANNA)) == ["a", "a!", "b", "b!", "c", "c!"]


@pytest.mark.parametrize("size", [100_000, 500_000], ids=["cells", "blob"])
async def test_a_large_turn_comes_back_and_is_erased_with_all_of_it(size: int) -> None:
    kept = Kept()
    await kept.say(ANNA, "é" * (size // 4))
    assert (await kept.said(ANNA))[0] == "é" * (size // 4)
    assert len(kept.blobs.data) == (size > 400_000)
    assert await kept.histories.erase(ANNA) == 1
    assert await kept.said(ANNA) == []
    assert not kept.blobs.data
    assert await kept.histories.erase(ANNA) == 0


async def test_what_is_stored_shows_neither_texts_nor_names_and_opens_under_its_own_pepper_alone() -> None:
    kept = Kept()
    await kept.say(ANNA, "a secret word")
    stored = repr(kept.tables.data)
    assert not [each for each in ("secret word", "anna", "s-1", "sub_1") if each in stored]
    with pytest.raises(StoreUnavailable):
        await Histories(kept.tables, kept.blobs, b"other", kept.clock)._open(kept.tables.rows(TABLE)[0])


async def test_an_administrator_erases_what_is_named_and_no_more() -> None:
    kept = Kept()
    for owner in (ANNA, *OTHERS, ELSEWHERE):
        await kept.say(owner, "x")
    assert await kept.histories.erase_many("contoso", user="ben") == 1
    assert await kept.histories.erase_many("contoso", session="s-1") == 2
    assert await kept.histories.erase_many("contoso") == 1
    assert await kept.said(ELSEWHERE) == ["x", "x!"]


async def test_a_conversation_ends_so_long_after_its_last_turn_and_a_new_one_begins_empty() -> None:
    kept = Kept()
    await kept.say(ANNA, "a")
    kept.clock.advance(20 * DAY_S)
    await kept.say(ANNA, "b")
    kept.clock.advance(20 * DAY_S)
    assert await kept.histories.purge() == 0
    assert await kept.said(ANNA) == ["a", "a!", "b", "b!"]
    kept.clock.advance(10 * DAY_S)
    assert await kept.said(ANNA) == []
    await kept.say(ANNA, "c")
    assert await kept.said(ANNA) == ["c", "c!"]
    kept.clock.advance(31 * DAY_S)
    assert await kept.histories.purge() == 1
    assert kept.tables.rows(TABLE) == []
