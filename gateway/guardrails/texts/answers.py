"""Every text of a whole answer: found in every dialect, and replaced.

    read_answer(operation, completion) → Answered(passages, unread)      with_answer_texts(answered, {index: new text}) → Completion

| operation | passages |
| --- | --- |
| chat | of every choice's message: content, refusal, reasoning, arguments of calls, the transcript of sound, titles of what it cites |
| completions | `choices[].text` |
| responses, stored ones and lists of their items | texts, refusals, reasoning, calls and their outputs |
| messages | blocks of text, thinking, the input of calls, the results of server tools |
| transcription | `text`, the texts of segments; subtitles and plain texts as a whole |
| images | `revised_prompt` |
| pass-through | as of requests (`body.py`) |

Members that are new to us, beside all these and in choices, are read as well (`besides.py`).

Where a text changes, what says the same beside it goes: `logprobs`, annotations (their offsets no longer hold), a segment's
`tokens`, `words`, sound whose transcript changed, and segments that together no longer make the text. An answer is only written
anew where it changes, top-level member by member.

Source: OpenAI API reference, "The chat completion object", "The transcription object (Verbose JSON)"; Claude API reference,
"Create a Message" (read 2026-11-22).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.call import Completion, Operation
from gateway.domain.verdicts import Passage, Role
from gateway.guardrails.texts.besides import read_echoes, read_more
from gateway.guardrails.texts.body import Body, read_body, write_body
from gateway.guardrails.texts.chat import read_message
from gateway.guardrails.texts.passages import Texts, read_document
from gateway.guardrails.texts.put import replaced
from gateway.guardrails.texts.reader import AUDIO, IMAGE, Reader
from gateway.guardrails.texts.responses import read_items

# Their answers are numbers or sound.
_WITHOUT_TEXT: Mapping[Operation, tuple[str, ...]] = {Operation.EMBEDDINGS: (), Operation.MODERATIONS: (), Operation.SPEECH: (AUDIO,)}
_REPEATS = ("logprobs", "annotations", "tokens")
_OPAQUE = frozenset({"input", "arguments"})  # below them names are the client's own


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A whole answer with what there is to look at.

    Attributes:
        operation: What was asked for.
        completion: The answer.
        body: Its bytes as a document.
        passages: The texts.
        unread: What else there is, of which no text can be read: image, audio, file, binary.
        echoes: What it repeats of the request: nobody judges it; their indices follow those of the passages.
    """

    operation: Operation
    completion: Completion
    body: Body
    passages: tuple[Passage, ...]
    unread: tuple[str, ...]
    echoes: tuple[Passage, ...] = ()


def read_answer(operation: Operation, completion: Completion) -> Answered:
    """Return an answer with its texts."""
    if operation in _WITHOUT_TEXT:
        return Answered(operation, completion, Body(), (), _WITHOUT_TEXT[operation])
    body = _body_of(completion)
    found = _texts_of(operation, body)
    return Answered(operation, completion, body, found.passages, found.unread, _echoes_of(operation, body))


def answer_passages(operation: Operation, document: Any) -> list[Passage]:
    """Return the texts of an answer's document: its JSON, parsed, or its text."""
    return list(_texts_of(operation, Body("text" if type(document) is str else "json", document)).passages)


def with_answer_texts(answered: Answered, texts: Mapping[int, str]) -> Completion:
    """Return the answer with other texts; the very same object where nothing changes.

    Args:
        answered: As `read_answer` made it.
        texts: Index into its passages and echoes to what is to stand there.
    """
    found, completion = (*answered.passages, *answered.echoes), answered.completion
    changes = [(found[index], text) for index, text in texts.items() if text != found[index].text]
    if not changes:
        return completion
    document = replaced(answered.body.document, changes)
    if answered.operation is not Operation.FORWARD and isinstance(document, dict):
        for passage, _ in changes:
            if passage not in answered.echoes:
                _forget(document, passage)
        if answered.operation is Operation.TRANSCRIPTION:
            _keep_segments_that_agree(document)
    return msgspec.structs.replace(completion, body=write_body(completion.body, completion.content_type, answered.body, document))


