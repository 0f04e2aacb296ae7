"""Every text of a request: found in every dialect, and replaced.

    read_call(call) -> Texts(passages, unread)        with_texts(call, {index: new text}) -> call

The place of a text in the list is its index; what stands beside the conversation comes first (`besides.py`), then system texts, then
the conversation, earlier turns before later ones.
What is replaced changes the call's document and its body alike; of the body only the top-level members that hold a changed text
are written anew. What holds no text (`unread`: image, audio, file, tokens, binary, json) is said, so that no verdict claims to
have seen it.

| operation | passages |
| --- | --- |
| chat, responses, messages | `chat.py`, `responses.py`, `messages.py` |
| completions | `prompt`, `suffix` |
| embeddings, moderations | `input` |
| images | `prompt` |
| speech | `input`, `instructions` |
| transcription | the form's `prompt` |
| pass-through | every string of a JSON body, every value of a form, any other text (`body.py`); then names and values of the query |
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote_plus

import msgspec

from gateway.domain import multipart
from gateway.domain.call import Call, Operation
from gateway.domain.splice import splice
from gateway.domain.verdicts import Passage, Role
from gateway.guardrails.texts.besides import read_besides
from gateway.guardrails.texts.body import Body, read_body, write_body
from gateway.guardrails.texts.chat import read_chat_texts
from gateway.guardrails.texts.messages import read_messages_texts
from gateway.guardrails.texts.put import replaced
from gateway.guardrails.texts.reader import AUDIO, BINARY, FILE, JSON, Reader
from gateway.guardrails.texts.responses import read_responses_texts


class Texts(msgspec.Struct, frozen=True, gc=False):
    """What there is to look at.

    Attributes:
        passages: The texts.
        unread: What else there is, of which no text can be read: image, audio, file, tokens, binary, json.
    """

    passages: tuple[Passage, ...] = ()
    unread: tuple[str, ...] = ()


def read_call(call: Call) -> Texts:
    """Return the texts of a request, and what it holds besides."""
    if call.operation is Operation.FORWARD:
        found = read_document(_body_of(call), Role.USER)
        return Texts((*found.passages, *_queried(call.query)), found.unread) if call.query else found
    reader = Reader(embedded=call.operation in _EMBEDDED)
    read = _READ.get(call.operation)
    if read is not None:
        read_besides(reader, call.operation, call.document)
        read(reader, call.document)
    return Texts(tuple(reader.found), tuple(reader.unread))


def passages(call: Call) -> list[Passage]:
    """Return the texts of a request."""
    return list(read_call(call).passages)


def unread(call: Call) -> tuple[str, ...]:
    """Return what a request holds that texts cannot be read of: image, audio, file, tokens, binary, json."""
    return read_call(call).unread


def with_texts(call: Call, texts: Mapping[int, str]) -> Call:
    """Return the call with other texts; the very same object where nothing changes.

    Args:
        call: The request.
        texts: Index into `passages(call)` to what is to stand there.
    """
    if not texts:
        return call
    found = read_call(call).passages
    changed = {index: text for index, text in texts.items() if text != found[index].text}
    changes = [(found[index], text) for index, text in changed.items()]
    if not changes:
        return call
    if call.operation is Operation.FORWARD:
        in_body = len(found) - len(_queried(call.query))
        before = _body_of(call)
        document = replaced(before.document, [(found[index], text) for index, text in changed.items() if index < in_body])
        asked = [(found[index], text) for index, text in changed.items() if index >= in_body]
        body = write_body(call.body, call.content_type, before, document)
        return msgspec.structs.replace(call, body=body, query=_with_queried(call.query, asked) if asked else call.query)
    document = replaced(call.document, changes)
    if call.operation is Operation.TRANSCRIPTION:
        parts = multipart.read_parts(call.body, multipart.boundary_of(call.content_type))
        (part,) = (each for each in parts if each.name == "prompt")
        return msgspec.structs.replace(call, document=document, body=multipart.replace(call.body, part, document["prompt"].encode()))
    members = {str(passage.path[0]) for passage, _ in changes}
    body = splice(call.body, {name: msgspec.json.encode(document[name]) for name in members})
    return msgspec.structs.replace(call, document=document, body=body)


def read_document(body: Body, role: Role) -> Texts:
    """Return the texts of a body that nobody here knows the members of."""
    reader = Reader(binary=True)
    if body.ambiguous:
        reader.miss(JSON)
    if body.form == "text":
        reader.text((), body.document, role)
    elif body.form:
        reader.data((), body.document, role)
    if body.form == "parts" and None in body.document:
        reader.miss(FILE)
    if body.unreadable:
        reader.miss(BINARY)
    return Texts(tuple(reader.found), tuple(reader.unread))


def _body_of(call: Call) -> Body:
    return read_body(call.body, call.content_type, strict=True)


def _queried(query: str) -> list[Passage]:
    """Return the names and values of a query: half of a pair each, in which a blank may be a plus."""
    halves = [half for pair in query.split("&") for half in pair.partition("=")[::2]]
    return [Passage((place,), unquote_plus(half), Role.USER) for place, half in enumerate(halves) if half]


def _with_queried(query: str, changes: Iterable[tuple[Passage, str]]) -> str:
    texts = {passage.path[0]: quote(text, safe="") for passage, text in changes}
    made = []
    for place, pair in enumerate(query.split("&")):
        name, equals, value = pair.partition("=")
        made.append(texts.get(2 * place, name) + equals + texts.get(2 * place + 1, value))
    return "&".join(made)


def _completions(reader: Reader, document: Mapping[str, Any]) -> None:
    reader.texts(("prompt",), document.get("prompt"), Role.USER)
    reader.texts(("suffix",), document.get("suffix"), Role.USER)


def _input(reader: Reader, document: Mapping[str, Any]) -> None:
    reader.texts(("input",), document["input"], Role.USER)


def _moderation(reader: Reader, document: Mapping[str, Any]) -> None:
    reader.said(("input",), document["input"], Role.USER)


def _prompt(reader: Reader, document: Mapping[str, Any]) -> None:
    reader.texts(("prompt",), document.get("prompt"), Role.USER)


def _speech(reader: Reader, document: Mapping[str, Any]) -> None:
    reader.texts(("instructions",), document.get("instructions"), Role.SYSTEM)
    _input(reader, document)


def _transcription(reader: Reader, document: Mapping[str, Any]) -> None:
    _prompt(reader, document)
    reader.miss(AUDIO)


_EMBEDDED = frozenset({Operation.CHAT, Operation.RESPONSES})
_READ: Mapping[Operation, Callable[[Reader, Mapping[str, Any]], None]] = {
    Operation.CHAT: read_chat_texts,
    Operation.RESPONSES: read_responses_texts,
    Operation.MESSAGES: read_messages_texts,
    Operation.COMPLETIONS: _completions,
    Operation.EMBEDDINGS: _input,
    Operation.IMAGES: _prompt,
    Operation.SPEECH: _speech,
    Operation.MODERATIONS: _moderation,
    Operation.TRANSCRIPTION: _transcription,
}
