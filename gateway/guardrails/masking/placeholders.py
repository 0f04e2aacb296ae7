"""What the model sees in place of personal data, and how the client gets it back.

    anna@contoso.com ─assign─▶ <EMAIL_1> ─▶ model ─▶ "I wrote to <EMAIL_1>" ─text─▶ "I wrote to anna@contoso.com"

Rules:
- One original of one name has one placeholder, and one placeholder one original, for as long as the mapping lives: a call, or a
  session where the vault keeps it.
- Numbers count up by name, in the order in which originals are found.
- A placeholder that stands in a request literally is never given out for that call, so what the client itself wrote comes
  back as it was.
- Only what was given out in this call, or in those that its conversation at the provider goes back to, is put back: whoever
  types `<EMAIL_1>` gets nobody's address.

Must not: show an original in a repr, a message or a log.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from gateway.guardrails.masking import forms

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,47}")


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One placeholder, `<NAME_number>`, and what it stands for."""

    name: str
    number: int
    original: str

    def __repr__(self) -> str:
        return f"Entry({self.key})"

    @property
    def key(self) -> str:
        """What stands between the brackets."""
        return f"{self.name}_{self.number}"


class Place(msgspec.Struct, frozen=True):
    """Where the vault keeps a mapping: the keys of its row."""

    partition: str
    row: str


class Placeholders:
    """The mapping of one call.

    Args:
        place: Where the vault keeps it; None where it lives as long as the call.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.place = place
        self._known: dict[str, Entry] = {}
        self._by_original: dict[tuple[str, str], list[Entry]] = {}
        self._highest: dict[str, int] = {}
        self._active: dict[str, str] = {}
        self._literal: set[str] = set()

    def __repr__(self) -> str:
        return f"Placeholders({len(self._known)} known, {len(self._active)} in use)"

    def __bool__(self) -> bool:
        """Tell whether there is anything to put back."""
        return bool(self._active)

    @property
    def entries(self) -> Sequence[Entry]:
        """What is in use."""
        return [self._known[key] for key in self._active]

    def assign(self, found: Iterable[tuple[str, str]], texts: Iterable[str] = ()) -> dict[tuple[str, str], str]:
        """Give placeholders, and note that they are in use.

        Args:
            found: Names and originals, in the order in which they are found. A name is in capital letters: `EMAIL`.
            texts: All that the model is sent, before it is masked: a placeholder that stands there already is not given.

        Returns:
            (name, original) → `<EMAIL_1>`.
        """
        found = list(found)
        self.learn(self.missing(found, texts))
        return self.use(found)

    def missing(self, found: Iterable[tuple[str, str]], texts: Iterable[str] = ()) -> list[Entry]:
        """Return the entries that must be made before `use`, without making them; see `assign`."""
        self._literal |= forms.literals(texts)
        made: dict[tuple[str, str], Entry] = {}
        highest: dict[str, int] = {}
        for pair in found:
            if pair in made or self._usable(pair) is not None:
                continue
            name, original = pair
            if not _NAME.fullmatch(name):
                raise ValueError("a placeholder's name is in capital letters, digits and _")
            number = highest.get(name, self._highest.get(name, 0)) + 1
            while f"{name}_{number}" in self._literal:
                number += 1
            highest[name] = number
            made[pair] = Entry(name, number, original)
        return list(made.values())

    def learn(self, entries: Iterable[Entry]) -> None:
        """Take entries that exist. One whose placeholder stands for something else here already is left out."""
        for entry in entries:
            if self._known.setdefault(entry.key, entry) is entry:
                self._by_original.setdefault((entry.name, entry.original), []).append(entry)
                self._highest[entry.name] = max(self._highest.get(entry.name, 0), entry.number)

    def use(self, found: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return the placeholders of what has some, and note that they are in use."""
        given: dict[tuple[str, str], str] = {}
        for pair in found:
            entry = self._usable(pair)
            if entry is None:
                raise ValueError(f"there is no placeholder for this {pair[0]}")
            self._active[entry.key] = entry.original
            given[pair] = f"<{entry.key}>"
        return given

    def use_all(self) -> None:
        """Note that all that is known is in use: the provider still holds what was said."""
        self._active.update((key, entry.original) for key, entry in self._known.items())

    def text(self, text: str, *, json: bool = False) -> str:
        """Put originals back in place of placeholders.

        Args:
            text: Of an answer; as much as is there, `open_from` of which is its length.
            json: The text is of JSON, inside a string, and stays so.
        """
        return forms.replaced(text, self._active.get, json=json) if self._active else text

    def open_from(self, text: str) -> int:
        """Return from which character on more text could still complete a placeholder; `len(text)` where nothing is open."""
        return forms.open_from(text, self._active.keys())

    def _usable(self, pair: tuple[str, str]) -> Entry | None:
        entries = self._by_original.get(pair, ())
        return next((each for each in entries if each.key in self._active or each.key not in self._literal), None)
