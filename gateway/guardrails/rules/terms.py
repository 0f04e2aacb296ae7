"""Words and phrases in a text: an organisation's own, competitors, biased expressions.

A term is found as a whole word, whatever its letter case, compatibility form, invisible characters in it, and white space between
its words. A word ends where the next character is no letter, number or mark; scripts without spaces have no such ends, and their
terms are found anywhere. Of terms that begin at one place the longest is found, and what follows is looked through from its end.

All terms are one RE2 automaton: the time is linear in the text, and hardly depends on how many terms there are.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading, Role
from gateway.guardrails.rules.terms_folding import EDGE, UNSPACED, fold, fold_bytes, fold_term, folded_from, in_words

MAX_TERMS = 10_000
MAX_TERM_CHARACTERS = 256
MAX_MEMORY_BYTES = 64 * 1024 * 1024  # RE2's bound for the automaton of all terms
_SPACE = r"[\t-\r\x1c-\x20]+"
_BEFORE = r"[^\pL\pN\pM]"
_AFTER = rf"[^\pL\pN\pM]|[{''.join(f'\\x{{{first:x}}}-\\x{{{last:x}}}' for first, last in UNSPACED)}]"
_EDGES = ((0, 0), (0, 1), (1, 0), (1, 1))  # characters before and after a term that its match holds; longer terms first


def check_terms(terms: Sequence[str]) -> str | None:
    """Say what is wrong with a list of terms; None where nothing is."""
    if not terms or len(terms) > MAX_TERMS:
        return f"must have 1 to {MAX_TERMS} terms, not {len(terms)}"
    for index, term in enumerate(terms):
        if not fold_term(term):
            return f"[{index}] has no visible character"
        if len(term) > MAX_TERM_CHARACTERS:
            return f"[{index}] has {len(term)} characters; a term has at most {MAX_TERM_CHARACTERS}"
    return None


class Lexicon:
    """Terms, ready to be found.

    Args:
        terms: As they are written.

    Raises:
        ValueError: `check_terms` says what is wrong.
    """

    __slots__ = ("_edges", "_firsts", "_longest", "_pattern", "_sorted")

    def __init__(self, terms: Sequence[str]) -> None:
        if (fault := check_terms(terms)) is not None:
            raise ValueError(fault)
        self._sorted = sorted({fold_term(term) for term in terms})
        self._edges = {term: (int(_spaced(term[0])), int(_spaced(term[-1]))) for term in self._sorted}
        self._longest = max(map(len, self._sorted))
        self._firsts = {term[0] for term in self._sorted}
        self._pattern = _compiled(self._edges)

    def find(self, text: str, data: bytes | None = None) -> Iterator[tuple[int, int, str]]:
        """Yield the terms in a text, from left to right: first character, end, the term as it is folded.

        Args:
            text: Where they are looked for.
            data: Its `fold_bytes`, where whoever asks has them already.
        """
        data = fold_bytes(text) if data is None else data
        match = self._pattern.search(data)
        if match is None:
            return
        folded = fold(text)
        while match is not None:
            start, end, term = self._trimmed(match.start(), match.group().decode())
            yield folded.start_of(start), folded.end_of(end), term
            # The edge behind an unspaced character also stands before what follows.
            match = self._pattern.search(data, end - 1 if term[-1] == EDGE else end)

    def open_from(self, text: str) -> int:
        """Return where the first term begins that more text could complete, prolong or undo; the text's length where none does."""
        letters, places = self._tail(text)
        for index in range(max(0, len(letters) - self._longest), len(letters)):
            if letters[index] not in self._firsts:
                continue
            if index and _spaced(letters[index]) and in_words(letters[index - 1]):
                continue
            rest = letters[index:]
            near = bisect_left(self._sorted, rest)
            if near < len(self._sorted) and self._sorted[near].startswith(rest):
                return places[index]
        return len(text)

    def _tail(self, text: str) -> tuple[str, Sequence[int]]:
        """Return the last characters, folded, more of them than any term has, and the place of each."""
        size = 2 * self._longest + 16
        last = text[-size:]
        if last.isascii() and last.isprintable() and "  " not in last:  # nothing to fold but letter case
            return last.lower(), range(len(text) - len(last), len(text))
        while True:
            letters: list[str] = []
            places: list[int] = []
            begin = max(0, len(text) - size)
            for place, folded in folded_from(text, begin):
                for letter in " " if folded.isspace() else folded:
                    if letter != " " or not letters or letters[-1] != " ":
                        letters.append(letter)
                        places.append(place)
            if begin == 0 or len(letters) > self._longest + 1:
                return "".join(letters), places
            size *= 2

    def _trimmed(self, start: int, found: str) -> tuple[int, int, str]:
        """Return a match without the characters around its term: first byte, end, term."""
        for edges in _EDGES:
            before, after = edges
            inner = found[before : len(found) - after]
            term = " ".join(inner.split())
            if self._edges.get(term) == edges:
                begin = start + len(found[:before].encode())
                return begin, begin + len(inner.encode()), term
        raise AssertionError("the automaton found what is no term")


