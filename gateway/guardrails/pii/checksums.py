"""Checksums of numbers that name people, accounts and wallets. Pure; digits come in as ASCII, separators taken out.

Each function says whether a value could have been issued. None of them reads more than one value, and none raises.

Source: ISO/IEC 7812-1 (Luhn), ISO 13616 (IBAN), ISO 7064 (mod 97), BIP 173 and BIP 350 (bech32); read 2026-11-22.
"""

import hashlib
from collections.abc import Sequence

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_BASE58 = {char: value for value, char in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}
_BECH32 = {char: value for value, char in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_BECH32_STEPS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_ENDS = (1, 0x2BC830A3)
_WALLET_VERSIONS = (0x00, 0x05, 0x30, 0x32, 0x1E, 0x16, 0x41)  # Bitcoin, Litecoin, Dogecoin, TRON

_VERHOEFF_TIMES = tuple(
    tuple((row + column) % 5 if row < 5 and column < 5 else 5 + (row + column) % 5 if row < 5 else 5 + (row - column) % 5
          if column < 5 else (row - column) % 5 for column in range(10))
    for row in range(10)
)  # fmt: skip
_VERHOEFF_TURNS = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2), (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1), (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip

# Country → length of its IBANs, from SWIFT's registry, release 99.
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23,
    "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28,
    "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip


def luhn(digits: str) -> bool:
    """Whether the last digit is Luhn's of the others."""
    numbers = [*map(int, reversed(digits))]
    return (sum(numbers[::2]) + sum(_DOUBLED[each] for each in numbers[1::2])) % 10 == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    """Return the sum of the first digits times their weights."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def verhoeff(digits: str) -> bool:
    """Whether the last digit is Verhoeff's of the others."""
    state = 0
    for place, digit in enumerate(reversed(digits)):
        state = _VERHOEFF_TIMES[state][_VERHOEFF_TURNS[place % 8][int(digit)]]
    return state == 0


def iban(value: str) -> bool:
    """Whether upper-case letters and digits are an IBAN: its country's length, and mod 97."""
    if IBAN_LENGTHS.get(value[:2]) != len(value):
        return False
    return int("".join(str(int(char, 36)) for char in value[4:] + value[:4])) % 97 == 1


def mod11_10(digits: str) -> bool:
    """Whether the last digit is that of ISO 7064 mod 11, 10 of the others."""
    product = 10
    for digit in digits[:-1]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def base58(value: str) -> bool:
    """Whether base58 can write it."""
    return all(char in _BASE58 for char in value)


def base58check(value: str) -> bool:
    """Whether it is a wallet's address in base58 with its checksum."""
    number = 0
    for char in value:
        if char not in _BASE58:
            return False
        number = number * 58 + _BASE58[char]
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25)
    return raw[0] in _WALLET_VERSIONS and hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def bech32(value: str) -> bool:
    """Whether it is a wallet's address in bech32 or bech32m: all lower case or all upper case, with its checksum."""
    prefix, mark, rest = value.lower().rpartition("1")
    if not mark or value not in {value.lower(), value.upper()} or len(rest) < 8 or not all(char in _BECH32 for char in rest):
        return False
    state = 1
    for number in [*(ord(char) >> 5 for char in prefix), 0, *(ord(char) & 31 for char in prefix), *(_BECH32[char] for char in rest)]:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ number
        for place, step in enumerate(_BECH32_STEPS):
            state ^= step if top >> place & 1 else 0
    return state in _BECH32_ENDS


def a_day(year: int, month: int, day: int) -> bool:
    """Whether there could be such a date; February has 29 days here."""
    return year >= 0 and 1 <= month <= 12 and 1 <= day <= (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
