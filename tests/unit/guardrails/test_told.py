"""What a backend says when it refuses a call goes through the detectors of answers."""

import pytest

from gateway.domain.guardrails import Action
from gateway.domain.verdicts import Role
from gateway.errors import UpstreamRejected
from gateway.guardrails.kinds import Guard
from gateway.guardrails.told import clear_error
from tests.unit.guardrails.test_chain import Word, asks, detects

DETAILS = {"innererror": {"code": "C", "notes": ["of ann", 7], "revised_prompt": "ann"}}


def told(*guards: Guard) -> UpstreamRejected:
    error = UpstreamRejected("you said ann to <P_1>", details=DETAILS)
    clear_error(error, guards, lambda text: text.replace("<P_1>", "bob"))
    return error


def test_what_is_redacted_in_answers_is_redacted_in_messages_and_details_and_placeholders_turn_back() -> None:
    error = told(detects("a", Word("ann"), Action.REDACT))
    assert (error.message, str(error)) == ("you said ### to bob",) * 2
    assert error.details == {"innererror": {"code": "C", "notes": ["of ###", 7], "revised_prompt": "###"}}
    assert DETAILS["innererror"]["revised_prompt"] == "ann"


def test_words_in_which_something_blocks_are_withheld_and_the_others_stay() -> None:
    error = told(detects("a", Word("said")))
    assert (error.message, str(error)) == ("[withheld by the gateway's guardrail 'a']",) * 2
    assert error.details == DETAILS


@pytest.mark.parametrize(
    "guard",
    [
        pytest.param(detects("a", Word("ann"), Action.REPORT), id="reports"),
        pytest.param(asks("a", Word("ann")), id="service"),
        pytest.param(detects("a", Word("ann"), roles=frozenset({Role.USER})), id="reads-no-answers"),
    ],
)
def test_others_have_no_say(guard: Guard) -> None:
    assert told(guard).message == "you said ann to bob"


def test_the_next_detector_reads_what_the_one_before_left() -> None:
    last = Word("bob")
    told(detects("a", Word("ann"), Action.REDACT), detects("b", last))
    assert "you said ### to <P_1>" in last.seen
