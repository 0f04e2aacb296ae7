"""In which natural language a text is written: told by its script, then by small words and rare letters. Offline and pure.

A text is told where it has 20 letters of a script (ten of Chinese, Japanese or Korean) and the signs speak clearly; otherwise
nothing is said of it, nor of what looks like code. Languages that are alike (Danish and Norwegian) may both be likely: a rule
counts only where it holds for all that are. Code blocks and links are left out. A script with less than 30 % of a text's letters
is not judged.

Accuracy: see docs/guardrails.md.
"""

import functools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading, Role
from gateway.guardrails.rules.languages_words import ARABIC, CYRILLIC, DEVANAGARI, LATIN, LETTERS

MIN_LETTERS = 20
MIN_SHARE = 0.3  # of a text's letters that a script has, to be judged
MIN_SIGNS = 0.15  # per word, for languages of its script
MAX_PUNCTUATION = 0.04  # of characters, that only code has so often
CLOSE = 0.75  # a language with this much of the likeliest one's signs is likely as well
MAX_CHARACTERS = 8192  # what follows is not looked at
_LETTER_WEIGHT = 0.5  # of a small word's
# Where a script begins; "" between them.
_SCRIPTS = (
    (0x41, "latin"), (0x5B, ""), (0x61, "latin"), (0x7B, ""), (0xC0, "latin"), (0x250, ""), (0x370, "el"), (0x400, "cyrillic"),
    (0x530, "hy"), (0x590, "he"), (0x600, "arabic"), (0x700, ""), (0x750, "arabic"), (0x780, ""), (0x900, "devanagari"), (0x980, "bn"),
    (0xA00, "pa"), (0xA80, "gu"), (0xB00, ""), (0xB80, "ta"), (0xC00, "te"), (0xC80, "kn"), (0xD00, "ml"), (0xD80, "si"), (0xE00, "th"),
    (0xE80, "lo"), (0xF00, ""), (0x1000, "my"), (0x10A0, "ka"), (0x1100, "ko"), (0x1200, "am"), (0x13A0, ""), (0x1780, "km"),
    (0x1800, ""), (0x1E00, "latin"), (0x1F00, "el"), (0x2000, ""), (0x3040, "ja"), (0x3100, ""), (0x3400, "zh"), (0xA000, ""),
    (0xAC00, "ko"), (0xD7B0, ""), (0xF900, "zh"), (0xFB00, ""), (0x20000, "zh"), (0x30000, ""),
)  # fmt: skip
_STARTS = [start for start, _ in _SCRIPTS]
_DENSE = frozenset({"zh", "ja", "ko"})  # one character says as much as two letters
_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"latin": LATIN, "cyrillic": CYRILLIC, "arabic": ARABIC, "devanagari": DEVANAGARI}
)
LANGUAGES: frozenset[str] = frozenset({name for _, name in _SCRIPTS if len(name) == 2}.union(*_WORDS.values()))
_CODE = "(){}[];=<>_"
_LEFT_OUT = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)
_SEPARATOR = re.compile(r"[\s\d!-/:-@\[-`{-~«»„“”‘’‚…–—·¿¡،؟؛۔।॥]+")


def likely(text: str) -> tuple[tuple[str, float], ...]:
    """Return the languages that a text is likely written in: for each script one or several, with their share of the signs.

    Args:
        text: Its first 8,192 characters are looked at.

    Returns:
        (ISO 639-1 code, 0 to 1), the likeliest first; empty where it is too short or too unclear.
    """
    return tuple(each for part in _parts(text) for each in part)


