"""The guardrails of one stream: which of them read pieces, which judge stretches, what they found so far, and what ended it.

| detector or service | action | reads |
| --- | --- | --- |
| finds places (`spans`) | block, redact | through a window, before anything is released |
| judges a text, or asks somebody | redact | stretches of `chunk` characters, whose end waits for the next |
| the same | block | stretches of `chunk` characters, each with the end of the one before |
| any | report | the same pieces and stretches, but nothing waits for it |

A service that fails once in a stream is not asked again: every stretch would wait for it in vain. If it fails closed, the
stream breaks there.

What is said of an answer as a whole (`answer_rule`: its size, the tools that it calls) is asked as it grows, until it finds
something.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Operation
from gateway.domain.guardrails import Action, Direction, Fail, fail_of
from gateway.domain.verdicts import Passage, Verdict
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.kinds import AnswerRule, Guard
from gateway.guardrails.streams.reader import TOO_LATE, Reader
from gateway.guardrails.streams.window import Found
from gateway.guardrails.tally import Tally
from gateway.ports import Clock


class Stop(msgspec.Struct, frozen=True):
    """A stream was ended by a guardrail."""

    guard: Guard
    verdict: Verdict


class Watch:
    """The guardrails of one stream.

    Args:
        operation: What was asked for.
        guards: Those that look at the answer.
        note: Takes each verdict, once.
        clock: Measures them.
        sources: The request's passages.
        tenant: Whose call it is.
    """

    def __init__(
        self,
        operation: Operation,
        guards: Iterable[Guard],
        note: Callable[[Verdict], None],
        clock: Clock,
        sources: Sequence[Passage],
        tenant: str,
    ) -> None:
        self._note = note
        self._sources = sources
        self._tenant = tenant
        self._noted = False
        self._running = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._operation = operation
        self._characters = 0
        self._rules: dict[str, AnswerRule] = {}
        self.tallies: dict[str, tuple[Guard, Tally]] = {}
        self.stop: Stop | None = None
        self.failure: GuardrailUnavailable | None = None
        self.spans: list[Reader] = []
        self.spans_reported: list[Reader] = []
        self.masking: list[Reader] = []
        self.judging: list[Reader] = []
        self.reported: list[Reader] = []
        for guard in guards:
            tally = Tally(guard, Direction.OUTPUT)
            self.tallies[guard.config.id] = guard, tally
            if guard.answer_rule is not None:
                self._rules[guard.config.id] = guard.answer_rule
            if guard.detector is not None:
                self._place(Reader(guard, tally, clock, guard.detector))
            if guard.service is not None:
                self._place(Reader(guard, tally, clock, None))

    def _place(self, reader: Reader) -> None:
        reports = reader.guard.action is Action.REPORT
        if reader.detector is not None and reader.detector.spans:
            (self.spans_reported if reports else self.spans).append(reader)
        elif reports:
            self.reported.append(reader)
        else:
            (self.masking if reader.redacts else self.judging).append(reader)

    @property
    def ended(self) -> bool:
        """Whether nothing may follow."""
        return self.stop is not None or self.failure is not None

    def blocked_by(self, reader: Reader) -> None:
        """Let nothing follow."""
        if not self.ended:
            self.stop = Stop(reader.guard, reader.tally.verdict())

    def grew(self, characters: int, document: Any = None) -> None:
        """Ask what is said of an answer as a whole: so many more characters came, or it calls tools.

        Args:
            characters: Of its texts.
            document: A whole answer's document that calls the same tools.
        """
        self._characters += characters
        for name, rule in list(self._rules.items()):
            reading = rule(self._operation, document, self._characters)
            if not reading.findings:
                continue
            guard, tally = self.tallies[name]
            tally.add(reading, 0)
            if document is None:
                del self._rules[name]  # it only grows, so the same would be found each time
            if tally.blocks and not self.ended:
                self.stop = Stop(guard, tally.verdict())

    def skip(self, what: str) -> None:
        """Note that the answer holds something that no guardrail of texts can read."""
        for _, tally in self.tallies.values():
            tally.skip(f"unread: {what}")

    async def judge(self, readers: Sequence[Reader], text: str) -> list[Found]:
        """Let detectors judge a stretch, then services, all at once; what cannot be judged may end the stream."""
        found: list[Found] = []
        for rank, reader in enumerate(readers):
            if reader.detector is not None:
                found += [Found(each, rank) for each in reader.read(text).findings]
        if any(readers[each.rank].blocks for each in found):
            return found
        asked = [(rank, reader) for rank, reader in enumerate(readers) if reader.service is not None and not reader.off]
        if len(asked) == 1:
            return found + await self._asked(*asked[0], text)
        if asked:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._asked(rank, reader, text)) for rank, reader in asked]
            found += [each for task in tasks for each in task.result()]
        return found

    async def _asked(self, rank: int, reader: Reader, text: str) -> list[Found]:
        try:
            reading = await reader.ask(text, self._sources, self._tenant)
        except GuardrailUnavailable as exc:
            reader.off = True
            reader.tally.failed(exc.message)
            if fail_of(reader.guard.config) is Fail.CLOSED:
                self.failed(reader.guard)
            return []
        return [Found(each, rank) for each in reading.findings]

    def failed(self, guard: Guard, failure: GuardrailUnavailable | None = None) -> None:
        """Break the stream: a guardrail that must not be left out could not run; `failure` is what the client is told, if not that."""
        if not self.ended:
            message = f"the guardrail {guard.config.id!r} could not check the rest of this answer, so it ends here; retry in a moment"
            self.failure = failure or GuardrailUnavailable(message, retry_after_s=1.0)

    def report(self, text: str) -> None:
        """Let those that only report judge a stretch; services do so in the background."""
        for reader in self.reported:
            if reader.detector is not None:
                reader.count(reader.read(text).findings, len(text))
            elif not self._running:
                reader.tally.failed(TOO_LATE)
            elif not reader.off:
                task = asyncio.create_task(self._report(reader, text))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _report(self, reader: Reader, text: str) -> None:
        found = await self._asked(0, reader, text)
        if not reader.off:
            reader.count([each.finding for each in found], len(text))

    def stopped(self) -> None:
        """Ask nobody any more."""
        self._running = False

    async def settle(self) -> None:
        """Wait for what still judges in the background."""
        if self._tasks:
            await asyncio.gather(*self._tasks)

    def close(self) -> None:
        """Give the verdicts, once; what still judges is ended, and says so."""
        if self._noted:
            return
        self._noted = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            for reader in self.reported:
                if reader.service is not None:
                    reader.tally.failed(TOO_LATE)
        for _, tally in self.tallies.values():
            self._note(tally.verdict())
