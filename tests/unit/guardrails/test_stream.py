"""Guarded streams, case by case: what a client reads, and what the verdicts say."""

import json
from typing import Any

import pytest

from gateway.domain.call import Operation, StreamEvent
from gateway.domain.guardrails import Action, BackendFilter, Direction, Fail, Size, Tools
from gateway.domain.sse import frame
from gateway.domain.verdicts import Passage, Role
from gateway.errors import GuardrailBlocked, GuardrailUnavailable, UpstreamError
from gateway.guardrails.kinds import Guard
from gateway.guardrails.size import check_output_size
from gateway.guardrails.tools import called_tools, check_called
from tests.unit.guardrails import streams
from tests.unit.guardrails.streams import MASK, Client, Originals, SecretDetector, WordDetector, WordService, asking, call_of, guard, run


def chunk(delta: Any, reason: Any = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason} | more.pop("choice", {})
    document = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    return frame(json.dumps(document).encode())


DONE = frame(b"[DONE]")


def read(pieces: list[bytes], *guards: Guard, operation: Operation = Operation.CHAT, unmask: Any = None, choices: int = 1) -> Client:
    return run(Client(call_of(operation, choices), guards or (guard(),), unmask).read(pieces))


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


def called(arguments: str, index: int = 0, **first: Any) -> bytes:
    begun = {"id": first["id"], "type": "function"} if first else {}
    named = {"name": first["name"]} if first else {}
    return chunk({"tool_calls": [{"index": index, **begun, "function": {**named, "arguments": arguments}}]})


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


VERDICT = {
    "guard": "secrets",
    "direction": "output",
    "category": "secret",
    "severity": None,
    "score": 1.0,
    "reason": None,
    "message": "no secrets here",
}


def blocking(**over: Any) -> Guard:
    return guard(Action.BLOCK, config=streams.Terms(id="secrets", terms=("x",), message="no secrets here"), **over)


def test_a_blocked_chat_ends_with_a_content_filter_for_every_open_choice() -> None:
    pieces = [
        chunk({"content": "a"}, None, 0),
        chunk({"content": "b"}, "stop", 1),
        chunk({"content": "so SECRET-1 never"}),
        chunk({"content": "x"}),
    ]
    client = read([*pieces, chunk({}, "stop"), DONE], blocking(), choices=3)
    ending = client.documents[-1]
    assert [(choice["index"], choice["finish_reason"], choice["delta"]) for choice in ending["choices"]] == [
        (0, "content_filter", {}),
        (2, "content_filter", {}),
    ]
    assert ending["gateway_guardrail"] == VERDICT
    assert (ending["id"], ending["object"]) == ("c1", "chat.completion.chunk")
    assert client.texts == {(0, "content"): "aso ", (1, "content"): "b"}
    assert client.data.endswith(DONE)
    assert (client.events[-1].done, client.events[-1].finish_reason, client.events[-1].error) == (True, "content_filter", None)
    assert client.stream.blocked
    assert client.outcomes == {"secrets": "blocked"}


def test_a_finding_in_the_chunk_that_ends_a_choice_takes_the_place_of_its_reason() -> None:
    client = read([chunk({"content": "so SECRET-1"}, "stop"), DONE], blocking())
    assert [choice["finish_reason"] for document in client.documents for choice in document["choices"]] == [None, "content_filter"]
    assert client.texts == {(0, "content"): "so "}


