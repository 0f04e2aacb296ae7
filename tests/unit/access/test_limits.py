import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.access.limits import NOTHING_RESERVED, Limiter, Reservation
from gateway.domain.limits import Limits
from gateway.errors import RateLimited
from tests.builders import make_principal, make_product
from tests.fakes.clock import FakeClock

REQUESTS, TOKENS = 5, 100
PRODUCT = make_product(limits=Limits(requests_per_minute=REQUESTS, tokens_per_minute=TOKENS))
PRINCIPAL = make_principal()


def headers_of(limiter: Limiter, tokens: int = 0) -> dict[str, str]:
    return dict(limiter.reserve(PRINCIPAL, PRODUCT, tokens).headers)


class Minutes(RuleBasedStateMachine):
    """Any sequence of reserving, settling and waiting, against a list of what was admitted when."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.limiter = Limiter(self.clock)
        self.admitted: list[tuple[float, list[int]]] = []  # when, and the tokens that count from then on
        self.excesses: list[tuple[float, int]] = []
        self.told_to_wait_s: list[float] = []

    @rule(target=reservations, tokens=st.integers(0, 60))
    def reserve(self, tokens: int) -> tuple[Reservation, int] | None:
        now_s = self.clock.now_s()
        try:
            reservation = self.limiter.reserve(PRINCIPAL, PRODUCT, tokens)
        except RateLimited as exc:
            self.told_to_wait_s.append(exc.retry_after_s or 0)
            return None
        self.admitted.append((now_s, [tokens]))
        # In no 60 seconds is more admitted than the limit, reservations replaced by what was really used.
        recent = [held for at_s, held in self.admitted if at_s > now_s - 60]
        late = sum(tokens for at_s, tokens in self.excesses if at_s > now_s - 60)
        assert len(recent) <= REQUESTS
        assert sum(held[0] for held in recent) + late <= TOKENS
        return reservation, len(self.admitted) - 1

    @rule(reserved=consumes(reservations), used=st.integers(0, 200))
    def settle(self, reserved: tuple[Reservation, int] | None, used: int) -> None:
        if reserved is None:
            return
        reservation, index = reserved
        self.limiter.settle(reservation, used)
        self.admitted[index][1][0] = min(used, reservation.tokens)
        if used > reservation.tokens:
            self.excesses.append((self.clock.now_s(), used - reservation.tokens))

    @rule(seconds=st.floats(0, 70))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def totals_are_the_sum_of_their_slots(self) -> None:
        assert all(0 < wait_s <= 61 for wait_s in self.told_to_wait_s)
        for counters in self.limiter._counters.values():
            for window in (counters.requests, counters.tokens):
                assert window.total == sum(slot.amount for slot in window.slots) >= 0
                assert all(slot.amount >= 0 for slot in window.slots)

    def teardown(self) -> None:
        self.clock.advance(61)
        headers = headers_of(self.limiter, TOKENS)  # all room is back
        assert headers["x-ratelimit-remaining-requests"] == str(REQUESTS - 1)
        assert headers["x-ratelimit-remaining-tokens"] == "0"


TestMinutes = Minutes.TestCase
TestMinutes.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 80), st.integers(0, 80)), max_size=30))
@settings(max_examples=60, deadline=None)
def test_waiting_as_told_always_admits(steps: list[tuple[float, int, int]]) -> None:
    clock = FakeClock()
    limiter = Limiter(clock)
    for pause_s, asked, used in steps:
        clock.advance(pause_s)
        try:
            reservation = limiter.reserve(PRINCIPAL, PRODUCT, asked)
        except RateLimited as exc:
            clock.advance((exc.retry_after_s or 0) + 1e-6)
            reservation = limiter.reserve(PRINCIPAL, PRODUCT, asked)
        limiter.settle(reservation, min(used, asked))


def test_settling_lower_returns_the_room_at_once() -> None:
    limiter = Limiter(FakeClock())
    reservation = limiter.reserve(PRINCIPAL, PRODUCT, TOKENS)
    limiter.settle(reservation, 10)
    assert headers_of(limiter)["x-ratelimit-remaining-tokens"] == "90"


def test_an_excess_counts_from_when_it_is_known_however_long_the_call_took() -> None:
    clock = FakeClock()
    limiter = Limiter(clock)
    reservation = limiter.reserve(PRINCIPAL, PRODUCT, 10)
    clock.advance(200)
    limiter.settle(reservation, 100)
    assert headers_of(limiter)["x-ratelimit-remaining-tokens"] == "10"
    with pytest.raises(RateLimited):
        limiter.reserve(PRINCIPAL, PRODUCT, 11)


def test_a_late_refund_does_not_free_what_slid_out_already() -> None:
    clock = FakeClock()
    limiter = Limiter(clock)
    reservation = limiter.reserve(PRINCIPAL, PRODUCT, TOKENS)
    clock.advance(61)
    assert headers_of(limiter, 40)["x-ratelimit-remaining-tokens"] == "60"
    limiter.settle(reservation, 0)
    assert headers_of(limiter)["x-ratelimit-remaining-tokens"] == "60"


def test_a_refused_call_counts_nothing() -> None:
    limiter = Limiter(FakeClock())
    for _ in range(3):
        with pytest.raises(RateLimited):
            limiter.reserve(PRINCIPAL, PRODUCT, TOKENS + 1)
    assert headers_of(limiter, TOKENS) == {
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": "61s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "61s",
    }


@pytest.mark.parametrize(
    ("own", "product", "scope", "limit"),
    [
        (Limits(requests_per_minute=1), Limits(), "subscription", 1),
        (Limits(), Limits(requests_per_minute=2), "product", 2),
        (Limits(requests_per_minute=3), Limits(requests_per_minute=2), "product", 2),
        (Limits(requests_per_minute=1), Limits(requests_per_minute=2), "subscription", 1),
    ],
)
def test_the_tighter_limit_holds_and_is_named(own: Limits, product: Limits, scope: str, limit: int) -> None:
    limiter = Limiter(FakeClock())
    principal, wide = make_principal(limits=own), make_product(limits=product)
    for _ in range(limit):
        limiter.reserve(principal, wide, 0)
    with pytest.raises(RateLimited) as caught:
        limiter.reserve(principal, wide, 0)
    assert caught.value.details == {"scope": scope, "limit": "requests_per_minute"}
    assert f"{limit} requests per minute" in caught.value.message


def test_without_limits_nothing_is_counted() -> None:
    limiter = Limiter(FakeClock())
    assert limiter.reserve(PRINCIPAL, make_product(), 10**9) is NOTHING_RESERVED
    limiter.settle(NOTHING_RESERVED, 5)
    assert not limiter._counters


def test_subscriptions_are_counted_apart() -> None:
    limiter = Limiter(FakeClock())
    limiter.reserve(PRINCIPAL, PRODUCT, TOKENS)
    limiter.reserve(make_principal(subscription="sub_2"), PRODUCT, TOKENS)
    limiter.reserve(make_principal(tenant="fabrikam"), PRODUCT, TOKENS)


def test_the_least_recently_used_subscription_is_forgotten_first() -> None:
    limiter = Limiter(FakeClock(), capacity=2)
    one, two, three = (make_principal(subscription=name) for name in ("1", "2", "3"))
    held = limiter.reserve(one, PRODUCT, TOKENS)
    limiter.reserve(two, PRODUCT, TOKENS)
    with pytest.raises(RateLimited):
        limiter.reserve(one, PRODUCT, 1)
    limiter.reserve(three, PRODUCT, 1)
    limiter.reserve(two, PRODUCT, TOKENS)  # forgotten, so it starts anew; `one` was used last
    limiter.settle(held, 0)  # of one that is forgotten by now
