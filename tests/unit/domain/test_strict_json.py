"""Laws of the strict parser: what it accepts every parser reads alike, and nothing but RequestError ever comes out."""

import json
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.strict_json import MAX_DEPTH, parse_object, refuse_lookalikes
from gateway.errors import RequestError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text('ab:"\\/{}[],\n\t\x00é😀', max_size=12)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12)
objects = st.dictionaries(texts, values, max_size=5)


@st.composite
def spellings(draw: st.DrawFn, value: Any) -> str:
    """Write the value in one of the many ways JSON allows: any white space, any character as an escape."""
    space = draw(st.sampled_from(["", " ", "\n\t ", "\r\n"]))

    def spell(value: Any) -> str:
        if isinstance(value, str):
            return '"' + "".join(spell_character(c) for c in value) + '"'
        if isinstance(value, dict):
            pairs = (f"{spell(k)}{space}:{space}{spell(v)}" for k, v in value.items())
            return "{" + space + f"{space},{space}".join(pairs) + space + "}"
        if isinstance(value, list):
            return "[" + space + f"{space},".join(map(spell, value)) + space + "]"
        return json.dumps(value)

    def spell_character(c: str) -> str:
        if c in '"\\' or c < " " or draw(st.integers(0, 3)) == 0:
            units = c.encode("utf-16-be")
            escape = "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
            return escape.replace("a", "A") if draw(st.booleans()) else escape
        return c

    return space + spell(value) + space


@given(st.data(), objects)
def test_every_spelling_of_a_value_parses_equal(data: st.DataObject, value: dict[str, Any]) -> None:
    raw = data.draw(spellings(value)).encode()
    assert parse_object(raw) == value == json.loads(raw)


def check_against_other_parsers(raw: bytes) -> None:
    refused: RequestError | None = None
    ours: Any = None
    try:
        ours = parse_object(raw)
    except RequestError as error:
        refused = error
    if refused is None:
        assert ours == msgspec.json.decode(raw) == orjson.loads(raw) == json.loads(raw)
    else:
        assert refused.status == 400
        assert refused.message.isprintable()


@given(st.binary(max_size=60))
@example(b'{"a":-0}')
@example(b'{"a":1e-400}')
def test_random_bytes_are_refused_or_read_as_others_read_them(raw: bytes) -> None:
    check_against_other_parsers(raw)


fragments = st.sampled_from(
    [
        *rb"""{ } [ ] , : " "a": "b":{ "\u0061": 1 - 0 .5 e5 E400 true null NaN -Infinity // /**/ \ud83d \ude00 \u003a""".split(),
        *[b"9" * 19, b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b" ", b"\n"],
    ]
)


@given(st.lists(fragments, max_size=14).map(b"".join), st.booleans())
def test_random_fragments_are_refused_or_read_as_others_read_them(raw: bytes, wrapped: bool) -> None:
    check_against_other_parsers(b'{"k":[' + raw + b"]}" if wrapped else raw)


