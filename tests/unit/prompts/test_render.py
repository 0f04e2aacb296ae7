"""Rendering: values are data, blocks stay what they are, and what is missing or too much is named."""

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.json_schema import JsonForm
from gateway.domain.labels import Labels
from gateway.domain.prompts import Partial, PromptMessage, PromptVersion
from gateway.errors import PromptError
from gateway.prompts.context import context_of
from gateway.prompts.render import check, partials_of, render, variables_of
from gateway.prompts.variables import Inputs
from tests.builders import make_principal

TEXTS = st.one_of(st.text(), st.sampled_from(["{{x}}", "{{ context.user }}", "\\{{", "{{> p}}", "```", "</doc>", "]]>", '"', "\x00"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


def version(*contents: Any, **over: Any) -> PromptVersion:
    messages = tuple(each if isinstance(each, PromptMessage) else PromptMessage("user", each) for each in contents)
    return PromptVersion(**{"tenant": "contoso", "name": "p", "version": 1, "model": "gpt-4o", "messages": messages} | over)


def text_of(template: str, variables: dict[str, Any], **over: Any) -> str:
    context, lookups = over.pop("context", {}), over.pop("found", {})
    return str(render(version(template, **over), variables, context, lookups).before[0]["content"])


@given(TEXTS)
def test_a_text_comes_out_as_it_is_whatever_it_holds(value: str) -> None:
    assert text_of("a {{x}} b {{ x }}", {"x": value}) == f"a {value} b {value}"


@given(VALUES, st.sampled_from(["{{x}}", "{{x|json}}"]))
def test_a_json_block_holds_the_value_itself(value: Any, place: str) -> None:
    text = text_of(f'```json\n{{"a": {place}}}\n```', {"x": value})
    assert json.loads(text.removeprefix("```json\n").removesuffix("\n```")) == {"a": value}


@given(TEXTS)
def test_between_quotes_of_a_json_block_a_text_stays_inside_them(value: str) -> None:
    text = text_of('```json\n{"a": "<{{x}}>", "b": {{x}}}\n```', {"x": value})
    assert json.loads(text.removeprefix("```json\n").removesuffix("\n```")) == {"a": f"<{value}>", "b": value}


@given(VALUES)
def test_an_xml_element_stays_well_formed_and_has_no_more_elements(value: Any) -> None:
    root = ET.fromstring(text_of('<doc id="{{x}}">{{x}}<b>\n```json\n{{x}}\n```\n</b></doc>', {"x": value}))
    assert [each.tag for each in root.iter()] == ["doc", "b"]


def test_raw_leaves_a_value_in_a_block_as_it_is_and_an_unclosed_tag_opens_none() -> None:
    assert text_of("<doc>{{x|raw}}</doc> <p>{{x}} {{x|xml}}", {"x": "<"}) == "<doc><</doc> <p>< &lt;"


def test_braces_are_written_with_a_backslash() -> None:
    assert text_of(r"\{{x}} {{x}}", {"x": "1"}) == "{{x}} 1"


def test_members_elements_context_and_lookups_are_reached() -> None:
    template = "{{o.items.0.name}} {{context.role}}{{context.none}} {{lookups.c.plan}}{{lookups.d.plan}}"
    found = {"c": {"plan": "gold"}, "d": None}
    over: dict[str, Any] = {"context": {"role": "agent"}, "found": found, "lookups": ("c", "d")}
    assert text_of(template, {"o": {"items": [{"name": "pen"}]}}, **over) == "pen agent gold"


def test_partials_are_filled_in_and_their_variables_are_needed() -> None:
    made = version("{{> tone@3}} {{x}}", partials={"tone@3": Partial(3, "Be {{how}}.")})
    assert partials_of(made) == {"tone@3"}
    assert variables_of(made) == {"how", "x"}
    assert render(made, {"how": "{{x}}", "x": "!"}, {}, {}).before[0]["content"] == "Be {{x}}. !"


@pytest.mark.parametrize("template", ["{{x", "{{}}", "{{x y}}", "{{x|html}}", "{{x()}}", "{{context}}", "{{> gone}}", "{{lookups.c}}"])
def test_a_template_that_is_none_is_refused_with_its_place(template: str) -> None:
    with pytest.raises(PromptError) as refused:
        check(version("good", template))
    assert refused.value.param == "messages[1].content"


@pytest.mark.parametrize(
    ("variables", "param", "code"),
    [
        ({}, "variables.o", "missing_variable"),
        ({"o": {}}, "variables.o.name", "missing_variable"),
        ({"o": {"name": "a"}, "y": 1}, "variables.y", "unknown_variable"),
        ({"o": {"name": "a"}, "context": {"user": "eve"}}, "variables.context", "unknown_variable"),
        ({"o": {"name": "a"}, "lookups": {}}, "variables.lookups", "unknown_variable"),
    ],
    ids=["missing", "member", "extra", "context", "lookups"],
)
def test_a_variable_too_few_or_too_many_is_named(variables: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(PromptError) as refused:
        render(version("{{o.name}} {{context.user}}"), variables, {"user": "anna"}, {}, param="variables")
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, code)


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}, "share": {"type": "number"}},
    "required": ["city"],
    "additionalProperties": False,
}


def test_a_schema_fills_defaults_in_and_names_what_does_not_fit() -> None:
    made = version("{{city}} {{days}}", input_schema=SCHEMA)
    assert render(made, {"city": "Rome"}, {}, {}).before[0]["content"] == "Rome 3"
    for variables, param, code in (
        ({}, "city", "missing_variable"),
        ({"city": "Rome", "x": 1}, "x", "unknown_variable"),
        ({"city": "Rome", "days": "two"}, "days", "invalid_variable"),
    ):
        with pytest.raises(PromptError) as refused:
            render(made, variables, {}, {})
        assert (refused.value.param, refused.value.code) == (f"prompt.variables.{param}", code)


@given(st.dictionaries(st.sampled_from(["city", "days", "share", "x"]), VALUES | st.floats(allow_nan=False, allow_infinity=False)))
def test_what_the_quick_look_accepts_the_full_check_accepts(variables: dict[str, Any]) -> None:
    if Inputs(SCHEMA).fits_at_once(variables):
        assert JsonForm(SCHEMA).accepts(json.dumps(variables))


def test_a_message_is_there_where_its_context_fits_and_the_rest_goes_after_the_conversation() -> None:
    made = version(
        PromptMessage("system", "s", when={"role": ("agent*", "lead")}),
        PromptMessage(placeholder="conversation"),
        PromptMessage("user", ({"type": "text", "text": "{{x}}"}, {"type": "image_url", "image_url": {"url": "https://a/{{x}}"}})),
    )
    parts = [{"type": "text", "text": "1"}, {"type": "image_url", "image_url": {"url": "https://a/1"}}]
    rendered = render(made, {"x": "1"}, {"role": "agents"}, {})
    assert rendered.before == ({"role": "system", "content": "s"},)
    assert rendered.after == ({"role": "user", "content": parts},)
    assert render(made, {"x": "1"}, {"role": "Agents"}, {}).before == ()
    assert render(made, {"x": "1"}, {}, {}) == render(made, {"x": "1"}, {}, {})


def test_only_a_token_says_who_the_user_is() -> None:
    principal = make_principal(attributes={"department": "sales", "user": "eve"})
    context = context_of(principal, Labels(user="eve"))
    assert (context["user"], context["claimed_user"], context["department"]) == ("", "eve", "sales")
