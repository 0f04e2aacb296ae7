"""The Tables Protocol, over SQLite and over Table Storage's emulator: rows, values, ETags, limits."""

import asyncio
import datetime as dt
import enum
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.tables import EntityChanged, EntityExists
from gateway.errors import RequestError

# Fixtures are per test, examples are not: every example takes a row or partition of its own.
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SERIAL = itertools.count()

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
DATETIMES = st.datetimes(
    min_value=dt.datetime(1601, 1, 2),  # noqa: DTZ001 — Hypothesis adds the zone
    timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-7))]),
).filter(lambda value: value.year < 9999)
VALUES = st.one_of(
    TEXT,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53).map(float),
    st.booleans(),
    st.binary(max_size=30),
    DATETIMES,
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(
    lambda name: name not in ("PartitionKey", "RowKey", "Timestamp")
)

EXAMPLES = {
    "text": "text",
    "empty": "",
    "emoji": "Grüße 😀 مرحبا \u0000\n'\"",
    "small": 5,
    "big": 2**63 - 1,
    "least": -(2**63),
    "whole": 2.0,
    "huge": 1e300,
    "half": -0.5,
    "yes": True,
    "no": False,
    "bytes_": b"\x00\xff",
    "no_bytes": b"",
    "moment": dt.datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=dt.UTC),
    "midnight": dt.datetime(1601, 1, 1, tzinfo=dt.UTC),
}


async def test_returns_every_kind_of_value_as_it_was_given(tables, table):
    await tables.insert(table, "p", "r", EXAMPLES)
    found = await tables.get(table, "p", "r")
    assert found.values == EXAMPLES
    assert {name: type(value) for name, value in found.values.items()} == {name: type(value) for name, value in EXAMPLES.items()}
    assert (found.partition, found.row) == ("p", "r")


@FEW
@given(values=st.dictionaries(NAMES, VALUES, max_size=6))
async def test_round_trips_any_values(tables, values):
    row = str(next(SERIAL))
    await tables.upsert("Roundtrip", "p", row, values)
    found = (await tables.get("Roundtrip", "p", row)).values
    assert found == values
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in values.items()}
    assert all(value.tzinfo is dt.UTC for value in found.values() if isinstance(value, dt.datetime))


async def test_stores_members_of_enums_as_their_values(tables, table):
    class State(enum.StrEnum):
        DONE = "done"

    class Level(enum.IntEnum):
        HIGH = 3

    await tables.insert(table, "p", "r", {"state": State.DONE, "level": Level.HIGH})
    found = (await tables.get(table, "p", "r")).values
    assert found == {"state": "done", "level": 3}
    assert (type(found["state"]), type(found["level"])) == (str, int)


async def test_finds_nothing_in_a_table_that_nobody_made(tables, table):
    assert await tables.get(table, "p", "r") is None
    assert (await tables.query(table)).entities == []
    with pytest.raises(EntityChanged):
        await tables.replace(table, "p", "r", {}, "*")
    with pytest.raises(EntityChanged):
        await tables.delete(table, "p", "r")


async def test_makes_the_table_once_when_many_write_at_the_same_time(tables, table):
    await asyncio.gather(*(tables.insert(table, "p", str(number), {"n": number}) for number in range(20)))
    assert len((await tables.query(table)).entities) == 20


async def test_insert_refuses_a_row_that_exists_and_leaves_it(tables, table):
    etag = await tables.insert(table, "p", "r", {"n": 1})
    with pytest.raises(EntityExists):
        await tables.insert(table, "p", "r", {"n": 2})
    found = await tables.get(table, "p", "r")
    assert (found.values, found.etag) == ({"n": 1}, etag)


async def test_upsert_writes_the_row_whole(tables, table):
    await tables.upsert(table, "p", "r", {"a": 1, "b": 2})
    etag = await tables.upsert(table, "p", "r", {"b": 3})
    found = await tables.get(table, "p", "r")
    assert (found.values, found.etag) == ({"b": 3}, etag)


async def test_replace_writes_the_row_whole_while_its_etag_holds(tables, table):
    first = await tables.insert(table, "p", "r", {"a": 1})
    second = await tables.replace(table, "p", "r", {"b": 2}, first)
    with pytest.raises(EntityChanged):
        await tables.replace(table, "p", "r", {"c": 3}, first)
    found = await tables.get(table, "p", "r")
    assert (found.values, found.etag) == ({"b": 2}, second)


async def test_star_matches_any_row_but_none(tables, table):
    await tables.insert(table, "p", "r", {"n": 1})
    await tables.replace(table, "p", "r", {"n": 2}, "*")
    assert (await tables.get(table, "p", "r")).values == {"n": 2}
    with pytest.raises(EntityChanged):
        await tables.replace(table, "p", "other", {}, "*")


