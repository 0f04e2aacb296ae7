"""Which tools a request offers and an answer calls, by name, in every dialect; and which of them are allowed.

| tool | its name |
| --- | --- |
| a function, a custom tool, Anthropic's tools | its own |
| built into Responses | its type without version: `web_search`, `code_interpreter`, `computer`, `file_search` |
| web search of chats | `web_search` |
| an MCP server | `mcp.{label}`; one tool of it `mcp.{label}/{tool}` |
| a function in a namespace | `{namespace}/{function}` |

Globs over names. Of a name with a slash each part counts as well: `deny` refuses by any of them, `allow` by the whole or its
first part, and for functions in a namespace by the last, too. A server that is offered without a list of its tools is not covered
by globs over its tools.

Source: OpenAI API reference, chat and responses `tools`, response output items; openai-python 3.54.0; Claude API reference, `tools`
and `mcp_servers` (read 2026-11-22).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.domain.call import Call, Operation
from gateway.domain.catalog import matches
from gateway.domain.guardrails import Tools
from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading
from gateway.guardrails.kinds import Rule

_MCP = "mcp."
_VERSION = re.compile(r"(?:_use)?(?:_preview)?(?:_\d{4}_?\d{2}_?\d{2})?\Z")
_SAYABLE = re.compile(r"[A-Za-z0-9_./:-]{1,80}\Z")
# Items of a response's input that bring tools.
_BRINGING = frozenset({"additional_tools", "tool_search_output"})


def tools_rule(config: Tools) -> Rule:
    """Return a rule that finds every tool that a request offers and may not."""

    def rule(call: Call) -> Reading:
        return check_called(config, offered_tools(call))

    return rule


def check_called(config: Tools, names: Iterable[str]) -> Reading:
    """Return the tools that are not allowed; a name that could not stand in a header is not repeated."""
    denied = [name for name in dict.fromkeys(names) if not allowed(config, name)]
    findings = [Finding(0, 0, "tool", reason=f"{name if _SAYABLE.match(name) else 'a tool'} is not allowed") for name in denied]
    return Reading(tuple(findings)) if findings else NOTHING_FOUND


def allowed(config: Tools, name: str) -> bool:
    """Tell whether a tool may be offered and called."""
    group, slash, own = name.partition("/")
    parts = {name, group, own} if slash else {name}
    if any(matches(config.deny, part) for part in parts):
        return False
    if name.startswith(_MCP):
        parts.discard(own)  # any server could call its tools so
    return not config.allow or any(matches(config.allow, part) for part in parts)


def offered_tools(call: Call) -> list[str]:
    """Return the names of the tools that a request offers."""
    document = call.document
    found = [*_named(document.get("tools")), *_named(document.get("functions")), *_named(document.get("mcp_servers"), server=True)]
    if call.operation is Operation.CHAT and document.get("web_search_options") is not None:
        found.append("web_search")
    for item in _objects(document.get("input")):
        if item.get("type") in _BRINGING:
            found += _named(item.get("tools"))
    return found


def called_tools(operation: Operation, document: Any) -> list[str]:
    """Return the names of the tools that a whole answer calls.

    Args:
        operation: What was asked for.
        document: The answer's JSON, parsed.
    """
    if not isinstance(document, Mapping):
        return []
    if operation is Operation.CHAT:
        return list(_called_in_chat(document))
    if operation is Operation.RESPONSES or operation is Operation.RESPONSE_ITEM:
        return [name for item in _objects(document.get("output")) if (name := _item_name(item))]
    if operation is Operation.MESSAGES:
        blocks = [block for block in _objects(document.get("content")) if str(block.get("type")).endswith("tool_use")]
        return [_block_name(block) for block in blocks]
    return []


def _called_in_chat(document: Mapping[str, Any]) -> Iterator[str]:
    for choice in _objects(document.get("choices")):
        message = choice.get("message")
        if not isinstance(message, Mapping):
            continue
        for call in _objects(message.get("tool_calls")):
            yield from (_text(call[kind], "name") for kind in ("function", "custom") if isinstance(call.get(kind), Mapping))
        if isinstance(message.get("function_call"), Mapping):
            yield _text(message["function_call"], "name")


def _block_name(block: Mapping[str, Any]) -> str:
    name = _text(block, "name")
    return _server_tool(block["server_name"], name) if "server_name" in block else name


def _item_name(item: Mapping[str, Any]) -> str:
    """Return the tool that an item of a response's output calls; empty where it calls none."""
    kind = _text(item, "type")
    if kind in {"mcp_call", "mcp_approval_request"}:
        return _server_tool(item.get("server_label"), _text(item, "name"))
    if kind == "mcp_list_tools":
        return _server_tool(item.get("server_label"), "")
    if kind in {"function_call", "custom_tool_call"}:
        return "/".join(part for part in (_text(item, "namespace"), _text(item, "name")) if part)
    return kind.removesuffix("_call") if kind.endswith("_call") else ""


def _named(tools: Any, *, server: bool = False) -> list[str]:
    """Return the names of tools as they are offered; `server`: they are MCP servers."""
    found: list[str] = []
    for tool in _objects(tools):
        kind = _text(tool, "type")
        inner = tool.get(kind)
        if server:
            found.append(_server_tool(tool.get("name"), ""))
        elif kind in {"mcp", "mcp_toolset"}:
            label = tool.get("server_label") or tool.get("mcp_server_name")
            found += [_server_tool(label, name) for name in _listed(tool.get("allowed_tools"))] or [_server_tool(label, "")]
        elif kind == "namespace":
            found += [f"{_text(tool, 'name').replace('/', '_')}/{name}" for name in _named(tool.get("tools"))]
        elif isinstance(inner, Mapping):
            found.append(_text(inner, "name"))
        else:
            found.append(_text(tool, "name") or _VERSION.sub("", kind))
    return found


def _listed(allowed_tools: Any) -> list[str]:
    if isinstance(allowed_tools, Mapping):
        allowed_tools = allowed_tools.get("tool_names")
    return [name for name in allowed_tools if isinstance(name, str)] if isinstance(allowed_tools, list) else []


def _server_tool(label: Any, name: str) -> str:
    server = f"{_MCP}{str(label or '').replace('/', '_')}"
    return f"{server}/{name}" if name else server


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, Mapping))


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""
