import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import StreamEvent, Usage
from gateway.errors import ContentFiltered
from gateway.providers.openai_stream import OpenAIStream, without_null_usage

DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": members.pop("finish_reason", None)}
    return json.dumps({"id": "c1", "choices": [choice], **members}, separators=(",", ":")).encode()


def sse(*payloads: bytes) -> bytes:
    return b"".join(b"data: " + payload + b"\n\n" for payload in payloads)


def read(*pieces: bytes, include_usage: bool = False, choices: int = 1, limit: int = 1 << 20) -> list[StreamEvent]:
    decoder = OpenAIStream(include_usage=include_usage, choices=choices, limit=limit)
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()


def codes(events: list[StreamEvent]) -> list[str | None]:
    return [event.error.code if event.error else None for event in events]


USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 5}}
USAGE_CHUNK = json.dumps({"choices": [], "usage": USAGE}).encode()


@pytest.mark.parametrize(
    ("delta", "content", "text"),
    [
        ({"role": "assistant", "content": ""}, False, ""),
        ({"content": "Hi"}, True, "Hi"),
        ({"content": None, "refusal": "No."}, True, "No."),
        ({"reasoning_content": "Hm"}, True, "Hm"),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}, True, ""),
        ({"tool_calls": [{"function": {"arguments": '{"a'}}, {"function": {"arguments": '":1}'}}]}, True, '{"a":1}'),
        ({"function_call": {"arguments": "{}"}}, True, "{}"),
        ({"audio": {"data": "AAAA"}}, True, ""),
        ({"audio": None, "tool_calls": [], "refusal": None}, False, ""),
    ],
)
def test_tells_output_from_the_rest(delta: dict[str, Any], content: bool, text: str) -> None:
    event = read(sse(chunk(delta), b"[DONE]"))[0]
    assert (event.content, event.text) == (content, text)


def test_joins_the_choices_of_one_chunk() -> None:
    choices = [{"delta": {"content": "a"}}, {"finish_reason": "stop"}, {"delta": {"content": "b"}, "finish_reason": "length"}]
    event = read(sse(json.dumps({"choices": choices}).encode(), b"[DONE]"))[0]
    assert (event.content, event.text, event.finish_reason) == (True, "ab", "stop")


def test_withholds_the_usage_chunk_from_a_client_that_did_not_ask() -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=5)
    assert read(sse(USAGE_CHUNK, b"[DONE]")) == [StreamEvent(b"", usage=usage), StreamEvent(DONE, done=True)]
    assert read(sse(USAGE_CHUNK, b"[DONE]"), include_usage=True)[0] == StreamEvent(sse(USAGE_CHUNK), usage=usage)


def test_usage_that_comes_with_output_is_read_but_shown_only_to_who_asked() -> None:
    sent, numbers = chunk({"content": "x"}, usage=USAGE), Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=5)
    event = read(sse(sent, b"[DONE]"))[0]
    assert (event.text, event.usage, event.data) == ("x", numbers, sse(chunk({"content": "x"})))
    event = read(sse(sent, b"[DONE]"), include_usage=True)[0]
    assert (event.text, event.usage, event.data) == ("x", numbers, sse(sent))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{ "usage" : {"prompt_tokens":1} , "choices":[{ "n":1.0e-0}] }', b'{"choices":[{ "n":1.0e-0}] }'),
        (b'{"choices":[{"usage":{"a":1}}],"us\\u0061ge":{"prompt_tokens":1},"x":"}"}', b'{"choices":[{"usage":{"a":1}}],"x":"}"}'),
    ],
)
def test_usage_is_cut_out_byte_by_byte(data: bytes, expected: bytes) -> None:
    event = read(sse(data, b"[DONE]"))[0]
    assert (event.data, event.usage) == (sse(expected), Usage(prompt_tokens=1))


