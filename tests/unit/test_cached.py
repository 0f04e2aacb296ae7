import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.cached import Cached
from gateway.errors import StoreUnavailable
from tests.fakes.clock import FakeClock


class Store:
    """What `load` asks: counts its readers, can be down, and can be held."""

    def __init__(self) -> None:
        self.values: dict[str, str | None] = {"a": "1", "b": "1", "c": "1"}
        self.asked: list[str] = []
        self.down = False
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, name: str) -> str | None:
        self.asked.append(name)
        value = self.values.get(name)  # read first, answered later: like a slow network
        await self.open.wait()
        if self.down:
            raise StoreUnavailable("down")
        return value


class World:
    def __init__(self, capacity: int = 10) -> None:
        self.store = Store()
        self.clock = FakeClock()
        self.cached = Cached(self.store.load, self.clock, fresh_s=1, stale_s=4, outage_s=60, capacity=capacity)

    async def get(self, name: str = "a") -> str | None:
        return await self.cached.get(name)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    yield World()
    await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_fresh_value_is_served_without_asking(world: World) -> None:
    assert await world.get() == "1"
    world.store.values["a"] = "2"
    world.clock.advance(1)
    assert await world.get() == "1"
    await settle()
    assert world.store.asked == ["a"]


async def test_a_stale_value_is_served_while_one_background_read_renews_it(world: World) -> None:
    await world.get()
    world.store.values["a"] = "2"
    world.clock.advance(1.5)
    world.store.open.clear()
    assert [await world.get() for _ in range(3)] == ["1"] * 3
    world.store.open.set()
    await settle()
    assert await world.get() == "2"
    assert world.store.asked == ["a", "a"]


async def test_a_value_that_is_too_old_is_waited_for(world: World) -> None:
    await world.get()
    world.store.values["a"] = "2"
    world.clock.advance(4.5)
    assert await world.get() == "2"


async def test_the_age_counts_from_when_the_store_was_asked(world: World) -> None:
    world.store.open.clear()
    waiting = asyncio.create_task(world.get())
    await settle()
    world.clock.advance(3)
    world.store.open.set()
    await waiting
    world.store.values["a"] = None  # revoked
    world.clock.advance(1.5)
    assert await world.get() is None


async def test_a_revoked_value_is_gone_after_stale_s_at_the_latest(world: World) -> None:
    await world.get()
    world.store.values["a"] = None
    for _ in range(8):
        world.clock.advance(0.51)
        await world.get()
        await settle()
    assert await world.get() is None


async def test_a_known_value_survives_an_outage_for_outage_s(world: World) -> None:
    await world.get()
    world.store.down = True
    for age_s in (2, 4, 30, 60):
        world.clock.advance(age_s - world.clock.now_s())
        assert await world.get() == "1"
        await settle()
    world.clock.advance(0.5)
    with pytest.raises(StoreUnavailable):
        await world.get()


async def test_nobody_new_is_let_in_during_an_outage(world: World) -> None:
    assert await world.get("unknown") is None
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        await world.get("a")
    world.clock.advance(2)
    with pytest.raises(StoreUnavailable):
        await world.get("unknown")


async def test_after_an_outage_the_store_is_asked_again(world: World) -> None:
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        await world.get()
    world.store.down = False
    assert await world.get() == "1"


async def test_concurrent_misses_ask_once(world: World) -> None:
    assert await asyncio.gather(*(world.get() for _ in range(50))) == ["1"] * 50
    assert world.store.asked == ["a"]


async def test_a_waiter_that_is_cancelled_does_not_cancel_the_others(world: World) -> None:
    world.store.open.clear()
    first, second = asyncio.create_task(world.get()), asyncio.create_task(world.get())
    await settle()
    first.cancel()
    await settle()
    world.store.open.set()
    assert await second == "1"
    assert world.store.asked == ["a"]


async def test_a_miss_is_kept_while_it_is_fresh_and_then_asked_again(world: World) -> None:
    assert [await world.get("new") for _ in range(5)] == [None] * 5
    assert world.store.asked == ["new"]
    world.store.values["new"] = "1"
    world.clock.advance(1.1)
    assert await world.get("new") == "1"


async def test_what_is_forgotten_is_read_anew(world: World) -> None:
    await world.get()
    world.store.values["a"] = "2"
    world.cached.forget("a")
    assert await world.get() == "2"


