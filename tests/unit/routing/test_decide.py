import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Candidate, Plan
from gateway.errors import (
    ContentFiltered,
    GatewayError,
    NoCapacity,
    RequestError,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamTimeout,
)
from gateway.routing.decide import BACKOFF_CEILING_S, STOP, after_failure
from tests.builders import make_deployment

A, B, C = (Candidate(make_deployment(id=name), "") for name in "abc")
RNG = random.Random(5)


def decide(error: GatewayError, *remaining: Candidate, attempts: int = 1, max_attempts: int = 3, pool: int = 0) -> tuple[str, bool]:
    """Return the order of what is tried next, and whether there is a wait."""
    plan = Plan((A, B, C)[: pool or len(remaining)], max_attempts)
    decision = after_failure(error, plan, remaining, attempts, RNG)
    return "".join(candidate.deployment.id for candidate in decision.candidates), decision.wait_s > 0


BROKEN, THROTTLED, LATE = UpstreamError("broken"), UpstreamThrottled("slow down"), UpstreamTimeout("late")
UNKNOWN = UpstreamMisconfigured("no such deployment")


@pytest.mark.parametrize(
    ("error", "remaining", "over", "expected"),
    [
        (BROKEN, (A, B), {}, ("ba", False)),
        (BROKEN, (B, A), {"attempts": 2}, ("ab", True)),
        (BROKEN, (A,), {}, ("a", True)),
        (BROKEN, (A, B, C), {"attempts": 2}, ("bca", False)),
        (BROKEN, (A, B, C), {"attempts": 3, "max_attempts": 4}, ("bca", True)),
        (BROKEN, (A, B), {"attempts": 3}, ("", False)),
        (BROKEN, (A, B), {"max_attempts": 1}, ("", False)),
        (THROTTLED, (A, B), {}, ("b", False)),
        (THROTTLED, (A,), {}, ("", False)),
        (THROTTLED, (B, A), {"attempts": 2, "max_attempts": 9}, ("a", False)),
        (LATE, (A, B), {}, ("b", False)),
        (LATE, (A,), {}, ("", False)),
        (UNKNOWN, (A, B), {}, ("b", False)),
        (UNKNOWN, (A,), {}, ("", False)),
    ],
)
def test_what_follows_a_failure(
    error: GatewayError, remaining: tuple[Candidate, ...], over: dict[str, int], expected: tuple[str, bool]
) -> None:
    assert decide(error, *remaining, **over) == expected


@pytest.mark.parametrize(
    "error", [UpstreamRejected("no"), ContentFiltered("no"), RequestError("no"), NoCapacity("none"), GatewayError("bug")]
)
def test_what_cannot_help_is_not_tried(error: GatewayError) -> None:
    assert after_failure(error, Plan((A, B), 9), (A, B), 1, RNG) is STOP


@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32))
def test_waits_are_jittered_bounded_and_only_from_the_second_round_on(attempts: int, pool: int, seed: int) -> None:
    remaining = (A, B, C)[:pool]
    decision = after_failure(BROKEN, Plan(remaining, 10), remaining, attempts, random.Random(seed))
    assert len(decision.candidates) == pool
    assert 0 <= decision.wait_s <= min(BACKOFF_CEILING_S, 0.1 * 2 ** (attempts // pool))
    if attempts < pool:
        assert decision.wait_s == 0
