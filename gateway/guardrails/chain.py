"""Runs guardrails over one side of a call: the cheap ones first, then those that ask somebody, all at once.

    rules ─▶ detectors, one after the other, each on what the one before left ─▶ services that redact ─▶ other services, in parallel

What is masked early is seen masked by everybody after, so a service never gets what a detector has redacted. The first
finding that blocks ends it: what would have come after is not asked. Every guardrail that ran gives one verdict for each
direction in which there was something to read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from gateway.domain.guardrails import Action, Direction, Fail, fail_of
from gateway.domain.verdicts import Outcome, Passage, Reading, Role, Verdict
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.kinds import Guard
from gateway.guardrails.tally import Tally
from gateway.ports import Clock

# Above this, reading is done in a thread: it would hold up the other calls for milliseconds.
LARGE_CHARACTERS = 64 * 1024
_DIRECTIONS = {Role.TOOL: Direction.TOOL_RESULTS, Role.DOCUMENT: Direction.DOCUMENTS}
DEFAULT_TIMEOUT_S = 3.0

# Turns (category, original) pairs into what the model sees in place of each original.
type Mask = Callable[[Sequence[tuple[str, str]]], Awaitable[Mapping[tuple[str, str], str]]]
type Note = Callable[[Verdict], None]


class Side:
    """One side of a call: its passages, and their texts as they stand now.

    Args:
        passages: Of the request, or of the answer.
        unread: What there is besides that no text can be read of: `image`, `audio`, …
        output: They are the answer's.
        sources: Of an answer: its request's passages.
    """

    __slots__ = ("_places", "changed", "passages", "sources", "texts", "unread")

    def __init__(
        self, passages: Sequence[Passage], unread: Sequence[str] = (), *, output: bool = False, sources: Sequence[Passage] = ()
    ) -> None:
        self.passages = passages
        self.texts = [each.text for each in passages]
        self.changed: set[int] = set()
        self.unread = unread
        self.sources = sources
        self._places: dict[Direction, list[int]] = {}
        for index, passage in enumerate(passages):
            direction = Direction.OUTPUT if output else _DIRECTIONS.get(passage.role, Direction.MESSAGES)
            self._places.setdefault(direction, []).append(index)
        if unread:  # there is something to say about it, though there is nothing to read
            self._places.setdefault(Direction.OUTPUT if output else Direction.MESSAGES, [])

    def parts(self, guard: Guard) -> list[tuple[Direction, list[int]]]:
        """Return what a guardrail looks at, by direction."""
        found = []
        for direction, places in self._places.items():
            if direction in guard.directions:
                read = [index for index in places if self.passages[index].role in guard.roles]
                if read or (self.unread and not places):
                    found.append((direction, read))
        return found

    def replace(self, index: int, text: str) -> None:
        """Change a passage's text."""
        self.texts[index] = text
        self.changed.add(index)

    def now(self, index: int) -> Passage:
        """Return a passage with its text as it stands now."""
        passage = self.passages[index]
        return msgspec.structs.replace(passage, text=self.texts[index]) if index in self.changed else passage


