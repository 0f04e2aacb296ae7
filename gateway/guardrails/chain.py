"""Runs guardrails over one side of a call: the cheap ones first, then those that ask somebody, all at once.

    rules ─▶ detectors, one after the other, each on what the one before left ─▶ services that redact ─▶ other services, in parallel

What is masked early is seen masked by everybody after, so a service never gets what a detector has redacted. The first
finding that blocks ends it: what would have come after is not asked. Every guardrail that ran gives one verdict for each
direction in which there was something to read.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from gateway.domain.guardrails import Action, Direction, Fail, fail_of, timeout_of
from gateway.domain.verdicts import NOTHING_FOUND, Outcome, Passage, Reading, Role, Verdict
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.kinds import EVERYBODY, Detector, Guard
from gateway.guardrails.seen import Seen
from gateway.guardrails.tally import Tally
from gateway.ports import Clock

# Above this, reading is done in a thread: it would hold up the other calls for milliseconds.
LARGE_CHARACTERS = 64 * 1024
_DIRECTIONS = {Role.TOOL: Direction.TOOL_RESULTS, Role.DOCUMENT: Direction.DOCUMENTS}
_UNREAD_IN = (Direction.MESSAGES, Direction.OUTPUT)

# Turns (category, original) pairs into what the model sees in place of each original.
type Mask = Callable[[Sequence[tuple[str, str]]], Awaitable[Mapping[tuple[str, str], str]]]
type _Waiting = tuple[Guard, Tally, Sequence[int]]
type Note = Callable[[Verdict], None]


class Side:
    """One side of a call: its passages, and their texts as they stand now.

    Args:
        passages: Of the request, or of the answer.
        unread: What there is besides that no text can be read of: `image`, `audio`, …
        output: They are the answer's.
        sources: Of an answer: its request's passages.
    """

    __slots__ = ("_digests", "_newest", "changed", "groups", "large", "passages", "sources", "texts", "unread")

    def __init__(
        self, passages: Sequence[Passage], unread: Sequence[str] = (), *, output: bool = False, sources: Sequence[Passage] = ()
    ) -> None:
        self.passages = passages
        self.texts = [each.text for each in passages]
        self.large = sum(map(len, self.texts)) > LARGE_CHARACTERS
        self.changed: set[int] = set()
        self.unread = unread
        self.sources = sources
        # The last message is what is new; what is not in it was there in the call before.
        self._newest = () if output or not passages else passages[-1].path[:2]
        self._digests: dict[int, bytes] = {}
        self.groups: dict[Direction, list[int]] = {}
        if output:
            self.groups[Direction.OUTPUT] = list(range(len(passages)))
        else:
            for index, passage in enumerate(passages):
                self.groups.setdefault(_DIRECTIONS.get(passage.role, Direction.MESSAGES), []).append(index)
        if unread:  # there is something to say about it, though there may be nothing to read
            self.groups.setdefault(Direction.OUTPUT if output else Direction.MESSAGES, [])

    def places(self, guard: Guard, direction: Direction) -> list[int]:
        """Return what a guardrail reads of a direction."""
        places = self.groups[direction]
        if guard.roles is EVERYBODY:
            return places
        return [index for index in places if self.passages[index].role in guard.roles]

    def digest(self, index: int) -> bytes | None:
        """Return by what a text can be known again; None where it is new, or changed, and will hardly come back."""
        if not self._newest or self.passages[index].path[:2] == self._newest or index in self.changed:
            return None
        found = self._digests.get(index)
        if found is None:
            found = self._digests[index] = hashlib.blake2b(self.texts[index].encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return found

    def skips(self, direction: Direction) -> str:
        """Return what of a direction nobody can read; empty where all can be read."""
        return "unread: " + " ".join(self.unread) if self.unread and direction in _UNREAD_IN else ""

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
        seen: What detectors read before; None where nothing is remembered.
    """

    def __init__(
        self, guards: Sequence[Guard], tenant: str, clock: Clock, note: Note, mask: Mask | None = None, seen: Seen | None = None
    ) -> None:
        self._seen = seen
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
        waiting: list[_Waiting] = []
        for guard in self._guards:
            if guard.detector is None and guard.service is None:
                continue
            for direction in side.groups:
                if direction not in guard.directions:
                    continue
                places, skips = side.places(guard, direction), side.skips(direction) if side.unread else ""
                if not places and not skips:
                    continue
                tally = await self._detect(guard, direction, side, places, skips)
                if tally is None:
                    continue
                if tally.blocks:
                    return guard, self._close(tally)
                if guard.service is not None:
                    waiting.append((guard, tally, places))
                else:
                    self._close(tally)
        return await self._ask(side, waiting) if waiting else None

    def judge(self, direction: Direction, read: Callable[[Guard], Reading | None]) -> tuple[Guard, Verdict] | None:
        """Run what looks at the whole; returns what blocked, or None.

        Args:
            direction: What is looked at.
            read: Returns a guardrail's reading; None where it has no rule for it.
        """
        for guard in self._guards:
            if guard.detector is not None:
                continue
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

    async def _detect(self, guard: Guard, direction: Direction, side: Side, places: Sequence[int], skips: str) -> Tally | None:
        """Let a detector read; returns what is to be said of it, or None where nothing was found and that has been said."""
        started_s = self._clock.now_s()
        readings: list[Reading] = []
        if guard.detector is not None:
            if side.large:
                readings = await asyncio.to_thread(self._read, guard.detector, side, places)
            else:
                readings = self._read(guard.detector, side, places)
            if guard.service is None and not skips and readings.count(NOTHING_FOUND) == len(readings):  # nearly every call
                scanned, ms = sum([len(side.texts[index]) for index in places]), round((self._clock.now_s() - started_s) * 1000, 3)
                self._note(Verdict(guard.config.id, direction, Outcome.PASSED, scanned=scanned, ms=ms))
                return None
        tally = Tally(guard, direction)
        if skips:
            tally.skip(skips)
        if readings:
            await self._take(guard, tally, side, list(zip(places, readings, strict=True)))
        tally.ms += (self._clock.now_s() - started_s) * 1000
        return tally

    def _read(self, detector: Detector, side: Side, places: Sequence[int]) -> list[Reading]:
        readings = []
        for index in places:
            role, digest = side.passages[index].role, side.digest(index) if self._seen is not None else None
            if self._seen is None or digest is None:
                readings.append(detector.read(side.texts[index], role))
                continue
            key = (self._tenant, detector, role, digest)
            reading = self._seen.get(key)
            if reading is None:
                reading = detector.read(side.texts[index], role)
                if not reading.findings:
                    self._seen.put(key, reading)
            readings.append(reading)
        return readings

    async def _ask(self, side: Side, waiting: list[_Waiting]) -> tuple[Guard, Verdict] | None:
        """Ask the services: those that redact one after the other, before anybody else is shown the text."""
        first = [each for each in waiting if each[0].action is Action.REDACT]
        rest = [each for each in waiting if each[0].action is not Action.REDACT]
        for guard, tally, places in first:
            await self._inspect(guard, tally, side, places)
            if tally.unavailable and fail_of(guard.config) is Fail.CLOSED:  # nobody else is shown what was to be redacted
                self._close(tally)
                raise unavailable(tally)
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
            raise unavailable(refused)
        return blocked

    async def _inspect(self, guard: Guard, tally: Tally, side: Side, places: Sequence[int]) -> None:
        assert guard.service is not None  # only such guards wait
        if not places:
            return
        started_s = self._clock.now_s()
        passages = [side.now(index) for index in places]
        try:
            async with asyncio.timeout(timeout_of(guard.config)):
                readings = await guard.service.inspect(passages, side.sources, tenant=self._tenant)
        except TimeoutError:
            tally.failed("timeout")
        except GuardrailUnavailable as exc:
            tally.failed(exc.message, exc.retry_after_s)
        else:
            await self._take(guard, tally, side, list(zip(places, readings, strict=True)))
        tally.ms += (self._clock.now_s() - started_s) * 1000

    async def _take(self, guard: Guard, tally: Tally, side: Side, readings: Sequence[tuple[int, Reading]]) -> None:
        """Count what was found, and redact it where the guardrail does."""
        again = tally.scanned > 0  # a service reads what the detector has read
        for index, reading in readings:
            tally.add(reading, 0 if again else len(side.texts[index]))
        if guard.action is not Action.REDACT or guard.detector is None:
            return
        found = [(index, reading) for index, reading in readings if reading.findings]
        masked: Mapping[tuple[str, str], str] = {}
        if found and self._mask is not None and getattr(guard.config, "reversible", False) and tally.direction is not Direction.OUTPUT:
            originals = [(each.category, side.texts[index][each.start : each.end]) for index, reading in found for each in reading.findings]
            masked = await self._mask(originals)
        for index, reading in found:
            side.replace(index, redacted(guard, side.texts[index], reading, masked))

    def _close(self, tally: Tally) -> Verdict:
        verdict = tally.verdict()
        self._note(verdict)
        return verdict


def redacted(guard: Guard, text: str, reading: Reading, masked: Mapping[tuple[str, str], str]) -> str:
    """Return a text without what was found in it; `masked` says what takes its place, the detector where it does not."""
    assert guard.detector is not None  # it says what takes the place of what it found
    parts, done = [], 0
    for finding in reading.findings:
        original = text[finding.start : finding.end]
        parts += [text[done : finding.start], masked.get((finding.category, original)) or guard.detector.replacement(finding, original)]
        done = finding.end
    return "".join([*parts, text[done:]])


def unavailable(tally: Tally) -> GuardrailUnavailable:
    """Make the refusal of a call that a guardrail could not check."""
    return GuardrailUnavailable(
        f"the guardrail {tally.guard!r} could not check this call, so it goes nowhere; retry in a moment",
        retry_after_s=tally.retry_after_s or 1.0,
    )
