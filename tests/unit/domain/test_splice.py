import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.splice import drop, splice, value_of

ODD = rb' { "model" : "gpt-4o" ,"temperature":1.0e-0, "x\u0079\"": [ 1 , 2.50 ], "deep":{"model":"no","s":"}{,\":"} } '

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)
objects = st.dictionaries(st.text(max_size=6), values, max_size=6)
spaces = st.text(" \t\n\r", max_size=3)


@st.composite
def written(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, bytes], bytes]:
    """An object, the bytes of each of its values, and the whole, written with arbitrary white space and escapes."""
    document = draw(objects)
    texts = {name: json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass") for name, value in document.items()}

    def space() -> bytes:
        return draw(spaces).encode()

    def member(name: str) -> bytes:
        key = json.dumps(name, ensure_ascii=draw(st.booleans())).encode()
        return space() + key + space() + b":" + space() + texts[name] + space()

    inside = b",".join(member(name) for name in document) or space()
    return document, texts, space() + b"{" + inside + b"}" + space()


@pytest.mark.parametrize(
    ("body", "replace", "expected"),
    [
        (b'{"a":1}', {"a": b"2"}, b'{"a":2}'),
        (b'{"a":1}', {"b": b'"x"'}, b'{"a":1,"b":"x"}'),
        (b"{}", {"b": b"1", "c": b"2"}, b'{"b":1,"c":2}'),
        (b" { } \n", {"b": b"1"}, b' {"b":1 } \n'),
        (ODD, {"model": b'"dep"'}, ODD.replace(b'"gpt-4o"', b'"dep"')),
        (ODD, {'xy"': b"null", "n": b"0"}, ODD.replace(b"[ 1 , 2.50 ]", b"null").replace(b"} } ", b'},"n":0 } ')),
        (b'{"a":1,"b":2,"c":3}', {"c": b"4", "a": b"5"}, b'{"a":5,"b":2,"c":4}'),
    ],
)
def test_changes_only_the_members_named(body: bytes, replace: dict[str, bytes], expected: bytes) -> None:
    assert splice(body, replace) == expected


@pytest.mark.parametrize("replace", [{}, {"model": b'"gpt-4o"'}, {"temperature": b"1.0e-0"}])
def test_returns_the_same_object_where_nothing_changes(replace: dict[str, bytes]) -> None:
    assert splice(ODD, replace) is ODD


@given(written(), st.dictionaries(st.text(max_size=6), st.integers(), max_size=3), st.data())
def test_result_reads_as_an_update_and_keeps_every_other_value_as_written(
    source: tuple[dict[str, Any], dict[str, bytes], bytes], added: dict[str, int], data: st.DataObject
) -> None:
    document, texts, body = source
    if document:
        added = added | {data.draw(st.sampled_from(sorted(document))): 7}
    result = splice(body, {name: str(value).encode() for name, value in added.items()})
    assert json.loads(result) == document | added
    assert list(json.loads(result)) == list(document | added)
    for name in document.keys() - added.keys():
        assert value_of(result, name) == texts[name]


@given(written(), st.data())
def test_drop_takes_one_member_and_leaves_the_others_as_written(
    source: tuple[dict[str, Any], dict[str, bytes], bytes], data: st.DataObject
) -> None:
    document, texts, body = source
    name = data.draw(st.sampled_from([*document, "absent!"]))
    result = drop(body, name)
    rest = {key: value for key, value in document.items() if key != name}
    assert json.loads(result) == rest
    assert all(value_of(result, key) == texts[key] for key in rest)
    assert (result is body) == (name not in document)


def test_value_of_an_absent_member_is_none() -> None:
    assert value_of(ODD, "absent") is None


@pytest.mark.parametrize("body", [b"[]", b"", b"{", b'{"a":1,"a":2,"b":3}', b'{"a":1,"b":[2],"b":3}', b'{"a":[1,2],"a":3}'])
def test_refuses_what_a_call_can_never_hold(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        splice(body, {"z": b"1"})
