"""Guarded streams, case by case: what a client reads, and what the verdicts say."""

import json

import pytest

from gateway.domain.call import Operation, StreamEvent
from gateway.domain.guardrails import Action, BackendFilter, Direction, Fail
from gateway.domain.verdicts import Role
from gateway.errors import GuardrailUnavailable, UpstreamError
from gateway.guardrails.kinds import Guard
from gateway.providers.anthropic_stream import framed
from tests.unit.guardrails import streams
from tests.unit.guardrails.streams import (
    DONE,
    MASK,
    Client,
    Originals,
    SecretDetector,
    WordService,
    asking,
    call_of,
    called,
    chunk,
    guard,
    read,
    run,
)


def test_an_event_in_which_nothing_changes_keeps_its_bytes() -> None:
    piece = b'data: { "id":"c1", "choices": [ {"index":0,"delta":{"content":"a \\u00e9 1.0E+2"}, "finish_reason":null} ], "x": 1.50 }\n\n'
    end = chunk({}, "stop")
    assert read([piece, end, DONE]).data == piece + end + DONE


def test_an_event_whose_text_waits_is_withheld_and_the_text_comes_before_the_end() -> None:
    client = read(
        [chunk({"role": "assistant", "content": "SEC"}), chunk({"content": "RET"}), chunk({"content": "-x"}), chunk({}, "stop"), DONE]
    )
    deltas = [document["choices"][0]["delta"] for document in client.documents]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "SECRET-x"}, {}]
    assert [event.content for event in client.events] == [True, False, True, False, False]


def test_the_rest_of_a_text_is_added_to_the_chunk_that_ends_it_where_that_goes_on_with_it() -> None:
    client = read([chunk({"content": "SECRET-1"}), chunk({"content": "2"}, "stop"), DONE])
    assert [document["choices"][0] for document in client.documents] == [
        {"index": 0, "delta": {"content": MASK}, "logprobs": None, "finish_reason": "stop"}
    ]


def test_a_stream_that_ends_without_a_reason_gets_what_waits_before_its_end() -> None:
    client = Client(call_of(Operation.CHAT), [guard()])
    events = [StreamEvent(chunk({"content": "SECRET-1"}), "SECRET-1", content=True), StreamEvent(DONE, done=True)]
    out = run(client.stream.feed(events))
    assert json.loads(out[1].data.split(b"\n\n")[0][6:])["choices"][0]["delta"] == {"content": MASK}
    assert out[1].data.endswith(DONE)


def test_token_probabilities_are_left_out_because_they_repeat_the_text() -> None:
    probabilities = {"content": [{"token": "SECRET-1", "logprob": -1.0}]}
    client = read([chunk({"content": "SECRET-1 "}, choice={"logprobs": probabilities}), chunk({}, "stop"), DONE])
    assert client.documents[0]["choices"][0]["logprobs"] is None


def test_token_probabilities_are_left_out_of_responses_and_transcripts_too() -> None:
    token = b'"logprobs": [{"token": "SECRET-1", "logprob": -1.0}]'
    pieces = [piece.replace(b'"logprobs": []', token) for piece in streams.responses([(0, "so")])]
    pieces = [piece.replace(b'"delta": "so"', b'"delta": "so", ' + token) for piece in pieces]
    pieces = [piece.replace(b'"text": "so"}', b'"text": "so", ' + token + b"}") for piece in pieces]
    client = read(pieces, operation=Operation.RESPONSES)
    assert b"SECRET" not in client.data
    assert client.outcomes == {"secrets": "passed"}
    pieces = [piece.replace(b'"delta": "so"', b'"delta": "so", ' + token) for piece in streams.transcription([(0, "so")])]
    client = read(pieces, operation=Operation.TRANSCRIPTION)
    assert b"SECRET" not in client.data
    assert client.texts == {"transcript": "so"}


def test_annotations_of_the_backends_filter_are_kept_where_the_text_waits() -> None:
    results = {"hate": {"filtered": False, "severity": "safe"}}
    client = read([chunk({"content": "SECRET-1"}, choice={"content_filter_results": results}), chunk({}, "stop"), DONE])
    assert client.documents[0]["choices"][0]["content_filter_results"] == results
    assert client.documents[0]["choices"][0]["delta"] == {"content": ""}
    assert client.texts[0, "content"] == MASK


