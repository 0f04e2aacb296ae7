"""Requests and tokens per minute, counted per subscription: reserve before the call, settle after.

A sliding minute in one-second slots: what was admitted in any 60 seconds never exceeds the limit, except where a
settled call turned out larger than what it reserved; that excess counts against the calls after it. Counters live in
this worker's memory, so N workers admit up to N times the limit.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Mapping

import msgspec

from gateway.domain.access import Principal, Product
from gateway.domain.limits import Limits
from gateway.errors import RateLimited
from gateway.ports import Clock

WINDOW_S = 60


class _Slot:
    __slots__ = ("amount", "second")

    def __init__(self, second: int) -> None:
        self.second = second
        self.amount = 0


class _Window:
    """One counter over the last minute."""

    __slots__ = ("slots", "total")

    def __init__(self) -> None:
        self.slots: deque[_Slot] = deque()
        self.total = 0

    def slot(self, now_s: float) -> _Slot:
        """Drop what is over a minute old and return the current second's slot."""
        second = int(now_s)
        slots = self.slots
        while slots and slots[0].second <= second - WINDOW_S - 1:
            self.total -= slots.popleft().amount
        if not slots or slots[-1].second != second:
            slots.append(_Slot(second))
        return slots[-1]

    def free_in_s(self, now_s: float, amount: int) -> float:
        """Return after how many seconds `amount` will have slid out of the window; 0 where there is none to wait for."""
        if amount <= 0:
            return 0.0
        for slot in self.slots:
            amount -= slot.amount
            if amount <= 0:
                return max(slot.second + WINDOW_S + 1 - now_s, 0.001)
        return float(WINDOW_S)


class _Counters:
    __slots__ = ("requests", "tokens")

    def __init__(self) -> None:
        self.requests = _Window()
        self.tokens = _Window()


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """What a call holds until it is settled, and the rate headers as they stood when it was admitted."""

    tokens: int
    headers: Mapping[str, str]
    slot: object = None
    window: object = None


NOTHING_RESERVED = Reservation(tokens=0, headers={})


class Limiter:
    """Admits calls within the limits of their subscription and product.

    Args:
        clock: Whose monotonic seconds make the window.
        capacity: Subscriptions counted at once; beyond it the least recently used one is forgotten.
    """

    def __init__(self, clock: Clock, *, capacity: int = 100_000) -> None:
        self._clock = clock
        self._capacity = capacity
        self._counters: OrderedDict[str, _Counters] = OrderedDict()

    def reserve(self, principal: Principal, product: Product, tokens: int) -> Reservation:
        """Count one request and `tokens`, or refuse and count nothing.

        Args:
            principal: Whose subscription is charged.
            product: Whose limits apply besides the subscription's own.
            tokens: The estimate: prompt plus the most the model may answer.

        Raises:
            RateLimited: A limit would be passed; says which and when there will be room.
        """
        requests_limit, request_scope = _tighter(principal.limits, product.limits, "requests_per_minute")
        tokens_limit, token_scope = _tighter(principal.limits, product.limits, "tokens_per_minute")
        if requests_limit is None and tokens_limit is None:
            return NOTHING_RESERVED
        now_s = self._clock.now_s()
        counters = self._counters_of(principal)
        requests, request_slot = counters.requests, counters.requests.slot(now_s)
        used, token_slot = counters.tokens, counters.tokens.slot(now_s)
        short_requests = requests.total + 1 - requests_limit if requests_limit is not None else 0
        short_tokens = used.total + tokens - tokens_limit if tokens_limit is not None else 0
        if short_requests > 0 or short_tokens > 0:
            wait_s = max(requests.free_in_s(now_s, short_requests), used.free_in_s(now_s, short_tokens))
            headers = _headers(now_s, counters, requests_limit, tokens_limit)
            if requests_limit is not None and short_requests > 0:
                raise _refusal("requests", requests_limit, request_scope, wait_s, headers)
            raise _refusal("tokens", tokens_limit or 0, token_scope, wait_s, headers, asked=tokens)
        request_slot.amount += 1
        requests.total += 1
        token_slot.amount += tokens
        used.total += tokens
        headers = _headers(now_s, counters, requests_limit, tokens_limit)
        return Reservation(tokens=tokens, headers=headers, slot=token_slot, window=used)

    def settle(self, reservation: Reservation, tokens: int) -> None:
        """Replace the reserved tokens by those really used; 0 gives them back, an excess is counted from now on."""
        if isinstance(reservation.slot, _Slot) and isinstance(reservation.window, _Window):
            slot, window, change = reservation.slot, reservation.window, tokens - reservation.tokens
            current = window.slot(self._clock.now_s())
            if change > 0:
                current.amount += change
                window.total += change
            elif slot.second >= window.slots[0].second:  # one that has slid out has taken its amount from the total already
                slot.amount += change
                window.total += change

    def _counters_of(self, principal: Principal) -> _Counters:
        name = f"{principal.tenant}/{principal.subscription}"
        counters = self._counters.get(name)
        if counters is None:
            counters = self._counters[name] = _Counters()
            if len(self._counters) > self._capacity:
                self._counters.popitem(last=False)
        else:
            self._counters.move_to_end(name)
        return counters


def _tighter(own: Limits, product: Limits, name: str) -> tuple[int | None, str]:
    mine, theirs = getattr(own, name), getattr(product, name)
    if mine is not None and (theirs is None or mine <= theirs):
        return mine, "subscription"
    return theirs, "product"


def _headers(now_s: float, counters: _Counters, requests_limit: int | None, tokens_limit: int | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, limit, window in (("requests", requests_limit, counters.requests), ("tokens", tokens_limit, counters.tokens)):
        if limit is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(max(limit - window.total, 0))
            oldest = window.slots[0].second if window.slots else int(now_s)
            headers[f"x-ratelimit-reset-{name}"] = f"{max(math.ceil(oldest + WINDOW_S + 1 - now_s), 0)}s"
    return headers


def _refusal(what: str, limit: int, scope: str, wait_s: float, headers: dict[str, str], asked: int = 0) -> RateLimited:
    message = f"the {scope}'s limit of {limit} {what} per minute is reached; retry in {math.ceil(wait_s)} s"
    if asked > limit:
        message = (
            f"this call may use {asked} tokens, more than the {scope}'s limit of {limit} tokens per minute; "
            "lower max_tokens or shorten the prompt"
        )
    return RateLimited(message, retry_after_s=wait_s, headers=headers, details={"scope": scope, "limit": f"{what}_per_minute"})
