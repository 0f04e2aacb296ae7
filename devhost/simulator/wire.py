"""A chat answer as bytes: one JSON object, or server-sent events built from prepared halves around each token.

`events()` yields each event ready to send. Azure's dialect adds a first event with the prompt's filter results and
annotations on every choice; the OpenAI dialect has neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson

from devhost.simulator import filters, tokens
from devhost.simulator.answers import Answer, Choice, ToolCall

DONE = b"data: [DONE]\n\n"
FINGERPRINT = "fp_simulator"


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds an answer: its id, its time, its model's dated name and the dialect."""

    id: str
    created: int
    model: str
    azure: bool
    logprobs: bool = False
    include_usage: bool = False


def whole(frame: Frame, answer: Answer) -> bytes:
    """Return the body of an answer that is not streamed."""
    body: dict[str, Any] = {
        "choices": [_whole_choice(frame, answer, index, choice) for index, choice in enumerate(answer.choices)],
        "created": frame.created,
        "id": frame.id,
        "model": frame.model,
        "object": "chat.completion",
        "system_fingerprint": FINGERPRINT,
        "usage": answer.usage(),
    }
    if frame.azure:
        body["prompt_filter_results"] = orjson.Fragment(_prompt_verdict(answer))
    return orjson.dumps(body)


def _whole_choice(frame: Frame, answer: Answer, index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"content": "".join(choice.pieces), "refusal": None, "role": "assistant", "annotations": []}
    if choice.calls:
        message["content"] = None
        message["tool_calls"] = [
            {"function": {"arguments": call.arguments, "name": call.name}, "id": call.id, "type": "function"} for call in choice.calls
        ]
    if choice.finish == "content_filter":
        message["content"] = ""
    result: dict[str, Any] = {"finish_reason": choice.finish, "index": index, "logprobs": None, "message": message}
    if frame.logprobs:
        result["logprobs"] = orjson.Fragment(_logprobs(choice.pieces))
    if frame.azure:
        result["content_filter_results"] = orjson.Fragment(_verdict(answer, choice))
    return result


def events(frame: Frame, answer: Answer) -> Iterator[bytes]:
    """Yield every event of a streamed answer up to and without `[DONE]`."""
    usage = b',"usage":null' if frame.include_usage else b""
    tail = b',"created":%d,"id":%s,"model":%s,"object":"chat.completion.chunk","system_fingerprint":"%s"' % (
        frame.created, orjson.dumps(frame.id), orjson.dumps(frame.model), FINGERPRINT.encode(),
    )  # fmt: skip
    end = tail + usage + b"}\n\n"
    if frame.azure:
        verdict = _prompt_verdict(answer)
        yield b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":%s%s}\n\n' % (verdict, usage)
    nothing = _annotation(frame, filters.NOTHING)
    for index, choice in enumerate(answer.choices):
        content = b"null" if choice.calls else b'""'
        yield _event(nothing, b'{"content":%s,"refusal":null,"role":"assistant"}' % content, index) + end
    verdict = _annotation(frame, filters.UNAVAILABLE if answer.filter_unavailable else filters.SAFE)
    for row in zip_longest(*(_deltas(choice) for choice in answer.choices)):
        for index, delta in enumerate(row):
            if delta is None:
                continue
            logprobs = _logprobs([delta[1]]) if frame.logprobs and delta[1] is not None else b"null"
            yield _event(verdict, delta[0], index, logprobs=logprobs) + end
    for index, choice in enumerate(answer.choices):
        final = _annotation(frame, filters.FILTERED if choice.finish == "content_filter" else filters.NOTHING)
        yield _event(final, b"{}", index, finish=b'"%s"' % choice.finish.encode()) + end
    if frame.include_usage:
        yield b'data: {"choices":[]%s,"usage":%s}\n\n' % (tail, orjson.dumps(answer.usage()))


def _annotation(frame: Frame, verdict: bytes) -> bytes:
    return b'"content_filter_results":%s,' % verdict if frame.azure else b""


def _event(annotation: bytes, delta: bytes, index: int, *, finish: bytes = b"null", logprobs: bytes = b"null") -> bytes:
    """Return an event up to the end of its choices."""
    return b'data: {"choices":[{%s"delta":%s,"finish_reason":%s,"index":%d,"logprobs":%s}]' % (annotation, delta, finish, index, logprobs)


def _deltas(choice: Choice) -> Iterator[tuple[bytes, str | None]]:
    """Yield the deltas of one choice: its tokens, or its tool calls with their arguments in fragments."""
    for piece in choice.pieces:
        yield b'{"content":%s}' % orjson.dumps(piece), piece
    for position, call in enumerate(choice.calls):
        yield _call_delta(position, call), None
        for fragment in tokens.pieces(call.arguments):
            yield b'{"tool_calls":[{"function":{"arguments":%s},"index":%d}]}' % (orjson.dumps(fragment), position), None


def _call_delta(position: int, call: ToolCall) -> bytes:
    head = {"function": {"arguments": "", "name": call.name}, "id": call.id, "index": position, "type": "function"}
    return b'{"tool_calls":[%s]}' % orjson.dumps(head)


def _logprobs(pieces: list[str]) -> bytes:
    rows = [{"token": piece, "logprob": -0.1, "bytes": list(piece.encode("utf-8", "replace")), "top_logprobs": []} for piece in pieces]
    return orjson.dumps({"content": rows, "refusal": None})


def _prompt_verdict(answer: Answer) -> bytes:
    return filters.PROMPT_UNAVAILABLE if answer.filter_unavailable else filters.PROMPT_SAFE


def _verdict(answer: Answer, choice: Choice) -> bytes:
    if answer.filter_unavailable:
        return filters.UNAVAILABLE
    return filters.FILTERED if choice.finish == "content_filter" else filters.SAFE
