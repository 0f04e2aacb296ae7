"""The texts of Anthropic's Messages: requests, and the blocks of requests and answers.

| where | whose words |
| --- | --- |
| `system`, descriptions and schemas of `tools` | system |
| text blocks | the message's role |
| `thinking`, `tool_use.input` (every string in it) | assistant |
| `tool_result` and the results of server tools, whatever they hold | tool; documents in them: document |
| `document` (as text or blocks; its title and context), `search_result` | document |

Source: Claude API reference, "Create a Message", "Citations", "Search results" (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

from gateway.domain.verdicts import Role
from gateway.guardrails.texts.chat import ROLES
from gateway.guardrails.texts.reader import Reader


def read_messages_texts(reader: Reader, document: Mapping[str, Any]) -> None:
    """Take the texts of a request."""
    reader.said(("system",), document.get("system"), Role.SYSTEM)
    for name in ("tools", "output_config", "output_format"):
        reader.described((name,), document.get(name))
    for index, message in enumerate(document["messages"]):
        reader.said(("messages", index, "content"), message["content"], ROLES[message["role"]])
