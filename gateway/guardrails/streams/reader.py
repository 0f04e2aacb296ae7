"""A detector, or a service, of one guardrail, at work on a stream: it reads, it is timed, and its findings are counted."""

import asyncio
from collections.abc import Sequence

from gateway.domain.guardrails import Action, timeout_of
from gateway.domain.verdicts import NOTHING_FOUND, Finding, Passage, Reading, Role
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.kinds import Detector, Guard, Scanner, Service
from gateway.guardrails.streams.window import CONTEXT
from gateway.guardrails.tally import Tally
from gateway.ports import Clock

CHUNK = 1000  # characters of a stretch, where a guardrail does not say
TOO_LATE = "the stream ended first"
_HIDDEN = "[REDACTED]"


class Reader:
    """One detector, or one service, of a guardrail, at work on a stream.

    Args:
        guard: Whose it is.
        tally: Where its findings are counted.
        clock: Measures it.
        detector: What reads; None for a service.
    """

    __slots__ = ("_clock", "_scan", "blocks", "chunk", "context", "detector", "guard", "off", "redacts", "service", "tally")

    def __init__(self, guard: Guard, tally: Tally, clock: Clock, detector: Detector | None) -> None:
        self.guard = guard
        self.tally = tally
        self.detector = detector
        self.service: Service | None = guard.service if detector is None else None
        self.blocks = guard.action is Action.BLOCK
        self.redacts = guard.action is Action.REDACT
        self.context = max(CONTEXT, getattr(detector, "context", CONTEXT))
        self.chunk: int = getattr(guard.config, "chunk", CHUNK)
        self.off = False  # it failed, and is not asked again
        self._clock = clock
        self._scan = detector.scan if isinstance(detector, Scanner) else None

    def read(self, text: str) -> Reading:
        """Return what stands in a text."""
        assert self.detector is not None  # only detectors read
        started_s = self._clock.now_s()
        reading = self.detector.read(text, Role.ASSISTANT)
        self.tally.ms += (self._clock.now_s() - started_s) * 1000
        if reading.score is not None:
            self.tally.add(Reading((), reading.score), 0)
        return reading

    def scan(self, text: str, start: int) -> tuple[Reading, int]:
        """Return what stands in a text, and from where on more text could make a finding of it."""
        assert self.detector is not None  # only detectors read
        started_s = self._clock.now_s()
        if self._scan is not None:
            scanned = self._scan(text, start)
        else:
            place = self.detector.open_from(text)
            scanned = self.detector.read(text, Role.ASSISTANT) if place > start else NOTHING_FOUND, place
        self.tally.ms += (self._clock.now_s() - started_s) * 1000
        return scanned

    async def ask(self, text: str, sources: Sequence[Passage], tenant: str) -> Reading:
        """Return what the service says of a text.

        Raises:
            GuardrailUnavailable: It gave no verdict.
        """
        assert self.service is not None  # only services are asked
        started_s = self._clock.now_s()
        try:
            async with asyncio.timeout(timeout_of(self.guard.config)):
                reading = (await self.service.inspect([Passage((), text, Role.ASSISTANT)], sources, tenant=tenant))[0]
        except TimeoutError as exc:
            raise GuardrailUnavailable("timeout") from exc
        except asyncio.CancelledError:
            self.tally.failed(TOO_LATE)
            raise
        finally:
            self.tally.ms += (self._clock.now_s() - started_s) * 1000
        self.tally.add(Reading((), reading.score), 0)
        return reading

    def replacement(self, finding: Finding, original: str) -> str:
        """Return what takes the place of a finding."""
        detector = self.guard.detector
        return detector.replacement(finding, original) if detector is not None else _HIDDEN

    def count(self, findings: Sequence[Finding], characters: int) -> None:
        """Count findings that are final, and the characters they were looked for in."""
        if not self.off:
            self.tally.add(Reading(tuple(findings)), characters)
