"""Adds up what one guardrail found in one direction of a call, and says it as a verdict."""

from collections.abc import Iterable

from gateway.domain.guardrails import Action, Direction
from gateway.domain.verdicts import Finding, Outcome, Reading, Verdict
from gateway.guardrails.kinds import Guard

_DONE = {Action.BLOCK: Outcome.BLOCKED, Action.REDACT: Outcome.REDACTED, Action.REPORT: Outcome.REPORTED}


class Tally:
    """The sum of one guardrail's readings in one direction of one call."""

    __slots__ = ("_guard", "_worst", "count", "direction", "ms", "reason", "retry_after_s", "scanned", "score", "skipped", "unavailable")

    def __init__(self, guard: Guard, direction: Direction) -> None:
        self._guard = guard
        self._worst: Finding | None = None
        self.direction = direction
        self.count = 0
        self.scanned = 0
        self.score: float | None = None
        self.ms = 0.0
        self.reason = ""
        self.skipped = False
        self.unavailable = False
        self.retry_after_s: float | None = None

    @property
    def guard(self) -> str:
        """The guardrail's name."""
        return self._guard.config.id

    @property
    def blocks(self) -> bool:
        """Whether the call must not go on."""
        return bool(self.count) and self._guard.action is Action.BLOCK

    def add(self, reading: Reading, characters: int) -> None:
        """Count a text's reading."""
        self.scanned += characters
        self.count += len(reading.findings)
        if reading.score is not None:
            self.score = max(self.score or 0.0, reading.score)
        self._worst = _worst(reading.findings, self._worst)

    def failed(self, reason: str, retry_after_s: float | None = None) -> None:
        """Note that the guardrail could not run, and when it may again; what it found before still counts."""
        self.unavailable, self.reason, self.retry_after_s = True, reason, retry_after_s

    def skip(self, reason: str) -> None:
        """Note that there was something that it cannot read."""
        self.skipped, self.reason = True, reason

    def verdict(self, outcome: Outcome | None = None) -> Verdict:
        """Return the sum; `outcome` where it is not what the action makes of the findings."""
        worst, config = self._worst, self._guard.config
        if outcome is None:
            outcome = _DONE[self._guard.action] if self.count else Outcome.PASSED
            if outcome is not Outcome.BLOCKED and (self.unavailable or self.skipped):
                outcome = Outcome.UNAVAILABLE if self.unavailable else Outcome.SKIPPED
        return Verdict(
            guard=config.id,
            direction=self.direction,
            outcome=outcome,
            category=worst.category if worst else "",
            severity=worst.severity if worst else None,
            score=self.score if worst is None or self.score is not None else worst.score,
            count=self.count,
            scanned=self.scanned,
            ms=round(self.ms, 3),
            reason=self.reason or (worst.reason if worst else ""),
            label=config.label if worst else "",
        )


def _worst(findings: Iterable[Finding], worst: Finding | None) -> Finding | None:
    for each in findings:
        if worst is None or (each.severity or 0, each.score) > (worst.severity or 0, worst.score):
            worst = each
    return worst
