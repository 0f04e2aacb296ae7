"""Guarded streams for tests: a detector whose findings are easy to see, senders and readers of every dialect."""

import json
import re
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any

from gateway.domain.call import Call, Operation, StreamEvent, Surface
from gateway.domain.guardrails import Action, ContentSafety, Direction, Fail, Terms
from gateway.domain.sse import SseParser, frame
from gateway.domain.verdicts import Finding, Passage, Reading, Role, Verdict
from gateway.guardrails.kinds import Guard
from gateway.guardrails.streams.stream import GuardedStream
from gateway.providers.anthropic_stream import MessagesStream, framed
from gateway.providers.openai_media_stream import MediaStream
from gateway.providers.openai_stream import OpenAIStream
from gateway.providers.responses_stream import ResponsesStream, named
from tests.fakes.clock import FakeClock

SECRET = re.compile(r"SECRET-\d{1,8}")
_WORD = "SECRET-"
MASK = "[SECRET]"


class SecretDetector:
    """Finds `SECRET-` and one to eight digits."""

    spans = True

    def read(self, text: str, role: Role = Role.USER) -> Reading:
        return Reading(tuple(Finding(found.start(), found.end(), "secret") for found in SECRET.finditer(text)))

    def open_from(self, text: str) -> int:
        at = text.rfind(_WORD)
        if at >= 0 and len(text) - at < len(_WORD) + 8 and re.fullmatch(r"\d*", text[at + len(_WORD) :]):
            return at
        return next((at for at in range(max(0, len(text) - len(_WORD)), len(text)) if _WORD.startswith(text[at:])), len(text))

    def replacement(self, finding: Finding, original: str) -> str:
        return MASK


class WordDetector:
    """Judges a text as a whole: it holds a word, or not."""

    spans = False

    def __init__(self, word: str) -> None:
        self.word = word

    def read(self, text: str, role: Role = Role.USER) -> Reading:
        return Reading((Finding(0, len(text), "word"),) if self.word in text else (), 1.0 if self.word in text else 0.1)

    def open_from(self, text: str) -> int:
        raise AssertionError("only those that find places are asked")

    def replacement(self, finding: Finding, original: str) -> str:
        return "[GONE]"


class WordService:
    """The same as a service; `fails` is what it raises."""

    def __init__(self, word: str, fails: Exception | None = None) -> None:
        self.word = word
        self.fails = fails
        self.seen: list[str] = []
        self.sources: Sequence[Passage] = ()

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:
        assert tenant == "contoso"
        self.sources = sources
        if self.fails is not None:
            raise self.fails
        self.seen += [passage.text for passage in passages]
        return [
            Reading(tuple(Finding(found.start(), found.end(), "word") for found in re.finditer(self.word, passage.text)))
            for passage in passages
        ]


def guard(action: Action = Action.REDACT, detector: Any = None, **over: Any) -> Guard:
    fields: dict[str, Any] = {"config": Terms(id="secrets", terms=("x",)), "directions": frozenset({Direction.OUTPUT}), "action": action}
    return Guard(**fields | {"detector": SecretDetector() if detector is None else detector} | over)


def asking(service: Any, action: Action = Action.BLOCK, *, chunk: int = 40, fail: Fail = Fail.CLOSED) -> Guard:
    config = ContentSafety(id="safety", chunk=chunk, fail=fail)
    return Guard(config=config, directions=frozenset({Direction.OUTPUT}), action=action, service=service)


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


class Originals:
    """Turns `<EMAIL_1>` into an address; nothing else."""

    original = 'ann"a\\@contoso.com'

    def text(self, text: str, *, json: bool) -> str:
        return text.replace("<EMAIL_1>", _escaped(self.original) if json else self.original)

    def open_from(self, text: str) -> int:
        return next((at for at in range(max(0, len(text) - 8), len(text)) if "<EMAIL_1>".startswith(text[at:])), len(text))


def call_of(operation: Operation, choices: int = 1) -> Call:
    surface = Surface.ANTHROPIC if operation is Operation.MESSAGES else Surface.OPENAI
    return Call(operation, surface, "m", b"{}", {}, stream=True, choices=choices)


def decoder_of(call: Call) -> Any:
    match call.operation:
        case Operation.CHAT | Operation.COMPLETIONS:
            return OpenAIStream(include_usage=False, choices=call.choices)
        case Operation.MESSAGES:
            return MessagesStream()
        case Operation.RESPONSES:
            return ResponsesStream()
    return MediaStream(call)


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("it waited")


