"""Functions as OpenAI's models read them: a namespace of TypeScript types, which is what is counted, and not their JSON.

OpenAI does not document it. The rendering here, with its constants, gives to the token every number of the two public tables:
the cookbook's example (105 for GPT-4 and GPT-3.5, 101 for gpt-4o) and all 19 counts of the API that openai-chat-tokens has
(gpt-3.5-turbo, `functions`). For what those do not have (unions, references, `const`, many calls in one message) nothing
is proved; such types are written as TypeScript would.

Source: OpenAI cookbook, "How to count tokens with tiktoken"; github.com/hmarr/openai-chat-tokens (read 2026-11-23).
"""

import functools
from typing import Any

import msgspec

TOKENS_WITH_FUNCTIONS = 9  # their own system message's framing
TOKENS_SHARED_SYSTEM = -4  # it is the client's own, where there is one
TOKENS_PER_CALL = 3  # of a function, in the history
TOKENS_OF_FUNCTION_ROLE = -2  # an answer of role `function`
TOKENS_OF_NO_CHOICE = 1  # "none"
TOKENS_OF_NAMED_CHOICE = 4  # and the name

RENDERED_UP_TO = 100_000  # bytes of JSON; longer ones are counted as their JSON, which is about as long, or longer
_REMEMBERED_UP_TO = 16_384
_DEEPEST = 16
_ANY = "any"
_NAMES = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}


def render(functions: list[dict[str, Any]]) -> str:
    """Write functions as TypeScript; what is no schema in them is `any`.

    Args:
        functions: Each with a `name`, and perhaps a `description` and `parameters`.
    """
    encoded = msgspec.json.encode(functions)
    if len(encoded) > RENDERED_UP_TO:
        return encoded.decode()
    return _remembered(encoded) if len(encoded) <= _REMEMBERED_UP_TO else _render(functions)


@functools.lru_cache(maxsize=256)
def _remembered(encoded: bytes) -> str:
    return _render(msgspec.json.decode(encoded))


def _render(functions: list[dict[str, Any]]) -> str:
    lines = ["namespace functions {", ""]
    for function in functions:
        _comment(lines, function, "")
        parameters = _schema(function.get("parameters"))
        if _schema(parameters.get("properties")):
            lines += [f"type {function['name']} = (_: {{", *_members(parameters, "", _DEEPEST), "}) => any;", ""]
        else:
            lines += [f"type {function['name']} = () => any;", ""]
    lines.append("} // namespace functions")
    return "\n".join(lines)


def _schema(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _comment(lines: list[str], schema: dict[str, Any], space: str) -> None:
    description = schema.get("description")
    if type(description) is str and description:
        lines.append(f"{space}// {description}")


def _members(schema: dict[str, Any], space: str, left: int) -> list[str]:
    lines: list[str] = []
    required = schema.get("required")
    wanted = required if type(required) is list else ()
    for name, member in _schema(schema.get("properties")).items():
        _comment(lines, _schema(member), space)
        lines.append(f"{space}{name}{'' if name in wanted else '?'}: {_type(member, space, left)},")
    return lines


def _type(value: Any, space: str, left: int) -> str:
    """Write a schema's type; what is more than `left` levels deep stays JSON."""
    schema = _schema(value)
    if left == 0:
        return msgspec.json.encode(value).decode()
    if type(choices := schema.get("enum")) is list and choices:
        return " | ".join(map(_literal, choices))
    if "const" in schema:
        return _literal(schema["const"])
    for name in ("anyOf", "oneOf"):
        if type(schema.get(name)) is list:
            return " | ".join([_type(each, space, left - 1) for each in schema[name]])
    kinds = schema.get("type")
    # Each kind once: a type that is repeated at every level would double what is below it at every level.
    names = dict.fromkeys(kind for kind in (kinds if type(kinds) is list else [kinds]) if type(kind) is str)
    return " | ".join([_kind(name, schema, space, left - 1) for name in names]) or _ANY


def _kind(name: str, schema: dict[str, Any], space: str, left: int) -> str:
    if name == "object":
        return "\n".join(["{", *_members(schema, space + "  ", left), "}"])
    if name == "array":
        return f"{_type(schema['items'], space, left) if 'items' in schema else _ANY}[]"
    return _NAMES.get(name, _ANY)


def _literal(value: Any) -> str:
    return f'"{value}"' if type(value) is str else msgspec.json.encode(value).decode()
