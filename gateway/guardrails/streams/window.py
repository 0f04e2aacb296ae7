"""A text that comes in pieces, released as soon as it is cleared: the window between a model and its client.

    text:      what was released │ what is held │ what comes
    read:           context ─────┼──────────────┤
                                 └ from here on more text could still make a finding of it

Rules: what stands before the earliest place that any detector calls open is final: it is released, with findings redacted,
and nothing that follows can change it. A finding that begins before that place and ends behind it is held whole. Detectors
read what was released as context, in its original words. The first finding that blocks ends the window: what stands before it
is released, and nothing after it. However the text is cut into pieces, the released pieces add up to the same.

Several detectors read the same original text. Where redactions overlap, all of it is replaced once, by the first one's words;
a finding that blocks counts for nothing where an earlier guardrail redacts all of it, as it would in a whole answer.

A long open stretch (a private key, a pattern without a longest match) is read again only when it has grown by a quarter, so
time stays linear.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from gateway.domain.verdicts import Finding, Reading

CONTEXT = 64  # characters, where a detector does not ask for more
_PATIENT = 512  # held characters from which on a window waits for more before it reads again


class Reader(Protocol):
    """A guardrail's detector, as a window needs it."""

    blocks: bool
    redacts: bool
    context: int

    def read(self, text: str) -> Reading:
        """Return what stands in a text."""

    def scan(self, text: str, start: int) -> tuple[Reading, int]:
        """Return what stands in a text, and from where on more text could make a finding of it.

        Where that is no later than `start`, nothing of it can be released, and there need be no findings.
        """

    def replacement(self, finding: Finding, original: str) -> str:
        """Return what takes the place of a finding."""

    def count(self, findings: Sequence[Finding], characters: int) -> None:
        """Count findings that are final, and the characters they were looked for in."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A finding, and the place of its reader among those of the window."""

    finding: Finding
    rank: int


class Cut(msgspec.Struct, frozen=True, gc=False):
    """What is released of a text; `blocked` is the place of the reader that lets nothing follow."""

    text: str
    blocked: int | None = None


def cut(text: str, start: int, limit: int, found: Sequence[Found], readers: Sequence[Reader]) -> Cut:
    """Redact what is released of a text, up to the first finding that blocks, and count the findings.

    Args:
        text: Context and what is held.
        start: Where the context ends.
        limit: Where what is released ends; no finding that begins before it ends behind it.
        found: Findings by all readers; those that begin at `limit` or later are left for the next time.
        readers: Who found them.
    """
    live = [each for each in found if each.finding.start < limit and each.finding.end > start]
    redactions = [each for each in live if readers[each.rank].redacts]
    blocking = [each for each in live if readers[each.rank].blocks and not _covered(each, redactions)]
    blocked = min(blocking, key=lambda each: (each.finding.start, each.rank), default=None)
    if blocked is not None:
        limit = max(start, min(limit, blocked.finding.start))
        live = [each for each in live if each.finding.start < limit or each is blocked]
        redactions = [each for each in redactions if each.finding.start < limit]
    for rank, reader in enumerate(readers):
        reader.count([each.finding for each in live if each.rank == rank], limit - start)
    parts: list[str] = []
    done = start
    for begin, end, first in _merged(redactions):
        begin_here = max(begin, start)
        parts += (text[done:begin_here], readers[first.rank].replacement(first.finding, text[first.finding.start : first.finding.end]))
        done = end
    parts.append(text[done:limit])
    return Cut("".join(parts), blocked.rank if blocked is not None else None)


def _covered(each: Found, redactions: Sequence[Found]) -> bool:
    start, end = each.finding.start, each.finding.end
    return any(other.rank < each.rank and other.finding.start <= start and end <= other.finding.end for other in redactions)


def _merged(redactions: Sequence[Found]) -> list[tuple[int, int, Found]]:
    """Return the stretches to be replaced, each with the finding whose words take its place."""
    merged: list[tuple[int, int, Found]] = []
    for each in sorted(redactions, key=lambda each: (each.finding.start, each.rank)):
        start, end = each.finding.start, each.finding.end
        if merged and start < merged[-1][1]:
            begin, last, first = merged[-1]
            merged[-1] = (begin, max(last, end), first)
        elif end > start:
            merged.append((start, end, each))
    return merged


def settled(limit: int, found: Sequence[Found]) -> int:
    """Return the limit moved to the left, so that no finding lies across it."""
    while across := [each.finding.start for each in found if each.finding.start < limit < each.finding.end]:
        limit = min(across)
    return limit


class Window:
    """One text's.

    Args:
        readers: Detectors that find places, in their guardrails' order.
    """

    __slots__ = ("_context", "_held", "_keep", "_next", "_readers", "blocked")

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers
        self._keep = max((reader.context for reader in readers), default=CONTEXT)
        self._context = ""
        self._held = ""
        self._next = 0  # characters that must be held before they are read again
        self.blocked: int | None = None  # the place of the reader that lets nothing follow

    @property
    def held(self) -> int:
        """How many characters wait."""
        return len(self._held)

    def push(self, piece: str) -> str:
        """Take the next piece and return what is cleared by it."""
        if self.blocked is not None:
            return ""
        self._held += piece
        if len(self._held) < self._next:
            return ""
        text, start = self._context + self._held, len(self._context)
        limit = len(text)
        found: list[Found] = []
        for rank, reader in enumerate(self._readers):
            reading, place = reader.scan(text, start)
            limit = min(limit, place)
            if limit <= start:
                return self._wait()
            found += [Found(finding, rank) for finding in reading.findings]
        if found:
            limit = settled(limit, found)
        return self._release(text, start, limit, found) if limit > start else self._wait()

    def whole(self, text: str) -> str:
        """Take a text that is complete, and return what is cleared of it."""
        self._held = text
        return self.flush()

    def flush(self) -> str:
        """Take the end of the text and return the rest."""
        if self.blocked is not None or not self._held:
            return ""
        text, start = self._context + self._held, len(self._context)
        return self._release(text, start, len(text), self._found(text))

    def _wait(self) -> str:
        held = len(self._held)
        self._next = held + held // 4 if held > _PATIENT else 0
        return ""

    def _found(self, text: str) -> list[Found]:
        return [Found(finding, rank) for rank, reader in enumerate(self._readers) for finding in reader.read(text).findings]

    def _release(self, text: str, start: int, limit: int, found: Sequence[Found]) -> str:
        if not found:
            for reader in self._readers:
                reader.count((), limit - start)
            made = Cut(text[start:limit])
        else:
            made = cut(text, start, limit, found, self._readers)
        self._held = text[limit:]
        self._next = 0
        self._context = left_context(text[:limit], self._keep)
        if made.blocked is not None:
            self.blocked = made.blocked
            self._held = ""
        return made.text


def left_context(text: str, keep: int) -> str:
    """Return the end of a text: at least `keep` characters, and at most twice as many, from the beginning of a word where one is."""
    tail = text[-2 * keep :]
    if len(tail) < 2 * keep:
        return tail
    for index in range(keep):
        if tail[index].isspace():
            return tail[index:]
    return tail[keep:]
