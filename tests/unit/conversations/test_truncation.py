"""What stays of a conversation that is too long."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversations.truncation import Message, too_long, truncated, turns_of

SYSTEM = {"role": "system", "content": "Be kind."}


def count(messages: Sequence[Message]) -> int:
    return 3 + sum(4 + len(str(each.get("content") or "")) for each in messages)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def tools(*ids: str) -> list[dict[str, Any]]:
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    results = [{"role": "tool", "tool_call_id": each, "content": "found"} for each in ids]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


@st.composite
def chats(draw: st.DrawFn) -> list[dict[str, Any]]:
    messages = [SYSTEM] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 8))):
        messages.append(user("u" * draw(st.integers(1, 40))))
        if draw(st.booleans()):
            messages += tools(*[f"{number}-{each}" for each in range(draw(st.integers(1, 3)))])
        if draw(st.booleans()):
            messages.append({"role": "developer", "content": "d"})
        messages.append(said("a" * draw(st.integers(0, 40))))
    return messages


@given(chats(), st.integers(0, 500), st.integers(0, 4))
def test_what_stays_fits_in_order_with_its_system_text_its_newest_turns_and_whole_pairs(
    messages: list[dict[str, Any]], budget: int, keep: int
) -> None:
    left = truncated(messages, budget, count, keep_turns=keep)
    turns = turns_of(messages)
    newest = [messages[at] for turn in turns[-max(1, keep) :] for at in turn]
    fixed = [each for each in messages if each["role"] in ("system", "developer")]
    if left is None:
        assert count([*fixed, *newest]) > budget
        return
    rest = iter(messages)
    assert all(any(each is other for other in rest) for each in left)
    assert count(left) <= budget
    assert [each for each in left if each["role"] in ("system", "developer")] == fixed
    assert [each for each in left if each not in fixed][-len(newest) :] == newest
    calls = [call["id"] for each in left for call in each.get("tool_calls", ())]
    assert calls == [each["tool_call_id"] for each in left if each["role"] == "tool"]
    assert next(each for each in left if each not in fixed)["role"] == "user"
    assert truncated(left, budget, count, keep_turns=keep) == left


@given(chats(), st.integers(0, 300))
def test_no_turn_goes_that_could_stay(messages: list[dict[str, Any]], budget: int) -> None:
    left = truncated(messages, budget, count, keep_turns=1)
    gone = [turn for turn in turns_of(messages) if left is not None and not any(messages[turn[0]] is each for each in left)]
    if gone:
        dropped = {at for turn in gone[:-1] for at in turn}
        assert count([each for at, each in enumerate(messages) if at not in dropped]) > budget


ANTHROPIC = [
    user("old"),
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]},
    said("done"),
    user("new"),
]
ITEMS = [
    user("old"),
    {"type": "reasoning", "id": "rs_1"},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "x"},
    user("new"),
]


@pytest.mark.parametrize("messages", [ANTHROPIC, ITEMS], ids=["anthropic", "responses"])
def test_a_result_stays_with_its_call_in_every_dialect(messages: list[dict[str, Any]]) -> None:
    assert turns_of(messages) == [[0, 1, 2, 3], [4]]


def test_turns_between_a_call_and_its_late_result_are_one() -> None:
    call, result = tools("late")
    assert turns_of([user("a"), said("b"), user("c"), call, user("d"), said("e"), result, user("f")]) == [[0, 1], [2, 3, 4, 5, 6], [7]]


def test_the_refusal_speaks_as_openai_does() -> None:
    error = too_long(128, 200, 50)
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    assert error.message == (
        "This model's maximum context length is 128 tokens. However, you requested 250 tokens "
        "(200 in the messages, 50 in the completion). Please reduce the length of the messages or completion."
    )
