"""Reads what a backend with OpenAI's Responses API answers as a whole: only the fields the gateway acts on.

Rules: the client gets the upstream's bytes. A response that failed for the backend's own reasons is an UpstreamError, so that
another deployment is asked; one that failed for the client's (an image that cannot be read) is an answer. A stored response
was paid for when it was made, so asking for it again uses nothing, and that it failed then is no failure now; only what was made
in the background has its output counted when it is fetched, because nobody knew it before. Its 404 is the client's, said in our
words, because the upstream's name an id and perhaps a place that the client does not know.

| status | incomplete_details.reason | finish reason |
| --- | --- | --- |
| completed | | `stop`, or `tool_calls` where the output has a function call |
| incomplete | `max_output_tokens`, `content_filter` | `length`, `content_filter` |
| failed, cancelled | | the status |
| queued, in_progress | | none |

Source: OpenAI API reference, "The response object" (read 2026-11-22).
"""

from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, Operation, Usage
from gateway.domain.responses import no_response
from gateway.errors import UpstreamError
from gateway.providers.failures import UNREADABLE, from_stream, malformed

OPERATIONS = frozenset({Operation.RESPONSES, Operation.RESPONSE_ITEM})

# `error.code` of a failed response that is not the client's fault.
_OURS = frozenset({None, "server_error", "rate_limit_exceeded", "vector_store_timeout"})
_CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
_UNFINISHED = frozenset({"queued", "in_progress"})
_CALLS = frozenset({"function_call", "custom_tool_call"})


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    """`usage` of a response."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Error(msgspec.Struct, gc=False):
    code: str | None = None
    message: str | None = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    content: Any = None
    arguments: Any = None


class WireResponse(msgspec.Struct, gc=False):
    """A response object, whole or as a stream's last event has it."""

    output: list[_Item]
    status: str | None = None
    usage: WireUsage | None = None
    error: _Error | None = None
    incomplete_details: _Incomplete | None = None
    background: Any = None


class _Stored(msgspec.Struct, gc=False):
    object: str | None = None
    error: Any = None
    background: Any = None
    usage: WireUsage | None = None


_RESPONSE = msgspec.json.Decoder(WireResponse)
_STORED = msgspec.json.Decoder(_Stored)


def decode(call: Call, body: bytes) -> Completion:
    """Read usage and finish reason; the text only where a finished answer came without usage.

    Raises:
        UpstreamError: The body cannot be read, or says that the backend failed.
    """
    try:
        if call.operation is Operation.RESPONSE_ITEM:
            return _stored(body)
        answer = _RESPONSE.decode(body)
        if (failure := failure_of(answer)) is not None:
            raise failure
        usage = usage_of(answer.usage) if answer.usage else None
        text = "" if usage or answer.status in _UNFINISHED else "".join(map(_text_of, answer.output))
        return Completion(body, usage, text, finish_reason_of(answer))
    except UNREADABLE as exc:
        raise malformed("an answer") from exc


def usage_of(wire: WireUsage) -> Usage:
    """Translate `usage`; a number that is absent, null or negative is 0."""
    prompt, completion = wire.input_tokens_details, wire.output_tokens_details
    return Usage(
        _count(wire.input_tokens),
        _count(wire.output_tokens),
        _count(prompt.cached_tokens) if prompt else 0,
        _count(completion.reasoning_tokens) if completion else 0,
        cache_write_tokens=_count(prompt.cache_write_tokens) if prompt else 0,
    )


def finish_reason_of(answer: WireResponse) -> str | None:
    """Say how it ended, in chat's words."""
    if answer.status == "completed":
        return "tool_calls" if any(item.type in _CALLS for item in answer.output) else "stop"
    if answer.status == "incomplete":
        reason = answer.incomplete_details.reason if answer.incomplete_details else None
        return _CUT.get(reason or "", "length")
    return None if answer.status in _UNFINISHED else answer.status


def failure_of(answer: WireResponse) -> UpstreamError | None:
    """Return the error where the backend failed, and another one may not."""
    if answer.status != "failed":
        return None
    error = answer.error or _Error()
    return from_stream(msgspec.json.encode({"error": error})) if error.code in _OURS else None


def _stored(body: bytes) -> Completion:
    answer = _STORED.decode(body)
    if answer.object is None and answer.error is not None:
        gone = no_response("response_id")
        shown = {"message": gone.message, "type": gone.type, "param": gone.param, "code": gone.code}
        return Completion(msgspec.json.encode({"error": shown}), Usage())
    return Completion(body, made_in_background(answer))


def made_in_background(answer: WireResponse | _Stored) -> Usage:
    """Return what a stored response's making used that was not counted when it began: its output, where nobody waited for it."""
    if answer.background is not True or answer.usage is None:
        return Usage()
    return msgspec.structs.replace(usage_of(answer.usage), prompt_tokens=0, cached_tokens=0)


def _count(number: int | None) -> int:
    return number if number and number > 0 else 0


def _text_of(item: _Item) -> str:
    """Join an item's texts that cost tokens."""
    parts = item.content if isinstance(item.content, list) else []
    texts = [part.get("text") or part.get("refusal") for part in parts if isinstance(part, dict)]
    return "".join(text for text in [*texts, item.arguments] if isinstance(text, str))
