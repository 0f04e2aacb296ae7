"""`inputs` of a Prompty file and the JSON Schema of a prompt's variables: the one says part of what the other does.

    inputs:                        {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
      city: {type: string}    ↔     "required": ["city"], "additionalProperties": false}
      days: {type: integer, default: 3}

A schema that says more stands in the file as it is, under `gateway.input_schema`, and `inputs` show what they can of it.

Source: microsoft/prompty, Prompty.yaml and its samples (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

_TYPES = {
    "string": "string",
    "str": "string",
    "text": "string",
    "number": "number",
    "float": "number",
    "double": "number",
    "integer": "integer",
    "int": "integer",
    "boolean": "boolean",
    "bool": "boolean",
    "array": "array",
    "list": "array",
    "object": "object",
    "dict": "object",
}
_OWN = frozenset(_TYPES.values())
_SAID = ("type", "description", "default")


class InputFault(Exception):
    """What is wrong with an input; `field` is its path below `inputs`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def schema_of(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the schema that inputs make, and the members of them that it does not need.

    Raises:
        InputFault: An input has no type that JSON has, or is not described at all.
    """
    properties, left_out = dict[str, Any](), list[str]()
    for name, described in inputs.items():
        if not isinstance(described, Mapping):
            raise InputFault(name, "is a value; describe it (`type: string`), and put the value under `sample`")
        properties[name] = {key: described[key] for key in _SAID if key in described}
        if "type" in described:
            kind = _TYPES.get(described["type"]) if isinstance(described["type"], str) else None
            if kind is None:
                raise InputFault(f"{name}.type", f"must be one of {', '.join(sorted(_OWN))}")
            properties[name]["type"] = kind
        if not isinstance(described.get("description", ""), str):
            raise InputFault(f"{name}.description", "must be a text")
        left_out += [f"{name}.{key}" for key in described if key not in _SAID]
    required = [name for name, each in properties.items() if "default" not in each]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, left_out


def inputs_of(schema: Any) -> dict[str, Any]:
    """Return what inputs can say of a schema."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    shown = dict[str, Any]()
    for name, each in properties.items() if isinstance(properties, Mapping) else ():
        known: Mapping[str, Any] = each if isinstance(each, Mapping) else {}
        texts = {key: known[key] for key in ("type", "description") if isinstance(known.get(key), str)}
        if texts.get("type", "string") not in _OWN:
            del texts["type"]
        shown[name] = texts | ({"default": known["default"]} if "default" in known else {})
    return shown