async def test_delete_needs_the_etag_that_holds(tables, table):
    first = await tables.insert(table, "p", "r", {})
    second = await tables.upsert(table, "p", "r", {})
    with pytest.raises(EntityChanged):
        await tables.delete(table, "p", "r", first)
    await tables.delete(table, "p", "r", second)
    assert await tables.get(table, "p", "r") is None
    with pytest.raises(EntityChanged):
        await tables.delete(table, "p", "r", second)
    with pytest.raises(EntityChanged):
        await tables.delete(table, "p", "r")


@pytest.mark.parametrize(
    "etag", ["", "abc", '"abc"', 'W/"abc"', "W/\"datetime'x'\"\r\nX: y", "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""]
)
async def test_an_etag_from_elsewhere_never_holds(tables, table, etag):
    await tables.insert(table, "p", "r", {})
    with pytest.raises(EntityChanged):
        await tables.replace(table, "p", "r", {}, etag)
    with pytest.raises(EntityChanged):
        await tables.delete(table, "p", "r", etag)


async def test_the_etag_changes_with_every_write_even_of_the_same_values(tables, table):
    etags = [await tables.upsert(table, "p", "r", {"n": 1}) for _ in range(30)]
    await tables.delete(table, "p", "r")
    etags.append(await tables.insert(table, "p", "r", {"n": 1}))
    assert len(set(etags)) == len(etags)


async def test_no_update_is_lost_between_callers_that_replace_by_etag(tables, table):
    await tables.insert(table, "p", "counter", {"n": 0})

    async def add(times: int) -> None:
        while times:
            found = await tables.get(table, "p", "counter")
            try:
                await tables.replace(table, "p", "counter", {"n": found.values["n"] + 1}, found.etag)
            except EntityChanged:
                continue
            times -= 1

    await asyncio.gather(*(add(5) for _ in range(8)))
    assert (await tables.get(table, "p", "counter")).values == {"n": 40}


async def test_one_of_many_inserts_of_a_row_wins(tables, table):
    outcomes = await asyncio.gather(*(tables.insert(table, "p", "r", {"n": n}) for n in range(10)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EntityExists"] * 9 + ["str"]


@pytest.mark.parametrize("key", ["it's", "100%", "%2F", "a b", " ", "a+b&c=d", "(x,y)", "ünïcödé", "日本語", '"', "a:b;c", ""])
async def test_keys_may_hold_anything_but_the_forbidden_characters(tables, table, key):
    await tables.insert(table, key, key, {"n": 1})
    etag = await tables.replace(table, key, key, {"n": 2}, (await tables.get(table, key, key)).etag)
    assert [(found.partition, found.row, found.etag) for found in (await tables.query(table, partition=key)).entities] == [(key, key, etag)]
    await tables.delete(table, key, key, etag)
    assert await tables.get(table, key, key) is None


@pytest.mark.parametrize(
    ("row", "values"),
    [
        ("a/b", {}),
        ("a\\b", {}),
        ("a#b", {}),
        ("a?b", {}),
        ("a\nb", {}),
        ("😀", {}),
        ("r" * 513, {}),
        ("r", {"v": None}),
        ("r", {"v": float("nan")}),
        ("r", {"v": float("inf")}),
        ("r", {"v": 2**63}),
        ("r", {"v": dt.datetime(2026, 1, 1)}),  # noqa: DTZ001 — the fault
        ("r", {"v": "\ud800"}),
        ("r", {"v": [1]}),
        ("r", {"v": "x" * 40_000}),
        ("r", {"Timestamp": 1}),
        ("r", {"no-name": 1}),
        ("r", {f"v{number}": 1 for number in range(253)}),
        ("r", {f"v{number}": b"x" * 60_000 for number in range(18)}),
    ],
)
async def test_refuses_what_the_service_would_refuse(tables, table, row, values):
    for write in (tables.insert, tables.upsert):
        with pytest.raises(RequestError):
            await write(table, "p", row, values)
    with pytest.raises(RequestError):
        await tables.replace(table, "p", row, values, "*")


@pytest.mark.parametrize("name", ["ab", "1abc", "a-b", "x" * 64, "Käse", "table\n"])
async def test_refuses_a_table_name_that_the_service_would_refuse(tables, name):
    for call in (tables.get(name, "p", "r"), tables.upsert(name, "p", "r", {}), tables.delete(name, "p", "r"), tables.query(name)):
        with pytest.raises(RequestError):
            await call


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's remark on what the SDK does
async def test_takes_an_entity_of_almost_a_mebibyte(tables, table):
    values = {f"v{number}": bytes([number]) * 65_000 for number in range(16)}
    await tables.insert(table, "p", "r", values)
    assert (await tables.get(table, "p", "r")).values == values


async def test_takes_252_properties(tables, table):
    values = {f"v{number}": number for number in range(252)}
    await tables.insert(table, "p", "r", values)
    assert (await tables.get(table, "p", "r")).values == values


async def test_closes_twice_without_complaint(tables, table):
    await tables.upsert(table, "p", "r", {})
    await tables.close()
    await tables.close()
