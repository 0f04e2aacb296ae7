"""National numbers of persons: how they are written, their checksums, and the words that announce the weaker ones.

`NUMBERS` lists those of digits, by the masks in which they are written (9 for any digit); `WORDS` those of letters and digits.
A number with a strong checksum, or of an unmistakable form, needs no words; one that a random number passes too often does.

Source: python-stdnum's documentation of each country's numbers, https://arthurdejong.org/python-stdnum/ (read 2026-11-22).
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from gateway.guardrails.pii import checksums as sums
from gateway.guardrails.pii.checksums import a_day, weighted

type Check = Callable[[str], bool]


class Rule(msgspec.Struct, frozen=True):
    """How one number is known.

    Attributes:
        category: What a finding is called.
        check: Whether its digits (and letters) can be one.
        words: A pattern of which one must stand before it; empty for none.
    """

    category: str
    check: Check
    words: str = ""


def _repeated(digits: str) -> bool:
    return len(set(digits)) == 1


def _ymd(digits: str) -> bool:
    return a_day(int(digits[:2]), int(digits[2:4]), int(digits[4:6]))


def _dmy(digits: str) -> bool:
    return a_day(int(digits[4:6]), int(digits[2:4]), int(digits[:2]))


def _mod11(digits: str, weights: Sequence[int]) -> bool:
    return weighted(digits, weights) % 11 == 0


def _br_cpf(digits: str) -> bool:
    first = weighted(digits, range(10, 1, -1)) * 10 % 11 % 10
    return not _repeated(digits) and [first, weighted(digits, range(11, 1, -1)) * 10 % 11 % 10] == [*map(int, digits[9:])]


def _ch_ahv(digits: str) -> bool:
    return digits.startswith("756") and weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


def _de_steuer_id(digits: str) -> bool:
    most = max(digits[:10].count(each) for each in set(digits[:10]))
    return digits[0] != "0" and most in {2, 3} and sums.mod11_10(digits)


def _se_personnummer(digits: str) -> bool:
    short = digits[-10:]
    day = int(short[4:6])
    return a_day(0, int(short[2:4]), day - 60 if day > 60 else day) and sums.luhn(short)


def _no_fnr(digits: str) -> bool:
    day = int(digits[:2])
    dated = a_day(0, int(digits[2:4]), day - 40 if day > 40 else day)
    return dated and _mod11(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) and _mod11(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1))


def _be_nrn(digits: str) -> bool:
    base, check = digits[:9], int(digits[9:])
    dated = int(digits[2:4]) <= 12 and int(digits[4:6]) <= 31
    return dated and check in {97 - int(base) % 97, 97 - int("2" + base) % 97}


def _pl_pesel(digits: str) -> bool:
    dated = a_day(0, int(digits[2:4]) % 20, int(digits[4:6]))
    return dated and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _nl_bsn(digits: str) -> bool:
    return not _repeated(digits) and (weighted(digits[:8], range(9, 1, -1)) - int(digits[8])) % 11 == 0


def _pt_nif(digits: str) -> bool:
    return digits[0] != "0" and (11 - weighted(digits[:8], range(9, 1, -1)) % 11) % 11 % 10 == int(digits[8])


def _fr_nir(digits: str) -> bool:
    month = int(digits[3:5])
    return digits[0] in "12" and (1 <= month <= 12 or 20 <= month <= 42) and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _gb_nhs(digits: str) -> bool:
    return not _repeated(digits) and _mod11(digits, range(10, 0, -1))


def _at_svnr(digits: str) -> bool:
    return digits[0] != "0" and weighted(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(digits[3])


def _ro_cnp(digits: str) -> bool:
    check = weighted(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return digits[0] != "0" and _ymd(digits[1:]) and (1 if check == 10 else check) == int(digits[12])


def _cz_rc(digits: str) -> bool:
    month = int(digits[2:4])
    month -= next((more for more in (70, 50, 20) if month > more), 0)
    return a_day(0, month, int(digits[4:6])) and int(digits[:9]) % 11 % 10 == int(digits[9])


def _cz_old(digits: str) -> bool:
    """Those born before 1954 have nine digits and no checksum."""
    month = int(digits[2:4])
    return a_day(0, month - 50 if month > 50 else month, int(digits[4:6])) and int(digits[:2]) < 54


def _tr_tckn(digits: str) -> bool:
    numbers = [*map(int, digits)]
    tenth = (7 * sum(numbers[0:9:2]) - sum(numbers[1:8:2])) % 10
    return numbers[0] != 0 and tenth == numbers[9] and sum(numbers[:10]) % 10 == numbers[10]


def _in_aadhaar(digits: str) -> bool:
    return digits[0] in "23456789" and sums.verhoeff(digits)


def _au_tfn(digits: str) -> bool:
    return _mod11(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10))


def _au_medicare(digits: str) -> bool:
    return digits[0] in "23456" and weighted(digits[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(digits[8])


def _ca_sin(digits: str) -> bool:
    return digits[0] != "8" and sums.luhn(digits)


def _za_id(digits: str) -> bool:
    return _ymd(digits) and digits[10] in "012" and sums.luhn(digits)


def _kr_rrn(digits: str) -> bool:
    return _ymd(digits) and (11 - weighted(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(digits[12])


def _cn_resident(value: str) -> bool:
    dated = value[6:8] in {"18", "19", "20"} and a_day(0, int(value[10:12]), int(value[12:14]))
    total = weighted(value[:17], (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    return value[0] != "0" and dated and "10X98765432"[total % 11] == value[17]


def _jp_my_number(digits: str) -> bool:
    rest = weighted(digits[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest <= 1 else 11 - rest) == int(digits[11])


def _cl_rut(value: str) -> bool:
    rest = (11 - sum(int(digit) * (2 + place % 6) for place, digit in enumerate(reversed(value[:-1]))) % 11) % 11
    return "0123456789K"[rest] == value[-1]


def _es_dni(value: str) -> bool:
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(value[:8]) % 23] == value[8]


def _es_nie(value: str) -> bool:
    return _es_dni(str("XYZ".index(value[0])) + value[1:])


def _it_codice_fiscale(value: str) -> bool:
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    numbers = [int(char) if char.isdigit() else ord(char) - 65 for char in value]
    return (sum(odd[each] for each in numbers[:15:2]) + sum(numbers[1:15:2])) % 26 == numbers[15]


def _mx_curp(value: str) -> bool:
    alphabet = "0123456789ABCDEFGHIJKLMN\u00d1OPQRSTUVWXYZ"
    total = sum(alphabet.index(char) * (18 - place) for place, char in enumerate(value[:17]))
    return str(-total % 10) == value[17]


def _sg_nric(value: str) -> bool:
    total = weighted(value[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(value[0], 0)
    return {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK"}.get(value[0], "KLJNPQRTUWX")[
        total % 11
    ] == value[8]


def _fi_hetu(value: str) -> bool:
    return _dmy(value) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[7:10]) % 31] == value[10]


def _gb_nino(value: str) -> bool:
    first, second = value[0], value[1]
    return first not in "DFIQUV" and second not in "DFIOQUV" and value[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def _tw_id(value: str) -> bool:
    number = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(value[0]) + 10
    return (number // 10 + number % 10 * 9 + weighted(value[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def _ie_pps(value: str) -> bool:
    second = ord(value[8]) - 64 if len(value) == 9 and value[8] != "W" else 0
    return "WABCDEFGHIJKLMNOPQRSTUV"[(weighted(value, range(8, 1, -1)) + second * 9) % 23] == value[7]


def _without_checksum(_value: str) -> bool:
    """A number without a checksum."""
    return True


def _national() -> Iterator[tuple[str, Rule]]:
    for country, masks, check, words in (
        ("br", "999.999.999-99", _br_cpf, ""),
        ("br", "99999999999", _br_cpf, r"\bcpf\b"),
        ("ch", "999.9999.9999.99|9999999999999", _ch_ahv, ""),
        ("de", "99 999 999 999|99999999999", _de_steuer_id, r"steuer|tax.?(?:id|no|num)|\bidnr|\btin\b|\bid.?nr"),
        ("dk", "999999-9999|9999999999|999999 9999", _dmy, r"\bcpr\b|personnummer|person.?no"),
        ("se", "999999-9999|99999999-9999", _se_personnummer, ""),
        ("se", "9999999999|999999999999", _se_personnummer, r"person.?nummer|personal id|samordningsnummer"),
        ("no", "99999999999|999999 99999", _no_fnr, ""),
        ("be", "99.99.99-999.99", _be_nrn, ""),
        ("be", "99999999999", _be_nrn, r"rijksregister|registre national|national regist|\bnrn\b|\bniss\b|\binsz\b"),
        ("pl", "99999999999", _pl_pesel, ""),
        ("nl", "999999999|9999.99.999|9999 99 999", _nl_bsn, r"\bbsn\b|burgerservice|sofi.?n|citizen service"),
        ("pt", "999999999|999 999 999", _pt_nif, r"\bnif\b|contribuinte"),
        ("fr", "999999999999999|9 99 99 99 999 999 99|9 99 99 99 999 999-99|9999999999999 99", _fr_nir, ""),
        ("gb", "999 999 9999|9999999999|999-999-9999", _gb_nhs, r"\bnhs\b|national health"),
        ("at", "9999 999999|9999999999|9999-999999", _at_svnr, r"\bsv.?nr|sozialversicherung|versicherungsn|social insurance"),
        ("ro", "9999999999999", _ro_cnp, r"\bcnp\b|cod.{0,2} numeric"),
        ("cz", "999999/9999", _cz_rc, ""),
        ("cz", "9999999999", _cz_rc, r"rodn[eé]|birth number|\brc\b"),
        ("cz", "999999/999", _cz_old, r"rodn[eé]|birth number|\brc\b"),
        ("tr", "99999999999", _tr_tckn, r"kimlik|\btckn\b|\btc\b|turkish id"),
        ("in", "9999 9999 9999|9999-9999-9999", _in_aadhaar, ""),
        ("in", "999999999999", _in_aadhaar, r"aa?dh?aa?r|\buid(?:ai)?\b"),
        ("au", "999 999 999|999999999|999-999-999", _au_tfn, r"\btfn\b|tax file"),
        ("au", "9999 99999 9|9999999999|9999-99999-9", _au_medicare, r"medicare"),
        ("ca", "999 999 999|999999999|999-999-999", _ca_sin, r"\bsin\b|social insurance|\bnas\b"),
        ("za", "9999999999999|999999 9999 99 9|999999 9999 999", _za_id, r"\bid\b|identity|\brsa\b|south african"),
        ("kr", "999999-9999999", _kr_rrn, ""),  # since October 2020 given out without a checksum, so beside words a date is enough
        ("kr", "999999-9999999|9999999999999", _ymd, r"주민|\brrn\b|resident regist"),
        ("cn", "999999999999999999", _cn_resident, ""),
        ("jp", "999999999999|9999 9999 9999|9999-9999-9999", _jp_my_number, r"my.?number|マイナンバー|個人番号"),
        ("cl", "99.999.999-9|9.999.999-9", _cl_rut, ""),
        ("cl", "99999999-9|9999999-9", _cl_rut, r"\brut\b|\brun\b"),
        ("my", "999999-99-9999", _ymd, ""),
    ):
        for mask in masks.split("|"):
            yield mask, Rule(f"national_id.{country}", check, words)


NUMBERS: tuple[tuple[str, Rule], ...] = tuple(_national())
# Pattern over the upper-cased value without blanks and hyphens → rule.
WORDS: tuple[tuple[str, Rule], ...] = (
    (r"\d{8}[A-Z]", Rule("national_id.es", _es_dni)),
    (r"[XYZ]\d{7}[A-Z]", Rule("national_id.es", _es_nie)),
    (r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", Rule("national_id.it", _it_codice_fiscale)),
    (r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", Rule("national_id.mx", _mx_curp)),
    (r"[STFGM]\d{7}[A-Z]", Rule("national_id.sg", _sg_nric)),
    (r"\d{17}X", Rule("national_id.cn", _cn_resident)),
    (r"\d{7,8}K", Rule("national_id.cl", _cl_rut, r"\brut\b|\brun\b")),
    (r"[A-Z]{2}\d{6}[A-D]", Rule("national_id.gb", _gb_nino)),
    (r"[A-Z][12]\d{8}", Rule("national_id.tw", _tw_id, r"\bid\b|identity|taiwan|身分證|統一編號")),
    (r"\d{7}[A-W][A-IW]?", Rule("national_id.ie", _ie_pps, r"\bpps")),
    (r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", Rule("national_id.in", _without_checksum, r"\bpan\b|permanent account")),
)
HETU = Rule("national_id.fi", _fi_hetu)
