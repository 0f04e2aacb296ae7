"""Step 6 for long conversations: calls that do not fit their model's window are shortened, refused or sent to a bigger model.

    fit (before admission)         ceilings; then, over the window: refuse │ truncate │ bigger-model │ summarise: later
    summarise (after guarding)     old turns ─▶ a cheap model ─▶ one message; what still does not fit is truncated

A product's `window` says which; without one, the planner and the `context_length` fallbacks decide as they always did. Nothing is
counted of a body that has no more bytes than its window has tokens. Guardrails come before a summary: what a summarising model is
shown, they have passed or masked. What was done is among the record's changes: `truncated`, `summarised`, `summary_failed`,
`bigger_model`, `output_clamped`, `output_defaulted`.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from gateway.conversations.summary import (
    MARK_TOKENS,
    MAX_PIECE_CHARACTERS,
    MAX_PIECES,
    Piece,
    Summaries,
    asking,
    needed,
    pieces_of,
    replaced,
)
from gateway.conversations.truncation import Message, too_long, truncated
from gateway.conversations.window import PARAMS, budget_of, messages_of, parts_of, stays_confined, surely_fits, window_of, with_messages
from gateway.domain.access import Product
from gateway.domain.call import Call
from gateway.domain.catalog import Model
from gateway.domain.conversations import Window
from gateway.domain.output_limit import limited, within
from gateway.domain.request import Request
from gateway.errors import GatewayError, RequestError
from gateway.metering.draft import Draft
from gateway.metering.tokens import Count
from gateway.ports import Clock
from gateway.settlement import Flight

log = logging.getLogger(__name__)

# Where nothing could be counted, there are only bytes: next to no text has fewer of them in a token.
_BYTES_PER_TOKEN = 3
_MOST_SUMMARY_TOKENS, _LEAST_SUMMARY_TOKENS, _SUMMARY_SHARE = 800, 48, 16
_PAUSE_BYTES = 64 * 1024  # are counted on the event loop before others have their turn


class Ask(Protocol):
    """Asks another model about a call, for the gateway itself; what it costs stays with the call."""

    async def __call__(self, flight: Flight, request: Request, model: str, messages: list[dict[str, Any]], max_tokens: int) -> str:
        """Return the answer's text."""


class _Sizes(msgspec.Struct, frozen=True):
    """The tokens of a prompt: of all that is no message, and of each message."""

    base: int
    each: tuple[int, ...]

    @property
    def total(self) -> int:
        return self.base + sum(self.each)


