"""Tries guardrails on a text or a request, without a model: what they would find, and what would be left of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Call, Inbound, Operation, Surface
from gateway.domain.chat import read_chat
from gateway.domain.guardrail_trial import Trial, Tried
from gateway.domain.guardrails import Direction, Guardrail
from gateway.domain.verdicts import Passage, Role, Verdict
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.build import order_of
from gateway.guardrails.chain import Chain, Side
from gateway.guardrails.kinds import Guard
from gateway.guardrails.masking.placeholders import Placeholders
from gateway.guardrails.pii.detector import placeholder_name
from gateway.guardrails.texts.passages import read_call, with_texts
from gateway.ports import Clock

_ROLES = {
    Direction.MESSAGES: Role.USER,
    Direction.TOOL_RESULTS: Role.TOOL,
    Direction.DOCUMENTS: Role.DOCUMENT,
    Direction.OUTPUT: Role.ASSISTANT,
}


class TrialRoom:
    """Tries guardrails.

    Args:
        build: Makes a guardrail ready to run.
        clock: The time.
    """

    def __init__(self, build: Callable[[Guardrail], Guard], clock: Clock) -> None:
        self._build = build
        self._clock = clock

    async def try_out(self, trial: Trial) -> Tried:
        """Try guardrails on a text, or on a chat's body.

        Raises:
            RequestError: The body is no chat's.
        """
        if trial.document is None:
            text, output = trial.text or "", trial.direction is Direction.OUTPUT
            side = Side([Passage((), text, _ROLES[trial.direction])], output=output)
            verdicts, blocked = await self._run(trial, side, None)
            return Tried(verdicts, None if blocked else side.texts[0])
        call = _chat(trial.document)
        read = read_call(call)
        side = Side(read.passages, read.unread)
        verdicts, blocked = await self._run(trial, side, call)
        if blocked:
            return Tried(verdicts)
        return Tried(verdicts, document=with_texts(call, {index: side.texts[index] for index in sorted(side.changed)}).document)

    async def _run(self, trial: Trial, side: Side, call: Call | None) -> tuple[tuple[Verdict, ...], bool]:
        """Run them; returns the verdicts, and whether nothing goes on."""
        verdicts: list[Verdict] = []
        placeholders = Placeholders()

        async def mask(originals: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
            names = [(placeholder_name(category), original) for category, original in originals]
            given = placeholders.assign(names, [each.text for each in side.passages])
            return {pair: given[name] for pair, name in zip(originals, names, strict=True)}

        guards = sorted((self._build(each) for each in trial.guardrails), key=order_of)
        chain = Chain(guards, trial.tenant, self._clock, verdicts.append, mask)
        try:
            blocked = chain.judge(Direction.MESSAGES, lambda guard: guard.rule(call) if call and guard.rule else None)
            blocked = blocked or await chain.run(side)
        except GuardrailUnavailable:  # its verdict says so
            return tuple(verdicts), True
        return tuple(verdicts), blocked is not None


def _chat(document: Mapping[str, Any]) -> Call:
    inbound = Inbound(
        operation=Operation.CHAT,
        surface=Surface.OPENAI,
        request_id="",
        method="POST",
        path="",
        headers={},
        query={},
        path_model="none",
        body=msgspec.json.encode(document),
        received_s=0.0,
    )
    return read_chat(inbound)
