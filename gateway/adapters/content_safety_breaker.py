"""A small circuit breaker: after FAILURES in a row nobody asks for OPEN_S; then one tries, and all wait for what becomes of it."""

from gateway.errors import GuardrailUnavailable
from gateway.ports import Clock

FAILURES = 5
OPEN_S = 5.0


class Breaker:
    """The standing of one kind of question. Whoever enters leaves by exactly one of `succeeded` and `left`."""

    __slots__ = ("_clock", "_failures", "_open_until_s", "_trying")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until_s: float | None = None
        self._trying = False

    def enter(self) -> None:
        """Let one ask, or raise GuardrailUnavailable at once."""
        if self._open_until_s is None:
            return
        left_s = self._open_until_s - self._clock.now_s()
        if left_s > 0 or self._trying:
            message = "Content Safety failed several times in a row and is left alone for a moment"
            raise GuardrailUnavailable(message, retry_after_s=max(left_s, 1.0))
        self._trying = True

    def succeeded(self) -> None:
        """Note an answer."""
        self._failures, self._open_until_s, self._trying = 0, None, False

    def left(self, *, failed: bool) -> None:
        """Note that there was none; whether the service is to blame."""
        self._trying = False
        if failed:
            self._failures += 1
            if self._failures >= FAILURES:
                self._open_until_s = self._clock.now_s() + OPEN_S
