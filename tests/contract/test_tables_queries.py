"""The Tables Protocol: ordered queries and their pages, over SQLite and over Table Storage's emulator."""

import itertools
import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.tables import Action, Write
from gateway.errors import RequestError

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SERIAL = itertools.count()
RUN = secrets.token_hex(4)  # partitions of this run only: all examples share a table

KEYS = st.text(
    st.one_of(
        st.sampled_from("aAzZ09-_~!'% é\u0301\ufb00\ufffd日"),
        st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs", "Cc"], exclude_characters="/\\#?"),
    ),
    max_size=6,
)
ROWS = st.lists(KEYS, unique=True, min_size=1, max_size=12)


async def _fill(tables, table, partition, rows) -> None:
    await tables.transact(table, partition, [Write(Action.INSERT, row, {"n": number}) for number, row in enumerate(rows)])


async def _read_all(tables, table, **query):
    """Follow the continuation to its end, and see that no page is longer than it may be."""
    found, continuation = [], None
    while True:
        page = await tables.query(table, continuation=continuation, **query)
        assert len(page.entities) <= query["limit"]
        found += page.entities
        continuation = page.continuation
        if continuation is None:
            return found


@FEW
@given(rows=ROWS)
async def test_rows_come_in_the_order_of_their_keys(tables, rows):
    partition = f"{RUN} {next(SERIAL)}"
    await _fill(tables, "Ordered", partition, rows)
    page = await tables.query("Ordered", partition=partition)
    assert [found.row for found in page.entities] == sorted(rows)
    assert {found.row: found.values["n"] for found in page.entities} == {row: number for number, row in enumerate(rows)}


@FEW
@given(rows=ROWS, limit=st.integers(1, 5))
async def test_the_pages_together_hold_each_row_once(tables, rows, limit):
    partition = f"{RUN} {next(SERIAL)}"
    await _fill(tables, "Paged", partition, rows)
    found = await _read_all(tables, "Paged", partition=partition, limit=limit)
    assert [entity.row for entity in found] == sorted(rows)


@FEW
@given(rows=ROWS, start=KEYS, end=KEYS, limit=st.integers(1, 5))
async def test_a_row_range_holds_its_start_and_not_its_end(tables, rows, start, end, limit):
    partition = f"{RUN} {next(SERIAL)}"
    await _fill(tables, "Ranges", partition, rows)
    found = await _read_all(tables, "Ranges", partition=partition, row_from=start, row_below=end, limit=limit)
    assert [entity.row for entity in found] == sorted(row for row in rows if start <= row < end)


async def test_a_range_of_partitions_is_ordered_by_partition_and_row(tables, table):
    for partition in ("b", "a", "d", "c"):
        await _fill(tables, table, partition, ["2", "1", "3"])
    whole = [(partition, row) for partition in "abcd" for row in "123"]

    async def keys(**query):
        return [(found.partition, found.row) for found in await _read_all(tables, table, limit=2, **query)]

    assert await keys() == whole
    assert await keys(partition_from="b", partition_below="d") == whole[3:9]
    assert await keys(partition_from="c") == whole[6:]
    assert await keys(partition_below="b") == whole[:3]
    assert await keys(row_from="2", row_below="3") == [("a", "2"), ("b", "2"), ("c", "2"), ("d", "2")]
    assert await keys(partition="b", partition_from="c") == whole[3:6]  # the one partition rules


async def test_a_prefix_is_a_range_that_ends_below_its_last_character(tables, table):
    await _fill(tables, table, "p", ["job:1", "job:2", "job;", "jobs", "a"])
    page = await tables.query(table, partition="p", row_from="job:", row_below="job:\uffff")
    assert [found.row for found in page.entities] == ["job:1", "job:2"]


async def test_bounds_may_hold_what_keys_may_not(tables, table):
    await _fill(tables, table, "p", ["a", "b"])
    assert len((await tables.query(table, partition_from="p", row_from="a#", row_below="c/")).entities) == 1


async def test_a_page_is_full_while_rows_are_left(tables, table):
    for partition in ("a", "b", "c"):
        await _fill(tables, table, partition, [f"{number:03}" for number in range(100)])
    page = await tables.query(table, limit=250)
    assert len(page.entities) == 250
    rest = await tables.query(table, limit=250, continuation=page.continuation)
    assert len(rest.entities) == 50
    assert rest.continuation is None


async def test_rows_that_are_written_between_pages_do_not_upset_the_rest(tables, table):
    await _fill(tables, table, "p", ["b", "d", "f"])
    page = await tables.query(table, partition="p", limit=2)
    await tables.insert(table, "p", "a", {})
    await tables.delete(table, "p", "b")
    rest = await tables.query(table, partition="p", limit=2, continuation=page.continuation)
    assert [found.row for found in page.entities] == ["b", "d"]
    assert [found.row for found in rest.entities] == ["f"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"partition": "a/b"},
        {"row_from": "😀"},
        {"partition_below": "\ud800"},
        {"continuation": "not a token"},
        {"continuation": "WzFd"},
        {"continuation": ""},
    ],
)
async def test_refuses_a_query_that_it_cannot_answer_alike_everywhere(tables, table, query):
    with pytest.raises(RequestError):
        await tables.query(table, **query)