def test_a_blocked_completion_ends_likewise() -> None:
    client = read(streams.completions([(0, "so SECRET-1 never")]), blocking(), operation=Operation.COMPLETIONS)
    assert client.documents[-1]["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "content_filter"}]
    assert client.documents[-1]["gateway_guardrail"] == VERDICT
    assert client.texts == {(0, "text"): "so "}


def test_a_blocked_message_stops_its_block_and_ends_as_a_refusal() -> None:
    client = read(streams.messages([(1, "so SECRET-1 never")]), blocking(), operation=Operation.MESSAGES)
    assert [document["type"] for document in client.documents[-4:]] == [
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert client.documents[-3]["index"] == 1
    assert client.documents[-2]["delta"] == {"stop_reason": "refusal", "stop_sequence": None}
    assert client.documents[-2]["gateway_guardrail"] == VERDICT
    assert client.texts[1, "text"] == "so "
    assert b"event: message_stop\n" in client.data


def test_a_message_blocked_over_a_tools_input_never_ends_that_input() -> None:
    client = read(streams.messages([(2, '{"a":"SECRET-1"}')]), blocking(), operation=Operation.MESSAGES)
    assert (2, "partial_json") not in client.texts
    stops = [document["index"] for document in client.documents if document["type"] == "content_block_stop"]
    assert stops == [0, 1, 2]


def test_a_blocked_response_ends_what_is_open_with_what_was_released() -> None:
    client = read(streams.responses([(0, "so SECRET-1 never")]), blocking(), operation=Operation.RESPONSES)
    kinds = [document["type"] for document in client.documents]
    assert kinds[-1] == "response.incomplete"
    done = {document["type"]: document for document in client.documents}
    assert done["response.output_text.done"]["text"] == "so "
    response = done["response.incomplete"]["response"]
    assert (response["id"], response["status"], response["incomplete_details"]) == ("resp_1", "incomplete", {"reason": "content_filter"})
    assert response["gateway_guardrail"] == VERDICT
    message = response["output"][0]
    assert (message["status"], message["content"][0]["text"]) == ("incomplete", "so ")
    numbers = [document["sequence_number"] for document in client.documents]
    assert numbers == sorted(numbers)
    assert client.events[-1].done


def test_what_of_a_response_has_ended_before_it_is_blocked_is_not_ended_again() -> None:
    client = read(streams.responses([(0, "so"), (2, "SECRET-1")]), blocking(), operation=Operation.RESPONSES)
    ended = [(document["type"], document["output_index"]) for document in client.documents if document["type"].endswith("part.done")]
    assert ended == [("response.content_part.done", 0), ("response.content_part.done", 2)]
    items = [document["item"].get("status") for document in client.documents if document["type"] == "response.output_item.done"]
    assert items == ["completed", "completed", None]
    output = client.documents[-1]["response"]["output"]
    assert [(item["type"], item.get("content")) for item in output[::2]] == [
        ("message", [{"type": "output_text", "text": "so", "annotations": [], "logprobs": []}]),
        ("reasoning", [{"type": "reasoning_text", "text": ""}]),
    ]


def test_a_blocked_transcription_is_an_error_because_its_dialect_has_no_such_end() -> None:
    client = read(streams.transcription([(0, "so SECRET-1 never")]), blocking(), operation=Operation.TRANSCRIPTION)
    assert isinstance(client.events[-1].error, GuardrailBlocked)
    assert client.texts == {"transcript": "so "}


def test_a_response_says_at_its_end_what_it_said_before() -> None:
    said = [(0, "so SECR"), (0, "ET-12 <EMAIL_1>"), (1, '{"a":"SECRET-1"}'), (2, "hm SECRET-1")]
    client = read(streams.responses(said), guard(), operation=Operation.RESPONSES, unmask=Originals())
    text = f"so {MASK} {Originals.original}"
    done = {document["type"]: document for document in client.documents if document["type"].endswith(".done")}
    assert done["response.output_text.done"]["text"] == text
    assert done["response.function_call_arguments.done"]["arguments"] == f'{{"a":"{MASK}"}}'
    output = client.documents[-1]["response"]["output"]
    assert output[0]["content"][0]["text"] == text
    assert output[1]["arguments"] == f'{{"a":"{MASK}"}}'
    assert output[2]["content"][0]["text"] == f"hm {MASK}"
    assert client.verdicts[0].count == 3
    numbers = [document["sequence_number"] for document in client.documents]
    assert numbers == sorted(numbers)


def test_what_a_response_repeats_of_the_request_gets_its_originals_back_and_is_not_judged() -> None:
    begun = {"type": "response.created", "response": {"id": "r", "output": [], "instructions": "write to <EMAIL_1>, SECRET-1"}}
    pieces = [streams.named("response.created", json.dumps(begun).encode()), *streams.responses([(0, "a")])[2:]]
    client = read(pieces, guard(), operation=Operation.RESPONSES, unmask=Originals())
    assert client.documents[0]["response"]["instructions"] == f"write to {Originals.original}, SECRET-1"
    assert client.outcomes == {"secrets": "passed"}


def test_thinking_that_was_redacted_loses_its_signature_and_other_thinking_keeps_it() -> None:
    signatures = []
    for text in ("SECRET-1 hm", "hm <EMAIL_1>"):
        client = read(streams.messages([(0, text)]), guard(), operation=Operation.MESSAGES, unmask=Originals())
        signatures += [
            document["delta"]["signature"] for document in client.documents if document.get("delta", {}).get("type") == "signature_delta"
        ]
    assert signatures == ["", "signed"]


def test_a_block_that_begins_with_text_is_read_from_there() -> None:
    pieces = streams.messages([(1, "T-1 never")])
    at = next(index for index, piece in enumerate(pieces) if b'"type": "text", "text": ""' in piece)
    pieces[at] = pieces[at].replace(b'"text": ""', b'"text": "SECRE"')
    client = read(pieces, guard(), operation=Operation.MESSAGES)
    assert client.texts[1, "text"] == f"{MASK} never"


async def test_a_service_judges_stretches_before_they_are_released() -> None:
    service = WordService("evil")
    source = Passage(("messages", 0), "the request", Role.USER)
    client = Client(call_of(Operation.CHAT), [asking(service, chunk=40)], sources=[source])
    await client.read(streams.chat([(0, "good words " * 3), (0, "good words again "), (0, "and ev"), (0, "il ones")], choices=1))
    assert client.texts[0, "content"] == "good words " * 3 + "good words again and "
    assert client.moments[1].get((0, "content")) == ""
    assert service.seen == ["good words " * 3 + "good words again ", ("good words " * 3 + "good words again ")[-100:] + "and evil ones"]
    assert service.sources == [source]
    assert client.outcomes == {"safety": "blocked"}


async def test_what_a_service_redacts_is_redacted_whole_over_the_boundary_of_stretches() -> None:
    service = WordService("Maria Gonzalez")
    text = "x" * 200 + " I met Maria Gonzalez there " + "y" * 120 + " Maria Gonzalez"
    client = Client(call_of(Operation.CHAT), [asking(service, Action.REDACT, chunk=20)])
    await client.read(streams.chat([(0, text[at : at + 7]) for at in range(0, len(text), 7)], choices=1))
    assert client.texts[0, "content"] == text.replace("Maria Gonzalez", "[REDACTED]")
    assert client.outcomes == {"safety": "redacted"}


async def test_what_a_service_redacts_in_arguments_is_redacted_where_it_stands() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("Maria"), Action.REDACT)])
    arguments = '{"a":"of Ma","b":"see Maria there","c":["Maria"]}'
    await client.read([called(arguments, 0, id="t", name="f"), chunk({}, "tool_calls"), DONE])
    assert client.texts[0, "call", 0] == '{"a":"of Ma","b":"see [REDACTED] there","c":["[REDACTED]"]}'


