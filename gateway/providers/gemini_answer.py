"""Reads Gemini's answers, whole ones and the pieces of a stream, which have the same shape.

    {"candidates": [{"index", "content": {"parts": [{"text" | "functionCall" | "inlineData", "thought"?, "thoughtSignature"?}]},
      "finishReason"}], "promptFeedback": {"blockReason"}, "usageMetadata", "responseId", "createTime" (Vertex AI)}

Rules: a candidate is a choice; thoughts become `reasoning_content`; a call keeps Gemini's id, or is named by its place
(`call_{candidate}_{n}`); signatures go into `extra_content.google.thought_signature`, where Google's own compatibility layer
puts them, for the client to send back; pictures become `images`, as image-making chat models elsewhere answer.
`candidatesTokenCount` is without thoughts, OpenAI's `completion_tokens` with them; what tools put into the prompt is prompt.
A prompt that the filter refuses has no candidates. A call that the model garbled is the backend's failure: another try may
do better, and no finish reason of OpenAI's says it.

Source: ai.google.dev, "Generating content"; github.com/googleapis/python-genai, types.py (read 2026-11-22).
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from gateway.domain.call import Call, Completion, Usage
from gateway.errors import ContentFiltered
from gateway.providers.chat_answer import CREATED, choice, completion, made_id, tool_call
from gateway.providers.embeddings_answer import embeddings
from gateway.providers.failures import UNREADABLE, malformed

_FILTERED = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
_FINISH = {"MAX_TOKENS": "length", **dict.fromkeys(_FILTERED, "content_filter")}
_GARBLED = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"}
)


class FunctionCall(msgspec.Struct, rename="camel", gc=False):
    """A call the model makes."""

    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class Blob(msgspec.Struct, rename="camel", gc=False):
    """Bytes the model made, in base64."""

    mime_type: str
    data: str


class Part(msgspec.Struct, rename="camel", gc=False):
    """A piece of content; `thought` says what its text is."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None


class Content(msgspec.Struct, gc=False):
    """What a candidate says."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, rename="camel", gc=False):
    """One choice, or a piece of it."""

    index: Annotated[int, msgspec.Meta(ge=0)] | None = None
    content: Content | None = None
    finish_reason: str | None = None


class Feedback(msgspec.Struct, rename="camel", gc=False):
    """What the filter thinks of the prompt."""

    block_reason: str | None = None


class Modality(msgspec.Struct, rename="camel", gc=False):
    """Part of the usage: how many of the tokens are text, pictures, sound …."""

    modality: str | None = None
    token_count: int | None = None


class UsageMetadata(msgspec.Struct, rename="camel", gc=False):
    """Tokens; in a stream, those so far."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    cached_content_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[Modality] | None = None
    candidates_tokens_details: list[Modality] | None = None


