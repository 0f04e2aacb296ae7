"""Turns a chat's stream into a response's: the full sequence of events, numbered from 0.

    response.created, response.in_progress
    per item: response.output_item.added, … its parts and deltas …, response.output_item.done
    response.completed or response.incomplete, with usage; no [DONE]

Rules: an item is opened by its first piece. A reasoning item ends when anything else begins, a message when a call begins;
calls may come interleaved, so they end with the stream, in their order. An error of the chat stays one; the route writes it.
One event of the chat becomes one event here, whose bytes may hold several of the client's.

Source: OpenAI API reference, "Streaming events" of Responses (read 2026-11-22).
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.domain.call import Call, StreamEvent, Usage
from gateway.domain.sse import SseParser
from gateway.ports import StreamDecoder
from gateway.providers import responses_made as made
from gateway.providers.chat_places import Function, Places, ToolCall
from gateway.providers.failures import UNREADABLE, malformed
from gateway.providers.openai_content import thoughts_of
from gateway.providers.responses_stream import named

_DONE = b"[DONE]"


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None  # the same, as some hosts call it
    tool_calls: list[ToolCall] | None = None
    annotations: list[made.Annotation] | None = None
    thinking_blocks: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    id: str | None = None
    created: int | None = None
    model: str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class _Part:
    """A part of a message or of reasoning, under way."""

    __slots__ = ("annotations", "kind", "texts")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.texts: list[str] = []
        self.annotations: list[made.Annotation] = []

    def shown(self) -> dict[str, Any]:
        text = "".join(self.texts)
        if self.kind == "output_text":
            return made.text_part(text, self.annotations)
        return made.refusal_part(text) if self.kind == "refusal" else {"type": self.kind, "text": text}


class _Item:
    """An output item, under way: a message, reasoning, or a function call, whose arguments are its texts."""

    __slots__ = ("blocks", "call_id", "closed", "extra", "id", "kind", "name", "parts", "position", "texts")

    def __init__(self, kind: str, own: str, position: int, call: ToolCall | None = None) -> None:
        self.kind = kind
        self.position = position
        self.id = made.item_id(kind, own, position)
        call = call or ToolCall()
        self.call_id = call.id or self.id
        self.name = (call.function or Function()).name or ""
        self.extra = call.extra_content
        self.blocks: list[dict[str, Any]] = []
        self.parts: list[_Part] = []
        self.texts: list[str] = []
        self.closed: dict[str, Any] | None = None

    def shown(self, status: str) -> dict[str, Any]:
        if self.kind == "fc":
            return made.function_call(self.id, self.call_id, self.name, "".join(self.texts), status, self.extra)
        if self.kind == "rs":
            return made.reasoning(self.id, ["".join(part.texts) for part in self.parts], self.blocks)
        return made.message(self.id, [part.shown() for part in self.parts], status)


class ResponsesFromChat:
    """The StreamDecoder of one response that a chat gives.

    Args:
        call: The client's.
        chat: Decodes the chat's stream.
    """

    def __init__(self, call: Call, chat: StreamDecoder) -> None:
        self._call = call
        self._chat = chat
        self._parser = SseParser()
        self._items: list[_Item] = []
        self._calls: dict[int, _Item] = {}
        self._places = Places()
        self._open: _Item | None = None  # the message or the reasoning that the next piece continues
        self._sequence = 0
        self._own = ""
        self._created, self._model = 0, ""
        self._usage: Usage | None = None
        self._reason: str | None = None
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
            turned.append(self._turn(event))
            if turned[-1].done or turned[-1].error is not None:
                self._closed = True
                break
        return turned

    def _turn(self, event: StreamEvent) -> StreamEvent:
        self._usage = event.usage or self._usage
        self._reason = event.finish_reason or self._reason
        if event.error is not None:
            return msgspec.structs.replace(event, data=b"")
        try:
            frames = [frame for sent in self._parser.feed(event.data) if sent.data != _DONE for frame in self._read(sent.data)]
        except UNREADABLE:
            return StreamEvent(b"", usage=event.usage, error=malformed("an event"))
        if event.done:
            frames += self._end()
        return msgspec.structs.replace(event, data=b"".join(frames))

    def _say(self, kind: str, **members: Any) -> bytes:
        document = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return named(kind, msgspec.json.encode(document))

    def _response(self, status: str) -> dict[str, Any]:
        output = [item.closed for item in self._items if item.closed]
        return made.response(
            self._call,
            self._own,
            created=self._created,
            model=self._model,
            status=status,
            output=output,
            usage=self._usage if status != "in_progress" else None,
            reason=self._reason,
        )

    def _read(self, data: bytes) -> Iterator[bytes]:
        chunk = _decode(data)
        if not chunk.choices:
            return  # Azure's first chunk, or the one with the usage
        if not self._own:
            self._created, self._model = chunk.created or 0, chunk.model or ""
            yield from self._begin(made.own_id(chunk.id or "", data))
        delta = chunk.choices[0].delta
        if delta is None:
            return
        if thoughts := thoughts_of(delta.reasoning_content, delta.reasoning):
            yield from self._piece("reasoning_text", thoughts)
        if delta.thinking_blocks:
            yield from self._continue("rs")
            self._items[-1].blocks += delta.thinking_blocks
        for kind, text in (("output_text", delta.content), ("refusal", delta.refusal)):
            if text:
                yield from self._piece(kind, text)
        if delta.annotations:
            yield from self._annotate(delta.annotations)
        for called in delta.tool_calls or ():
            yield from self._call_piece(called)

    def _begin(self, own: str) -> Iterator[bytes]:
        self._own = own
        for kind in ("response.created", "response.in_progress"):
            yield self._say(kind, response=self._response("in_progress"))

    def _piece(self, kind: str, text: str) -> Iterator[bytes]:
        yield from self._part(kind)
        item = self._items[-1]  # `_part` opened it
        item.parts[-1].texts.append(text)
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield self._say(f"response.{kind}.delta", **_place(item), delta=text, **more)

    def _part(self, kind: str) -> Iterator[bytes]:
        """Open the part that the next piece belongs to, and its item, unless they are open."""
        yield from self._continue("rs" if kind == "reasoning_text" else "msg")
        item = self._items[-1]
        if not item.parts or item.parts[-1].kind != kind:
            if item.parts:
                yield from self._close_part(item)
            item.parts.append(_Part(kind))
            yield self._say("response.content_part.added", **_place(item), part=item.parts[-1].shown())

    def _continue(self, kind: str) -> Iterator[bytes]:
        """Open an item of the kind, unless it is open: then it is the last one."""
        if self._open is None or self._open.kind != kind:
            yield from self._close_open("completed")
            self._open = _Item(kind, self._own, len(self._items))
            yield from self._add(self._open)

    def _annotate(self, annotations: list[made.Annotation]) -> Iterator[bytes]:
        yield from self._part("output_text")
        item = self._items[-1]  # `_part` opened it
        known = item.parts[-1].annotations
        for each in annotations:
            for shown in made.annotations_of([each]):
                known.append(each)
                index = len(known) - 1
                yield self._say("response.output_text.annotation.added", **_place(item), annotation_index=index, annotation=shown)

    def _call_piece(self, called: ToolCall) -> Iterator[bytes]:
        function = called.function or Function()
        place = self._places.of(called)
        item = self._calls.get(place)
        if item is None:
            yield from self._close_open("completed")
            item = self._calls[place] = _Item("fc", self._own, len(self._items), called)
            yield from self._add(item)
        if function.arguments:
            yield self._argue(item, function.arguments)

    def _argue(self, item: _Item, arguments: str) -> bytes:
        item.texts.append(arguments)
        return self._say("response.function_call_arguments.delta", item_id=item.id, output_index=item.position, delta=arguments)

    def _add(self, item: _Item) -> Iterator[bytes]:
        self._items.append(item)
        yield self._say("response.output_item.added", output_index=item.position, item=item.shown("in_progress"))

    def _close_part(self, item: _Item) -> Iterator[bytes]:
        shown = item.parts[-1].shown()
        kind = shown["type"]
        said = {"refusal": shown["refusal"]} if kind == "refusal" else {"text": shown["text"]}
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield self._say(f"response.{kind}.done", **_place(item), **said, **more)
        yield self._say("response.content_part.done", **_place(item), part=shown)

    def _close_open(self, status: str) -> Iterator[bytes]:
        item, self._open = self._open, None
        if item is not None:
            yield from self._close(item, status)

    def _close(self, item: _Item, status: str) -> Iterator[bytes]:
        if item.parts:
            yield from self._close_part(item)
        if item.kind == "fc" and not item.texts:
            yield self._argue(item, made.NO_ARGUMENTS)
        item.closed = item.shown(status)
        if item.kind == "fc":
            said = {"arguments": item.closed["arguments"], "name": item.name}
            yield self._say("response.function_call_arguments.done", item_id=item.id, output_index=item.position, **said)
        yield self._say("response.output_item.done", output_index=item.position, item=item.closed)

    def _end(self) -> Iterator[bytes]:
        if not self._own:
            yield from self._begin(made.own_id("", b""))
        if all(item.kind == "rs" for item in self._items):  # an answer without a word is still a message
            yield from self._close_open("completed")
            self._open = _Item("msg", self._own, len(self._items))
            yield from self._add(self._open)
        status = made.status_of(self._reason)
        yield from self._close_open(status)
        for item in self._calls.values():
            yield from self._close(item, status)
        yield self._say(f"response.{status}", response=self._response(status))


def _place(item: _Item) -> dict[str, Any]:
    return {"item_id": item.id, "output_index": item.position, "content_index": len(item.parts) - 1}
