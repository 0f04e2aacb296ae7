"""Finds personal data, or secrets, in a text: patterns in linear time, checksums, and the words that stand beside.

How: `groups.py` reads what is written in groups of digits, `words.py` addresses and what holds letters, `secrets_scan.py`
credentials. Findings that overlap become one.

On streams nothing is looked at that reaches over a limit of its own: `open_from` gives the place from which on more text could
still make a finding, or change one. Ordinary prose is held up to its last word; a number until something else follows; a
private key until its end, or for `MAX_HELD` characters.

Source: the modules' own.
"""

import fnmatch
import itertools
from collections.abc import Iterable

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading, Role
from gateway.guardrails.pii import plain, secrets_scan
from gateway.guardrails.pii.groups import AHEAD, LONGEST_RUN, Found, Numbers
from gateway.guardrails.pii.national import HETU, NUMBERS, WORDS
from gateway.guardrails.pii.text import REACH, same_length, scanner
from gateway.guardrails.pii.words import Words, open_iban

CATEGORIES: frozenset[str] = frozenset(
    {"email", "phone", "payment_card", "iban", "us_ssn", "ip_address", "passport", "crypto_wallet", "date_of_birth", HETU.category}
    | {rule.category for _, rule in (*NUMBERS, *WORDS)}
)
SECRET_CATEGORIES: frozenset[str] = secrets_scan.CATEGORIES
MAX_HELD = secrets_scan.MAX_HELD
LONGEST_TOKEN = 512  # characters without a blank, longer than any address
CONTEXT = REACH + 16

# Which name findings get that overlap.
_SURER = ("private_key", "iban", "payment_card", "email", "crypto_wallet", "ip_address", "us_ssn", "", "date_of_birth", "passport", "phone")
_ROUNDS = 4
_BESIDE = 4  # characters, across which what stands beside a finding may hang together with it
_APART = b' \t\r\n",;<>[]{}|`\x80'
_BETWEEN = b" -./()\x81"
_TOKEN = rb"[^\s\"',;<>()\[\]{}|`\x80\\][^\s\",;<>()\[\]{}|`\x80\\]*\z"
_RUN = rb"\+?\(?\d(?:[ \-./()\x81]{0,3}\d)*[ \-./()\x81]{0,3}"
_OPEN_RUN = _RUN + rb"\z"
_PLUS = rb"\+\(?|\("
_AFTER = rb"\+?\(?\d(?:[ \-./()\x81]{0,3}\d){5,}[^\n]{0,14}"
_NINO = rb"[A-Z]{2} (?:\d{1,2} ?){0,3}[A-D]?"
_DATE = (
    rb"(?i:\d{1,2}(?:st|nd|rd|th|er|\.|\xff)?(?: (?:(?:of|de) ?)?(?:[a-z\xff]{1,11}(?:,| d| de)? ?\d{0,4})?)?|"
    rb"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]{0,6}(?: (?:\d{1,2}(?:st|nd|rd|th)?,? ?\d{0,4})?)?)"
)
_OPEN = rb"(?:" + b"|".join((_RUN, _PLUS, _AFTER, _NINO, _DATE)) + rb")\z"


def placeholder_name(category: str) -> str:
    """Return a category as it stands in a placeholder: `national_id.de` is `NATIONAL_ID_DE`."""
    return category.upper().replace(".", "_").replace("-", "_")


