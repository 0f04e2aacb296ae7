import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Operation
from gateway.domain.chat import read_chat
from gateway.domain.prompt_body import Addition, forced, joined, messages_in
from gateway.domain.responses import read_responses
from gateway.errors import PromptError, RequestError
from tests.builders import make_inbound

SYSTEM = {"role": "system", "content": "Be kind."}
ASK = {"role": "user", "content": "What is new?"}
IMAGE = {"type": "input_image", "image_url": "data:,", "detail": "auto"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MESSAGES = st.lists(
    st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "assistant"]), TEXTS), max_size=4
)


def chat(document: dict[str, Any], **addition: Any) -> dict[str, Any]:
    return dict(json.loads(joined(Operation.CHAT, document, json.dumps(document).encode(), Addition(**addition))))


def respond(document: dict[str, Any], **addition: Any) -> dict[str, Any]:
    return dict(json.loads(joined(Operation.RESPONSES, document, json.dumps(document).encode(), Addition(**addition))))


def test_the_calls_own_messages_stand_between_the_prompts() -> None:
    own = {"role": "user", "content": "Hi"}
    assert chat({"messages": [own]}, before=[SYSTEM], after=[ASK], model="gpt-4o") == {"messages": [SYSTEM, own, ASK], "model": "gpt-4o"}


def test_the_calls_own_bytes_stay_as_they_are() -> None:
    body = b'{"temperature":0.70,"messages": [ {"role":"user", "content":"\\u0041 1e2"} ] }'
    found = joined(Operation.CHAT, json.loads(body), body, Addition(before=[SYSTEM], model="m"))
    assert found.startswith(
        b'{"temperature":0.70,"messages": [{"role":"system","content":"Be kind."},{"role":"user", "content":"\\u0041 1e2"}]'
    )


def test_the_calls_own_model_and_parameters_win_over_the_prompts() -> None:
    found = chat({"model": "mine", "temperature": 0}, model="its", parameters={"temperature": 1, "seed": 7})
    assert found == {"model": "mine", "temperature": 0, "seed": 7}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_ceiling_of_the_call_takes_the_place_of_the_prompts_under_either_name(name: str) -> None:
    assert chat({name: 5}, parameters={"max_tokens": 100}) == {name: 5}
    assert json.loads(forced(Operation.CHAT, json.dumps({name: 5}).encode(), {"max_tokens": 100})) == {"max_tokens": 100}


def test_what_is_forced_wins_over_the_calls_own() -> None:
    assert json.loads(forced(Operation.CHAT, b'{"model":"a","temperature":1}', {"temperature": 0, "model": "b"})) == {
        "model": "b",
        "temperature": 0,
    }
    assert json.loads(forced(Operation.RESPONSES, b'{"model":"a"}', {"max_tokens": 9})) == {"model": "a", "max_output_tokens": 9}


def test_a_response_gets_the_prompt_as_items_and_its_parameters_under_their_names_there() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    found = respond(
        {"input": "Hi"},
        before=[SYSTEM, {"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": "ok"}]}],
        model="gpt-4o",
        parameters={"max_tokens": 9, "response_format": schema, "reasoning_effort": "low", "temperature": 0},
    )
    assert found == {
        "input": [
            SYSTEM,
            {"role": "user", "content": [{"type": "input_text", "text": "See"}, IMAGE]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
            {"role": "user", "content": "Hi"},
        ],
        "model": "gpt-4o", "max_output_tokens": 9, "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low"}, "temperature": 0,
    }  # fmt: skip


def test_a_conversation_with_tools_is_the_same_in_both_dialects() -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    past = [ASK, {"role": "assistant", "content": None, "tool_calls": [called]}, {"role": "tool", "tool_call_id": "c1", "content": "42"}]
    items = respond({}, before=past)["input"]
    assert messages_in(Operation.RESPONSES, {"input": items}) == past
    assert messages_in(Operation.CHAT, {"messages": past}) == past


def test_a_parameter_that_responses_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(PromptError, match="'logit_bias'"):
        respond({"input": "Hi"}, parameters={"logit_bias": {}})


@pytest.mark.parametrize(("join", "name"), [(chat, "messages"), (respond, "input")], ids=["chat", "responses"])
def test_messages_that_are_no_list_are_refused(join: Any, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        join({name: 5}, before=[SYSTEM])
    assert caught.value.param == name


@given(MESSAGES, MESSAGES, MESSAGES, st.dictionaries(st.sampled_from(["temperature", "seed", "user"]), st.none() | st.integers(0, 9)))
def test_order_is_before_own_after_whatever_they_say(before: Any, own: Any, after: Any, members: dict[str, Any]) -> None:
    document = members | {"messages": own}
    assert chat(document, before=before, after=after) == members | {"messages": [*before, *own, *after]}
    assert respond({"input": own}, before=before, after=after)["input"] == [
        *[each for each in before if each["content"]], *own, *[each for each in after if each["content"]],
    ]  # fmt: skip


def test_what_is_joined_is_what_the_readers_read() -> None:
    body = joined(Operation.CHAT, {}, b"{}", Addition(before=[SYSTEM], after=[ASK], model="gpt-4o", parameters={"max_tokens": 9}))
    call = read_chat(make_inbound(json.loads(body)))
    assert (call.model, call.max_output_tokens, call.document["messages"]) == ("gpt-4o", 9, [SYSTEM, ASK])
    body = joined(Operation.RESPONSES, {}, b"{}", Addition(before=[SYSTEM, ASK], model="gpt-4o", parameters={"max_tokens": 9}))
    call = read_responses(make_inbound(json.loads(body), operation=Operation.RESPONSES))
    assert (call.model, call.max_output_tokens, call.document["input"]) == ("gpt-4o", 9, [SYSTEM, ASK])
