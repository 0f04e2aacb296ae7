"""Makes OpenAI's chat answers: what every provider says whose backend does not speak OpenAI's wire format itself.

    {"id", "object": "chat.completion", "created", "model", "choices": [{"index", "message": {"role": "assistant", "content",
     "refusal", "reasoning_content"?, "tool_calls"?}, "logprobs", "finish_reason"}], "usage"}
    {"id", "object": "chat.completion.chunk", "created", "model", "choices": [{"index", "delta", "logprobs", "finish_reason"}],
     "usage"?}

Rules: members that OpenAI's schema requires are always there, null where there is nothing to say; `model` is the name the
client asked for; `created` is the upstream's time, or when the call was sent, because nothing here has a clock; reasoning goes into
`reasoning_content`, as every OpenAI-compatible server has it. In a stream the first chunk of each choice has the role; `usage`
is absent unless the client asked for it: then it is null in every chunk but the last, as OpenAI's description has it (its
schema forgets the null).

Source: OpenAI OpenAPI document, CreateChatCompletionResponse and CreateChatCompletionStreamResponse (read 2026-11-22).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, StreamEvent, Usage
from gateway.domain.sse import frame

CREATED = 0  # where the upstream gives no time
DONE = frame(b"[DONE]")


def made_id(call: Call) -> str:
    """Return an id for an answer whose backend gives none: by the call's own span, which no other call has."""
    return f"chatcmpl-{call.trace.rsplit('-', 2)[1]}" if call.trace else "chatcmpl-0"


def usage_json(usage: Usage) -> dict[str, Any]:
    """Return `usage` as OpenAI writes it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def tool_call(call_id: str, name: str, arguments: str, **more: Any) -> dict[str, Any]:
    """Return an entry of a message's `tool_calls`; `arguments` is JSON text, `more` goes beside `function`."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def choice(
    index: int,
    *,
    finish_reason: str,
    content: str | None,
    reasoning: str = "",
    tool_calls: Sequence[Mapping[str, Any]] = (),
    refusal: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return an entry of a complete answer's `choices`.

    Args:
        index: Its place.
        finish_reason: OpenAI's word: stop | length | tool_calls | content_filter.
        content: The text; None where the model only called tools.
        reasoning: What the model thought, where the backend shows it.
        tool_calls: Made by `tool_call`.
        refusal: The text in which the model declined.
        **more: Further members of the message, such as `annotations`.
    """
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal}
    if reasoning:
        message["reasoning_content"] = reasoning
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    return {"index": index, "message": message | more, "logprobs": None, "finish_reason": finish_reason}


def completion(call: Call, answer_id: str, choices: Sequence[dict[str, Any]], usage: Usage | None, created: int = CREATED) -> Completion:
    """Return a complete answer; its text is filled only where the upstream gave no usage and somebody must count it.

    Args:
        call: The client's.
        answer_id: The upstream's own id of the answer.
        choices: Made by `choice`.
        usage: The upstream's numbers.
        created: The upstream's time in Unix seconds.
    """
    answer: dict[str, Any] = {"id": answer_id, "object": "chat.completion", "created": created or call.received_at}
    answer |= {"model": call.model, "choices": choices}
    if usage is not None:
        answer["usage"] = usage_json(usage)
    reason = next((each["finish_reason"] for each in choices), None)
    text = "" if usage is not None else "".join(_texts(choices))
    return Completion(msgspec.json.encode(answer), usage, text, reason)


def _texts(choices: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for each in choices:
        message = each["message"]
        yield from (message[name] for name in ("content", "refusal", "reasoning_content") if message.get(name))
        yield from (called["function"]["arguments"] for called in message.get("tool_calls", ()))


class Chunks:
    """Makes the events of one stream of chunks; holds what they have in common.

    Args:
        call: The client's.
        answer_id: The upstream's id of the answer; may be set later, when the stream has told it.
        created: The upstream's time in Unix seconds; may be set later, too.
    """

    __slots__ = ("_begun", "_call", "answer_id", "created")

    def __init__(self, call: Call, answer_id: str = "", created: int = CREATED) -> None:
        self._call = call
        self._begun: set[int] = set()
        self.answer_id = answer_id or made_id(call)
        self.created = created

    def content(self, text: str, index: int = 0) -> StreamEvent:
        """Say a piece of the text."""
        return self._event(index, {"content": text}, text)

    def reasoning(self, text: str, index: int = 0) -> StreamEvent:
        """Say a piece of what the model thinks."""
        return self._event(index, {"reasoning_content": text}, text)

    def refusal(self, text: str, index: int = 0) -> StreamEvent:
        """Say a piece of the text in which the model declines."""
        return self._event(index, {"refusal": text}, text)

    def tool_call(self, position: int, call_id: str, name: str, arguments: str = "", index: int = 0, **more: Any) -> StreamEvent:
        """Begin a tool call: the `position`-th of its choice, with its arguments or the first piece of them."""
        return self.whole_call(position, tool_call(call_id, name, arguments, **more), index)

    def whole_call(self, position: int, call: Mapping[str, Any], index: int = 0) -> StreamEvent:
        """Say what `tool_call` made, in one piece."""
        return self._event(index, {"tool_calls": [{"index": position, **call}]}, call["function"]["arguments"])

    def arguments(self, position: int, piece: str, index: int = 0) -> StreamEvent:
        """Say a further piece of a tool call's arguments."""
        return self._event(index, {"tool_calls": [{"index": position, "function": {"arguments": piece}}]}, piece)

    def delta(self, members: dict[str, Any], text: str = "", index: int = 0, *, content: bool = True) -> StreamEvent:
        """Say what none of the others can, such as `annotations`.

        Args:
            members: Of the delta.
            text: What it costs tokens for.
            index: The choice.
            content: The model's output is in it.
        """
        return self._event(index, members, text, content=content)

    def end(self, finish_reason: str, index: int = 0) -> StreamEvent:
        """End a choice."""
        return self._event(index, {}, "", finish_reason)

    def usage(self, usage: Usage) -> StreamEvent:
        """Tell the usage: the client sees it only if it asked."""
        if not self._call.include_usage:
            return StreamEvent(b"", usage=usage)
        return StreamEvent(self._frame([], usage_json(usage)), usage=usage)

    def done(self) -> StreamEvent:
        """End the stream as the protocol says."""
        return StreamEvent(DONE, done=True)

    def _event(
        self, index: int, delta: dict[str, Any], text: str, finish_reason: str | None = None, *, content: bool = True
    ) -> StreamEvent:
        carries = bool(delta) and content
        if index not in self._begun:
            self._begun.add(index)
            delta = {"role": "assistant", **delta}
        entry = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return StreamEvent(self._frame([entry], None), text, content=carries, finish_reason=finish_reason)

    def _frame(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        chunk: dict[str, Any] = {
            "id": self.answer_id,
            "object": "chat.completion.chunk",
            "created": self.created or self._call.received_at,
            "model": self._call.model,
            "choices": choices,
        }
        if self._call.include_usage:
            chunk["usage"] = usage
        return frame(msgspec.json.encode(chunk))
