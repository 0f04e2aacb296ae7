"""Step 6: what a call may use at most, reserved from every limit that it is under.

    asked = 1 request + the prompt's tokens + the answer's ceiling (all choices, all tiers) + what they cost at most

Only what some limit counts is worked out: without a limit on tokens or money nothing is counted, and without any limit nothing
is awaited. Money is bounded over everything that the model can lead to (`metering/estimate.py`); where an enforced budget
meets something without a price the call is refused, since nobody could say what it takes.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.domain.access import Product
from gateway.domain.amounts import Amounts
from gateway.domain.call import Call, Operation
from gateway.domain.catalog import Model
from gateway.domain.deployment import Protocol
from gateway.domain.forward import read_ceiling
from gateway.domain.limits import Metric, Mode
from gateway.domain.output_limit import ANSWERED_IN_TEXT
from gateway.domain.request import Request
from gateway.errors import PermissionDenied
from gateway.limits.limiter import NOTHING_RESERVED, Limiter, Reservation
from gateway.limits.scopes import Scope, scopes_of
from gateway.metering.draft import Draft
from gateway.metering.estimate import worst_cost_micro_usd, worst_tokens
from gateway.metering.tokens import BYTES_PER_TOKEN, Count
from gateway.ports import Clock

# What a choice without a ceiling of its own is taken to answer with, until it is settled.
DEFAULT_OUTPUT_TOKENS = 512
# The least that a second of speech, or of what else is billed by units, takes of a body: what bounds units that nobody has counted.
LEAST_UNIT_BYTES = 1000
# Of what is passed on to a model: nobody has read it, and it is settled likewise.
_TOKENS = frozenset({Metric.TOKENS, Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS})
_ONE_REQUEST = Amounts(requests=1)


class Admission:
    """Admits calls.

    Args:
        limiter: Holds the limits.
        count: Counts a prompt.
        clock: The time.
    """

    def __init__(self, limiter: Limiter, count: Callable[[Call, Model], Awaitable[Count]], clock: Clock) -> None:
        self._limiter = limiter
        self._count = count
        self._clock = clock

    async def admit(self, draft: Draft, request: Request, product: Product) -> Reservation:
        """Reserve what the call may use.

        Args:
            draft: Its record.
            request: The call.
            product: The caller's.

        Raises:
            LimitExceeded: A limit would be passed.
            PermissionDenied: A budget is on it, and something that may answer it has no price.
            StoreUnavailable: The limits cannot be checked.
        """
        principal, reservation = request.principal, NOTHING_RESERVED
        scopes = scopes_of(request.catalog.limits, principal, product, request.labels.user)
        if scopes:
            asked = await self._ask(request, scopes)
            reservation = await self._limiter.reserve(scopes, asked)
            draft.admitted_at, draft.worker = reservation.admitted_at, self._limiter.worker
        draft.admitted_s = self._clock.now_s()
        return reservation

    async def _ask(self, request: Request, scopes: tuple[Scope, ...]) -> Amounts:
        ceilings = [ceiling for scope in scopes for ceiling in scope.ceilings]
        priced = [ceiling for ceiling in ceilings if ceiling.metric is Metric.COST]
        if not priced and not any(ceiling.metric in _TOKENS for ceiling in ceilings):
            return _ONE_REQUEST
        sizes, model, call = await self.sizes(request), request.model, request.call
        one = (request.catalog, model, request.principal.tenant, sizes.input_tokens, sizes.output_tokens, self._clock.utc())
        units = units_at_most(call)
        tokens = worst_tokens(*one, units=units, operation=call.operation)
        if not priced:
            return Amounts(1, *tokens)
        cost = worst_cost_micro_usd(*one, units=units, operation=call.operation)
        if cost is None and any(ceiling.mode is Mode.ENFORCE for ceiling in priced):
            message = (
                f"a budget is on this call, and something that may answer the model {model.id!r} has no price; "
                "ask the operator to give it one, or ask another model"
            )
            raise PermissionDenied(message, param="model", code="unpriced_model")
        return Amounts(1, *tokens, cost or 0)

    async def sizes(self, request: Request) -> Amounts:
        """Return what a call takes of one model at most, without its cost."""
        call, model = request.call, request.model
        prompt, output = (await self._count(call, model)).tokens, 0
        if call.operation in ANSWERED_IN_TEXT:
            ceiling = call.max_output_tokens or min(model.max_output_tokens or DEFAULT_OUTPUT_TOKENS, DEFAULT_OUTPUT_TOKENS)
            output = ceiling * call.choices
        elif (
            call.body
            and call.operation is Operation.FORWARD
            and any(each.deployment.backend.protocol is Protocol.AZURE_ML for each in model.pool)
        ):
            prompt = len(call.body) // BYTES_PER_TOKEN
            output = await asyncio.to_thread(read_ceiling, call.body, DEFAULT_OUTPUT_TOKENS)
        return Amounts(1, prompt, output)


def units_at_most(call: Call) -> int:
    """Return how many images, characters, seconds … a call may be billed at most, as far as its body tells."""
    if call.operation is Operation.IMAGES:
        return call.choices
    if call.operation is Operation.SPEECH:
        return len(str(call.document.get("input", "")))
    if call.operation in (Operation.TRANSCRIPTION, Operation.FORWARD):
        return len(call.body) // LEAST_UNIT_BYTES + 1
    return 0