class Chain:
    """Runs guardrails in their order.

    Args:
        guards: Those of one side of a call.
        tenant: The caller's.
        clock: The time.
        note: Takes each verdict.
        mask: Gives placeholders, for guardrails whose redaction can be taken back.
    """

    def __init__(self, guards: Sequence[Guard], tenant: str, clock: Clock, note: Note, mask: Mask | None = None) -> None:
        self._tenant = tenant
        self._guards = guards
        self._clock = clock
        self._note = note
        self._mask = mask

    async def run(self, side: Side) -> tuple[Guard, Verdict] | None:
        """Run what looks at texts; returns what blocked, or None.

        Raises:
            GuardrailUnavailable: One that fails closed could not run.
        """
        waiting: list[tuple[Guard, Tally, list[int]]] = []
        for guard in self._guards:
            for direction, places in side.parts(guard):
                tally = Tally(guard, direction)
                if side.unread and direction in (Direction.MESSAGES, Direction.OUTPUT):
                    tally.skip("unread: " + " ".join(side.unread))
                if guard.detector is not None:
                    await self._detect(guard, tally, side, places)
                if tally.blocks:
                    return guard, self._close(tally)
                if guard.service is not None:
                    waiting.append((guard, tally, places))
                elif guard.detector is not None:
                    self._close(tally)
        return await self._ask(side, waiting)

    def judge(self, direction: Direction, read: Callable[[Guard], Reading | None]) -> tuple[Guard, Verdict] | None:
        """Run what looks at the whole; returns what blocked, or None.

        Args:
            direction: What is looked at.
            read: Returns a guardrail's reading; None where it has no rule for it.
        """
        for guard in self._guards:
            started_s = self._clock.now_s()
            reading = read(guard)
            if reading is not None:
                tally = Tally(guard, direction)
                tally.add(reading, 0)
                tally.ms = (self._clock.now_s() - started_s) * 1000
                verdict = self._close(tally)
                if tally.blocks:
                    return guard, verdict
        return None

    async def _detect(self, guard: Guard, tally: Tally, side: Side, places: list[int]) -> None:
        started_s = self._clock.now_s()
        passages = [side.now(index) for index in places]
        if sum(len(each.text) for each in passages) > LARGE_CHARACTERS:
            readings = await asyncio.to_thread(_read, guard, passages)
        else:
            readings = _read(guard, passages)
        await self._take(guard, tally, side, list(zip(places, readings, strict=True)))
        tally.ms += (self._clock.now_s() - started_s) * 1000

    async def _ask(self, side: Side, waiting: list[tuple[Guard, Tally, list[int]]]) -> tuple[Guard, Verdict] | None:
        """Ask the services: those that redact one after the other, before anybody else is shown the text."""
        first = [each for each in waiting if each[0].action is Action.REDACT]
        rest = [each for each in waiting if each[0].action is not Action.REDACT]
        for guard, tally, places in first:
            await self._inspect(guard, tally, side, places)
        if len(rest) == 1:
            await self._inspect(*rest[0][:2], side, rest[0][2])
        elif rest:
            async with asyncio.TaskGroup() as group:
                for guard, tally, places in rest:
                    group.create_task(self._inspect(guard, tally, side, places))
        blocked = None
        refused: Tally | None = None
        for guard, tally, _ in waiting:
            verdict = self._close(tally)
            if tally.blocks and blocked is None:
                blocked = (guard, verdict)
            elif verdict.outcome is Outcome.UNAVAILABLE and fail_of(guard.config) is Fail.CLOSED:
                refused = refused or tally
        if blocked is None and refused is not None:
            raise unavailable(refused.verdict())
        return blocked

    async def _inspect(self, guard: Guard, tally: Tally, side: Side, places: list[int]) -> None:
        assert guard.service is not None  # only such guards wait
        if not places:
            return
        started_s = self._clock.now_s()
        passages = [side.now(index) for index in places]
        try:
            async with asyncio.timeout(getattr(guard.config, "timeout_s", DEFAULT_TIMEOUT_S)):
                readings = await guard.service.inspect(passages, side.sources, tenant=self._tenant)
        except TimeoutError:
            tally.failed("timeout")
        except GuardrailUnavailable as exc:
            tally.failed(exc.message)
        else:
            await self._take(guard, tally, side, list(zip(places, readings, strict=True)))
        tally.ms += (self._clock.now_s() - started_s) * 1000

    async def _take(self, guard: Guard, tally: Tally, side: Side, readings: Sequence[tuple[int, Reading]]) -> None:
        """Count what was found, and redact it where the guardrail does."""
        for index, reading in readings:
            tally.add(reading, len(side.texts[index]))
        if guard.action is not Action.REDACT or guard.detector is None:
            return
        found = [(index, reading) for index, reading in readings if reading.findings]
        masked: Mapping[tuple[str, str], str] = {}
        if found and self._mask is not None and getattr(guard.config, "reversible", False) and tally.direction is not Direction.OUTPUT:
            originals = [(each.category, side.texts[index][each.start : each.end]) for index, reading in found for each in reading.findings]
            masked = await self._mask(originals)
        for index, reading in found:
            side.replace(index, _redacted(guard, side.texts[index], reading, masked))

    def _close(self, tally: Tally) -> Verdict:
        verdict = tally.verdict()
        self._note(verdict)
        return verdict


def _read(guard: Guard, passages: Sequence[Passage]) -> list[Reading]:
    assert guard.detector is not None  # only such guards detect
    read = guard.detector.read
    return [read(each.text, each.role) for each in passages]


def _redacted(guard: Guard, text: str, reading: Reading, masked: Mapping[tuple[str, str], str]) -> str:
    assert guard.detector is not None  # it says what takes the place of what it found
    parts, done = [], 0
    for finding in reading.findings:
        original = text[finding.start : finding.end]
        parts += [text[done : finding.start], masked.get((finding.category, original)) or guard.detector.replacement(finding, original)]
        done = finding.end
    return "".join([*parts, text[done:]])


def unavailable(verdict: Verdict) -> GuardrailUnavailable:
    """Make the refusal of a call that a guardrail could not check."""
    return GuardrailUnavailable(
        f"the guardrail {verdict.guard!r} could not check this call, so it goes nowhere; retry in a moment", retry_after_s=1.0
    )
