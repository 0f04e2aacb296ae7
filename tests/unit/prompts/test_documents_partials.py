"""What a prompt includes from others is looked up once, when its version is made."""

from typing import Any

import msgspec
import pytest

from gateway.domain.prompts import SHARED, Partial
from gateway.errors import RequestError
from gateway.prompts.documents import Documents
from gateway.prompts.documents_partials import MAX_DEPTH, MAX_PARTIALS
from gateway.prompts.library import Made
from tests.unit.prompts.written import TEMPLATES, Shelf, document


class World(Shelf):
    def __init__(self) -> None:
        super().__init__()
        self.documents = Documents(self.library, TEMPLATES, lambda _tenant, _name: None)

    async def made(self, name: str, content: Any, tenant: str = "contoso", **over: Any) -> Made:
        draft = await self.documents.version(tenant, name, document(content, **over))
        made = await self.library.create(tenant, name, draft)
        await self.library.set_label(tenant, name, "production", made.version.version)
        return made


def including(reference: str) -> str:
    return "{{> " + reference + "}}"


@pytest.fixture
def world() -> World:
    return World()


async def test_a_partial_is_what_production_said_when_the_version_was_made(world: World) -> None:
    await world.made("tone", "Be kind.")
    first = await world.made("support", "{{> tone}} Answer.")
    await world.made("tone", "Be short.")
    assert first.version.partials == {"tone": Partial(1, "Be kind.", ("tone",))}
    second = await world.made("support", "{{> tone}} Answer.")
    assert second.new
    assert second.version.partials == {"tone": Partial(2, "Be short.", ("tone",))}
    assert await world.library.version("contoso", "support", 1) == first.version


async def test_a_partial_can_be_a_version_by_number(world: World) -> None:
    await world.made("tone", "Be kind.")
    await world.made("tone", "Be short.")
    made = await world.made("support", "{{> tone@1}} {{> tone}}")
    assert {each: one.text for each, one in made.version.partials.items()} == {"tone@1": "Be kind.", "tone": "Be short."}


async def test_what_get_shows_of_a_version_makes_the_same_version_again(world: World) -> None:
    await world.made("tone", "Be kind.")
    first = await world.made("support", "{{> tone}} Answer.")
    await world.made("tone", "Be short.")
    shown = msgspec.to_builtins(first.version.partials)
    again = await world.made("support", "{{> tone}} Answer.", partials=shown)
    assert (again.new, again.version) == (False, first.version)
    numbered = await world.made("support", "{{> tone}} Answer.", partials={"tone": 1})
    assert not numbered.new
    shown["tone"]["text"] = "Be rude."
    with pytest.raises(RequestError, match="is not what version 1 says") as caught:
        await world.made("support", "{{> tone}} Answer.", partials=shown)
    assert caught.value.param == "partials.tone.text"


async def test_the_tenants_own_prompt_is_included_before_the_shared_one(world: World) -> None:
    await world.made("tone", "shared", tenant=SHARED)
    await world.made("rules", "shared rules", tenant=SHARED)
    await world.made("tone", "own")
    own = await world.made("support", "{{> tone}} {{> rules}}")
    assert {each: one.text for each, one in own.version.partials.items()} == {"tone": "own", "rules": "shared rules"}
    shared = await world.made("support", "{{> tone}}", tenant=SHARED)
    assert shared.version.partials["tone"].text == "shared"


async def test_nobody_includes_another_tenants_prompt(world: World) -> None:
    await world.made("tone", "secret of contoso")
    for tenant in ("fabrikam", SHARED):
        with pytest.raises(RequestError, match="is not there") as caught:
            await world.made("support", "{{> tone}}", tenant=tenant)
        assert "secret" not in caught.value.message


async def test_what_a_partial_includes_is_filled_in(world: World) -> None:
    await world.made("a", "A {{x}}")
    await world.made("b", "B {{>a}}")
    made = await world.made("c", "C {{> b }}")
    assert made.version.partials == {"b": Partial(1, "B A {{x}}", ("a", "b"), 2)}


async def test_inclusions_end_at_a_depth(world: World) -> None:
    await world.made("p0", "end")
    for depth in range(1, MAX_DEPTH + 1):
        await world.made(f"p{depth}", including(f"p{depth - 1}"))
    with pytest.raises(RequestError, match=f"{MAX_DEPTH + 1} inclusions deep"):
        await world.made("top", including(f"p{MAX_DEPTH}"))


async def test_a_prompt_never_includes_itself(world: World) -> None:
    await world.made("a", "A")
    with pytest.raises(RequestError, match="which is or includes 'a' itself"):
        await world.made("a", "{{> a}}")
    await world.made("b", "{{> a@1}}")
    await world.made("c", "{{> b}}")
    for reference in ("b", "c@1"):
        with pytest.raises(RequestError, match="which is or includes 'a' itself"):
            await world.made("a", including(reference))


@pytest.mark.parametrize(
    ("over", "taken"),
    [
        ({"messages": [{"role": "user", "content": "only"}]}, "only"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "only"}]}]}, "only"),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}, "s"),
        ({"messages": [{"role": "developer", "content": "d"}, {"placeholder": "conversation"}, {"role": "user", "content": "u"}]}, "d"),
        ({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}, None),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "system", "content": "t"}]}, None),
        ({"messages": [{"role": "system", "content": "s", "when": {"role": "x"}}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}, None),
    ],
    ids=["user", "part", "system", "developer", "none", "two", "when", "parts"],
)
async def test_what_is_included_is_the_one_text_that_is_meant(world: World, over: dict[str, Any], taken: str | None) -> None:
    await world.made("part", "", **over)
    if taken is None:
        with pytest.raises(RequestError, match="not clear what is meant"):
            await world.made("support", "{{> part}}")
    else:
        assert (await world.made("support", "{{> part}}")).version.partials["part"].text == taken


async def test_templates_of_two_kinds_do_not_mix(world: World) -> None:
    await world.made("tone", "Be kind.", tenant=SHARED, template="jinja2")
    with pytest.raises(RequestError, match="whose template is 'jinja2'"):
        await world.made("support", "{{> tone}}")


async def test_what_cannot_be_included_is_named(world: World) -> None:
    await world.made("tone", "Be kind.")
    await world.library.create("contoso", "bare", (await world.documents.version("contoso", "bare", document("Bare"))))
    wrong: list[tuple[str, dict[str, Any], str, str]] = [
        ("{{> nobody}}", {}, "messages", "'nobody', which is not there"),
        ("{{> tone@2}}", {}, "messages", "which has 1 to 1"),
        ("{{> tone@x}}", {}, "messages", "no prompt's name"),
        ("{{> bare}}", {}, "messages", "no label 'production'"),
        ("{{> tone}}", {"tone": 7}, "partials.tone", "which has 1 to 1"),
        ("{{> tone@1}}", {"tone@1": 2}, "partials.tone@1.version", "leave it out"),
        ("{{> tone}}", {"bare": 1}, "partials.bare", "included nowhere"),
        ("".join(including(f"p{index}") for index in range(MAX_PARTIALS + 1)), {}, "messages", "is the most"),
    ]
    for content, pins, param, said in wrong:
        with pytest.raises(RequestError, match=said) as caught:
            await world.made("support", content, partials=pins)
        assert caught.value.param == param
    await world.library.delete_label("contoso", "tone", "production")
    await world.library.delete("contoso", "tone")
    with pytest.raises(RequestError, match="is not there"):
        await world.made("support", "{{> tone@1}}")