class Answer(msgspec.Struct, rename="camel", gc=False):
    """A whole answer, or an event of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: UsageMetadata | None = None
    response_id: str | None = None
    create_time: str | None = None
    error: Any = None


class _Vector(msgspec.Struct, gc=False):
    values: list[float]


class _Vectors(msgspec.Struct, rename="camel", gc=False):
    embeddings: list[_Vector]
    usage_metadata: UsageMetadata | None = None


read_answer = msgspec.json.Decoder(Answer).decode
_read_vectors = msgspec.json.Decoder(_Vectors).decode


def decode_chat(call: Call, body: bytes) -> Completion:
    """Turn a whole answer into OpenAI's.

    Raises:
        ContentFiltered: The prompt was refused.
        UpstreamError: The body is no answer, or one that the model garbled.
    """
    try:
        answer = read_answer(body)
    except UNREADABLE as exc:
        raise malformed("an answer") from exc
    refuse_blocked(answer)
    if not answer.candidates:
        raise malformed("an answer")
    choices = [_choice(candidate, position) for position, candidate in enumerate(answer.candidates)]
    usage = usage_of(answer.usage_metadata) if answer.usage_metadata else None
    return completion(call, answer.response_id or made_id(call), choices, usage, created_of(answer))


def decode_embeddings(call: Call, body: bytes) -> Completion:
    """Turn the vectors into OpenAI's answer.

    Raises:
        UpstreamError: The body is not as many vectors as there were inputs.
    """
    try:
        answer = _read_vectors(body)
    except UNREADABLE as exc:
        raise malformed("an answer") from exc
    usage = usage_of(answer.usage_metadata) if answer.usage_metadata else None
    return embeddings(call, [vector.values for vector in answer.embeddings], usage)


def _choice(candidate: Candidate, position: int) -> dict[str, Any]:
    index = position if candidate.index is None else candidate.index
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    for part in parts_of(candidate):
        if part.function_call is not None:
            calls.append(called(part.function_call, part.thought_signature, index, len(calls)))
        elif part.thought_signature:
            more["extra_content"] = extra_content(part.thought_signature)
        if part.text:
            (thoughts if part.thought else texts).append(part.text)
        if part.inline_data is not None:
            more.setdefault("images", []).append(image(part.inline_data))
    return choice(
        index,
        finish_reason=finish_reason(candidate.finish_reason, calls=bool(calls)),
        content="".join(texts) or (None if calls else ""),
        reasoning="".join(thoughts),
        tool_calls=calls,
        **more,
    )


def parts_of(candidate: Candidate) -> list[Part]:
    """Return the parts of a candidate, of which there may be none."""
    return (candidate.content.parts if candidate.content else None) or []


def called(call: FunctionCall, signature: str | None, index: int, position: int) -> dict[str, Any]:
    """Return a call as an entry of `tool_calls`: the `position`-th of choice `index`."""
    more = {"extra_content": extra_content(signature)} if signature else {}
    return tool_call(call.id or f"call_{index}_{position}", call.name, msgspec.json.encode(call.args or {}).decode(), **more)


def extra_content(signature: str) -> dict[str, Any]:
    """Return where a signature stands in OpenAI's answer."""
    return {"google": {"thought_signature": signature}}


def image(blob: Blob) -> dict[str, Any]:
    """Return a picture as an entry of `images`."""
    return {"type": "image_url", "image_url": {"url": f"data:{blob.mime_type};base64,{blob.data}"}}


def finish_reason(theirs: str | None, *, calls: bool) -> str:
    """Return OpenAI's word for the end of a candidate.

    Raises:
        UpstreamError: The model garbled its answer.
    """
    if theirs in _GARBLED:
        raise malformed("a tool call")
    return _FINISH.get(theirs or "", "tool_calls" if calls else "stop")


def refuse_blocked(answer: Answer) -> None:
    """Raise ContentFiltered where the filter refused the prompt."""
    reason = answer.prompt_feedback.block_reason if answer.prompt_feedback else None
    if reason and not answer.candidates:
        raise ContentFiltered("The model's content filter refused the prompt.", param="prompt")


def usage_of(wire: UsageMetadata) -> Usage:
    """Translate the counts; one that is absent or negative is 0."""
    reasoning = _count(wire.thoughts_token_count)
    return Usage(
        prompt_tokens=_count(wire.prompt_token_count) + _count(wire.tool_use_prompt_token_count),
        completion_tokens=_count(wire.candidates_token_count) + reasoning,
        cached_tokens=_count(wire.cached_content_token_count),
        reasoning_tokens=reasoning,
        audio_input_tokens=_sound(wire.prompt_tokens_details),
        audio_output_tokens=_sound(wire.candidates_tokens_details),
    )


def _sound(parts: list[Modality] | None) -> int:
    return sum(_count(part.token_count) for part in parts if part.modality == "AUDIO") if parts else 0


def _count(number: int | None) -> int:
    return max(number or 0, 0)


def created_of(answer: Answer) -> int:
    """Return the upstream's time in Unix seconds, where it gave one that makes sense."""
    try:
        moment = datetime.fromisoformat(answer.create_time or "")
        return max(int(moment.timestamp()), CREATED) if moment.tzinfo else CREATED
    except (ValueError, OverflowError):
        return CREATED
