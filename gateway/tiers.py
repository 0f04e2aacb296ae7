"""Cheaper models first: an answer is used if it passes its check, and the next model is asked if it does not.

A checked answer is read to its end before the client sees any of it, a stream as well. What the answers that did not pass
and the judge's verdicts cost stays with the call: the record's cost is all of it, and says how much was not used.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Call, Operation, Surface
from gateway.domain.policy import Tier, Verifier
from gateway.domain.request import Request
from gateway.errors import GatewayError
from gateway.opening import Opened, read_whole, text_of, usage_of
from gateway.routing import verify
from gateway.routing.decide import repeatable
from gateway.settlement import Flight

log = logging.getLogger(__name__)

JUDGE_OUTPUT_TOKENS = 16

# Gets the whole answer of the model of that name.
type Ask = Callable[[Flight, Request, str], Awaitable[Opened]]


async def ask_tiers(ask: Ask, flight: Flight, request: Request, tiers: Sequence[Tier]) -> Opened | None:
    """Ask cheaper models, one after the other.

    Args:
        ask: Gets a model's whole answer.
        flight: The call's; what unused answers cost stays with it.
        request: The call.
        tiers: In the order in which they are asked.

    Returns:
        The first answer that passes; None where none does.
    """
    for tier in tiers:
        try:
            opened = await ask(flight, request, tier.model)
        except GatewayError as exc:
            if not repeatable(exc, safe=request.call.safe):
                raise
            continue
        passed = False
        try:
            passed = await _passes(ask, flight, request, tier.verify, opened)
        finally:
            if not passed:  # or nobody waits for the verdict any more
                flight.set_aside(usage_of(opened), text_of(opened))
                opened.response.close()
        if passed:
            flight.draft.tier = tier.model
            return opened
        flight.draft.route.append(f"{opened.candidate.deployment.id}:not_verified")
    return None


async def _passes(ask: Ask, flight: Flight, request: Request, verifier: Verifier, opened: Opened) -> bool:
    read = read_whole(request.call.operation, opened)
    if read is None:
        return False
    text, calls_tools = read
    if calls_tools:
        return True
    if verifier.judge_model:
        return await _judged(ask, flight, request, verifier, text)
    if verifier.json_schema is None:
        return verify.passes(verifier, text)
    try:  # some schemas take the square of an answer's length: other calls go on meanwhile
        return await asyncio.to_thread(verify.passes, verifier, text)
    except RecursionError:
        return False


async def _judged(ask: Ask, flight: Flight, request: Request, verifier: Verifier, text: str) -> bool:
    """Ask the judge; one that cannot be asked has not passed the answer."""
    asked = msgspec.json.encode(request.call.document.get("messages") or request.call.document.get("input")).decode()
    messages = [
        {"role": "system", "content": verifier.question},
        {"role": "user", "content": f"The request:\n{asked}\n\nThe answer:\n{text}"},
    ]
    judge = msgspec.structs.replace(request, call=plain_chat(verifier.judge_model, messages, JUDGE_OUTPUT_TOKENS, request.call.trace))
    answered = flight.pause()
    try:
        opened = await ask(flight, judge, verifier.judge_model)
    except GatewayError as exc:
        log.warning("call %s: the judge %s could not be asked: %s", flight.draft.inbound.request_id, verifier.judge_model, exc.code)
        return False
    else:
        assert opened.completion is not None  # it is never asked for a stream
        verdict, _ = verify.read_answer(Operation.CHAT, opened.completion.body)
        flight.set_aside(opened.completion.usage, verdict)
        return verdict.strip().lower().startswith(verifier.passes.lower())
    finally:
        flight.resume(answered)


def plain_chat(model: str, messages: Sequence[Mapping[str, Any]], max_tokens: int, trace: str) -> Call:
    """Return a chat of the gateway's own."""
    document = {"model": model, "messages": messages, "max_tokens": max_tokens}
    return Call(
        operation=Operation.CHAT,
        surface=Surface.OPENAI,
        model=model,
        body=msgspec.json.encode(document),
        document=document,
        max_output_tokens=max_tokens,
        trace=trace,
    )
