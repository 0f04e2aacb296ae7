"""A prompt as an OpenAPI 3.0.3 document: valid whatever its schemas say, and never stricter than they are."""

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.domain.json_schema import schema_fault
from gateway.domain.prompts import PromptMessage, PromptVersion
from gateway.domain.steps import Classify, Extract
from gateway.prompts.openapi import MAX_OPERATION_ID, openapi, operation_id
from tests.unit.prompts.openapi_form import DOCUMENT, as_json_schema, references
from tests.unit.prompts.prompt_strategies import NAMES

FORM = Draft202012Validator(DOCUMENT)
SCHEMA_NAMES = ("object", "array", "string", "integer", "number", "boolean", "null")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, "", "a", "bb"]),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "c/~"]), each, max_size=3),
    max_leaves=4,
)
COUNTS, LIMITS = st.integers(0, 2) | st.just(1.0), st.integers(-2, 2) | st.just(0.5)
REFERENCES = st.sampled_from(["#", "#/$defs/x", "#/$defs/y", "#/properties/a", "#mark", "#/$defs/x/items"])


def _objects(each: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several, named = st.lists(each, min_size=1, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "c/~"]), each, max_size=2)
    members: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(SCHEMA_NAMES) | st.lists(st.sampled_from(SCHEMA_NAMES), min_size=1, max_size=3, unique=True),
        "const": VALUES, "enum": st.lists(VALUES, max_size=2), "$ref": REFERENCES, "$dynamicRef": REFERENCES, "$anchor": st.just("mark"),
        "minimum": LIMITS, "maximum": LIMITS, "exclusiveMinimum": LIMITS, "exclusiveMaximum": LIMITS, "multipleOf": st.sampled_from([1,
        0.5]),
        "minLength": COUNTS, "maxItems": COUNTS, "minProperties": COUNTS, "pattern": st.just("^a"), "uniqueItems": st.booleans(),
        "properties": named, "patternProperties": st.dictionaries(st.just("^a"), each, max_size=1), "additionalProperties": each,
        "required": st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True), "propertyNames": each, "dependentSchemas": named,
        "items": each, "prefixItems": several, "contains": each, "if": each, "then": each, "else": each,
        "allOf": several, "anyOf": several, "oneOf": several, "not": each, "$defs": st.fixed_dictionaries({"x": each, "y": each}),
        "title": st.just("t"), "default": VALUES, "examples": st.lists(VALUES, max_size=1), "deprecated": st.booleans(),
        "readOnly": st.booleans(), "writeOnly": st.booleans(), "nullable": VALUES, "discriminator": VALUES, "x-own": VALUES, "id": VALUES,
    }  # fmt: skip
    names = st.lists(st.sampled_from(sorted(members)), max_size=4, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: members[name] for name in chosen}))


SCHEMAS = st.recursive(st.booleans() | st.just({}), _objects, max_leaves=8)


def version(**more: Any) -> PromptVersion:
    given = {"name": "support", "version": 3, "messages": (PromptMessage(role="user", content="hi"),)} | more
    return PromptVersion(tenant="t", model="gpt-4o", **given)


def schemas_of(**more: Any) -> Any:
    return openapi(version(**more), variables=frozenset())["components"]["schemas"]


def variables_of(schema: Any) -> Any:
    return schemas_of(input_schema=schema)["Variables"]


def check(document: Any) -> None:
    assert [(list(each.absolute_path), each.message) for each in FORM.iter_errors(json.loads(json.dumps(document)))] == []
    schemas = document["components"]["schemas"]
    assert references(document) <= schemas.keys()
    done: set[str] = set()
    while done < schemas.keys():  # whatever refers only to what is done is done: none refers to itself, however far around
        ready = {name for name in schemas.keys() - done if references(schemas[name]) <= done}
        assert ready, schemas.keys() - done
        done |= ready


@settings(max_examples=200)
@given(schema=SCHEMAS, named=NAMES)
def test_whatever_schema_the_library_takes_makes_a_valid_document(schema: Any, named: str) -> None:
    assume(isinstance(schema, dict) and schema_fault(schema) is None)
    check(openapi(version(name=named, input_schema=schema, output_schema=schema), variables=frozenset()))


@settings(max_examples=200)
@given(schema=SCHEMAS, value=VALUES)
def test_what_the_schema_takes_the_document_takes(schema: Any, value: Any) -> None:
    assume(isinstance(schema, dict) and schema_fault(schema) is None)
    try:
        taken = Draft202012Validator(schema).is_valid(value)
    except Exception:  # noqa: BLE001 - one that refers to itself without end says nothing of any value
        taken = False
    assume(taken)
    schemas = {name: as_json_schema(each) for name, each in schemas_of(input_schema=schema).items()}
    assert Draft202012Validator({"components": {"schemas": schemas}, "$ref": "#/components/schemas/Variables"}).is_valid(value)


SAID = {
    "of several types": ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    "of more": ({"type": ["string", "array"]}, {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]}),
    "null": ({"type": "null"}, {"type": "string", "nullable": True, "enum": [None]}),
    "one value": ({"const": 1}, {"enum": [1]}),
    "over": ({"exclusiveMinimum": 5}, {"minimum": 5, "exclusiveMinimum": True}),
    "over, and from": ({"exclusiveMinimum": 5, "minimum": 6}, {"minimum": 6}),
    "nothing": ({"not": {}, "properties": {"a": False}}, {"not": {}, "properties": {"a": {"not": {}}}}),
    "anything more": ({"properties": {"a": True}, "additionalProperties": False}, {"properties": {"a": {}}, "additionalProperties": False}),
    "whole counts": ({"minLength": 2.0}, {"minLength": 2}),
    "nothing needed": ({"required": []}, {}),
}


