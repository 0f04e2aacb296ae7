"""What a template does to hang, to fill memory or to leave the sandbox is refused at once, by counting."""

import tracemalloc
from typing import Any

import pytest

from gateway.domain.prompts import PromptMessage, PromptVersion
from gateway.errors import PromptError
from gateway.prompts.render import render
from gateway.prompts.sandboxed_budget import MAX_OUTPUT

DOUBLED = (
    "{% set ns = namespace(s=(1,), t=(1,)) %}{% for a in range(60) %}{% set ns.s = (ns.s, ns.s) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}"
)
BOMBS = {
    "power": "{{ 10**10**10 }}",
    "power of powers": "{{ (2**100)**(2**100) }}",
    "product": "{% set ns = namespace(n=2) %}{% for a in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "repeated text": "{{ 'a' * 1000000000 }}",
    "repeated list": "{{ [0] * 1000000000 }}",
    "repeated by the left": "{{ 1000000000 * 'a' }}",
    "wide percent format": "{{ '%999999999d' % 1 }}",
    "long range": "{{ range(1000000000)|length }}",
    "range of large numbers": "{{ range(10**30, 10**30 + 5) }}",
    "loops": "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
    "loops that choose": "{% for a in range(10000) %}{% for b in range(10000) if b < 0 %}{% endfor %}{% endfor %}",
    "loops with much in them": "{% for a in range(10000) %}{% if " + "1 and " * 50 + "0 %}{% endif %}{% endfor %}",
    "doubled text": "{% set ns = namespace(s='a') %}{% for a in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "added text": "{% set ns = namespace(s='a') %}{% for a in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "text in a macro": "{% set b = 'a' * 90000 %}"
    "{% macro m() %}{% for a in range(9000) %}{{ b }}{% endfor %}{% endmacro %}{% set c = m() %}",
    "literal text in a macro": "{% macro m() %}{% for a in range(9000) %}" + "a" * 9000 + "{% endfor %}{% endmacro %}{% set c = m() %}",
    "text in a set": "{% set b = 'a' * 90000 %}{% set c %}{% for a in range(9000) %}{{ b }}{% endfor %}{% endset %}",
    "kept slices": "{% set b = 'a' * 90000 %}{% set ns = namespace(l=[]) %}"
    "{% for a in range(9000) %}{% set ns.l = [ns.l, b[1:]] %}{% endfor %}",
    "macro that calls itself": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "macro that turns": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(30) }}",
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "doubled list written": DOUBLED + "{{ ns.s }}",
    "doubled list as JSON": DOUBLED + "{{ ns.s|tojson }}",
    "doubled list as text": DOUBLED + "{{ ns.s|string }}",
    "doubled list joined": DOUBLED + "{{ ns.s ~ '' }}",
    "doubled lists compared": DOUBLED + "{% if ns.s == ns.t %}{% endif %}",
    "doubled list looked for": DOUBLED + "{% if ns.s in [ns.t] %}{% endif %}",
    "doubled list tested": DOUBLED + "{% if ns.s is eq ns.t %}{% endif %}",
    "doubled list as a key": DOUBLED + "{{ {ns.s: 1}|length }}",
    "doubled list as an index": DOUBLED + "{{ {}[ns.s] }}",
    "indent": "{{ 'a'|indent(1000000000) }}",
    "indent of lines": "{{ ('\\n' * 900000)|indent(100, first=true, blank=true)|length }}",
    "join": "{{ ('a' * 90000)|list|join('b' * 90000)|length }}",
    "replace": "{{ ('a' * 90000)|replace('', 'b' * 90000)|length }}",
    "batch": "{{ [1]|batch(1000000000, 1)|list }}",
    "slice": "{{ [1]|slice(1000000000)|list }}",
    "round": "{{ 1|round(1000000000, 'ceil') }}",
    "int": "{{ ('9' * 4000)|int }}",
    "sum of lists": "{{ [[1]]|sum(start=[]) }}",
    "strip": "{{ ('a' * 90000).strip('b' * 90000) }}",
    "trim": "{{ ('a' * 90000)|trim('b' * 90000) }}",
    "split": "{{ ('é,' * 2000000).split(',')|length }}",
    "list of characters": "{{ ('ж' * 2000000)|list|length }}",
    "infinite number": "{{ 1e99999 }}",
    "many digits": "{{ 0x" + "f" * 90000 + " }}",
    "parentheses": "{{ " + "(" * 40000,
    "brackets": "{{ " + "[" * 400 + "]" * 400 + " }}",
    "members": "{{ a" + ".a" * 5000 + " }}",
    "sums": "{{ 1" + "+1" * 5000 + " }}",
    "nested loops": "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    "nested conditions": "{% if 1 %}" * 200 + "{% endif %}" * 200,
    "many statements": "{{ 1 }}" * 10000,
    "long text": "a" * 100_001,
    "long output": "{{ 'a' * 90000 }}" * 3,
}
ESCAPES = {
    "class": "{{ ''.__class__.__mro__ }}",
    "class by index": "{{ ''['__class__'] }}",
    "format, CVE-2016-10745": "{{ '{0.__class__.__base__}'.format(1) }}",
    "format_map, CVE-2019-10906": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "wide format": "{{ '{:>999999999}'.format(1) }}",
    "file name and text, CVE-2024-56201": '{% import \'"""\\nimport os\' as a %}',
    "format by a filter, CVE-2024-56326": "{% set f = '{0.__class__}'.format %}{{ [1]|map(f)|list }}",
    "attr of format, CVE-2025-27516": "{{ ('{0.__class__}'|attr('format'))(1) }}",
    "attr of format by map": "{{ ['{0.__class__}']|map('attr', 'format')|list }}",
    "attribute by map": "{{ ['a']|map(attribute='__class__')|list }}",
    "attribute by groupby": "{{ ['a']|groupby('__class__') }}",
    "attribute by sort": "{{ ['a', 'b']|sort(attribute='__class__') }}",
    "self": "{{ self.__init__.__globals__ }}",
    "globals of range": "{{ range.__globals__ }}",
    "globals of namespace": "{{ namespace.__init__.__globals__ }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "cycler": "{{ cycler.__init__.__globals__ }}",
    "joiner": "{{ joiner.__init__.__globals__ }}",
    "dict": "{{ dict.__base__.__subclasses__() }}",
    "loop": "{% for a in [1] %}{{ loop.__init__ }}{% endfor %}",
    "the loop's own": "{% for a in [1] %}{{ loop._undefined }}{% endfor %}",
    "the loop itself": "{% for a in [1] %}{{ loop }}{% endfor %}",
    "a macro's function": "{% macro m() %}{% endmacro %}{{ m._func }}",
    "a macro itself": "{% macro m() %}{% endmacro %}{{ [m] }}",
    "a namespace that holds itself": "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}",
    "a namespace's own": "{% set ns = namespace() %}{{ ns._Namespace__attrs }}",
    "change of a list": "{{ x.append(2) }}",
    "change of an object": "{{ {}.update({1: 2}) }}",
    "a method's object": "{{ {}.get.__self__ }}",
    "a method itself": "{{ {}.get }}",
    "encode": "{{ 'a'.encode() }}",
    "call of a text": "{{ 'a'() }}",
    "undefined": "{{ y.__class__ }}",
    "test": "{{ 'a' is callable }}",
    "hidden filter": "{{ 'a'|map(' turn')|list }}",
    "include of a name": "{% include x %}",
    "include of many": "{% include ['a', 'b'] %}",
    "include if there": "{% include 'a' ignore missing %}",
    "extends": "{% extends 'a' %}",
    "from": "{% from 'a' import b %}",
    "block": "{% block a %}{{ super() }}{% endblock %}",
    "autoescape": "{% autoescape true %}{% endautoescape %}",
}