@pytest.mark.parametrize("include_usage", [True, False])
def test_keeps_azures_first_chunk(include_usage: bool) -> None:
    first = b'{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}'
    assert read(sse(first, b"[DONE]"), include_usage=include_usage)[0] == StreamEvent(sse(first))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"id":"1","usage":null}', b'{"id":"1"}'),
        (b'{"id":"1","usage":null,"obfuscation":"x"}', b'{"id":"1","obfuscation":"x"}'),
        (b'{"usage":null,"id":"1"}', b'{"id":"1"}'),
        (b'{"usage":null}', b"{}"),
        (b'{ "id" : "1" , "usage" : null , "n" : 1.0e-0 }', b'{ "id" : "1" , "n" : 1.0e-0 }'),
        (b'{"id":1,"usage":null,"s":"}"}', b'{"id":1,"s":"}"}'),
        (b'{"id":1,"usage":null,"x":{"a":1,"usage":null}}', b'{"id":1,"x":{"a":1,"usage":null}}'),
        (b'{"id":1,"x":{"a":1,"usage":null},"usage":null}', b'{"id":1,"x":{"a":1,"usage":null}}'),
        (b'{"x":[{"a":1,"usage":null}],"us\\u0061ge":null}', b'{"x":[{"a":1,"usage":null}]}'),
        (b'{"a":"q,\\"usage\\":null}","usage":null}', b'{"a":"q,\\"usage\\":null}"}'),
        (b'{"a,\\"usage":null,"usage":null,"b":"}"}', b'{"a,\\"usage":null,"b":"}"}'),
    ],
)
def test_cuts_out_the_documents_own_null_usage_and_nothing_else(data: bytes, expected: bytes) -> None:
    assert without_null_usage(data) == expected
    event = read(sse(data, b"[DONE]"))[0]
    assert event.data == sse(expected)
    assert read(sse(data, b"[DONE]"), include_usage=True)[0].data == sse(data)


@given(st.text(), st.text(), st.sampled_from([None, "end", "middle"]))
def test_a_text_that_speaks_of_usage_is_never_touched(before: str, after: str, place: str | None) -> None:
    content = f'{before},"usage":null{after},"usage":null}}'
    document: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": content}}], 'key,"usage': None}
    if place:
        document["usage"] = None
    if place == "middle":
        document["obfuscation"] = after
    raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    document.pop("usage", None)
    kept = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    event = read(sse(raw, b"[DONE]"))[0]
    assert (event.data, event.text) == (sse(kept), content)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", "upstream_malformed"),
        (b"[]", "upstream_malformed"),
        (b'{"choices":7}', "upstream_malformed"),
        (b'{"choices":[{"delta":{"content":"\xff"}}]}', "upstream_malformed"),
        (b'{"id":"a","id":"b","usage":null,"x":"}"}', "upstream_malformed"),
        (b'{"error":{"message":"at https://contoso"}}', "upstream_error"),
        (b'{"error":{"code":"429"}}', "upstream_throttled"),
    ],
)
def test_an_event_that_is_an_error_ends_the_stream(payload: bytes, code: str) -> None:
    events = read(sse(chunk({"content": "a"}), payload, chunk({"content": "b"}), b"[DONE]"), sse(b"[DONE]"))
    assert codes(events) == [None, code]
    assert events[-1].data == b""


def test_a_null_error_is_none() -> None:
    assert codes(read(sse(chunk({"content": "a"}, error=None), b"[DONE]"))) == [None, None]


def test_a_filter_error_in_a_stream_keeps_its_annotations() -> None:
    inner = {"code": "ContentFiltered", "content_filter_result": {}}
    event = read(sse(json.dumps({"error": {"code": "content_filter", "innererror": inner}}).encode()))[0]
    assert isinstance(event.error, ContentFiltered)
    assert event.error.details == {"innererror": inner}


def test_ignores_what_follows_done() -> None:
    assert read(sse(b"[DONE]", chunk({"content": "a"})), b"data: {", sse(b"[DONE]")) == [StreamEvent(DONE, done=True)]


