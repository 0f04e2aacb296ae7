"""Guarded streams of OpenAI's Responses.

    response.created … response.output_item.added, response.content_part.added, response.output_text.delta …,
    response.output_text.done, response.content_part.done, response.output_item.done … response.completed

A text is what the deltas of one kind say at one place: item, content part, summary part. Arguments of calls wait for their
`….done`. What waits is said in a delta before the `….done`; that, and all that repeats the text afterwards, says what was
released. What the backend repeats of the request (`instructions`) gets its originals back and is not judged.

`sequence_number` stays as the backend gave it, because a stream that is taken up again begins after one; an event that is
added has that of the event before the one it precedes, so that numbers never fall.

Source: OpenAI API reference, "Streaming events" of Responses (read 2026-11-22).
"""

from typing import Any

from gateway.domain.verdicts import Passage
from gateway.guardrails.blocked import FINISH_REASON, MEMBER
from gateway.guardrails.streams.channels import Unmask
from gateway.guardrails.streams.dialect import Common, Document
from gateway.guardrails.streams.texts import Texts
from gateway.guardrails.texts.besides import read_echoes
from gateway.guardrails.texts.put import replaced
from gateway.guardrails.texts.reader import Reader

_ARGUMENTS = frozenset({"response.function_call_arguments", "response.mcp_call_arguments", "response.mcp_call.arguments"})
_SOUND = frozenset({"response.audio", "response.output_audio"})
_SAID = ("text", "refusal", "arguments", "input", "code", "transcript")
_PLACE = ("item_id", "output_index", "content_index", "summary_index")

type Key = tuple[str, Any, Any, Any]