def _body_of(completion: Completion) -> Body:
    if completion.headers.get("content-encoding", "identity") != "identity":
        return Body(unreadable=True)
    return read_body(completion.body, completion.content_type, strict=False)


def _texts_of(operation: Operation, body: Body) -> Texts:
    read = _READ.get(operation)
    if read is None or type(body.document) is not dict:
        return read_document(body, Role.ASSISTANT)
    reader = Reader()
    read(reader, body.document)
    return Texts(tuple(reader.found), tuple(reader.unread))


def _echoes_of(operation: Operation, body: Body) -> tuple[Passage, ...]:
    if _READ.get(operation) is not _responses or type(body.document) is not dict:
        return ()
    reader = Reader()
    read_echoes(reader, body.document)
    return tuple(reader.found)


def _chat(reader: Reader, document: Mapping[str, Any]) -> None:
    read_more(reader, document)
    for index, choice in _objects(document.get("choices")):
        if type(choice.get("message")) is dict:
            read_message(reader, ("choices", index, "message"), choice["message"], Role.ASSISTANT)


def _completions(reader: Reader, document: Mapping[str, Any]) -> None:
    read_more(reader, document)
    for index, choice in _objects(document.get("choices")):
        reader.texts(("choices", index, "text"), choice.get("text"), Role.ASSISTANT)


def _responses(reader: Reader, document: Mapping[str, Any]) -> None:
    read_more(reader, document, echoes=True)
    read_items(reader, ("output",), document.get("output"), Role.ASSISTANT)
    read_items(reader, ("data",), document.get("data"), Role.USER)  # the input items of a stored response


def _messages(reader: Reader, document: Mapping[str, Any]) -> None:
    read_more(reader, document)
    reader.said(("content",), document.get("content"), Role.ASSISTANT)


def _transcription(reader: Reader, document: Mapping[str, Any]) -> None:
    reader.texts(("text",), document.get("text"), Role.ASSISTANT)
    for index, segment in _objects(document.get("segments")):
        reader.texts(("segments", index, "text"), segment.get("text"), Role.ASSISTANT)


def _images(reader: Reader, document: Mapping[str, Any]) -> None:
    reader.miss(IMAGE)
    for index, image in _objects(document.get("data")):
        reader.texts(("data", index, "revised_prompt"), image.get("revised_prompt"), Role.ASSISTANT)


def _objects(value: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(index, each) for index, each in enumerate(value) if type(each) is dict] if type(value) is list else []


def _forget(document: dict[str, Any], passage: Passage) -> None:
    """Leave out what repeats a text that changed. All that is on the way to it was copied, and may be changed."""
    node: Any = document
    for step in passage.path:
        if step in _OPAQUE:
            return
        if isinstance(node, dict):
            for name in _REPEATS:
                if node.get(name) is not None:
                    node[name] = [] if isinstance(node[name], list) else None
            node.pop("words", None)
            if step == "audio":
                node["audio"] = None
            if step == "audio" or step in _REPEATS:
                return
        node = node[step]


def _keep_segments_that_agree(document: dict[str, Any]) -> None:
    """Leave out segments that do not make up the text: what was taken out of it may stand in two of them, in pieces."""
    segments = [each.get("text") for _, each in _objects(document.get("segments"))]
    if segments and _squashed("".join(filter(None, segments))) != _squashed(document.get("text") or ""):
        del document["segments"]


def _squashed(text: str) -> str:
    return "".join(text.split())


_READ: Mapping[Operation, Callable[[Reader, Mapping[str, Any]], None]] = {
    Operation.CHAT: _chat,
    Operation.COMPLETIONS: _completions,
    Operation.RESPONSES: _responses,
    Operation.RESPONSE_ITEM: _responses,
    Operation.MESSAGES: _messages,
    Operation.TRANSCRIPTION: _transcription,
    Operation.IMAGES: _images,
}