@pytest.mark.parametrize("rest", [b"", b"data: [DO", b"data: {", sse(chunk()), b": ping\n\n", b"data: \n\n"])
def test_an_end_without_done_is_an_error(rest: bytes) -> None:
    assert codes(read(sse(chunk({"content": "a"})), rest))[-1] == "upstream_interrupted"
    decoder = OpenAIStream(include_usage=False)
    assert codes(decoder.finish() + decoder.finish()) == ["upstream_interrupted"]


STOP = chunk(finish_reason="stop")
ENDED = StreamEvent(DONE, done=True)


@pytest.mark.parametrize("rest", [b"", b": ping\n\n", b"data: [DO", b'data: {"choices":[],"usa', b"data:"])
def test_an_end_without_done_is_an_end_where_every_choice_has_finished(rest: bytes) -> None:
    events = read(sse(chunk({"content": "a"}), STOP, USAGE_CHUNK), rest)
    assert events[-1] == ENDED
    assert codes(events) == [None] * 4
    assert events[2] == StreamEvent(b"", usage=Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=5))
    decoder = OpenAIStream(include_usage=False)
    decoder.feed(sse(STOP))
    assert (decoder.finish(), decoder.finish(), decoder.feed(sse(STOP))) == ([ENDED], [], [])


def finished(*indexes: object) -> bytes:
    return json.dumps({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"} for index in indexes]}).encode()


@pytest.mark.parametrize(
    ("chunks", "choices", "complete"),
    [
        ([finished(0), finished(1)], 2, True),
        ([finished(1, 0)], 2, True),
        ([finished(0), finished(0)], 2, False),
        ([finished(0), finished(2)], 2, False),
        ([finished(1)], 1, False),
        ([finished(0), finished(-1), finished(True), finished([1]), finished("1"), finished(1.0)], 2, False),
        ([b'{"choices":[{"finish_reason":"stop"}]}'], 1, True),
        ([b'{"choices":[{"finish_reason":"stop"},{"finish_reason":"stop"}]}'], 2, False),
        ([b'{"choices":[{"index":0,"finish_reason":""}]}'], 1, False),
        ([STOP, b'{"choices":[],"usage":null}'], 1, True),
    ],
)
def test_every_choice_must_have_finished(chunks: list[bytes], choices: int, complete: bool) -> None:
    events = read(sse(*chunks), choices=choices)
    assert codes(events[:-1]) == [None] * len(chunks)
    assert (events[-1] == ENDED) is complete
    assert codes(events)[-1] == (None if complete else "upstream_interrupted")


def test_a_last_event_without_its_blank_line_counts_if_it_is_whole() -> None:
    assert read(sse(chunk({"content": "a"})), b"data: " + STOP)[1:] == [StreamEvent(sse(STOP), finish_reason="stop"), ENDED]
    assert read(sse(STOP), b"data: " + USAGE_CHUNK + b"\n")[1].usage is not None
    assert codes(read(sse(STOP), b'data: {"error":{"code":"429"}}')) == [None, "upstream_throttled"]
    assert codes(read(b"data: " + chunk({"content": "a"}))) == [None, "upstream_interrupted"]


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r", b"data: [DONE]\r\n"])
def test_done_counts_even_without_its_blank_line(last: bytes) -> None:
    assert read(sse(chunk()), last)[-1] == StreamEvent(DONE, done=True)


def test_an_event_without_end_is_an_error_once() -> None:
    assert codes(read(*[b"data: " + b"x" * 500] * 5, limit=1000)) == ["upstream_malformed"]


def test_frames_data_of_many_lines_again() -> None:
    event = read(b'data: {"choices":\r\ndata: []}\r\n\r\n', sse(b"[DONE]"))[0]
    assert event.data == b'data: {"choices":\ndata: []}\n\n'


def test_drops_comments_and_empty_events() -> None:
    assert read(b": OPENROUTER PROCESSING\n\ndata: \n\n", sse(b"[DONE]")) == [StreamEvent(DONE, done=True)]