class Client:
    """What a client has of a stream, at every moment."""

    def __init__(
        self, call: Call, guards: Sequence[Guard], unmask: Any = None, sources: Sequence[Passage] = (), decoder: Any = None
    ) -> None:
        self.call = call
        self.verdicts: list[Verdict] = []
        self.stream = GuardedStream(call, guards, unmask, self.verdicts.append, FakeClock(), sources, tenant="contoso")
        self.decoder = decoder_of(call) if decoder is None else decoder
        self._texts: dict[Any, str] = {}
        self.events: list[StreamEvent] = []
        self.came: list[StreamEvent] = []
        self.moments: list[dict[Any, str]] = []  # what each text was, after each event

    async def read(self, pieces: Iterable[bytes], *, end: bool = True) -> "Client":
        for piece in pieces:
            await self._take(self.decoder.feed(piece))
        if end:
            await self._take(self.decoder.finish())
        return self

    async def _take(self, events: list[StreamEvent]) -> None:
        self.came += events
        for event in await self.stream.feed(events):
            self.events.append(event)
            add_texts(self._texts, self.call.operation, documents_of(event.data))
            self.moments.append(dict(self._texts))

    @property
    def data(self) -> bytes:
        return b"".join(event.data for event in self.events)

    @property
    def documents(self) -> list[Any]:
        return documents_of(self.data)

    @property
    def texts(self) -> dict[Any, str]:
        return texts_of(self.call.operation, self.documents)

    @property
    def outcomes(self) -> dict[str, str]:
        return {verdict.guard: verdict.outcome.value for verdict in self.verdicts}


def documents_of(data: bytes) -> list[Any]:
    return [json.loads(sent.data) for sent in SseParser().feed(data) if sent.data != b"[DONE]"]


def texts_of(operation: Operation, documents: list[Any]) -> dict[Any, str]:
    """Add up a client's deltas, by place."""
    texts: dict[Any, str] = {}
    add_texts(texts, operation, documents)
    return texts


def add_texts(texts: dict[Any, str], operation: Operation, documents: list[Any]) -> None:
    for document in documents:
        for key, text in _deltas(operation, document):
            if type(text) is str:
                texts[key] = texts.get(key, "") + text


def _deltas(operation: Operation, document: Any) -> Iterator[tuple[Any, Any]]:
    kind = document.get("type", "")
    if operation in {Operation.CHAT, Operation.COMPLETIONS}:
        for choice in document["choices"]:
            yield (choice["index"], "text"), choice.get("text")
            delta = choice.get("delta") or {}
            yield from (((choice["index"], name), delta.get(name)) for name in ("content", "refusal", "reasoning_content"))
            for called in delta.get("tool_calls") or ():
                yield (choice["index"], "call", called["index"]), called["function"].get("arguments")
    elif kind == "content_block_delta":
        yield from (((document["index"], name), document["delta"].get(name)) for name in ("text", "thinking", "partial_json"))
    elif kind == "transcript.text.delta":
        yield "transcript", document["delta"]
    elif kind.endswith(".delta"):
        yield (kind, document.get("output_index")), document["delta"]


# Each sender says pieces (channel, text) in its dialect, in their order, and ends.

type Said = Sequence[tuple[int, str]]


def chat(said: Said, choices: int = 2, **over: Any) -> list[bytes]:
    def chunk(entries: list[Any], **more: Any) -> bytes:
        document = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": entries, **more}
        return frame(json.dumps(document).encode())

    def entry(index: int, delta: Any, reason: Any = None) -> Any:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}

    begun = [chunk([entry(index, {"role": "assistant", "content": ""})]) for index in range(choices)]
    spoken = [chunk([entry(place % choices, {"content": text})]) for place, text in said]
    ended = [chunk([entry(index, {}, "stop")]) for index in range(choices)]
    return [*begun, *spoken, *ended, chunk([], usage={"prompt_tokens": 1, "completion_tokens": 2}), frame(b"[DONE]")]


def completions(said: Said) -> list[bytes]:
    def chunk(index: int, text: str, reason: Any = None) -> bytes:
        choice = {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
        return frame(json.dumps({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}).encode())

    return [*(chunk(place % 2, text) for place, text in said), chunk(0, "", "stop"), chunk(1, "", "stop"), frame(b"[DONE]")]


def messages(said: Said) -> list[bytes]:
    """Thinking is place 0, text place 1, a tool's input place 2: one block after the other."""

    def event(kind: str, **more: Any) -> bytes:
        return framed(kind.encode(), json.dumps({"type": kind, **more}).encode())

    usage = {"input_tokens": 1, "output_tokens": 1}
    out = [event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage})]
    blocks: list[tuple[Any, str, str]] = [
        ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking"),
        ({"type": "text", "text": ""}, "text_delta", "text"),
        ({"type": "tool_use", "id": "t1", "name": "f", "input": {}}, "input_json_delta", "partial_json"),
    ]
    for index, (block, kind, name) in enumerate(blocks):
        out.append(event("content_block_start", index=index, content_block=block))
        out += [event("content_block_delta", index=index, delta={"type": kind, name: text}) for place, text in said if place == index]
        if index == 0:
            out.append(event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": "signed"}))
        out.append(event("content_block_stop", index=index))
    out.append(event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5}))
    return [*out, event("message_stop")]


