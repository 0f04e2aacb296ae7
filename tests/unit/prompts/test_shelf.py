"""What callers see of prompts: those that they may use, and how."""

import json
import shlex
from typing import Any

import pytest

from gateway.domain.access import Product
from gateway.domain.call import Answer
from gateway.domain.catalog import Catalog
from gateway.domain.prompts import SHARED, PromptMessage, PromptText, PromptVersion
from gateway.errors import NotFound, RequestError
from gateway.prompts.library import Draft, Library
from gateway.prompts.memory import PromptMemory
from gateway.prompts.shelf import AT_ONCE, Shelf
from tests.builders import make_deployment, make_inbound, make_model, make_principal, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

MODELS = Catalog(models=(make_model(make_deployment(), id="gpt-4o"), make_model(make_deployment(), id="dear")), products=())


class Bookshop:
    """A shelf over a library of two tenants."""

    def __init__(self, **product: Any) -> None:
        clock = FakeClock()
        self.library = Library(FakeTables(), clock)
        self.product: Product | None = make_product(models=("gpt-*",), **product)
        self.shelf = Shelf(PromptMemory(self.library, clock), self._product, lambda _: frozenset({"city"}))
        self.principal = make_principal(tenant="t")

    async def _product(self, _id: str) -> Product | None:
        return self.product

    async def put(self, name: str, tenant: str = "t", label: str = "production", *, model: str = "gpt-4o", **more: Any) -> PromptVersion:
        about = {key: more.pop(key) for key in ("description", "examples") if key in more}
        text = PromptText(model=model, messages=(PromptMessage(role="system", content=f"secret words for {name}"),), **more)
        made = await self.library.create(tenant, name, Draft(text, **about))
        if label:
            await self.library.set_label(tenant, name, label, made.version.version)
        return made.version

    async def ask(self, what: str, name: str = "", **query: str) -> Answer:
        return await getattr(self.shelf, what)(make_inbound(path_model=name, query=query), self._nobody, self.principal, MODELS)  # type: ignore[no-any-return]

    async def json(self, what: str, name: str = "", **query: str) -> Any:
        answer = await self.ask(what, name, **query)
        assert b"secret words" not in answer.body
        return json.loads(answer.body)

    async def names(self, **query: str) -> list[str]:
        return [each["id"] for each in (await self.json("list", **query))["data"]]

    async def _nobody(self) -> bytes:
        raise AssertionError("no body is read")


async def test_listed_are_published_prompts_of_ones_own_and_shared_whose_model_one_may_call() -> None:
    there = Bookshop()
    await there.put("own", description="Ours.")
    await there.put("shared", SHARED)
    await there.put("both", SHARED, description="Theirs.")
    await there.put("both", description="Ours.")
    await there.put("draft", label="staging")
    await there.put("foreign", "other")
    await there.put("dear", model="dear")
    await there.put("gone", model="no-such-model")
    page = await there.json("list")
    assert [(each["id"], each["shared"], each["description"]) for each in page["data"]] == [
        ("both", False, "Ours."), ("own", False, "Ours."), ("shared", True, "")
    ]  # fmt: skip
    assert page["data"][0]["labels"] == ["production"]
    assert (page["has_more"], page["after"]) == (False, None)


async def test_a_list_has_pages() -> None:
    there = Bookshop()
    names = [f"p{index:02}" for index in range(AT_ONCE + 3)]
    for name in names:
        await there.put(name)
    assert await there.names() == names
    first = await there.json("list", limit="2")
    assert ([each["id"] for each in first["data"]], first["has_more"], first["after"]) == (["p00", "p01"], True, "p01")
    assert await there.names(after="p01") == names[2:]
    with pytest.raises(RequestError, match="'limit'"):
        await there.names(limit="0")


async def test_a_page_is_filled_although_some_prompts_may_not_be_used() -> None:
    there = Bookshop()
    for index in range(4):
        await there.put(f"p{index}", model="dear" if index < 2 else "gpt-4o")
    page = await there.json("list", limit="2")
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (["p2", "p3"], False)


@pytest.mark.parametrize("operations", [("embeddings",), ("images.*",)], ids=["embeddings", "images"])
async def test_who_may_not_chat_has_no_prompts(operations: tuple[str, ...]) -> None:
    there = Bookshop(operations=operations)
    await there.put("own")
    assert await there.names() == []
    there.product = make_product(models=("gpt-*",))
    there.principal = make_principal(tenant="t", operations=operations)
    assert await there.names() == []
    there.principal = make_principal(tenant="t", operations=("chat",))
    assert await there.names() == ["own"]
    there.product = None
    assert await there.names() == []


async def test_shown_is_how_a_prompt_is_used() -> None:
    there = Bookshop()
    await there.put("weather", examples=({"city": "L'Aquila"},), output_schema={"type": "object"}, description="Tells the weather.")
    answer = await there.ask("show", "weather")
    assert answer.headers == {"x-gateway-prompt-version": "1"}
    shown = json.loads(answer.body)
    assert (shown["id"], shown["version"], shown["model"], shown["description"]) == ("weather", 1, "gpt-4o", "Tells the weather.")
    assert (shown["variables"], shown["input_schema"]["required"], shown["output_schema"]) == (["city"], ["city"], {"type": "object"})
    assert (shown["examples"], shown["openapi"]) == ([{"city": "L'Aquila"}], "/v1/prompts/weather/openapi.json")
    words = shlex.split(shown["curl"])
    assert (words[:2], json.loads(words[-1])) == (["curl", "$BASE/v1/prompts/weather/invoke"], {"variables": {"city": "L'Aquila"}})


async def test_another_version_is_asked_for_by_number_or_label() -> None:
    there = Bookshop()
    await there.put("weather")
    schema = {"type": "object", "properties": {"town": {}}}
    await there.put("weather", label="staging", input_schema=schema)
    assert [(await there.json("show", "weather", **query))["version"] for query in ({}, {"version": "2"}, {"version": "staging"})] == [
        1,
        2,
        2,
    ]
    assert (await there.json("show", "weather", version="2"))["input_schema"] == schema


async def test_a_prompt_has_an_openapi_document() -> None:
    there = Bookshop()
    await there.put("weather")
    document = await there.json("api", "weather")
    assert (document["openapi"], list(document["paths"])) == ("3.0.3", ["/v1/prompts/weather/invoke"])
    assert document["components"]["schemas"]["Variables"]["required"] == ["city"]


@pytest.mark.parametrize("what", ["show", "api"])
@pytest.mark.parametrize("name", ["nothing", "foreign", "dear", "a/b"])
async def test_what_one_may_not_use_is_not_there(what: str, name: str) -> None:
    there = Bookshop()
    await there.put("foreign", "other")
    await there.put("dear", model="dear")
    with pytest.raises(NotFound) as caught:
        await there.ask(what, name)
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "prompt_not_found", "id")


async def test_a_version_that_is_not_there_is_named() -> None:
    there = Bookshop()
    await there.put("weather")
    with pytest.raises(NotFound) as caught:
        await there.ask("show", "weather", version="9")
    assert (caught.value.code, caught.value.param) == ("prompt_version_not_found", "version")
