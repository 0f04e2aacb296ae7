"""A backend's filter that could not run says so somewhere in its annotations, and it is seen there."""

from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.guardrails.backend_filter import unchecked

ERROR = {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
SAFE = {"hate": {"filtered": False, "severity": "safe"}}
ONE = {**SAFE, "custom_blocklists": {"filtered": False, "error": {"code": "blocklist_error"}}}


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        pytest.param(Operation.CHAT, {"choices": [{"content_filter_results": SAFE}, {"content_filter_results": ERROR}]}, id="choice"),
        pytest.param(Operation.CHAT, {"choices": [{"content_filter_result": ERROR}]}, id="choice-of-older-versions"),
        pytest.param(Operation.CHAT, {"choices": [], "prompt_filter_results": [{"content_filter_results": ERROR}]}, id="prompt"),
        pytest.param(Operation.CHAT, {"choices": [{"delta": {}, "content_filter_results": SAFE | ERROR}]}, id="chunk"),
        pytest.param(Operation.CHAT, {"choices": [{"content_filter_results": ONE}]}, id="one-category"),
        pytest.param(Operation.COMPLETIONS, {"choices": [{"text": "", "content_filter_results": ERROR}]}, id="completions"),
        pytest.param(Operation.RESPONSES, {"content_filters": [{"content_filter_results": ERROR}]}, id="response"),
        pytest.param(Operation.RESPONSES, {"response": {"content_filters": [{"content_filter_results": ERROR}]}}, id="event"),
    ],
)
def test_an_answer_that_was_not_checked_is_seen(operation: Operation, document: Any) -> None:
    assert unchecked(operation, document)


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        pytest.param(Operation.CHAT, {"choices": [{"content_filter_results": SAFE}]}, id="checked"),
        pytest.param(Operation.CHAT, {"choices": [{"content_filter_results": {"hate": {"filtered": True}}}]}, id="filtered"),
        pytest.param(Operation.CHAT, {"choices": [{"message": {}}], "error": None}, id="no-annotations"),
        pytest.param(Operation.CHAT, {"choices": [None, "x"], "prompt_filter_results": {}, "response": 1}, id="other-shapes"),
        pytest.param(Operation.MESSAGES, {"choices": [{"content_filter_results": ERROR}]}, id="another-dialect"),
        pytest.param(Operation.CHAT, None, id="nothing"),
    ],
)
def test_what_says_nothing_of_a_failure_is_not_unchecked(operation: Operation, document: Any) -> None:
    assert not unchecked(operation, document)