def responses(said: Said) -> list[bytes]:
    """A message is place 0, a call's arguments place 1, reasoning place 2: interleaved, as no backend does, but may."""
    numbers = iter(range(10_000))

    def event(kind: str, **more: Any) -> bytes:
        return named(kind, json.dumps({"type": kind, "sequence_number": next(numbers), **more}).encode())

    text, arguments, thought = ("".join(piece for place, piece in said if place == index) for index in range(3))
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    items: list[Any] = [
        {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]},
        {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f", "arguments": arguments},
        {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": thought}]},
    ]
    begun = {"id": "resp_1", "object": "response", "status": "in_progress", "output": [], "model": "m"}
    out = [event("response.created", response=begun), event("response.in_progress", response=begun)]
    for index, item in enumerate(items):
        empty = {name: ("in_progress" if name == "status" else [] if name == "content" else "" if name == "arguments" else value)
                 for name, value in item.items()}  # fmt: skip
        out.append(event("response.output_item.added", output_index=index, item=empty))
        if index != 1:
            empty_part = {**item["content"][0], "text": ""}
            out.append(event("response.content_part.added", item_id=item["id"], output_index=index, content_index=0, part=empty_part))
    kinds = ("response.output_text", "response.function_call_arguments", "response.reasoning_text")
    for place, piece in said:
        at = {"item_id": items[place]["id"], "output_index": place, **({} if place == 1 else {"content_index": 0})}
        out.append(event(f"{kinds[place]}.delta", **at, delta=piece))
    for place, item in enumerate(items):
        at = {"item_id": item["id"], "output_index": place, **({} if place == 1 else {"content_index": 0})}
        out.append(
            event(f"{kinds[place]}.done", **at, **({"arguments": arguments} if place == 1 else {"text": (text, "", thought)[place]}))
        )
        if place != 1:
            out.append(event("response.content_part.done", **at, part=item["content"][0]))
        out.append(event("response.output_item.done", output_index=place, item=item))
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    return [*out, event("response.completed", response={**begun, "status": "completed", "output": items, "usage": usage})]


def transcription(said: Said) -> list[bytes]:
    def event(kind: str, **more: Any) -> bytes:
        return b"event: " + kind.encode() + b"\n" + frame(json.dumps({"type": kind, **more}).encode())

    return [*(event("transcript.text.delta", delta=text) for _, text in said),
            event("transcript.text.done", text="".join(text for _, text in said), usage={"type": "tokens", "total_tokens": 1})]  # fmt: skip


SENDERS: dict[Operation, Any] = {
    Operation.CHAT: chat,
    Operation.COMPLETIONS: completions,
    Operation.MESSAGES: messages,
    Operation.RESPONSES: responses,
    Operation.TRANSCRIPTION: transcription,
}
# How many texts a sender has.
PLACES = {
    Operation.CHAT: 2,
    Operation.COMPLETIONS: 2,
    Operation.MESSAGES: 3,
    Operation.RESPONSES: 3,
    Operation.TRANSCRIPTION: 1,
}


def chunk(delta: Any, reason: Any = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason} | more.pop("choice", {})
    document = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    return frame(json.dumps(document).encode())


DONE = frame(b"[DONE]")


def read(pieces: list[bytes], *guards: Guard, operation: Operation = Operation.CHAT, unmask: Any = None, choices: int = 1) -> Client:
    return run(Client(call_of(operation, choices), guards or (guard(),), unmask).read(pieces))


def called(arguments: str, index: int = 0, **first: Any) -> bytes:
    begun = {"id": first["id"], "type": "function"} if first else {}
    named = {"name": first["name"]} if first else {}
    return chunk({"tool_calls": [{"index": index, **begun, "function": {**named, "arguments": arguments}}]})


VERDICT = {
    "guard": "secrets",
    "direction": "output",
    "category": "secret",
    "severity": None,
    "score": 1.0,
    "reason": None,
    "message": "no secrets here",
}


def blocking(**over: Any) -> Guard:
    return guard(Action.BLOCK, config=Terms(id="secrets", terms=("x",), message="no secrets here"), **over)
