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
LARGE = "x" * 250_000
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

    async def say(self, owner: Owner, text: str, days: int = 30) -> str:
        request = uuid7_hex(self.clock.utc().timestamp() + next(self.numbers))
        assert await self.histories.append(owner, request, turn(text), days)
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


async def test_a_page_without_rows_is_not_the_end() -> None:
    kept = Kept()
    kept.tables.sparse = True
    for owner in (ANNA, *OTHERS):
        await kept.say(owner, "a")
    for text in ("b", "c"):
        await kept.say(ANNA, text)
    assert await kept.said(ANNA) == ["a", "a!", "b", "b!", "c", "c!"]
    assert await kept.histories.purge() == 0
    assert await kept.histories.erase_many("contoso", user="ben") == 1
    kept.clock.advance(20 * DAY_S)
    await kept.say(ANNA, "d")
    kept.clock.advance(11 * DAY_S)
    assert await kept.histories.purge() == 2
    assert await kept.said(ANNA) == ["a", "a!", "b", "b!", "c", "c!", "d", "d!"]
    kept.clock.advance(20 * DAY_S)
    assert await kept.histories.purge() == 1
    assert kept.tables.rows(TABLE) == []


async def test_more_turns_than_a_page_holds_come_back() -> None:
    kept = Kept()
    for text in ("a", "b", "c"):
        await kept.say(ANNA, text)
    request = uuid7_hex(kept.clock.utc().timestamp() + next(kept.numbers))
    await kept.histories.append(ANNA, request, [], 30)  # so messages are fewer than rows
    assert await kept.said(ANNA, 2) == ["c", "c!"]
    kept.tables.sparse = True
    assert await kept.said(ANNA, 2) == ["c", "c!"]
    assert (await kept.histories.load(ANNA, 6)).complete


class Failing(Kept):
    """Writes blobs, and no rows beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.insert = self.tables.insert

    async def lose(self, owner: Owner, text: str) -> None:
        self.tables.insert = self._fail  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await self.say(owner, text)
        self.tables.insert = self.insert  # type: ignore[method-assign]

    async def _fail(self, *_: object) -> str:
        raise StoreUnavailable("the table store did not answer; try again")


async def test_a_large_turn_that_never_got_its_row_is_deleted_when_its_time_is_over() -> None:
    kept = Failing()
    await kept.lose(ANNA, LARGE)
    await kept.lose(OTHERS[0], LARGE)
    await kept.say(OTHERS[0], LARGE)
    kept.clock.advance(30 * DAY_S)
    await kept.lose(ANNA, LARGE)
    await kept.histories.purge()
    assert len(kept.blobs.data) == 1  # its conversation may just be going on
    kept.clock.advance(31 * DAY_S)
    await kept.histories.purge()
    assert (kept.blobs.names(), kept.tables.rows(TABLE)) == ([], [])


async def test_what_goes_on_keeps_its_large_turns_while_older_ones_are_deleted() -> None:
    kept = Failing()
    await kept.lose(ANNA, LARGE)
    await kept.say(ANNA, LARGE, days=1)
    await kept.say(ANNA, LARGE)
    kept.clock.advance(DAY_S)
    await kept.lose(ANNA, LARGE)
    partition, now = kept.histories._partition(ANNA), kept.clock.utc()
    assert await kept.histories._erase(partition, now) == 1
    assert len(kept.blobs.data) == 3  # that without a row for a day may still get it
    kept.clock.advance(1)
    assert await kept.histories._erase(partition, kept.clock.utc()) == 1
    assert [len(kept.blobs.data), (await kept.said(ANNA))[0] == LARGE] == [2, True]
    kept.clock.advance(2 * DAY_S)
    assert await kept.histories._erase(partition, kept.clock.utc()) == 1
    assert [len(kept.blobs.data), (await kept.said(ANNA))[0] == LARGE] == [1, True]
    assert await kept.histories.erase(ANNA) == 1
    assert (kept.blobs.names(), await kept.said(ANNA)) == ([], [])
