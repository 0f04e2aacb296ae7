"""An answer that has not its form is asked for once more, in its own dialect, with what was wrong."""

import json
from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.domain.guardrails import JsonSchema
from gateway.guardrails.rules.schema import SchemaCheck, repair_call, repairable
from tests.builders import make_call

FAULT = "$ lacks 'a'"
REQUEST = (
    "Your answer was not accepted: $ lacks 'a'. Answer the same request again, with nothing but the JSON that it asks for: "
    "no explanation, no code fence."
)
SAID = {"role": "assistant", "content": "{}"}
ASKED = {"role": "user", "content": REQUEST}
HELLO = {"role": "user", "content": "Hello"}


def test_a_check_says_what_is_wrong_or_nothing() -> None:
    check = SchemaCheck(JsonSchema(id="form", schema={"type": "object", "required": ["a"]}))
    assert (check.fault('{"a": 1}'), check.fault("{}")) == (None, FAULT)


@pytest.mark.parametrize(
    ("operation", "member", "given", "expected"),
    [
        (Operation.CHAT, "messages", [HELLO], [HELLO, SAID, ASKED]),
        (Operation.MESSAGES, "messages", [HELLO], [HELLO, SAID, ASKED]),
        (Operation.RESPONSES, "input", [HELLO], [HELLO, SAID, ASKED]),
        (Operation.RESPONSES, "input", [], [SAID, ASKED]),
        (Operation.RESPONSES, "input", "Hello", [HELLO, SAID, ASKED]),
        (Operation.RESPONSES, "input", None, [SAID, ASKED]),
        (Operation.COMPLETIONS, "prompt", "Hello", f"Hello{{}}\n\n{REQUEST}\n\n"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_the_model_is_asked_again_with_its_answer_and_the_fault(
    operation: Operation, member: str, given: Any, expected: Any, stream: bool
) -> None:
    document = {"stream": stream, **({} if given is None else {member: given}), "seed": 7}
    call = make_call(document, operation=operation)
    again = repair_call(call, "{}", FAULT)
    assert again.document == {**document, member: expected}
    assert json.loads(again.body) == again.document
    assert (again.stream, again.operation, again.model) == (stream, operation, call.model)
    assert repairable(call)


def test_an_empty_answer_is_no_turn_of_its_own() -> None:
    assert repair_call(make_call({"messages": [HELLO]}), " \n", FAULT).document["messages"] == [HELLO, ASKED]


def test_the_clients_own_bytes_stay_as_they_are() -> None:
    body = b'{"messages": [ {"role":"user","content":"\\u00e9"} ] , "n": 1}'
    again = repair_call(make_call(json.loads(body), body=body), "", "x")
    assert again.body.startswith(b'{"messages": [ {"role":"user","content":"\\u00e9"} ,{"role":"user","content":"Your answer')
    assert again.body.endswith(b'] , "n": 1}')


@pytest.mark.parametrize("prompt", [None, [1, 2], ["a", "b"]])
def test_prompts_of_tokens_or_several_are_simply_asked_again(prompt: Any) -> None:
    call = make_call({"prompt": prompt}, operation=Operation.COMPLETIONS)
    assert not repairable(call)
    assert repair_call(call, "{}", FAULT) is call
