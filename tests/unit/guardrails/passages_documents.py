"""Requests and answers of every dialect in which every place that holds a text holds one: `@user` is a text of a user, and so on.

`fill` puts texts there; `Json` stands for a string that spells a JSON value. What is not marked is no text.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.domain.call import Call, Operation
from gateway.domain.verdicts import Role
from tests.builders import make_call

type Expected = list[tuple[Role, str]]


class Json:
    """A string that spells JSON."""

    def __init__(self, value: Any) -> None:
        self.value = value


def fill(template: Any, texts: Iterator[str], expected: Expected) -> Any:
    """Return the template with texts in its places; notes whose they are in `expected`."""
    if isinstance(template, Json):
        return msgspec.json.encode(fill(template.value, texts, expected)).decode()
    if isinstance(template, dict):
        return {name: fill(value, texts, expected) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, texts, expected) for value in template]
    if isinstance(template, str) and template.startswith("@"):
        text = next(texts)
        expected.append((Role(template[1:]), text))
        return text
    return template


def call_of(operation: Operation, texts: Iterator[str]) -> tuple[Call, Expected]:
    """Return a call of that operation, with what its passages must be."""
    expected: Expected = []
    document = fill(REQUESTS[operation], texts, expected)
    body = msgspec.json.encode(document)
    call = make_call(document, operation=operation, body=body)
    return (msgspec.structs.replace(call, document={}) if operation is Operation.FORWARD else call), expected


SCHEMA = {
    "type": "object",
    "description": "@system",
    "required": ["city"],
    "properties": {
        "city": {"type": "string", "description": "@system", "enum": ["@system", "@system"], "default": "@system"},
        "default": {"type": "string", "title": "@system"},
    },
}
ARGUMENTS = Json({"city": "@assistant", "days": [3, "@assistant", {"note": "@assistant", "type": "@assistant"}], "metric": True})
FUNCTION = {"type": "function", "function": {"name": "weather", "description": "@system", "parameters": SCHEMA}}
CALLED = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "@assistant",
    "refusal": "@assistant",
    "thinking_blocks": [{"type": "thinking", "thinking": "@assistant", "signature": "c2lnbmVk"}],
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}},
        {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "@assistant"}},
    ],
    "annotations": [{"type": "url_citation", "url_citation": {"url": "@assistant", "title": "@assistant", "start_index": 0}}],
}
TEXT = {"type": "text", "text": "@user"}

REQUESTS: dict[Operation, dict[str, Any]] = {
    Operation.CHAT: {
        "model": "gpt-4o",
        "tools": [FUNCTION, {"type": "custom", "custom": {"name": "sql", "description": "@system", "format": {"definition": "@system"}}}],
        "functions": [{"name": "old", "description": "@system", "parameters": SCHEMA}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "description": "@system", "schema": SCHEMA}},
        "messages": [
            {"role": "system", "content": "@system"},
            {"role": "developer", "content": [{"type": "text", "text": "@system"}]},
            {"role": "user", "content": "@user", "name": "@user"},
            CALLED,
            {"role": "tool", "tool_call_id": "call_1", "content": "@tool"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "@tool"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "@assistant"}, {"type": "refusal", "refusal": "@assistant"}]},
            {"role": "assistant", "function_call": {"name": "old", "arguments": ARGUMENTS}},
            {"role": "function", "name": "old", "content": "@tool"},
            {
                "role": "user",
                "content": [TEXT, {"type": "image_url", "image_url": {"url": "https://a"}}, {"type": "new", "words": "@user"}],
            },
        ],
        "prediction": {"type": "content", "content": [TEXT]},
        "temperature": 0.5,
        "user": "@system",
    },
    Operation.RESPONSES: {
        "model": "gpt-5",
        "instructions": "@system",
        "tools": [
            {"type": "function", "name": "weather", "description": "@system", "parameters": SCHEMA},
            {"type": "mcp", "server_label": "a", "server_description": "@system", "headers": {"authorization": "secret"}},
        ],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
        "prompt": {"id": "pmpt_1", "variables": {"city": "@user", "who": {"type": "input_text", "text": "@user"}}},
        "input": [
            {"role": "developer", "content": "@system"},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "@user"}, {"type": "input_file", "file_id": "f"}],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "@assistant"}], "encrypted_content": "enc"},
            {
                "type": "reasoning",
                "content": [{"type": "reasoning_text", "text": "@assistant"}],
                "encrypted_content": Json({"thinking_blocks": [{"type": "thinking", "thinking": "@assistant", "signature": "c2ln"}]}),
            },
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": ARGUMENTS},
            {"type": "function_call_output", "call_id": "c1", "output": "@tool"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "@tool"}]},
            {"type": "custom_tool_call", "call_id": "c3", "name": "sql", "input": "@assistant"},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "@tool"},
            {"type": "mcp_call", "name": "x", "server_label": "a", "arguments": ARGUMENTS, "output": "@tool", "error": "@tool"},
            {"type": "mcp_list_tools", "tools": [{"name": "x", "description": "@tool"}]},
            {"type": "mcp_approval_request", "name": "x", "arguments": ARGUMENTS},
            {"type": "mcp_approval_response", "approve": False, "reason": "@user"},
            {
                "type": "file_search_call",
                "queries": ["@assistant"],
                "results": [{"file_id": "f", "filename": "@document", "text": "@document"}],
            },
            {"type": "web_search_call", "action": {"type": "search", "query": "@assistant"}},
            {"type": "code_interpreter_call", "code": "@assistant", "outputs": [{"type": "logs", "logs": "@tool"}]},
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["@assistant"], "env": {"A": "@assistant"}}},
            {"type": "local_shell_call_output", "output": "@tool"},
            {"type": "computer_call", "action": {"type": "type", "text": "@assistant"}},
            {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "https://a"}},
            {"type": "image_generation_call", "revised_prompt": "@assistant"},
            {"type": "item_reference", "id": "msg_1"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "@assistant"}, {"type": "refusal", "refusal": "@assistant"}]},
            {"type": "of_next_year", "words": "@user"},
        ],
        "metadata": {"a": "@system"},
    },
    Operation.MESSAGES: {
        "model": "claude",
        "max_tokens": 10,
        "system": [{"type": "text", "text": "@system", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
        "tools": [{"name": "weather", "description": "@system", "input_schema": SCHEMA, "input_examples": [{"city": "@system"}]}],
        "messages": [
            {"role": "user", "content": "@user"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "@assistant", "signature": "c2lnbmVk"},
                    {"type": "redacted_thinking", "data": "c2VhbGVk"},
                    {"type": "text", "text": "@assistant", "citations": [{"type": "char_location", "cited_text": "@assistant"}]},
                    {
                        "type": "tool_use",
                        "id": "t1",
                        "name": "weather",
                        "input": {"city": "@assistant", "type": "@assistant", "n": [1, "@assistant"]},
                    },
                    {"type": "server_tool_use", "id": "t2", "name": "web_search", "input": {"query": "@assistant"}},
                    {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "title": "@tool", "url": "@tool"}]},
                    {"type": "mcp_tool_result", "content": [{"type": "text", "text": "@tool"}]},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "@tool"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t3",
                        "content": [
                            {"type": "text", "text": "@tool"},
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                            {
                                "type": "search_result",
                                "source": "@document",
                                "title": "@document",
                                "content": [{"type": "text", "text": "@document"}],
                            },
                        ],
                    },
                    {
                        "type": "document",
                        "title": "@document",
                        "context": "@document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "@document"},
                    },
                    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "@document"}]}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
                    TEXT,
                ],
            },
            {"role": "system", "content": "@system"},
        ],
        "metadata": {"user_id": "@system"},
    },
    Operation.COMPLETIONS: {"model": "m", "prompt": ["@user", "@user"], "suffix": "@user"},
    Operation.EMBEDDINGS: {"model": "m", "input": ["@user", "@user"]},
    Operation.IMAGES: {"model": "m", "prompt": "@user", "size": "1024x1024"},
    Operation.SPEECH: {"model": "m", "instructions": "@system", "input": "@user", "voice": "alloy"},
    Operation.MODERATIONS: {
        "model": "m",
        "input": ["@user", {"type": "text", "text": "@user"}, {"type": "image_url", "image_url": {"url": "a"}}],
    },
    Operation.FORWARD: {"kind": "@user", "documents": [{"id": "@user", "text": "@user", "n": 1}], "parameters": {"loggingOptOut": True}},
}

ANSWERS: dict[Operation, dict[str, Any]] = {
    Operation.CHAT: {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [
            {"index": 0, "message": CALLED, "finish_reason": "tool_calls"},
            {"index": 1, "message": {"role": "assistant", "content": "@assistant", "function_call": {"arguments": ARGUMENTS}}},
            {"index": 2, "message": {"role": "assistant", "audio": {"id": "audio_1", "data": "UklG", "transcript": "@assistant"}}},
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    },
    Operation.RESPONSES: {"id": "resp_1", "instructions": "echoed", "output": REQUESTS[Operation.RESPONSES]["input"][2:6]},
    Operation.MESSAGES: {"id": "msg_1", "content": REQUESTS[Operation.MESSAGES]["messages"][1]["content"], "stop_reason": "end_turn"},
    Operation.COMPLETIONS: {"choices": [{"text": "@assistant", "index": 0}, {"text": "@assistant", "index": 1}]},
    Operation.IMAGES: {"created": 1, "data": [{"b64_json": "iVBO", "revised_prompt": "@assistant"}]},
    Operation.FORWARD: {"value": [{"kind": "@assistant", "text": "@assistant"}]},
}