class PiiDetector:
    """Finds personal data; with `secrets`, credentials instead.

    Args:
        entities: Globs over `CATEGORIES` (or `SECRET_CATEGORIES`); empty for all of them.
        secrets: Which of the two.
    """

    spans = True
    context = CONTEXT

    def __init__(self, entities: tuple[str, ...] = (), *, secrets: bool = False) -> None:
        known = SECRET_CATEGORIES if secrets else CATEGORIES
        self._wanted = frozenset(each for each in known if not entities or any(fnmatch.fnmatchcase(each, glob) for glob in entities))
        self._secrets = secrets

    def read(self, text: str, role: Role = Role.USER) -> Reading:  # noqa: ARG002 - whose words they are changes nothing
        """Return what stands in a text; time is linear in its length."""
        data = same_length(text)
        findings = () if plain.clear(data, secrets=self._secrets) else self._findings(text, data)
        return Reading(findings) if findings else NOTHING_FOUND

    def _findings(self, text: str, data: bytes) -> tuple[Finding, ...]:
        found = [each for each in self._scan(text, data) if each[2] in self._wanted]
        for _ in range(_ROUNDS):
            glued = [(start, end) for start, end, _ in found if _glued(data, start, end) or (self._secrets and _quoted(data, start))]
            if not glued:
                break
            # What was found no longer stands beside the rest once it is redacted: the rest is read without it.
            masked = bytearray(data)
            for start, end, _ in found:
                masked[start:end] = b"\x80" * (end - start)
            data = bytes(masked)
            # Only there: what a reading says of one place must not depend on what is found at another, which a stream brings later.
            near = _near(len(data), glued)
            more = [each for each in self._scan(text, data) if each[2] in self._wanted and 1 in near[each[0] : each[1]]]
            if not more:
                break
            found += more
        return tuple(_joined(found)) if found else ()

    def _scan(self, text: str, data: bytes) -> Iterable[Found]:
        return secrets_scan.find(text, data) if self._secrets else itertools.chain(Numbers(text, data).find(), Words(text, data).find())

    def open_from(self, text: str) -> int:
        """Return from which character on more text could still complete or change a finding."""
        data = same_length(text)
        place = secrets_scan.open_from(data) if self._secrets else _open_personal(data)
        return self._settled(data, place, self._findings(text, data) if place < len(data) else ())

    def scan(self, text: str, start: int) -> tuple[Reading, int]:
        """Read a text and say what of it is open, at once; what stands before `start` was released, and is only read as context.

        Returns:
            The findings, and the place from which on more text could change them. Where it is not behind `start`, nothing is
            read: there is nothing to release.
        """
        held = same_length(text[start:])
        words = plain.open_secret(held, same_length(text[max(0, start - 8) : start])) if self._secrets else plain.open_personal(held)
        if words >= 0:
            return NOTHING_FOUND, start + words
        data = same_length(text)
        place = secrets_scan.open_from(data) if self._secrets else _open_personal(data)
        if place <= start:
            return NOTHING_FOUND, place
        findings = self._findings(text, data)
        return Reading(findings) if findings else NOTHING_FOUND, self._settled(data, place, findings)

    def _settled(self, data: bytes, place: int, findings: tuple[Finding, ...]) -> int:
        """Return a place moved to the left, so that it cuts no finding, word or number."""
        low = max(0, len(data) - MAX_HELD - CONTEXT)
        while True:
            covering = next((each.start for each in findings if each.start < place < each.end), place)
            cut = _cut(data, covering, low)
            if cut == place:
                return place
            place = cut

    def replacement(self, finding: Finding, original: str) -> str:  # noqa: ARG002 - a replacement says nothing of what was there
        """Return what takes the place of a redacted finding: `[EMAIL]`."""
        return f"[{placeholder_name(finding.category)}]"


def _joined(found: Iterable[Found]) -> Iterable[Finding]:
    """Yield findings in their order; those that overlap as one, under the name of the surest."""
    last: Found | None = None
    for start, end, category in sorted(found):
        if last is None or start >= last[1]:
            if last is not None:
                yield Finding(*last)
            last = (start, end, category)
        else:
            surest = min(last[2], category, key=lambda each: (_SURER.index(each if each in _SURER else ""), each))
            last = (last[0], max(end, last[1]), surest)
    if last is not None:
        yield Finding(*last)


def _earliest(data: bytes, pattern: bytes, low: int) -> int:
    """Return where what is open at the end begins, looking back no further than `low`."""
    match = scanner(pattern).search(data[low:])
    return len(data) if match is None else low + int(match.start())


def _open_personal(data: bytes) -> int:
    first = _earliest(data, _OPEN, max(0, len(data) - LONGEST_RUN - AHEAD))
    return min(first, _earliest(data, _TOKEN, max(0, len(data) - LONGEST_TOKEN)), open_iban(data))


def _glued(data: bytes, start: int, end: int) -> bool:
    """Whether what stands beside a finding may be read otherwise without it."""
    left, right = data[max(0, start - _BESIDE) : start], data[end : end + _BESIDE]
    if left.rstrip(_BETWEEN)[-1:].isdigit() or right.lstrip(_BETWEEN)[:1].isdigit():
        return True
    return left[-1:] not in _APART or (right[:1] not in _APART and (right[:1] not in b".:!?" or right[1:2] not in _APART))


def _quoted(data: bytes, start: int) -> bool:
    """Whether it may stand in quotes, with other words of one passphrase."""
    line = data[max(0, start - LONGEST_TOKEN) : start].rpartition(b"\n")[2]
    return b'"' in line or b"'" in line


def _near(size: int, glued: Iterable[tuple[int, int]]) -> bytearray:
    """Mark what stands beside places."""
    near = bytearray(size)
    for start, end in glued:
        low, high = max(0, start - _BESIDE), min(size, end + _BESIDE)
        near[low:high] = b"\1" * (high - low)
    return near


def _cut(data: bytes, first: int, low: int) -> int:
    """Return where the word or number begins that a place would cut; the place itself where it cuts none."""
    following = data[first : first + 1]
    if scanner(_TOKEN).match(following) or following == b"'":
        first = _earliest(data[:first], _TOKEN, low)
    if data[first : first + 1].isdigit() or following in b"(+":
        first = _earliest(data[:first], _OPEN_RUN, low)
    return first
