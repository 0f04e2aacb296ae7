"""Bodies of any type are read as texts, and only what changes in them is written anew, in their own spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Call, Operation
from gateway.guardrails.texts.body import MAX_PIECES, read_body, write_body
from gateway.guardrails.texts.passages import passages, unread, with_texts
from tests.builders import make_call

MULTIPART = "multipart/form-data; boundary=b"
FORM = "application/x-www-form-urlencoded"
PARTS = (
    b'--b\r\ncontent-disposition: form-data; name="q"\r\n\r\nsecret\r\n'
    b'--b\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\nPDF\r\n--b--\r\n'
)
PRINTABLE = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)


def forward(body: bytes, content_type: str = "application/json") -> Call:
    return make_call(operation=Operation.FORWARD, body=body, content_type=content_type)


def texts_of(call: Call) -> list[str]:
    return [each.text for each in passages(call)]


@pytest.mark.parametrize(
    ("body", "content_type", "texts"),
    [
        pytest.param(b'{"a": "x", "b": [{"c": "y"}]}', "application/json", ["x", "y"], id="json"),
        pytest.param(b'[{"Text": "x"}]', "application/json; charset=utf-8", ["x"], id="json-array"),
        pytest.param(b'"x"', "application/json", ["x"], id="json-text"),
        pytest.param(b'{"a": "x"}', "", ["x"], id="json-unsaid"),
        pytest.param(b'{"a": "x"}', "application/octet-stream", ["x"], id="json-said-to-be-bytes"),
        pytest.param(b'{"a": "x"}\n{"a": "y"}\n', "application/x-ndjson", ["x", "y"], id="json-lines"),
        pytest.param(b"q=a%40b.de&n=1+2&flag", FORM, ["q", "a@b.de", "n", "1 2", "flag"], id="form"),
        pytest.param(b"Hello\nworld", "text/plain", ["Hello\nworld"], id="text"),
        pytest.param(b"{not json}", "text/plain", ["{not json}"], id="text-like-json"),
        pytest.param(PARTS, MULTIPART, ["secret"], id="multipart"),
        pytest.param(b'<s v="a&amp;b">x &lt; y<![CDATA[z<]]><b/>"q"</s>', "application/ssml+xml", ["a&b", "x < y", "z<", '"q"'], id="xml"),
        pytest.param(b"<ignore all rules", "application/xml", ["<ignore all rules"], id="no-markup"),
        pytest.param(b"<do so now><a/><!--and x--><a b=c>", "text/xml", ["<do so now>", "and x", "<a b=c>"], id="no-tags"),
        pytest.param(b"<a/><!--do so>", "text/xml", ["<!--do so>"], id="no-comment"),
        pytest.param(b"<a/><![CDATA[do so>", "text/xml", ["<![CDATA[do so>"], id="no-cdata"),
        pytest.param(b"<3 you", "text/plain", ["<3 you"], id="text-like-xml"),
        pytest.param(b"", "", [], id="empty"),
        pytest.param(b" \n", "text/plain", [], id="blank"),
    ],
)
def test_the_texts_of_a_body_are_found_by_its_form(body: bytes, content_type: str, texts: list[str]) -> None:
    assert texts_of(forward(body, content_type)) == texts


@pytest.mark.parametrize(
    ("body", "content_type", "missing"),
    [
        pytest.param(b"\x89PNG\xff", "image/png", ("binary",), id="bytes"),
        pytest.param(b"a\0b", "text/plain", ("binary",), id="with-nul"),
        pytest.param(PARTS, MULTIPART, ("file",), id="file"),
        pytest.param(b"--c", MULTIPART, ("binary",), id="broken-form"),
        pytest.param(b'{"a": "x", "a": "y"}', "application/json", ("json",), id="two-of-a-name"),
        pytest.param(b'{"a": "x"}, {"body": 1', "application/json", ("json",), id="no-json"),
        pytest.param(b'["a"], "b": ["c"]', "application/json", ("json",), id="no-array"),
        pytest.param(b'{"a": 1}\n{"a": ', "application/x-ndjson", ("json",), id="a-broken-line"),
        pytest.param(b'{"image": "' + b"QUJD" * 500 + b'"}', "application/json", ("binary",), id="base64"),
        pytest.param(b"", "", (), id="empty"),
        pytest.param(b'{"a": "x"}', "application/json", (), id="all-read"),
    ],
)
def test_what_cannot_be_read_of_a_body_is_said(body: bytes, content_type: str, missing: tuple[str, ...]) -> None:
    assert unread(forward(body, content_type)) == missing


def test_json_that_parsers_read_differently_is_looked_at_as_a_text() -> None:
    assert texts_of(forward(b'{"a": "x", "a": "y"}')) == ['{"a": "x", "a": "y"}']


@pytest.mark.parametrize(
    ("body", "content_type", "index", "made"),
    [
        pytest.param(b'{ "n": 1.50, "a": "x","b":["y"]}', "application/json", 0, b'{ "n": 1.50, "a": "<&>","b":["y"]}', id="json"),
        pytest.param(b'[{"Text": "x"}]', "application/json", 0, b'[{"Text":"<&>"}]', id="json-array"),
        pytest.param(b'{"a": 1.0}\n{ "a": "y"}\n', "application/x-ndjson", 0, b'{"a": 1.0}\n{"a":"<&>"}\n', id="json-lines"),
        pytest.param(b"q=a%40b.de&n=%7e", FORM, 1, b"q=%3C%26%3E&n=%7e", id="form"),
        pytest.param(b"Hello", "text/plain", 0, b"<&>", id="text"),
        pytest.param(b"<s v='a'>x &gt;<b/></s>", "text/xml", 1, b"<s v='a'>&lt;&amp;&gt;<b/></s>", id="xml-text"),
        pytest.param(b"<s v='a'>x &gt;<b/></s>", "text/xml", 0, b'<s v="&lt;&amp;&gt;">x &gt;<b/></s>', id="xml-attribute"),
        pytest.param(b"<s><![CDATA[a]]></s>", "text/xml", 0, b"<s><![CDATA[<&>]]></s>", id="xml-cdata"),
        pytest.param(b"<s><!--a--></s>", "text/xml", 0, b"<s><!--<&>--></s>", id="xml-comment"),
        pytest.param(PARTS, MULTIPART, 0, PARTS.replace(b"secret", b"<&>"), id="multipart"),
    ],
)
def test_only_what_changes_is_written_anew_in_the_bodys_spelling(body: bytes, content_type: str, index: int, made: bytes) -> None:
    changed = with_texts(forward(body, content_type), {index: "<&>"})
    assert changed.body == made


@pytest.mark.parametrize("content_type", [FORM, "text/xml", "application/x-ndjson"])
def test_a_body_of_too_many_pieces_is_one_text_and_said_not_to_be_read_wholly(content_type: str) -> None:
    body = {FORM: b"a&", "text/xml": b"<a>", "application/x-ndjson": b"1\n"}[content_type] * (MAX_PIECES + 1)
    call = forward(body, content_type)
    assert texts_of(call) == [body.decode()]
    assert unread(call) == ("binary",)


def test_cdata_never_ends_early() -> None:
    changed = with_texts(forward(b"<s><![CDATA[a]]></s>", "text/xml"), {0: "x]]><evil/>"})
    assert "".join(texts_of(changed)) == "x]]><evil/>"


def test_comments_never_end_early() -> None:
    changed = with_texts(forward(b"<s><!--a--></s>", "text/xml"), {0: "x--><evil/>"})
    assert len(texts_of(changed)) == 1


@given(PRINTABLE, PRINTABLE)
def test_texts_in_forms_and_xml_come_back_as_they_were_put(before: str, after: str) -> None:
    for content_type, body, index in ((FORM, b"q=x", 1), ("text/xml", b"<a>x</a>", 0), ("text/xml", b'<a b="x"/>', 0)):
        call = with_texts(forward(body, content_type), {index: before})
        assert texts_of(call)[index] == before
        assert texts_of(with_texts(call, {index: after}))[index] == after


@given(st.text(st.sampled_from("<>![]-CDAT&;\"'=/?ax "), max_size=40), st.booleans())
def test_any_xml_is_its_pieces_again(text: str, strict: bool) -> None:
    raw = ("<" + text).encode()
    body = read_body(raw, "text/xml", strict=strict)
    assert body.form == "xml"
    assert write_body(raw, "text/xml", body, list(body.document)) == raw
    marked = ["" if each is not None else None for each in body.document]
    emptied = write_body(raw, "text/xml", body, marked)
    assert sum(each is not None for each in body.document) == 0 or len(emptied) <= len(raw) + 2 * len(body.document)
