"""What services said of texts, so that only what is new is asked: a conversation's earlier turns come back with each of its calls.

    blake2b(tenant, what was asked, text) → verdict

Rules:

- The key holds the tenant, so that no tenant learns, by how quickly it is answered, what another one has sent.
- It holds what was asked (categories, blocklists …) and not what we make of it: a changed threshold holds at once.
- Only answers are remembered, never failures.
- An answer is used for KEPT_S at most, however often it is used: blocklists and models change at the service.
- The texts themselves are not kept.
"""

import hashlib
from collections import OrderedDict
from typing import Any

from gateway.ports import Clock

ENTRIES = 20_000  # some 250 bytes each
KEPT_S = 900.0


class Remembered:
    """Verdicts of one worker; those least recently used go first.

    Args:
        clock: Tells how old a verdict is.
        entries: How many are kept.
        kept_s: How long each is used, in seconds.
    """

    def __init__(self, clock: Clock, entries: int = ENTRIES, kept_s: float = KEPT_S) -> None:
        self._clock = clock
        self._most = entries
        self._kept_s = kept_s
        self._verdicts: OrderedDict[bytes, tuple[float, Any]] = OrderedDict()

    def get(self, key: bytes) -> Any:
        """Return what was said, or None where nothing was or it is too old."""
        found = self._verdicts.get(key)
        if found is None:
            return None
        if self._clock.now_s() - found[0] >= self._kept_s:
            del self._verdicts[key]
            return None
        self._verdicts.move_to_end(key)
        return found[1]

    def put(self, key: bytes, verdict: Any) -> None:
        """Remember what was said."""
        self._verdicts[key] = (self._clock.now_s(), verdict)
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > self._most:
            self._verdicts.popitem(last=False)


def key_of(tenant: str, asked: str, text: str) -> bytes:
    """Return the key of a text; its parts cannot be taken for one another's."""
    head = f"{len(tenant)}:{tenant}{len(asked)}:{asked}"
    return hashlib.blake2b((head + text).encode("utf-8", "surrogatepass"), digest_size=32).digest()
