"""Which variables a version takes: what is missing, too much, wrong or too large is a 400 that names it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.json_schema import JsonForm
from gateway.errors import PromptError
from gateway.prompts.variables import MAX_BYTES, MAX_VARIABLES, RESERVED, Inputs, checked

NAMES = st.sampled_from(["a", "b", "c", "d"])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)  # a lone surrogate is no JSON, and never gets here
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), TEXTS, st.lists(st.integers())
)
TYPES = st.sampled_from(["string", "boolean", "integer", "number"])


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    properties = {name: {"type": draw(TYPES)} for name in draw(st.sets(NAMES))}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": sorted(draw(st.sets(NAMES)))}
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.booleans())
    return schema


@settings(deadline=None)  # the first one loads jsonschema
@given(schemas(), st.dictionaries(NAMES, VALUES))
def test_the_quick_look_and_the_full_check_agree(schema: dict[str, Any], variables: dict[str, Any]) -> None:
    inputs, fits = Inputs(schema), JsonForm(schema).accepts(json.dumps(variables))
    assert fits or not inputs.fits_at_once(variables)
    if fits:
        assert inputs.checked(variables, "v") == variables
        return
    with pytest.raises(PromptError) as refused:
        inputs.checked(variables, "v")
    assert (refused.value.status, (refused.value.param or "").partition(".")[0]) == (400, "v")


@pytest.mark.parametrize("kind", ["string", "boolean", "integer", "number"])
@pytest.mark.parametrize("value", ["", "1", True, 0, 1, 1.0, 1.5, None, [], {}], ids=repr)
def test_the_quick_look_takes_no_value_for_another_type(kind: str, value: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": kind}}}
    assert JsonForm(schema).accepts(json.dumps({"a": value})) or not Inputs(schema).fits_at_once({"a": value})


@given(st.sets(NAMES), st.dictionaries(NAMES, VALUES))
def test_without_a_schema_the_templates_names_are_needed_and_no_others(needed: set[str], variables: dict[str, Any]) -> None:
    if needed == variables.keys():
        assert checked(variables, frozenset(needed), None) == variables
        return
    with pytest.raises(PromptError) as refused:
        checked(variables, frozenset(needed), None, "v")
    code, names = (
        ("missing_variable", needed - variables.keys()) if needed - variables.keys() else ("unknown_variable", variables.keys() - needed)
    )
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, code, f"v.{min(names)}")


@pytest.mark.parametrize("name", sorted(RESERVED))
@pytest.mark.parametrize("schema", [None, {"type": "object"}, {"type": "object", "properties": {"context": {}, "lookups": {}}}], ids=str)
def test_no_variable_takes_the_gateways_place(name: str, schema: dict[str, Any] | None) -> None:
    with pytest.raises(PromptError) as refused:
        checked({name: {"user": "eve"}}, frozenset(), Inputs(schema) if schema else None)
    assert refused.value.param == f"prompt.variables.{name}"


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("letter", ["x", "é", "\x01"], ids=["plain", "two bytes", "escaped"])
def test_variables_are_bounded_by_their_bytes_as_json(letter: str, over: int) -> None:
    each = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    room = MAX_BYTES - len('{"a":""}')
    text = letter * (room // each) + "x" * (room % each + over)
    if not over:
        assert checked({"a": text}, frozenset({"a"}), None) == {"a": text}
        return
    with pytest.raises(PromptError, match="256 KB"):
        checked({"a": text}, frozenset({"a"}), None)


@pytest.mark.parametrize(
    "value",
    [["x" * 1000] * 300, {"a": {"b": "x" * 300_000}}, {f"k{number}": "x" * 100 for number in range(3000)}],
    ids=["list", "deep", "many"],
)
def test_nested_values_count_too(value: Any) -> None:
    with pytest.raises(PromptError, match="256 KB"):
        checked({"a": value}, frozenset({"a"}), None)


def test_many_short_variables_and_too_many_of_them() -> None:
    most = {f"v{number}": "x" * 1000 for number in range(MAX_VARIABLES)}
    assert checked(most, frozenset(most), None) == most
    with pytest.raises(PromptError, match=str(MAX_VARIABLES)):
        checked(most | {"another": ""}, frozenset(most), None)
    with pytest.raises(PromptError, match="256 KB"):
        checked(dict.fromkeys(most, "x" * 1024), frozenset(most), None)
