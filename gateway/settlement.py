"""Step 12: what a call used, what it cost, what it gives back to its limits, and its record. Exactly once per call.

Synchronous, so that neither a cancellation nor a slow store can come between. The provider's numbers win. Where they
never came although a backend may have worked (the client left, the answer broke off, the deadline passed), the record
holds an estimate that is flagged as one, and the limit keeps the whole reservation: nobody can spend a backend for free
by hanging up.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from gateway.domain.amounts import NOTHING, Amounts
from gateway.domain.call import Call, Completion, Operation, Usage
from gateway.domain.deployment import Deployment, Price
from gateway.domain.fingerprint import hash_of
from gateway.errors import GatewayError
from gateway.limits.limiter import NOTHING_RESERVED, Limiter, Reservation
from gateway.metering.draft import Draft
from gateway.metering.pricing import avoided_micro_usd, cost_micro_usd
from gateway.metering.records import Recorder, finish
from gateway.metering.tokens import BYTES_PER_TOKEN, TokenCounter
from gateway.ports import Clock
from gateway.routing.decide import IN_DOUBT

# Stored responses whose making was counted: so many are remembered, by each worker.
REMEMBERED_RESPONSES = 10_000
# What a record says of the deployment whose answer the client gets.
_OF_THE_ANSWER = ("model", "deployment", "backend", "reason", "sent", "upstream_request_id")


class Place(Protocol):
    """What an attempt holds at its deployment (`attempts.Hold`)."""

    def release(self, tokens: int) -> None:
        """Give it back, having used these tokens; a second time does nothing."""

    def broke(self, error: GatewayError) -> None:
        """Note that the answer broke off after it had begun."""


class Aside(msgspec.Struct, frozen=True):
    """An answer that was paid for and not used: a tier's that did not pass, a judge's verdict."""

    usage: Usage | None
    text: str
    price: Price | None
    deployment: Deployment | None


class Flight:
    """What settling needs of one call under way, and whether a stream has taken over the duty to settle."""

    __slots__ = (
        "aside", "call", "deployment", "draft", "handed_over", "in_doubt", "place", "plan", "price", "reservation", "text", "usage",
    )  # fmt: skip

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.call: Call | None = None
        self.reservation: Reservation = NOTHING_RESERVED
        self.price: Price | None = None
        self.usage: Usage | None = None
        self.text = ""
        self.deployment: Deployment | None = None
        self.place: Place | None = None
        self.aside: list[Aside] = []
        self.handed_over = False
        self.in_doubt = False
        self.plan = ""

    def sent(self, deployment: Deployment, price: Price | None, place: Place) -> None:
        """Note that an attempt goes out: from now on a backend may work for the call."""
        self.deployment = deployment
        self.price = price
        self.place = place
        self.in_doubt = True

    def failed(self, error: GatewayError, *, doubted_before: bool) -> None:
        """Note how the attempt failed; what an earlier one left in doubt stays so."""
        self.in_doubt = doubted_before or error.code in IN_DOUBT

    def set_aside(self, usage: Usage | None, text: str) -> None:
        """Keep what an answer cost that is not the call's answer, and give its place back."""
        self.aside.append(Aside(usage, text, self.price, self.deployment))
        if self.place is not None:
            self.place.release(_weight(usage))
        self.place, self.price, self.deployment, self.in_doubt = None, None, None, False

    def pause(self) -> tuple[Any, ...]:
        """Put the attempt that answered away while another model is asked about it."""
        draft = self.draft
        kept = (self.price, self.place, self.deployment, self.in_doubt, *(getattr(draft, name) for name in _OF_THE_ANSWER))
        self.price, self.place = None, None
        return kept

    def resume(self, kept: tuple[Any, ...]) -> None:
        """Take it up again, and give back a place that the other model still holds: nobody waits for its answer any more."""
        draft = self.draft
        if self.place is not None:
            self.place.release(0)
        self.price, self.place, self.deployment, self.in_doubt, *rest = kept
        for name, value in zip(_OF_THE_ANSWER, rest, strict=True):
            setattr(draft, name, value)

    def answered_by_us(self, price: Price | None) -> None:
        """Note that no backend answers; what earlier attempts left in doubt stays so."""
        self.place, self.deployment, self.price = None, None, price


