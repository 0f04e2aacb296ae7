"""Reads a complete answer of OpenAI's chat, completions and embeddings operations: only the fields the gateway acts on.

The client gets the upstream's bytes; nothing is serialised here but content that is no text (`openai_content.py`). Several
providers speak this wire format.
"""

from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, Operation, Usage
from gateway.providers import responses_answer
from gateway.providers.failures import UNREADABLE, malformed
from gateway.providers.openai_content import in_parts, joined, thoughts_of


class PromptDetails(msgspec.Struct, gc=False):
    """Part of `usage`."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """Part of `usage`."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    """`usage`, as both a complete answer and a stream's last chunk carry it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class WireFunction(msgspec.Struct, gc=False):
    """A function call, whole or a part of it."""

    arguments: str | None = None


class WireToolCall(msgspec.Struct, gc=False):
    """An entry of `tool_calls`."""

    function: WireFunction | None = None


class WireMessage(msgspec.Struct, gc=False):
    """A `message`, or the `delta` of a stream: every place that can hold output."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None  # the same, as some hosts call it
    tool_calls: list[WireToolCall] | None = None
    function_call: WireFunction | None = None
    audio: Any = None


class _End(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class _Chat(msgspec.Struct, gc=False):
    choices: list[_End]
    usage: WireUsage | None = None


class _Choice(msgspec.Struct, gc=False):
    message: WireMessage | None = None
    text: str | None = None  # of completions


class _ChatText(msgspec.Struct, gc=False):
    choices: list[_Choice]


class _Vector(msgspec.Struct, gc=False):
    """An entry of `data`, of which nothing is read: floats or base64, the client's business."""


class _Embeddings(msgspec.Struct, gc=False):
    data: list[_Vector]
    usage: WireUsage | None = None


_CHAT = msgspec.json.Decoder(_Chat)
_CHAT_TEXT = msgspec.json.Decoder(_ChatText)
_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)


def decode(call: Call, body: bytes) -> Completion:
    """Read usage and finish reason; the text only where usage is missing and somebody must count, else it stays empty.

    Raises:
        UpstreamError: `upstream_malformed`, where the body is not JSON or not this operation's shape.
    """
    try:
        if call.operation is Operation.EMBEDDINGS:
            return _embeddings(body)
        if call.operation in responses_answer.OPERATIONS:
            return responses_answer.decode(call, body)
        if in_parts(body):
            body = joined(body)
        answer = _CHAT.decode(body)
        reason = next((choice.finish_reason for choice in answer.choices if choice.finish_reason), None)
        if answer.usage is not None:
            return Completion(body, usage_of(answer.usage), "", reason)
        texts = [text_of(choice.message) if choice.message else choice.text or "" for choice in _CHAT_TEXT.decode(body).choices]
        return Completion(body, None, "".join(texts), reason)
    except UNREADABLE as exc:
        raise malformed("an answer") from exc


def _embeddings(body: bytes) -> Completion:
    answer = _EMBEDDINGS.decode(body)
    return Completion(body, usage_of(answer.usage) if answer.usage else None)


def usage_of(wire: WireUsage) -> Usage:
    """Translate `usage`; a number that is absent, null or negative is 0."""
    prompt, completion = wire.prompt_tokens_details, wire.completion_tokens_details
    return Usage(
        _count(wire.prompt_tokens),
        _count(wire.completion_tokens),
        _count(prompt.cached_tokens) if prompt else 0,
        _count(completion.reasoning_tokens) if completion else 0,
        audio_input_tokens=_count(prompt.audio_tokens) if prompt else 0,
        audio_output_tokens=_count(completion.audio_tokens) if completion else 0,
        cache_write_tokens=_count(prompt.cache_write_tokens) if prompt else 0,
    )


def _count(number: int | None) -> int:
    return number if number and number > 0 else 0


def text_of(message: WireMessage) -> str:
    """Join all output of a message or delta that costs tokens: content, refusal, reasoning, arguments of calls."""
    parts = [message.content, message.refusal, thoughts_of(message.reasoning_content, message.reasoning)]
    if message.tool_calls:
        parts += [call.function.arguments for call in message.tool_calls if call.function]
    if message.function_call:
        parts.append(message.function_call.arguments)
    return "".join(part for part in parts if part)