def test_arguments_wait_until_they_are_complete_and_every_string_in_them_is_read() -> None:
    pieces = [
        called("", 0, id="t1", name="send"),
        called('{"to":"\\u0053ECR'),
        called("", 1, id="t2", name="log"),
        called('{"a":{"SECRET-2":['),
        called('"ok","SECRET-3"],"n":1.0e2}}', 1),
        called('ET-1","to":"x"}', 0),
    ]
    pieces[3] = called('{"a":{"SECRET-2":[', 1)
    client = read([*pieces, chunk({}, "tool_calls"), DONE])
    assert client.texts[0, "call", 0] == '{"to":"[SECRET]","to":"x"}'
    assert client.texts[0, "call", 1] == '{"a":{"[SECRET]":["ok","[SECRET]"],"n":1.0e2}}'
    assert [len(document["choices"][0]["delta"].get("tool_calls", ())) for document in client.documents] == [1, 1, 1, 1, 0]
    assert client.verdicts[0].count == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"a":"\\u0053ECRET-1', '{"a":"[SECRET]"'),  # cut off inside a string
        ('{"a":"b\\u00', '{"a":"b\\u00'),
        ('{"a":"\\u0053ECRET-1\\u00', '{"a":"[SECRET]"'),  # and inside an escape
        ("SECRET-1", MASK),
        ("{'a': 'SECRET-1'}", "{'a': '[SECRET]'}"),
        ('"SECRET-1 \\ud800"', '"[SECRET] ?"'),
        ('{"card":12345678901}', '{"card":12345678901}'),
    ],
)
def test_arguments_that_are_no_json_are_read_all_the_same(arguments: str, said: str) -> None:
    client = read([called(arguments, 0, id="t", name="f"), chunk({}, "length"), DONE])
    assert client.texts[0, "call", 0] == said


def test_originals_in_arguments_are_escaped() -> None:
    client = read([called('{"to":"<EMA', 0, id="t", name="f"), called('IL_1>"}'), chunk({}, "tool_calls"), DONE], unmask=Originals())
    assert json.loads(client.texts[0, "call", 0]) == {"to": Originals.original}


def test_signed_thoughts_with_a_finding_are_left_out_and_others_stay() -> None:
    thoughts = [{"type": "thinking", "thinking": "<EMAIL_1>", "signature": "s"}]
    client = read([chunk({"thinking_blocks": thoughts}), chunk({}, "stop"), DONE], unmask=Originals())
    assert client.documents[0]["choices"][0]["delta"] == {"thinking_blocks": thoughts}
    thoughts = [{"type": "thinking", "thinking": "SECRET-1", "signature": "s"}]
    client = read([chunk({"thinking_blocks": thoughts}), chunk({}, "stop"), DONE])
    assert b"SECRET" not in client.data


def test_members_that_are_new_to_us_are_read() -> None:
    client = read([chunk({"annotations": [{"url_citation": {"title": "SECRET-1", "start_index": 1}}]}), chunk({}, "stop"), DONE])
    assert client.documents[0]["choices"][0]["delta"] == {"annotations": [{"url_citation": {"title": MASK, "start_index": 1}}]}


def test_sound_is_passed_on_and_said_to_be_unread_while_its_transcript_is_read() -> None:
    client = read([chunk({"audio": {"id": "a", "transcript": "SECRET-1 ", "data": "AAAA"}}), chunk({}, "stop"), DONE])
    assert client.documents[0]["choices"][0]["delta"]["audio"] == {"id": "a", "transcript": MASK + " ", "data": "AAAA"}
    assert client.outcomes == {"secrets": "skipped"}


def test_what_waits_when_a_stream_breaks_is_not_released() -> None:
    client = run(Client(call_of(Operation.CHAT), [guard()]).read([chunk({"content": "so SECRET-123"})]))
    assert client.texts == {(0, "content"): "so "}
    assert isinstance(client.events[-1].error, UpstreamError)
    assert len(client.verdicts) == 1