@pytest.mark.parametrize("what", SAID)
def test_a_schema_is_said_in_the_older_words(what: str) -> None:
    schema, expected = SAID[what]
    assert variables_of(schema) == expected


LOOSE = {
    "patterns of names": (
        {"patternProperties": {"^a": {}}, "additionalProperties": False},
        {},
        ["#: patternProperties", "#: additionalProperties"],
    ),
    "a condition": ({"properties": {"a/b": {"if": {}}}}, {"properties": {"a/b": {}}}, ["#/properties/a~1b: if"]),
    "refusing what is loose": ({"not": {"if": {}}}, {}, ["#/not: if", "#: not"]),
    "one of what is loose": ({"oneOf": [{"if": {}}, {}]}, {"anyOf": [{}, {}]}, ["#/oneOf/0: if", "#: oneOf"]),
}


@pytest.mark.parametrize("what", LOOSE)
def test_what_cannot_be_said_is_loosened_and_listed(what: str) -> None:
    schema, expected, listed = LOOSE[what]
    made = variables_of(schema)
    assert made.pop("x-gateway-loosened") == listed
    assert made == expected


def test_references_become_components_and_recursion_anything() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}}
    made = schemas_of(input_schema={"$ref": "#/$defs/tree", "$defs": {"tree": tree}})
    assert made["Variables"]["allOf"] == [{"$ref": "#/components/schemas/Variables.1.tree"}]
    assert made["Variables"]["x-gateway-loosened"] == ["#/$defs/tree/properties/next: $ref, which leads back to itself"]
    assert made["Variables.1.tree"] == {"type": "object", "properties": {"next": {}}}


def test_a_property_called_id_hides_no_reference() -> None:
    order = {"type": "object", "properties": {"id": {"type": "string"}, "$id": {"type": "string"}}}
    made = schemas_of(input_schema={"properties": {"order": {"$ref": "#/$defs/order"}}, "$defs": {"order": order}})
    assert made["Variables"] == {"properties": {"order": {"$ref": "#/components/schemas/Variables.1.order"}}}
    assert made["Variables.1.order"] == order


def test_references_below_a_base_of_their_own_are_loosened() -> None:
    made = schemas_of(input_schema={"properties": {"a": {"$id": "https://a/b", "$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}}})
    assert made["Variables"] == {"properties": {"a": {}}, "x-gateway-loosened": ["#/properties/a: $ref"]}


def test_references_without_end_are_loosened() -> None:
    chain: dict[str, Any] = {f"d{index}": {"not": {"$ref": f"#/$defs/d{index + 1}"}} for index in range(1000)}
    schema = {"$ref": "#/$defs/d0", "$defs": chain | {"d1000": {}}}
    document = openapi(version(input_schema=schema), variables=frozenset())
    check(document)
    listed = document["components"]["schemas"]["Variables"]["x-gateway-loosened"]
    assert listed[0].endswith(": all of it: so deep it cannot be said")


def test_without_a_schema_every_variable_is_needed_and_may_be_anything() -> None:
    document = openapi(version(), variables=frozenset({"city", "name"}))
    variables = document["components"]["schemas"]["Variables"]
    assert (variables["required"], variables["properties"], variables["additionalProperties"]) == (
        ["city", "name"],
        {"city": {}, "name": {}},
        False,
    )
    assert document["components"]["schemas"]["Invocation"]["required"] == ["variables"]
    check(document)


def test_examples_errors_outputs_and_credentials_are_described() -> None:
    steps = (Extract(field="order", path="order"), Classify(model="small"))
    document = openapi(
        version(examples=({"city": "Oslo"},), output_schema={"type": "object"}, steps=steps, description="About towns."),
        variables=frozenset(),
    )
    check(document)
    (operation,) = (path["post"] for path in document["paths"].values())
    assert operation["requestBody"]["content"]["application/json"]["examples"] == {"example1": {"value": {"variables": {"city": "Oslo"}}}}
    assert set(operation["responses"]) == {"200", "400", "401", "403", "404", "429", "503"}
    assert operation["responses"]["200"]["x-gateway-output-schema"] == {"$ref": "#/components/schemas/Output"}
    completion = document["components"]["schemas"]["Completion"]["properties"]
    assert set(completion["gateway_output"]["properties"]) == {"order", "sentiment"}
    assert {each.get("scheme") or each["name"] for each in document["components"]["securitySchemes"].values()} == {
        "bearer", "api-key", "Ocp-Apim-Subscription-Key"
    }  # fmt: skip
    assert document["info"] == {"title": "support", "version": "3", "description": "About towns."}


@given(one=NAMES, other=NAMES)
def test_operation_ids_stay_as_they_are_in_api_management(one: str, other: str) -> None:
    assert len(operation_id(one)) <= MAX_OPERATION_ID
    assert (operation_id(one) == operation_id(other)) == (one == other)


def test_the_longest_name_has_an_id_that_fits() -> None:
    assert len(operation_id("a" * 64)) == 71
    assert len(operation_id("A" * 64)) <= MAX_OPERATION_ID
