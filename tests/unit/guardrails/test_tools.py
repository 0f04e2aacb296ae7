"""Tools are known by name in every dialect, as they are offered and as they are called."""

from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.domain.guardrails import Tools
from gateway.guardrails.rules.tools import allowed, called_tools, check_called, offered_tools, tools_rule
from tests.builders import make_call

CHAT, MESSAGES, RESPONSES = Operation.CHAT, Operation.MESSAGES, Operation.RESPONSES


@pytest.mark.parametrize(
    ("operation", "document", "names"),
    [
        (CHAT, {"messages": []}, []),
        (
            CHAT,
            {"tools": [{"type": "function", "function": {"name": "find"}}, {"type": "custom", "custom": {"name": "shell"}}]},
            ["find", "shell"],
        ),
        (CHAT, {"functions": [{"name": "old"}], "web_search_options": {}}, ["old", "web_search"]),
        (RESPONSES, {"tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "free"}]}, ["find", "free"]),
        (
            RESPONSES,
            {"tools": [{"type": "web_search_preview_2025_03_11"}, {"type": "web_search_2025_08_26"}]},
            ["web_search", "web_search"],
        ),
        (RESPONSES, {"tools": [{"type": "code_interpreter"}, {"type": "computer_use_preview"}]}, ["code_interpreter", "computer"]),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "git/hub", "server_url": "https://x"}]}, ["mcp.git_hub"]),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "gh", "allowed_tools": ["read", "list"]}]}, ["mcp.gh/read", "mcp.gh/list"]),
        (RESPONSES, {"tools": [{"type": "mcp", "server_label": "gh", "allowed_tools": {"tool_names": ["read"]}}]}, ["mcp.gh/read"]),
        (RESPONSES, {"tools": [{"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "get"}]}]}, ["crm/get"]),
        (RESPONSES, {"input": [{"type": "additional_tools", "tools": [{"type": "function", "name": "late"}]}]}, ["late"]),
        (
            MESSAGES,
            {"tools": [{"name": "find", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}]},
            ["find", "web_search"],
        ),
        (MESSAGES, {"mcp_servers": [{"type": "url", "url": "https://x", "name": "gh"}]}, ["mcp.gh"]),
        (MESSAGES, {"tools": [{"type": "mcp_toolset", "mcp_server_name": "gh"}]}, ["mcp.gh"]),
    ],
)
def test_what_a_request_offers_is_named(operation: Operation, document: dict[str, Any], names: list[str]) -> None:
    assert offered_tools(make_call(document, operation=operation)) == names


@pytest.mark.parametrize(
    ("operation", "document", "names"),
    [
        (
            CHAT,
            {"choices": [{"message": {"tool_calls": [{"function": {"name": "find"}}, {"custom": {"name": "shell"}}]}}]},
            ["find", "shell"],
        ),
        (CHAT, {"choices": [{"message": {"content": "x"}}, {"message": {"function_call": {"name": "old"}}}]}, ["old"]),
        (RESPONSES, {"output": [{"type": "message"}, {"type": "function_call", "name": "find"}]}, ["find"]),
        (RESPONSES, {"output": [{"type": "function_call", "name": "get", "namespace": "crm"}]}, ["crm/get"]),
        (RESPONSES, {"output": [{"type": "mcp_call", "server_label": "gh", "name": "read"}]}, ["mcp.gh/read"]),
        (RESPONSES, {"output": [{"type": "mcp_approval_request", "server_label": "gh", "name": "drop"}]}, ["mcp.gh/drop"]),
        (RESPONSES, {"output": [{"type": "mcp_list_tools", "server_label": "gh"}, {"type": "reasoning"}]}, ["mcp.gh"]),
        (RESPONSES, {"output": [{"type": "web_search_call"}, {"type": "computer_call"}]}, ["web_search", "computer"]),
        (Operation.RESPONSE_ITEM, {"output": [{"type": "code_interpreter_call"}]}, ["code_interpreter"]),
        (MESSAGES, {"content": [{"type": "text"}, {"type": "tool_use", "name": "find"}]}, ["find"]),
        (MESSAGES, {"content": [{"type": "server_tool_use", "name": "web_search"}]}, ["web_search"]),
        (MESSAGES, {"content": [{"type": "mcp_tool_use", "name": "read", "server_name": "gh"}]}, ["mcp.gh/read"]),
        (Operation.COMPLETIONS, {"choices": [{"text": "x"}]}, []),
        (CHAT, {"choices": None}, []),
        (CHAT, "no object", []),
    ],
)
def test_what_an_answer_calls_is_named(operation: Operation, document: Any, names: list[str]) -> None:
    assert called_tools(operation, document) == names


@pytest.mark.parametrize(
    ("name", "allow", "deny", "passes"),
    [
        ("find", (), (), True),
        ("find", ("find",), (), True),
        ("find", ("get_*",), (), False),
        ("find", ("*",), ("f*",), False),
        ("mcp.gh", ("mcp.gh",), (), True),
        ("mcp.gh/read", ("mcp.gh",), (), True),
        ("mcp.gh/read", ("mcp.gh/read",), (), True),
        ("mcp.gh", ("mcp.gh/read",), (), False),
        ("mcp.evil/find", ("find",), (), False),
        ("mcp.gh/delete_all", (), ("delete_*",), False),
        ("mcp.gh/read", (), ("mcp.*",), False),
        ("crm/find", ("find",), (), True),
        ("crm/find", ("crm",), (), True),
        ("", ("*_*",), (), False),
    ],
)
def test_deny_wins_and_an_allow_list_allows_nothing_else(name: str, allow: tuple[str, ...], deny: tuple[str, ...], passes: bool) -> None:
    assert allowed(Tools(id="tools", allow=allow, deny=deny), name) is passes


def test_a_rule_finds_each_tool_once_and_names_it_only_if_a_header_could() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("find", "drop", "drop", "löschen\r\n")]
    reading = tools_rule(Tools(id="tools", allow=("find",)))(make_call({"messages": [], "tools": tools}))
    assert [(each.category, each.reason) for each in reading.findings] == [
        ("tool", "drop is not allowed"),
        ("tool", "a tool is not allowed"),
    ]


def test_what_is_called_is_judged_as_what_is_offered() -> None:
    config = Tools(id="tools", deny=("drop",))
    assert check_called(config, ["find"]).findings == ()
    assert len(check_called(config, ["find", "drop"]).findings) == 1