async def test_services_are_shown_what_detectors_left() -> None:
    service = WordService("evil")
    client = Client(call_of(Operation.CHAT), [guard(), asking(service)])
    await client.read(streams.chat([(0, "SECRET-1 and SEC"), (0, "RET-2")], choices=1))
    assert service.seen == [f"{MASK} and {MASK}"]


async def test_a_service_that_fails_closed_breaks_the_stream_and_nothing_unchecked_is_released() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("evil", GuardrailUnavailable("down")), chunk=10)])
    await client.read(streams.chat([(0, "a few words")], choices=1))
    assert client.texts.get((0, "content")) == ""
    assert isinstance(client.events[-1].error, GuardrailUnavailable)
    assert not client.events[-1].done
    assert client.outcomes == {"safety": "unavailable"}


async def test_a_service_that_fails_open_is_asked_once_and_is_unavailable() -> None:
    service = WordService("evil", GuardrailUnavailable("down"))
    client = Client(call_of(Operation.CHAT), [asking(service, chunk=10, fail=Fail.OPEN)])
    await client.read(streams.chat([(0, "a few words"), (0, " and some more")], choices=1))
    assert client.texts[0, "content"] == "a few words and some more"
    assert client.events[-1].done
    assert [(verdict.outcome.value, verdict.scanned) for verdict in client.verdicts] == [("unavailable", 0)]


async def test_a_service_that_only_reports_holds_nothing_back() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("evil"), Action.REPORT)])
    await client.read(streams.chat([(0, "so "), (0, "evil")], choices=1))
    assert client.data == b"".join(event.data for event in client.came)
    assert client.outcomes == {"safety": "reported"}


