"""Administrators' documents: what becomes of a good one, and which field of a bad one is named."""

from typing import Any

import msgspec
import pytest

from gateway.domain.lookups import TableLookup
from gateway.domain.prompts import SHARED, PromptMessage
from gateway.domain.steps import Classify, Extract
from gateway.errors import PromptError, RequestError
from gateway.prompts import render
from gateway.prompts.documents import Documents, Templates, check_label, check_name, input_schema_of, label_version, lookup_check
from gateway.prompts.rows import MAX_VERSION_BYTES
from tests.unit.prompts.written import TEMPLATES, Shelf, document, text

SCHEMA = {"type": "object", "properties": {"company": {"type": "string"}}, "required": ["company"]}


def check_lookup(tenant: str, name: str) -> str | None:
    return None if (tenant, name) == ("contoso", "customer") else f"is no lookup that {tenant!r} may use"


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def documents(shelf: Shelf) -> Documents:
    return Documents(shelf.library, TEMPLATES, check_lookup)


async def test_a_document_says_all_that_a_version_can(documents: Documents) -> None:
    given = document(
        messages=[
            {"role": "system", "content": "You answer for {{company}}.", "when": {"role": "admin*", "department": ["sales", "it"]}},
            {"placeholder": "conversation"},
            {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]},
        ],
        parameters={"temperature": 0.5, "response_format": {"type": "json_object"}},
        input_schema=SCHEMA,
        output_schema={"type": "object"},
        lookups=["customer"],
        steps=[{"type": "extract", "field": "id", "pattern": "[0-9]+"}, {"type": "classify", "model": "mini"}],
        history=True,
        description="Answers.",
        examples=[{"company": "Contoso"}],
        note="because",
    )
    made = await documents.version("contoso", "support", given)
    assert made.text.messages[0] == PromptMessage(
        role="system", content="You answer for {{company}}.", when={"role": "admin*", "department": ("sales", "it")}
    )
    assert (made.text.messages[1].placeholder, len(made.text.messages[2].content)) == ("conversation", 2)
    assert made.text.steps == (Extract(field="id", pattern="[0-9]+"), Classify(model="mini"))
    assert (made.text.history, made.text.lookups, made.text.input_schema) == (True, ("customer",), SCHEMA)
    assert (made.description, made.examples, made.note) == ("Answers.", ({"company": "Contoso"},), "because")
    shown = dict(msgspec.to_builtins(made.text))
    assert (await documents.version("contoso", "support", shown)).text == made.text


def user(**part: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part]}]


