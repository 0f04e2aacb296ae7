"""Payment cards, phones, social security and national numbers, dates of birth: what is written in groups of digits.

A run is what stands together: digits, with at most three separators between two of them. In a run every stretch of whole groups
whose form (`999-99-9999`) is known is checked. What is left of the run is looked at again, by itself, and may be a phone where
words before or after say so. Nothing depends on what stands further away than `REACH` before and `AHEAD` after a run.

Source: ISO/IEC 7812 and the networks' issuer ranges, ITU-T E.164, the North American Numbering Plan, SSA's numbering (read
2026-11-22).
"""

from collections.abc import Iterator

from gateway.guardrails import checksums as sums
from gateway.guardrails.pii_national import NUMBERS, Rule
from gateway.guardrails.pii_text import before, last_of, scanner

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

_CARD = r"card|visa|amex|maestro|credit|debit|kart[ey]|tarjeta|carte|cartão|carta|kort|kaart|карт|カード|信用卡|بطاقة|कार्ड|\bpan\b"
_PHONE = (
    r"phone|mobile|\bmob\b|handy|\bcell|\bfax|\btel\b|t[eé]l[eé]f|telefon|\bcall(?:ed|ing|s)?\b|callback|whats.?app|\bsms\b|\btext\b|"
    r"my number|number's|number is|answering|reach\b|contact|messages? to|\bdial|\bring\b|\bdesk\b|registered|appel|rufen|llám|chiama|"
    r"電話|携帯|电话|手机|전화|اتصال|هاتف|телефон|फ़ोन|फोन"
)
_OTHER = (
    r"order|sku|\bpart|serial|invoice|\bpo\b|\blot\b|batch|tracking|ticket|\bref\b|reference|isbn|issn|version|build|asset|model|"
    r"\bbin\b|case|account|amount|total|\btag\b|parcel|shipment|item|product|article|card|\bssn\b|passport|commit|hash|error|code|\bid\b|"
    r"timestamp|epoch|\bport\b|score|ratio|pages?|sum\b|compute|license|licence|invoice|receipt|transaction|booking|policy|claim no"
)
_SSN = r"\bssn\b|social.?security|\bss ?#|\bss no|\bitin\b|taxpayer"
_BORN = (
    r"\bborn\b|\bdob\b|date.?of.?birth|birth.?da(?:te|y)|geburtsdatum|geboren|\bgeb\.|n[ée]e? le|date de naissance|fecha de nacimiento|"
    r"nacid[oa]|data di nascita|nat[oa] il|data de nascimento|geboortedatum|född|syntym|urodz|生年月日|出生|تاريخ الميلاد|дата рождения"
)
_PASSPORT = r"passport|passe?port|reisepass|pasaporte|passaporto|passaporte|paspoort|paszport|pass.?nr|護照|护照|パスポート|паспорт"
_DATES = frozenset((
    *(b"9999-99-99", b"9999/99/99", b"9999.99.99", b"99-99-9999", b"99/99/9999", b"99.99.9999", b"9/9/9999", b"9/99/9999", b"99/9/9999"),
    *(b"99/99/99", b"99.99.99", b"99-99-99", b"9.9.9999", b"99.9.9999", b"9.99.9999", b"99999999", b"9999-9-99", b"9999-9-9", b"9999-99-9"),
))  # fmt: skip
# Country code → fewest and most digits after it; others have 6 to 12.
_LENGTHS = {"1": (10, 10), "7": (10, 10), "33": (9, 9), "34": (9, 9), "44": (9, 10), "45": (8, 8), "47": (8, 8), "48": (9, 9), "61": (9, 9),
            "81": (9, 10), "86": (10, 11), "91": (10, 10), "31": (9, 9), "32": (8, 9), "41": (9, 9), "46": (7, 9), "351": (9, 9),
            "353": (7, 9), "358": (6, 10), "65": (8, 8), "52": (10, 11), "55": (10, 11), "82": (8, 10), "90": (10, 10)}  # fmt: skip


