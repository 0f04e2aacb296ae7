"""A schema accepts what it says, in linear time, and a fault repeats nothing of the text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.domain.json_schema import MAX_REFERENCES, JsonForm, schema_fault

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "pattern": "^x+$"},
        "n": {"type": "integer", "minimum": 3},
        "l": {"type": "array", "items": {"enum": ["p", "q"]}},
        "o": {"additionalProperties": {"type": "number"}},
    },
    "required": ["a"],
    "additionalProperties": False,
    "patternProperties": {"^z": {"type": "number"}},
}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": "xx", "n": 3, "l": ["p"], "z": 1}', None),
        ('{"a": "secret"}', "$.a does not satisfy 'pattern'"),
        ('{"n": 3}', "$ lacks 'a'"),
        ('{"a": "x", "n": 1}', "$.n must have minimum 3"),
        ('{"a": "x", "n": "secret"}', "$.n must have type integer"),
        ('{"a": "x", "l": ["p", "secret"]}', "$.l[1] must be one of the values that the schema allows"),
        ('{"a": "x", "secret": 1}', "$ has a member that is not allowed"),
        ('{"a": "x", "zsecret": "secret"}', "$.* must have type number"),
        ('{"a": "x", "o": {"secret": "secret"}}', "$.o.* must have type number"),
        ("[]", "$ must have type object"),
        ("secret", "it is not JSON: JSON is malformed: invalid character (byte 0)"),
        ('{"a": "x"} secret', "it is not JSON: JSON is malformed: trailing characters (byte 12)"),
        ("", "it is not JSON: Input data was truncated"),
        ('"\ud800"', "it is not JSON: it holds half of a surrogate pair"),
        ("[" * 100_000, "it is nested too deeply to be checked"),
    ],
)
def test_a_fault_says_where_and_what_without_repeating_the_text(text: str, fault: str | None) -> None:
    assert JsonForm(SCHEMA).fault(text) == fault
    assert "secret" not in (fault or "")
    if not text.startswith("[["):
        assert JsonForm(SCHEMA).accepts(text) is (fault is None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", "xx", "y", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "n", "l", "o", "z", "zz", "q"]), inner, max_size=4),
    max_leaves=8,
)


@given(document=VALUES)
def test_it_accepts_what_the_library_accepts(document: Any) -> None:
    assert JsonForm(SCHEMA).accepts(json.dumps(document)) is Draft202012Validator(SCHEMA).is_valid(document)


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": r"^(a+)+$"},
        {"patternProperties": {r"^(a+)+$": {"type": "null"}}, "additionalProperties": False},
    ],
)
def test_a_hostile_answer_takes_no_longer_than_reading_it(schema: dict[str, Any]) -> None:
    hostile = "a" * 100_000 + "b"
    form = JsonForm(schema)  # Python's own engine would run into the suite's time limit
    assert form.fault(json.dumps(hostile if "pattern" in schema else {hostile: 1})) is not None


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (SCHEMA, None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, None),
        ({"$ref": "https://example.com/a"}, "refers to 'https://example.com/a'; put that under `$defs`: nothing is fetched for a check"),
        ({"items": {"$ref": "#/$defs/b"}, "$defs": {"a": {}}}, "refers to '#/$defs/b', which is not there"),
        ({"$dynamicRef": "#leaf"}, "refers to '#leaf', which is not there"),
        ({"$ref": "#/$defs/a/b", "$defs": {"a": True}}, "refers to '#/$defs/a/b', which is not there"),
        ({"$ref": "#/allOf/b", "allOf": [{}]}, "refers to '#/allOf/b', which is not there"),
        ({"$ref": "#leaf", "$defs": {"a": {"$anchor": "leaf"}}}, None),
        ({"type": "objekt"}, "is no JSON Schema: at type `anyOf` does not hold"),
        ({"items": {"pattern": "(?=a)"}}, "has the pattern '(?=a)', which RE2 does not take: invalid perl operator: (?="),
        ({"patternProperties": {"(": {}}}, "has the pattern '(', which RE2 does not take: missing ): ("),
        (
            {"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False},
            "has `patternProperties` and `unevaluatedProperties`; use `additionalProperties`, which is checked in linear time",
        ),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused_with_the_reason(schema: dict[str, Any], fault: str | None) -> None:
    assert schema_fault(schema) == fault


def test_a_schema_that_refers_to_itself_without_end_accepts_nothing() -> None:
    assert JsonForm({"$ref": "#"}).fault("1") == "it is nested too deeply to be checked"


def doubling(**leaf: Any) -> dict[str, Any]:
    """Thirty schemas, each of which refers twice to the next one."""
    levels = {f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(30)}
    return {"$ref": "#/$defs/d0", "$defs": {**levels, "d30": leaf}}


@pytest.mark.parametrize(
    ("schema", "text"),
    [(doubling(type="string"), '"x"'), (doubling(properties={"x": {}}) | {"unevaluatedProperties": False}, '{"x": 1}')],
    ids=["a-value", "members-that-were-evaluated"],
)
def test_references_are_followed_so_often_and_no_more(schema: dict[str, Any], text: str) -> None:
    assert schema_fault(schema) is None
    assert "references lead to each other too often" in (JsonForm(schema).fault(text) or "")
    with pytest.raises(RecursionError):
        JsonForm(schema).accepts(text)


def test_references_are_counted_for_each_text_by_itself() -> None:
    form = JsonForm({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "integer"}}})
    most = json.dumps([1] * MAX_REFERENCES)
    assert [form.fault(most), form.fault(most), form.accepts(most)] == [None, None, True]


def test_a_value_that_no_schema_allows_is_said_to_be_one() -> None:
    assert JsonForm({"properties": {"a": False}}).fault('{"a": 1}') == "$ has a value that is not allowed"
