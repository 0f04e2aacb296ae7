"""The texts of a chat, in OpenAI's notation: requests, and the messages of answers.

| where | whose words |
| --- | --- |
| descriptions and schemas of `tools`, `functions`, `response_format` | system |
| `messages[].content`, text or parts, `refusal`, `name` of people, reasoning | the message's role; `developer` is system |
| `tool_calls[].function.arguments`, `custom.input`, `function_call.arguments` | assistant; of JSON every string in it |
| content of `tool` and `function` messages | tool |
| between `<documents>` and `</documents>` in a user's text | document |
| `prediction.content` | user |

Source: OpenAI API reference, "Create chat completion"; Azure OpenAI, "Document embedding in prompts" (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

from gateway.domain.verdicts import Role
from gateway.guardrails.texts.reader import Reader, Steps

ROLES: Mapping[str, Role] = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
_TOOLS = ("tools", "functions", "response_format")
_ELSEWHERE = frozenset({"role", "name", "tool_call_id"})
_PLAIN = {"role", "content"}


def read_chat_texts(reader: Reader, document: Mapping[str, Any]) -> None:
    """Take the texts of a request."""
    for name in _TOOLS:
        if name in document:
            reader.described((name,), document[name])
    for index, message in enumerate(document["messages"]):
        role = ROLES[message["role"]]
        if type(message.get("content")) is str and message.keys() == _PLAIN:
            reader.text(("messages", index, "content"), message["content"], role)
        else:
            read_message(reader, ("messages", index), message, role)
    prediction = document.get("prediction")
    if type(prediction) is dict:
        reader.said(("prediction", "content"), prediction.get("content"), Role.USER)


def read_message(reader: Reader, path: Steps, message: Mapping[str, Any], role: Role) -> None:
    """Take the texts of one message, of a request or of an answer."""
    content = message.get("content")
    if type(content) is str and not any(value for name, value in message.items() if name not in _PLAIN):  # nearly every answer
        reader.text((*path, "content"), content, role)
        return
    name = message.get("name")
    if type(name) is str and role is not Role.TOOL:  # there it is the tool's
        reader.text((*path, "name"), name, role)
    reader.said(path, {name: value for name, value in message.items() if name not in _ELSEWHERE}, role)
