"""What a client was answered becomes the assistant's message of a kept conversation, in chat's form.

    whole body, or the pieces of a stream ─▶ Collector ─▶ {"role": "assistant", "content"?, "tool_calls"?}

Chats (of several choices the first) and Responses. What broke off, failed, was filtered, is under way still, or says nothing, is no
message. A refusal is kept as what was said, since not every backend knows a refusal when it is sent back.
An answer that is not what its protocol promises is no message either.

Must not: show a text in a message or a log. Source: OpenAI API reference, chat completions, responses and their streaming events
(read 2026-11-22).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from gateway.domain.call import Operation
from gateway.domain.sse import SseParser

MAX_ANSWER_BYTES = 4 * 1024 * 1024  # of a longer answer nothing is kept
_STREAMED = 16  # times as long an answer is as a stream: an event is some hundred bytes for a few of text
_FILTERED = "content_filter"
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Collector(Protocol):
    """Takes what a client is answered."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, split anywhere."""

    def message(self) -> dict[str, Any] | None:
        """Return the message that was answered; None where there is none, or none yet."""


def collector(operation: Operation, *, stream: bool) -> Collector:
    """Return what collects an answer.

    Args:
        operation: `chat` or `responses`.
        stream: Whether it comes as server-sent events.
    """
    if stream:
        return _Stream(_ChatStream() if operation is Operation.CHAT else _ResponsesStream())
    return _Whole(_read_chat if operation is Operation.CHAT else _read_response)


class _ToolCall(msgspec.Struct, frozen=True):
    """One, or a piece of one."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: dict[str, Any] | None = None
    custom: dict[str, Any] | None = None


class _Spoken(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


_SILENT = _Spoken()


class _Choice(msgspec.Struct, frozen=True):
    index: int = 0
    message: _Spoken | None = None
    delta: _Spoken | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...] | None = None
    error: Any = None


class _Part(msgspec.Struct, frozen=True):
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, frozen=True):
    type: str = ""
    content: tuple[_Part, ...] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str | None = None


class _Why(msgspec.Struct, frozen=True):
    reason: str | None = None


class _Response(msgspec.Struct, frozen=True):
    status: str | None = None
    output: tuple[_Item, ...] | None = None
    incomplete_details: _Why | None = None
    error: Any = None


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    item: _Item | None = None
    response: _Response | None = None
    error: Any = None


class _Whole:
    """A body."""

    def __init__(self, read: Callable[[bytes], dict[str, Any] | None]) -> None:
        self._read = read
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_ANSWER_BYTES:
            self._pieces.append(data)

    def message(self) -> dict[str, Any] | None:
        if self._size > MAX_ANSWER_BYTES:
            return None
        try:
            return self._read(b"".join(self._pieces))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


class _Reader(Protocol):
    """Reads the events of one dialect."""

    def take(self, data: bytes) -> bool:
        """Take an event; False for an error."""

    def message(self) -> dict[str, Any] | None:
        """Return the message, at the end."""


class _Stream:
    """Server-sent events."""

    def __init__(self, reader: _Reader) -> None:
        self._parser = SseParser(MAX_ANSWER_BYTES)
        self._reader = reader
        self._size = 0
        self._broken = False

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        self._broken = self._broken or self._size > _STREAMED * MAX_ANSWER_BYTES
        if self._broken:
            return
        try:
            fine = all(self._reader.take(event.data) for event in self._parser.feed(data) if event.data != b"[DONE]")
        except (msgspec.DecodeError, UnicodeDecodeError):
            fine = False
        self._broken = not fine or self._parser.overflowed

    def message(self) -> dict[str, Any] | None:
        return None if self._broken else self._reader.message()


class _ChatStream:
    """A chat's chunks."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish = ""

    def take(self, data: bytes) -> bool:
        chunk = _CHAT.decode(data)
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._add(choice.delta or _SILENT)
                self._finish = choice.finish_reason or self._finish
        return not chunk.error

    def _add(self, delta: _Spoken) -> None:
        self._texts.append(delta.content or "")
        self._refusals.append(delta.refusal or "")
        for number, piece in enumerate(delta.tool_calls or ()):
            call = self._calls.setdefault(number if piece.index is None else piece.index, {"id": "", "type": "function"})
            call |= {name: value for name, value in (("id", piece.id), ("type", piece.type)) if value}
            for kind, body in (("function", piece.function), ("custom", piece.custom)):
                for name, text in (body or {}).items():
                    if isinstance(text, str):
                        made = call.setdefault(kind, {})
                        made[name] = made.get(name, "") + text if name in _GROWING else text or made.get(name, "")

    def message(self) -> dict[str, Any] | None:
        if self._finish in {"", _FILTERED}:
            return None
        return _said("".join(self._texts) or "".join(self._refusals), [self._calls[index] for index in sorted(self._calls)])


class _ResponsesStream:
    """The events of a response. The last one has all of it; where it has not, the items that were done before it."""

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._response: _Response | None = None

    def take(self, data: bytes) -> bool:
        event = _EVENT.decode(data)
        if event.type == "response.output_item.done" and event.item is not None:
            self._items.append(event.item)
        elif event.type in _ENDS:
            self._response = event.response
        return not event.error and event.type != "error"

    def message(self) -> dict[str, Any] | None:
        return _response_message(self._response, self._items) if self._response is not None else None


_CHAT = msgspec.json.Decoder(_Chat)
_RESPONSE = msgspec.json.Decoder(_Response)
_EVENT = msgspec.json.Decoder(_Event)
_GROWING = frozenset({"arguments", "input"})


def _read_chat(body: bytes) -> dict[str, Any] | None:
    chat = _CHAT.decode(body)
    choice = next((each for each in chat.choices or () if each.index == 0), None)
    if choice is None or choice.finish_reason == _FILTERED or chat.error:
        return None
    message = choice.message or _SILENT
    calls = [
        {name: value for name in ("id", "type", "function", "custom") if (value := getattr(call, name)) is not None}
        for call in message.tool_calls or ()
    ]
    return _said(message.content or message.refusal or "", calls)


def _read_response(body: bytes) -> dict[str, Any] | None:
    return _response_message(_RESPONSE.decode(body), ())


def _response_message(response: _Response, done: Sequence[_Item]) -> dict[str, Any] | None:
    filtered = response.incomplete_details is not None and response.incomplete_details.reason == _FILTERED
    if response.error or filtered or response.status not in {"completed", "incomplete"}:
        return None
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for item in response.output or done:
        if item.type == "message":
            texts += [part.text or part.refusal or "" for part in item.content or ()]
        elif item.type == "function_call":
            function = {"name": item.name, "arguments": item.arguments or ""}
            calls.append({"id": item.call_id, "type": "function", "function": function})
    return _said("".join(texts), calls)


def _said(text: str, calls: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not text and not calls:
        return None
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    return {**message, "tool_calls": calls} if calls else message
