"""Laws of finding and replacing texts, over every dialect and any texts."""

import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Call, Completion, Operation
from gateway.guardrails.texts.answers import read_answer, with_answer_texts
from gateway.guardrails.texts.passages import passages, with_texts
from tests.unit.guardrails.passages_documents import ANSWERS, REQUESTS, Expected, call_of, fill

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: "<documents>" not in text)
OPERATIONS = st.sampled_from(list(REQUESTS))
ANSWERED = st.sampled_from(list(ANSWERS))


def with_words(operation: Operation, words: list[str]) -> tuple[Call, Expected]:
    return call_of(operation, itertools.cycle(words))


def document_of(call: Call) -> object:
    return json.loads(call.body) if call.operation is Operation.FORWARD else call.document


@given(OPERATIONS, st.lists(WORDS, min_size=1, max_size=5))
def test_every_text_that_a_client_typed_is_in_a_passage(operation: Operation, words: list[str]) -> None:
    call, expected = with_words(operation, words)
    assert sorted((each.role, each.text) for each in passages(call)) == sorted(expected)


@given(OPERATIONS, st.lists(WORDS, min_size=1, max_size=3))
def test_texts_replaced_by_themselves_change_nothing(operation: Operation, words: list[str]) -> None:
    call, _ = with_words(operation, words)
    assert with_texts(call, {index: each.text for index, each in enumerate(passages(call))}) is call


@given(st.data(), OPERATIONS, WORDS)
def test_replacing_a_text_changes_that_passage_and_no_other(data: st.DataObject, operation: Operation, new: str) -> None:
    call, _ = with_words(operation, ["a", "b"])
    before = passages(call)
    index = data.draw(st.integers(0, len(before) - 1))
    changed = with_texts(call, {index: new})
    expected = [msgspec.structs.replace(each, text=new) if place == index else each for place, each in enumerate(before)]
    assert passages(changed) == expected


@given(st.data(), OPERATIONS, st.lists(WORDS, min_size=1, max_size=4))
def test_document_and_body_stay_one(data: st.DataObject, operation: Operation, words: list[str]) -> None:
    call, _ = with_words(operation, ["a", "b"])
    indexes = data.draw(st.sets(st.integers(0, len(passages(call)) - 1)))
    changed = with_texts(call, dict(zip(indexes, itertools.cycle(words), strict=False)))
    assert json.loads(changed.body) == document_of(changed)
    untouched, _ = with_words(operation, ["a", "b"])
    assert call == untouched, "what was given is not changed in place"


@given(st.data(), ANSWERED, st.lists(WORDS, min_size=1, max_size=4))
def test_an_answers_texts_are_found_and_replaced_by_the_same_laws(data: st.DataObject, operation: Operation, words: list[str]) -> None:
    expected: Expected = []
    answer = fill(ANSWERS[operation], itertools.cycle(words), expected)
    completion = Completion(msgspec.json.encode(answer))
    answered = read_answer(operation, completion)
    found = answered.passages
    assert sorted((each.role, each.text) for each in found) == sorted(expected)
    assert with_answer_texts(answered, {}) is completion
    index = data.draw(st.integers(0, len(found) - 1))
    new = data.draw(WORDS.filter(lambda text: text != found[index].text))
    again = read_answer(operation, with_answer_texts(answered, {index: new}))
    texts = {(each.path, each.inner): each.text for each in again.passages}
    for place, each in enumerate(found):
        if (each.path, each.inner) in texts:  # what repeats a changed text is gone
            assert texts[each.path, each.inner] == (new if place == index else each.text)


@pytest.mark.parametrize("operation", ANSWERS)
def test_an_answer_keeps_its_other_members_byte_by_byte(operation: Operation) -> None:
    answer = fill(ANSWERS[operation], itertools.cycle(["a"]), [])
    body = b'{"seen": 1.50, ' + msgspec.json.encode(answer)[1:]
    completion = Completion(body)
    changed = with_answer_texts(read_answer(operation, completion), {0: "b"})
    assert changed.body.startswith(b'{"seen": 1.50, ')
