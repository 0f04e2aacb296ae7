"""The texts of whole answers are found and replaced, and what says the same beside them goes."""

import itertools
import json
from typing import Any

import msgspec
import pytest

from gateway.domain.call import Completion, Operation
from gateway.guardrails.texts.answers import answer_passages, read_answer, with_answer_texts
from tests.unit.guardrails.passages_documents import ANSWERS, fill

SUBTITLES = b"1\n00:00:00,000 --> 00:00:02,000\nHello Anna\n"


def texts_of(operation: Operation, completion: Completion) -> list[str]:
    return [each.text for each in read_answer(operation, completion).passages]


def replacing(operation: Operation, document: Any, old: str, new: str) -> dict[str, Any]:
    """Return an answer in whose texts `old` became `new`."""
    completion = Completion(msgspec.json.encode(document))
    answered = read_answer(operation, completion)
    texts = {index: each.text.replace(old, new) for index, each in enumerate(answered.passages)}
    answer: dict[str, Any] = json.loads(with_answer_texts(answered, texts).body)
    return answer


def choice(**message: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", **message}, "logprobs": {"content": [{"token": "x"}]}, "finish_reason": "stop"}


def test_log_probabilities_of_a_changed_choice_go_and_others_stay() -> None:
    made = replacing(Operation.CHAT, {"choices": [choice(content="Anna"), choice(content="Ben")]}, "Anna", "A.")
    assert made["choices"][0]["logprobs"] is None
    assert made["choices"][1] == choice(content="Ben")


def test_offsets_into_a_changed_text_go() -> None:
    cited = [{"type": "url_citation", "url_citation": {"title": "T", "start_index": 5, "end_index": 9}}]
    made = replacing(Operation.CHAT, {"choices": [choice(content="Anna", annotations=cited)]}, "Anna", "A.")
    assert made["choices"][0]["message"] == {"role": "assistant", "content": "A.", "annotations": []}
    made = replacing(Operation.CHAT, {"choices": [choice(content="Anna", annotations=cited)]}, "T", "X")
    assert made["choices"][0]["message"]["annotations"] == []


def test_sound_whose_transcript_changes_goes() -> None:
    audio = {"id": "audio_1", "data": "UklG", "transcript": "Anna"}
    made = replacing(Operation.CHAT, {"choices": [choice(content=None, audio=audio)]}, "Anna", "A.")
    assert made["choices"][0]["message"]["audio"] is None


def test_sound_is_said_to_be_unread() -> None:
    document = {"choices": [choice(content=None, audio={"id": "audio_1", "data": "UklG", "transcript": "Anna"})]}
    assert read_answer(Operation.CHAT, Completion(msgspec.json.encode(document))).unread == ("audio",)


def test_arguments_of_tools_stay_json_and_keep_members_of_any_name() -> None:
    arguments = json.dumps({"tokens": [1], "annotations": ["k"], "to": 'Anna "A"'})
    made = replacing(Operation.CHAT, {"choices": [choice(tool_calls=[{"function": {"name": "f", "arguments": arguments}}])]}, "Anna", '\\"')
    said = json.loads(made["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    assert said == {"tokens": [1], "annotations": ["k"], "to": '\\" "A"'}
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"words": ["k"], "annotations": ["k"], "to": "Anna"}}
    made = replacing(Operation.MESSAGES, {"content": [block]}, "Anna", "A.")
    assert made["content"][0]["input"] == {"words": ["k"], "annotations": ["k"], "to": "A."}


def test_a_responses_part_that_changes_loses_what_repeats_it() -> None:
    part = {"type": "output_text", "text": "Anna", "annotations": [{"type": "file_citation", "index": 3}], "logprobs": [{"token": "Anna"}]}
    made = replacing(Operation.RESPONSES, {"output": [{"type": "message", "role": "assistant", "content": [part]}]}, "Anna", "A.")
    assert made["output"][0]["content"] == [{"type": "output_text", "text": "A.", "annotations": [], "logprobs": []}]


def test_items_of_a_stored_response_are_read() -> None:
    listed = {"object": "list", "data": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Anna"}]}]}
    assert texts_of(Operation.RESPONSE_ITEM, Completion(msgspec.json.encode(listed))) == ["Anna"]


def test_what_a_response_echoes_of_its_request_is_no_answer() -> None:
    assert texts_of(Operation.RESPONSES, Completion(b'{"instructions": "be kind", "output": [], "tools": [{"description": "d"}]}')) == []


def test_what_a_response_echoes_gets_its_originals_back_and_keeps_its_members() -> None:
    echoed = {"instructions": "be kind to X", "user": "X", "metadata": {"words": "X", "a": "b"}, "tools": [{"description": "of X"}]}
    answered = read_answer(Operation.RESPONSES, Completion(msgspec.json.encode({"output": [], **echoed})))
    texts = {index: each.text.replace("X", "Anna") for index, each in enumerate((*answered.passages, *answered.echoes))}
    assert json.loads(with_answer_texts(answered, texts).body) == {
        "output": [],
        "instructions": "be kind to Anna",
        "user": "Anna",
        "metadata": {"words": "Anna", "a": "b"},
        "tools": [{"description": "of Anna"}],
    }


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.COMPLETIONS, Operation.RESPONSES, Operation.MESSAGES])
def test_members_of_an_answer_that_are_new_to_us_are_read_and_replaced(operation: Operation) -> None:
    document = {"id": "Anna", "search_results": [{"title": "Anna"}], "output_text": "Anna", "error": {"message": "Anna"}}
    document |= {"choices": [{"index": 0, "note": "Anna"}]} if operation in {Operation.CHAT, Operation.COMPLETIONS} else {}
    made = replacing(operation, document, "Anna", "A.")
    assert made.pop("id") == "Anna"
    assert "Anna" not in json.dumps(made)