class Settlement:
    """Settles flights.

    Args:
        limiter: Gets back what was reserved and not used.
        counter: Counts what the provider did not report.
        recorder: Takes the record.
        clock: The time.
        spent: Told what a capped deployment was used for: tokens, micro-USD; None where nobody counts.
    """

    def __init__(
        self,
        limiter: Limiter,
        counter: TokenCounter,
        recorder: Recorder,
        clock: Clock,
        spent: Callable[[Deployment, int, int], None] | None = None,
    ) -> None:
        self._spent = spent
        self._limiter = limiter
        self._counter = counter
        self._recorder = recorder
        self._clock = clock
        self._fetched: OrderedDict[tuple[str, str], None] = OrderedDict()

    def used(self, flight: Flight, call: Call, completion: Completion) -> Usage | None:
        """Return what a whole answer used; None for one that has only begun: it keeps all that was reserved for it."""
        if call.operation is Operation.RESPONSES and call.document.get("background"):
            if completion.usage is None:
                return None
            if flight.deployment is not None:  # complete at once: whoever fetches it later has been charged
                self._remember((flight.deployment.id, _id_of(completion.body)))
        return self.once(flight, completion.usage or self.estimate(call, completion.text))

    def once(self, flight: Flight, usage: Usage | None) -> Usage | None:
        """Return the usage; of a stored response that was counted before, nothing."""
        call, deployment = flight.call, flight.deployment
        if usage is None or not usage.total_tokens or call is None or deployment is None or call.operation is not Operation.RESPONSE_ITEM:
            return usage
        key = (deployment.id, call.path.partition("/")[0])
        if key in self._fetched:
            return Usage()
        self._remember(key)
        return usage

    def _remember(self, response: tuple[str, str]) -> None:
        self._fetched[response] = None
        if len(self._fetched) > REMEMBERED_RESPONSES:
            self._fetched.popitem(last=False)

    def settle(self, flight: Flight) -> None:
        """Price, give back, record."""
        draft, usage, kept = flight.draft, flight.usage, NOTHING
        if usage is None and flight.call is not None and (flight.handed_over or flight.in_doubt):
            usage = self.estimate(flight.call, flight.text)
            # A stream is charged what was streamed; of a plain answer nobody knows how far it had come.
            kept = NOTHING if flight.handed_over else flight.reservation.asked
        now_s = self._clock.now_s()
        if flight.place is not None:
            flight.place.release(_weight(usage))
        if usage is not None:
            draft.usage = usage
            draft.cost_micro_usd = cost_micro_usd(usage, flight.price)
            draft.avoided_micro_usd = avoided_micro_usd(usage, flight.price)
            self._count(flight.deployment, usage, draft.cost_micro_usd)
        if flight.aside:
            self._add_aside(flight)
        if flight.reservation is not NOTHING_RESERVED:
            draft.charged = _charged(draft, flight.reservation.asked, kept, answered=usage is not None)
        if draft.sent:
            draft.upstream_hash = hash_of(draft.sent)
        self._limiter.settle(flight.reservation, draft.charged)
        record = finish(draft, now_s, self._clock.utc())
        if draft.sheet is not None:
            draft.sheet.keep(record, draft.sent)
        self._recorder.add(record)

    def _count(self, deployment: Deployment | None, usage: Usage, cost: int | None) -> None:
        if self._spent is not None and deployment is not None and deployment.cap is not None:
            self._spent(deployment, usage.total_tokens, cost or 0)

    def _add_aside(self, flight: Flight) -> None:
        """Add what was paid for answers that were not used; the record says how much of its cost that is."""
        draft = flight.draft
        for aside in flight.aside:
            usage = aside.usage or Usage(estimated=True)
            if aside.usage is None and flight.call is not None:
                usage = self.estimate(flight.call, aside.text)
            cost = cost_micro_usd(usage, aside.price)
            self._count(aside.deployment, usage, cost)
            draft.usage = draft.usage.plus(usage)
            draft.aside_cost_micro_usd = None if cost is None or draft.aside_cost_micro_usd is None else draft.aside_cost_micro_usd + cost
        if draft.aside_cost_micro_usd is None or draft.cost_micro_usd is None:
            draft.cost_micro_usd = None
        else:
            draft.cost_micro_usd += draft.aside_cost_micro_usd

    def estimate(self, call: Call, text: str) -> Usage:
        """Count what the provider did not report; the record says that it is an estimate."""
        if call.operation is Operation.FORWARD and not text:
            return Usage(estimated=True, units=1, unit="requests")
        completion = self._counter.count_text(call.model, text).tokens if text else 0
        # Nobody has read what is passed through.
        prompt = len(call.body) // BYTES_PER_TOKEN if call.operation is Operation.FORWARD else self._counter.count_prompt(call).tokens
        return Usage(prompt_tokens=prompt, completion_tokens=completion, estimated=True)


def _charged(draft: Draft, asked: Amounts, kept: Amounts, *, answered: bool) -> Amounts:
    """Return what a call's limits are charged: what it used, and no less than `kept`; an unknown cost is what was asked for."""
    usage, cost = draft.usage, draft.cost_micro_usd
    return Amounts(
        int(answered),
        max(usage.prompt_tokens, kept.input_tokens),
        max(usage.completion_tokens, kept.output_tokens),
        max(asked.cost_micro_usd if cost is None else cost, kept.cost_micro_usd),
    )


def _id_of(body: bytes) -> str:
    """Return the id of a response that a provider has decoded; empty where it gave none."""
    found = msgspec.json.decode(body, type=dict[str, Any]).get("id")
    return found if isinstance(found, str) else ""


def _weight(usage: Usage | None) -> int:
    """Return what a call weighs on its deployment: cached tokens weigh nothing; 0 where nobody knows."""
    return max(usage.total_tokens - usage.cached_tokens, 0) if usage else 0
