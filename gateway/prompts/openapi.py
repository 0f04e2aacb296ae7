"""The OpenAPI document of one prompt as a REST API: POST /v1/prompts/{name}/invoke, for portals, generators and API Management.

What API Management imports decides its form: OpenAPI 3.0.3, schemas as components without recursion, an `operationId` that stays as
it is there (small letters, digits and dashes, at most 76).

Source: OpenAPI 3.0.3; Microsoft Learn, "API import restrictions" of Azure API Management (read 2026-11-22).
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from gateway.domain.prompts import PRODUCTION, PromptVersion
from gateway.domain.steps import OUTPUT, Classify, Extract
from gateway.prompts.openapi_schema import Converter

MAX_OPERATION_ID = 76
EXTENSION = "x-gateway"  # what members of ours begin with
_ERRORS = {
    "400": "The variables or the request do not fit; `error.param` names what.",
    "401": "No key, or one that does not work.",
    "403": "The caller may not use this prompt's model, or a quota of its is used up.",
    "404": "There is no such prompt, version or label.",
    "429": "A limit is reached; `retry-after` says when to try again.",
    "503": "It cannot be served just now; try again.",
}


def openapi(version: PromptVersion, *, variables: frozenset[str]) -> dict[str, Any]:
    """Return a version's document.

    Args:
        version: What is described; where it has no `input_schema`, its variables may be anything.
        variables: Names that its text asks for.
    """
    schema, components = _variables(version, variables)
    schemas: dict[str, Any] = {"Variables": schema} | components
    if version.output_schema is not None:
        schemas["Output"], components = _converted(version.output_schema, "Output")
        schemas |= components
    schemas |= {"Invocation": _invocation(bool(schema.get("required"))), "Completion": _completion(version), "Error": _ERROR}
    return {
        "openapi": "3.0.3",
        "info": {"title": version.name, "version": str(version.version)}
        | ({"description": version.description} if version.description else {}),
        "servers": [{"url": "/"}],
        "paths": {f"/v1/prompts/{version.name}/invoke": {"post": _operation(version)}},
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
        "security": [{name: []} for name in _SECURITY],
    }


def operation_id(name: str) -> str:
    """Return a prompt's operation id; names that differ have ids that differ."""
    plain = f"invoke-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}"
    if plain == f"invoke-{name}":
        return plain
    return f"{plain[: MAX_OPERATION_ID - 9]}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def _operation(version: PromptVersion) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Invocation"}}
    if version.examples:
        content["examples"] = {f"example{index}": {"value": {"variables": each}} for index, each in enumerate(version.examples, 1)}
    done: dict[str, Any] = {
        "description": "The answer; with `stream` its chunks as server-sent events.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Completion"}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    }
    if version.output_schema is not None:
        done[f"{EXTENSION}-output-schema"] = {
            "$ref": "#/components/schemas/Output"
        }  # as a whole it could hold references that lead nowhere here
    failed = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "operationId": operation_id(version.name),
        "summary": f"Invoke {version.name}",
        "description": version.description or f"Fills in the prompt {version.name!r} and has {version.model} answer it.",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"200": done} | {status: {"description": said, "content": failed} for status, said in _ERRORS.items()},
    }


def _variables(version: PromptVersion, variables: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of the variables, and the components that it refers to."""
    if version.input_schema is not None:
        return _converted(version.input_schema, "Variables")
    names = sorted(variables)
    schema: dict[str, Any] = {"type": "object", "properties": {name: {} for name in names}, "additionalProperties": False}
    return schema | ({"required": names} if names else {}), {}


def _converted(schema: Any, prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    converter = Converter(schema, prefix)
    made = converter.converted()
    if converter.loosened:
        made = {"allOf": [made]} if "$ref" in made else made  # beside which nothing may stand
        made[f"{EXTENSION}-loosened"] = converter.loosened
    return made, converter.components


def _invocation(needs_variables: bool) -> dict[str, Any]:  # noqa: FBT001 - a fact, not a switch
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "variables": {"$ref": "#/components/schemas/Variables"},
            "version": {
                "description": "A version's number, or a label.",
                "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}],
                "default": PRODUCTION,
            },
            "messages": {
                "description": "Of the conversation so far, as in POST /v1/chat/completions.",
                "type": "array",
                "items": {"type": "object", "required": ["role"], "properties": {"role": {"type": "string"}}},
            },
            "stream": {"type": "boolean", "default": False},
        },
        "description": "Further members are parameters of the model, as in POST /v1/chat/completions; they win over the prompt's.",
    }
    return schema | ({"required": ["variables"]} if needs_variables else {})


def _completion(version: PromptVersion) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "string", "nullable": True}
    if version.output_schema is not None:
        content["description"] = "JSON, as the schema `Output` says."
    message = {"type": "object", "properties": {"role": {"type": "string"}, "content": content}}
    choice = {"index": {"type": "integer"}, "message": message, "finish_reason": {"type": "string", "nullable": True}}
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    properties: dict[str, Any] = {
        "id": {"type": "string"},
        "object": {"type": "string"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": {"type": "object", "properties": choice}},
        "usage": {"type": "object", "properties": {name: {"type": "integer"} for name in counts}},
    }
    if fields := [step.field for step in version.steps if isinstance(step, Extract | Classify)]:
        properties[OUTPUT] = {
            "type": "object",
            "properties": {field: {} for field in fields},
            "description": "What the prompt's steps found.",
        }
    return {"type": "object", "properties": properties, "required": ["choices"]}


_FAULT = {
    "message": {"type": "string"},
    "type": {"type": "string"},
    "code": {"type": "string", "nullable": True},
    "param": {"type": "string", "nullable": True},
}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": _FAULT, "required": ["message", "type"]}},
    "required": ["error"],
}
_SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A virtual key, or a token of Entra ID."},
    "key": {"type": "apiKey", "in": "header", "name": "api-key", "description": "A virtual key."},
    "subscription": {
        "type": "apiKey",
        "in": "header",
        "name": "Ocp-Apim-Subscription-Key",
        "description": "API Management's subscription key, where it stands in front.",
    },
}