def _issuer(digits: str) -> bool:
    length, head = len(digits), int(digits[:4])
    if digits[0] == "4":
        return length in {16, 19}
    if length == 16:
        return 5100 <= head < 5600 or 2200 <= head < 2205 or 2221 <= head < 2721 or 3528 <= head < 3590 or head // 100 in {50, 56, 57, 58, 60, 62, 63, 64, 65, 67, 81}  # fmt: skip
    if length == 15:
        return head // 100 in {34, 37} or head in {2131, 1800}
    if length == 14:
        return 3000 <= head < 3060 or head // 100 in {36, 38, 39} or head == 3095
    return length in {17, 18, 19} and head // 100 in {62, 65}


def _card(digits: str) -> bool:
    return _issuer(digits) and sums.luhn(digits)


def _old_card(digits: str) -> bool:
    return digits[0] in "23456" and sums.luhn(digits)


def _ssn(digits: str) -> bool:
    return "000" != digits[:3] != "666" and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def _itin(digits: str) -> bool:
    return digits[0] == "9" and digits[3] in "56789" and digits[5:] != "0000"


def _nanp(digits: str) -> bool:
    return digits[:-10] in {"", "1", "001"} and len(set(digits)) > 2


_ONE = tuple("9" * length for length in range(12, 20))
_CARDS = ("9999 9999 9999 9999", "9999 999999 99999", "9999 999999 9999", "9999 9999 9999 9999 999", "9999 9999 9999 999")
_FORMS: dict[bytes, list[Rule]] = {}


def _known(category: str, masks: tuple[str, ...], check: object, words: str = "") -> None:
    for mask in masks:
        for each in {mask, mask.replace(" ", "-"), mask.replace(" ", ".")} if category == "payment_card" else {mask}:
            _FORMS.setdefault(each.encode(), []).append(Rule(category, check, words))  # type: ignore[arg-type]


_known("payment_card", (*_ONE, *_CARDS), _card)
_known("payment_card", (*_ONE, *_CARDS, "9999 9999 9999", "9999 9999 9999 9"), _old_card, _CARD)
_known("us_ssn", ("999-99-9999",), _ssn)
_known("us_ssn", ("999 99 9999", "999999999", "999.99.9999"), _ssn, _SSN)
_known("us_ssn", ("999-99-9999", "999 99 9999", "999999999"), _itin, _SSN)
_known("phone", ("999-999-9999", "999.999.9999", "(999) 999-9999", "(999)999-9999", "(999) 999 9999", "9-999-999-9999", "9.999.999.9999",
                 "9 (999) 999-9999", "999-999-999-9999", "9(999)999-9999"), _nanp)  # fmt: skip
for _mask, _rule in NUMBERS:
    _FORMS.setdefault(_mask.encode(), []).append(_rule)
_MOST_GROUPS = 7
_STARTS = frozenset(len(mask.lstrip(b"(").split(b" ")[0].split(b"-")[0].split(b".")[0].split(b"/")[0].split(b")")[0].split(b"(")[0]) for mask in _FORMS)


