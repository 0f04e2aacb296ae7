"""What fits a window, and what stays of a body whose conversation is shortened."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversations.truncation import truncated, turns_of
from gateway.conversations.window import budget_of, messages_of, parts_of, stays_confined, surely_fits, window_of, with_messages
from gateway.domain.call import Call, Operation
from gateway.domain.policy import Rule, When
from tests.builders import make_call, make_deployment, make_model

BODY = b'{"model":"m", "messages":[ {"role":"user","content":"\\u0041"},\n {"role":"assistant","content":"b", "n":1.50}], "seed": 1e2}'


def call_of(operation: Operation, messages: list[dict[str, Any]], **more: Any) -> Call:
    param = "input" if operation is Operation.RESPONSES else "messages"
    return make_call({"model": "m", param: messages, **more}, operation=operation)


def test_messages_that_stay_keep_their_bytes_and_so_does_all_else() -> None:
    call = make_call(msgspec.json.decode(BODY), body=BODY)
    messages = messages_of(call)
    assert messages is not None
    one = with_messages(call, messages[1:])
    assert one.body == b'{"model":"m", "messages":[{"role":"assistant","content":"b", "n":1.50}], "seed": 1e2}'
    assert one.document == msgspec.json.decode(one.body)
    two = with_messages(call, [{"role": "user", "content": "new"}, messages[0]])
    assert two.body == b'{"model":"m", "messages":[{"role":"user","content":"new"},{"role":"user","content":"\\u0041"}], "seed": 1e2}'


@pytest.mark.parametrize(
    ("operation", "document", "found"),
    [
        (Operation.CHAT, {"messages": [{"role": "user"}]}, True),
        (Operation.MESSAGES, {"messages": [{"role": "user"}]}, True),
        (Operation.RESPONSES, {"input": [{"role": "user"}]}, True),
        (Operation.RESPONSES, {"input": "text"}, False),
        (Operation.COMPLETIONS, {"prompt": "text"}, False),
        (Operation.EMBEDDINGS, {"input": ["a"]}, False),
    ],
)
def test_lists_of_messages_and_items_can_be_shortened(operation: Operation, document: dict[str, Any], *, found: bool) -> None:
    assert (messages_of(make_call(document, operation=operation)) is not None) is found


def tool_turn(operation: Operation, number: int) -> list[dict[str, Any]]:
    called = f"t{number}"
    if operation is Operation.MESSAGES:
        return [
            {"role": "assistant", "content": [{"type": "tool_use", "id": called, "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": called, "content": "x" * number}]},
        ]
    return [
        {"type": "function_call", "call_id": called, "name": "f", "arguments": "{}"},
        {"type": "reasoning", "id": f"r{number}", "summary": []},
        {"type": "function_call_output", "call_id": called, "output": "x" * number},
    ]


@st.composite
def conversations(draw: st.DrawFn, operation: Operation) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if operation is Operation.RESPONSES and draw(st.booleans()):
        messages.append({"role": "developer", "content": "Be brief."})
    for number in range(1, draw(st.integers(2, 9))):
        messages.append({"role": "user", "content": "u" * draw(st.integers(1, 60))})
        if draw(st.booleans()):
            messages += tool_turn(operation, number)
        messages.append({"role": "assistant", "content": "a" * draw(st.integers(1, 60))})
    return messages


@pytest.mark.parametrize("operation", [Operation.MESSAGES, Operation.RESPONSES])
@given(st.data())
def test_anthropics_and_responses_conversations_fit_afterwards_with_pairs_whole_and_the_newest_turn(
    operation: Operation, data: st.DataObject
) -> None:
    messages = data.draw(conversations(operation))
    call = call_of(operation, messages, system="S" if operation is Operation.MESSAGES else None)

    def count(some: Any) -> int:
        return sum(len(json.dumps(each)) for each in some)

    budget = data.draw(st.integers(0, count(messages)))
    left = truncated(messages, budget, count, keep_turns=1)
    newest = [messages[at] for at in turns_of(messages)[-1]]
    if left is None:
        assert count([*newest, *(each for each in messages if each.get("role") == "developer")]) > budget
        return
    short = with_messages(call, left)
    kept = messages_of(short)
    assert kept == list(left) == messages_of(msgspec.structs.replace(short, document=json.loads(short.body)))
    assert count(kept) <= budget
    assert kept[-len(newest) :] == newest
    said = json.dumps(kept)
    for number in range(1, 10):
        assert said.count(f'"t{number}"') in {0, 2}
    assert {name: value for name, value in short.document.items() if name not in {"messages", "input"}} == {
        name: value for name, value in call.document.items() if name not in {"messages", "input"}
    }


def test_a_pools_largest_window_counts_and_an_unknown_one_is_no_window() -> None:
    small, large = make_deployment(id="a", context_window=10), make_deployment(id="b", context_window=30)
    assert window_of(make_model(small, large)) == 30
    assert window_of(make_model(small, make_deployment(id="c"), context_window=20)) == 20
    assert window_of(make_model(small, make_deployment(id="c"))) is None


def test_bytes_and_the_ceiling_together_tell_what_surely_fits() -> None:
    call = make_call(body=b"x" * 90, max_output_tokens=10)
    assert surely_fits(call, 100)
    assert not surely_fits(call, 99)


def test_a_shortened_prompt_leaves_room_for_an_answer_without_a_ceiling() -> None:
    assert budget_of(make_call(max_output_tokens=300), 1000) == 700
    assert budget_of(make_call(), 1000) == 875
    assert budget_of(make_call(), 128_000) == 127_488


def test_parts_are_the_call_without_messages_none_and_one_each() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    rest, nothing, ones = parts_of(call_of(Operation.CHAT, messages, tools=[1]), messages)
    assert rest.document == {"model": "m", "messages": [], "tools": [1]}
    assert nothing.document == {"messages": []}
    assert [each.document for each in ones] == [{"messages": [each]} for each in messages]


CONFINING = Rule("secret", When(classification=("secret",)), confine=True)


@pytest.mark.parametrize(
    ("rules", "stays"),
    [
        ((), True),
        ((CONFINING,), True),
        ((Rule("a", When(model=("small",)), model="x"),), True),
        ((Rule("a", When(model=("small",)), confine=True),), False),
        ((Rule("a", When(model=("*",)), confine=True),), True),
        ((Rule("first", When(model=("big",)), model="x"), CONFINING), False),
    ],
    ids=["none", "whatever model", "nothing confines", "confines the asked one", "confines both", "another would come first"],
)
def test_a_bigger_model_is_no_way_out_of_a_rule_that_confines(rules: tuple[Rule, ...], *, stays: bool) -> None:
    assert stays_confined(rules, "small", "big") is stays
