"""A text as detectors of personal data see it: as many bytes as it has characters, so that offsets are the text's own.

Digits of all scripts become ASCII digits, dashes become hyphens, spaces become blanks, full-width forms their ASCII ones. What
else is not ASCII becomes one of three bytes: a letter that an e-mail address may hold, something invisible, or a break.

What stands before a value decides about many of them: `card`, `SSN`, `order no`. Such words count within `REACH` characters,
and only where nothing lies between that is a finding or the replacement of one: so a redacted text reads like the original.
"""

import bisect
import codecs
import functools
import unicodedata
from typing import Any

from gateway.domain.patterns import compiled

REACH = 48
LETTER, BREAK, HIDDEN = 0xFF, 0x80, 0x81
_SPECIALS = {"Pd": 0x2D, "Zs": 0x20, "Zl": 0x0A, "Zp": 0x0A, "Cf": HIDDEN, "Mn": LETTER, "Mc": LETTER}
_NAME = "gateway.same-length"
_BARRIER = (
    r"(?:\d(?:[-. /()]{0,2}\d){3,}|::|[0-9A-Fa-f]:[0-9A-Fa-f]{1,4}:|\d[A-Za-z]{1,8}\d[A-Za-z0-9]{4}|"
    r"\b[A-Za-z]{1,6}\d[A-Za-z]?\d[A-Za-z0-9]{3}|[A-Za-z0-9]{15}\d|\d[A-Za-z0-9]{15}|@|[A-Z0-9]\]|_\d+>)"
)


@functools.lru_cache(maxsize=4096)
def _fold(char: str) -> int:
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return 0x30 + digit
    code = ord(char)
    if 0xFF01 <= code <= 0xFF5E:
        return code - 0xFEE0
    category = "Pd" if code == 0x2212 else unicodedata.category(char)
    if category in _SPECIALS:
        return _SPECIALS[category]
    return LETTER if category[0] == "L" and (code < 0x0E00 or 0x1E00 <= code < 0x2000) else BREAK


def _fold_run(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):  # pragma: no cover - only ever asked to encode
        raise error
    return bytes(map(_fold, error.object[error.start : error.end])), error.end


codecs.register_error(_NAME, _fold_run)
# Both readings of 0x80 to 0xFF must come to the same, so only what is no letter there is translated by its meaning.
_LATIN = bytes(code if code < 0xA0 else _fold(chr(code)) for code in range(256))


def same_length(text: str) -> bytes:
    """Return the text, folded: one byte for each character."""
    return text.encode() if text.isascii() else text.encode("latin-1", _NAME).translate(_LATIN)


@functools.cache
def scanner(pattern: bytes) -> Any:
    """Compile a pattern over folded texts, once."""
    import re2  # noqa: PLC0415 - 13 ms of import that only a gateway with such guardrails pays

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return re2.compile(pattern, options=options)


class Beside:
    """What stands before the places of one text; it is looked through once for each pattern of words, however many places ask."""

    __slots__ = ("_context", "_known", "_start", "_text")

    def __init__(self, text: str) -> None:
        self._text, self._known = text, dict[str, tuple[list[int], list[int]]]()
        self._start, self._context = -1, ""

    def last(self, words: str, start: int) -> int:
        """Return where the last of some words (a pattern) begins in what stands before a place; -1 where none does."""
        starts, ends = self._known.get(words) or self._looked(words)
        place = bisect.bisect_left(starts, start) - 1
        if place < 0 or ends[place] <= start - REACH:
            return -1
        if start != self._start:
            self._start, self._context = start, before(self._text, start)
        return last_of(words, self._context)

    def _looked(self, words: str) -> tuple[list[int], list[int]]:
        # More than there is, never less: at the edges of a context a word may end that goes on in the text.
        loose = "(?i)" + words.replace(r"\b", "").replace("$", "")
        spans = [match.span() for match in compiled(loose).finditer(self._text)]  # type: ignore[attr-defined]
        self._known[words] = [start for start, _ in spans], [end for _, end in spans]
        return self._known[words]


def before(text: str, start: int) -> str:
    """Return what stands before a place on its line or the last ones, as far as it says something about the place."""
    found = text[max(0, start - REACH) : start]
    end = 0
    for match in compiled(_BARRIER).finditer(found):
        end = match.end()  # type: ignore[attr-defined]
    return found[end:].lower()


def last_of(words: str, context: str) -> int:
    """Return where the last of some words (a pattern) begins in a context; -1 where none does."""
    place = -1
    for match in compiled(words).finditer(context):
        place = match.start()  # type: ignore[attr-defined]
    return place
