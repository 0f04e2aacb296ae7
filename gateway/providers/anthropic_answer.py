"""Reads a complete Anthropic message: passed on as it is, or said as a chat completion.

    {"id", "type": "message", "role": "assistant", "model", "content": [{"type": "text", "text"} | {"type": "tool_use", "id",
     "name", "input"} | {"type": "thinking", "thinking", "signature"} | …], "stop_reason", "stop_sequence", "usage"}

| Messages | chat |
| --- | --- |
| text blocks, joined | `content` |
| `tool_use` | `tool_calls`; the arguments are the upstream's own bytes |
| `thinking` | `reasoning_content`, and the signed blocks in `thinking_blocks` for the client to send back |
| `end_turn` `stop_sequence` `pause_turn` · `max_tokens` `model_context_window_exceeded` · `tool_use` · `refusal` | `stop` · `length` · `tool_calls` · `content_filter` |
| `input_tokens` + `cache_read_input_tokens` + `cache_creation_input_tokens` | `prompt_tokens`; the second is `cached_tokens` |
| `output_tokens`, of them `thinking_tokens` | `completion_tokens`, `reasoning_tokens` |

Source: Claude API reference, "Create a Message"; anthropic-sdk-python, `types/{usage,stop_reason,output_tokens_details}.py`
(read 2026-11-22).
"""  # noqa: E501 - a table's row is one line

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, Usage
from gateway.providers import chat_answer
from gateway.providers.failures import UNREADABLE, malformed

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class WireDetails(msgspec.Struct, gc=False):
    """Part of `usage`."""

    thinking_tokens: int | None = None


class WireWritten(msgspec.Struct, gc=False):
    """Part of `usage`: what went into the cache, by how long it stays there."""

    ephemeral_1h_input_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    """`usage`, as an answer, a stream's first and its last but one event carry it; numbers are cumulative."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: WireWritten | None = None
    output_tokens_details: WireDetails | None = None


class WireBlock(msgspec.Struct, gc=False):
    """A content block of any type."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class WireMessage(msgspec.Struct, gc=False):
    """A message, whole or as it stands in `message_start`."""

    content: list[WireBlock]
    id: str = ""
    stop_reason: str | None = None
    usage: WireUsage | None = None


_decode = msgspec.json.Decoder(WireMessage).decode


def native(body: bytes) -> Completion:
    """Read usage and the reason of the end; the client gets the upstream's bytes.

    Raises:
        UpstreamError: `upstream_malformed`.
    """
    message = _read(body)
    usage = usage_of(message.usage) if message.usage else None
    try:
        text = "" if usage else "".join(text_of(block) for block in message.content)
    except UNREADABLE as exc:
        raise malformed("an answer") from exc
    return Completion(body, usage, text, finish_reason_of(message.stop_reason))


def as_chat(call: Call, body: bytes) -> Completion:
    """Return the message as a chat completion.

    Raises:
        UpstreamError: `upstream_malformed`.
    """
    message = _read(body)
    try:
        choice = _choice(message)
    except UNREADABLE as exc:  # a tool's input is not looked into before
        raise malformed("an answer") from exc
    return chat_answer.completion(call, message.id, [choice], usage_of(message.usage) if message.usage else None)


def _choice(message: WireMessage) -> dict[str, Any]:
    texts = [block.text for block in message.content if block.type == "text" and block.text]
    calls = [chat_answer.tool_call(block.id, block.name, text_of(block)) for block in message.content if block.type == "tool_use"]
    thinking = [made for block in message.content if (made := thinking_block(block))]
    more: dict[str, Any] = {"thinking_blocks": thinking} if thinking else {}
    return chat_answer.choice(
        0,
        finish_reason=finish_reason_of(message.stop_reason, called=bool(calls)) or "stop",
        content="".join(texts) if texts or not calls else None,
        reasoning="".join(block.thinking or "" for block in message.content if block.type == "thinking"),
        tool_calls=calls,
        **more,
    )


def finish_reason_of(stop_reason: str | None, *, called: bool = False) -> str | None:
    """Translate a stop reason; one that is new to us is an ordinary end, and that of a chat which `called` a tool is the call."""
    reason = FINISH_REASONS.get(stop_reason, "stop") if stop_reason else None
    return "tool_calls" if called and reason == "stop" else reason


def usage_of(end: WireUsage, start: WireUsage | None = None) -> Usage:
    """Translate `usage`; what the end does not say, a stream's start has said. A number that is absent or negative is 0."""

    def count(name: str) -> int:
        number = getattr(end, name)
        if number is None and start is not None:
            number = getattr(start, name)
        return max(number or 0, 0)

    cached, written = count("cache_read_input_tokens"), count("cache_creation_input_tokens")
    parts = end.cache_creation or (start.cache_creation if start is not None else None)
    details = end.output_tokens_details
    return Usage(
        prompt_tokens=count("input_tokens") + cached + written,
        completion_tokens=count("output_tokens"),
        cached_tokens=cached,
        reasoning_tokens=max(details.thinking_tokens or 0, 0) if details else 0,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(max(parts.ephemeral_1h_input_tokens or 0, 0), written) if parts else 0,
    )


def thinking_block(block: WireBlock) -> dict[str, Any] | None:
    """Return a block as Anthropic wants it back, if it is one of thinking, and signed: any other one would be refused."""
    if block.type == "redacted_thinking":
        return {"type": block.type, "data": block.data or ""}
    if block.type != "thinking" or not block.signature:
        return None
    return {"type": block.type, "thinking": block.thinking or "", "signature": block.signature}


def text_of(block: WireBlock) -> str:
    """Return what of a block costs output tokens, as text; of a tool's use the arguments, as they were spelled."""
    if block.type == "tool_use":
        return bytes(block.input).decode()
    return (block.text if block.type == "text" else block.thinking) or ""


def _read(body: bytes) -> WireMessage:
    try:
        return _decode(body)
    except UNREADABLE as exc:
        raise malformed("an answer") from exc
