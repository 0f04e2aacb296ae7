"""Jinja2 of shared prompts: values are data, faults are named, and what strict templates can say comes out the same."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.prompts import Partial, PromptMessage, PromptVersion
from gateway.errors import PromptError
from gateway.prompts.render import check, partials_of, render, variables_of

CODE = st.sampled_from(
    ["{{ x }}", "{% if %}", "{% for a in b %}", "{# a #}", "{{", "}}", "{%- raw %}", "{{ 10**10 }}", "{% include 'p' %}"]
)
TEXTS = st.one_of(st.text(), st.lists(CODE | st.text(max_size=3), max_size=4).map("".join))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
LITERALS = st.text(st.characters(exclude_characters="{}<\\`\r"), max_size=20)


def version(*contents: Any, **over: Any) -> PromptVersion:
    messages = tuple(PromptMessage("user", each) for each in contents)
    fields: dict[str, Any] = {"tenant": "", "name": "p", "version": 1, "model": "gpt-4o", "messages": messages, "template": "jinja2"}
    return PromptVersion(**fields | over)


def text_of(template: str, variables: dict[str, Any] | None = None, **over: Any) -> str:
    context, lookups = over.pop("context", {}), over.pop("found", {})
    return str(render(version(template, **over), variables or {}, context, lookups).before[0]["content"])


@given(TEXTS)
def test_a_value_is_never_read_as_a_template(value: str) -> None:
    assert text_of("{% if x is string %}a {{ x }}{% endif %}{{ '|' ~ x }}", {"x": value}) == f"a {value}|{value}"


@given(VALUES)
def test_the_same_values_make_the_same_text(value: Any) -> None:
    template = "{% for a in [x, x] %}{{ loop.index }}{{ a|tojson }}{{ a|xml }}{% endfor %}"
    assert text_of(template, {"x": value}) == text_of(template, {"x": value})


@given(LITERALS, VALUES, LITERALS, TEXTS, LITERALS)
def test_what_strict_templates_can_say_comes_out_the_same(first: str, x: Any, second: str, user: str, third: str) -> None:
    template = f"{first}{{{{x}}}}{second}{{{{ context.user }}}}{third}{{{{ o.items.0.name }}}}\n"
    values = {"x": x, "o": {"items": [{"name": x}]}}
    made = [render(version(template, template=kind), values, {"user": user}, {}) for kind in ("strict", "jinja2")]
    assert made[0] == made[1]


def test_loops_conditions_macros_and_sets_are_rendered() -> None:
    template = """{% macro row(a) %}<{{ a.name|xml }}>{% endmacro %}
    {% set ns = namespace(n=0) %}
{% for k, v in rows|groupby('kind') recursive %}
    {% set ns.n = ns.n + v|length %}
{{ loop.index }} {{ k }}: {% for a in v %}{{ row(a) }}{{ ', ' if not loop.last }}{% endfor %}