@given(st.data(), objects.filter(bool))
def test_a_document_with_a_flipped_byte_is_refused_or_read_as_others_read_it(data: st.DataObject, value: dict[str, Any]) -> None:
    raw = bytearray(json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    check_against_other_parsers(bytes(raw))


@given(st.data(), objects, texts, values, values)
def test_a_duplicate_key_is_refused_wherever_and_however_it_is_spelt(
    data: st.DataObject, around: dict[str, Any], key: str, first: Any, second: Any
) -> None:
    twice = f"{{{data.draw(spellings(key))}:{json.dumps(first)},{data.draw(spellings(key))}:{json.dumps(second)}}}"
    depth = data.draw(st.integers(0, 3))
    outer = "".join(f'{{"x{i}":' for i in range(depth)) + twice + "}" * depth
    members = "".join(f',"_{i}":{data.draw(spellings(value))}' for i, value in enumerate(around.values()))
    with pytest.raises(RequestError) as caught:
        parse_object(f'{{"o":{outer}{members}}}'.encode())
    assert caught.value.code == "duplicate_key"
    assert caught.value.param is not None
    assert caught.value.param.startswith("o")


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b" \r\n\t", "invalid_json", None),
        (b"\xef\xbb\xbf{}", "invalid_json", None),
        ('{"a":1}'.encode("utf-16"), "invalid_json", None),
        (b'{"a":"\xff"}', "invalid_json", None),
        (b'{"a":"\xed\xa0\x80"}', "invalid_json", None),
        (b'{"a":"\xc0\x80"}', "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b'"a"', "invalid_json", None),
        (b"null", "invalid_json", None),
        (b'{"a":1}x', "invalid_json", None),
        (b'{"a":1}{}', "invalid_json", None),
        (b'{"a":1}\x00', "invalid_json", None),
        (b'{"a":1,}', "invalid_json", None),
        (b'{"a":1} // why', "invalid_json", None),
        (b'{/* why */"a":1}', "invalid_json", None),
        (b"{'a':1}", "invalid_json", None),
        (b"{a:1}", "invalid_json", None),
        (b'{"a":01}', "invalid_json", None),
        (b'{"a":+1}', "invalid_json", None),
        (b'{"a":"\n"}', "invalid_json", None),
        (b'{"a\x01":1}', "invalid_json", None),
        (b'{"a":"\\x41"}', "invalid_json", None),
        (b'{"a":[0,NaN]}', "invalid_json", "a[1]"),
        (b'{"a":{"b":-Infinity}}', "invalid_json", "a.b"),
        (b'{"a":1,"a":1}', "duplicate_key", "a"),
        (b'{"m":[{"a":1,"\\u0061":2}]}', "duplicate_key", "m[0].a"),
        (b'{"a":"\\u003a","b":1,"b":2}', "duplicate_key", "b"),
        (b'{"a":"\\u003A","b c":null,"b c":null}', "duplicate_key", "['b c']"),
        (b'{"a":["\\ud800"]}', "invalid_unicode", "a[0]"),
        (b'{"a":"\\udc00\\ud800"}', "invalid_unicode", "a"),
        (b'{"a":{"\\ud800":1}}', "invalid_unicode", "a"),
        (b'{"a":9223372036854775808}', "number_out_of_range", "a"),
        (b'{"a":[-9223372036854775809]}', "number_out_of_range", "a[0]"),
        (b'{"a":' + b"9" * 4301 + b"}", "number_out_of_range", "a"),
        (b'{"a":1e400}', "number_out_of_range", "a"),
        (b'{"a":-1.8e308}', "number_out_of_range", "a"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "too_deeply_nested", None),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "too_deeply_nested", None),
    ],
)
def test_refuses_naming_what_and_where(raw: bytes, code: str, param: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        parse_object(raw)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b' {"a" : [ 1 , -2.5e3 , true , null , "\\ud83d\\ude00" ] } ',
        b'{"a":9223372036854775807,"b":-9223372036854775808}',
        b'{"a":"\\u003a: \\u003Ab\\u003c"}',
        b'{"a:b":":","\\u003a":{":":1}}',
        b'{"a":0.' + b"1" * 5000 + b"}",
        b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}",
        # These three take the exact path and must come back from it.
        b'{"a":"\\u003a:","b":-9223372036854775808,"c":9223372036854775807}',
        b'{"a":["\\u003a:",' + b"[" * (MAX_DEPTH - 2) + b"]" * (MAX_DEPTH - 2) + b"]}",
        b'{"a":"\\u003A:","b":"\\ud83d\\ude00","c":[1.5e300,null,{}]}',
        b'{"a":"\\u0000\x7f\xc2\x85\xe2\x80\xa8"}',
    ],
)
def test_accepts_what_every_parser_reads_alike(raw: bytes) -> None:
    assert parse_object(raw) == json.loads(raw)


@pytest.mark.parametrize(
    "raw", [b'{"a":"b:c"}', b'{"a:b":{"c":"::"}}', b'[{"":[":"]}]'.join([b'{"a":', b"}"]), b'{"a":"\\u003cb: c\\u003e"}']
)
def test_a_sound_body_does_not_take_the_slow_path(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.domain.strict_json._check_exactly", lambda _: pytest.fail("took the slow path"))
    assert parse_object(raw) == json.loads(raw)


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * MEGABYTE,
        b'{"a":' * MEGABYTE,
        b'{"a":"' + b"\\" * MEGABYTE,
        b'{"a":"' + b"x" * MEGABYTE,
        b'"' * MEGABYTE,
        b" " * MEGABYTE,
        b'{"a":' + b"9" * MEGABYTE + b"}",
        b'{"a":1e' + b"9" * MEGABYTE + b"}",
        b'{"a":0.' + b"1" * MEGABYTE + b',"b":NaN}',
        b'{"a":[' + b"1," * MEGABYTE + b"9" * 30 + b"]}",
        b'{"a":[' + b"[]," * MEGABYTE + b'[]],"a":1}',
        b'{"a":[' + b'{"a":1,"a":1},' * (MEGABYTE // 10) + b"{}]}",
        b'{"a":"' + b"\\u003a" * (MEGABYTE // 6) + b'","b":1,"b":2}',
        b'{"' + b"k" * MEGABYTE + b'":1,"' + b"k" * MEGABYTE + b'":1}',
    ],
    ids=lambda raw: raw[:9].decode(),
)
def test_a_bomb_is_refused(raw: bytes) -> None:  # a quadratic parser would run into the suite's time limit
    with pytest.raises(RequestError) as caught:
        parse_object(raw)
    assert len(caught.value.message) < 300
    assert len(caught.value.param or "") < 300


@pytest.mark.parametrize("key", ["Messages", "MESSAGES", "mess\u0430ges"[:4] + "AGES", "me\u017fsages", "\uff4dessages", "messa\u210aes"])
def test_refuses_keys_that_a_lax_parser_takes_for_ours(key: str) -> None:
    with pytest.raises(RequestError) as caught:
        refuse_lookalikes([key], frozenset({"messages"}), "body.")
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", f"body.{key}")


def test_folds_what_only_upper_case_makes_equal() -> None:
    with pytest.raises(RequestError):
        refuse_lookalikes(["l\u0131mit"], frozenset({"limit"}))


def test_lets_other_unknown_keys_pass() -> None:
    refuse_lookalikes(
        ["message", "messages", "Messages2", "mess\u0430ges", "M" * 10**6, "a" + "\u0301\u0323" * 10**6], frozenset({"messages"})
    )
