"""What OpenAPI 3.0.3 lets a document hold, as far as ours hold it, as a JSON Schema; and its schemas read back as JSON Schema."""

from typing import Any

_COUNT = {"type": "integer", "minimum": 0}
_REF = {"type": "object", "properties": {"$ref": {"type": "string", "pattern": r"^#/components/schemas/[a-zA-Z0-9._-]+$"}},
        "required": ["$ref"], "additionalProperties": False}  # fmt: skip
_EACH = {"$ref": "#/$defs/schema"}
_ARMS = {"type": "array", "items": _EACH}
_TYPES = ["array", "boolean", "integer", "number", "object", "string"]
_PLAIN = {
    "type": "object",
    "properties": {
        "title": {"type": "string"}, "description": {"type": "string"}, "format": {"type": "string"}, "pattern": {"type": "string"},
        "multipleOf": {"type": "number", "exclusiveMinimum": 0},
        "minimum": {"type": "number"}, "maximum": {"type": "number"},
        "exclusiveMinimum": {"type": "boolean"}, "exclusiveMaximum": {"type": "boolean"},
        "minLength": _COUNT, "maxLength": _COUNT, "minItems": _COUNT, "maxItems": _COUNT, "minProperties": _COUNT, "maxProperties": _COUNT,
        "uniqueItems": {"type": "boolean"}, "nullable": {"type": "boolean"}, "deprecated": {"type": "boolean"},
        "readOnly": {"type": "boolean"}, "writeOnly": {"type": "boolean"},
        "required": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "enum": {"type": "array", "minItems": 1},
        "type": {"enum": _TYPES},
        "not": _EACH, "allOf": _ARMS, "oneOf": _ARMS, "anyOf": _ARMS, "items": _EACH,
        "properties": {"type": "object", "additionalProperties": _EACH},
        "additionalProperties": {"anyOf": [{"type": "boolean"}, _EACH]},
        "default": {}, "example": {},
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "dependentSchemas": {"nullable": {"required": ["type"]}, "exclusiveMinimum": {"required": ["minimum"]}},
    "if": {"properties": {"type": {"const": "array"}}, "required": ["type"]}, "then": {"required": ["items"]},
}  # fmt: skip
_CONTENT = {"type": "object", "additionalProperties": {"type": "object", "properties": {"schema": _EACH, "examples": {
    "type": "object", "propertyNames": {"pattern": r"^[a-zA-Z0-9._-]+$"}, "additionalProperties": {"type": "object",
        "required": ["value"]}}},
    "additionalProperties": False}}  # fmt: skip
_RESPONSE = {"type": "object", "properties": {"description": {"type": "string"}, "content": _CONTENT}, "required": ["description"],
             "patternProperties": {"^x-": {}}, "additionalProperties": False}  # fmt: skip
_OPERATION = {
    "type": "object",
    "properties": {
        "operationId": {"type": "string", "pattern": r"^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 76},
        "summary": {"type": "string"}, "description": {"type": "string"},
        "requestBody": {"type": "object", "properties": {"required": {"type": "boolean"}, "content": _CONTENT}, "required": ["content"],
                        "additionalProperties": False},
        "responses": {"type": "object", "patternProperties": {"^[1-5][0-9][0-9]$": _RESPONSE}, "additionalProperties": False,
            "minProperties": 1},
    },
    "required": ["responses"],
    "additionalProperties": False,
}  # fmt: skip
DOCUMENT = {
    "$defs": {"schema": {"if": {"required": ["$ref"]}, "then": _REF, "else": _PLAIN}},
    "type": "object",
    "properties": {
        "openapi": {"const": "3.0.3"},
        "info": {"type": "object", "properties": {"title": {"type": "string"}, "version": {"type": "string"},
            "description": {"type": "string"}},
                 "required": ["title", "version"], "additionalProperties": False},
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
        "paths": {"type": "object", "patternProperties": {"^/": {"type": "object", "properties": {"post": _OPERATION},
                                                                  "additionalProperties": False}}, "additionalProperties": False},
        "components": {"type": "object", "additionalProperties": False, "properties": {
            "schemas": {"type": "object", "propertyNames": {"pattern": r"^[a-zA-Z0-9._-]+$"}, "additionalProperties": _EACH},
            "securitySchemes": {"type": "object"}}},
        "security": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["openapi", "info", "paths"],
    "additionalProperties": False,
}  # fmt: skip


def references(value: Any) -> set[str]:
    """The components that something refers to."""
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set[str]()
        return own.union(*map(references, value.values()))
    return set[str]().union(*map(references, value)) if isinstance(value, list) else set()


def as_json_schema(schema: Any) -> Any:
    """Say a 3.0.3 schema in JSON Schema 2020-12: what `nullable` and the boolean limits mean."""
    if not isinstance(schema, dict):
        return schema
    made = {key: value for key, value in schema.items() if not key.startswith("x-")}
    for side in ("Minimum", "Maximum"):
        if made.pop(f"exclusive{side}", False):
            made[f"exclusive{side}"] = made.pop(side.lower())
    if made.pop("nullable", False):
        made["type"] = [made["type"], "null"]
    for key in ("allOf", "anyOf", "oneOf"):
        if key in made:
            made[key] = [as_json_schema(each) for each in made[key]]
    for key in ("not", "items", "additionalProperties"):
        if key in made:
            made[key] = as_json_schema(made[key])
    if "properties" in made:
        made["properties"] = {name: as_json_schema(each) for name, each in made["properties"].items()}
    return made
