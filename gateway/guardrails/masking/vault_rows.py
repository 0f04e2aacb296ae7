"""The placeholders of a session as rows: under names that say nothing, and sealed.

    partition                     row                  values
    {tenant}|{first 2 of hash}    {hash}               expires_at, d0, d1 …: nonce and AES-256-GCM of JSON [[name, number, original] …]
    expires|{first of hash}       {hour}|{its row}     partition: where what expires then is looked for

Rules: the hash is keyed, of tenant, kind and name, so nobody without the pepper finds a session's row by its name. Each row has a
key of its own, derived from the pepper (HKDF-SHA-256) with its partition and row; both are associated data too. So a row that was
changed, moved or written under another pepper does not open.

Must not: import `cryptography` before the first row (60 ms; `load` is for a thread).

Source: RFC 5869; NIST SP 800-38D; cryptography 50, `AESGCM` (read 2026-11-22).
"""

import contextlib
import datetime
import functools
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.tables import Value
from gateway.errors import GuardrailUnavailable, RequestError, StoreUnavailable
from gateway.guardrails.masking.placeholders import Entry, Place

TABLE = "placeholders"
SHARDS = "0123456789abcdef"
MAX_BYTES = 800_000  # of a row's placeholders, sealed; an entity takes a megabyte

_PURPOSE = b"gateway: placeholders, 1"
_CELL_BYTES = 60_000
_NONCE_BYTES = 12
_LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_ENTRIES = msgspec.json.Decoder(list[Entry])


def expires_in(shard: str) -> str:
    """Return the partition of one shard of what expires."""
    return f"expires|{shard}"


def hour_of(moment: datetime.datetime) -> str:
    """Return an hour as rows begin with it."""
    return f"{moment:%Y%m%d%H}"


def expiry_of(values: Mapping[str, Value]) -> datetime.datetime:
    """Return when a session is over; one that does not say it properly is."""
    expires_at = values.get("expires_at")
    return expires_at if isinstance(expires_at, datetime.datetime) else _LONG_AGO


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Say of a store that does not answer what that means here."""
    try:
        yield
    except StoreUnavailable as exc:
        raise GuardrailUnavailable(
            "what is kept for this session cannot be reached; retry in a moment, or call without a session", retry_after_s=1.0
        ) from exc


class Sealer:
    """Names, seals and opens rows.

    Args:
        pepper: The server-side secret; the same in every worker.
    """

    def __init__(self, pepper: bytes) -> None:
        self._root = hmac.digest(b"\0" * 32, pepper, hashlib.sha256)  # HKDF-Extract without a salt
        self._names = self._expand(b"names")
        self.loaded = False

    def load(self) -> None:
        """Import what is needed; for a thread, so that no call waits for it on the event loop."""
        _ = self._cipher
        self.loaded = True

    @functools.cached_property
    def _cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - not before the first row

        return AESGCM

    def place(self, tenant: str, kind: str, name: str) -> Place:
        """Return where a tenant's session, or the chain of a response, is kept."""
        row = hmac.digest(self._names, f"{kind}\0{tenant}\0{name}".encode(), hashlib.sha256).hex()
        return Place(f"{tenant}|{row[:2]}", row)

    def seal(self, place: Place, entries: Iterable[Entry]) -> dict[str, Value]:
        """Return the cells of a row.

        Raises:
            RequestError: There are too many.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound = _bound(place)
        data = nonce + self._cipher(self._expand(bound)).encrypt(nonce, msgspec.json.encode(list(entries)), bound)
        if len(data) > MAX_BYTES:
            raise RequestError("this session holds as much personal data as one can; begin another", param="x-gateway-session")
        return {f"d{number}": data[start : start + _CELL_BYTES] for number, start in enumerate(range(0, len(data), _CELL_BYTES))}

    def open(self, place: Place, values: Mapping[str, Value]) -> Sequence[Entry]:
        """Return what a row holds.

        Raises:
            GuardrailUnavailable: It is not as it was written, or was written under another pepper.
        """
        cells = [values[f"d{number}"] for number in range(len(values)) if f"d{number}" in values]
        data = b"".join(each for each in cells if isinstance(each, bytes))
        bound = _bound(place)
        try:
            found = self._cipher(self._expand(bound)).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound)
        except Exception as exc:
            if type(exc).__name__ not in {"InvalidTag", "ValueError"}:  # its class is not imported before it is needed
                raise
            raise GuardrailUnavailable(
                "what was kept for this session cannot be read: it was changed, or written under another key; use another session"
            ) from None
        return _ENTRIES.decode(found)

    def _expand(self, info: bytes) -> bytes:
        return hmac.digest(self._root, _PURPOSE + b"|" + info + b"\x01", hashlib.sha256)  # HKDF-Expand, one block


def _bound(place: Place) -> bytes:
    return f"{place.partition}\0{place.row}".encode()
