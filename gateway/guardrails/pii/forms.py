"""How numbers are written, and the words that say what they are: tables for `groups.py`.

`FORMS`: a mask (9 for any digit) → what a number of that form may be. The first rule that fits gives it its name.

Source: ISO/IEC 7812 and the networks' issuer ranges, ITU-T E.164, the North American Numbering Plan, SSA's numbering (read
2026-11-22).
"""

from gateway.guardrails.pii import checksums as sums
from gateway.guardrails.pii.national import NUMBERS, Check, Rule

CARD = (
    r"card|visa|amex|maestro|american express|discover|diners|\bjcb\b|charged? |pay with|\bpin for|\bcvv|"
    r"credit|debit|kart[ey]|tarjeta|carte|cartão|carta|kort|kaart|карт|カード|信用卡|بطاقة|कार्ड|\bpan\b"
)
NAMED = (
    r"phone|mobile|\bmob\b|handy|\bcell|\bfax|\btel\b|t[eé]l[eé]f|telefon|whats.?app|\bsms\b|my number|number's|registered|"
    r"電話|携帯|电话|手机|전화|اتصال|هاتف|телефон|फ़ोन|फोन"
)
PHONE = (
    NAMED
    + r"|\bcall(?:ed|ing|s)?\b|callback|\btext\b|(?:my|the|his|her|our|your|their|new|old|direct|best|work|office|home|['’]s) number is|"
    + r"answering|reach\b|contact|messages? to|\bdial|\bring\b|\bdesk\b|"
    + r"appel|rufen|llám|chiama"
)
OTHER = (
    r"order|sku|p/n|catalog|\bpart|serial|invoice|\bpo\b|\blot\b|batch|tracking|ticket|\bref\b|reference|isbn|issn|version|build|asset|model|"
    r"\bbin\b|case|account|amount|total|\btag\b|parcel|shipment|item|product|article|card|\bssn\b|passport|commit|hash|error|code|\bid\b|"
    r"timestamp|epoch|\bport\b|score|ratio|pages?|sum\b|compute|license|licence|invoice|receipt|transaction|booking|policy|claim no"
)
SSN = r"\bssn\b|social.?security|\bss ?#|\bss no|\bitin\b|taxpayer"
BORN = (
    r"\bborn\b|\bdob\b|\bd\.o\.b\b|birth.?day|date.?of.?birth|birth.?date|geburtsdatum|geboren|\bgeb\.|n[ée]e? le|date de naissance|"
    r"fecha de nacimiento|nacid[oa]|data di nascita|nat[oa] il|data de nascimento|geboortedatum|född|syntym|urodz|"
    r"生年月日|出生|تاريخ الميلاد|дата рождения"
)
PASSPORT = r"passport|passe?port|reisepass|pasaporte|passaporto|passaporte|paspoort|paszport|pass.?nr|護照|护照|パスポート|паспорт"
# Mir, Mastercard, JCB (whose range generators of test data take too wide), Maestro, UnionPay, Discover, RuPay.
_OF_16 = (
    (2200, 2205),
    (2221, 2721),
    (5000, 5100),
    (5100, 5600),
    (3500, 3600),
    (5600, 5900),
    (6000, 6100),
    (6200, 6600),
    (6700, 6800),
    (8100, 8200),
)
DATES = frozenset((
    *(b"9999-99-99", b"9999/99/99", b"9999.99.99", b"99-99-9999", b"99/99/9999", b"99.99.9999", b"9/9/9999", b"9/99/9999", b"99/9/9999"),
    *(b"99/99/99", b"99.99.99", b"99-99-99", b"9.9.9999", b"99.9.9999", b"9.99.9999", b"99999999", b"9999-9-99", b"9999-9-9", b"9999-99-9"),
))  # fmt: skip
# Country code → fewest and most digits after it; others have 6 to 12.
LENGTHS = {"1": (10, 10), "7": (10, 10), "33": (9, 9), "34": (9, 9), "44": (9, 10), "45": (8, 8), "47": (8, 8), "48": (9, 9), "61": (9, 9),
            "81": (9, 10), "86": (10, 11), "91": (10, 10), "31": (9, 9), "32": (8, 9), "41": (9, 9), "46": (7, 9), "351": (9, 9),
            "353": (7, 9), "358": (6, 10), "65": (8, 8), "52": (10, 11), "55": (10, 11), "82": (8, 10), "90": (10, 10)}  # fmt: skip


# Maestro's, of any length.
_MAESTRO = frozenset(("5018", "5020", "5038", "5893", "6304", "6759", "6761", "6762", "6763"))


def _issuer(digits: str) -> bool:
    """Whether a network issues such cards; without words, where Luhn alone would let too much pass."""
    length, head = len(digits), int(digits[:4])
    if digits[:4] in _MAESTRO:
        return True
    if digits[0] == "4":
        return length in {16, 19}
    if length == 16:
        return any(low <= head < high for low, high in _OF_16)
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


def _east_asian(digits: str) -> bool:
    return digits[:3] in {"010", "050", "070", "080", "090"}


def _spaced_nanp(digits: str) -> bool:
    return digits[0] not in "01" and digits[3] not in "01" and _nanp(digits)


_ONE = tuple("9" * length for length in range(12, 20))
_CARDS = ("9999 9999 9999 9999", "9999 999999 99999", "9999 999999 9999", "9999 9999 9999 9999 999", "9999 9999 9999 999")
FORMS: dict[bytes, list[Rule]] = {}


def _known(category: str, masks: tuple[str, ...], check: Check, words: str = "") -> None:
    for mask in masks:
        for each in {mask, mask.replace(" ", "-"), mask.replace(" ", ".")} if category == "payment_card" else {mask}:
            FORMS.setdefault(each.encode(), []).append(Rule(category, check, words))


_known("payment_card", (*_ONE, *_CARDS), _card)
_known("payment_card", (*_ONE, *_CARDS, "9999 9999 9999", "9999 9999 9999 9"), _old_card, CARD)
_known("us_ssn", ("999-99-9999",), _ssn)
_known("us_ssn", ("999 99 9999", "999999999", "999.99.9999"), _ssn, SSN)
_known("us_ssn", ("999-99-9999", "999 99 9999", "999999999"), _itin, SSN)
for _mask, _rule in NUMBERS:
    FORMS.setdefault(_mask.encode(), []).append(_rule)
# Last, since the first that fits gives the name.
_known("phone", ("999-999-9999", "999.999.9999", "(999) 999-9999", "(999)999-9999", "(999) 999 9999", "9-999-999-9999", "9.999.999.9999",
                 "9 (999) 999-9999", "999-999-999-9999", "9(999)999-9999"), _nanp)  # fmt: skip
_known("phone", ("999 999 9999",), _spaced_nanp)
_known("phone", ("999-9999-9999",), _east_asian)
BEGINNINGS = frozenset(mask[:size] for mask in FORMS for size in range(1, len(mask)))
STARTS = frozenset(len(mask.lstrip(b"(")) - len(mask.lstrip(b"(").lstrip(b"9")) for mask in FORMS)
