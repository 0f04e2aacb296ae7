"""What the operator says stands first in every dialect, once, and the client's bytes stay as they are around it."""

import json
from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.domain.context import with_context
from gateway.errors import RequestError
from tests.builders import make_call

OURS = 'Say "no"\nto gambling.'
BLOCK = {"type": "text", "text": OURS}
CASES = [
    (
        Operation.CHAT,
        "messages",
        [{"role": "system", "content": "Theirs"}],
        [{"role": "system", "content": OURS}, {"role": "system", "content": "Theirs"}],
    ),
    (Operation.CHAT, "messages", [], [{"role": "system", "content": OURS}]),
    (Operation.RESPONSES, "instructions", None, OURS),
    (Operation.RESPONSES, "instructions", "Theirs", f"{OURS}\n\nTheirs"),
    (Operation.MESSAGES, "system", None, OURS),
    (Operation.MESSAGES, "system", "Theirs", f"{OURS}\n\nTheirs"),
    (Operation.MESSAGES, "system", [{"type": "text", "text": "Theirs"}], [BLOCK, {"type": "text", "text": "Theirs"}]),
    (Operation.MESSAGES, "system", [], [BLOCK]),
    (Operation.COMPLETIONS, "prompt", None, OURS),
    (Operation.COMPLETIONS, "prompt", "Theirs", f"{OURS}\n\nTheirs"),
    (Operation.COMPLETIONS, "prompt", ["One", "Two"], [f"{OURS}\n\nOne", f"{OURS}\n\nTwo"]),
]


@pytest.mark.parametrize(("operation", "member", "given", "expected"), CASES)
def test_the_operators_text_is_first_and_put_there_once(operation: Operation, member: str, given: Any, expected: Any) -> None:
    document = {"temperature": 1, **({} if given is None else {member: given}), "seed": 7}
    call = with_context(make_call(document, operation=operation, body=json.dumps(document, indent=1).encode()), OURS)
    assert call.document[member] == expected
    assert json.loads(call.body) == call.document
    assert with_context(call, OURS) is call


def test_the_clients_own_bytes_stay_as_they_are() -> None:
    body = b'{ "messages" : [ {"role":"user","content":"\\u00e9"} ] , "temperature": 1.00 }'
    call = with_context(make_call(json.loads(body), body=body), "Hi")
    assert call.body == b'{ "messages" : [{"role":"system","content":"Hi"}, {"role":"user","content":"\\u00e9"} ] , "temperature": 1.00 }'


def test_of_two_texts_the_one_put_in_last_comes_first() -> None:
    call = with_context(with_context(make_call(), "Looked up"), OURS)
    assert [each["content"] for each in call.document["messages"]] == [OURS, "Looked up", "Hello"]


@pytest.mark.parametrize("prompt", [[1, 2], [[1], [2]], ["a", [1]]])
def test_before_tokens_no_text_can_be_put(prompt: Any) -> None:
    with pytest.raises(RequestError, match="send no tokens") as caught:
        with_context(make_call({"prompt": prompt}, operation=Operation.COMPLETIONS), "Hi")
    assert caught.value.param == "prompt"


def test_what_has_no_prompt_stays_as_it_is() -> None:
    call = make_call({"input": "x"}, operation=Operation.EMBEDDINGS)
    assert with_context(call, "Hi") is call
