"""Kept conversations over every store: turns of any size, at once, erased, and over."""

import asyncio

from gateway.conversations.history import Histories, Owner
from gateway.domain.ids import uuid7_hex
from tests.fakes.clock import FakeClock

DAY_S = 86_400
LONG = 'ü😀"\\\n' * 3_000
LARGE = LONG * 20  # more than a row takes


def turn(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}]


async def said(histories: Histories, owner: Owner, most: int = 200) -> list[str]:
    return [each["content"] for each in (await histories.load(owner, most)).messages if each["role"] == "user"]


async def test_a_conversations_life_is_the_same_over_every_store(tables, table, blobs):
    clock = FakeClock()
    histories = Histories(tables, blobs, b"pepper", clock)
    anna, ben = (Owner(table, "sub_1", user, "s/1 #?") for user in ("anna", "ben"))  # nobody's tenant
    texts = ["a", LONG, LARGE, "d"]
    requests = [uuid7_hex(clock.utc().timestamp() + number) for number in range(len(texts))]
    for request, text in zip(requests, texts, strict=True):
        assert await histories.append(anna, request, turn(text), 30)
    assert not await histories.append(anna, requests[2], turn(LARGE), 30)
    assert await said(histories, anna) == texts
    assert await said(histories, anna, 5) == texts[2:]
    clock.advance(10 * DAY_S)
    later = [uuid7_hex(clock.utc().timestamp() + number) for number in range(3)]
    await asyncio.gather(*(histories.append(ben, request, turn(request), 30) for request in later))
    assert await said(histories, ben) == later
    clock.advance(21 * DAY_S)
    await histories.purge()  # what others left in the same store may be over, too
    assert await said(histories, anna) == []
    assert await said(histories, ben) == later
    assert await histories.erase_many(table, session="s/1 #?") == 1
    assert await said(histories, ben) == []
    assert await histories.erase(ben) == 0
    clock.advance(30 * DAY_S)
    assert await histories.purge() == 0


async def test_what_is_large_leaves_no_blob_behind(tables, table, blobs):
    clock = FakeClock()
    histories = Histories(tables, blobs, b"pepper", clock)
    owners = [Owner(table, "sub_1", "anna", session) for session in ("s-1", "s-2")]
    for owner in owners:
        await histories.append(owner, uuid7_hex(clock.utc().timestamp()), turn(LARGE), 1)
    assert len(await blobs.list("conversations", table)) == len(owners)
    assert await histories.erase(owners[0]) == 1
    clock.advance(2 * DAY_S)
    assert await histories.purge() == 1
    assert await blobs.list("conversations", table) == []
