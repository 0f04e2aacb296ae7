"""Prompts of responses and completions, counted."""

from typing import Any

import pytest

from gateway.domain.call import Call, Operation
from gateway.domain.completions import read_completions
from gateway.domain.responses import read_responses
from gateway.metering.tokens import TokenCounter
from tests.builders import make_inbound

COUNTER = TokenCounter()  # nothing is loaded, so a text counts its bytes


def ask(**members: Any) -> Call:
    return read_responses(make_inbound({"model": "gpt-4o", **members}, operation=Operation.RESPONSES))


def tokens(call: Call) -> int:
    return COUNTER.count_prompt(call).tokens


EMPTY = tokens(ask(input=[]))
TURN = tokens(ask(input="")) - EMPTY


def test_texts_count_wherever_they_stand() -> None:
    assert tokens(ask(instructions="abc", input="de")) == EMPTY + 2 * TURN + 5
    items = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "input_text", "text": "bc"}]},
        {"type": "function_call", "call_id": "x", "name": "d", "arguments": "ef"},
        {"type": "function_call_output", "call_id": "x", "output": "ghi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "jklm"}]},
    ]
    assert tokens(ask(input=items)) == EMPTY + len(items) * TURN + 13 + 3  # around a call


@pytest.mark.parametrize(
    ("part", "least"),
    [
        ({"type": "input_image", "image_url": "x", "detail": "low"}, 85),
        ({"type": "input_image", "image_url": "x"}, 500),
        ({"type": "input_file", "file_data": "x" * 80_000}, 20_000),
        ({"type": "something_new", "x": "y" * 100}, 100),
    ],
)
def test_what_is_not_text_is_estimated(part: dict[str, Any], least: int) -> None:
    assert tokens(ask(input=[{"role": "user", "content": [part]}])) - EMPTY - TURN >= least


def test_tools_and_formats_count_and_a_screen_does() -> None:
    assert tokens(ask(input="", tools=[{"type": "function", "name": "x" * 50}])) > EMPTY + TURN + 50
    assert tokens(ask(input="", tools=[{"type": "web_search", "name": "x" * 50}])) > EMPTY + TURN + 50
    assert tokens(ask(input="", text={"format": {"type": "text"}})) > EMPTY + TURN
    assert tokens(ask(input=[{"type": "computer_call_output", "call_id": "c", "output": {"image_url": "x" * 50}}])) > EMPTY + TURN + 50


def test_what_a_previous_response_holds_is_not_known() -> None:
    counter = TokenCounter()
    counter.start_loading()
    assert counter.wait(30)
    assert counter.count_prompt(ask(input="Hi")).exact
    assert not counter.count_prompt(ask(input="Hi", previous_response_id="resp_1")).exact


@pytest.mark.parametrize(("prompt", "expected"), [("abc", 3), (["ab", "c"], 3), ([1, 2], 2), ([[1], [2, 3]], 3), (None, 0), ("", 0)])
def test_a_completions_prompt_counts_as_it_is(prompt: Any, expected: int) -> None:
    assert tokens(read_completions(make_inbound({"model": "m", "prompt": prompt}, operation=Operation.COMPLETIONS))) == expected