class TermsDetector:
    """Finds terms.

    Args:
        terms: As they are written.
        category: What a finding is called.
        replacement: What takes the place of a redacted one; terms inside of it are not found.

    Raises:
        ValueError: `check_terms` says what is wrong.
    """

    __slots__ = ("_category", "_lexicon", "_reason", "_replacement")
    spans = True

    def __init__(self, terms: Sequence[str], category: str, replacement: str) -> None:
        self._lexicon = Lexicon(terms)
        self._category = category
        self._replacement = replacement
        self._reason = f"one of {len(terms)} listed terms"

    def read(self, text: str, role: Role = Role.USER) -> Reading:  # noqa: ARG002 - whose words they are makes no difference
        """Return the terms in a text."""
        found = [(start, end) for start, end, _ in self._lexicon.find(text)]
        if not found:
            return NOTHING_FOUND
        found = outside(found, text, self._replacement)
        return Reading(tuple(Finding(start, end, self._category, reason=self._reason) for start, end in found))

    def open_from(self, text: str) -> int:
        """Return from where on more text could complete or change a finding; never inside of one."""
        place = self._lexicon.open_from(text)
        if place == len(text):
            return place
        return next((start for start, end, _ in self._lexicon.find(text) if start < place < end), place)

    def replacement(self, finding: Finding, original: str) -> str:  # noqa: ARG002 - the same for all
        """Return the operator's replacement."""
        return self._replacement


def outside(found: list[tuple[int, int]], text: str, replacement: str) -> list[tuple[int, int]]:
    """Leave out what lies inside a replacement that stands in the text: what was redacted is not found again."""
    if not replacement or replacement not in text:
        return found
    known = [match.start() for match in re.finditer(re.escape(replacement), text)]
    kept = []
    for start, end in found:
        before = bisect_right(known, start) - 1
        if before < 0 or end > known[before] + len(replacement):
            kept.append((start, end))
    return kept


def _spaced(letter: str) -> bool:
    """Tell whether a letter stands in words that have spaces, or other ends, around them."""
    code = ord(letter)
    return in_words(letter) and not any(first <= code <= last for first, last in UNSPACED)


def _compiled(edges: dict[str, tuple[int, int]]) -> Any:
    import re2  # noqa: PLC0415 - 13 ms of import that only a catalogue with terms pays

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.longest_match = True
    options.max_mem = MAX_MEMORY_BYTES
    branches = []
    for before, after in _EDGES:
        escaped = [_SPACE.join(re2.escape(word) for word in term.split(" ")) for term, its in edges.items() if its == (before, after)]
        if escaped:
            branches.append(f"(?:{_BEFORE}){{{before}}}(?:{'|'.join(escaped)})(?:{_AFTER}){{{after}}}")
    try:
        return re2.compile("|".join(branches), options=options)
    except re2.error as exc:
        raise ValueError("has too many terms for one list; make two of them") from exc
