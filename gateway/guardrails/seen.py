"""What detectors read before and found nothing in.

A conversation's earlier turns, and the application's own prompt, come back with each of its calls.

    (tenant, detector, role, blake2b(text)) → Reading without findings

The texts themselves are not kept. The tenant is part of the key, so that nobody learns from how long a call takes what another
tenant has sent.
"""

from typing import Any

from gateway.domain.verdicts import Reading

ENTRIES = 8_000  # of each of two generations, some 250 bytes each


class Seen:
    """The readings of one worker. May be used by several threads.

    Args:
        entries: How many are kept at least, once there are so many.
    """

    __slots__ = ("_entries", "_older", "_younger")

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._younger: dict[Any, Reading] = {}
        self._older: dict[Any, Reading] = {}

    def get(self, key: Any) -> Reading | None:
        """Return what was read; None where nobody remembers."""
        found = self._younger.get(key)
        if found is None and (found := self._older.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: Any, reading: Reading) -> None:
        """Remember what was read; what has not been asked for for long goes."""
        self._younger[key] = reading
        if len(self._younger) > self._entries:
            self._older, self._younger = self._younger, {}