def text_of(template: str, **variables: Any) -> str:
    version = PromptVersion(tenant="", name="p", version=1, model="m", messages=(PromptMessage("user", template),), template="jinja2")
    if "{{ x" in template or " x " in template:
        variables = {"x": [1], **variables}
    return str(render(version, variables, {}, {}).before[0]["content"])


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_before_it_fills_memory(bomb: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PromptError):
            text_of(BOMBS[bomb])
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("escape", ESCAPES)
def test_nothing_leaves_the_sandbox(escape: str) -> None:
    with pytest.raises(PromptError):
        text_of(ESCAPES[escape])


def test_all_templates_of_a_version_share_what_a_rendering_may_cost() -> None:
    template = "{% for a in range(9000) %}{% endfor %}"
    assert text_of(template) == ""
    messages = tuple(PromptMessage("user", template) for _ in range(20))
    version = PromptVersion(tenant="", name="p", version=1, model="m", messages=messages, template="jinja2")
    with pytest.raises(PromptError, match="more than 100000 steps"):
        render(version, {}, {}, {})


def test_an_honest_loop_over_much_is_rendered_and_a_text_may_be_as_long_as_it_says() -> None:
    rows = [{"name": f"n{number}", "price": number} for number in range(2000)]
    template = "{% for row in rows if row.price %}{{ loop.index }}. {{ row.name|upper }}: {{ row.price * 2 }}\n{% endfor %}"
    assert text_of(template, rows=rows).count("\n") == 1999
    assert len(text_of("{{ text }}", text="a" * MAX_OUTPUT)) == MAX_OUTPUT
    with pytest.raises(PromptError, match="writes more than"):
        text_of("{{ text }}", text="a" * (MAX_OUTPUT + 1))
