"""The Tables Protocol: entity-group transactions, over SQLite and over Table Storage's emulator."""

import asyncio

import pytest

from gateway.domain.tables import Action, EntityChanged, EntityExists, Write
from gateway.errors import RequestError

INSERT, UPSERT, REPLACE, DELETE = Action.INSERT, Action.UPSERT, Action.REPLACE, Action.DELETE


async def _rows(tables, table) -> dict[str, object]:
    return {found.row: found.values for found in (await tables.query(table)).entities}


async def test_does_all_the_writes_and_returns_their_etags(tables, table):
    old = await tables.insert(table, "p", "replaced", {"n": 1})
    gone = await tables.insert(table, "p", "deleted", {"n": 1})
    etags = await tables.transact(
        table,
        "p",
        [
            Write(INSERT, "inserted", {"text": "ünï 😀", "n": 2.0}),
            Write(UPSERT, "upserted", {"n": 2**40}),
            Write(REPLACE, "replaced", {"n": 2}, old),
            Write(DELETE, "deleted", etag=gone),
        ],
    )
    assert await _rows(tables, table) == {"inserted": {"text": "ünï 😀", "n": 2.0}, "upserted": {"n": 2**40}, "replaced": {"n": 2}}
    assert etags[:3] == [(await tables.get(table, "p", row)).etag for row in ("inserted", "upserted", "replaced")]
    assert etags[3] is None


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (Write(INSERT, "there", {"n": 9}), EntityExists),
        (Write(REPLACE, "missing", {"n": 9}, "*"), EntityChanged),
        (Write(REPLACE, "there", {"n": 9}, "stale"), EntityChanged),
        (Write(DELETE, "missing", etag="*"), EntityChanged),
        (Write(DELETE, "there", etag="stale"), EntityChanged),
    ],
)
async def test_changes_nothing_when_one_write_fails(tables, table, place, failing, error):
    stale = await tables.insert(table, "p", "there", {"n": 0})
    await tables.upsert(table, "p", "there", {"n": 1})
    await tables.insert(table, "p", "other", {"n": 1})
    if failing.etag == "stale":
        failing = Write(failing.action, failing.row, failing.values, stale)
    writes = [Write(INSERT, "new", {"n": 2}), Write(UPSERT, "other", {"n": 2})]
    writes.insert(place, failing)
    with pytest.raises(error):
        await tables.transact(table, "p", writes)
    assert await _rows(tables, table) == {"there": {"n": 1}, "other": {"n": 1}}


async def test_the_first_write_of_a_table_may_be_a_transaction(tables, table):
    await tables.transact(table, "p", [Write(INSERT, "a"), Write(UPSERT, "b")])
    assert await _rows(tables, table) == {"a": {}, "b": {}}


async def test_star_in_a_transaction_matches_any_row(tables, table):
    await tables.transact(table, "p", [Write(INSERT, "a"), Write(INSERT, "b")])
    await tables.transact(table, "p", [Write(REPLACE, "a", {"n": 1}, "*"), Write(DELETE, "b", etag="*")])
    assert await _rows(tables, table) == {"a": {"n": 1}}


async def test_takes_a_hundred_writes_and_no_more(tables, table):
    writes = [Write(INSERT, f"{number:03}", {"n": number}) for number in range(101)]
    with pytest.raises(RequestError):
        await tables.transact(table, "p", writes)
    etags = await tables.transact(table, "p", writes[:100])
    assert etags == [found.etag for found in (await tables.query(table)).entities]
    assert len(etags) == 100


@pytest.mark.parametrize(
    "writes",
    [
        [],
        [Write(INSERT, "a"), Write(DELETE, "a", etag="*")],
        [Write(REPLACE, "a")],
        [Write(DELETE, "a")],
        [Write(INSERT, "a/b")],
        [Write(INSERT, "good"), Write(INSERT, "a", {"v": None})],
        [Write(INSERT, f"r{number}", {f"v{each}": b"x" * 60_000 for each in range(16)}) for number in range(5)],
    ],
)
async def test_refuses_a_transaction_that_the_service_would_refuse(tables, table, writes):
    with pytest.raises(RequestError):
        await tables.transact(table, "p", writes)
    assert await _rows(tables, table) == {}


async def test_money_that_transactions_move_between_rows_is_neither_made_nor_lost(tables, table):
    await tables.transact(table, "p", [Write(INSERT, "a", {"n": 100}), Write(INSERT, "b", {"n": 100})])

    async def move(times: int) -> None:
        while times:
            a, b = await tables.get(table, "p", "a"), await tables.get(table, "p", "b")
            writes = [Write(REPLACE, "a", {"n": a.values["n"] - 7}, a.etag), Write(REPLACE, "b", {"n": b.values["n"] + 7}, b.etag)]
            try:
                await tables.transact(table, "p", writes)
            except EntityChanged:
                continue
            times -= 1

    await asyncio.gather(*(move(3) for _ in range(4)))
    assert await _rows(tables, table) == {"a": {"n": 100 - 84}, "b": {"n": 100 + 84}}
