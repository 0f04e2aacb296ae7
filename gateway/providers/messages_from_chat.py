"""A chat's answer said as Anthropic's: a whole one as a message, a stream's chunks as its events.

| chat | Messages |
| --- | --- |
| `reasoning_content`, `content` and `refusal`, `tool_calls` | `thinking` (unsigned), `text`, `tool_use` blocks |
| `stop` · `length` · `tool_calls`, or any end after a tool call · `content_filter` | `end_turn` · `max_tokens` · `tool_use` · `refusal` |
| `prompt_tokens` less `cached_tokens` · `cached_tokens` · `completion_tokens` | `input_tokens` · `cache_read_input_tokens` · `output_tokens` |

A chat does not tell which stop sequence ended it, so it is an `end_turn`. A stream's blocks come one after the other, each
stopped before the next begins; `message_start` cannot know the prompt's tokens, `message_delta` has them. A tool call that the
ceiling cut off has no input that could be parsed: in a whole message it is left out, and `max_tokens` says why. Unsigned
thoughts that the client sends back are left out on the way to any backend.

Source: Claude API reference, "Create a Message" and "Streaming messages" (read 2026-11-22).
"""  # noqa: E501 - a table's row is one line

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, StreamEvent, Usage
from gateway.domain.sse import SseParser
from gateway.ports import StreamDecoder
from gateway.providers.anthropic_stream import framed
from gateway.providers.chat_places import Function, Places, ToolCall
from gateway.providers.failures import UNREADABLE, malformed
from gateway.providers.openai_content import thoughts_of

STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


