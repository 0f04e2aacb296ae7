"""The ways in which words are hidden from a reader, each with a sign that it may be in use and a way to undo it.

A sign is an RE2 pattern, and all signs are looked for at once; a decoder then returns only what it decoded, joined by spaces, or
the whole text where it cannot tell the parts. What decodes to no readable text is dropped: most runs of letters and digits are
identifiers, hashes or pictures.
"""

import base64
import codecs
import functools
import html
import re
import urllib.parse
from collections.abc import Callable

from gateway.guardrails.injection.signs import one_of

_READABLE = 0.85
_SHORTEST = 8
_LEET = str.maketrans("0134578@$!|€", "oieastbasiie")
_NATO = [
    "alfa",
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliet",
    "juliett",
    "kilo",
    "lima",
    "mike",
    "november",
    "oscar",
    "papa",
    "quebec",
    "romeo",
    "sierra",
    "tango",
    "uniform",
    "victor",
    "whiskey",
    "xray",
    "x-ray",
    "yankee",
    "zulu",
]
_MORSE = dict(
    zip(
        [
            ".-",
            "-...",
            "-.-.",
            "-..",
            ".",
            "..-.",
            "--.",
            "....",
            "..",
            ".---",
            "-.-",
            ".-..",
            "--",
            "-.",
            "---",
            ".--.",
            "--.-",
            ".-.",
            "...",
            "-",
            "..-",
            "...-",
            ".--",
            "-..-",
            "-.--",
            "--..",
        ],
        "abcdefghijklmnopqrstuvwxyz",
        strict=True,
    )
)
_ATBASH = str.maketrans("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA")

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{20,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}")
_BASE32 = re.compile(r"[A-Z2-7]{16,}={0,6}")
_ASCII85 = re.compile(r"<~([!-u\s]{10,})~>")
_HEX = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,:]?){8,}")
_BINARY = re.compile(r"(?:[01]{8}\s?){6,}")
_MORSE_RUN = re.compile(r"[.\-/ ]{20,}")
_SPACED = re.compile(r"(?<!\w)\w(?:[ .\-_*|/]{1,3}\w(?!\w)){4,}")
_GAPS = re.compile(r"\s{2,}")
_WORDS = re.compile(r"\S*[a-zA-Z]\S*")
_LEET_WORD = re.compile(r"(?<![\w@])(?=[a-zA-Z]*[0134578@$!])(?=[0134578@$!]*[a-zA-Z])[a-zA-Z0134578@$!]{3,16}(?![\w@.])")
_FEWEST_LEET, _LEET_SHARE = 3, 0.3
_WORDS_OR_DIGITS = re.compile(r"[A-Za-z0134578@$!|€]{2,}")


def _readable(text: str) -> bool:
    """Tell whether something is prose: mostly letters and spaces, and not one unbroken run."""
    if len(text) < _SHORTEST:
        return False
    letters = sum(1 for each in text if each.isalpha() or each in " ,.!?'\n")
    return letters / len(text) >= _READABLE


def _bytes_readable(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return ""
    return text if _readable(text) else ""


def _parts(pattern: re.Pattern[str], decode: Callable[[str], bytes]) -> Callable[[str], str]:
    def decoded(text: str) -> str:
        found: list[str] = []
        for match in pattern.finditer(text):
            try:
                found.append(_bytes_readable(decode(match[0])))
            except ValueError:
                continue
        return " ".join(filter(None, found))

    return decoded


def _from_base64(part: str) -> bytes:
    whole = "".join(part.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(whole[: len(whole) - (len(whole) % 4 == 1)] + "=" * (-len(whole) % 4))


def _from_base32(part: str) -> bytes:
    whole = part.rstrip("=")
    return base64.b32decode(whole + "=" * (-len(whole) % 8))


def _from_hex(part: str) -> bytes:
    return bytes.fromhex(re.sub(r"0x|\\x|[ ,:]", "", part))


def _from_binary(part: str) -> bytes:
    digits = "".join(part.split())
    return bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8))


def _from_morse(text: str) -> str:
    runs = [" ".join("".join(_MORSE.get(sign, "") for sign in word.split()) for word in run.split("/")) for run in _MORSE_RUN.findall(text)]
    return " ".join(each for each in runs if len(each) >= _SHORTEST)


def _from_nato(text: str) -> str:
    words = re.findall(r"[a-z-]+|[.,/|]", text.lower())
    return "".join(word[0] if word in _NATO else " " for word in words)


def _from_spaces(text: str) -> str:
    """Join letters that stand apart; two blanks, or another sign between, part words."""
    found = []
    for match in _SPACED.finditer(text):
        words = _GAPS.split(match[0]) if _GAPS.search(match[0]) else [match[0]]
        found.append(" ".join("".join(each for each in word if each.isalnum()) for word in words))
    return " ".join(found)