class ResponsesDialect(Common):
    """The Dialect of Responses."""

    __slots__ = ("_arguments", "_items", "_open", "_parts", "_places", "_response", "_sequence")

    def __init__(self, texts: Texts) -> None:
        super().__init__(texts)
        self._arguments: dict[Key, list[str]] = {}
        self._places: dict[Key, Document] = {}  # texts and arguments that have not ended
        self._parts: dict[tuple[Any, Any], Document] = {}  # open content parts
        self._items: dict[Any, Document] = {}  # by their place, as the client has them
        self._open: set[Any] = set()  # items that have not ended
        self._response: Document = {}
        self._sequence = 0

    async def take(self, document: Document) -> list[Document] | None:
        """Read an event."""
        kind = str(document.get("type"))
        self._sequence = document.get("sequence_number") or self._sequence
        if kind.endswith(".delta"):
            return await self._delta(document, kind.removesuffix(".delta"))
        if type(document.get("response")) is dict:
            return await self._whole(document)
        before = await self._done(document, kind)
        self._call([(document.get("output_index"), document.get("item"))])
        if self.watch.ended:
            return before
        changed = await self.texts.rewrite({name: value for name, value in document.items() if type(value) in {dict, list}})
        changed = await self._own(document) or changed
        if self.watch.ended:
            return before
        self._follow(document, kind)
        return [*before, document] if changed or before else None

    async def rest(self) -> list[Document]:
        """Return what still waits, where texts have not ended."""
        return [each for key in list(self._places) for each in await self._flushed(key)]

    async def _delta(self, document: Document, name: str) -> list[Document] | None:
        delta = document.get("delta")
        if name in _SOUND:
            self.watch.skip("audio")
            return None
        if type(delta) is not str:
            changed = await self.texts.rewrite(delta) if type(delta) in {dict, list} else False
            return [] if self.watch.ended else [document] if changed else None
        key = _key(document, name)
        self._places.setdefault(key, {place: document[place] for place in _PLACE if place in document})
        if name in _ARGUMENTS:
            self._arguments.setdefault(key, []).append(delta)
            return []
        document["delta"] = await self.channel(key).push(delta)
        changed = document["delta"] != delta
        if document.get("logprobs"):
            document["logprobs"] = []
            changed = True
        if not changed:
            return None
        return [document] if document["delta"] or not delta else []

    async def _done(self, document: Document, kind: str) -> list[Document]:
        """Say what still waits of the texts that an event ends."""
        if kind.endswith(".done") and (key := _key(document, kind.removesuffix(".done"))) in self._places:
            return await self._flushed(key)
        if kind in {"response.output_item.done", "response.content_part.done"}:
            mine = [key for key, place in self._places.items() if _within(place, document)]
            return [each for key in mine for each in await self._flushed(key)]
        return []

    async def _flushed(self, key: Key) -> list[Document]:
        place = self._places[key]
        if key in self._arguments:
            rest = await self.texts.arguments("".join(self._arguments.pop(key)))
        else:
            rest = await self.channels[key].flush()
        if not self.watch.ended:
            if key in self.channels:
                self.texts.remember(self.channels[key])
            del self._places[key]
        if not rest:
            return []
        more: Document = {"logprobs": []} if key[0] == "response.output_text" else {}
        return [self._event(f"{key[0]}.delta", **place, delta=rest, **more)]

    async def _own(self, document: Document) -> bool:
        """Read the texts that are the event's own members."""
        own = {name: document[name] for name in _SAID if type(document.get(name)) is str and document[name]}
        changed = await self.texts.rewrite(own) if own else False
        if document.get("logprobs"):
            own["logprobs"] = []
            changed = True
        document.update(own)
        return changed

    async def _whole(self, document: Document) -> list[Document] | None:
        """Read an event that holds the response itself; before the last one `rest` was asked."""
        response = document["response"]
        output = response.get("output") or []
        self._call(list(enumerate(output)))
        changed = await self.texts.rewrite(output) if output and not self.watch.ended else False
        if self.watch.ended:
            return []
        if self.texts.unmask is not None and (originals := _originals(self.texts.unmask, response)):
            response = document["response"] = replaced(response, originals)
            changed = True
        self._response = response
        return [document] if changed else None

    def _call(self, items: list[tuple[Any, Any]]) -> None:
        """Ask whether what is called may be, once for each item."""
        new = [item for index, item in items if type(item) is dict and index not in self._items]
        if new and not self.watch.ended:
            self.watch.grew(0, {"output": new})

    def _follow(self, document: Document, kind: str) -> None:
        """Keep what is open, for an ending of our own."""
        index = document.get("output_index")
        if kind in {"response.output_item.added", "response.output_item.done"}:
            self._items[index] = {**document["item"]}
            (self._open.add if kind.endswith(".added") else self._open.discard)(index)
        elif kind == "response.content_part.added":
            self._parts[index, document.get("content_index")] = document
        elif kind == "response.content_part.done":
            self._parts.pop((index, document.get("content_index")), None)
            item = self._items.get(index)
            if item is not None:
                item["content"] = [*(item.get("content") or ()), document["part"]]

    def ending(self, verdict: Document) -> list[Document]:
        """End open texts, parts and items with what was released, then the response."""
        made: list[Document] = []
        for key, place in self._places.items():
            if key in self.channels and key[0] in {"response.output_text", "response.refusal", "response.reasoning_text"}:
                name = "refusal" if key[0] == "response.refusal" else "text"
                more: Document = {"logprobs": []} if key[0] == "response.output_text" else {}
                made.append(self._last(f"{key[0]}.done", **place, **{name: self.channels[key].released}, **more))
        for (index, content_index), added in self._parts.items():
            part = self._part(index, content_index, added)
            made.append(self._last("response.content_part.done", **{name: added[name] for name in _PLACE if name in added}, part=part))
            if index in self._items:
                self._items[index]["content"] = [*(self._items[index].get("content") or ()), part]
        for index in sorted(self._open):
            item = self._items[index]
            if "status" in item:
                item["status"] = "incomplete"
            made.append(self._last("response.output_item.done", output_index=index, item=item))
        response = {**self._response, "status": "incomplete", "incomplete_details": {"reason": FINISH_REASON}}
        response |= {"output": [self._items[index] for index in sorted(self._items)], MEMBER: verdict}
        return [*made, self._last("response.incomplete", response=response)]

    def _part(self, index: Any, content_index: Any, added: Document) -> Document:
        part = dict(added["part"])
        for key, place in self._places.items():
            if place.get("output_index") == index and place.get("content_index") == content_index and key in self.channels:
                part["refusal" if part.get("type") == "refusal" else "text"] = self.channels[key].released
        return part

    def _event(self, kind: str, **members: Any) -> Document:
        return {"type": kind, "sequence_number": max(self._sequence - 1, 0), **members}

    def _last(self, kind: str, **members: Any) -> Document:
        """Make an event of an ending: nothing of the backend's comes after it."""
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **members}


def _originals(unmask: Unmask, response: Document) -> list[tuple[Passage, str]]:
    """Return what a response repeats of its request, with its originals, where there are any."""
    reader = Reader()
    read_echoes(reader, response)
    found = [(each, unmask.text(each.text, json=False)) for each in reader.found]
    return [(each, original) for each, original in found if original != each.text]


def _key(document: Document, name: str) -> Key:
    item = document.get("output_index", document.get("item_id"))
    return name, item, document.get("content_index"), document.get("summary_index")


def _within(place: Document, document: Document) -> bool:
    """Tell whether a text's place is in the item, or the part, that an event ends."""
    if place.get("output_index") != document.get("output_index"):
        return False
    return "content_index" not in document or place.get("content_index") == document["content_index"]
