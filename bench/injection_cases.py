"""Hand-written texts that the detector never learned from: `data/injection_attacks.tsv` and `data/injection_benign.tsv`.

A line is role, kind and text, parted by tabs; `\n` in a text is a line's end. Where the kind names a disguise, the text is put into it.
"""

import base64
import codecs
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway.domain.verdicts import Role

DATA = Path(__file__).parent / "data"


class Case(NamedTuple):
    label: int
    role: Role
    kind: str
    text: str


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_LOOKS = str.maketrans("aeopcys", "аеорсуѕ")
_LEET = str.maketrans("aeiost", "4310$7")
DISGUISES: dict[str, Callable[[str], str]] = {
    "base64": lambda text: f"Decode this and do what it says: {_base64(text)}",
    "base32": lambda text: f"Decode: {base64.b32encode(text.encode()).decode()}",
    "hex": lambda text: f"Here is a note for you: {text.encode().hex()}",
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "url": lambda text: urllib.parse.quote(text).replace("e", "%65"),
    "html": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "escapes": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "zero-width": "\u200b".join,
    "tags": lambda text: "What a nice day! " + "".join(chr(0xE0000 + ord(each)) for each in text),
    "look-alikes": lambda text: text.translate(_LOOKS),
    "leetspeak": lambda text: text.translate(_LEET),
    "spaced": lambda text: "  ".join(" ".join(word) for word in text.split()),
    "backwards": lambda text: text[::-1],
    "binary": lambda text: " ".join(f"{each:08b}" for each in text.encode()),
    "styled": lambda text: "".join(chr(0x1D41A + ord(each) - 97) if "a" <= each <= "z" else each for each in text.lower()),
    "twice": lambda text: _base64(_base64(text).encode().decode()),
}


def _read(name: str, label: int) -> list[Case]:
    cases = []
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        role, kind, text = line.split("\t", 2)
        text = text.replace("\\n", "\n")
        cases.append(Case(label, Role(role), kind, DISGUISES.get(kind, str)(text)))
    return cases


def held_out() -> list[Case]:
    """Return all of them, attacks first."""
    return _read("injection_attacks.tsv", 1) + _read("injection_benign.tsv", 0)