def verbose(*segments: str, text: str = "Hello Anna") -> dict[str, Any]:
    parts = [{"id": index, "text": each, "tokens": [1, 2]} for index, each in enumerate(segments)]
    return {"text": text, "segments": parts, "words": [{"word": "Anna", "start": 0.5}], "duration": 2.0}


def test_a_transcriptions_words_and_tokens_go_when_its_text_changes() -> None:
    made = replacing(Operation.TRANSCRIPTION, verbose(" Hello Anna"), "Anna", "[NAME]")
    assert made == {"text": "Hello [NAME]", "segments": [{"id": 0, "text": " Hello [NAME]", "tokens": []}], "duration": 2.0}


def test_segments_that_hold_in_pieces_what_was_taken_out_go() -> None:
    made = replacing(Operation.TRANSCRIPTION, verbose(" Hello An", "na"), "Anna", "[NAME]")
    assert made == {"text": "Hello [NAME]", "duration": 2.0}


def test_a_transcription_that_does_not_change_keeps_all() -> None:
    assert replacing(Operation.TRANSCRIPTION, verbose(" Hello An", "na"), "Ben", "x") == verbose(" Hello An", "na")


def test_subtitles_are_one_text() -> None:
    completion = Completion(SUBTITLES, content_type="text/plain; charset=utf-8")
    answered = read_answer(Operation.TRANSCRIPTION, completion)
    (found,) = answered.passages
    assert found.text == SUBTITLES.decode()
    assert [found] == answer_passages(Operation.TRANSCRIPTION, found.text)
    made = with_answer_texts(answered, {0: found.text.replace("Anna", "[NAME]")})
    assert made == msgspec.structs.replace(completion, body=SUBTITLES.replace(b"Anna", b"[NAME]"))


@pytest.mark.parametrize(
    ("operation", "completion", "missing"),
    [
        pytest.param(Operation.SPEECH, Completion(b"ID3", content_type="audio/mpeg"), ("audio",), id="speech"),
        pytest.param(Operation.EMBEDDINGS, Completion(b'{"data": []}'), (), id="embeddings"),
        pytest.param(Operation.MODERATIONS, Completion(b'{"results": []}'), (), id="moderations"),
        pytest.param(Operation.IMAGES, Completion(b'{"data": [{"b64_json": "iVBO"}]}'), ("image",), id="images"),
        pytest.param(Operation.FORWARD, Completion(b"%PDF\xff", content_type="application/pdf"), ("binary",), id="pass-through"),
        pytest.param(Operation.FORWARD, Completion(b"", content_type=""), (), id="pass-through-empty"),
        pytest.param(Operation.FORWARD, Completion(b'{"a": "x"}', headers={"content-encoding": "br"}), ("binary",), id="compressed"),
    ],
)
def test_what_an_answer_holds_besides_text_is_said(operation: Operation, completion: Completion, missing: tuple[str, ...]) -> None:
    answered = read_answer(operation, completion)
    assert (answered.unread, answered.passages) == (missing, ())
    assert with_answer_texts(answered, {}) is completion


@pytest.mark.parametrize(
    ("body", "content_type", "texts"),
    [
        pytest.param(b'{"value": [{"text": "x"}]}', "application/json", ["x"], id="json"),
        pytest.param(b"plain", "text/plain", ["plain"], id="text"),
        pytest.param(b"<a>x</a>", "application/xml", ["x"], id="xml"),
    ],
)
def test_any_services_texts_are_read(body: bytes, content_type: str, texts: list[str]) -> None:
    assert texts_of(Operation.FORWARD, Completion(body, content_type=content_type)) == texts


def test_an_answer_with_two_members_of_a_name_is_written_whole() -> None:
    completion = Completion(b'{"content": [], "content": [{"type": "text", "text": "Anna"}]}')
    changed = with_answer_texts(read_answer(Operation.MESSAGES, completion), {0: "A."})
    assert changed.body == b'{"content":[{"type":"text","text":"A."}]}'


@pytest.mark.parametrize("operation", ANSWERS)
def test_nothing_of_a_replaced_text_is_left_in_the_answer(operation: Operation) -> None:
    names = (f"Anna{number}." for number in itertools.count())
    document = fill(ANSWERS[operation], names, [])
    assert "Anna" not in json.dumps(replacing(operation, document, "Anna", "x"))


def test_a_message_that_is_no_object_gives_no_text() -> None:
    assert texts_of(Operation.CHAT, Completion(b'{"choices": [null, {"message": null}, {"message": "x"}]}')) == []
