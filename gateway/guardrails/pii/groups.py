"""Payment cards, phones, social security and national numbers, dates of birth: what is written in groups of digits.

A run is what stands together: digits, with at most three separators between two of them. In a run every stretch of whole groups
whose form (`999-99-9999`) is known is checked. What is left of the run is looked at again, by itself, and may be a phone where
words before or after say so. Nothing depends on what stands further away than `REACH` before and `AHEAD` after a run.

Source: that of `forms.py`.
"""

from collections.abc import Iterator

from gateway.guardrails.pii.forms import BEGINNINGS, BORN, DATES, FORMS, LENGTHS, NAMED, OTHER, PASSPORT, PHONE, SSN, STARTS
from gateway.guardrails.pii.national import Rule
from gateway.guardrails.pii.text import Beside, scanner

type Found = tuple[int, int, str]

AHEAD = 14  # how far an extension, or a word such as `office`, reaches after a number
LONGEST_RUN = 256  # characters; a longer run is a table, and only whole forms are looked for in it
_RUN = rb"\+?\(?\d(?:[ \-./()\x81]{0,3}\d){5,}"
_GROUP = rb"\d+"
_EXTENSION = rb" ?(?:[xX]|[eE]xt\.?) ?\d{1,6}"
_AFTER = rb"(?i)(?:\\n|[ \-(]){0,2}(?:office|fax|mobile|cell|home|work|tel|phone)\b"
_NINES = bytes(0x39 if 0x30 <= code <= 0x39 else code for code in range(256))
_SEPARATORS = b" -./()\x81"
_TIGHT = (b"-", b".", b"/")
_MOST_GROUPS, _DEEPEST = 7, 3


