"""Reads a whole Converse answer, and says it as a chat completion.

| Converse | chat |
| --- | --- |
| `text` blocks, the text of `citationsContent` | `content` |
| `toolUse` | `tool_calls`, the input as it was spelled |
| `reasoningContent` | `reasoning_content`; what is signed or redacted also in `thinking_blocks`, for the client to send back |
| `inputTokens` + `cacheReadInputTokens` + `cacheWriteInputTokens` | `prompt_tokens` |
| `x-amzn-requestid` | `id` |

Blocks that a chat has no place for (an image that a model made) are left out. `malformed_…` as the reason of the end is the
model's failure, not an answer: another attempt may do better.

Source: AWS Bedrock API reference, Converse: StopReason, TokenUsage, ContentBlock (read 2026-11-22).
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, Usage
from gateway.providers import chat_answer
from gateway.providers.failures import UNREADABLE, malformed

_FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class WireCache(msgspec.Struct, gc=False, rename="camel"):
    """Part of `usage`: what went into the cache to stay there for `ttl`."""

    input_tokens: int | None = None
    ttl: str | None = None


class WireUsage(msgspec.Struct, gc=False, rename="camel"):
    """`usage`, of an answer and of a stream's `metadata`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[WireCache] | None = None


class ReasoningText(msgspec.Struct, gc=False, rename="camel"):
    """Reasoning that may be read; signed by some models."""

    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, gc=False, rename="camel"):
    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class _ToolUse(msgspec.Struct, gc=False, rename="camel"):
    tool_use_id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Cited(msgspec.Struct, gc=False):
    text: str = ""


class _Citations(msgspec.Struct, gc=False):
    content: list[_Cited] | None = None


class _Block(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]


class _Output(msgspec.Struct, gc=False):
    message: _Message


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    output: _Output
    stop_reason: str
    usage: WireUsage | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def decode(call: Call, body: bytes, headers: Mapping[str, str]) -> Completion:
    """Return the answer as a chat completion.

    Raises:
        UpstreamError: `upstream_malformed`.
    """
    try:
        answer = _decode(body)
    except UNREADABLE as exc:
        raise malformed("an answer") from exc
    texts: list[str] = []
    thoughts: list[str] = []
    signed: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in answer.output.message.content:
        if block.text is not None:
            texts.append(block.text)
        elif block.tool_use is not None:
            use = block.tool_use
            spelled = bytes(use.input).decode()
            calls.append(chat_answer.tool_call(use.tool_use_id, use.name, "{}" if spelled == "null" else spelled))
        elif block.reasoning_content is not None:
            thought = block.reasoning_content.reasoning_text or ReasoningText()
            thoughts.append(thought.text)
            signed += thinking_blocks(thought.text, thought.signature, block.reasoning_content.redacted_content)
        elif block.citations_content is not None:
            texts += [cited.text for cited in block.citations_content.content or ()]
    more: dict[str, Any] = {"thinking_blocks": signed} if signed else {}
    choice = chat_answer.choice(
        0,
        finish_reason=finish_reason_of(answer.stop_reason, calls=bool(calls)),
        content="".join(texts) if any(texts) or not calls else None,
        reasoning="".join(thoughts),
        tool_calls=calls,
        **more,
    )
    return chat_answer.completion(call, answer_id(headers), [choice], usage_of(answer.usage) if answer.usage else None)


def answer_id(headers: Mapping[str, str]) -> str:
    """Return the answer's id, by which AWS's support finds the call."""
    given = headers.get("x-amzn-requestid", "")
    return f"chatcmpl-{given if _ID.fullmatch(given) else 0}"


def thinking_blocks(text: str, signature: str | None, redacted: str | None) -> list[dict[str, Any]]:
    """Return what of a block of reasoning must come back unchanged, in the form in which other gateways have it."""
    blocks: list[dict[str, Any]] = []
    if signature:
        blocks.append({"type": "thinking", "thinking": text, "signature": signature})
    if redacted:
        blocks.append({"type": "redacted_thinking", "data": redacted})
    return blocks


def finish_reason_of(stop_reason: str, *, calls: bool) -> str:
    """Translate a stop reason; one that is new to us is an ordinary end.

    Args:
        stop_reason: Converse's word.
        calls: Tools are called: some models end their turn and have called tools all the same.

    Raises:
        UpstreamError: The model's output was unusable.
    """
    if stop_reason in _MALFORMED:
        raise malformed("output of the model")
    reason = _FINISH_REASONS.get(stop_reason, "stop")
    return "tool_calls" if calls and reason == "stop" else reason


def usage_of(wire: WireUsage) -> Usage:
    """Translate `usage`; a number that is absent, null or negative is 0."""
    read, written = _count(wire.cache_read_input_tokens), _count(wire.cache_write_input_tokens)
    for_an_hour = sum(_count(part.input_tokens) for part in wire.cache_details or () if part.ttl == "1h")
    return Usage(
        _count(wire.input_tokens) + read + written,
        _count(wire.output_tokens),
        read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(for_an_hour, written),
    )


def _count(number: int | None) -> int:
    return max(number or 0, 0)
