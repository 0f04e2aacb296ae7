"""Text as a model understands it, whatever it was written with.

What is invisible is taken out, look-alikes become the letters that they look like, and what was encoded is decoded. `plain` undoes
what never changes a text's sense and says what it undid. `variants` reads a text in other ways, each named: parts that decode,
letters that were spaced out, digits in place of letters, words backwards. Everything takes linear time, and what is decoded is
read again, to a depth of `DEPTH`.

Sources: https://www.unicode.org/reports/tr39/ (confusables) and https://www.unicode.org/reports/tr36/ (read 2026-11-22).
"""

import re
import unicodedata
from typing import NamedTuple

from gateway.guardrails.injection.decoders import DECODERS, triggered

DEPTH = 3
_ASCII = bytes(range(128))
_MOST, _ALWAYS, _AT_ONCE = 6, 20_000, 160_000
_FEWEST_TAGS = 4

_INVISIBLE = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\u3164\ufeff\uffa0"
_BIDI = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_DROPPED = re.compile(f"[{_INVISIBLE}{_BIDI}\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# A letter between letters: joiners stand in emoji and in Persian or Indic words as well, where they hide nothing.
_HIDDEN = re.compile(f"(?<=[A-Za-z])[{_INVISIBLE}]+(?=[A-Za-z])")
_OVERRIDES = re.compile("[\u202d\u202e]([^\u202c\n]{8,})")
_FLAGS = re.compile("\U0001f3f4[\U000e0020-\U000e007f]+")
_TAGS = re.compile("[\U000e0020-\U000e007f]+")
_PILES = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{2,}")

# Cyrillic, Greek, Armenian and other letters that look like a Latin one.
_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁһӏԛԝвмнткгЅІЈАВЕКМНОРСТХУ" + "αβεικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "օսոհց" + "ɑɡıɩʀᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxijsdhlqwbmhtkrSIJABEKMHOPCTXY" + "abeikvoptuxwABEZHIKMNOPTYX" + "ounhg" + "agiirabcdefghijklmnopstuvwyz",
)
# Letters in squares and circles that NFKC leaves, and single regional indicators (two without a space are a flag).
_BOXED = {base + step: chr(97 + step) for base in (0x1F150, 0x1F170, 0x1F1E6) for step in range(26)}


_LOOKS = frozenset(map(chr, _LOOK_ALIKES))
_ALIKE = re.compile(rf"[^\W\d_]{{0,24}}[{''.join(sorted(_LOOKS))}][^\W\d_]{{0,24}}")
_UNSEEN = frozenset(_INVISIBLE + _BIDI + "".join(map(chr, range(0xFE00, 0xFE10))) + "".join(map(chr, range(0xE0100, 0xE01F0))))
_TAG_CHARACTERS = frozenset(map(chr, range(0xE0020, 0xE0080)))
_STYLED = re.compile("[\U0001d400-\U0001d7ff\u2460-\u24ff]")
_FEW_STYLED, _FIRST_STYLED = 8, "\u2460"
_MARKS = frozenset(
    chr(code) for first, last in ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF)) for code in range(first, last + 1)
)


class Plain(NamedTuple):
    """A text without its disguise, in its own letter case, and the names of what was undone."""

    text: str
    undone: tuple[str, ...]


class Variant(NamedTuple):
    """Another way to read a text: what was done to get it, and what it says."""

    name: str
    text: str


def plain(text: str) -> Plain:
    """Undo what hides letters from a reader of bytes."""
    if text.isascii():
        return Plain(text, ())
    undone: list[str] = []
    others = text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")
    used = set(others)
    if not used.isdisjoint(_TAG_CHARACTERS):
        text = _untagged(text, undone)
    if not used.isdisjoint(_UNSEEN):
        text = _seen(text, undone)
    if not used.isdisjoint(_MARKS) and _PILES.search(text):
        undone.append("piled marks")
        text = "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
    if max(used) >= _FIRST_STYLED:
        if len(_STYLED.findall(text)) > _FEW_STYLED:
            undone.append("styled letters")
        text = text.translate(_BOXED)
    if not unicodedata.is_normalized("NFKC", others) or any(map(unicodedata.combining, used)):
        text = unicodedata.normalize("NFKC", text)
    if not used.isdisjoint(_LOOKS):
        text = _latin(text, undone)
    return Plain(text, tuple(undone))


def _untagged(text: str, undone: list[str]) -> str:
    """Show what is written in tag characters; those of flags mean nothing."""
    text = _FLAGS.sub("\U0001f3f4", text)
    if sum(map(len, _TAGS.findall(text))) >= _FEWEST_TAGS:
        undone.append("tag characters")
    return _TAGS.sub(lambda match: "".join(chr(ord(each) - 0xE0000) for each in match[0]), text).replace("\x7f", "")


def _seen(text: str, undone: list[str]) -> str:
    """Take out what has no width or turns the writing round, and add what was turned."""
    if _HIDDEN.search(text):
        undone.append("zero-width")
    if turned := _OVERRIDES.search(text):
        undone.append("bidi")
        text = f"{text}\n{turned[1][::-1]}"
    return _DROPPED.sub("", text)


def _latin(text: str, undone: list[str]) -> str:
    """Turn look-alikes into Latin letters in words that mix alphabets."""
    turned = 0

    def word(match: re.Match[str]) -> str:
        nonlocal turned
        written = match[0]
        meant = written.translate(_LOOK_ALIKES)
        if meant == written or not meant.isascii() or not any(each.isascii() for each in written):
            return written
        turned += 1
        return meant

    text = _ALIKE.sub(word, text)
    if turned:
        undone.append("look-alike letters")
    return text


def variants(text: str) -> list[Variant]:
    """Return the other ways to read a plain text, decoded parts of decoded parts included.

    What is decoded is at most `_MOST` times as long as the text, together, and about twice where a text is very long, so nobody can
    make a text that reads in a thousand ways.
    """
    found: list[Variant] = []
    level, seen = [Variant("", text)], {text}
    left = min(_MOST * len(text), 2 * len(text) + _AT_ONCE) + _ALWAYS
    for _ in range(DEPTH):
        below: list[Variant] = []
        for each in level:
            for name in triggered(each.text):
                decoded = plain(DECODERS[name](each.text)).text
                if decoded and decoded not in seen and len(decoded) <= left:
                    left -= len(decoded)
                    seen.add(decoded)
                    below.append(Variant(f"{each.name}, {name}".lstrip(", "), decoded))
        found += below
        level = below
    return found
