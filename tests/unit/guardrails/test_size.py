"""A request's size is measured as documented, in every dialect."""

from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.domain.guardrails import Size
from gateway.guardrails.rules.size import check_output_size, size_rule
from tests.builders import make_call

CHAT = {
    "messages": [
        {"role": "system", "content": "12345"},
        {"role": "user", "content": [{"type": "text", "text": "123"}, {"type": "text", "text": "4567"}]},
        {"role": "assistant", "content": "1"},
    ],
    "tools": [{"type": "function", "function": {"name": "find"}}, {"type": "function", "function": {"name": "get"}}],
}
MESSAGES = {"system": "1234567890", "messages": [{"role": "user", "content": "123"}], "tools": [{"name": "f", "input_schema": {}}]}
RESPONSES = {
    "instructions": "12",
    "input": [{"role": "user", "content": "123"}, {"type": "function_call_output", "call_id": "c", "output": "1234"}],
}


def exceeded(operation: Operation, document: dict[str, Any], **limits: int) -> dict[str, str]:
    findings = size_rule(Size(id="size", **limits))(make_call(document, operation=operation)).findings
    return {each.category: each.reason for each in findings}


@pytest.mark.parametrize(
    ("operation", "document", "limit", "size"),
    [
        (Operation.CHAT, CHAT, "characters", 13),
        (Operation.CHAT, CHAT, "message_characters", 7),
        (Operation.CHAT, CHAT, "messages", 3),
        (Operation.CHAT, CHAT, "tools", 2),
        (Operation.MESSAGES, MESSAGES, "characters", 13),
        (Operation.MESSAGES, MESSAGES, "message_characters", 3),
        (Operation.MESSAGES, MESSAGES, "messages", 1),
        (Operation.MESSAGES, MESSAGES, "tools", 1),
        (Operation.RESPONSES, RESPONSES, "characters", 9),
        (Operation.RESPONSES, RESPONSES, "message_characters", 4),
        (Operation.RESPONSES, RESPONSES, "messages", 2),
        (Operation.RESPONSES, {"input": "12345"}, "message_characters", 5),
        (Operation.COMPLETIONS, {"prompt": ["123", "45"]}, "characters", 5),
        (Operation.EMBEDDINGS, {"input": ["123", "45"]}, "message_characters", 3),
    ],
)
def test_a_limit_is_exceeded_by_one_more_and_says_so(operation: Operation, document: dict[str, Any], limit: str, size: int) -> None:
    assert exceeded(operation, document, **{limit: size}) == {}
    ((category, reason),) = exceeded(operation, document, **{limit: size - 1}).items()
    assert category == f"size.{limit}"
    assert reason.startswith(f"{size} ")
    assert reason.endswith(f"of which {size - 1} are allowed")


def test_every_limit_that_is_exceeded_is_found() -> None:
    assert set(exceeded(Operation.CHAT, CHAT, characters=1, messages=1, tools=9)) == {"size.characters", "size.messages"}


def test_an_answer_is_limited_by_itself() -> None:
    config = Size(id="size", output_characters=10, characters=1)
    assert check_output_size(config, 10).findings == ()
    (finding,) = check_output_size(config, 11).findings
    assert (finding.category, finding.reason) == ("size.output_characters", "11 characters of output, of which 10 are allowed")
    assert exceeded(Operation.CHAT, CHAT, output_characters=1) == {}
