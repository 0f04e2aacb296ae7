"""What a worker remembers of prompts: what is resolved, how soon a move is seen, and that calls ask no table."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.domain.prompts import SHARED
from gateway.errors import NotFound, StoreUnavailable
from gateway.prompts import memory as memory_module
from gateway.prompts.memory import STALE_S, PromptMemory
from tests.unit.prompts.written import Shelf, draft


class World(Shelf):
    def __init__(self) -> None:
        super().__init__()
        self.memory = PromptMemory(self.library, self.clock)

    async def said(self, wanted: int | str = "production", tenant: str = "contoso", name: str = "support") -> Any:
        return (await self.memory.resolve(tenant, name, wanted)).messages[0].content

    async def shared(self, *contents: str) -> None:
        await self.published("support", *contents, tenant=SHARED)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_call_gets_the_version_that_its_label_or_number_names(world: World) -> None:
    await world.published("support", "One", "Two", "Three")
    await world.library.set_label("contoso", "support", "staging", 2)
    assert [await world.said(each) for each in ("production", "staging", 1, "1", 3)] == ["Three", "Two", "One", "One", "Three"]


async def test_a_tenants_own_prompt_hides_the_shared_one(world: World) -> None:
    await world.shared("shared")
    await world.published("support", "own")
    assert [await world.said(tenant=each) for each in ("contoso", "fabrikam")] == ["own", "shared"]
    await world.library.delete_label("contoso", "support", "production")
    world.memory.forget("contoso", "support")
    with pytest.raises(NotFound):
        await world.said()
    await world.library.delete("contoso", "support")
    world.memory.forget("contoso", "support")
    assert await world.said() == "shared"


async def test_nobody_gets_another_tenants_prompt(world: World) -> None:
    await world.published("support", "own")
    assert await world.said() == "own"
    for tenant in ("fabrikam", "contoso|support", "contos", ""):
        with pytest.raises(NotFound):
            await world.memory.resolve(tenant, "support")
        assert world.memory.fresh(tenant, "support") is None
        assert await world.memory.visible(tenant) == ()


@pytest.mark.parametrize(
    ("name", "wanted", "code", "param", "said"),
    [
        ("nobody", "production", "prompt_not_found", "prompt.id", "GET /v1/prompts lists"),
        ("a/b#", "production", "prompt_not_found", "prompt.id", "GET /v1/prompts lists"),
        ("x" * 65, "production", "prompt_not_found", "prompt.id", "GET /v1/prompts lists"),
        ("support", "canary", "prompt_version_not_found", "prompt.version", "it has production, staging"),
        ("support", "", "prompt_version_not_found", "prompt.version", "it has production, staging"),
        ("support", "123456789012", "prompt_version_not_found", "prompt.version", "it has production, staging"),
        ("support", 0, "prompt_version_not_found", "prompt.version", "it has 1 to 2"),
        ("support", 3, "prompt_version_not_found", "prompt.version", "it has 1 to 2"),
        ("support", "3", "prompt_version_not_found", "prompt.version", "it has 1 to 2"),
        ("support", -1, "prompt_version_not_found", "prompt.version", "it has 1 to 2"),
    ],
)
async def test_what_is_not_there_is_said_with_what_there_is(
    world: World, name: str, wanted: int | str, code: str, param: str, said: str
) -> None:
    await world.published("support", "One", "Two")
    await world.library.set_label("contoso", "support", "staging", 1)
    with pytest.raises(NotFound, match=said) as caught:
        await world.memory.resolve("contoso", name, wanted)
    assert (caught.value.code, caught.value.param) == (code, param)
    with pytest.raises(NotFound) as invoked:
        await world.memory.resolve("contoso", name, wanted, place="")
    assert invoked.value.param == param.removeprefix("prompt.")


async def test_calls_ask_no_table(world: World) -> None:
    await world.published("support", "One", "Two")
    assert world.memory.fresh("contoso", "support") is None
    await world.said()
    await world.said(1)
    asked = world.tables.calls
    for wanted in ("production", 1, 2, "2") * 50:
        assert world.memory.fresh("contoso", "support", wanted) == await world.memory.resolve("contoso", "support", wanted)
        with pytest.raises(NotFound):
            await world.said("canary")
        with pytest.raises(NotFound):
            await world.said(9)
        assert world.memory.fresh("contoso", "support", "canary") is None
        assert world.memory.fresh("contoso", "support", 9) is None
    assert world.tables.calls == asked


async def test_calls_that_come_together_read_a_version_once(world: World) -> None:
    await world.published("support", "One")
    asked = world.tables.calls
    assert await asyncio.gather(*(world.said() for _ in range(20))) == ["One"] * 20
    assert world.tables.calls - asked == 3  # the tenant's head, the shared one, the version


async def test_a_moved_label_is_in_effect_everywhere_within_five_seconds(world: World) -> None:
    other = PromptMemory(world.library, world.clock)
    await world.published("support", "One", "Two")
    assert [(await each.resolve("contoso", "support")).version for each in (world.memory, other)] == [2, 2]
    await world.library.set_label("contoso", "support", "production", 1)
    world.memory.forget("contoso", "support")
    assert (await world.memory.resolve("contoso", "support")).version == 1
    world.clock.advance(STALE_S + 0.1)
    assert STALE_S < 5
    assert other.fresh("contoso", "support") is None
    assert (await other.resolve("contoso", "support")).version == 1


@pytest.mark.parametrize("owner", ["contoso", SHARED])
async def test_what_this_worker_makes_is_there_at_once(world: World, owner: str) -> None:
    with pytest.raises(NotFound):
        await world.said()
    assert await world.memory.visible("contoso") == ()
    await world.published("support", "One", tenant=owner)
    world.memory.forget(owner, "support")
    assert await world.said() == "One"
    assert [each.name for each in await world.memory.visible("contoso")] == ["support"]


async def test_another_prompts_change_asks_nothing_anew(world: World) -> None:
    await world.published("support", "One")
    await world.published("other", "Other", tenant=SHARED)
    await world.said()
    asked = world.tables.calls
    world.memory.forget(SHARED, "other")
    world.memory.forget("fabrikam", "support")
    assert await world.said() == "One"
    assert world.tables.calls == asked


async def test_prompts_are_served_while_the_store_is_down(world: World) -> None:
    await world.published("support", "One")
    assert await world.said() == "One"
    world.tables.down = True
    world.clock.advance(30)
    assert await world.said() == "One"
    with pytest.raises(StoreUnavailable):
        await world.said(name="other")


async def test_a_version_that_could_not_be_read_is_read_later(world: World) -> None:
    await world.published("support", "One", "Two")
    await world.said()
    world.tables.down = True
    with pytest.raises(StoreUnavailable):
        await world.said(1)
    world.tables.down = False
    assert await world.said(1) == "One"


async def test_the_least_recently_used_versions_go_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MAX_KEPT_BYTES", 2_500)  # room for two
    await world.published("support", *(letter * 1000 for letter in "abc"))
    for number in (1, 2, 1, 3):
        await world.said(number)
    assert [world.memory.fresh("contoso", "support", number) is not None for number in (1, 2, 3)] == [True, False, True]
    assert (await world.said(2))[0] == "b"


async def test_the_catalogue_shows_what_is_published_own_before_shared(world: World) -> None:
    for name, tenant in (("b", "contoso"), ("a", SHARED), ("b", SHARED), ("c", SHARED), ("d", "fabrikam")):
        await world.published(name, tenant=tenant)
    await world.library.create("contoso", "c", draft())  # own, and not published: it hides the shared one for calls too
    found: Mapping[str, str] = {each.name: each.tenant for each in await world.memory.visible("contoso")}
    assert found == {"a": SHARED, "b": "contoso"}
    assert [*found] == ["a", "b"]
    asked = world.tables.calls
    assert len(await world.memory.visible("contoso")) == 2
    assert world.tables.calls == asked
