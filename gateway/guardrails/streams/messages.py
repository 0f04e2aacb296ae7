"""Guarded streams of Anthropic's Messages: blocks, one after the other.

    message_start · content_block_start {"index", "content_block"} · content_block_delta {"index", "delta": {"type", …}} ·
    content_block_stop · message_delta {"delta": {"stop_reason"}} · message_stop

A block's text and thinking are texts that come in pieces; a tool's input waits until its block stops. What waits is said in a
delta before the stop. Thinking in which something was redacted loses its signature, which holds for other words: the client
that sends it back is not refused, because unsigned thoughts are left out.

Source: Claude API reference, "Streaming messages" (read 2026-11-22).
"""

from typing import Any

from gateway.guardrails.blocked import MEMBER
from gateway.guardrails.streams.dialect import Common, Document
from gateway.guardrails.streams.texts import Texts

_TEXTS = {"text_delta": "text", "thinking_delta": "thinking"}
_OF_BLOCK = {"text": "text_delta", "thinking": "thinking_delta"}


class MessagesDialect(Common):
    """The Dialect of Messages."""

    __slots__ = ("_inputs", "_open", "_unsigned")

    def __init__(self, texts: Texts) -> None:
        super().__init__(texts)
        self._open: list[int] = []  # blocks that have not stopped
        self._inputs: dict[int, list[str]] = {}
        self._unsigned: set[int] = set()

    async def take(self, document: Document) -> list[Document] | None:
        """Read an event."""
        kind, index = document.get("type"), document.get("index") or 0
        if kind == "content_block_delta":
            return await self._delta(document, index, document["delta"])
        if kind == "content_block_start":
            changed = await self._start(document["content_block"], index)
            if self.watch.ended and self._open[-1:] != [index]:
                return []
            return [document] if changed else None
        if kind == "content_block_stop":
            return await self._stop(document, index)
        if kind == "message_start" and (document.get("message") or {}).get("content"):
            changed = await self.texts.rewrite(document["message"]["content"])
            return [document] if changed else None
        return None

    async def rest(self) -> list[Document]:
        """Return what still waits, where blocks have not stopped."""
        return [each for index in list(self._open) for each in await self._flushed(index)]

    def ending(self, verdict: Document) -> list[Document]:
        """Stop the open blocks, then the message."""
        stops = [{"type": "content_block_stop", "index": index} for index in self._open]
        delta = {"stop_reason": "refusal", "stop_sequence": None}
        end = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 0}, MEMBER: verdict}
        return [*stops, end, {"type": "message_stop"}]

    async def _start(self, block: Document, index: int) -> bool:
        kind = str(block.get("type"))
        name = kind if kind in _OF_BLOCK else ""
        self._open.append(index)
        if name and block.get(name):
            text = block[name]
            block[name] = await self.channel((index, _OF_BLOCK[name])).push(text)
            return bool(block[name] != text) or await self._others(block, name)
        if kind in _OF_BLOCK or kind == "redacted_thinking":
            return await self._others(block, name)
        self.watch.grew(0, {"content": [block]})
        changed = False if self.watch.ended else await self.texts.rewrite(block)
        if self.watch.ended:
            self._open.pop()  # the client never hears of it
        return changed

    async def _others(self, block: Document, name: str) -> bool:
        others = {key: value for key, value in block.items() if key != name and type(value) in {dict, list}}
        return await self.texts.rewrite(others) if others else False

    async def _delta(self, document: Document, index: int, delta: Document) -> list[Document] | None:
        kind = delta.get("type") or ""
        name = _TEXTS.get(kind)
        if name is not None:
            text = delta.get(name) or ""
            delta[name] = await self.channel((index, kind)).push(text) if text else text
            return None if delta[name] == text else [document] if delta[name] else []
        if kind == "input_json_delta":
            if piece := delta.get("partial_json"):
                self._inputs.setdefault(index, []).append(piece)
            return [] if piece else None
        if kind == "signature_delta":
            return await self._sign(document, index, delta)
        changed = await self.texts.rewrite(delta)
        return [] if self.watch.ended else [document] if changed else None

    async def _sign(self, document: Document, index: int, delta: Document) -> list[Document] | None:
        before = await self._flushed(index)
        channel = self.channels.get((index, "thinking_delta"))
        if self.watch.ended:
            return before
        if channel is not None and channel.redacted:
            delta["signature"] = ""
            return [*before, document]
        return [*before, document] if before else None

    async def _stop(self, document: Document, index: int) -> list[Document] | None:
        before = await self._flushed(index)
        if self.watch.ended:
            return before
        if index in self._open:
            self._open.remove(index)
        return [*before, document] if before else None

    async def _flushed(self, index: int) -> list[Document]:
        """Return what a block still holds back, as deltas."""
        made: list[Document] = []
        for key, channel in list(self.channels.items()):
            if key[0] == index:
                if rest := await channel.flush():
                    made.append(_delta(index, key[1], _TEXTS[key[1]], rest))
                self.texts.remember(channel)
        pieces = self._inputs.pop(index, None)
        if pieces and (value := await self.texts.arguments("".join(pieces))):
            made.append(_delta(index, "input_json_delta", "partial_json", value))
        return made


def _delta(index: int, kind: str, name: str, value: Any) -> Document:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: value}}
