"""Step 11: an answer that has begun becomes the client's: guarded, its ids sealed, with the headers that say who served it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import msgspec

from gateway.costcheck import PLAN
from gateway.domain.call import Answer, Completion, Usage
from gateway.domain.policy import LifecycleState
from gateway.domain.request import Request
from gateway.domain.response_ids import WITH_IDS, Ids, sealer
from gateway.domain.transforms import TRANSFORMED, transform
from gateway.domain.verdict_text import HEADER as GUARDRAILS
from gateway.domain.verdict_text import header_of
from gateway.errors import GatewayError
from gateway.guardrails.guarded import Guarded
from gateway.metering.draft import Draft
from gateway.metering.pricing import cost_micro_usd
from gateway.opening import Opened
from gateway.outputs.steps import apply
from gateway.ports import Clock
from gateway.relay import Relay
from gateway.routing.lifecycle import headers_of
from gateway.settlement import Flight, Settlement

STEP_OUTPUT_TOKENS = 64  # of the answer to what a step asks


class Ask(Protocol):
    """Asks another model about a call, for the gateway itself; what it costs stays with the call."""

    async def __call__(self, flight: Flight, request: Request, model: str, messages: list[dict[str, Any]], max_tokens: int) -> str:
        """Return the answer's text."""


class Answering:
    """Turns what a backend began into what the client gets.

    Args:
        settlement: Settles a stream at its end.
        ids: Seals what leads back to a deployment.
        clock: The time.
        ask: Asks another model about a call (`dispatch.Dispatcher.ask`).
    """

    def __init__(self, settlement: Settlement, ids: Ids, clock: Clock, ask: Ask) -> None:
        self._ask = ask
        self._settlement = settlement
        self._ids = ids
        self._clock = clock

    async def answer(self, flight: Flight, request: Request, opened: Opened, guarded: Guarded | None) -> Answer:
        """Hand a stream over, with the duty to settle; or hand the whole answer on."""
        if opened.completion is None:
            return self._stream(flight, request, opened, guarded)
        return await self._whole(flight, request, opened, opened.completion, guarded)

    def _stream(self, flight: Flight, request: Request, opened: Opened, guarded: Guarded | None) -> Answer:
        assert opened.chunks is not None  # an attempt opens one or the other
        assert opened.decoder is not None
        draft = flight.draft
        guard = guarded.stream(request.call) if guarded is not None else None
        ended, seal = partial(self._end_stream, flight), self._seal(draft, request)
        relay = Relay(draft, opened.response, opened.chunks, opened.held, opened.decoder, self._clock, ended, seal, guard)
        flight.handed_over = True
        return Answer(headers=self._headers(flight, request), stream=relay)

    async def _whole(self, flight: Flight, request: Request, opened: Opened, completion: Completion, guarded: Guarded | None) -> Answer:
        draft, call = flight.draft, request.call
        draft.status = opened.response.status
        draft.first_token_s = draft.last_byte_s = self._clock.now_s()
        flight.usage = self._settlement.used(flight, call, completion)
        if guarded is not None:
            completion = await guarded.answer(call, completion)
            draft.guard_s += self._clock.now_s() - draft.last_byte_s
            draft.last_byte_s = draft.first_token_s = self._clock.now_s()
        draft.finish_reason = completion.finish_reason
        headers = self._headers(flight, request)
        if flight.usage is not None and (cost := cost_micro_usd(flight.usage, flight.price)) is not None:
            headers["x-gateway-cost-usd"] = f"{cost / 1_000_000:.6f}"
        seal = self._seal(draft, request)
        body = completion.body if seal is None else seal(completion.body)
        if request.model.transform and call.operation in TRANSFORMED:
            body = transform(call.operation, body, request.model.transform)
            draft.changes.append("transformed")
        if request.prompted is not None and request.prompted.version.steps:
            body = await self._stepped(flight, request, body)
        return Answer({**completion.headers, **headers}, body, status=draft.status, content_type=completion.content_type)

    async def _stepped(self, flight: Flight, request: Request, body: bytes) -> bytes:
        """Do the steps of the call's prompt; what they ask other models is on the call's record."""
        assert request.prompted is not None  # it has steps

        async def ask(model: str, instructions: str, text: str) -> str:
            messages = [{"role": "system", "content": instructions}, {"role": "user", "content": text}]
            return await self._ask(flight, request, model, messages, STEP_OUTPUT_TOKENS)

        body, notes = await apply(request.prompted.version.steps, request.call.operation, body, ask)
        flight.draft.changes += notes
        return body

    def _headers(self, flight: Flight, request: Request) -> dict[str, str]:
        draft, model = flight.draft, request.model
        headers = {**served_by(draft), **flight.reservation.headers}
        if flight.plan:
            headers[PLAN] = flight.plan
        if draft.verdicts:
            headers[GUARDRAILS] = header_of(draft.verdicts)
        if model.lifecycle.state is LifecycleState.DEPRECATED:
            headers |= headers_of(model, self._clock.utc())
        headers["x-gateway-overhead-ms"] = f"{draft.overhead_s(self._clock.now_s()) * 1000:.3f}"
        return headers

    def _seal(self, draft: Draft, request: Request) -> Callable[[bytes], bytes] | None:
        if request.call.operation not in WITH_IDS:
            return None
        served = msgspec.structs.replace(request.call, model=request.call.origin or request.model.id)
        return sealer(served, request.principal.tenant, draft.deployment, self._ids)

    def _end_stream(self, flight: Flight, usage: Usage | None, text: str, error: GatewayError | None) -> None:
        flight.usage = self._settlement.once(flight, usage)
        flight.text = text
        if error is not None and flight.place is not None:
            flight.place.broke(error)
        self._settlement.settle(flight)


def served_by(draft: Draft) -> dict[str, str]:
    """Return the headers that say who served a call, or was asked in vain."""
    headers = {"x-gateway-model": draft.model, "x-gateway-attempts": str(draft.attempts)}
    if draft.deployment:  # somebody was asked
        headers["x-gateway-deployment"] = draft.deployment
    if draft.fallback:
        headers["x-gateway-fallback"] = draft.fallback
    if draft.prompt_version:
        headers["x-gateway-prompt-version"] = str(draft.prompt_version)
    if draft.variant:
        headers["x-gateway-variant"] = draft.variant
    if draft.tier:
        headers["x-gateway-tier"] = draft.tier
    return headers
