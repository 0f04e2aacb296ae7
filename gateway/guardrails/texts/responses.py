"""The texts of the Responses API: requests, and the items of requests and answers.

| where | whose words |
| --- | --- |
| `instructions`; descriptions and schemas of `tools` and `text.format` | system |
| `input` as a text, `prompt.variables` | user |
| messages | their role's; `developer` is system |
| calls of tools: arguments, queries, code, actions; reasoning | assistant |
| outputs of tools, and what a server says of its tools | tool |
| results of a file search | document |
| anything else, such as items of types new to us | user |

Source: OpenAI API reference, "Create a model response"; openai-python 3.54.0, `types/responses` (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

from gateway.domain.responses import item_type
from gateway.domain.verdicts import Role
from gateway.guardrails.texts.chat import ROLES
from gateway.guardrails.texts.reader import Reader, Steps

_ROLE_OF_ITEM: Mapping[str, Role] = {
    "reasoning": Role.ASSISTANT,
    "mcp_list_tools": Role.TOOL,
    "mcp_approval_request": Role.ASSISTANT,
}


def read_responses_texts(reader: Reader, document: Mapping[str, Any]) -> None:
    """Take the texts of a request."""
    reader.said(("instructions",), document.get("instructions"), Role.SYSTEM)
    reader.described(("tools",), document.get("tools"))
    reader.described(("text",), document.get("text"))
    variables = (document.get("prompt") or {}).get("variables")
    for name, value in variables.items() if type(variables) is dict else ():
        reader.said(("prompt", "variables", name), value, Role.USER)
    given = document.get("input")
    if type(given) is str:
        reader.text(("input",), given, Role.USER)
    elif type(given) is list:
        read_items(reader, ("input",), given, Role.USER)


def read_items(reader: Reader, path: Steps, items: Any, usual: Role) -> None:
    """Take the texts of items.

    Args:
        reader: Takes them.
        path: Of the list.
        items: The list.
        usual: Whose words those are that no type and no role gives to anybody.
    """
    for index, item in enumerate(items if type(items) is list else ()):
        if type(item) is dict:
            reader.said((*path, index), item, _role_of(item, usual))


def _role_of(item: Mapping[str, Any], usual: Role) -> Role:
    kind = item_type(item)
    if kind == "message":
        role = item.get("role")
        return ROLES.get(role, usual) if type(role) is str else usual
    return Role.ASSISTANT if kind.endswith("_call") else _ROLE_OF_ITEM.get(kind, usual)