class Numbers:
    """The numbers of one text."""

    __slots__ = ("_data", "_masks", "_text")

    def __init__(self, text: str, data: bytes) -> None:
        self._text, self._data = text, data
        self._masks = data.translate(_NINES)

    def find(self) -> Iterator[Found]:
        """Find them, run by run."""
        for match in scanner(_RUN).finditer(self._data):
            yield from self._run(*match.span())

    def _run(self, start: int, end: int) -> Iterator[Found]:
        data = self._data
        plus = data[start : start + 1] == b"+"
        groups = [match.span() for match in scanner(_GROUP).finditer(data[start:end])] if end - start > 40 or not data[start:end].isdigit() else [(0, end - start)]
        groups = [(first + start, last + start) for first, last in groups]
        if plus:
            taken = self._international(groups)
            if taken:
                last = groups[taken - 1][1]
                yield start, self._extended(last), "phone"
                groups = groups[taken:]
        yield from self._pieces(groups, end - start <= LONGEST_RUN)

    def _pieces(self, groups: list[tuple[int, int]], whole: bool) -> Iterator[Found]:
        if not groups or groups[-1][1] - groups[0][0] < 6:
            return
        found = sorted(self._forms(groups))
        if not found:
            if whole:
                yield from self._by_words(groups)
            return
        start, end, category = found[0]
        merged = []
        for one, other, kind in found[1:]:
            if one < end:
                end = max(end, other)
            else:
                merged.append((start, end, category))
                start, end, category = one, other, kind
        merged.append((start, end, category))
        left = 0
        for start, end, category in merged:
            yield start, end, category
            rest = [group for group in groups if left <= group[0] and group[1] <= start]
            left = end
            yield from self._pieces(rest, whole)
        yield from self._pieces([group for group in groups if left <= group[0]], whole)

    def _forms(self, groups: list[tuple[int, int]]) -> Iterator[Found]:
        masks = self._masks
        count = len(groups)
        for first, (start, stop) in enumerate(groups):
            if stop - start not in _STARTS:
                continue
            opened = masks[start - 1 : start] == b"("
            for last in range(first, min(first + _MOST_GROUPS, count)):
                end = groups[last][1]
                rules = _FORMS.get(masks[start:end])
                begin = start
                if rules is None and opened:
                    rules, begin = _FORMS.get(masks[start - 1 : end]), start - 1
                if rules and (found := self._checked(begin, end, rules, groups, first, last)):
                    yield found

    def _checked(self, start: int, end: int, rules: list[Rule], groups: list[tuple[int, int]], first: int, last: int) -> Found | None:
        digits = self._data[start:end].translate(None, _SEPARATORS).decode()
        for rule in rules:
            if not self._stands_alone(start, end, rule.category, groups, first, last) or not rule.check(digits):
                continue
            if rule.category == "phone":
                end = self._extended(end)
            if rule.words or rule.category in {"phone", "us_ssn"}:
                context = before(self._text, start)
                if rule.words and last_of(rule.words, context) < 0:
                    continue
                if not rule.words and last_of(_OTHER, context) > last_of(_PHONE if rule.category == "phone" else _SSN, context):
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
        return self._data[end : end + 1] in _TIGHT and self._data[end + 1 : end + 2].isalnum() and not self._data[end + 1 : end + 7].lower().startswith((b"office", b"fax", b"mobile", b"home", b"work", b"cell", b"tel"))  # fmt: skip

    def _international(self, groups: list[tuple[int, int]]) -> int:
        """Return how many groups, from the first on, are a phone number that begins with a plus sign."""
        digits, best = "", 0
        for number, (start, end) in enumerate(groups, 1):
            digits += self._data[start:end].decode()
            if len(digits) > 15:
                break
            code = next((digits[:size] for size in (1, 2, 3) if digits[:size] in _LENGTHS), "")
            rest = len(digits) - len(code)
            low, high = _LENGTHS[code] if code else (8, 15)
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
        context = before(self._text, start)
        if mask in _DATES:
            if last_of(_BORN, context) >= 0:
                yield start, end, "date_of_birth"
            return
        count = sum(last - first for first, last in groups)
        if 6 <= count <= 9 and len(groups) == 1 and last_of(_PASSPORT, context) >= 0:
            yield start, end, "passport"
        elif 6 <= count <= 15 and self._phone_like(mask, groups):
            said = scanner(_AFTER).match(data[end : end + AHEAD]) is not None
            place = last_of(_PHONE, context)
            if (place >= 0 and place > last_of(_OTHER, context)) or (said and last_of(_OTHER, context) < 0):
                yield start, self._extended(end), "phone"

    def _phone_like(self, mask: bytes, groups: list[tuple[int, int]]) -> bool:
        """Whether it is neither a decimal, nor an address, nor years."""
        if len(groups) == 2 and (b"." in mask or (mask == b"9999-9999" and self._data[groups[0][0] : groups[0][0] + 2] in {b"19", b"20"})):
            return False
        dots = mask.count(b".")
        return not (dots == 3 and len(groups) == 4 and dots + 1 == len(groups) and max(b - a for a, b in groups) <= 3 and mask.count(b"99.9") < 3)
