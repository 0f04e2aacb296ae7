"""E-mail and network addresses, IBANs, wallets, and national numbers that hold letters.

Words of letters and digits are looked at one by one, and told apart by their first characters and their length. An IBAN may be
written in groups: what follows its first four characters is read on, as far as its country says.

Source: RFC 5321 (lengths of addresses), RFC 4291 (IPv6), ISO 13616 (read 2026-11-22).
"""

import functools
import re
import socket
import string
from collections.abc import Iterator

from gateway.guardrails.pii import checksums as sums
from gateway.guardrails.pii.forms import BORN, OTHER, PASSPORT
from gateway.guardrails.pii.groups import Found
from gateway.guardrails.pii.national import HETU, WORDS, Rule
from gateway.guardrails.pii.text import Beside, scanner

LONGEST_IBAN = 48  # with its blanks
LONGEST_WALLET, MONERO = 110, 95  # characters: Cardano's, and Monero's, which has a checksum that needs Keccak
_OF_RIPPLE = str.maketrans(
    "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz", "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)
_WORD = rb"[LMDATr][A-Za-z0-9]{25,}|[A-Za-z]{1,6}\d[A-Za-z0-9]*|\d+[A-Za-z][A-Za-z0-9]*"
_MONTH = rb"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]{0,6}"
_ANY_MONTH = (  # of those languages, too, that write the day first
    rb"(?:jan|ene|gen|feb|fev|f\xffv|m[a\xff]r|maart|apr|avr|abr|may|mai|mei|mag|maj|jun|jui|giu|jul|lug|aug|ago|ao\xff|sep|set|oct|okt|ott|out|"
    rb"nov|dec|dez|dic|d\xffc)[a-z\xff]{0,7}"
)
_PLACES = (
    rb"(?i)\d+(?:\.\d+){3,}(?:/\d+)?|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,}(?:(?:\.\d{1,3}){3})?|\d{6}[-+A-FU-Y]\d{3}[0-9A-Z]\b|"
    rb"(?-i:[A-Z]{2} \d{2} \d{2} \d{2} [A-D])\b|\d{8}-[A-Z]\b|[XYZ]-\d{7}-?[A-Z]\b|\d{1,2}\.\d{3}\.\d{3}-K\b|[A-Z]\d{6}\(\d\)|"
    rb"\d{1,2}(?:st|nd|rd|th|er|\.|\xff)? (?:of |de )?" + _ANY_MONTH + rb"(?:,| de)? \d{4}\b|"
    rb"\d{1,2}[\-/.]" + _MONTH + rb"[\-/.]\d{4}\b|" + _MONTH + rb" \d{1,2}(?:st|nd|rd|th)?,? \d{4}\b"
)
_DOMAIN = rb"(?:[A-Za-z0-9\xff](?:[A-Za-z0-9\xff\-]{0,61}[A-Za-z0-9\xff])?\.){1,8}(?:xn--[A-Za-z0-9\-]{2,59}|[A-Za-z\xff]{2,24})"
_LOCAL_STOPS = b"=/&?:!#$*'~^|"
_FILES = frozenset(b"png jpg jpeg gif svg webp css js ts json yaml yml html lock tar gz whl".split())
_VERSION = (
    r"version|\bver\b|\bver\.|release|build|chrome|firefox|safari|upgrade|update|\bsdk\b|\bpkg|package|\brev\b|driver|firmware|"
    r"section|\boid\b|assembly|\bv$|semver|==|>="
)
_CLASS = re.compile(r"\[[^\]]+\]|[XK]")
_SHAPES = str.maketrans(string.digits + string.ascii_uppercase, "9" * 10 + "A" * 26)
_NINO = r"\bnino\b|insurance|\bni\b"
_LETTERS = frozenset(string.ascii_letters.encode())
_IP = r"\bip|address|addr\b|host|server|client|src|dst|\bping"


class Words:
    """The addresses and the numbers with letters of one text."""

    __slots__ = ("_beside", "_data")

    def __init__(self, text: str, data: bytes) -> None:
        self._data, self._beside = data, Beside(text)

    def find(self) -> Iterator[Found]:
        """Find them, kind by kind."""
        data = self._data
        yield from self._emails()
        for match in scanner(_WORD).finditer(data):
            start, end = match.span()
            if not data[start - 1 : start].isalnum() and not data[end : end + 1].isalnum():
                yield from self._word(start, end)
        for match in scanner(_PLACES).finditer(data):
            yield from self._place(*match.span())

    def _emails(self) -> Iterator[Found]:
        data, at = self._data, self._data.find(b"@")
        while at >= 0:
            domain = scanner(_DOMAIN).match(data[at + 1 : at + 256])
            if domain is not None and (local := self._local(at)) < at:
                end = at + 1 + domain.end()
                followed = data[end : end + 1]
                word = followed.isalnum() or followed in (b"_", b"\xff") or (followed == b"-" and data[end + 1 : end + 2].isalnum())
                shell = data[local:at] == b"git" and followed == b":"
                if not word and not shell and data[at:end].rpartition(b".")[2].lower() not in _FILES:
                    yield local, end, "email"
            at = data.find(b"@", at + 1)

    def _local(self, at: int) -> int:
        data, low = self._data, max(0, at - 64)
        match = scanner(rb"[A-Za-z0-9\xff._%+\-'~!#$&*/=?^]+\z").search(data[low:at])
        if match is None:
            return at
        start = low + match.start()
        for place in range(at - 1, start - 1, -1):
            if data[place] in _LOCAL_STOPS and not (data[place] == 0x27 and data[place - 1 : place].isalnum() and place > start):
                start = place + 1
                break
        while start < at and data[start] in b".%+-":
            start += 1
        if data[start - 1 : start] == b":" and b"//" in data[max(0, start - 64) : start].rpartition(b" ")[2]:
            return at  # a password in a URL
        return start if data[at - 1] not in b".'" else at

    def _word(self, start: int, end: int) -> Iterator[Found]:
        data = self._data
        size = end - start
        head = data[start : start + 2].decode().upper()
        if head in sums.IBAN_LENGTHS and data[start + 2 : start + 4].isdigit() and (stop := self._iban(start, head)):
            yield start, stop, "iban"
            return
        if size < 7 or size > LONGEST_WALLET:
            return
        value = data[start:end].decode()
        if (size == 42 and value.startswith("0x") and all(char in "0123456789abcdefABCDEF" for char in value[2:])) or (
            size >= 25 and self._wallet(value)
        ):
            yield start, end, "crypto_wallet"
        elif size <= 18:
            yield from self._national(start, end, value)

    @staticmethod
    def _wallet(value: str) -> bool:
        if value.lower().startswith(("bc1", "tb1", "ltc1", "addr1", "stake1")):
            return sums.bech32(value)
        if len(value) == MONERO:
            return value[0] in "48" and sums.base58(value)
        if value[0] == "r":
            return len(value) <= 35 and any(map(str.isdigit, value)) and sums.base58check(value.translate(_OF_RIPPLE))
        return value[0] in "123LMDAT9" and len(value) <= 35 and sums.base58check(value)

    def _national(self, start: int, end: int, value: str) -> Iterator[Found]:
        upper = value.upper()
        if self._data[start - 1 : start] in (b"-", b"#", b"\\") or self._data[end : end + 1] == b"-":
            return
        for pattern, rule in shaped(upper.translate(_SHAPES)):
            if scanner(pattern).fullmatch(upper.encode()) and self._holds(rule, start, upper):
                yield start, end, rule.category
                return
        if size_fits(value) and self._beside.last(PASSPORT, start) >= 0:
            yield start, end, "passport"

    def _holds(self, rule: Rule, start: int, value: str) -> bool:
        if rule.category == "national_id.gb" and self._beside.last(OTHER, start) > self._beside.last(_NINO, start):
            return False  # it has no checksum
        return rule.check(value) and (not rule.words or self._beside.last(rule.words, start) >= 0)

    def _iban(self, start: int, country: str) -> int:
        """Return where an IBAN that begins here ends; 0 where none does."""
        data, wanted = self._data, sums.IBAN_LENGTHS[country]
        value, place = bytearray(), start
        while len(value) < wanted and place < len(data):
            if data[place : place + 1].isalnum():
                value.append(data[place])
            elif data[place] not in b" -" or not data[place + 1 : place + 2].isalnum():
                return 0
            place += 1
        ends = len(value) == wanted and not data[place : place + 1].isalnum()
        return place if ends and sums.iban(value.decode().upper()) else 0

    def _place(self, start: int, end: int) -> Iterator[Found]:
        data = self._data
        value = data[start:end]
        if data[start - 1 : start].isalnum() or data[end : end + 1].isalnum():
            return
        if value.count(b":") >= 2:
            yield from self._ipv6(start, end, value)
        elif value.count(b".") >= 3:
            yield from self._ipv4(start, end, value)
        elif value[-4:].isdigit() and (value[-5:-4] in b" -/.") and any(map(_LETTERS.__contains__, value)):
            if self._beside.last(BORN, start) >= 0:
                yield start, end, "date_of_birth"
        else:
            plain = bytes(char for char in value.upper() if char not in b" -.()").decode()
            if len(value) == 11 and value[:6].isdigit() and HETU.check(value.decode().upper()):
                yield start, end, HETU.category
            for pattern, rule in shaped(plain.translate(_SHAPES)):
                if scanner(pattern).fullmatch(plain.encode()) and self._holds(rule, start, plain):
                    yield start, end, rule.category
                    return

    def _ipv4(self, start: int, end: int, value: bytes) -> Iterator[Found]:
        address, _, network = value.partition(b"/")
        octets = address.split(b".")
        if len(octets) != 4 or any(len(each) > 3 or int(each) > 255 or (len(each) > 1 and each[:1] == b"0") for each in octets):
            return
        if max(map(int, octets)) < 30 and octets[0] != b"10" and self._beside.last(_IP, start) < 0:
            return  # a version of four small numbers
        if octets[0] in (b"0", b"127", b"255") or (network and octets[3] == b"0"):
            return
        data = self._data
        if (
            data[start - 1 : start] in (b"-", b".", b"_")
            or data[end : end + 1] == b"_"
            or (data[end : end + 2][1:].isalnum() and data[end : end + 1] in (b"-", b"+"))
        ):
            return
        version = self._beside.last(_VERSION, start)
        if version < 0 or version <= self._beside.last(_IP, start):
            yield start, start + len(address), "ip_address"

    def _ipv6(self, start: int, end: int, value: bytes) -> Iterator[Found]:
        if value.count(b":") == 7 and set(value[2::3]) == {0x3A} and len(value) == 23:
            return  # eight pairs are a device's number, or a fingerprint
        if value.endswith(b":") and not value.endswith(b"::"):
            value, end = value[:-1], end - 1
        if self._data[start - 1 : start] in (b":", b"_") or not any(0x30 <= char <= 0x39 for char in value) or len(value) < 6:
            return
        try:
            socket.inet_pton(socket.AF_INET6, value.decode())
        except OSError:
            return
        yield start, end, "ip_address"


@functools.lru_cache(maxsize=512)
def shaped(shape: str) -> tuple[tuple[bytes, Rule], ...]:
    """Return the patterns that a value of some shape (9 for any digit, A for any letter) may fit."""
    found = []
    for pattern, rule in WORDS:
        digits = pattern.replace(r"\d", "9").replace("0-9A-Z", "9A").replace("[12]", "9")
        if re.fullmatch(_CLASS.sub(lambda match: "[9A]" if "9" in match.group() else "A", digits), shape):
            found.append((pattern.encode(), rule))
    return tuple(found)


def size_fits(value: str) -> bool:
    """Whether it may be the number of a passport: 7 to 9 characters, most of them digits."""
    return 7 <= len(value) <= 9 and sum(char.isdigit() for char in value) >= 5


def open_iban(data: bytes) -> int:
    """Return where an IBAN begins that the text may not have ended yet; `len(data)` where none does."""
    low = max(0, len(data) - LONGEST_IBAN - 1)
    for match in scanner(rb"[A-Za-z]{2}\d{2}").finditer(data[low:]):
        start: int = low + match.start()
        wanted = sums.IBAN_LENGTHS.get(data[start : start + 2].decode().upper(), 0)
        if wanted and not data[start - 1 : start].isalnum() and _may_go_on(data[start:], wanted):
            return start
    return len(data)


def _may_go_on(data: bytes, wanted: int) -> bool:
    return sum(bytes((char,)).isalnum() for char in data) <= wanted and bool(scanner(rb"(?:[A-Za-z0-9]+[ \-]?)+").fullmatch(data))
