"""Legacy completions in front of a backend that only speaks chat: the prompt as the user's one message.

One prompt, and it must be text: token arrays are one tokenizer's numbers. What has no place in chat (`echo`, `suffix`,
`logprobs`, `best_of` beyond `n`) is a 400 that names it. Without `max_tokens` the answer has at most 16 tokens, as in
completions themselves. A refusal is the answer's text; reasoning is not part of it, and there is no member for it.

Source: OpenAI API reference, "Create completion" and "Create chat completion" (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, Operation, StreamEvent
from gateway.domain.completions import prompts_of
from gateway.domain.sse import SseParser, frame
from gateway.ports import StreamDecoder
from gateway.providers.chat_request import unsupported
from gateway.providers.failures import UNREADABLE, malformed

_DONE = b"[DONE]"
_PREFIX = "chatcmpl-"
_SAME = frozenset({"temperature", "top_p", "stop", "n", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "user"})
_TRANSLATED = _SAME | {"model", "prompt", "max_tokens", "stream", "stream_options"}
# Chat's fields → what they are made of here.
FIELDS: Mapping[str, str] = {"messages": "prompt", "max_completion_tokens": "max_tokens"}
_ADVICE = {"echo": "put the prompt before the answer yourself", "suffix": "describe in the prompt what follows"}


class _Said(msgspec.Struct, gc=False):
    """A message, or the delta of a stream."""

    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    id: str | None = None
    created: int | None = None
    model: str | None = None
    usage: Any = None
    system_fingerprint: str | None = None


_CHAT = msgspec.json.Decoder(_Chat)


class CompletionsDialect:
    """The Dialect of Operation.COMPLETIONS."""

    def to_chat(self, call: Call) -> Call:
        """Return the same question as a chat."""
        asked = call.document
        for name, value in asked.items():
            if value is not None and name not in _TRANSLATED and not _is_default(name, value, asked):
                raise unsupported(name, _ADVICE.get(name, "leave it out"))
        prompts = prompts_of(asked)
        if len(prompts) > 1:
            raise unsupported("prompt", "send one prompt at a time")
        if type(prompts[0]) is not str:
            raise unsupported("prompt", "send the text instead of tokens")
        document: dict[str, Any] = {"model": call.model, "messages": [{"role": "user", "content": prompts[0]}]}
        document |= {name: value for name, value in asked.items() if name in _SAME and value is not None}
        if call.max_output_tokens == 0:
            raise unsupported("max_tokens", "ask for at least 1")
        document["max_completion_tokens"] = call.max_output_tokens
        if call.stream:
            document |= {"stream": True, "stream_options": {"include_usage": True}}
        return msgspec.structs.replace(
            call, operation=Operation.CHAT, body=msgspec.json.encode(document), document=document, include_usage=call.stream
        )

    def from_chat(self, call: Call, completion: Completion) -> Completion:
        """Return a whole chat answer as a completion."""
        try:
            chat = _CHAT.decode(completion.body)
        except UNREADABLE as exc:
            raise malformed("an answer") from exc
        if not chat.choices:
            raise malformed("an answer")
        usage = {} if chat.usage is None else {"usage": chat.usage}
        return msgspec.structs.replace(completion, body=msgspec.json.encode(_document(call, chat, **usage)))

    def decoder(self, call: Call, chat: StreamDecoder) -> StreamDecoder:
        """Make the decoder that turns a chat's stream into a completion's."""
        return _CompletionsFromChat(call, chat)


class _CompletionsFromChat:
    """The StreamDecoder of one completion that a chat gives: chunk by chunk, and `[DONE]`.

    Args:
        call: The client's; it gets the chunk with the usage if it asked for it.
        chat: Decodes the chat's stream.
    """

    def __init__(self, call: Call, chat: StreamDecoder) -> None:
        self._call = call
        self._chat = chat
        self._parser = SseParser()
        self._closed = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes, split anywhere, and return the events they complete."""
        return [] if self._closed else self._turned(self._chat.feed(data))

    def finish(self) -> list[StreamEvent]:
        """Take the end of the upstream's stream."""
        return [] if self._closed else self._turned(self._chat.finish())

    def _turned(self, events: list[StreamEvent]) -> list[StreamEvent]:
        turned: list[StreamEvent] = []
        for event in events:
            try:
                data = b"".join([self._chunk(sent.data) for sent in self._parser.feed(event.data)])
                turned.append(msgspec.structs.replace(event, data=data))
            except UNREADABLE:
                turned.append(StreamEvent(b"", usage=event.usage, error=malformed("an event")))
            if turned[-1].done or turned[-1].error is not None:
                self._closed = True
                break
        return turned

    def _chunk(self, data: bytes) -> bytes:
        if data == _DONE:
            return frame(data)
        chunk = _CHAT.decode(data)
        asked = self._call.include_usage
        if chunk.choices or (asked and chunk.usage is not None):
            # With usage asked for, each chunk has the member: null in all but the last.
            return frame(msgspec.json.encode(_document(self._call, chunk, **({"usage": chunk.usage} if asked else {}))))
        return b""  # Azure's first chunk, or a usage that only we asked for


def _document(call: Call, chat: _Chat, **more: Any) -> dict[str, Any]:
    choices = [
        {"text": _text(choice.message or choice.delta), "index": choice.index, "logprobs": None, "finish_reason": choice.finish_reason}
        for choice in chat.choices or ()
    ]
    return {
        "id": f"cmpl-{(chat.id or '').removeprefix(_PREFIX)}",
        "object": "text_completion",
        "created": chat.created or 0,
        "model": chat.model or call.model,
        "choices": choices,
        **({"system_fingerprint": chat.system_fingerprint} if chat.system_fingerprint else {}),
        **more,
    }


def _text(said: _Said | None) -> str:
    return (said.content or said.refusal or "") if said else ""


def _is_default(name: str, value: Any, asked: Mapping[str, Any]) -> bool:
    if name == "best_of":
        return bool(value == (asked.get("n") or 1))
    return (name == "echo" and value is False) or (name == "suffix" and value == "")