class _Said(msgspec.Struct, gc=False):
    """A `message`, or the `delta` of a chunk."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None  # the same, as some hosts call it
    tool_calls: list[ToolCall] | None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct, gc=False):
    choices: list[_Choice] = []
    id: str | None = None


_decode = msgspec.json.Decoder(_Chat).decode


def message_of(call: Call, completion: Completion) -> Completion:
    """Return a whole chat answer as a message.

    Raises:
        UpstreamError: `upstream_malformed`.
    """
    try:
        chat = _decode(completion.body)
        choice = chat.choices[0]
        content = _content(choice)
    except (*UNREADABLE, IndexError) as exc:
        raise malformed("an answer") from exc
    called = any(block["type"] == "tool_use" for block in content)
    message = _message(chat.id, call, content, _stop_reason(choice.finish_reason, called=called), completion.usage)
    return Completion(msgspec.json.encode(message), completion.usage, completion.text, completion.finish_reason)


def _message(answer_id: str | None, call: Call, content: list[dict[str, Any]], reason: str | None, usage: Usage | None) -> dict[str, Any]:
    return {
        "id": f"msg_{(answer_id or '0').removeprefix('msg_').removeprefix('chatcmpl-')}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": _usage_json(usage or Usage()),
    }


def _stop_reason(finish_reason: str | None, *, called: bool) -> str:
    reason = STOP_REASONS.get(finish_reason or "stop", "end_turn")
    return "tool_use" if called and reason == "end_turn" else reason


def _usage_json(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": max(usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens, 0),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _content(choice: _Choice) -> list[dict[str, Any]]:
    said = choice.message or _Said()
    blocks: list[dict[str, Any]] = []
    if thoughts := thoughts_of(said.reasoning_content, said.reasoning):
        blocks.append({"type": "thinking", "thinking": thoughts, "signature": ""})
    blocks += [{"type": "text", "text": text} for text in (said.content, said.refusal) if text]
    for called in said.tool_calls or ():
        function = called.function or Function()
        try:
            given = msgspec.json.decode(function.arguments or "{}", type=dict[str, msgspec.Raw])
        except UNREADABLE:
            if choice.finish_reason == "length":
                continue
            raise
        blocks.append({"type": "tool_use", "id": called.id or "", "name": function.name or "", "input": given})
    return blocks


def _event(kind: str, **members: Any) -> bytes:
    return framed(kind.encode(), msgspec.json.encode({"type": kind, **members}))


class MessagesFromChat:
    """The StreamDecoder of a Messages call over one that decodes chat: each of its events, said in Anthropic's.

    Args:
        call: The client's.
        chat: The decoder of the chat.
    """

    def __init__(self, call: Call, chat: StreamDecoder) -> None:
        self._call = call
        self._chat = chat
        self._frames = SseParser()
        self._begun = False
        self._blocks = 0  # begun
        self._open: tuple[str, int] | None = None  # the open block's type, and a tool's index among the calls
        self._tools: set[int] = set()  # the calls that have had their block
        self._places = Places()
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._closed = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        return self._say_all(self._chat.feed(data))

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream."""
        return self._say_all(self._chat.finish())

    def _say_all(self, events: list[StreamEvent]) -> list[StreamEvent]:
        said: list[StreamEvent] = []
        for event in events:
            if self._closed:
                break
            said.append(self._say(event))
        return said

    def _say(self, event: StreamEvent) -> StreamEvent:
        self._usage = event.usage or self._usage
        if event.error is not None:
            self._closed = True
            return event
        try:
            out = b"".join([self._chunk(_decode(sent.data)) for sent in self._frames.feed(event.data) if sent.data != b"[DONE]"])
        except UNREADABLE:
            self._closed = True
            return StreamEvent(b"", error=malformed("an event"))
        if event.done:
            self._closed = True
            out += self._end()
        return msgspec.structs.replace(event, data=out)

    def _chunk(self, chat: _Chat) -> bytes:
        if not chat.choices:
            return b""
        out = b"" if self._begun else self._begin(chat.id)
        choice = chat.choices[0]
        said = choice.delta or _Said()
        if thoughts := thoughts_of(said.reasoning_content, said.reasoning):
            out += self._go_on("thinking", {"type": "thinking_delta", "thinking": thoughts})
        for text in (said.content, said.refusal):
            if text:
                out += self._go_on("text", {"type": "text_delta", "text": text})
        for called in said.tool_calls or ():
            out += self._call_tool(called)
        self._finish_reason = choice.finish_reason or self._finish_reason
        return out

    def _begin(self, answer_id: str | None) -> bytes:
        self._begun = True
        return _event("message_start", message=_message(answer_id, self._call, [], None, None))

    def _go_on(self, kind: str, delta: dict[str, str]) -> bytes:
        out = b""
        if self._open is None or self._open[0] != kind:
            signed = {"signature": ""} if kind == "thinking" else {}
            out = self._start((kind, 0), {"type": kind, kind: "", **signed})
        return out + _event("content_block_delta", index=self._blocks - 1, delta=delta)

    def _call_tool(self, called: ToolCall) -> bytes:
        function, out = called.function or Function(), b""
        place = self._places.of(called)
        if self._open != ("tool_use", place):
            if place in self._tools:
                raise msgspec.ValidationError("a call goes on after the next one has begun")
            self._tools.add(place)
            block = {"type": "tool_use", "id": called.id or "", "name": function.name or "", "input": {}}
            out = self._start(("tool_use", place), block)
        if function.arguments:
            delta = {"type": "input_json_delta", "partial_json": function.arguments}
            out += _event("content_block_delta", index=self._blocks - 1, delta=delta)
        return out

    def _start(self, block: tuple[str, int], content: dict[str, Any]) -> bytes:
        out = self._stop()
        self._open = block
        self._blocks += 1
        return out + _event("content_block_start", index=self._blocks - 1, content_block=content)

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", index=self._blocks - 1)

    def _end(self) -> bytes:
        out = (b"" if self._begun else self._begin(None)) + self._stop()
        reason = _stop_reason(self._finish_reason, called=bool(self._tools))
        out += _event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=_usage_json(self._usage))
        return out + _event("message_stop")
