r"""Operators' and tenants' patterns in a text: RE2, whose time grows with the text and with nothing else.

What a pattern may cost is bounded when it is written: its length, its steps with all repetitions written out, and the program that
RE2 makes of it, since in the worst case RE2 takes every step for each character. So a tenant's pattern cannot hold up other calls.

A finding is what one pattern matches; where matches of two overlap, the later one begins where the earlier one ends. A stream is
held back by the longest match there can be, and by one character more, which decides about `\b` and `$`; of patterns without
a longest match by `window` characters: a match that is longer, and cannot be told before its end, is not held back as a whole.

Source: https://github.com/google/re2/wiki/Syntax (read 2026-11-22); times measured, see docs/guardrails.md.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading, Role
from gateway.guardrails.rules.patterns_length import length
from gateway.guardrails.rules.terms import outside

MAX_PATTERN_CHARACTERS = 1024
MAX_STEPS = 500  # each may cost 25 ns per character where RE2's automaton does not fit into its memory
MAX_PROGRAM = 40_000  # instructions; a class such as \pL has 1,200
MAX_MEMORY_BYTES = 4 * 1024 * 1024  # of one pattern, in each worker
_HALVES = re.compile("[\ud800-\udfff]")  # of surrogate pairs: no UTF-8, and RE2 reads nothing else


def check_pattern(pattern: str) -> str | None:
    """Say what is wrong with a pattern; None where nothing is."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return f"has {len(pattern)} characters; a pattern has at most {MAX_PATTERN_CHARACTERS}"
    try:
        program = _compiled(pattern)
        least, _, steps = length(pattern)
    except ValueError as exc:
        return str(exc)
    if steps > MAX_STEPS or program.programsize > MAX_PROGRAM:
        return f"takes {steps} steps and {program.programsize} instructions; allowed are {MAX_STEPS} and {MAX_PROGRAM}: repeat less"
    if least == 0 or program.search("") is not None:
        return "matches the empty text; let it need at least one character"
    return None


def longest(pattern: str) -> int | None:
    """Return how many characters a pattern's longest match has; None where it has none.

    Raises:
        ValueError: `check_pattern` says what is wrong.
    """
    if (fault := check_pattern(pattern)) is not None:
        raise ValueError(fault)
    return length(pattern).most


class PatternsDetector:
    """Finds what patterns match.

    Args:
        patterns: Category to pattern.
        replacement: What takes the place of a redacted match; what lies inside of it is not found.
        window: How many characters of a stream are held back for patterns whose matches have no longest length; 0 for all.

    Raises:
        ValueError: A pattern is none, or asks for too much; the message begins with its category.
    """

    __slots__ = ("_held", "_patterns", "_replacement", "context")
    spans = True

    def __init__(self, patterns: Mapping[str, str], replacement: str, window: int) -> None:
        held: list[int] = []
        for category, pattern in patterns.items():
            if (fault := check_pattern(pattern)) is not None:
                raise ValueError(f"{category}: {fault}")
            most = length(pattern).most
            held.append(window if most is None else most + 1)
        self._held = 0 if 0 in held else max(held, default=1)
        self.context = max(held, default=1)  # so that what begins where the context does also ends in it
        self._patterns = [(category, _compiled(pattern)) for category, pattern in patterns.items()]
        self._replacement = replacement

    def read(self, text: str, role: Role = Role.USER) -> Reading:  # noqa: ARG002 - whose words they are makes no difference
        """Return what the patterns match."""
        findings: list[Finding] = []
        end = 0
        for first, last, category in sorted(self._spans(text), key=_by_place):
            start = max(first, end)
            if start < last:
                findings.append(Finding(start, last, category, reason="a listed pattern matches"))
                end = last
        return Reading(tuple(findings)) if findings else NOTHING_FOUND

    def open_from(self, text: str) -> int:
        """Return from where on more text could complete or change a finding; never inside of one."""
        if self._held == 0:
            return 0
        place = max(0, len(text) - self._held)
        if place:
            for start, end, _ in sorted(self._spans(text), reverse=True):
                if start < place < end:
                    place = start
        return place

    def replacement(self, finding: Finding, original: str) -> str:  # noqa: ARG002 - the same for all
        """Return the operator's replacement."""
        return self._replacement

    def _spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        data = text.encode() if text.isascii() else _whole(text)
        for category, pattern in self._patterns:
            spans = [match.span() for match in pattern.finditer(data)]
            for start, end in outside(spans, text, self._replacement) if spans else ():
                yield start, end, category


def _by_place(span: tuple[int, int, str]) -> tuple[int, int]:
    return span[0], -span[1]


def _whole(text: str) -> str:
    """Return the text with `?` for each half of a surrogate pair, so that places stay the same."""
    return _HALVES.sub("?", text)


def _compiled(pattern: str) -> Any:
    import re2  # noqa: PLC0415 - 13 ms of import that only a catalogue with patterns pays

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True  # what groups hold is not asked for
    options.max_mem = MAX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options=options)
    except (re2.error, UnicodeEncodeError) as exc:
        reason = exc.args[0].decode("utf-8", "replace") if exc.args and isinstance(exc.args[0], bytes) else "is not Unicode"
        raise ValueError(f"is no RE2 pattern: {reason}") from exc
