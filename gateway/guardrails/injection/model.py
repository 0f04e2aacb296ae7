r"""A small linear model over hashed n-grams: how much a piece of text looks like an attack on a model.

A word counts as itself, as its first five letters, its last four, and as a pair with the word before; each is hashed (CRC-32)
into one of `SLOTS`. An ideograph is a word, so there the pairs are character pairs. A piece's log-odds are a bias and the sum of
its slots' weights over the root of their number. There are two sets of weights: `direct` for what somebody says to a model, read
in overlapping pieces of `WORDS` words, all of them; and `embedded` for a sentence inside of data, which should hold no
instructions.

All loops over words run in C: 4 KB take a fraction of a millisecond. A weight is one byte. They stand in
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
from operator import add, itemgetter
from pathlib import Path

import msgspec

WEIGHTS = Path(__file__).parent / "data" / "injection.bin.gz"
SLOTS = 1 << 17
WORDS, STEP = 160, 120
SHORT, SHORT_STEP = 40, 28
SENTENCE_WORDS, LEAST_WORDS = 40, 3
CLASSES = 4  # of features per word
_MASK = SLOTS - 1
_SHARES = [0.0, *(1 / math.sqrt(CLASSES * count) for count in range(1, WORDS + 1))]
# What is no letter or digit becomes a space, what ends a sentence a line's end.
_ASCII = bytes(
    10 if chr(code) in "\n\r!?;|" else code if code > 127 or chr(code).isalnum() or chr(code) == "'" else 32 for code in range(256)
)
_IDEOGRAPHS = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_ENDS = re.compile("[。！？।؟؛…]|[\u2028\u2029]")
_OTHER = re.compile("[\u00a0-\u00bf\u2000-\u2bff\u3000-\u303f\ufe00-\ufe0f\uff00-\uff0f\U0001f000-\U0001faff]")


class Words(msgspec.Struct, frozen=True):
    """A text, taken apart.

    Attributes:
        count: How many words there are.
        slots: Of all words as they are, then of all their heads, tails and pairs.
        lines: How many words each sentence has, those of none left out.
    """

    count: int
    slots: list[int]
    lines: list[int]


def lines_of(text: str) -> list[list[bytes]]:
    """Return the words of each sentence of a lower-case text."""
    if not text.isascii():
        text = _IDEOGRAPHS.sub(r" \1 ", _OTHER.sub(" ", _ENDS.sub("\n", text)))
    return [each.split() for each in text.encode("utf-8", "replace").replace(b". ", b"\n").translate(_ASCII).split(b"\n")]


def apart(text: str) -> Words:
    """Take a lower-case text apart."""
    lines = lines_of(text)
    words = list(itertools.chain.from_iterable(lines))
    heads = [word[:5] for word in words]
    hashed = list(map(zlib.crc32, heads, itertools.repeat(1)))
    pairs = map(zlib.crc32, heads, itertools.chain((3,), hashed))
    tails = map(zlib.crc32, [word[-4:] for word in words], itertools.repeat(2))
    slots = [each & _MASK for each in itertools.chain(map(zlib.crc32, words), hashed, tails, pairs)]
    return Words(len(words), slots, [len(line) for line in lines if line])


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

    def highest(self, words: Words, ranges: list[tuple[int, int]]) -> float:
        """Return the highest log-odds of some ranges of words; the bias where there are none."""
        values, count = itemgetter(*words.slots)(self.weights) if words.slots else (), words.count
        whole, heads, tails, pairs = (values[at : at + count] for at in range(0, CLASSES * count, count)) if count else ((),) * CLASSES
        sums = [0, *itertools.accumulate(map(add, map(add, whole, heads), map(add, tails, pairs)))]
        found = [(sums[end] - sums[start]) * _SHARES[end - start] for start, end in ranges]
        return self.bias + self.scale * max(found, default=0.0)


class Model(msgspec.Struct, frozen=True):
    """Both sets."""

    direct: Head
    embedded: Head


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
