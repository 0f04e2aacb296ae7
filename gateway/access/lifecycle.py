"""What can become of a subscription. Pure.

    submitted ── approve ──→ active ── suspend ──→ suspended
        └────── reject ──→ rejected      ↑── resume ──┘
    submitted, active, suspended ── cancel ──→ cancelled

No way leads out of rejected and cancelled.
"""

from collections.abc import Mapping

from gateway.domain.access import SubscriptionState
from gateway.errors import Conflict

SUBMITTED, ACTIVE, SUSPENDED = SubscriptionState.SUBMITTED, SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED
REJECTED, CANCELLED = SubscriptionState.REJECTED, SubscriptionState.CANCELLED
ENDED = frozenset({REJECTED, CANCELLED})

TRANSITIONS: Mapping[str, Mapping[SubscriptionState, SubscriptionState]] = {
    "approve": {SUBMITTED: ACTIVE},
    "reject": {SUBMITTED: REJECTED},
    "suspend": {ACTIVE: SUSPENDED},
    "resume": {SUSPENDED: ACTIVE},
    "cancel": {SUBMITTED: CANCELLED, ACTIVE: CANCELLED, SUSPENDED: CANCELLED},
}


def possible(state: SubscriptionState) -> list[str]:
    """Return what can be done in that state."""
    return [action for action, ways in TRANSITIONS.items() if state in ways]


def follow(state: SubscriptionState, action: str) -> SubscriptionState:
    """Return the state after an action; Conflict, saying what is possible, where it cannot be done."""
    after = TRANSITIONS[action].get(state)
    if after is None:
        others = possible(state)
        advice = f"it takes {' or '.join(others)}" if others else "that is its end; create another one"
        raise Conflict(f"a subscription that is {state.value} does not take {action}; {advice}", code="wrong_state")
    return after
