"""The strict template language: what a place becomes, that blocks stay what they are, and that compiling takes no long time."""

import itertools
import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.prompts import Partial
from gateway.errors import PromptError
from gateway.prompts import strict
from gateway.prompts.strict import Place, as_json, as_xml, compiled, expanded, inside_json_string, plain

NASTY = [
    '"',
    "'",
    "\\",
    '\\"',
    "]]>",
    "<!--",
    "</a>",
    "<a",
    "&amp;",
    "```",
    "\n```\n",
    "{{x}}",
    "\\{{",
    "\x00",
    "\x1b",
    "\x7f",
    "\ufffe",
    "\r\n",
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(NASTY), max_size=4).map("".join))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
LITERALS = st.text(alphabet='ab"\\{}<>/`\n jsonx', max_size=12)
TOKENS = st.sampled_from(["{{x}}", "{{ y.a }}", "{{x|json}}", "\\{{"])


def filled(template: str, value: Any) -> str:
    return "".join(piece if isinstance(piece, str) else piece.escape(value) for piece in compiled(template))


@given(VALUES, VALUES)
def test_a_json_block_is_the_same_json_with_the_values_in_it(first: Any, second: Any) -> None:
    for value in (first, second):
        text = filled('```json\n{"a": {{x}}, "b": [{{x}}, "q\\" {{x}} q"], "c": {{x}}}\n```', value)
        said = value if isinstance(value, str) else plain(value)
        assert json.loads(text[8:-4]) == {"a": value, "b": [value, f'q" {said} q'], "c": value}


@given(VALUES)
def test_an_element_keeps_its_form_and_says_the_value(value: Any) -> None:
    root = ET.fromstring(filled("<a t=\"{{x}}\" u='{{x}}'><b>{{x}}</b></a>", value))
    assert [each.tag for each in root.iter()] == ["a", "b"]
    assert sorted(root.attrib) == ["t", "u"]
    said = value if isinstance(value, str) else plain(value)
    assert root[0].text is None or "\ufffd" in root[0].text or root[0].text == said


@given(VALUES)
def test_json_within_an_element_is_right_for_both(value: Any) -> None:
    root = ET.fromstring(filled("<a>\n```json\n{{x}}\n```\n</a>", value))
    assert root.text is not None
    assert json.loads(root.text.strip()[8:-4]) == value


@given(st.lists(LITERALS | TOKENS, max_size=8))
def test_pieces_say_the_template_in_its_order_and_no_two_literals_meet(parts: list[str]) -> None:
    template = "".join(parts)
    try:
        pieces = compiled(template)
    except PromptError:
        return
    assert all(pieces)
    assert not any(isinstance(a, str) and isinstance(b, str) for a, b in itertools.pairwise(pieces))
    literal = strict._TOKEN.sub(lambda found: "{{" if found[0][0] == "\\" else "", template)
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == literal


@pytest.mark.parametrize(
    ("template", "escapes"),
    [
        ('```json\n"{{x}}" {{x}} "\\"{{x}}"\n```{{x}}', [inside_json_string, as_json, inside_json_string, plain]),
        ('```json\n"\\{{ {{x}}" {{x}}\n```', [inside_json_string, as_json]),
        ('```json\n"\n```\n```json\n{{x}}\n```', [as_json]),  # a quote of one block opens nothing in another
        ('```json\n{{x}}\n```"{{x}}"', [as_json, plain]),
        ("<a>{{x}}</a>{{x}}<b>{{x}}", [as_xml, plain, plain]),
        ("<a/>{{x}}<a>{{x}}</a>", [plain, as_xml]),
        ("```json\n{{x|raw}}{{x|xml}}\n```", [plain, as_xml]),
    ],
    ids=["strings", "braces", "blocks", "after", "elements", "empty", "said"],
)
def test_the_place_decides_how_a_value_is_written(template: str, escapes: list[Any]) -> None:
    assert [piece.escape for piece in compiled(template) if isinstance(piece, Place)] == escapes


@pytest.mark.parametrize(
    ("template", "line"), [("a\n\n{{x y}}", 3), ("a\n{{x\n", 2), ("{{x|no}}", 1), (f"\n{{{{x{'.a' * 17}}}}}", 2), ("\n{{context}}", 2)]
)
def test_a_fault_says_its_line(template: str, line: int) -> None:
    with pytest.raises(PromptError, match=f"line {line}"):
        compiled(template)


def test_no_text_is_looked_through_again_for_each_of_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quotes before a place were once counted anew for each place: 200 KB took a minute."""
    read: list[int] = []
    real = strict._quotes

    def counted(text: str, *rest: Any) -> list[int]:
        read.append(len(text))
        return real(text, *rest)

    monkeypatch.setattr(strict, "_quotes", counted)
    template = "```json\n" + '"{{a}}",' * 500 + "\n```"
    assert len(compiled.__wrapped__(template)) == 1001
    assert read == [len(template)]


def test_a_short_template_that_includes_a_long_one_often_is_refused() -> None:
    partials = {"p": Partial(1, "x" * 100_000)}
    assert len(expanded("{{> p}}" * 9, partials)) == 900_000
    with pytest.raises(PromptError, match="include less"):
        expanded("{{> p}}" * 10, partials)