EXTRACT = {"type": "extract", "field": "id"}
CLASSIFY = {"type": "classify", "model": "mini"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"model": " gpt"}, "model"),
    ({"model": "x" * 257}, "model"),
    ({"model": 1}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": [{"placeholder": "conversation"}]}, "messages"),
    ({"messages": [{"role": "system", "content": "x"}, *[{"placeholder": "conversation"}] * 2]}, "messages"),
    ({"messages": [{"role": "system", "content": "x"}] * 101}, "messages"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": "x"}, {"role": "user"}]}, "messages[1].content"),
    ({"messages": [{"role": "user", "content": " \n"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages[0].name"),
    ({"messages": [{"role": "user", "content": "x"}, {"placeholder": "conversation", "role": "user"}]}, "messages[1].role"),
    ({"messages": [{"role": "user", "content": "x"}, {"placeholder": "conversation", "when": {"role": "x"}}]}, "messages[1].when"),
    ({"messages": user(type="video")}, "messages[0].content[0].type"),
    ({"messages": user(type=["text"])}, "messages[0].content[0].type"),
    ({"messages": user(type="text")}, "messages[0].content[0].text"),
    ({"messages": user(type="image_url", image_url="https://a")}, "messages[0].content[0].image_url"),
    ({"messages": [{"role": "system", "content": user(type="file", file={})[0]["content"]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": "x", "when": {"nobody": "x"}}]}, "messages[0].when.nobody"),
    ({"messages": [{"role": "user", "content": "x", "when": {"a b": "x"}}]}, "messages[0].when"),
    ({"messages": [{"role": "user", "content": "x", "when": {"role": []}}]}, "messages[0].when.role"),
    ({"messages": [{"role": "user", "content": "x", "when": {"role": ""}}]}, "messages[0].when.role"),
    *(({"parameters": {name: 1}}, f"parameters.{name}") for name in ("model", "messages", "prompt", "stream", "Stream", "input")),
    ({"parameters": {"a b": 1}}, "parameters"),
    ({"parameters": {f"p{index}": 1 for index in range(65)}}, "parameters"),
    ({"parameters": {"stop": "x" * 70_000}}, "parameters"),
    ({"parameters": []}, "parameters"),
    ({"input_schema": {"type": "string"}}, "input_schema.type"),
    ({"input_schema": {}}, "input_schema.type"),
    ({"input_schema": {"type": "object", "properties": 1}}, "input_schema"),
    ({"input_schema": {"type": "object", "description": "x" * 70_000}}, "input_schema"),
    ({"output_schema": {"$ref": "https://example.com/schema"}}, "output_schema"),
    ({"output_schema": {"pattern": "(?=x)"}}, "output_schema"),
    ({"template": "mustache"}, "template"),
    ({"template": "jinja2"}, "template"),
    ({"lookups": ["customer", "nobody"]}, "lookups[1]"),
    ({"lookups": ["customer", "customer"]}, "lookups"),
    ({"history": "yes"}, "history"),
    ({"steps": [EXTRACT]}, "steps[0].pattern"),
    ({"steps": [EXTRACT | {"pattern": "x", "path": "y"}]}, "steps[0].pattern"),
    ({"steps": [EXTRACT | {"pattern": "(?=x)"}]}, "steps[0].pattern"),
    ({"steps": [EXTRACT | {"path": "a..b"}]}, "steps[0].path"),
    ({"steps": [EXTRACT | {"field": "a b", "path": "a"}]}, "steps[0].field"),
    ({"steps": [{"type": "rename", "members": {}}]}, "steps[0].members"),
    ({"steps": [{"type": "rename", "members": {"a": "c", "b": "c"}}]}, "steps[0].members"),
    ({"steps": [{"type": "rename", "members": {"a": ""}}]}, "steps[0].members"),
    ({"steps": [{"type": "format", "as": "template", "template": "x"}]}, "steps[0].template"),
    ({"steps": [{"type": "format", "as": "trim", "template": "{text}"}]}, "steps[0].template"),
    ({"steps": [CLASSIFY | {"model": ""}]}, "steps[0].model"),
    ({"steps": [CLASSIFY | {"labels": ["a"]}]}, "steps[0].labels"),
    ({"steps": [CLASSIFY | {"labels": ["a", "A "]}]}, "steps[0].labels"),
    ({"steps": [CLASSIFY | {"question": " "}]}, "steps[0].question"),
    ({"steps": [CLASSIFY] * 17}, "steps"),
    ({"steps": [{"type": "shout"}]}, "steps[0].type"),
    ({"description": "x" * 5000}, "description"),
    ({"note": "x" * 5000}, "note"),
    ({"examples": [{"company": "x"}, {"company": "x", "more": 1}]}, "examples[1]"),
    ({"examples": [{}]}, "examples[0]"),
    ({"examples": [{"company": "x"}] * 21}, "examples"),
    ({"examples": [{"company": 1}], "input_schema": SCHEMA}, "examples[0]"),
    ({"examples": ["x"]}, "examples[0]"),
    ({"nonsense": 1}, "nonsense"),
    ({"partials": {"other": 1}}, "partials.other"),
]


@pytest.mark.parametrize(("over", "param"), WRONG, ids=[f"{index}-{param}" for index, (_, param) in enumerate(WRONG)])
async def test_what_is_wrong_is_named(documents: Documents, over: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await documents.version("contoso", "support", document() | over)
    assert (caught.value.param, caught.value.code, caught.value.status) == (param, "invalid_value", 400)
    assert param.partition("[")[0] in caught.value.message


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_what_is_missing_is_named(documents: Documents, missing: str) -> None:
    with pytest.raises(RequestError) as caught:
        await documents.version("contoso", "support", {name: value for name, value in document().items() if name != missing})
    assert caught.value.param == missing


def test_a_tenants_prompt_asks_for_lookups_that_are_for_it() -> None:
    lookups = {
        each.id: each
        for each in (
            TableLookup(id="all", key="{variables.id}"),
            TableLookup(id="some", key="x", tenants=("con*",)),
            TableLookup(id="others", key="x", tenants=("fabrikam",)),
        )
    }
    wrong = lookup_check(lookups)
    assert [wrong("contoso", each) is None for each in ("all", "some", "others", "nobody")] == [True, True, False, False]
    assert [wrong(SHARED, each) is None for each in ("all", "some", "others", "nobody")] == [True, True, True, False]
    assert (wrong("contoso", "others") or "").endswith("there are all, some")


async def test_jinja_is_for_shared_prompts(shelf: Shelf) -> None:
    documents = Documents(shelf.library, Templates(render.check, render.partials_of, render.variables_of), check_lookup)
    assert (await documents.version(SHARED, "support", document(template="jinja2"))).text.template == "jinja2"
    looped = document("{% for a in rows %}{{ a|upper }}{% endfor %}", template="jinja2")
    assert (await documents.version(SHARED, "support", looped)).text.template == "jinja2"
    with pytest.raises(RequestError, match="for shared prompts only"):
        await documents.version("contoso", "support", looped)
    with pytest.raises(PromptError, match="the filter 'nope'") as caught:
        await documents.version(SHARED, "support", document("{{ a|nope }}", template="jinja2"))
    assert caught.value.param == "messages[0].content"


async def test_templates_are_compiled_before_a_version_is_made(documents: Documents) -> None:
    with pytest.raises(PromptError) as caught:
        await documents.version("contoso", "support", document("Hello {{}}"))
    assert caught.value.param == "messages[0].content"


@pytest.mark.parametrize("large", ["messages", "examples"])
async def test_what_makes_a_version_too_large_is_named(documents: Documents, large: str) -> None:
    words = "ü" * 10_000
    over = {"messages": [{"role": "user", "content": words}] * 21, "examples": [{"company": words}] * 20}[large]
    more = {"description": "ü" * 4000} | ({"messages": [{"role": "user", "content": "{{company}}" + words}]} if large == "examples" else {})
    given = document() | more | {large: over}
    assert len(msgspec.json.encode(given).decode()) * 2 > MAX_VERSION_BYTES
    with pytest.raises(RequestError, match=f"'{large}' makes the version") as caught:
        await documents.version("contoso", "support", given)
    assert caught.value.param == large


def test_without_a_schema_every_variable_is_needed_and_takes_anything() -> None:
    derived = input_schema_of(text("{{b}} and {{a}}"), TEMPLATES)
    assert derived == {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"], "additionalProperties": False}
    assert input_schema_of(text("{{b}}", input_schema=SCHEMA), TEMPLATES) == SCHEMA


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "a|b", "x" * 65, "ä"], ids=ascii)
async def test_what_cannot_be_a_name_is_refused(documents: Documents, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        await documents.version("contoso", name, document())
    assert caught.value.param == "name"
    with pytest.raises(RequestError):
        check_label(name)


@pytest.mark.parametrize("label", ["1", "007", "latest"])
def test_a_label_is_nothing_that_a_call_takes_for_a_version(label: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_label(label)
    assert caught.value.param == "label"
    check_name(label)
    check_label(f"v{label}")


@pytest.mark.parametrize("body", [{}, {"version": "1"}, {"version": 1.5}, {"version": 1, "x": 1}], ids=str)
def test_a_label_is_put_on_a_number(body: dict[str, Any]) -> None:
    assert label_version({"version": 3}) == 3
    with pytest.raises(RequestError):
        label_version(body)


async def test_a_prompt_that_continues_conversations_says_where_they_go(documents: Documents) -> None:
    asks, place = {"role": "user", "content": "And now?"}, {"placeholder": "conversation"}
    with pytest.raises(RequestError) as caught:
        await documents.version("contoso", "chat", {"model": "gpt-4o", "messages": [asks], "history": True})
    assert caught.value.param == "history"
    for messages in ([{"role": "system", "content": "Be kind."}], [place, asks]):
        draft = await documents.version("contoso", "chat", {"model": "gpt-4o", "messages": messages, "history": True})
        assert draft.text.history
