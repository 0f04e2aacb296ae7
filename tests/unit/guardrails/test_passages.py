"""Every text of a request is found, whatever the dialect and wherever it stands, and what cannot be read is said."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.domain.audio import read_transcription
from gateway.domain.call import Call, Operation
from gateway.domain.verdicts import Passage, Role
from gateway.guardrails.texts.passages import passages, read_call, unread, with_texts
from tests.builders import make_call, make_inbound
from tests.unit.guardrails.passages_documents import REQUESTS, call_of


def numbered() -> Iterator[str]:
    return (f"text {number}" for number in itertools.count())


def chat(*messages: dict[str, Any], **more: Any) -> Call:
    return make_call({"model": "gpt-4o", "messages": list(messages), **more})


def user(content: Any) -> Call:
    return chat({"role": "user", "content": content})


def asking(operation: Operation, **document: Any) -> Call:
    return make_call({"model": "m", **document}, operation=operation)


def texts_of(call: Call) -> list[str]:
    return [each.text for each in passages(call)]


@pytest.mark.parametrize("operation", REQUESTS)
def test_every_text_is_found_once_with_whose_words_it_is(operation: Operation) -> None:
    call, expected = call_of(operation, numbered())
    assert sorted((each.role, each.text) for each in passages(call)) == sorted(expected)


@pytest.mark.parametrize("operation", REQUESTS)
def test_a_path_leads_to_its_text(operation: Operation) -> None:
    call, _ = call_of(operation, numbered())
    top = json.loads(call.body)
    for each in passages(call):
        value = at(top, each.path)
        assert (value if each.inner is None else at(json.loads(value), each.inner)) == each.text


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def test_earlier_turns_come_before_later_ones_and_instructions_before_all() -> None:
    found = passages(chat(*({"role": role, "content": f"{number}"} for number, role in enumerate(["system", "user", "assistant", "user"]))))
    assert [(each.text, each.role.value) for each in found] == [("0", "system"), ("1", "user"), ("2", "assistant"), ("3", "user")]


def test_what_tools_say_of_themselves_comes_in_their_order() -> None:
    schema = {"properties": {"a": {"description": "2"}, "b": {"properties": {"c": {"description": "3"}}}, "d": {"description": "4"}}}
    tools = [{"function": {"name": "f", "description": "1", "parameters": schema}}, {"function": {"name": "g", "description": "5"}}]
    assert texts_of(chat({"role": "user", "content": "6"}, tools=tools)) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        pytest.param({"type": "image_url", "image_url": {"url": "https://a"}}, "image", id="image"),
        pytest.param({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}, "audio", id="audio"),
        pytest.param({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}}, "file", id="file-data"),
        pytest.param({"type": "file", "file": {"file_id": "file-1"}}, "file", id="file-id"),
        pytest.param({"type": "new", "data": "AAAA"}, "binary", id="data-of-a-new-type"),
        pytest.param({"type": "new", "result": "QUJD" * 300}, "binary", id="base64"),
    ],
)
def test_a_part_without_text_is_named(part: dict[str, Any], missing: str) -> None:
    found = read_call(user([part, {"type": "text", "text": "Hi"}]))
    assert found.unread == (missing,)
    assert [each.text for each in found.passages] == ["Hi"]


def test_a_long_text_without_spaces_is_read_for_all_that() -> None:
    assert texts_of(user([{"type": "text", "text": "A" * 5000}])) == ["A" * 5000]


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        pytest.param(asking(Operation.EMBEDDINGS, input=[1, 2]), ("tokens",), id="embeddings"),
        pytest.param(asking(Operation.EMBEDDINGS, input=[[1], [2]]), ("tokens",), id="embeddings-several"),
        pytest.param(asking(Operation.COMPLETIONS, prompt=[[1, 2]]), ("tokens",), id="completions"),
        pytest.param(asking(Operation.COMPLETIONS), (), id="completions-without-a-prompt"),
        pytest.param(make_call(operation=Operation.RESPONSE_ITEM, body=b""), (), id="stored-response"),
    ],
)
def test_what_has_no_text_gives_no_passage(call: Call, missing: tuple[str, ...]) -> None:
    assert passages(call) == []
    assert unread(call) == missing


def test_messages_name_images_and_files() -> None:
    call, _ = call_of(Operation.MESSAGES, numbered())
    assert unread(call) == ("image", "file")


def test_a_users_embedded_documents_are_documents() -> None:
    text = "Sum up:\n<documents>A</documents> and <documents>B</documents>."
    found = passages(user(text))
    assert [(each.text, each.role.value) for each in found] == [
        ("Sum up:\n<documents>", "user"),
        ("A", "document"),
        ("</documents> and <documents>", "user"),
        ("B", "document"),
        ("</documents>.", "user"),
    ]
    changed = with_texts(user(text), {3: "b"})
    assert changed.document["messages"][0]["content"] == text.replace("B", "b")


def test_documents_that_do_not_end_are_the_users_words() -> None:
    (found,) = passages(user("<documents>" * 3 + "A"))
    assert found.role is Role.USER


def test_arguments_that_are_no_object_are_one_text() -> None:
    arguments = '{"a": "x", "a": "y"}'
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    assert passages(chat(called)) == [
        Passage(("messages", 0, "tool_calls", 0, "function", "arguments"), arguments, Role.ASSISTANT),
    ]


def test_names_that_are_no_mere_names_and_long_numbers_in_arguments_are_read() -> None:
    arguments = {"anna@contoso.com": 1, "4111111111111111": {"ok": 4111111111111111}, "line_1": 7, "neg": -(10**9), "yes": True}
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": json.dumps(arguments)}}]}
    call = chat(called)
    assert texts_of(call) == ["anna@contoso.com", "4111111111111111", "4111111111111111", "-1000000000"]
    changed = with_texts(call, {0: "<EMAIL_1>", 1: "<CARD_1>", 2: "<CARD_1>"})
    written = json.loads(changed.document["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert written == {"<EMAIL_1>": 1, "<CARD_1>": {"ok": "<CARD_1>"}, "line_1": 7, "neg": -(10**9), "yes": True}


def test_names_that_become_the_same_stay_apart() -> None:
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": '{"a@b.de": 1, "c@d.de": 2, "e": 3}'}}]}
    changed = with_texts(chat(called), {0: "[EMAIL]", 1: "[EMAIL]"})
    written = json.loads(changed.document["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert written == {"[EMAIL]": 1, "[EMAIL]_": 2, "e": 3}


def test_only_the_members_that_change_are_written_anew() -> None:
    body = b'{ "model": "gpt-4o",  "temperature": 1.50, "messages": [{"role":"user","content":"caf\\u00e9 5"}],"seed":1e2 }'
    call = make_call(json.loads(body), body=body)
    changed = with_texts(call, {0: "tea"})
    assert changed.body == b'{ "model": "gpt-4o",  "temperature": 1.50, "messages": [{"role":"user","content":"tea"}],"seed":1e2 }'
    assert call.document["messages"][0]["content"] == "café 5"


def test_what_does_not_change_is_the_same_object() -> None:
    call = user("Hi")
    assert with_texts(call, {}) is call
    assert with_texts(call, {0: "Hi"}) is call


def test_a_transcriptions_prompt_is_read_and_replaced_in_its_form() -> None:
    parts = {"model": "whisper", "prompt": "Anna Müller speaks"}
    form = "".join(f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts.items())
    file = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    call = read_transcription(make_inbound(operation=Operation.TRANSCRIPTION, headers=headers, body=(form + file).encode()))
    assert texts_of(call) == ["Anna Müller speaks"]
    assert unread(call) == ("audio",)
    changed = with_texts(call, {0: "<NAME_1> speaks"})
    assert changed.body == (form + file).replace("Anna Müller", "<NAME_1>").encode()
    again = read_transcription(make_inbound(operation=Operation.TRANSCRIPTION, headers=headers, body=changed.body))
    assert again.document == changed.document


def test_a_document_nested_too_deeply_in_arguments_is_one_text() -> None:
    arguments = '{"a":' * 70 + '"x"' + "}" * 70
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    assert texts_of(chat(called)) == [arguments]