class Conversing:
    """Makes calls fit their model's window.

    Args:
        count: Counts a prompt (`dispatch.Dispatcher.count`).
        ask: Asks the model that summarises (`dispatch.Dispatcher.ask`).
        clock: The time.
    """

    def __init__(self, count: Callable[[Call, Model], Awaitable[Count]], ask: Ask, clock: Clock) -> None:
        self._count = count
        self._ask = ask
        self._clock = clock
        self._summaries = Summaries(clock)

    async def fit(self, draft: Draft, request: Request, product: Product) -> Request:
        """Return the call as it fits; one that will be summarised is returned as it is.

        Args:
            draft: Its record.
            request: The call.
            product: The caller's.

        Raises:
            RequestError: It does not fit (`context_length_exceeded`).
        """
        rules = product.window
        held = _held(request, request.model, rules)
        window = window_of(request.model) if rules is not None and request.call.operation in PARAMS else None
        if rules is None or window is None or rules.over == "summarise" or surely_fits(held.call, window):
            return _noted(draft, request, held, rules)
        counted = await self._count(held.call, request.model)
        if _fits(held.call, counted, window):
            return _noted(draft, request, held, rules)
        if rules.over == "bigger-model":
            return _noted(draft, request, await self._bigger(request, held, rules, counted, window), rules)
        if rules.over == "refuse":
            _refuse(held.call, window, counted)
        held = _noted(draft, request, held, rules)
        return await self._truncated(draft, held, rules, window, counted) if rules.over == "truncate" else held

    async def summarise(self, flight: Flight, request: Request, product: Product) -> Request:
        """Return the call with its old turns summarised, where they have to be.

        Args:
            flight: Its own.
            request: The call, as guardrails left it.
            product: The caller's.

        Raises:
            RequestError: It does not fit (`context_length_exceeded`).
        """
        rules, call, draft = product.window, request.call, flight.draft
        if rules is None or not (rules.over == "summarise" or (rules.over == "truncate" and request.model.enrich)):
            return request
        window = window_of(request.model) if call.operation in PARAMS else None
        if window is None or surely_fits(call, window):
            return request
        counted = await self._count(call, request.model)
        if _fits(call, counted, window):
            return request
        summarised = await self._summarised(flight, request, rules, window) if rules.over == "summarise" else None
        if summarised is not None:
            return summarised
        return await self._truncated(draft, request, rules, window, counted)

    async def _truncated(self, draft: Draft, request: Request, rules: Window, window: int, counted: Count) -> Request:
        call, messages = request.call, messages_of(request.call)
        if messages is not None:
            sizes = await self._sizes(call, request.model, messages)
            costs = {id(message): size for message, size in zip(messages, sizes.each, strict=True)}

            def count(some: Sequence[Message]) -> int:
                return sizes.base + sum([costs[id(message)] for message in some])

            left = truncated(messages, budget_of(call, window), count, keep_turns=rules.keep_turns)
            if left is not None and len(left) == len(messages):  # counted one by one they are less than all at once
                return request
            if left is not None:
                return _changed(draft, request, with_messages(call, left), "truncated", "window")
        _refuse(call, window, counted)
        return request

    async def _bigger(self, request: Request, held: Request, rules: Window, counted: Count, window: int) -> Request:
        """Return the call as a bigger model gets it."""
        asked, call = request.model, request.call
        names = (rules.model,) if rules.model else asked.fallbacks.context_length
        # What only one deployment holds is nowhere else.
        for name in () if call.pinned else names:
            model = request.catalog.find(name)
            if model is None or model.id == asked.id or model.lifecycle.is_over(self._clock.utc()):
                continue
            bigger, size = _held(request, model, rules), window_of(model)
            if not stays_confined(request.catalog.rules, asked.id, model.id):
                continue
            if size is None or _fits(bigger.call, await self._count(call, model), size):
                return bigger
        _refuse(held.call, window, counted)
        return held

    async def _summarised(self, flight: Flight, request: Request, rules: Window, window: int) -> Request | None:
        """Return the call with summaries; None where there is nothing to summarise, no summary can be had, or it does not fit with one."""
        call, messages = request.call, messages_of(request.call)
        if messages is None:
            return None
        tokens = max(_LEAST_SUMMARY_TOKENS, min(_MOST_SUMMARY_TOKENS, window // _SUMMARY_SHARE))
        pieces = pieces_of(messages, rules.keep_turns, _piece_characters(request, rules.summary_model, window))
        sizes = await self._sizes(call, request.model, messages)
        pieces = pieces[: needed(pieces, sizes.each, sizes.total + MARK_TOKENS, budget_of(call, window), tokens)]
        if not pieces:
            return None
        flight.call = call  # what is asked from here on is paid for, also where nobody says how much it was
        try:
            summaries = [await self._summary(flight, request, rules.summary_model, piece, tokens) for piece in pieces[-MAX_PIECES:]]
        except GatewayError as exc:
            log.warning("call %s: %s could not summarise it: %s", flight.draft.inbound.request_id, rules.summary_model, exc.code)
            flight.draft.changes.append("summary_failed")
            return None
        left = replaced(messages, [at for piece in pieces for at in piece.places], summaries)
        shortened = with_messages(call, left)
        if not _fits(shortened, await self._count(shortened, request.model), window):
            return None
        return _changed(flight.draft, request, shortened, "summarised", "summary")

    async def _summary(self, flight: Flight, request: Request, model: str, piece: Piece, max_tokens: int) -> str:
        tenant = request.principal.tenant
        known = self._summaries.find(tenant, model, piece.text)
        if known:
            return known
        summary = (await self._ask(flight, request, model, asking(piece.text, max_tokens), max_tokens)).strip()
        if not summary:
            raise RequestError("the model that summarises wrote nothing", code="empty_summary")
        self._summaries.keep(tenant, model, piece.text, summary)
        return summary

    async def _sizes(self, call: Call, model: Model, messages: Sequence[Message]) -> _Sizes:
        rest, empty, ones = parts_of(call, messages)
        base, nothing = _tokens(await self._count(rest, model)), _tokens(await self._count(empty, model))
        sizes: list[int] = []
        counted_bytes = 0
        for one in ones:
            sizes.append(_tokens(await self._count(one, model)) - nothing)
            counted_bytes += len(one.body)
            if counted_bytes > _PAUSE_BYTES:
                counted_bytes = 0
                await self._clock.sleep(0)
        return _Sizes(base, tuple(sizes))


def _tokens(count: Count) -> int:
    return -(-count.tokens // _BYTES_PER_TOKEN) if count.bound else count.tokens


def _fits(call: Call, counted: Count, window: int) -> bool:
    return _tokens(counted) + (call.max_output_tokens or 0) <= window


def _held(request: Request, model: Model, rules: Window | None) -> Request:
    """Return the call as a model gets it: with a ceiling that the model and the product allow."""
    call, _ = within(request.call, limited(model, rules))
    if call is request.call and model is request.model:
        return request
    return msgspec.structs.replace(request, call=call, model=model)


def _noted(draft: Draft, request: Request, held: Request, rules: Window | None) -> Request:
    """Write on the record what became of a call before it was shortened; returns what became of it."""
    if held.model is not request.model:
        draft.changes.append("bigger_model")
    if held.call is not request.call:
        model = limited(held.model, rules)
        draft.changes.append(within(request.call, model)[1])
        ceilings = {"max_output_tokens": model.max_output_tokens, "default_output_tokens": model.default_output_tokens}
        draft.changed("limits", held.call, ceilings)
    return held


def _changed(draft: Draft, request: Request, call: Call, change: str, by: str) -> Request:
    draft.changes.append(change)
    draft.changed(by, call)
    return msgspec.structs.replace(request, call=call)


def _refuse(call: Call, window: int, counted: Count) -> None:
    """Refuse what certainly does not fit; where only the backend can tell, it will."""
    ceiling = call.max_output_tokens or 0
    if counted.at_least + ceiling > window:
        raise too_long(window, counted.at_least, ceiling, param=PARAMS[call.operation])


def _piece_characters(request: Request, summary_model: str, window: int) -> int:
    """Return how long a piece is: about a quarter of the window, if the model that summarises can take it."""
    model = request.catalog.find(summary_model)
    theirs = window_of(model) if model is not None else None
    return min(MAX_PIECE_CHARACTERS, window, theirs or MAX_PIECE_CHARACTERS)
