"""What stands beside the conversation is read as well: labels, stops, members that are new to us, and the query of a pass-through."""

import json
from typing import Any

import msgspec
import pytest

from gateway.domain.call import Call, Operation
from gateway.domain.verdicts import Role
from gateway.guardrails.texts.passages import passages, read_call, with_texts
from tests.builders import make_call

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
NEEDED: dict[Operation, dict[str, Any]] = {
    Operation.CHAT: CHAT,
    Operation.RESPONSES: {"model": "m", "input": "Hi"},
    Operation.MESSAGES: CHAT,
    Operation.COMPLETIONS: {"model": "m", "prompt": "Hi"},
    Operation.EMBEDDINGS: {"model": "m", "input": "Hi"},
    Operation.IMAGES: {"model": "m", "prompt": "Hi"},
    Operation.SPEECH: {"model": "m", "input": "Hi"},
    Operation.MODERATIONS: {"model": "m", "input": "Hi"},
}


def call_of(operation: Operation = Operation.CHAT, **more: Any) -> Call:
    return make_call(NEEDED[operation] | more, operation=operation)


def asked(query: str, body: bytes = b"") -> Call:
    return msgspec.structs.replace(make_call(operation=Operation.FORWARD, body=body), document={}, query=query)


def texts_of(call: Call) -> list[str]:
    return [each.text for each in passages(call)]


@pytest.mark.parametrize("operation", NEEDED)
def test_members_that_are_new_to_us_and_those_of_the_application_are_read_and_replaced(operation: Operation) -> None:
    call = call_of(operation, user="ann", new={"of": [2027, "a year"], "code": 4111111111111111}, metadata={"a": "b"})
    assert [(each.text, each.role) for each in passages(call)] == [
        ("ann", Role.SYSTEM),
        ("a year", Role.USER),
        ("4111111111111111", Role.USER),
        ("b", Role.SYSTEM),
        ("Hi", Role.USER),
    ]
    changed = json.loads(with_texts(call, {0: "1", 1: "2", 2: "3", 3: "4"}).body)
    assert (changed["user"], changed["new"], changed["metadata"]) == ("1", {"of": [2027, "2"], "code": "3"}, {"a": "4"})


@pytest.mark.parametrize("operation", NEEDED)
def test_settings_are_no_texts(operation: Operation) -> None:
    settings = {"seed": 4111111111111111, "voice": "alloy", "size": "auto", "logit_bias": {"1000000": 1}, "stream_options": {"a": "b"}}
    assert texts_of(call_of(operation, previous_response_id="resp_1", tool_choice="auto", **settings)) == ["Hi"]


def test_data_sources_say_what_the_model_is_told_and_keep_their_keys() -> None:
    source = {"type": "azure_search", "parameters": {"role_information": "You know Ann", "authentication": {"key": "k"}, "filter": "f"}}
    assert next((each.text, each.role) for each in passages(call_of(data_sources=[source]))) == ("You know Ann", Role.SYSTEM)
    assert texts_of(call_of(data_sources=[source])) == ["You know Ann", "Hi"]


def test_documents_beside_the_conversation_are_documents() -> None:
    assert passages(call_of(documents=[{"text": "told elsewhere"}]))[0].role is Role.DOCUMENT


def test_names_and_values_of_a_query_are_read_as_the_service_reads_them() -> None:
    assert texts_of(asked("to=de&q=a%40b.de+c&x%3D1&&=")) == ["to", "de", "q", "a@b.de c", "x=1"]


def test_what_is_replaced_in_a_query_is_escaped_and_the_rest_stays_as_it_came() -> None:
    call = asked("to=d%65&a@b.de=1&q=a%40b.de+c", b'{"text": "me@b.de"}')
    found = texts_of(call)
    assert found == ["me@b.de", "to", "de", "a@b.de", "1", "q", "a@b.de c"]
    changed = with_texts(call, {0: "<E_1>", 3: "<E_2>&", 6: "<E_2> c"})
    assert changed.query == "to=d%65&%3CE_2%3E%26=1&q=%3CE_2%3E%20c"
    assert json.loads(changed.body) == {"text": "<E_1>"}
    assert texts_of(changed) == ["<E_1>", "to", "de", "<E_2>&", "1", "q", "<E_2> c"]


def test_a_query_and_a_body_change_each_by_itself() -> None:
    call = asked("q=a", b'{"query": "b", "q": "c"}')
    assert (with_texts(call, {0: "x"}).query, with_texts(call, {3: "x"}).body) == ("q=a", call.body)
    assert with_texts(call, {0: "x"}).body == b'{"query": "x", "q": "c"}'
    assert with_texts(call, {3: "x"}).query == "q=x"


def test_a_stored_responses_query_is_no_text() -> None:
    call = msgspec.structs.replace(make_call(operation=Operation.RESPONSE_ITEM, body=b""), query="include[]=a")
    assert read_call(call).passages == ()
