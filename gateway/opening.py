"""When an answer has begun: a stream is held until its first content is proved, because until then another may answer instead."""

from collections.abc import AsyncIterator

import msgspec

from gateway.domain.call import Call, Candidate, Completion, Operation, StreamEvent, Usage
from gateway.errors import UpstreamError
from gateway.ports import StreamDecoder, UpstreamResponse
from gateway.routing.verify import read_answer

# Events that a stream may send before its first content: beyond that it is no answer.
MAX_HELD_EVENTS = 4096
MAX_WHOLE_BYTES = 16 * 1024 * 1024  # of a stream that is held to its end
_CALLS_TOOLS = frozenset({"tool_calls", "tool_use", "function_call"})  # reasons for an end


class Opened(msgspec.Struct, frozen=True):
    """A successful attempt: the whole completion, or a stream with the events that were held until it was proved."""

    response: UpstreamResponse
    candidate: Candidate
    completion: Completion | None = None
    decoder: StreamDecoder | None = None
    chunks: AsyncIterator[bytes] | None = None
    held: list[StreamEvent] = []


def usage_of(opened: Opened) -> Usage | None:
    """Return what an answer that was read to its end used, where the backend said so."""
    if opened.completion is not None:
        return opened.completion.usage
    return next((event.usage for event in reversed(opened.held) if event.usage is not None), None)


def text_of(opened: Opened) -> str:
    """Return the text of an answer that was read to its end, as far as it has to be counted."""
    return opened.completion.text if opened.completion is not None else "".join(event.text for event in opened.held)


def read_whole(operation: Operation, opened: Opened) -> tuple[str, bool] | None:
    """Return the text of an answer that was read to its end and whether it calls tools; None where only its usage can be read."""
    if opened.completion is None:
        return text_of(opened), any(event.finish_reason in _CALLS_TOOLS for event in opened.held)
    try:
        text, calls_tools = read_answer(operation, opened.completion.body)
    except (AttributeError, IndexError, KeyError, TypeError):
        return None
    return (text, calls_tools) if type(text) is str else None


def is_stream(call: Call, response: UpstreamResponse) -> bool:
    """Tell whether the answer is the stream that was asked for; a service that is passed through may not have one."""
    if call.operation is not Operation.FORWARD:
        return call.stream
    return call.stream and response.headers.get("content-type", "").lower().startswith("text/event-stream")


async def first_content(decoder: StreamDecoder, chunks: AsyncIterator[bytes], *, whole: bool) -> list[StreamEvent]:
    """Read events up to the first that carries output; whatever breaks before is raised.

    Args:
        decoder: New.
        chunks: The backend's bytes.
        whole: Read to the end instead, and raise whatever breaks on the way.
    """
    held: list[StreamEvent] = []
    begun, size = False, 0
    while True:
        data = await anext(chunks, b"")
        size += len(data)
        proved = False
        for event in decoder.feed(data) if data else decoder.finish():
            # Output that was read together with the error behind it is an answer that broke: the client gets both.
            if event.error is not None and (whole or not begun):
                raise event.error
            held.append(event)
            begun = begun or event.content
            proved = proved or event.done or event.error is not None or (event.content and not whole)
        if proved:
            return held
        if not data:
            raise UpstreamError("the backend's stream ended before it began; retry", code="upstream_interrupted")
        if (not whole and len(held) > MAX_HELD_EVENTS) or (whole and size > MAX_WHOLE_BYTES):
            raise UpstreamError("the backend's stream never came to its answer; retry", code="upstream_malformed")