class Numbers:
    """The numbers of one text."""

    __slots__ = ("_beside", "_data", "_masks", "_text")

    def __init__(self, text: str, data: bytes) -> None:
        self._text, self._data, self._beside = text, data, Beside(text)
        self._masks = data.translate(_NINES)

    def find(self) -> Iterator[Found]:
        """Find them, run by run."""
        for match in scanner(_RUN).finditer(self._data):
            yield from self._run(*match.span())

    def _run(self, start: int, end: int) -> Iterator[Found]:
        data = self._data
        plus = data[start : start + 1] == b"+"
        groups = (
            [match.span() for match in scanner(_GROUP).finditer(data[start:end])]
            if end - start > 40 or not data[start:end].isdigit()
            else [(0, end - start)]
        )
        groups = [(first + start, last + start) for first, last in groups]
        if plus:
            taken = self._international(groups)
            if taken:
                last = groups[taken - 1][1]
                yield start, self._extended(last), "phone"
                groups = groups[taken:]
        yield from self._pieces(groups, whole=end - start <= LONGEST_RUN)

    def _pieces(self, groups: list[tuple[int, int]], *, whole: bool, depth: int = 0) -> Iterator[Found]:
        """Find the known forms among groups, and then what is between those; `whole` where words may decide."""
        if not groups or groups[-1][1] - groups[0][0] < 6:
            return
        found = sorted(self._forms(groups))
        if not found or depth > _DEEPEST:
            yield from found or (self._by_words(groups) if whole else ())
            return
        yield from found
        piece: list[tuple[int, int]] = []
        place, count = 0, len(found)
        covered = 0  # where the findings so far end
        for group in groups:
            while place < count and found[place][0] < group[1]:
                covered = max(covered, found[place][1])
                place += 1
            if group[0] >= covered:
                piece.append(group)
            elif piece:
                yield from self._pieces(piece, whole=whole, depth=depth + 1)
                piece = []
        yield from self._pieces(piece, whole=whole, depth=depth + 1)

    def _forms(self, groups: list[tuple[int, int]]) -> Iterator[Found]:
        masks = self._masks
        count = len(groups)
        for first, (start, stop) in enumerate(groups):
            if stop - start not in STARTS:
                continue
            opened = masks[start - 1 : start] == b"("
            for last in range(first, min(first + _MOST_GROUPS, count)):
                end = groups[last][1]
                mask = masks[start:end]
                if b"\x81" in mask:
                    mask = mask.replace(b"\x81", b"")
                begin, rules = start, FORMS.get(mask)
                if opened and rules is None:
                    begin, rules = start - 1, FORMS.get(b"(" + mask)
                if rules and (found := self._checked(begin, end, rules, groups, first, last)):
                    yield found
                if mask not in BEGINNINGS and not (opened and b"(" + mask in BEGINNINGS):
                    break

    def _checked(self, start: int, end: int, rules: list[Rule], groups: list[tuple[int, int]], first: int, last: int) -> Found | None:
        digits = ""
        for rule in rules:
            if rule.words and self._beside.last(rule.words, start) < 0:
                continue
            if not self._stands_alone(start, end, rule.category, groups, first, last):
                continue
            digits = digits or self._data[start:end].translate(None, _SEPARATORS).decode()
            if not rule.check(digits):
                continue
            if rule.category == "phone":
                end = self._extended(end)
            if not rule.words and rule.category in {"phone", "us_ssn"}:
                other = self._beside.last(OTHER, start)
                if other >= 0 and other > self._beside.last(PHONE if rule.category == "phone" else SSN, start):
                    continue
            return start, end, rule.category
        return None

    def _stands_alone(self, start: int, end: int, category: str, groups: list[tuple[int, int]], first: int, last: int) -> bool:
        """Whether neither letters nor more digits of the same writing stand beside it."""
        data = self._data
        left = data[groups[first - 1][1] : start] if first else b""
        right = data[end : groups[last + 1][0]] if last + 1 < len(groups) else b""
        if left in _TIGHT or (right in _TIGHT and not (category == "payment_card" and right == b"/")):
            return False
        if category == "payment_card":
            alike = (groups[first][1] - groups[first][0], groups[last][1] - groups[last][0]) == (4, 4)
            if alike and ((first and left == b" " and groups[first - 1][1] - groups[first - 1][0] == 4) or (
                right == b" " and groups[last + 1][1] - groups[last + 1][0] == 4)):  # fmt: skip
                return False
        elif first < last and b" " in data[start:end] and b" " in {left, right}:
            return False
        before_it, after_it = data[start - 1 : start], data[end : end + 1]
        letters = (after_it.isalpha() and category != "phone") or (category == "phone" and after_it in b"X" and after_it != b"")
        glued = before_it in (b"$", b"#", b"\\") or (before_it in _TIGHT and data[start - 2 : start - 1].isalnum())
        return not (before_it.isalpha() or before_it == b"+" or letters or glued or self._goes_on(end))

    def _goes_on(self, end: int) -> bool:
        """Whether a word hangs on it by a hyphen, dot or slash, other than one that says whose phone it is."""
        data = self._data
        if data[end : end + 1] not in _TIGHT or not data[end + 1 : end + 2].isalnum():
            return False
        return scanner(_AFTER).match(data[end : end + AHEAD]) is None

    def _international(self, groups: list[tuple[int, int]]) -> int:
        """Return how many groups, from the first on, are a phone number that begins with a plus sign."""
        digits, best = "", 0
        for number, (start, end) in enumerate(groups, 1):
            digits += self._data[start:end].decode()
            if len(digits) > 15:
                break
            code = next((digits[:size] for size in (1, 2, 3) if digits[:size] in LENGTHS), "")
            rest = len(digits) - len(code)
            low, high = LENGTHS[code] if code else (8, 15)
            trunk = "(0)" in self._text[groups[0][0] : end]
            if digits[0] != "0" and low <= rest - trunk <= high + (code not in {"1", "7"}):
                best = number
        return best

    def _extended(self, end: int) -> int:
        match = scanner(_EXTENSION).match(self._data[end : end + AHEAD])
        return end + match.end() if match else end

    def _by_words(self, groups: list[tuple[int, int]]) -> Iterator[Found]:
        """Phones, dates of birth and passports, which only the words beside them tell from other numbers."""
        data, start, end = self._data, groups[0][0], groups[-1][1]
        if data[start - 1 : start] == b"(" or data[start - 1 : start] == b"+":
            start -= 1
        if data[start - 1 : start].isalpha() or self._goes_on(end):
            return
        mask = self._masks[start:end]
        last = self._beside.last
        if mask in DATES and last(BORN, start) >= 0:
            yield start, end, "date_of_birth"
            return
        if mask in DATES and len(groups) > 1:
            return
        count = sum(stop - first for first, stop in groups)
        if 6 <= count <= 9 and len(groups) == 1 and last(PASSPORT, start) >= 0:
            yield start, end, "passport"
        elif 6 <= count <= 15 and self._phone_like(mask, groups):
            said = scanner(_AFTER).match(data[end : end + AHEAD]) is not None
            place, other = last(NAMED if len(groups) == 1 and count < 9 else PHONE, start), last(OTHER, start)
            if self._abroad(groups) or (place >= 0 and place > other) or (said and other < 0):
                yield start, self._extended(end), "phone"

    def _abroad(self, groups: list[tuple[int, int]]) -> bool:
        """Whether it begins with 00 and the code of a country whose numbers have that length."""
        digits = b"".join(self._data[start:end] for start, end in groups).decode()
        code = next((digits[2 : 2 + size] for size in (1, 2, 3) if digits[2 : 2 + size] in LENGTHS), "")
        return (
            len(groups) > 1
            and digits.startswith("00")
            and bool(code)
            and LENGTHS[code][0] <= len(digits) - 2 - len(code) <= LENGTHS[code][1]
        )

    def _phone_like(self, mask: bytes, groups: list[tuple[int, int]]) -> bool:
        """Whether it is neither a decimal, nor an address, nor years."""
        if len(groups) == 2 and (b"." in mask or (mask == b"9999-9999" and self._data[groups[0][0] : groups[0][0] + 2] in {b"19", b"20"})):
            return False
        dots = mask.count(b".")
        return not (
            dots == 3 and len(groups) == 4 and dots + 1 == len(groups) and max(b - a for a, b in groups) <= 3 and mask.count(b"99.9") < 3
        )
