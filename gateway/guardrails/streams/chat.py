"""Guarded streams of chats and completions: chunks.

    {"id", …, "choices": [{"index", "delta": {"content", "refusal", "reasoning_content", "tool_calls": […], …}, "finish_reason",
    "logprobs"}]} … [DONE]

Each choice has a text for `content`, `refusal`, `reasoning_content`, `reasoning` and what its sound says; a completion's has
one, `text`. Tool calls' arguments wait until their choice ends: calls may come interleaved, and an escape may be cut. What
waits is said in a chunk of its own before the one with the `finish_reason`. `logprobs` repeat the text token by token, so they
are left out. Signed thoughts that hold a finding are left out whole: without its words a signature is worth nothing.

Source: OpenAI API reference, "Chat streaming" and "Create completion" (read 2026-11-22).
"""

from collections.abc import Iterable
from typing import Any

from gateway.domain.call import Call
from gateway.guardrails.blocked import FINISH_REASON, MEMBER
from gateway.guardrails.streams.dialect import Common, Document
from gateway.guardrails.streams.texts import Texts
from gateway.guardrails.texts.besides import OF_ANSWERS, OF_CHOICES

_TEXTS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
_CALLS = frozenset({"tool_calls", "function_call"})
_NO_TEXTS = frozenset({"role", "name"})
_CALLED = (("function", "arguments"), ("custom", "input"))
_NEVER_COPIED = frozenset({"choices", "usage", "prompt_filter_results", "obfuscation"})


