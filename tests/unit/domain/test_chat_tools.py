"""Names that only look like ours, in what describes tools and formats."""

from typing import Any

import pytest

from gateway.domain.chat import read_chat
from tests.unit.domain.chat_requests import chat, make_inbound, refusal

FUNCTION = {"name": "f", "description": "d", "strict": True, "parameters": {"type": "object", "Name": {"Type": "string"}}}
TOOL = {"type": "function", "function": FUNCTION}
CUSTOM = {"type": "custom", "custom": {"name": "c", "description": "d", "format": {"type": "grammar", "grammar": {"syntax": "lark"}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": {"Type": 1, "properties": {"Name": {}}}}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL, TOOL | {"Function": FUNCTION}]}, "tools[1].Function"),
        ({"tools": [{"function": {"name": "f", "Name": "g"}}]}, "tools[0].function.Name"),
        ({"tools": [{"function": FUNCTION | {"\uff50arameters": {}}}]}, "tools[0].function.\uff50arameters"),
        ({"tools": [{"function": {"DESCRIPTION": "d"}}]}, "tools[0].function.DESCRIPTION"),
        ({"tools": [{"function": {"\u017ftrict": True}}]}, "tools[0].function.\u017ftrict"),
        ({"tools": [{"custom": {"Format": {}}}]}, "tools[0].custom.Format"),
        ({"tools": [{"Type": "function"}]}, "tools[0].Type"),
        ({"functions": [FUNCTION, FUNCTION | {"Name": "g"}]}, "functions[1].Name"),
        ({"function_call": {"name": "f", "NAME": "g"}}, "function_call.NAME"),
        ({"tool_choice": {"Type": "function"}}, "tool_choice.Type"),
        ({"tool_choice": {"function": {"Name": "f"}}}, "tool_choice.function.Name"),
        ({"tool_choice": {"allowed_tools": {"Tools": []}}}, "tool_choice.allowed_tools.Tools"),
        (
            {"tool_choice": {"allowed_tools": {"tools": [1, TOOL, {"function": {"Name": "f"}}]}}},
            "tool_choice.allowed_tools.tools[2].function.Name",
        ),
        ({"response_format": SCHEMA | {"Type": "text"}}, "response_format.Type"),
        ({"response_format": {"Json_Schema": {}}}, "response_format.Json_Schema"),
        ({"response_format": {"json_schema": {"name": "s", "Schema": {}}}}, "response_format.json_schema.Schema"),
    ],
)
def test_refuses_a_lookalike_in_what_describes_tools_and_formats(fields: dict[str, Any], param: str) -> None:
    assert refusal(chat(**fields)) == ("unknown_parameter", param)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL, CUSTOM, {"type": "novel", "novel": {"Name": 1}}, {"function": "f"}, {"function": None, "custom": []}, {}]},
        {"tools": [TOOL | {"cache_control": {"Type": "x"}}]},
        {"functions": [FUNCTION], "function_call": {"name": "f"}},
        {"functions": [], "function_call": "auto"},
        {"tools": [TOOL], "tool_choice": TOOL},
        {"tools": [TOOL], "tool_choice": ALLOWED},
        {"tool_choice": "auto", "response_format": None},
        {"response_format": SCHEMA},
        {"response_format": {"type": "json_schema", "json_schema": "s"}},
        {"response_format": "text"},
        {"response_format": ["text"]},
    ],
)
def test_json_schemas_are_the_clients_own_vocabulary_and_what_is_unknown_rides_along(fields: dict[str, Any]) -> None:
    assert read_chat(make_inbound(chat(**fields))).document == chat(**fields)