def test_a_stream_that_is_closed_early_gives_its_verdicts_once() -> None:
    client = run(Client(call_of(Operation.CHAT), [guard(Action.REPORT)]).read([chunk({"content": "SECRET-1"})], end=False))
    assert not client.verdicts
    client.stream.close()
    client.stream.close()
    assert [(verdict.outcome.value, verdict.count) for verdict in client.verdicts] == [("reported", 1)]
    assert run(client.stream.feed([StreamEvent(DONE, done=True)])) == []


def test_originals_in_a_text_that_is_json_are_escaped() -> None:
    text = '{"to": "<EMAIL_1>"}'
    client = read(streams.chat([(0, text[:12]), (0, text[12:])], choices=1), unmask=Originals())
    assert json.loads(client.texts[0, "content"]) == {"to": Originals.original}


def test_what_is_sealed_passes_as_it_came() -> None:
    sealed = {"type": "encrypted_code_execution_result", "encrypted_stdout": "SECRET-1", "content": []}
    block = {"type": "code_execution_tool_result", "tool_use_id": "t1", "content": sealed}
    event = {"type": "content_block_start", "index": 0, "content_block": block}
    client = read([framed(b"content_block_start", json.dumps(event).encode())], operation=Operation.MESSAGES)
    assert client.documents == [event]


async def test_a_service_that_reports_and_fails_closed_breaks_the_stream_at_its_end() -> None:
    service = WordService("evil", GuardrailUnavailable("down"))
    client = Client(call_of(Operation.CHAT), [asking(service, Action.REPORT)])
    await client.read(streams.chat([(0, "so")], choices=1))
    assert isinstance(client.events[-1].error, GuardrailUnavailable)


def unfiltered(fail: Fail) -> Client:
    results = {"error": {"code": "content_filter_error", "message": "not filtered"}}
    backend = Guard(config=BackendFilter(id="azure", fail=fail), directions=frozenset({Direction.OUTPUT}), action=Action.BLOCK)
    return read(
        [chunk({"content": "a"}), chunk({"content": "b"}, choice={"content_filter_results": results}), chunk({}, "stop"), DONE], backend
    )


def test_what_the_backends_filter_could_not_check_breaks_a_stream_that_fails_closed() -> None:
    client = unfiltered(Fail.CLOSED)
    assert client.texts == {(0, "content"): "a"}
    error = client.events[-1].error
    assert isinstance(error, GuardrailUnavailable)
    assert error.code == "content_filter_unavailable"
    assert client.outcomes == {"azure": "unavailable"}


def test_what_the_backends_filter_could_not_check_passes_where_it_fails_open() -> None:
    client = unfiltered(Fail.OPEN)
    assert client.texts == {(0, "content"): "ab"}
    assert client.outcomes == {"azure": "unavailable"}


def test_an_event_that_cannot_be_read_breaks_the_stream() -> None:
    client = Client(call_of(Operation.CHAT), [guard()])
    (event,) = run(client.stream.feed([StreamEvent(b"data: SECRET-1\n\n")]))
    assert isinstance(event.error, GuardrailUnavailable)
    assert event.data == b""


def test_a_stream_that_is_passed_through_is_said_to_be_unread() -> None:
    client = Client(call_of(Operation.FORWARD), [guard()])
    event = StreamEvent(b"SECRET-1", content=True)
    assert run(client.stream.feed([event])) == [event]
    client.stream.close()
    assert client.outcomes == {"secrets": "skipped"}


def test_guardrails_that_do_not_look_at_answers_give_no_verdict() -> None:
    others = [guard(directions=frozenset({Direction.MESSAGES})), guard(roles=frozenset({Role.USER}))]
    assert read(streams.chat([(0, "SECRET-1")], choices=1), *others).verdicts == []


def test_the_fake_detector_calls_open_what_more_text_could_complete() -> None:
    detector = SecretDetector()
    assert [detector.open_from(text) for text in ("a SEC", "SECRET-123", "SECRET-12345678", "SECRET-1 ")] == [2, 0, 15, 9]