async def test_a_report_that_the_stream_did_not_wait_for_is_unavailable() -> None:
    client = Client(call_of(Operation.CHAT), [asking(WordService("evil"), Action.REPORT)])
    await client.read([chunk({"content": "evil"})], end=False)
    client.stream.close()
    assert client.outcomes == {"safety": "unavailable"}


def test_a_stream_that_is_dropped_where_nothing_runs_any_more_asks_nobody() -> None:
    client = run(
        Client(call_of(Operation.CHAT), [asking(WordService("evil"), Action.REPORT)]).read([chunk({"content": "evil"})], end=False)
    )
    client.stream.close()
    assert client.outcomes == {"safety": "unavailable"}


def test_a_detector_of_whole_texts_judges_stretches_too() -> None:
    long = asking(None, chunk=10)
    judged = Guard(config=long.config, directions=long.directions, action=Action.BLOCK, detector=WordDetector("evil"))
    client = read(streams.chat([(0, "some good words"), (0, " are ev"), (0, "il")], choices=1), judged)
    assert client.texts[0, "content"] == "some good words"
    assert client.verdicts[0].score == 1.0


def ruled(config: Any, rule: Any, action: Action = Action.BLOCK) -> Guard:
    return Guard(config=config, directions=frozenset({Direction.OUTPUT}), action=action, answer_rule=rule)


def sized(action: Action = Action.BLOCK) -> Guard:
    config = Size(id="size", output_characters=10)
    return ruled(config, lambda _operation, _document, characters: check_output_size(config, characters), action)


def tools(action: Action = Action.BLOCK) -> Guard:
    config = Tools(id="tools", deny=("rm",))
    return ruled(config, lambda operation, document, _: check_called(config, called_tools(operation, document)), action)


def test_an_answer_that_grows_too_large_ends_where_it_does() -> None:
    client = read(streams.chat([(0, "12345"), (0, "67890"), (0, "1"), (0, "2")], choices=1), sized())
    assert client.texts[0, "content"] == "1234567890"
    assert client.outcomes == {"size": "blocked"}
    client = read(streams.chat([(0, "1234567890"), (0, "1"), (0, "2")], choices=1), sized(Action.REPORT))
    assert [(verdict.outcome.value, verdict.count) for verdict in client.verdicts] == [("reported", 1)]


def test_a_tool_that_may_not_be_called_is_never_named_to_the_client() -> None:
    client = read([chunk({"role": "assistant"}), called("", 0, id="t", name="rm"), called("{}"), chunk({}, "tool_calls"), DONE], tools())
    assert b'"rm"' not in client.data
    assert client.documents[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert client.outcomes == {"tools": "blocked"}
    message = [piece.replace(b'"name": "f"', b'"name": "rm"') for piece in streams.messages([(1, "so")])]
    client = read(message, tools(), operation=Operation.MESSAGES)
    assert b'"rm"' not in client.data
    assert client.outcomes == {"tools": "blocked"}
    response = [piece.replace(b'"name": "f"', b'"name": "rm"') for piece in streams.responses([(0, "so")])]
    client = read(response, tools(), operation=Operation.RESPONSES)
    assert b'"rm"' not in client.data
    assert client.documents[-1]["type"] == "response.incomplete"


def test_a_tool_that_may_not_be_called_is_reported_once() -> None:
    for operation in (Operation.MESSAGES, Operation.RESPONSES):
        pieces = [piece.replace(b'"name": "f"', b'"name": "rm"') for piece in streams.SENDERS[operation]([(0, "so")])]
        client = read(pieces, tools(Action.REPORT), operation=operation)
        assert [(verdict.outcome.value, verdict.count) for verdict in client.verdicts] == [("reported", 1)]


def test_originals_in_a_text_that_is_json_are_escaped() -> None:
    text = '{"to": "<EMAIL_1>"}'
    client = read(streams.chat([(0, text[:12]), (0, text[12:])], choices=1), unmask=Originals())
    assert json.loads(client.texts[0, "content"]) == {"to": Originals.original}


def test_the_id_of_a_response_is_known() -> None:
    client = read(streams.responses([(0, "so")]), operation=Operation.RESPONSES)
    assert client.stream.response_id == "resp_1"


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