class LanguagesDetector:
    """Finds texts in languages that may not be used.

    Args:
        allow: ISO 639-1 codes; empty for all that are not denied.
        deny: Likewise; wins over `allow`.

    Raises:
        ValueError: A code is none of `LANGUAGES`.
    """

    __slots__ = ("_allow", "_deny")
    spans = False

    def __init__(self, allow: Iterable[str], deny: Iterable[str]) -> None:
        self._allow, self._deny = frozenset(allow), frozenset(deny)
        if unknown := sorted((self._allow | self._deny) - LANGUAGES):
            raise ValueError(f"{unknown[0][:16]!r} cannot be told from others; those that can are {', '.join(sorted(LANGUAGES))}")

    def read(self, text: str, role: Role = Role.USER) -> Reading:  # noqa: ARG002 - whose words they are makes no difference
        """Return what a text is written in, if that may not be used."""
        for part in _parts(text):
            if all(self._refuses(language) for language, _ in part):
                language, share = part[0]
                found = Finding(0, len(text), f"language.{language}", share, reason="a language that may not be used")
                return Reading((found,), share)
        return NOTHING_FOUND

    def open_from(self, text: str) -> int:  # noqa: ARG002 - a text is judged as a whole
        """Return 0: nothing is settled before the text is whole."""
        return 0

    def replacement(self, finding: Finding, original: str) -> str:  # noqa: ARG002 - nothing is replaced
        """Return the text itself."""
        return original

    def _refuses(self, language: str) -> bool:
        return language in self._deny or bool(self._allow and language not in self._allow)


def _parts(text: str) -> list[Sequence[tuple[str, float]]]:
    text = text[:MAX_CHARACTERS]
    if "`" in text or "://" in text:
        text = _LEFT_OUT.sub(" ", text)
    text = text.lower()
    characters = Counter(text)
    letters: Counter[str] = Counter()
    for character, count in characters.items():
        if (code := ord(character)) > 0x40 and (script := _SCRIPTS[bisect_right(_STARTS, code) - 1][1]):
            letters[script] += count * (2 if script in _DENSE else 1)
    if letters["ja"] * 10 >= letters["zh"]:  # Japanese mixes its own letters and Chinese ones
        letters["ja"] += letters.pop("zh", 0) if letters["ja"] else 0
    else:
        letters["zh"] += letters.pop("ja", 0)
    total = letters.total()
    found = []
    for script, count in letters.most_common():
        if count >= MIN_LETTERS and count >= MIN_SHARE * total:
            part = _by_words(script, text, characters, count / total) if script in _WORDS else ((script, 1.0),)
            if part:
                found.append(part)
    return found


def _by_words(script: str, text: str, characters: Counter[str], share: float) -> Sequence[tuple[str, float]]:
    """Return the likely languages of a script that several share; `share` is the script's of the text's letters."""
    if sum(characters[sign] for sign in _CODE) > MAX_PUNCTUATION * len(text):
        return ()
    words, letters = _signs(script)
    counted = Counter(_SEPARATOR.split(text))
    signs: Counter[str] = Counter()
    for word in counted.keys() & words.keys():
        languages = words[word]
        for language in languages:
            signs[language] += counted[word] / len(languages)  # type: ignore[assignment]
    for letter in characters.keys() & letters.keys():
        languages = letters[letter]
        for language in languages:
            signs[language] += _LETTER_WEIGHT * characters[letter] / len(languages)  # type: ignore[assignment]
    ranked = signs.most_common()
    best, total = ranked[0][1] if ranked else 0.0, sum(signs.values())
    if best < 1 or total < MIN_SIGNS * share * counted.total():
        return ()
    return [(language, round(count / total, 3)) for language, count in ranked if count >= CLOSE * best]


@functools.cache
def _signs(script: str) -> tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]]:
    """Return a script's small words and letters, each with the languages that have it."""
    words: dict[str, list[str]] = {}
    for language, line in _WORDS[script].items():
        for word in set(line.split()):
            words.setdefault(word, []).append(language)
    letters = {letter: [each for each in line.split() if each in _WORDS[script]] for letter, line in LETTERS.items()}
    return words, {letter: languages for letter, languages in letters.items() if languages}