{% else %}
none
{% endfor %}
{{ ns.n }} {{ rows|map(attribute='name')|join('/') }} {{ rows[1:]|length }} {{ 'b' in 'abc' }} {{ (rows|first).name.upper() }}"""
    rows = [{"name": "a", "kind": 1}, {"name": "<", "kind": 2}, {"name": "c", "kind": 1}]
    wanted = "1 1: <a>, <c>\n2 2: <&lt;>\n3 a/</c 2 true A"
    assert text_of(template, {"rows": rows}) == wanted
    assert text_of("{% for a in rows %}{{ a }}{% else %}none{% endfor %}", {"rows": []}) == "none"


def test_a_member_comes_before_a_method_of_its_name() -> None:
    assert text_of("{{ o.items }} {% for k, v in p.items() %}{{ k }}{{ v }}{% endfor %}", {"o": {"items": 1}, "p": {"a": 2}}) == "1 a2"


def test_what_context_and_failed_lookups_have_not_got_is_empty() -> None:
    template = "<{{ context.role }}{{ lookups.customer.plan }}{{ lookups.customer }}{% if lookups.customer %}!{% endif %}>"
    assert text_of(template, found={"customer": None}, lookups=("customer",)) == "<>"
    assert text_of(template, context={"role": "r"}, found={"customer": {"plan": "p"}}, lookups=("customer",)) == 'rp{"plan":"p"}!'.join(
        "<>"
    )


def test_a_lookup_that_the_prompt_does_not_name_is_refused() -> None:
    with pytest.raises(PromptError, match=r"'lookups.customer', which 'lookups' does not name"):
        check(version("{{ lookups.customer.plan }}"))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{% if %}", r"is no Jinja2: .* \(line 2\)"),
        ("\n{{ x|nope }}", "in line 2 has the filter 'nope'; there are abs"),
        ("{{ x is nope }}", "in line 1 has the test 'nope'; there are boolean"),
        ("{% include 'other' %}", "includes 'other', which is not pinned"),
        ("{% include x %}", "includes what is no plain name"),
        ("{% extends 'a' %}", "extends another template"),
        ("{{ x|format(1) }}", "has the filter 'format'"),
        ("{% for a in [1] %}" * 6 + "{% endfor %}" * 6, "nested too deeply"),
    ],
)
def test_a_template_that_is_none_is_refused_and_says_where(template: str, said: str) -> None:
    with pytest.raises(PromptError, match=said) as refused:
        check(version("fine", template))
    assert refused.value.param == "messages[1].content"


def test_the_variables_are_what_a_template_looks_up() -> None:
    template = "{% set a = 1 %}{% for b in rows %}{{ a }}{{ b }}{{ loop.index }}{{ range(x) }}{% endfor %}{{ context.user }}"
    assert variables_of(version(template)) == {"rows", "x"}


def test_a_missing_variable_is_named_and_a_member_too() -> None:
    with pytest.raises(PromptError) as refused:
        text_of("{{ city }}")
    assert (refused.value.code, refused.value.param) == ("missing_variable", "prompt.variables.city")
    with pytest.raises(PromptError) as refused:
        text_of("{{ city }}", input_schema={"type": "object"})
    assert (refused.value.code, refused.value.param) == ("missing_variable", "prompt.variables.city")
    with pytest.raises(PromptError, match="a member 'plan'") as refused:
        text_of("{{ o.plan }}", {"o": {}})
    assert refused.value.code == "missing_variable"
    assert text_of("{% if city is defined %}{{ city }}{% else %}-{% endif %}", input_schema={"type": "object"}) == "-"


def test_a_fault_while_rendering_names_its_line_and_no_value() -> None:
    with pytest.raises(PromptError, match=r"ZeroDivisionError.*\(line 2\)"):
        text_of("a\n{{ 1 / x }}", {"x": 0})
    with pytest.raises(PromptError) as refused:
        text_of("{{ x + 1 }}{{ x|round }}", {"x": "secret words"})
    assert "secret" not in refused.value.message


def test_partials_are_what_is_pinned_in_a_scope_of_their_own() -> None:
    pinned = {"tone": Partial(1, "Be {{ mood }}{% set mood = 'no' %}.")}
    template = "{% include 'tone' %} {{ mood }} {% include 'tone' %}"
    assert partials_of(version(template)) == {"tone"}
    assert variables_of(version(template, partials=pinned)) == {"mood"}
    assert text_of(template, {"mood": "kind"}, partials=pinned) == "Be kind. kind Be kind."
    with pytest.raises(PromptError, match="includes another itself"):
        check(version(template, partials={"tone": Partial(1, "{% include 'other' %}")}))


def test_parts_are_templates_too() -> None:
    parts = ({"type": "text", "text": "{{ x|upper }}"}, {"type": "image_url", "image_url": {"url": "https://a/{{ x }}", "detail": "low"}})
    made = render(version(parts), {"x": "b"}, {}, {}).before[0]["content"]
    assert made == [{"type": "text", "text": "B"}, {"type": "image_url", "image_url": {"url": "https://a/b", "detail": "low"}}]


def test_strict_prompts_and_the_app_do_not_load_jinja2() -> None:
    program = "import sys, function_app, gateway.prompts.render; sys.exit('jinja2' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
