"""What the gateway does not act on reaches the backend byte for byte, on every surface, streamed or not."""

import gzip
import re
from typing import Any

import pytest

from tests.host.asking import Reply, head_of, marker, post_bytes, send_raw, text_of, upstream_request

SURFACES = ["/v1/chat/completions", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", "/openai/v1/chat/completions"]
EMBEDDINGS = [path.replace("chat/completions", "embeddings").replace("gpt-4o", "text-embedding-3-small") for path in SURFACES]
# Odd but valid: number spellings that a re-serialiser changes, keys out of order, escapes, whitespace, keys that look like ours inside.
ODD = (
    '{ "x_first" : 1.50, "x_exp":1E+2,"x_tiny":1e-07 ,"x_zero":-0.0,"x_minus":-0,"x_big":9223372036854775807,\n'
    '\t"messages" : [ {"content":"MARK \\u0068\\u00e9 \\/ \\ud83d\\ude00 \u00e9 \\"quoted\\" \\\\ x: y", "role" :"user"} ],"x_nested":'
    '{"z":[0.10,1.0E5,{"a":null,"model":"other","stream":true}],"b":"\\u003a \\u003c"},"temperature":0.70,'
    '"model"\r\n:"MODEL"MORE, "x_last":[] }'
)


def odd(mark: str, more: str = "", model: str = "gpt-4o") -> bytes:
    return ODD.replace("MARK", mark).replace("MODEL", model).replace("MORE", more).encode()


def post(gateway: Any, path: str, body: bytes) -> Reply:
    reply = post_bytes(gateway, body, path=path)
    assert reply.status == 200, reply
    return reply


@pytest.mark.parametrize("path", SURFACES)
def test_a_plain_body_is_untouched(gateway: Any, path: str) -> None:
    mark = marker()
    body = odd(mark)
    content = post(gateway, path, body).json()["choices"][0]["message"]["content"]
    assert f'{mark} hé / 😀 é "quoted" \\ x: y' in content
    assert upstream_request(gateway, mark)["body"].encode() == body


@pytest.mark.parametrize("path", SURFACES)
def test_a_streams_body_only_gains_the_question_for_usage(gateway: Any, path: str) -> None:
    mark = marker()
    reply = post(gateway, path, odd(mark, ',"stream":true'))
    assert mark in text_of(reply.body)
    assert b'"usage"' not in reply.body
    expected = odd(mark, ',"stream":true').decode().replace('"x_last":[] }', '"x_last":[],"stream_options":{"include_usage":true} }')
    assert upstream_request(gateway, mark)["body"] == expected


@pytest.mark.parametrize("path", SURFACES)
def test_a_stream_that_asks_for_usage_itself_is_untouched(gateway: Any, path: str) -> None:
    mark = marker()
    body = odd(mark, ',"stream": true ,"stream_options":{ "include_usage" :true,"x_o":1.0}')
    assert b'"total_tokens"' in post(gateway, path, body).body
    assert upstream_request(gateway, mark)["body"].encode() == body


def test_other_stream_options_keep_their_spelling(gateway: Any) -> None:
    mark = marker()
    post(gateway, SURFACES[0], odd(mark, ',"stream":true,"stream_options":{ "x_o" : 1.0E1,"include_usage": false }'))
    assert '"stream_options":{ "x_o" : 1.0E1,"include_usage": true }' in upstream_request(gateway, mark)["body"]


@pytest.mark.parametrize("path", SURFACES[::2])
def test_only_the_models_name_changes_where_the_body_names_the_deployment(gateway: Any, path: str) -> None:
    mark = marker()
    post(gateway, path, odd(mark, model="llama-3.3-70b"))
    assert upstream_request(gateway, mark)["body"].encode() == odd(mark, model="llama-3.3-70b")


@pytest.mark.parametrize("path", EMBEDDINGS)
def test_an_embeddings_body_is_untouched(gateway: Any, path: str) -> None:
    mark = marker()
    body = f'{{"x_n" : 1.50E+0,"input":[ "{mark} \\u0068", "b" ],  "model":"text-embedding-3-small","x_k":{{"b":-0.0,"a":1}} }}'.encode()
    post(gateway, path, body)
    assert upstream_request(gateway, mark)["body"].encode() == body


def test_the_path_names_the_deployment_whatever_the_body_says(gateway: Any) -> None:
    mark = marker()
    body = odd(mark, model="mock-500")
    assert post(gateway, SURFACES[1], body).headers["x-gateway-model"] == "gpt-4o"
    seen = upstream_request(gateway, mark)
    assert (seen["path"], seen["body"].encode()) == ("/openai/deployments/gpt-4o/chat/completions", body)


def test_gzip_changes_nothing_but_the_way(gateway: Any) -> None:
    mark = marker()
    reply = post_bytes(gateway, gzip.compress(odd(mark)), "content-type: application/json; charset=utf-8", "content-encoding: gzip")
    assert reply.status == 200
    assert upstream_request(gateway, mark)["body"].encode() == odd(mark)


def test_a_body_sent_in_chunks_arrives_whole(gateway: Any) -> None:
    mark = marker()
    body = odd(mark)
    pieces = [b"%x\r\n%b\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7)]
    head = head_of(gateway, SURFACES[0], "content-type: application/json", "transfer-encoding: chunked")
    assert send_raw(gateway, head, b"".join(pieces), b"0\r\n\r\n").status == 200
    assert upstream_request(gateway, mark)["body"].encode() == body


def test_no_header_of_the_client_goes_upstream(gateway: Any) -> None:
    mark = marker()
    lines = ("content-type: application/json", f"x-custom: {mark}", f"cookie: a={mark}", f"openai-organization: {mark}")
    assert post_bytes(gateway, odd(mark), *lines).status == 200
    headers = upstream_request(gateway, mark)["headers"]
    assert set(headers) == {"host", "accept", "accept-encoding", "user-agent", "content-type", "content-length", "traceparent", "api-key"}
    assert mark not in str(headers)
    assert headers["api-key"] == "simulator"
    assert re.fullmatch(r"azure-ai-gateway\S*", headers["user-agent"])
