"""One text of a stream, on its way: detectors' window → stretches that redact → stretches that are judged → originals put back.

`Channel`: a text that comes in pieces. For those that come whole see `texts.py`.
"""

import re
from typing import Protocol

from gateway.guardrails.streams.reader import CHUNK
from gateway.guardrails.streams.segments import Segments
from gateway.guardrails.streams.watch import Watch
from gateway.guardrails.streams.window import Window

_JSON = re.compile(r'\s*(?:\{\s*"|\[\s*[\["{])')


class Unmask(Protocol):
    """Turns placeholders back into what they stand for."""

    def text(self, text: str, *, json: bool) -> str:
        """Return the text with its originals; `json` where it is the inside of a JSON string."""

    def open_from(self, text: str) -> int:
        """Return where a placeholder begins that the text's end cuts off; its length where there is none."""


class Channel:
    """One text that comes in pieces.

    Args:
        watch: The stream's guardrails.
        unmask: Puts originals back; None where nothing was masked.
    """

    __slots__ = (
        "_cleared", "_collected", "_json", "_original", "_placeholder", "_released",
        "_reporting", "_stages", "_unmask", "_watch", "_window",
    )  # fmt: skip

    def __init__(self, watch: Watch, unmask: Unmask | None) -> None:
        self._watch = watch
        self._unmask = unmask
        self._window = Window(watch.spans) if watch.spans else None
        self._reporting = Window(watch.spans_reported) if watch.spans_reported else None
        self._stages = [Segments(watch, readers) for readers in (watch.masking, watch.judging) if readers]
        self._collected = ""  # for those that judge stretches and only report
        self._placeholder = ""  # the beginning of one
        self._json: bool | None = None  # the text is a JSON document, whose strings stay strings; None before it begins
        self._original: list[str] = []
        self._cleared: list[str] = []
        self._released: list[str] = []

    @property
    def original(self) -> str:
        """What came."""
        return "".join(self._original)

    @property
    def released(self) -> str:
        """What was cleared."""
        return "".join(self._released)

    @property
    def redacted(self) -> bool:
        """Whether what was cleared of an ended text differs from what came; originals that were put back do not count."""
        return "".join(self._cleared) != "".join(self._original)

    async def push(self, piece: str) -> str:
        """Take the next piece and return what the client may have now."""
        if self._watch.ended:
            return ""
        self._watch.grew(len(piece))
        if self._watch.ended:
            return ""
        self._original.append(piece)
        self._report(piece)
        text = piece if self._window is None else self._window.push(piece)
        if self._window is not None and self._window.blocked is not None:
            return await self._last(text)
        for stage in self._stages:
            if not text:
                return ""
            text = await stage.push(text)
        return self._out(text)

    async def flush(self) -> str:
        """Take the end of the text and return the rest."""
        if self._watch.ended:
            return ""
        self.abandon()
        return await self._last(self._window.flush() if self._window is not None else "")

    def abandon(self) -> None:
        """Let those that only report read the rest: nothing more comes."""
        if self._reporting is not None:
            self._reporting.flush()
        self._report_stretch()

    async def _last(self, text: str) -> str:
        """Send a text, and all that waits, through the stages."""
        for stage in self._stages:
            text = (await stage.push(text) if text else "") + await stage.flush()
        if self._window is not None and self._window.blocked is not None:
            self._watch.blocked_by(self._watch.spans[self._window.blocked])
        return self._out(text, end=True)

    def _report(self, piece: str) -> None:
        if self._reporting is not None:
            self._reporting.push(piece)
        if self._watch.reported:
            self._collected += piece
            if len(self._collected) >= CHUNK:
                self._report_stretch()

    def _report_stretch(self) -> None:
        if self._collected:
            collected, self._collected = self._collected, ""
            self._watch.report(collected)

    def _out(self, text: str, *, end: bool = False) -> str:
        """Put originals back; what may be the beginning of a placeholder waits."""
        if self._unmask is not None:
            self._cleared.append(text)
            text, self._placeholder = self._placeholder + text, ""
            if not end:
                place = self._unmask.open_from(text)
                text, self._placeholder = text[:place], text[place:]
            if self._json is None and text.lstrip():
                self._json = _JSON.match(text) is not None
            text = self._unmask.text(text, json=bool(self._json))
        if text:
            self._released.append(text)
            if self._unmask is None:
                self._cleared.append(text)
        return text
