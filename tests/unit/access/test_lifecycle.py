"""What can become of a subscription."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.lifecycle import ENDED, TRANSITIONS, follow, possible
from gateway.domain.access import SubscriptionState
from gateway.errors import Conflict

ACTIONS = st.lists(st.sampled_from(sorted(TRANSITIONS)), max_size=12)
WAYS = {
    ("submitted", "approve", "active"),
    ("submitted", "reject", "rejected"),
    ("submitted", "cancel", "cancelled"),
    ("active", "suspend", "suspended"),
    ("active", "cancel", "cancelled"),
    ("suspended", "resume", "active"),
    ("suspended", "cancel", "cancelled"),
}


def test_there_are_these_ways_and_no_others() -> None:
    found = {(before.value, action, after.value) for action, ways in TRANSITIONS.items() for before, after in ways.items()}
    assert found == WAYS


@given(ACTIONS, st.sampled_from(SubscriptionState))
def test_no_way_leads_out_of_rejected_and_cancelled(actions: list[str], state: SubscriptionState) -> None:
    ended = state in ENDED
    for action in actions:
        try:
            state = follow(state, action)
        except Conflict:
            continue
        assert not ended
        ended = state in ENDED
    assert (state in ENDED) == ended


@given(ACTIONS)
def test_nothing_becomes_active_unless_it_was_approved(actions: list[str]) -> None:
    state, approved = SubscriptionState.SUBMITTED, False
    for action in actions:
        if action in possible(state):
            state = follow(state, action)
            approved = approved or action == "approve"
        assert approved or state is not SubscriptionState.ACTIVE


@pytest.mark.parametrize(
    ("state", "action", "advice"),
    [
        ("active", "approve", "takes suspend or cancel"),
        ("submitted", "resume", "takes approve or reject or cancel"),
        ("cancelled", "resume", "that is its end"),
    ],
)
def test_a_wrong_action_is_told_what_is_possible(state: str, action: str, advice: str) -> None:
    with pytest.raises(Conflict, match=advice) as caught:
        follow(SubscriptionState(state), action)
    assert (caught.value.status, caught.value.code) == (409, "wrong_state")
