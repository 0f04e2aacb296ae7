"""Stretches of a stream's text, each judged as a whole before it is released.

Text is collected to `chunk` characters, or to its end, and judged together with the end of the stretch before it, so that
nothing hides on a boundary. Where judges only block, a stretch that passes is released whole. Where they redact, its last
characters wait to be judged again with what follows: a name that the boundary cut is redacted whole.
"""

from collections.abc import Sequence

from gateway.guardrails.streams.reader import Reader
from gateway.guardrails.streams.watch import Watch
from gateway.guardrails.streams.window import cut, settled

OVERLAP = 100  # characters


class Segments:
    """One text's.

    Args:
        watch: The stream's guardrails.
        readers: Those that judge; all of them redact, or none.
    """

    __slots__ = ("_chunk", "_context", "_held", "_readers", "_watch")

    def __init__(self, watch: Watch, readers: Sequence[Reader]) -> None:
        self._watch = watch
        self._readers = readers
        # The longest: a shorter stretch would still wait for it. 0 is the whole text.
        self._chunk = 0 if any(not reader.chunk for reader in readers) else max(reader.chunk for reader in readers)
        self._context = ""
        self._held = ""

    async def push(self, piece: str) -> str:
        """Take the next piece and return what is cleared by it."""
        self._held += piece
        if not self._chunk or len(self._held) < self._chunk + self._tail:
            return ""
        return await self._judge(self._tail)

    async def flush(self) -> str:
        """Take the end of the text and return the rest."""
        return await self._judge(0) if self._held else ""

    @property
    def _tail(self) -> int:
        return OVERLAP if self._readers[0].redacts else 0

    async def _judge(self, tail: int) -> str:
        text, start = self._context + self._held, len(self._context)
        found = await self._watch.judge(self._readers, text)
        if self._watch.failure is not None:
            return ""
        limit = settled(len(text) - tail, found) if tail else len(text)
        if limit <= start:
            # One finding fills the stretch: what is known of it is enough.
            limit = len(text)
        made = cut(text, start, limit, found, self._readers)
        self._context, self._held = text[:limit][-OVERLAP:], text[limit:]
        if made.blocked is not None:
            self._held = ""
            self._watch.blocked_by(self._readers[made.blocked])
        return made.text
