"""After a failed attempt: try which candidate next, after how long a wait, or stop. Pure."""

import random

import msgspec

from gateway.domain.call import Candidate, Plan
from gateway.errors import GatewayError, UpstreamError, UpstreamMisconfigured, UpstreamThrottled, UpstreamTimeout

BACKOFF_BASE_S = 0.1
BACKOFF_CEILING_S = 2.0


class Decision(msgspec.Struct, frozen=True):
    """The candidates that are left, the next one first, and how long to wait; none left means stop."""

    candidates: tuple[Candidate, ...]
    wait_s: float = 0.0


STOP = Decision(candidates=())


def after_failure(error: GatewayError, plan: Plan, remaining: tuple[Candidate, ...], attempts: int, rng: random.Random) -> Decision:
    """Decide what follows an attempt that failed before its first byte reached the client.

    Args:
        error: Why it failed.
        plan: What was planned.
        remaining: Candidates still in play; the one that failed is first.
        attempts: How many were made, this one included.
        rng: Jitter.

    Returns:
        STOP where another attempt cannot help or none is allowed. A throttled, timed-out or misconfigured deployment is not
        asked again in this call, a failing one goes to the end of the line; only a second round waits, with full jitter.
    """
    if not isinstance(error, UpstreamError) or not error.retryable or attempts >= plan.max_attempts:
        return STOP
    failed, rest = remaining[0], remaining[1:]
    if isinstance(error, (UpstreamThrottled, UpstreamTimeout, UpstreamMisconfigured)):
        return Decision(candidates=rest)
    rounds = attempts // max(len(plan.candidates), 1)
    wait_s = rng.uniform(0, min(BACKOFF_BASE_S * 2**rounds, BACKOFF_CEILING_S)) if rounds else 0.0
    return Decision(candidates=(*rest, failed), wait_s=wait_s)
