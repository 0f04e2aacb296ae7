"""Guarded streams of every dialect: how they end when they are blocked, and what they say again at their ends."""

import json

from gateway.domain.call import Operation
from gateway.errors import GuardrailBlocked
from tests.unit.guardrails import streams
from tests.unit.guardrails.streams import DONE, MASK, VERDICT, Originals, blocking, chunk, guard, read


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