def _from_leet(text: str) -> str:
    """Read digits and signs as letters, in lines where many words have some."""
    found = []
    for line in text.splitlines():
        count = len(_LEET_WORD.findall(line))
        if count >= _FEWEST_LEET and count >= _LEET_SHARE * len(line.split()):
            found.append(_WORDS_OR_DIGITS.sub(_unleeted, line))
    return "\n".join(found)


def _unleeted(match: re.Match[str]) -> str:
    return match[0].translate(_LEET) if any(each.isalpha() for each in match[0]) else match[0]


def _from_quoted_printable(text: str) -> str:
    return codecs.decode(text.encode("utf-8", "replace"), "quopri").decode("utf-8", "replace")


def _from_escapes(text: str) -> str:
    return re.sub(r"\\u\{?([0-9a-fA-F]{4})\}?|\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1] or match[2], 16)), text)


def _backwards(text: str) -> str:
    """Read a text from its end, and every word from its own."""
    return f"{text[::-1]}\n{_WORDS.sub(lambda match: match[0][::-1], text)}"


# Words that attacks cannot do without, as they look in each cipher.
_TELLING = [
    "ignore",
    "previous",
    "instructions",
    "instruction",
    "system",
    "prompt",
    "reveal",
    "disregard",
    "forget",
    "password",
    "secret",
    "rules",
    "pretend",
    "bypass",
]
_ROT13 = "|".join(codecs.encode(word, "rot13") for word in _TELLING)
_ATBASHED = "|".join(word.translate(_ATBASH) for word in _TELLING)
_BACKWARDS = "|".join(word[::-1] for word in _TELLING)

DECODERS: dict[str, Callable[[str], str]] = {
    "base64": _parts(_BASE64, _from_base64),
    "base32": _parts(_BASE32, _from_base32),
    "ascii85": _parts(_ASCII85, lambda part: base64.a85decode(part, adobe=True)),
    "hex": _parts(_HEX, _from_hex),
    "binary": _parts(_BINARY, _from_binary),
    "morse": _from_morse,
    "spelling alphabet": _from_nato,
    "rot13": lambda text: codecs.decode(text, "rot13"),
    "atbash": lambda text: text.translate(_ATBASH),
    "backwards": _backwards,
    "url": urllib.parse.unquote_plus,
    "html": html.unescape,
    "escapes": _from_escapes,
    "quoted-printable": _from_quoted_printable,
    "spaced letters": _from_spaces,
    "leetspeak": _from_leet,
}
_NAMES = list(DECODERS)
_NATO_WORDS = "|".join(_NATO)
_SIGNS = {
    "base64": r"(?:[A-Z0-9+/_-]*[A-Z][0-9+/_-]*[a-z][a-z0-9+/_-]*){2}[A-Z0-9+/_-]",  # a path or a word with hyphens has few capitals
    "base32": r"[A-Z2-7]{16}",
    "ascii85": r"<~[!-u\s]{10,}",
    "hex": r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,:]?){8}",
    "binary": r"(?:[01]{8}\s?){6}",
    "morse": r"(?:[.\-]{1,4}[ /]+){8}",
    "spelling alphabet": rf"(?i)(?:(?:{_NATO_WORDS})[\s,.\-]+){{5}}",
    "rot13": rf"(?i)\b(?:{_ROT13})\b",
    "atbash": rf"(?i)\b(?:{_ATBASHED})\b",
    "backwards": rf"(?i)\b(?:{_BACKWARDS})\b",
    "url": r"%[0-9a-fA-F]{2}[^\s%]{0,12}%[0-9a-fA-F]{2}",
    "html": r"&(?:#x?[0-9a-fA-F]{2,6}|[a-z]{2,6});",
    "escapes": r"(?:\\u\{?[0-9a-fA-F]{4}\}?|\\x[0-9a-fA-F]{2}){3}",
    "quoted-printable": r"=[2-7][0-9A-F][^\n=]{0,12}=[2-7][0-9A-F]",
    "spaced letters": r"(?:^|\W)\w(?:[ .\-_*|/]{1,3}\w){4,}(?:\W|$)",
    # Without the sign @, which is in every address.
    "leetspeak": r"(?i)(?:^|\W)[a-z]*(?:[a-z][0134578$!]+[a-z]|[0134578$!][a-z]+[0134578$!])",
}


@functools.cache
def _signs() -> Callable[[str], list[int]]:
    return one_of(_SIGNS.values(), small=True)


def triggered(text: str) -> list[str]:
    """Return the decoders whose sign stands in a text."""
    return [_NAMES[index] for index in _signs()(text)]
