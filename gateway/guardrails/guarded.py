"""A call under guard: its request is inspected before the model is asked, its answer before the client sees it.

What was masked in the request with a placeholder is put back into the answer, last of all: no guardrail of the answer sees it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, Operation
from gateway.domain.context import with_context
from gateway.domain.guardrails import INPUT, Action, BackendFilter, Direction, Fail, JsonSchema, Pii, SystemText, fail_of
from gateway.domain.verdicts import NOTHING_FOUND, Outcome, Passage, Reading, Role, Verdict
from gateway.errors import GatewayError, GuardrailBlocked, GuardrailUnavailable
from gateway.guardrails.backend_filter import NOT_RUN, filter_unavailable, unchecked
from gateway.guardrails.blocked import blocked_answer, blocked_request
from gateway.guardrails.chain import Chain, Note, Side
from gateway.guardrails.kinds import Guard
from gateway.guardrails.masking.kept import KeptStream, conversation_of, kept_under
from gateway.guardrails.masking.placeholders import Placeholders
from gateway.guardrails.masking.vault import Vault
from gateway.guardrails.pii.detector import placeholder_name
from gateway.guardrails.seen import Seen
from gateway.guardrails.streams.arguments import is_json
from gateway.guardrails.streams.stream import GuardedStream
from gateway.guardrails.texts.answers import Answered, read_answer, with_answer_texts
from gateway.guardrails.texts.passages import read_call, with_texts
from gateway.guardrails.told import clear_error
from gateway.ports import Clock

# Above this, texts are found in a thread: it would hold up the other calls for milliseconds.
LARGE_BODY_BYTES = 256 * 1024
_INPUT = frozenset(INPUT)


class Lineup(msgspec.Struct, frozen=True):
    """Guardrails by when they run, each in its order; put together once for all the calls that they hold for.

    Attributes:
        before: They look at the request before the model is asked.
        beside: They look at it beside the model.
        output: They look at the answer.
        form: The one that says what form the answer must have.
        guidance: What the operator says first, in its order.
        masks: The one whose redaction the client gets back.
    """

    before: tuple[Guard, ...]
    beside: tuple[Guard, ...]
    output: tuple[Guard, ...]
    form: Guard | None
    guidance: tuple[str, ...]
    masks: Guard | None


def line_up(guards: Sequence[Guard]) -> Lineup:
    """Put guardrails together."""
    of_input = [each for each in guards if not each.directions.isdisjoint(_INPUT) and (each.detector or each.service or each.rule)]
    form = next((each for each in guards if isinstance(each.config, JsonSchema)), None)
    return Lineup(
        before=tuple(each for each in of_input if getattr(each.config, "mode", "") != "during"),
        beside=tuple(each for each in of_input if getattr(each.config, "mode", "") == "during"),
        output=tuple(each for each in guards if Direction.OUTPUT in each.directions and not isinstance(each.config, JsonSchema)),
        form=form,
        guidance=tuple(each.config.text for each in guards if isinstance(each.config, SystemText)),
        masks=next(
            (each for each in of_input if isinstance(each.config, Pii) and each.config.reversible and each.action is Action.REDACT), None
        ),
    )


class Guarded:
    """One call under guard.

    Args:
        lineup: The guardrails that hold for it.
        vault: Where the placeholders of sessions are.
        tenant: The caller's.
        session: What keeps placeholders the same from call to call; empty for this call alone.
        note: Takes each verdict.
        clock: The time.
        seen: What detectors read before; None where nothing is remembered.
    """

    def __init__(self, lineup: Lineup, vault: Vault, tenant: str, session: str, note: Note, clock: Clock, seen: Seen | None = None) -> None:
        self._seen = seen
        self._lineup = lineup
        self._vault = vault
        self._tenant = tenant
        self._session = session
        self._note = note
        self._clock = clock
        self._given: Sequence[Passage] = ()  # as the client sent it
        self._sources: Sequence[Passage] = ()  # as the model gets it
        self._placeholders: Placeholders | None = None
        self._strict = True
        self._beside: asyncio.Task[GuardrailBlocked | None] | None = None

    @property
    def form(self) -> Guard | None:
        """The guardrail that says what form the answer must have."""
        return self._lineup.form

    async def request(self, call: Call, looked_up: str = "", inserted: str = "") -> Call:
        """Inspect the request; returns what goes to the model.

        Args:
            call: The client's.
            looked_up: What the gateway has put before its prompt from elsewhere; empty for nothing.
            inserted: What it has put somewhere into a message, from elsewhere: judged by itself as a document, besides.

        Raises:
            GuardrailBlocked: One of them refuses it.
            GuardrailUnavailable: One that fails closed could not run.
        """
        large = len(call.body) > LARGE_BODY_BYTES
        read = await asyncio.to_thread(read_call, call) if large else read_call(call)
        found = self._given = _with_documents(read.passages, looked_up)
        side = Side(found, read.unread)
        lineup = self._lineup
        chain = Chain(lineup.before, self._tenant, self._clock, self._note, self._mask, self._seen)
        if blocked := chain.judge(Direction.MESSAGES, lambda guard: guard.rule(call) if guard.rule is not None else None):
            raise _refusal(blocked)
        if inserted and (blocked := await self._judge_document(inserted)):
            raise _refusal(blocked)
        if lineup.masks is not None:
            await self._open_vault(call, lineup.masks)
        if blocked := await chain.run(side):
            raise _refusal(blocked)
        self._sources = [side.now(index) for index in range(len(found))] if side.changed else found
        if lineup.beside:
            self._beside = asyncio.create_task(self._run_beside(lineup.beside, Side(self._sources, read.unread)))
        if side.changed:
            texts = {index: side.texts[index] for index in sorted(side.changed)}
            call = await asyncio.to_thread(with_texts, call, texts) if large else with_texts(call, texts)
        for text in reversed(lineup.guidance):
            call = with_context(call, text)
        return call

    async def _judge_document(self, text: str) -> tuple[Guard, Verdict] | None:
        """Judge a text that stands inside other words: what redacts finds it there, and has no need of it here."""
        guards = [each for each in (*self._lineup.before, *self._lineup.beside) if each.action is not Action.REDACT]
        side = Side((Passage(("looked_up",), text, Role.DOCUMENT),))
        return await Chain(guards, self._tenant, self._clock, self._note).run(side)

    async def _run_beside(self, guards: Sequence[Guard], side: Side) -> GuardrailBlocked | None:
        blocked = await Chain(guards, self._tenant, self._clock, self._note).run(side)
        return _refusal(blocked) if blocked else None

    async def settled(self) -> None:
        """Wait for what runs beside the model; raises as `request` does."""
        if self._beside is not None and (refusal := await self._beside):
            raise refusal

    def original(self, text: str) -> str:
        """Return a text with its placeholders turned back."""
        return self._placeholders.text(text) if self._placeholders is not None else text

    def told(self, error: GatewayError) -> None:
        """Take out of a backend's refusal what the client may not have."""
        clear_error(error, self._lineup.output, self.original)

    def close(self) -> None:
        """End what still runs."""
        if self._beside is not None:
            self._beside.cancel()

    async def _open_vault(self, call: Call, masks: Guard) -> None:
        """Fetch the placeholders of the session, and of the conversation that the provider keeps."""
        self._strict = fail_of(masks.config) is Fail.CLOSED
        try:
            previous = kept_under(call)
            if self._session or previous:
                self._placeholders = await self._vault.open(self._tenant, self._session, previous=previous)
            else:
                self._placeholders = Placeholders()
        except GuardrailUnavailable:
            if self._strict:
                raise
            self._placeholders = Placeholders()  # what is masked stays masked; it is not the same in the next call

    async def _mask(self, originals: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        assert self._placeholders is not None  # opened before anything is masked
        names = [(placeholder_name(category), original) for category, original in originals]
        texts = [each.text for each in self._given]
        try:
            assigned = await self._vault.assign(self._placeholders, names, texts)
        except GuardrailUnavailable:
            if self._strict:
                raise
            assigned = self._placeholders.assign(names, texts)
        return {pair: assigned[name] for pair, name in zip(originals, names, strict=True)}

    async def answer(self, call: Call, completion: Completion) -> Completion:
        """Inspect a whole answer; returns what the client gets.

        Raises:
            GuardrailBlocked: It may not be given, and the call's dialect has no answer that says so.
            GuardrailUnavailable: A guardrail that fails closed could not run.
        """
        guards = self._lineup.output
        if not guards and self._placeholders is None:
            return completion
        if len(completion.body) > LARGE_BODY_BYTES:
            answered = await asyncio.to_thread(read_answer, call.operation, completion)
        else:
            answered = read_answer(call.operation, completion)
        side = Side(answered.passages, answered.unread, output=True, sources=self._sources)
        chain = Chain(guards, self._tenant, self._clock, self._note)
        blocked = chain.judge(Direction.OUTPUT, lambda guard: self._judged(guard, answered)) or await chain.run(side)
        if blocked:
            guard, verdict = blocked
            return blocked_answer(call, completion, verdict, guard.config.message)
        texts = {index: side.texts[index] for index in sorted(side.changed)}
        if self._placeholders:
            texts |= _originals(self._placeholders, answered, side.texts)
            await self._keep(call, answered.body.document)
        if call.operation is Operation.RESPONSE_ITEM and call.method == "DELETE":
            await self._vault.erase_response(self._tenant, kept_under(call))
        return with_answer_texts(answered, texts)

    async def _keep(self, call: Call, document: Any) -> None:
        """Keep what is in use for the calls that continue this answer at its provider."""
        if call.operation is not Operation.RESPONSES or not self._placeholders or not isinstance(document, dict):
            return
        for name in {str(document.get("id") or ""), conversation_of(call)} - {""}:
            await self._vault.save_under(self._tenant, self._placeholders, name)

    def _judged(self, guard: Guard, answered: Answered) -> Reading | None:
        """Return what a guardrail says of an answer as a whole; None where it has no rule for it."""
        document = answered.body.document
        if isinstance(guard.config, BackendFilter):
            if not unchecked(answered.operation, document):
                return NOTHING_FOUND
            verdict = Verdict(guard.config.id, Direction.OUTPUT, Outcome.UNAVAILABLE, reason=NOT_RUN)
            self._note(verdict)
            if fail_of(guard.config) is Fail.CLOSED:
                raise filter_unavailable(guard.config.id)
            return None
        if guard.answer_rule is None:
            return None
        return guard.answer_rule(answered.operation, document, sum(len(each.text) for each in answered.passages))

    def stream(self, call: Call) -> GuardedStream | KeptStream | None:
        """Return what looks at the answer's stream; None where nothing does."""
        guards = self._lineup.output
        if not guards and not self._placeholders:
            return None
        stream = GuardedStream(call, guards, self._placeholders or None, self._note, self._clock, self._sources, tenant=self._tenant)
        return KeptStream(stream, partial(self._keep, call)) if self._placeholders and call.operation is Operation.RESPONSES else stream


def _originals(placeholders: Placeholders, answered: Answered, judged: Sequence[str]) -> dict[int, str]:
    """Return the texts of an answer in which originals stand again; what it repeats of the request was judged with that."""
    texts = [*judged, *(each.text for each in answered.echoes)]
    nested = [each.inner is not None for each in (*answered.passages, *answered.echoes)]
    found = {
        index: placeholders.text(text, json=not inside and is_json(text))
        for index, (text, inside) in enumerate(zip(texts, nested, strict=True))
    }
    return {index: text for index, text in found.items() if text != texts[index]}


def _with_documents(found: Sequence[Passage], looked_up: str) -> Sequence[Passage]:
    """Say of what was looked up that it is a document, whichever message it stands in: nobody vouches for what it says."""
    if not looked_up:
        return found
    strange = [each.role is Role.SYSTEM and each.text.startswith(looked_up) for each in found]
    return [msgspec.structs.replace(each, role=Role.DOCUMENT) if odd else each for each, odd in zip(found, strange, strict=True)]


def _refusal(blocked: tuple[Guard, Verdict]) -> GuardrailBlocked:
    guard, verdict = blocked
    return blocked_request(verdict, guard.config.message)
