"""No secret in anything that is printed: every test's output and log, every host's error stream, every store on disk.

A secret is known by its form (a whole virtual key, a signed token, a private key, an account key) or by its text (the
administrator's key and the pepper of the tests). `tests/conftest.py` looks through what each test printed and logged;
`tests/host/conftest.py` through what a host left behind.
"""

import re
from collections.abc import Iterable

FORMS = {
    "a virtual key": re.compile(rb"gwk_[a-z0-9]{16}_[A-Za-z0-9_-]{43}"),
    "a signed token": re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{40,}"),
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
    "an account key": re.compile(rb"(?:AccountKey|SharedAccessKey|SharedAccessSignature)=[A-Za-z0-9+/%]{20,}"),
}
TEXTS = ("pepper-pepper-pepper", "the-administrators-own-key", "upstream-secret")


def find(data: bytes, texts: Iterable[str] = TEXTS) -> list[str]:
    """Return what kinds of secrets stand in the data; never the secrets themselves.

    Args:
        data: Printed, logged or stored.
        texts: Secrets that have no form of their own.
    """
    found = [name for name, form in FORMS.items() if form.search(data)]
    return found + [f"the secret that begins with {text[:6]!r}" for text in texts if text and text.encode() in data]