async def test_a_read_that_was_under_way_when_its_name_was_forgotten_is_not_kept(world: World) -> None:
    world.store.open.clear()
    early = asyncio.create_task(world.get())
    await settle()
    world.store.values["a"] = "2"
    world.cached.forget("a")
    late = asyncio.create_task(world.get())
    await settle()
    world.store.open.set()
    assert await early == "1"
    assert await late == "2"
    assert await world.get() == "2"


async def test_all_that_a_change_concerns_is_read_anew_and_nothing_else(world: World) -> None:
    for name in ("a", "b"):
        await world.get(name)
    world.store.values |= {"a": "x", "b": "2"}
    await world.get("nobody")
    world.cached.forget_all(lambda value: value == "1")
    world.store.values["nobody"] = "1"
    assert [await world.get(name) for name in ("a", "b", "nobody")] == ["x", "2", None]
    world.cached.forget_all(lambda value: value == "x")
    world.store.asked.clear()
    assert [await world.get(name) for name in ("a", "b")] == ["x", "2"]
    assert world.store.asked == ["a"]


async def test_what_was_not_there_is_asked_for_anew_where_a_change_may_have_made_it(world: World) -> None:
    assert await world.get("nobody") is None
    world.store.values["nobody"] = "1"
    world.cached.forget_all(lambda _: False)
    assert await world.get("nobody") is None
    world.cached.forget_all(lambda _: False, misses=True)
    assert await world.get("nobody") == "1"


async def test_a_read_that_was_under_way_when_a_change_was_made_is_not_kept(world: World) -> None:
    world.store.open.clear()
    early = asyncio.create_task(world.get())
    await settle()
    world.store.values["a"] = "2"
    world.cached.forget_all(lambda _: False)  # what is being read is not known yet
    world.store.open.set()
    assert await early == "1"
    assert await world.get() == "2"


async def test_the_least_recently_used_entry_goes_first() -> None:
    world = World(capacity=2)
    await world.get("a")
    await world.get("b")
    await world.get("a")
    await world.get("c")
    await world.get("a")
    assert world.store.asked == ["a", "b", "c"]
    await world.get("b")
    assert world.store.asked == ["a", "b", "c", "b"]


async def test_a_failed_background_read_is_no_fault_while_memory_serves(world: World) -> None:
    await world.get()
    world.store.down = True
    world.clock.advance(2)
    assert await world.get() == "1"
    await settle()
    assert world.cached._loading == {}


async def test_a_flood_of_unknown_names_pushes_no_known_one_out() -> None:
    world = World(capacity=2)
    assert await world.get("a") == "1"
    for number in range(10):
        assert await world.get(f"unknown-{number}") is None
    world.store.asked.clear()
    assert await world.get("a") == "1"
    assert world.store.asked == []


async def test_during_an_outage_nobody_waits_for_a_store_that_has_just_failed(world: World) -> None:
    assert await world.get() == "1"
    world.store.down = True
    world.clock.advance(10)
    assert await world.get() == "1"  # waited, and saw the failure
    world.store.open.clear()  # from now on the store does not even answer
    world.clock.advance(0.5)
    assert await asyncio.wait_for(world.get(), 5) == "1"
    world.store.open.set()


async def test_a_known_caller_does_not_wait_for_a_store_that_hangs_and_sees_what_it_says_in_the_end(world: World) -> None:
    assert await world.get() == "1"
    world.store.values["a"] = "2"
    world.store.open.clear()
    world.clock.advance(3)
    assert await world.get() == "1"  # a read begins in the background
    for _ in range(10):
        world.clock.advance(5)
        assert await asyncio.wait_for(world.get(), 5) == "1"
    assert world.store.asked == ["a", "a"]
    world.store.open.set()
    await settle()
    assert await world.get() == "2"


async def test_nobody_is_let_in_for_long_by_a_store_that_hangs(world: World) -> None:
    assert await world.get() == "1"
    world.store.open.clear()
    world.clock.advance(61)
    waiting = asyncio.create_task(world.get())
    await settle()
    assert not waiting.done()
    world.store.down = True
    world.store.open.set()
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_a_name_that_comes_to_be_is_found_once_its_miss_is_no_longer_fresh(world: World) -> None:
    assert await world.get("new") is None
    world.store.values["new"] = "1"
    world.clock.advance(1.1)
    assert await world.get("new") == "1"
