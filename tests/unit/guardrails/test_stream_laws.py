"""The laws of guarded streams: however a text is cut into pieces, nothing leaks and nothing is lost."""

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.call import Operation
from gateway.domain.guardrails import Action
from gateway.guardrails.streams.window import Window
from gateway.providers.completions_dialect import CompletionsDialect
from gateway.providers.messages_from_chat import MessagesFromChat
from gateway.providers.openai_stream import OpenAIStream
from gateway.providers.responses_dialect_stream import ResponsesFromChat
from tests.fakes.clock import FakeClock
from tests.unit.guardrails import streams
from tests.unit.guardrails.streams import MASK, PLACES, SECRET, SENDERS, Client, Originals, call_of, guard, run

TEXTS = st.lists(
    st.sampled_from(
        ["SECRET-12345678", "SECRET-7", "SECRET-", "SEC", "RET-99", "S", " ", "hello ", "é", "\n", '"', "\\", "\\u0053ECRET-5", "1234", "-"]
    ),
    max_size=12,
).map("".join)


@st.composite
def cut_texts(draw: Any, places: int = 1, texts: Any = TEXTS) -> tuple[list[str], list[tuple[int, str]]]:
    """Texts, and their pieces in an order that keeps each text's own."""
    whole = [draw(texts) for _ in range(places)]
    pieces: list[list[tuple[int, str]]] = []
    for place, text in enumerate(whole):
        cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=8))})
        pieces.append([(place, text[start:end]) for start, end in itertools.pairwise(cuts)])
    order = draw(st.permutations([place for place, each in enumerate(pieces) for _ in each]))
    return whole, [pieces[place].pop(0) for place in order]


def redacted(text: str) -> str:
    return SECRET.sub(MASK, text)


def key_of(operation: Operation, place: int) -> Any:
    return {
        Operation.CHAT: (place, "content"),
        Operation.COMPLETIONS: (place, "text"),
        Operation.MESSAGES: (place, ("thinking", "text", "partial_json")[place % 3]),
        Operation.RESPONSES: (
            ("response.output_text.delta", "response.function_call_arguments.delta", "response.reasoning_text.delta")[place % 3],
            place,
        ),
        Operation.TRANSCRIPTION: "transcript",
    }[operation]


def whole_json(operation: Operation, place: int) -> bool:
    return (operation, place) in {(Operation.MESSAGES, 2), (Operation.RESPONSES, 1)}


def as_sent(operation: Operation, whole: list[str], said: list[tuple[int, str]], draw: Any) -> tuple[list[str], list[tuple[int, str]]]:
    """Arguments are JSON: their text is a string in it, cut anywhere."""
    for place in range(len(whole)):
        if whole_json(operation, place):
            document = json.dumps({"q": whole[place], "n": 1})
            cut = draw(st.integers(0, len(document)))
            said = [each for each in said if each[0] != place] + [(place, document[:cut]), (place, document[cut:])]
    return whole, [each for each in said if each[1]]


def text_at(client: Client, operation: Operation, place: int) -> str:
    text = client.texts.get(key_of(operation, place), "")
    return json.loads(text)["q"] if whole_json(operation, place) else text


def chopped(data: bytes, draw: Any) -> list[bytes]:
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=6))})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


OPERATIONS = pytest.mark.parametrize("operation", list(SENDERS), ids=lambda operation: operation.value)


@OPERATIONS
@settings(deadline=None)
@given(data=st.data())
def test_no_prefix_of_a_stream_holds_a_secret_and_all_of_it_is_the_redacted_text(operation: Operation, data: Any) -> None:
    whole, said = as_sent(operation, *data.draw(cut_texts(PLACES[operation])), data.draw)
    pieces = chopped(b"".join(SENDERS[operation](said)), data.draw)
    client = run(Client(call_of(operation, 2), [guard()]).read(pieces))
    for moment in client.moments:
        assert not any(SECRET.search(text) for text in moment.values())
    assert not SECRET.search(json.dumps(client.documents, ensure_ascii=False))
    for place, text in enumerate(whole):
        assert text_at(client, operation, place) == redacted(text)
    assert client.events[-1].done
    found = [len(SECRET.findall(text)) for text in whole]
    assert client.verdicts[0].count == sum(found) or len(set(whole)) < len(whole)  # what is said twice may be read once
    assert client.outcomes == {"secrets": "redacted" if any(found) else "passed"}


@OPERATIONS
@settings(deadline=None)
@given(data=st.data())
def test_without_findings_the_client_gets_every_text_and_every_other_member(operation: Operation, data: Any) -> None:
    _whole, said = as_sent(operation, *data.draw(cut_texts(PLACES[operation], TEXTS.map(lambda text: text.replace("-", "+")))), data.draw)
    sent = SENDERS[operation](said)
    client = run(Client(call_of(operation, 2), [guard()]).read(chopped(b"".join(sent), data.draw)))
    plain = streams.documents_of(b"".join(event.data for event in client.came))
    texts = streams.texts_of(operation, plain)
    assert {key: text for key, text in client.texts.items() if text} == {key: text for key, text in texts.items() if text}
    assert [bare for each in client.documents if (bare := without_text(each))] == [bare for each in plain if (bare := without_text(each))]
    assert client.outcomes == {"secrets": "passed"}
    assert [event.usage for event in client.events if event.usage] == [event.usage for event in client.came if event.usage]


def without_text(document: Any) -> Any:
    """Leave of an event what its deltas do not say; nothing, where that was all."""
    kind = document.get("type", "")
    if kind.endswith(".delta") or (kind == "content_block_delta" and document["delta"]["type"] != "signature_delta"):
        return None
    if "choices" in document:
        kept = [
            {
                **{name: value for name, value in choice.items() if name != "text"},
                "delta": {"role": (choice.get("delta") or {}).get("role")},
            }
            for choice in document["choices"]
        ]
        kept = [choice for choice in kept if choice["finish_reason"] or choice["delta"]["role"]]
        return {**document, "choices": kept} if kept or document.get("usage") else None
    return document


