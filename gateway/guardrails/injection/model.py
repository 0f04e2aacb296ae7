r"""A small linear model over hashed n-grams: how much a piece of text looks like an attack on a model.

A word counts as itself, as its first five letters, its last four, and as a pair with the word before; each is hashed into one of
`SLOTS`. An ideograph is a word, so there the pairs are character pairs. A piece's log-odds are a bias and
the sum of its slots' weights over the root of their number. There are two sets of weights: `direct` for what somebody says to a
model, read in overlapping pieces of `WORDS` words, all of them; and `embedded` for a sentence inside of data, which should hold no
instructions.

All loops over words run in C, and what a word is worth is worked out once: 4 KB take a fraction of a millisecond. Words are kept by
themselves, short ones only, and no long ones with digits, so no key, number or identifier is. A weight is one byte. They stand in
`data/injection.bin.gz`, built by `python -m bench.train_injection`:

    {"scales": [float, float], "biases": [float, float]}\n  then SLOTS bytes of direct weights, then SLOTS bytes of embedded ones
"""

import functools
import gzip
import itertools
import math
import re
import zlib
from array import array
from collections.abc import Iterable
from operator import add, xor
from pathlib import Path
from typing import NamedTuple

import msgspec

WEIGHTS = Path(__file__).parent / "data" / "injection.bin.gz"
SLOTS = 1 << 18
WORDS, STEP = 160, 120
SHORT, SHORT_STEP = 40, 28
SENTENCE_WORDS, LEAST_WORDS = 40, 3
CLASSES = 4  # of features per word
_MASK = SLOTS - 1
_BEFORE, _LAST, _SHIFT = 0x9E3779B1, 0xC2B2AE3D, 11
_MOST_KEPT, _LONGEST_KEPT, _LONGEST_NUMBER, _DIGITS = 20_000, 18, 4, b"0123456789"
_SHARES = [0.0, *(1 / math.sqrt(CLASSES * count) for count in range(1, WORDS + 1))]
# What is no letter or digit becomes a space, what ends a sentence a line's end.
_ASCII = bytes(
    10 if chr(code) in "\n\r!?;|" else code if code > 127 or chr(code).isalnum() or chr(code) == "'" else 32 for code in range(256)
)
_IDEOGRAPHS = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_ENDS = re.compile("[。！？।؟؛…]|[\u2028\u2029]")
_OTHER = re.compile("[\u00a0-\u00bf\u2000-\u2bff\u3000-\u303f\ufe00-\ufe0f\uff00-\uff0f\U0001f000-\U0001faff]")

_PARTING = ((_ENDS, "\n"), (_OTHER, " "), (_IDEOGRAPHS, r" \1 "))
_CODES = bytes(range(128))


class Words(msgspec.Struct, frozen=True):
    """A text, taken apart.

    Attributes:
        each: The words, as UTF-8.
        lined: The same, with blanks between them and an end of line after each sentence.
    """

    each: list[bytes]
    lined: bytes

    @property
    def count(self) -> int:
        """How many words there are."""
        return len(self.each)

    @property
    def lines(self) -> list[int]:
        """How many words each sentence has, those of none left out."""
        return [count for line in self.lined.split(b"\n") if (count := len(line.split()))]


def apart(text: str) -> Words:
    """Take a lower-case text apart."""
    if not text.isascii():
        others = text.encode("utf-8", "replace").translate(None, _CODES).decode()
        for sign, instead in _PARTING:
            if sign.search(others):
                text = sign.sub(instead, text)
    lined = text.encode("utf-8", "replace").replace(b". ", b"\n").translate(_ASCII)
    return Words(lined.split(), lined)


def shape(word: bytes) -> tuple[int, int, int, int, int]:
    """Return where a word's weights stand: three of its own, and its part in a pair as the first and as the second."""
    head = zlib.crc32(word[:5], 1)
    # A CRC is linear: without the factors a pair of words would share its slot with the same pair turned round.
    pairs = head * _BEFORE >> _SHIFT & _MASK, head * _LAST >> _SHIFT & _MASK
    return zlib.crc32(word) & _MASK, head & _MASK, zlib.crc32(word[-4:], 2) & _MASK, *pairs


_NO_WORD = shape(b"")[3]


def features(words: Words) -> list[tuple[int, ...]]:
    """Return the slots of each word and of its pair, as one who trains a model sees them."""
    if not words.each:
        return []
    whole, heads, tails, before, last = zip(*map(shape, words.each), strict=True)
    return list(zip(whole, heads, tails, map(xor, (_NO_WORD, *before), last), strict=False))


