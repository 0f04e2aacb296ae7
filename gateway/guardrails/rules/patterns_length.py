r"""How many characters a match of an RE2 pattern has, at least and at most, and how many steps it takes; read from its syntax.

    alternatives: sequence ("|" sequence)*    sequence: (piece times*)*    times: * + ? {n} {n,} {n,m}, each also lazy
    piece: (group) [class] . ^ $ \escape character

It reads what RE2 has compiled, so it refuses nothing itself but `\C`, a byte, which would cut characters in two. Where it is not
sure (`\Q…\E`) it says that there is no longest match.

Source: https://github.com/google/re2/wiki/Syntax (read 2026-11-22).
"""

import re
from typing import NamedTuple

_GROUP = re.compile(r"\?(?:P?<[^>]+>|[imsU-]*:)")
_FLAGS = re.compile(r"\?[imsU-]+\)")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\.|[^\]\\])*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:[pP]\{[^}]*\}|[pP].|x\{[^}]*\}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|.)", re.DOTALL)
_TIMES = re.compile(r"(?:[*+?]|\{(\d+)(,?)(\d*)\})\??")
_NOWHERE = frozenset({r"\A", r"\z", r"\b", r"\B", "^", "$"})  # places between characters


class Length(NamedTuple):
    """Characters of a match, and its pattern's size.

    Attributes:
        least: The shortest match's.
        most: The longest one's; None where there is none.
        steps: Characters and classes in the pattern once its repetitions are written out: for each character of a text RE2 may
            have to look at every one of them.
    """

    least: int
    most: int | None
    steps: int


def length(pattern: str) -> Length:
    r"""Return how long matches of a pattern are.

    Args:
        pattern: One that RE2 compiles.

    Raises:
        ValueError: It holds `\C`.
    """
    if r"\Q" in pattern:
        return Length(1, None, len(pattern))
    return _Reader(pattern).alternatives()


class _Reader:
    __slots__ = ("_at", "_pattern")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def alternatives(self) -> Length:
        found = self._sequence()
        while self._pattern.startswith("|", self._at):
            self._at += 1
            other = self._sequence()
            most = None if found.most is None or other.most is None else max(found.most, other.most)
            found = Length(min(found.least, other.least), most, found.steps + other.steps)
        return found

    def _sequence(self) -> Length:
        least, most, steps = 0, 0, 0
        endless = False
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            piece = self._piece()
            while (times := _TIMES.match(self._pattern, self._at)) is not None:
                self._at = times.end()
                piece = _repeated(piece, times)
            least += piece.least
            endless = endless or piece.most is None
            most += piece.most or 0
            steps += piece.steps
        return Length(least, None if endless else most, steps)

    def _piece(self) -> Length:
        first = self._pattern[self._at]
        if first == "(":
            return self._group()
        reader = {"[": _CLASS, "\\": _ESCAPE}.get(first)
        match = reader.match(self._pattern, self._at) if reader else None
        text = match[0] if match else first
        self._at += len(text)
        if text == r"\C":
            raise ValueError(r"must not hold \C, which matches parts of characters")
        return Length(0, 0, 1) if text in _NOWHERE else Length(1, 1, 1)

    def _group(self) -> Length:
        self._at += 1
        if (flags := _FLAGS.match(self._pattern, self._at)) is not None:
            self._at = flags.end()
            return Length(0, 0, 0)
        if (opening := _GROUP.match(self._pattern, self._at)) is not None:
            self._at = opening.end()
        inner = self.alternatives()
        self._at += 1
        return inner


def _repeated(piece: Length, times: re.Match[str]) -> Length:
    sign = times[0][0]
    if sign == "{":
        low = int(times[1])
        high = int(times[3]) if times[3] else None if times[2] else low
    else:
        low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
    most = 0 if piece.most == 0 else None if piece.most is None or high is None else piece.most * high
    return Length(piece.least * low, most, piece.steps * max(1, low if high is None else high))
