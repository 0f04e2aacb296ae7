"""Functions and calls: every number of OpenAI's API that is published, and shapes that nobody expects."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.tokens import TokenCounter
from gateway.metering.tools import RENDERED_UP_TO, render
from tests.builders import make_call


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    counter = TokenCounter()
    counter.start_loading()
    assert counter.wait(60)
    return counter


def said(role: str, content: str, **members: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **members}


def function(name: str, properties: dict[str, Any], description: str = "", **schema: Any) -> dict[str, Any]:
    about = {"description": description} if description else {}
    return {"name": name, **about, "parameters": {"type": "object", "properties": properties, **schema}}


HELLO, HI = said("user", "hello"), said("user", "Hi there")
STUFF = {"foo": "bar", "baz": 1.5}
DO_STUFF, TEXT = function("do_stuff", {}), {"type": "string"}
INGREDIENT = {
    "name": TEXT,
    "unit": {"enum": ["grams", "ml", "cups", "pieces", "teaspoons"], "type": "string"},
    "amount": {"type": "number"},
}
RECIPE = {
    "ingredients": {"type": "array", "items": {"type": "object", "required": ["name", "unit", "amount"], "properties": INGREDIENT}},
    "instructions": {"type": "array", "items": TEXT, "description": "Steps to prepare the recipe (no numbering)"},
    "time_to_cook": {"type": "number", "description": "Total time to prepare the recipe in minutes"},
}
INNER = {"type": "object", "properties": {"bar": {"type": "string", "enum": ["a", "b", "c"]}, "baz": {"type": "boolean"}}}
BING = "Do a bing bong"

# `usage.prompt_tokens` of gpt-3.5-turbo, as openai-chat-tokens has it in tests/token-counts.test.ts.
COUNTED = [
    (8, [HELLO], []),
    (9, [said("user", "hello world")], []),
    (8, [said("system", "hello")], []),
    (9, [said("system", "hello:")], []),
    (27, [said("system", "# Important: you're the best robot"), said("user", "hello robot"), said("assistant", "hello world")], []),
    (31, [HELLO], [function("foo", {})]),
    (36, [HELLO], [function("foo", {}, "Do a foo")]),
    (49, [HELLO], [function("bing_bong", {"foo": TEXT}, BING)]),
    (57, [HELLO], [function("bing_bong", {"foo": TEXT, "bar": {"type": "number", "description": "A number"}}, BING)]),
    (68, [HELLO], [function("bing_bong", {"foo": INNER}, BING)]),
    (15, [said("user", "hello world"), said("function", "{}", name="do_stuff")], []),
    (28, [said("user", "hello world"), said("function", json.dumps(STUFF), name="do_stuff")], []),
    (24, [said("function", '{"a": { "b" : { "c": false}}}', name="dance_the_tango")], []),
    (26, [said("assistant", "", function_call={"name": "do_stuff", "arguments": json.dumps(STUFF)})], []),
    (25, [said("assistant", "", function_call={"name": "do_stuff", "arguments": '{"foo":"bar", "baz":\n\n 1.5}'})], []),
    (35, [said("system", "Hello"), HI], [DO_STUFF]),
    (35, [said("system", "Hello:"), HI], [DO_STUFF]),
    (40, [said("system", "Hello:"), said("system", "Hello"), HI], [DO_STUFF]),
    (106, [HELLO], [function("get_recipe", RECIPE, required=["ingredients", "instructions", "time_to_cook"])]),
]


@pytest.mark.parametrize(("expected", "messages", "functions"), COUNTED, ids=[f"{at}-{row[0]}" for at, row in enumerate(COUNTED)])
def test_what_the_api_counted_is_counted(
    counter: TokenCounter, expected: int, messages: list[dict[str, Any]], functions: list[dict[str, Any]]
) -> None:
    document = {"model": "gpt-3.5-turbo", "messages": messages} | ({"functions": functions} if functions else {})
    assert counter.count_prompt(make_call(document)).tokens == expected
    tools = {"tools": [{"type": "function", "function": each} for each in functions]}
    assert counter.count_prompt(make_call({"model": "gpt-3.5-turbo", "messages": messages, **tools})).tokens == expected


@pytest.mark.parametrize(("model", "expected"), [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)])
def test_the_cookbooks_example_of_a_tool_is_counted(counter: TokenCounter, model: str, expected: int) -> None:
    properties = {
        "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
        "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
    }
    about = "Get the current weather in a given location"
    tool = {"type": "function", "function": function("get_current_weather", properties, about, required=["location"])}
    messages = [
        said("system", "You are a helpful assistant that can answer to questions about the weather."),
        said("user", "What's the weather like in San Francisco?"),
    ]
    assert counter.count_prompt(make_call({"model": model, "messages": messages, "tools": [tool]})).tokens == expected


def test_a_choice_of_a_function_counts(counter: TokenCounter) -> None:
    def count(**over: Any) -> int:
        tool = {"type": "function", "function": DO_STUFF}
        return counter.count_prompt(make_call({"model": "gpt-4o", "messages": [HELLO], "tools": [tool], **over})).tokens

    plain = count()
    assert count(tool_choice="auto") == count(tool_choice="required") == plain
    assert count(tool_choice="none") == plain + 1
    assert count(tool_choice={"type": "function", "function": {"name": "do_stuff"}}) == plain + 4 + 3
    assert count(tool_choice={"type": "function", "function": "do_stuff"}) == plain
    assert count(function_call={"name": "do_stuff"}) == plain + 4 + 3


def test_types_are_written_as_typescript() -> None:
    properties = {
        "a": {"type": ["string", "null"], "description": "Perhaps"},
        "b": {"anyOf": [{"type": "integer"}, {"type": "array"}]},
        "c": {"const": 7},
        "d": {"$ref": "#/$defs/d"},
        "e": {"type": "array", "items": {"type": "object", "properties": {"f": {"enum": [1, None, "x"]}}}},
    }
    assert render([function("f", properties, "About", required=["a"])]).splitlines() == [
        *("namespace functions {", "", "// About", "type f = (_: {", "// Perhaps", "a: string | null,", "b?: number | any[],"),
        *("c?: 7,", "d?: any,", "e?: {", '  f?: 1 | null | "x",', "}[],", "}) => any;", "", "} // namespace functions"),
    ]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
WORDS = ("type", "properties", "items", "enum", "const", "anyOf", "oneOf", "required", "description")
KINDS = st.sampled_from(["object", "array", "string", "integer"])
SCHEMAS = st.recursive(
    ANY_JSON | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner | KINDS, max_size=5),
    max_leaves=15,
)


@given(SCHEMAS, ANY_JSON)
def test_no_schema_is_too_strange_to_be_counted(parameters: Any, other: Any) -> None:
    functions = [{"name": "f", "parameters": parameters, "description": other}]
    for tools in ([{"type": "function", "function": functions[0]}], [{"type": "function", "function": other}], [{"type": other}]):
        call = make_call({"model": "gpt-4o", "messages": [HELLO], "tools": tools, "tool_choice": {"function": other}})
        assert TokenCounter().count_prompt(call).tokens > 8
    assert render(functions).startswith("namespace functions {\n")


def deep(levels: int, kinds: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": kinds, "properties": {"p": schema}}
    return schema


@pytest.mark.parametrize(("levels", "kinds"), [(14, ["object", "object"]), (200, "object")], ids=["repeated kinds", "deep"])
def test_a_small_schema_has_a_text_that_is_not_much_longer(levels: int, kinds: Any) -> None:
    functions = [{"name": "f", "parameters": deep(levels, kinds)}]
    assert len(render(functions)) < 2 * len(json.dumps(functions))


def test_very_long_functions_are_counted_as_their_json() -> None:
    long = [function("f", {}, "x" * RENDERED_UP_TO)]
    assert json.loads(render(long)) == long
    assert render([function("f", {}, "x" * 20_000)]).startswith("namespace")
