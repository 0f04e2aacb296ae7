"""The limits of the stores, at their edges, without a store."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import tables
from gateway.domain.tables import Action, Write
from gateway.errors import RequestError

KEYS = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"], exclude_characters="/\\#?"), max_size=512
)


def _refused(check, *arguments) -> bool:
    try:
        check(*arguments)
    except RequestError:
        return True
    return False


@pytest.mark.parametrize(
    ("key", "refused"),
    [
        ("", False),
        ("k" * 512, False),
        ("k" * 513, True),
        ("\uffff", False),
        ("\U00010000", True),
        ("a/b", True),
        ("a\x7fb", True),
        ("\x9f", True),
        ("\xa0", False),
    ],
)
def test_a_key_has_512_characters_of_the_basic_plane_and_none_that_is_forbidden(key, refused):
    assert _refused(tables.check_key, "row", key) is refused


@given(st.lists(KEYS))
def test_keys_that_pass_sort_alike_by_code_point_and_by_utf16_unit(keys):
    for key in keys:
        tables.check_key("row", key)
    assert sorted(keys) == sorted(keys, key=lambda key: key.encode("utf-16-be"))


@pytest.mark.parametrize(
    ("table", "refused"), [("abc", False), ("a" * 63, False), ("ab", True), ("a" * 64, True), ("9ab", True), ("abc\n", True), ("a_b", True)]
)
def test_a_table_name_has_3_to_63_letters_and_digits(table, refused):
    assert _refused(tables.check_table_name, table) is refused


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (2**63 - 1, False),
        (2**63, True),
        (-(2**63), False),
        (-(2**63) - 1, True),
        (float("-inf"), True),
        (float("nan"), True),
        (1e308, False),
        (dt.datetime(1601, 1, 1, tzinfo=dt.UTC), False),
        (dt.datetime(1600, 12, 31, tzinfo=dt.UTC), True),
        (dt.datetime(1601, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), True),
        (dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.timezone(dt.timedelta(hours=-1))), True),
        (dt.datetime(2026, 1, 1), True),  # noqa: DTZ001 — the fault
        (dt.date(2026, 1, 1), True),
        ("x" * 32_766, False),
        ("x" * 32_767, True),
        ("😀" * 16_383, False),
        ("😀" * 16_384, True),
        ("\udfff", True),
        (b"x" * 65_532, False),
        (b"x" * 65_533, True),
        (bytearray(b"x"), True),
        (None, True),
        ({}, True),
        (type("Text", (str,), {})("x"), True),
        (Action.INSERT, False),
    ],
)
def test_a_value_is_of_a_type_and_size_that_storage_holds(value, refused):
    assert _refused(tables.check_entity, "p", "r", {"v": value}) is refused


def test_the_fault_names_its_property():
    with pytest.raises(RequestError, match=r"'cost'.*NoneType") as caught:
        tables.check_entity("p", "r", {"fine": 1, "cost": None})
    assert caught.value.param == "cost"


@pytest.mark.parametrize(
    ("name", "refused"),
    [("a", False), ("_1", False), ("a" * 255, False), ("a" * 256, True), ("", True), ("1a", True), ("a-b", True), ("RowKey", True)],
)
def test_a_property_name_is_an_identifier(name, refused):
    assert _refused(tables.check_entity, "p", "r", {name: 1}) is refused


def test_an_entity_has_252_properties_of_ours():
    assert not _refused(tables.check_entity, "p", "r", {f"v{number}": 1 for number in range(252)})
    assert _refused(tables.check_entity, "p", "r", {f"v{number}": 1 for number in range(253)})


def test_an_entity_is_counted_as_the_service_counts_it():
    assert tables.check_entity("pp", "r", {"ab": "xyz", "n": 1, "b": True}) == 4 + 6 + (8 + 4 + 4 + 6) + (8 + 2 + 8) + (8 + 2 + 1)
    assert not _refused(tables.check_entity, "p", "r", {f"v{number}": b"x" * 65_000 for number in range(16)})
    assert _refused(tables.check_entity, "p", "r", {f"v{number}": b"x" * 65_500 for number in range(17)})


@pytest.mark.parametrize(
    ("writes", "refused"),
    [
        ([], True),
        ([Write(Action.INSERT, str(number)) for number in range(100)], False),
        ([Write(Action.INSERT, str(number)) for number in range(101)], True),
        ([Write(Action.INSERT, "a"), Write(Action.UPSERT, "a")], True),
        ([Write(Action.REPLACE, "a")], True),
        ([Write(Action.DELETE, "a")], True),
        ([Write(Action.DELETE, "a", {"ignored": None}, "*")], False),
        ([Write(Action.INSERT, "a", {"v": None})], True),
        ([Write(Action.INSERT, str(number), {"v": "x" * 30_000}) for number in range(100)], False),
        ([Write(Action.INSERT, str(number), {"v": "日" * 30_000}) for number in range(30)], True),  # 1.8 MB stored, 5.4 MB as JSON
    ],
)
def test_a_transaction_has_1_to_100_writes_of_different_rows_and_4_mib_to_send(writes, refused):
    assert _refused(tables.check_transaction, "p", writes) is refused


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ((1, None), False),
        ((1000, "p", "a", None), False),
        ((0, None), True),
        ((1001, None), True),
        ((1, "a/b"), True),
        ((1, None, "a/\uffff"), False),
        ((1, None, "😀"), True),
    ],
)
def test_a_query_has_a_limit_and_bounds_that_compare_alike(arguments, refused):
    assert _refused(tables.check_query, *arguments) is refused


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("a/b.json", False),
        ("😀" * 512, False),
        ("😀" * 513, True),
        ("..a", False),
        ("a/..", True),
        ("a.", True),
        ("\uffff", True),
        ("\ud800", True),
    ],
)
def test_a_blob_name_stays_what_it_is_in_a_url(name, refused):
    assert _refused(tables.check_blob_name, name) is refused


@pytest.mark.parametrize(
    ("name", "refused"), [("abc", False), ("a-1", False), ("ab", True), ("a--b", True), ("abc\n", True), ("ABC", True)]
)
def test_a_container_name_has_small_letters_digits_and_single_hyphens(name, refused):
    assert _refused(tables.check_container_name, name) is refused


@given(st.one_of(st.none(), KEYS), st.one_of(st.none(), KEYS))
def test_a_continuation_token_returns_what_was_packed(partition, row):
    token = tables.pack_continuation(partition, row)
    assert token.isascii()
    assert tables.unpack_continuation(token) == (partition, row)


@given(st.text())
def test_any_other_text_is_no_continuation_token(text):
    try:
        parts = tables.unpack_continuation(text)
    except RequestError:
        return
    assert tables.pack_continuation(*parts)