def pieces(words: Words) -> list[tuple[int, int]]:
    """Return the ranges of words that are judged as one, all of a text in long and in short ones, overlapping.

    A short attack is lost in a long piece of something else, and a long one has no short piece that gives it away.
    """
    found = [(0, min(words.count, WORDS))]
    for size, step in ((WORDS, STEP), (SHORT, SHORT_STEP)):
        found += [(start, min(words.count, start + size)) for start in range(step, words.count - size + step, step)]
    return found if words.count <= SHORT else [*found, (0, SHORT)]


def sentences(words: Words, first: int = 0) -> list[tuple[int, int]]:
    """Return the ranges of words that are sentences, from a word on; long ones in parts, and tiny ones left out."""
    found, start = [], 0
    for length in words.lines:
        end = start + length
        if LEAST_WORDS <= length <= SENTENCE_WORDS:
            found.append((start, end))
        elif length > SENTENCE_WORDS:
            found += [(at, min(at + SENTENCE_WORDS, end)) for at in range(start, end - LEAST_WORDS + 1, SENTENCE_WORDS)]
        start = end
    return [each for each in found if each[0] >= first] if first else found


class Head(msgspec.Struct, frozen=True):
    """One set of weights.

    Attributes:
        weights: One per slot, -127 to 127.
        scale: What a weight of 1 is worth.
        bias: The log-odds of a piece without features.
    """

    weights: list[int]
    scale: float
    bias: float

    def highest(self, values: Iterable[int], pairs: list[int], ranges: list[tuple[int, int]]) -> float:
        """Return the highest log-odds of some ranges of words, each worth `values` and in a pair; the bias where there are none."""
        sums = [0, *itertools.accumulate(map(add, values, map(self.weights.__getitem__, pairs)))]
        found = [(sums[end] - sums[start]) * _SHARES[end - start] for start, end in ranges]
        return self.bias + self.scale * max(found, default=0.0)


class _Known(dict[bytes, tuple[int, ...]]):
    """What words are worth to both heads, and their parts in pairs."""

    def __init__(self, direct: list[int], embedded: list[int]) -> None:
        self._direct, self._embedded = direct, embedded

    def __missing__(self, word: bytes) -> tuple[int, ...]:
        whole, head, tail, before, last = shape(word)
        direct, embedded = self._direct, self._embedded
        worth = direct[whole] + direct[head] + direct[tail], embedded[whole] + embedded[head] + embedded[tail]
        found = (*worth, before, last)
        if len(word) <= _LONGEST_NUMBER or (len(word) <= _LONGEST_KEPT and word.translate(None, _DIGITS) == word):
            if len(self) >= _MOST_KEPT:
                self.clear()
            self[word] = found
        return found


class Looked(NamedTuple):
    """What the words of a text are worth to each head, and the slots of their pairs."""

    direct: tuple[int, ...]
    embedded: tuple[int, ...]
    pairs: list[int]


class Model(msgspec.Struct, frozen=True, dict=True):
    """Both sets."""

    direct: Head
    embedded: Head

    def look_up(self, words: Words) -> Looked:
        """Return what the words are worth."""
        if not words.each:
            return Looked((), (), [])
        direct, embedded, before, last = zip(*map(self._known.__getitem__, words.each), strict=True)
        return Looked(direct, embedded, list(map(xor, (_NO_WORD, *before), last)))

    @functools.cached_property
    def _known(self) -> _Known:
        return _Known(self.direct.weights, self.embedded.weights)


class _Scales(msgspec.Struct, frozen=True):
    scales: tuple[float, float]
    biases: tuple[float, float]


def packed(model: Model) -> bytes:
    """Return the file's content."""
    both = (model.direct, model.embedded)
    head = msgspec.json.encode(_Scales((both[0].scale, both[1].scale), (both[0].bias, both[1].bias)))
    return gzip.compress(b"\n".join([head, b"".join(array("b", each.weights).tobytes() for each in both)]), 9, mtime=0)


def unpacked(content: bytes) -> Model:
    """Read a file's content.

    Raises:
        ValueError: It does not hold both sets of weights.
    """
    head, _, rest = gzip.decompress(content).partition(b"\n")
    if len(rest) != 2 * SLOTS:
        raise ValueError(f"injection weights: {2 * SLOTS} bytes were expected, there are {len(rest)}; build them again")
    read = msgspec.json.decode(head, type=_Scales)
    both = [
        Head(array("b", rest[at : at + SLOTS]).tolist(), scale, bias)
        for at, scale, bias in zip((0, SLOTS), read.scales, read.biases, strict=True)
    ]
    return Model(*both)


@functools.cache
def bundled_model() -> Model:
    """Return the model that comes with the gateway; read once."""
    return unpacked(WEIGHTS.read_bytes())
