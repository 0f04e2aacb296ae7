"""Plain words, which most of a stream is: nothing can be found in them, and nothing is open but the last one.

Plain are letters, blanks, line ends and the marks of prose, without a digit or an `@`: all personal data has one or the other.
A month, or two capital letters, may begin a date or a number that follows; then a text is read properly. Credentials have a
digit too, or are long, or are announced: `password=`, or in quotes.

Source: `groups`, `words` and `secrets_scan`, whose patterns these are.
"""

import re

_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz .,;!?*_\n'-\x80\xff"
_LONGEST = 256  # characters; what is longer is seldom plain, and read properly
_LONG = 16  # characters of a word that may be a key without a digit
_BLANKS = bytes(0x20 if code in b" \n,;\x80" else code for code in range(256))
_MAY_GO_ON = re.compile(rb"(?:(?i:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[A-Za-z]{0,6} |[A-Z]{2} [A-D]?)\Z")
_ANNOUNCE = (b":", b"=", b">", b'"', b"'")


def clear(data: bytes, *, secrets: bool) -> bool:
    """Tell whether nothing can be found in a folded text: personal data, or with `secrets` credentials."""
    return not data.translate(None, _PLAIN) and not (secrets and _may_be_secret(data))


def _may_be_secret(data: bytes) -> bool:
    return b"--" in data or b"'" in data or max(map(len, data.split()), default=0) >= _LONG


def open_personal(data: bytes) -> int:
    """Return where the last of plain words begins, which alone may be the beginning of personal data; -1 where they are not plain."""
    if len(data) > _LONGEST or data.translate(None, _PLAIN):
        return -1
    if data[-2:-1] in (b" ", b"") or data[-1:] == b" ":
        return -1 if _MAY_GO_ON.search(data[-16:]) else _last(data)
    return _last(data)


def open_secret(data: bytes, before: bytes) -> int:
    """Return the same of credentials.

    Args:
        data: The words.
        before: The few characters before them, which may announce one.
    """
    if len(data) > _LONGEST or data.translate(None, _PLAIN) or _may_be_secret(data):
        return -1
    return -1 if before.rstrip(b" ")[-1:] in _ANNOUNCE else _last(data)


def _last(data: bytes) -> int:
    place = data.translate(_BLANKS).rfind(b" ") + 1
    while data[place : place + 1] == b"'":
        place += 1
    return place
