r"""Texts as terms are compared: without letter case, compatibility forms and invisible characters, and still with their places.

    "ＡＣＭＥ\u200b Ünit" → "acme u\u0308nit", and for each byte of it the character of the original that it came from

| in the text | folded |
| --- | --- |
| letters | their case folding, decomposed (NFKD), so that composed and decomposed spellings are one |
| white space of any kind | a space; a run of ASCII white space stays as it is |
| format characters, variation selectors, fillers | nothing |
| characters of scripts without spaces | themselves and `EDGE` after each, since each may begin or end a word |

A text in ASCII costs no more than lowering it. Everything is a function of the text alone.

Source: Unicode Standard Annex 15 (normalisation forms), Annex 29 (word boundaries), UCD 16.0 `Default_Ignorable_Code_Point`
(read 2026-11-22).
"""

import functools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator

import msgspec

EDGE = "\0"
# Scripts that write no spaces between words, and Hangul, whose particles stick to them.
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
_JAMO = (0x1100, 0x11FF)
_IGNORED = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0),
    (0xE0000, 0xE0FFF),
)  # fmt: skip
# ASCII in one piece, Han and Hangul in another, any other character on its own; decomposed Hangul and kana are one with their parts.
_OTHERS = "([\u4e00-\u9fff\uac00-\ud7a3]+)|[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?|[^\x00-\x7f][\u3099\u309a\uff9e\uff9f]?"
_OTHER = re.compile(_OTHERS)
_RUNS = re.compile("[^\x00-\x7f]+")
_UNITS = re.compile(f"([\x00-\x7f]+)|{_OTHERS}")
_HAN = 2  # the group of `_UNITS` that runs of Han and Hangul are
_STRIDES = (0, 1, 4)  # bytes of a character: three in UTF-8, and its edge


class Folded(msgspec.Struct, frozen=True, gc=False):
    """A folded text in UTF-8, a space before and after it, and where its pieces came from.

    Attributes:
        data: The bytes.
        starts: Of each piece, its first byte in `data`.
        origins: Of each piece, its first character in the text; one more at the end.
        strides: Of each piece, how many bytes each of its characters has; 0 for a piece that is one character.
    """

    data: bytes
    starts: list[int]
    origins: list[int]
    strides: list[int]

    def start_of(self, place: int) -> int:
        """Return the character that the byte at `place` came from."""
        index = bisect_right(self.starts, place) - 1
        stride = self.strides[index]
        return self.origins[index] + ((place - self.starts[index]) // stride if stride else 0)

    def end_of(self, place: int) -> int:
        """Return the end of the character that the byte before `place` came from."""
        index = bisect_right(self.starts, place - 1) - 1
        stride = self.strides[index]
        return self.origins[index] + (place - 1 - self.starts[index]) // stride + 1 if stride else self.origins[index + 1]


def fold_bytes(text: str) -> bytes:
    """Return what `fold(text).data` is, without saying where it came from."""
    return f" {(text if text.isascii() else _RUNS.sub(_folded_run, text)).lower()} ".encode()


def fold(text: str) -> Folded:
    """Fold a text; linear in its length."""
    if text.isascii():
        return Folded(fold_bytes(text), [1], [0, len(text)], [1])
    pieces, starts, origins, strides = [b" "], [1], [0], [1]
    size = 1
    for match in _UNITS.finditer(text):
        kind = match.lastindex or 0
        piece = _fold_run(match[0], kind).encode()
        pieces.append(piece)
        starts.append(size)
        origins.append(match.start())
        strides.append(_STRIDES[kind])
        size += len(piece)
    pieces.append(b" ")
    origins.append(len(text))
    return Folded(b"".join(pieces), starts, origins, strides)


def fold_term(term: str) -> str:
    """Return a term as it is looked for: folded, each run of white space one space; empty where nothing of it is visible."""
    return " ".join("".join(folded for _, folded in folded_from(term, 0)).split())


def folded_from(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield a text's characters from `start` on: each one's place, and its folding."""
    for match in _UNITS.finditer(text, start):
        kind = match.lastindex
        if kind is None:
            yield match.start(), fold_unit(match[0])
        else:
            yield from ((place, _fold_run(each, kind)) for place, each in enumerate(match[0], match.start()))


def in_words(character: str) -> bool:
    """Tell whether a character belongs to words: letters, numbers, marks; the underscore does not, so Markdown hides nothing."""
    return unicodedata.category(character)[0] in "LNM"


def _folded_run(match: re.Match[str]) -> str:
    run = match[0]
    return fold_unit(run) if len(run) == 1 else _OTHER.sub(_folded, run)


def _folded(match: re.Match[str]) -> str:
    return EDGE.join(match[0]) + EDGE if match.lastindex else fold_unit(match[0])


def _fold_run(run: str, kind: int) -> str:
    if kind == 1:
        return run.lower()
    return EDGE.join(run) + EDGE if kind else fold_unit(run)


@functools.lru_cache(maxsize=8192)
def fold_unit(unit: str) -> str:
    """Fold one character that is not ASCII, with its voicing mark where it has one."""
    if unit.isspace():
        return " "
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", unit).casefold())
    seen = "".join(each for each in decomposed if not _invisible(each))
    parts = list(_UNITS.finditer(seen))
    several = len(parts) > 1 or (len(seen) > 1 and parts[0].lastindex == _HAN)
    if several and any(_within(each, UNSPACED) for each in seen):  # as in \u0e33 or \u3300: each is a character of its own
        return "".join(_fold_run(part[0], part.lastindex or 0) for part in parts)
    if seen and _within(seen[0], UNSPACED):
        seen = (unicodedata.normalize("NFC", seen) if _within(seen[0], (_JAMO,)) else seen) + EDGE
    # Folded Cherokee is upper case, but a text is lowered as a whole.
    return seen.lower().encode("utf-8", "replace").decode()  # half of a surrogate pair is no letter


def _invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or _within(character, _IGNORED)


def _within(character: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in ranges)
