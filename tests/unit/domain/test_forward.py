"""What the gateway reads from a pass-through request, and that nobody leaves the backend's endpoint."""

import posixpath
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Call, Operation, Surface
from gateway.domain.forward import MAX_TARGET_CHARACTERS, check_path, read_ceiling, read_forward
from gateway.errors import RequestError
from tests.builders import make_inbound

OUT = [
    "..", "../x", "a/../b", "a/..", "%2e%2e/x", "%2E./x", "a/%2e%2e", "..%2fx", "a%2f..%2f..", "%252e%252e/x", "..;/x", "..;a=b/x", ".",
    "./x", "a/./b", "%2e", "a%5c..%5cb", "a\\b", "%5c", "//x", "/x", "a//b", "%00", "a%0d%0ab", "%7f", "%250d", "a\r\nb", "a b", "a\tb",
    "a?b", "a#b", "é", 'a"b', "a<b", "a{b}", "a^b", "a`b", "%", "%4", "%zz", "%25252e",
    "...", "a/...", "..%20/x", "%20", "%c0%ae%c0%ae/x", "%C1%9C", "%25c0%25ae/x", "%EF%BC%8E%EF%BC%8E/x", "..%EF%BC%8Fx", "%EF%BC%BCx",
]  # fmt: skip
WITHIN = [
    "", "a", "a/", "a/b", "language/:analyze-text", "a%2Fb", "a%2F%2Fb", "a..b", "a...", "..a", "v3.2/x", "a;b=c/d", "%C3%A9",
    "a%20b", "~x/(y)/'z'", "a@b", "a,b", "a|b", "Products(1)", "%2525", "https%3A%2F%2Fexample.com", "$batch", "a[0]",
]  # fmt: skip


def read(**over: Any) -> Call:
    fields = {"operation": Operation.FORWARD, "surface": Surface.AI, "path_model": "vision", "path": "/ai/vision/x"}
    return read_forward(make_inbound(**fields | over), "00-trace")


def test_a_request_is_taken_as_it_is() -> None:
    call = read(method="PUT", path_rest="a%2Fb/c", query_string="x=1&y=%20&x=2", body=b"\x00\xff", headers={"content-type": "audio/wav"})
    assert (call.model, call.method, call.path, call.query) == ("vision", "PUT", "a%2Fb/c", "x=1&y=%20&x=2")
    assert (call.body, call.content_type, call.document, call.trace) == (b"\x00\xff", "audio/wav", {}, "00-trace")
    assert (call.operation, call.surface, call.pinned, call.stream) == (Operation.FORWARD, Surface.AI, "", False)


@pytest.mark.parametrize("path", OUT)
def test_a_path_that_may_lead_out_of_the_endpoint_is_refused(path: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(path_rest=path)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "path", "invalid_path")


@pytest.mark.parametrize("path", WITHIN)
def test_a_path_that_stays_below_the_endpoint_goes_on_as_it_came(path: str) -> None:
    assert read(path_rest=path).path == path


@given(st.text(st.sampled_from("./\\%2eEfF5cC;a0"), max_size=14))
def test_no_accepted_path_leads_out_however_often_it_is_read(path: str) -> None:
    try:
        check_path(path)
    except RequestError:
        return
    text = f"/base/{path}"
    for _ in range(4):
        plain = text.replace("\\", "/")
        assert posixpath.normpath(plain).startswith("/base")
        assert ".." not in plain.split("/")
        text = unquote(text)


@pytest.mark.parametrize("query", ["a b", "a#b", 'a"', "é", "a\r\nx: y", "\x00"])
def test_a_query_that_no_url_may_hold_is_refused(query: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(query_string=query)
    assert caught.value.param == "query"


def test_an_endless_url_is_refused() -> None:
    assert read(path_rest="a" * MAX_TARGET_CHARACTERS).path
    with pytest.raises(RequestError):
        read(path_rest="a" * MAX_TARGET_CHARACTERS, query_string="b")


@pytest.mark.parametrize(
    ("query", "sent", "pinned"),
    [
        ("gateway-deployment=vision-east", "", "vision-east"),
        ("a=%20&gateway-deployment=v%3A1&b", "a=%20&b", "v:1"),
        ("x-gateway-deployment=1", "x-gateway-deployment=1", ""),
        ("a=gateway-deployment", "a=gateway-deployment", ""),
    ],
)
def test_our_own_parameter_is_taken_out_of_the_query(query: str, sent: str, pinned: str) -> None:
    call = read(query_string=query)
    assert (call.query, call.pinned) == (sent, pinned)


@pytest.mark.parametrize(
    "query", ["gateway-deployment=", "gateway-deployment", "gateway-deployment=a/b", "gateway-deployment=a&gateway-deployment=a"]
)
def test_our_own_parameter_names_one_deployment_or_is_refused(query: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(query_string=query)
    assert caught.value.param == "gateway-deployment"


def test_only_listed_headers_go_on() -> None:
    sent = {
        "authorization": "Bearer gwk_x", "api-key": "gwk_x", "ocp-apim-subscription-key": "gwk_x", "cookie": "a=b", "host": "us",
        "x-forwarded-for": "1.2.3.4", "connection": "close", "x-gateway-user": "ann", "x-own": "1", "content-length": "0",
        "accept": "application/json", "if-none-match": '"1"', "x-microsoft-outputformat": "riff-8khz-8bit-mono-mulaw",
    }  # fmt: skip
    assert set(read(headers=sent).headers) == {"accept", "if-none-match", "x-microsoft-outputformat"}


@pytest.mark.parametrize("name", ["accept", "content-type"])
def test_a_header_that_cannot_be_sent_on_is_refused_by_name(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(headers={name: "caf\xe9"})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("accept", "stream"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream", True),
        ("application/json, text/event-stream;q=0.9", True),
        ("text/event-stream ; charset=utf-8", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream-x", False),
        ("*/*", False),
        ("application/json", False),
    ],
)
def test_a_stream_is_what_the_client_accepts_as_one(accept: str, stream: bool) -> None:
    assert read(headers={"accept": accept}).stream is stream


@pytest.mark.parametrize(("method", "safe"), [("GET", True), ("PUT", True), ("DELETE", True), ("POST", False), ("PATCH", False)])
def test_only_what_may_be_done_twice_may_be_sent_twice(method: str, safe: bool) -> None:
    assert read(method=method).safe is safe


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"max_tokens": 700}', 700),
        (b'{"max_tokens": 10, "max_completion_tokens": 900, "n": 3}', 2700),
        (b'{"max_output_tokens": 50}', 50),
        (b'{"messages": [], "n": null}', 512),
        (b'{"max_tokens": -5, "n": -2}', 1),
        (b'{"max_tokens": "700"}', 512),
        (b"\xff\x00", 512),
        (b"[]", 512),
        (b"[" * 200_000, 512),
    ],
)
def test_what_a_model_may_answer_is_read_from_what_is_passed_on_to_it(body: bytes, tokens: int) -> None:
    assert read_ceiling(body, 512) == tokens
