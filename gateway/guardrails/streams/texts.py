"""Texts of a stream that come whole: a tool call's arguments once they are complete, a title, what was streamed before.

Streams repeat at their ends what they said in pieces. What became of it then is remembered, so that it is said the same way
again and judged once. All else is read as it would be in a whole answer; services are shown the texts of one event together.
"""

from collections.abc import Sequence
from typing import Any

from gateway.domain.verdicts import Finding
from gateway.guardrails.streams.arguments import is_json, literals, rejoined
from gateway.guardrails.streams.channels import Channel, Unmask
from gateway.guardrails.streams.reader import Reader
from gateway.guardrails.streams.watch import Watch
from gateway.guardrails.streams.window import Cut, Found, Window, cut
from gateway.guardrails.texts.reader import NO_TEXT, SHORTEST_BINARY

# Members of events that hold no words: those of whole answers, what is sealed, and what is no text.
_NO_TEXT = NO_TEXT | {"encrypted_content", "file_id", "b64_json", "partial_image_b64", "data", "obfuscation", "finish_reason", "model"}
_JOINED = "\n"


class Texts:
    """The whole texts of one stream.

    Args:
        watch: The stream's guardrails.
        unmask: Puts originals back; None where nothing was masked.
    """

    __slots__ = ("_said", "unmask", "watch")

    def __init__(self, watch: Watch, unmask: Unmask | None) -> None:
        self.watch = watch
        self.unmask = unmask
        self._said: dict[str, str] = {}

    def remember(self, channel: Channel) -> str:
        """Note what became of a text that has ended, and return it."""
        released = channel.released
        self._said[channel.original] = released
        return released

    async def whole(self, texts: Sequence[str], *, unmask: bool = True) -> list[str]:
        """Return what the client may have of these texts; empty ones where the stream has ended over them."""
        watch = self.watch
        unsaid = [text for text in dict.fromkeys(texts) if text and text not in self._said]
        watch.grew(sum(map(len, unsaid)))
        cleared = [self._cleared(text) for text in unsaid]
        for readers in (watch.masking, watch.judging):
            if readers and cleared and not watch.ended:
                cleared = await self._judged(readers, cleared)
        if watch.reported and unsaid:
            watch.report(_JOINED.join(unsaid))
        if watch.ended:
            return [""] * len(texts)
        if self.unmask is not None and unmask:
            cleared = [self.unmask.text(text, json=False) for text in cleared]
        known = self._said | dict(zip(unsaid, cleared, strict=True))
        return [known.get(text, "") for text in texts]

    async def arguments(self, text: str) -> str:
        """Return a tool call's arguments, or other JSON, with every string in it read; still JSON where it was."""
        if text in self._said:
            return self._said[text]
        found = literals(text)
        values = await self.whole([value for _, _, value in found])
        if self.watch.ended:
            return ""
        made = rejoined(text, found, values)
        if not is_json(text):  # it was cut off, or is no JSON at all
            made = (await self.whole([made]))[0]
        self._said[text] = made
        return made

    async def rewrite(self, node: Any, *, unmask: bool = True) -> bool:
        """Read every text of a part of an event, in place; returns whether anything changed."""
        places: list[tuple[Any, Any]] = []
        changed = _collect(node, places)
        plain = [place for place in places if place[1] != "arguments"]
        values = await self.whole([holder[key] for holder, key in plain], unmask=unmask)
        for (holder, key), value in zip(plain, values, strict=True):
            if holder[key] != value:
                holder[key] = value
                changed = True
        for holder, key in places:
            if key == "arguments" and (value := await self.arguments(holder[key])) != holder[key]:
                holder[key] = value
                changed = True
        return changed

    def _cleared(self, text: str) -> str:
        if self.watch.ended:
            return ""
        if self.watch.spans_reported:
            Window(self.watch.spans_reported).whole(text)
        if not self.watch.spans:
            return text
        window = Window(self.watch.spans)
        cleared = window.whole(text)
        if window.blocked is not None:
            self.watch.blocked_by(self.watch.spans[window.blocked])
        return cleared

    async def _judged(self, readers: Sequence[Reader], texts: Sequence[str]) -> list[str]:
        found = await self.watch.judge(readers, _JOINED.join(texts))
        cleared, offset = [], 0
        for text in texts:
            here = [local for each in found if (local := _local(each, offset, len(text))) is not None]
            made: Cut = cut(text, 0, len(text), here, readers)
            if made.blocked is not None:
                self.watch.blocked_by(readers[made.blocked])
            cleared.append(made.text)
            offset += len(text) + len(_JOINED)
        return cleared


def _local(each: Found, offset: int, length: int) -> Found | None:
    finding = each.finding
    start, end = max(finding.start - offset, 0), min(finding.end - offset, length)
    if start >= end:
        return None
    return Found(Finding(start, end, finding.category, finding.score, finding.severity, finding.reason), each.rank)


def _collect(node: Any, places: list[tuple[Any, Any]]) -> bool:
    """Find the texts of a node; what repeats them token by token is emptied."""
    changed, todo = False, [node]
    while todo:
        holder = todo.pop()
        for key, value in list(holder.items()) if type(holder) is dict else enumerate(holder):
            if type(value) is str:
                if value and key not in _NO_TEXT and not (key == "result" and len(value) >= SHORTEST_BINARY and " " not in value):
                    places.append((holder, key))
            elif key == "logprobs" and value:
                holder[key] = [] if type(value) is list else None
                changed = True
            elif type(value) in {dict, list}:
                todo.append(value)
    return changed