class ChatDialect(Common):
    """The Dialect of chat.

    Args:
        texts: The stream's.
        call: Says how many choices there are.
    """

    __slots__ = ("_arguments", "_base", "_open", "_usage")

    def __init__(self, texts: Texts, call: Call) -> None:
        super().__init__(texts)
        self._open = set(range(call.choices))
        self._base: Document = {}
        self._usage = call.include_usage
        self._arguments: dict[tuple[int, Any, str], list[str]] = {}  # choice, call, and which of `_CALLED`

    async def take(self, document: Document) -> list[Document] | None:
        """Read a chunk."""
        choices = document.get("choices")
        if not choices:
            return None
        self._base = {name: value for name, value in document.items() if name not in _NEVER_COPIED}
        before: list[Document] = []
        changed = await self._more(document, OF_ANSWERS)
        for choice in choices:
            changed = await self._more(choice, OF_CHOICES) or changed
            if self.watch.ended:
                return before
            changed = await self._choice(choice, before) or changed
        if not changed and not before:
            return None
        kept = [choice for choice in choices if not self._bare(choice)]
        if not kept and not document.get("usage") and not document.get("prompt_filter_results") and document.keys() <= OF_ANSWERS:
            return before
        document["choices"] = kept or choices
        return [*before, document]

    async def _more(self, node: Document, known: frozenset[str]) -> bool:
        """Read the members that are new to us; returns whether anything changed."""
        if node.keys() <= known:
            return False
        more = {name: value for name, value in node.items() if name not in known}
        changed = await self.texts.rewrite(more)
        node.update(more)
        return changed

    async def rest(self) -> list[Document]:
        """Return what still waits, where choices have not ended."""
        before: list[Document] = []
        for index in sorted({key[0] for key in (*self.channels, *self._arguments)} & self._open):
            await self._end(index, {}, before)
        return before

    def ending(self, verdict: Document) -> list[Document]:
        """End all open choices."""
        choices = [self._entry(index, {}) | {"finish_reason": FINISH_REASON} for index in sorted(self._open)]
        return [{**self._chunk(choices), MEMBER: verdict}]

    async def _choice(self, choice: Document, before: list[Document]) -> bool:
        index = choice.get("index") or 0
        said = self._said(choice)
        changed = await self._read(index, said, self._texts_of(said))
        if choice.get("logprobs") is not None:
            choice["logprobs"] = None
            changed = True
        if choice.get("finish_reason"):
            changed = await self._end(index, said, before) or changed
            if self.watch.ended:
                choice["finish_reason"] = None
                return True
            self._open.discard(index)
        else:
            self._open.add(index)
        return changed

    def _said(self, choice: Document) -> Document:
        return choice.get("delta") or {}

    def _texts_of(self, said: Document) -> Iterable[str]:
        return list(said)

    async def _read(self, index: int, said: Document, names: Iterable[str]) -> bool:
        changed = False
        for name in names:
            value = said[name]
            if not value or name in _NO_TEXTS:
                continue
            if name in _TEXTS and type(value) is str:
                said[name] = await self.channel((index, name)).push(value)
                changed = changed or said[name] != value
            elif name in _CALLS:
                changed = self._call(index, said, name) or changed
            elif name == "audio":
                changed = await self._sound(index, value) or changed
            elif name == "thinking_blocks":
                changed = await self._thoughts(said) or changed
            elif type(value) in {dict, list}:
                changed = await self.texts.rewrite(value) or changed
            else:
                changed = await self.texts.rewrite({name: value}) or changed
        return changed

    def _call(self, index: int, said: Document, name: str) -> bool:
        if not self._may(name, said[name]):
            said[name] = []
            return True
        if name == "function_call":
            return self._keep((index, None, name), said[name], "arguments")
        return self._hold(index, said[name])

    def _may(self, name: str, value: Any) -> bool:
        """Tell whether what is called may be."""
        named = [value] if name == "function_call" else [called.get(kind) or {} for called in value for kind, _ in _CALLED]
        if any(each.get("name") for each in named):
            self.watch.grew(0, {"choices": [{"message": {name: value}}]})
        return not self.watch.ended

    def _hold(self, index: int, calls: list[Document]) -> bool:
        changed = False
        for called in calls:
            place = called.get("index")
            if place is None:
                place = called.get("id") or self._last_call(index)
            for kind, member in _CALLED:
                if called.get(kind):
                    changed = self._keep((index, place, kind), called[kind], member) or changed
        return changed

    def _last_call(self, index: int) -> Any:
        return next((key[1] for key in reversed(self._arguments) if key[0] == index), 0)

    def _keep(self, key: tuple[int, Any, str], holder: Document, member: str) -> bool:
        """Take a piece of arguments out of its chunk."""
        piece = holder.get(member)
        if not piece:
            return False
        self._arguments.setdefault(key, []).append(piece)
        holder[member] = ""
        return True

    async def _sound(self, index: int, audio: Document) -> bool:
        if audio.get("data"):
            self.watch.skip("audio")
        transcript = audio.get("transcript")
        if not transcript:
            return False
        audio["transcript"] = await self.channel((index, "audio")).push(transcript)
        return bool(audio["transcript"] != transcript)

    async def _thoughts(self, said: Document) -> bool:
        # They go back to the model, which knows placeholders, and are signed: no originals are put back.
        if await self.texts.rewrite(said["thinking_blocks"], unmask=False):
            said["thinking_blocks"] = []
            return True
        return False

    async def _end(self, index: int, said: Document, before: list[Document]) -> bool:
        """Say what a choice still holds back: in the chunk that ends it where it goes on with that text, else in front of it."""
        changed = False
        for (its_index, name), channel in list(self.channels.items()):
            if its_index != index:
                continue
            rest = await channel.flush()
            if rest and type(said.get(name)) is str:
                said[name] += rest
                changed = True
            elif rest:
                delta = {"audio": {"transcript": rest}} if name == "audio" else {name: rest}
                before.append(self._chunk([self._entry(index, delta)]))
            self.texts.remember(channel)
        for key in [key for key in self._arguments if key[0] == index]:
            arguments = await self.texts.arguments("".join(self._arguments.pop(key)))
            before += [self._chunk([self._entry(index, _called(key, arguments))])] if arguments else []
        return changed

    def _entry(self, index: int, delta: Document) -> Document:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}

    def _chunk(self, choices: list[Document]) -> Document:
        return {**self._base, "choices": choices, **({"usage": None} if self._usage else {})}

    def _bare(self, choice: Document) -> bool:
        """Tell whether nothing is left in a choice that a client would miss."""
        if choice.get("finish_reason") or choice.get("content_filter_results"):
            return False
        return not any(self._says(name, value) for name, value in self._said(choice).items())

    def _says(self, name: str, value: Any) -> bool:
        if name == "tool_calls":
            return any(called.get("id") or any((called.get(kind) or {}).get("name") for kind, _ in _CALLED) for called in value or ())
        if name in {"function_call", "audio"}:
            return any((value or {}).values())
        return bool(value)


def _called(key: tuple[int, Any, str], arguments: str) -> Document:
    _, place, kind = key
    if kind == "function_call":
        return {kind: {"arguments": arguments}}
    member = dict(_CALLED)[kind]
    told = {"index": place} if type(place) is int else {"id": place}
    return {"tool_calls": [{**told, kind: {member: arguments}}]}


class CompletionsDialect(ChatDialect):
    """The Dialect of completions: the text is the choice's own."""

    __slots__ = ()

    def _said(self, choice: Document) -> Document:
        return choice

    def _texts_of(self, said: Document) -> Iterable[str]:
        return ("text",) if said.get("text") else ()

    async def _read(self, index: int, said: Document, names: Iterable[str]) -> bool:
        changed = False
        for name in names:
            text = said[name]
            said[name] = await self.channel((index, name)).push(text)
            changed = changed or said[name] != text
        return changed

    def _entry(self, index: int, delta: Document) -> Document:
        return {"index": index, "text": "", "logprobs": None, "finish_reason": None, **delta}

    def _bare(self, choice: Document) -> bool:
        return not (choice.get("finish_reason") or choice.get("content_filter_results") or choice.get("text"))