@OPERATIONS
@settings(deadline=None)
@given(data=st.data())
def test_placeholders_become_originals_however_they_are_cut(operation: Operation, data: Any) -> None:
    texts = st.lists(st.sampled_from(["<EMAIL_1>", "<EMAIL", "_1>", "<", "a", " ", "SECRET-1 "]), max_size=10).map("".join)
    whole, said = as_sent(operation, *data.draw(cut_texts(PLACES[operation], texts)), data.draw)
    sent = b"".join(SENDERS[operation](said))
    client = run(Client(call_of(operation, 2), [guard()], Originals()).read(chopped(sent, data.draw)))
    for place, text in enumerate(whole):
        assert text_at(client, operation, place) == Originals().text(redacted(text), json=False)


@OPERATIONS
@settings(deadline=None)
@given(data=st.data())
def test_a_blocked_stream_released_a_prefix_of_what_stood_before_the_finding(operation: Operation, data: Any) -> None:
    whole, said = as_sent(operation, *data.draw(cut_texts(PLACES[operation])), data.draw)
    client = run(Client(call_of(operation, 2), [guard(Action.BLOCK)]).read(chopped(b"".join(SENDERS[operation](said)), data.draw)))
    found = any(SECRET.search(text) for text in whole)
    assert client.stream.blocked is found
    for place, text in enumerate(whole):
        released = client.texts.get(key_of(operation, place), "")
        if not found:
            assert text_at(client, operation, place) == text
        elif released and not whole_json(operation, place):
            assert SECRET.split(text)[0].startswith(released)
    assert not found or client.outcomes == {"secrets": "blocked"}
    assert not SECRET.search(client.data.decode())


TRANSLATED = {
    Operation.MESSAGES: (MessagesFromChat, (0, "text")),
    Operation.RESPONSES: (ResponsesFromChat, ("response.output_text.delta", 0)),
    Operation.COMPLETIONS: (lambda call, chat: CompletionsDialect().decoder(call, chat), (0, "text")),
}


@pytest.mark.parametrize("operation", list(TRANSLATED), ids=lambda operation: operation.value)
@settings(deadline=None)
@given(data=st.data())
def test_streams_that_are_translated_leak_nothing_either(operation: Operation, data: Any) -> None:
    (text,), said = data.draw(cut_texts())
    make, key = TRANSLATED[operation]
    call = call_of(operation)
    decoder = make(call, OpenAIStream(include_usage=False))
    pieces = chopped(b"".join(streams.chat(said, choices=1)), data.draw)
    client = run(Client(call, [guard()], decoder=decoder).read(pieces))
    assert not any(SECRET.search(released) for moment in client.moments for released in moment.values())
    assert client.texts.get(key, "") == redacted(text)
    assert not SECRET.search(client.data.decode())
    assert client.events[-1].done


@settings(deadline=None)
@given(cut_texts())
def test_a_report_counts_every_finding_and_holds_nothing_back(cut: Any) -> None:
    (text,), said = cut
    client = run(Client(call_of(Operation.CHAT), [guard(Action.REPORT)]).read(streams.chat(said, choices=1)))
    assert client.data == b"".join(event.data for event in client.came)
    assert client.verdicts[0].count == len(SECRET.findall(text))
    assert client.verdicts[0].scanned == len(text)


OTHER = re.compile(r"T-\d{3}")


@settings(deadline=None)
@given(cut_texts())
def test_overlapping_findings_of_two_guardrails_are_replaced_once_and_whole(cut: Any) -> None:
    (text,), said = cut
    other = guard(detector=OtherDetector(), config=streams.Terms(id="other", terms=("x",)))
    client = run(Client(call_of(Operation.CHAT), [guard(), other]).read(streams.chat(said, choices=1)))
    assert client.texts.get((0, "content"), "") == union_redacted(text)


class OtherDetector(streams.SecretDetector):
    """Finds `T-` and three digits, which overlaps the end of `SECRET-`."""

    def read(self, text: str, role: Any = None) -> Any:
        return streams.Reading(tuple(streams.Finding(found.start(), found.end(), "other") for found in OTHER.finditer(text)))

    def open_from(self, text: str) -> int:
        found = re.search(r"T(-\d{0,2})?$", text)
        return found.start() if found else len(text)

    def replacement(self, finding: Any, original: str) -> str:
        return "[OTHER]"


def union_redacted(text: str) -> str:
    spans = [(found.start(), found.end(), MASK) for found in SECRET.finditer(text)]
    spans += [(found.start(), found.end(), "[OTHER]") for found in OTHER.finditer(text)]
    out, done = "", 0
    for start, end, mask in sorted(spans):
        if start >= done:
            out += text[done:start] + mask
        done = max(done, end)
    return out + text[done:]


@settings(deadline=None)
@given(cut_texts())
def test_a_window_holds_no_more_than_what_is_open(cut: Any) -> None:
    (text,), said = cut
    reader = streams_reader()
    window = Window([reader])
    out = ""
    for _, piece in said:
        out += window.push(piece)
        assert window.held <= 14
    assert out + window.flush() == redacted(text)


def streams_reader() -> Any:
    from gateway.domain.guardrails import Direction
    from gateway.guardrails.streams.reader import Reader
    from gateway.guardrails.tally import Tally

    made = guard()
    return Reader(made, Tally(made, Direction.OUTPUT), FakeClock(), made.detector)
