"""Functions written as the TypeScript that OpenAI's models read in place of their JSON schemas.

Source: OpenAI cookbook, "How to count tokens with tiktoken"; github.com/hmarr/openai-chat-tokens (read 2026-11-23).
"""

from collections.abc import Iterator
from typing import Any

import orjson

_SCALARS = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def namespace(functions: list[dict[str, Any]]) -> str:
    """Return the whole text."""
    return "namespace functions {\n\n" + "".join(map(_function, functions)) + "} // namespace functions"


def _function(function: dict[str, Any]) -> str:
    about = f"// {function['description']}\n" if function.get("description") else ""
    parameters = function.get("parameters") or {}
    if not parameters.get("properties"):
        return f"{about}type {function['name']} = () => any;\n\n"
    inside = "\n".join(_lines(parameters, 0))
    return f"{about}type {function['name']} = (_: {{\n{inside}\n}}) => any;\n\n"


def _lines(schema: dict[str, Any], indent: int) -> Iterator[str]:
    for name, member in (schema.get("properties") or {}).items():
        if member.get("description"):
            yield " " * indent + f"// {member['description']}"
        mark = ":" if name in schema.get("required", ()) else "?:"
        yield " " * indent + f"{name}{mark} {_type(member, indent)},"


def _type(schema: dict[str, Any], indent: int) -> str:
    values = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []
    if values:
        return " | ".join(map(_value, values))
    union = schema.get("anyOf") or schema.get("oneOf")
    if union:
        return " | ".join(_type(each, indent) for each in union)
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": each}, indent) for each in kind)
    if kind == "object":
        return "\n".join(("{", *_lines(schema, indent + 2), "}"))
    if kind == "array":
        return _type(schema.get("items") or {}, indent) + "[]"
    return _SCALARS.get(kind, "any")


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else orjson.dumps(value).decode()
