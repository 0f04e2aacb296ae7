"""What SQLite promises beyond the Protocol: it survives kill -9, shares its file, and blocks nobody."""

import asyncio
import contextlib
import pathlib
import sqlite3
import subprocess
import sys

import pytest

from gateway.adapters.tables_sqlite import SqliteTables
from gateway.domain.tables import Action, EntityExists, Write
from gateway.errors import StoreUnavailable

ROOT = pathlib.Path(__file__).parents[2]

ENDLESS_WRITER = """
import asyncio, sys
from gateway.adapters.tables_sqlite import SqliteTables
from gateway.domain.tables import Action, Write

async def write(tables, worker):
    for number in range(10**9):
        row = f"{worker}-{number}"
        if number % 3:
            await tables.insert("Kept", "single", row, {"number": number})
        else:
            await tables.transact("Kept", "pair", [Write(Action.INSERT, row + side, {"number": number}) for side in "ab"])
        print(number, row, flush=True)

async def main():
    tables = SqliteTables(sys.argv[1])
    await asyncio.gather(*(write(tables, worker) for worker in range(8)))

asyncio.run(main())
"""

COUNTER = """
import asyncio, sys
from gateway.adapters.tables_sqlite import SqliteTables
from gateway.domain.tables import EntityChanged, EntityExists

async def main():
    tables = SqliteTables(sys.argv[1])
    try:
        await tables.insert("Counters", "p", "r", {"n": 0})
    except EntityExists:
        pass
    for _ in range(100):
        while True:
            found = await tables.get("Counters", "p", "r")
            try:
                await tables.replace("Counters", "p", "r", {"n": found.values["n"] + 1}, found.etag)
                break
            except EntityChanged:
                pass
    await tables.close()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path) -> str:
    return str(tmp_path / "tables.db")


def _start(script: str, path: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", script, path], cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_what_was_acknowledged_survives_kill_9(path):
    with _start(ENDLESS_WRITER, path) as process:
        lines = [process.stdout.readline() for _ in range(200)]
        process.kill()
        lines += [line for line in process.stdout if line.endswith("\n")]
    acknowledged = [line.split() for line in lines]
    assert len(acknowledged) >= 200
    tables = SqliteTables(path)
    for number, row in acknowledged:
        rows = [("pair", f"{row}a"), ("pair", f"{row}b")] if int(number) % 3 == 0 else [("single", row)]
        for partition, name in rows:
            assert (await tables.get("Kept", partition, name)).values == {"number": int(number)}
    pairs = [found.row for found in (await tables.query("Kept", partition="pair")).entities]
    assert {row[:-1] for row in pairs if row.endswith("a")} == {row[:-1] for row in pairs if row.endswith("b")}
    await tables.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_processes_that_share_the_file_lose_no_update(path):
    processes = [_start(COUNTER, path) for _ in range(3)]  # all of them make the file, too
    for process in processes:
        with process:
            assert process.wait() == 0
    tables = SqliteTables(path)
    assert (await tables.get("Counters", "p", "r")).values == {"n": 300}
    await tables.close()


async def test_many_may_make_the_file_at_the_same_time(tmp_path):
    for attempt in range(10):
        stores = [SqliteTables(str(tmp_path / str(attempt) / "tables.db")) for _ in range(8)]
        await asyncio.gather(*(store.insert("Table", "p", str(number), {}) for number, store in enumerate(stores)))
        assert len((await stores[0].query("Table")).entities) == 8
        for store in stores:
            await store.close()


async def test_every_commit_is_synced(path):
    tables = SqliteTables(path)
    await tables.upsert("Table", "p", "r", {})
    pragmas = [
        tables._worker.submit(lambda name=name: tables._open().execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("journal_mode", "synchronous")
    ]
    assert [pragma.result() for pragma in pragmas] == ["wal", 2]
    await tables.close()


async def test_writes_that_wait_together_fail_apart(path):
    tables = SqliteTables(path)
    await tables.insert("Table", "p", "there", {"n": 1})
    calls = []
    for number in range(20):
        calls.append(tables.insert("Table", "p", f"new {number}", {}))
        calls.append(tables.transact("Table", "p", [Write(Action.INSERT, f"lost {number}"), Write(Action.INSERT, "there")]))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, str) for outcome in outcomes[::2])
    assert all(isinstance(outcome, EntityExists) for outcome in outcomes[1::2])
    assert [found.row for found in (await tables.query("Table")).entities] == sorted(["there", *(f"new {number}" for number in range(20))])
    await tables.close()


async def test_the_event_loop_goes_on_while_another_process_holds_the_lock(path):
    tables = SqliteTables(path)
    await tables.insert("Table", "p", "r", {})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    write = asyncio.create_task(tables.upsert("Table", "p", "r", {"n": 1}))
    for _ in range(1000):
        await asyncio.sleep(0)  # turns of the loop, not time
    assert not write.done()
    other.execute("COMMIT")
    other.close()
    await write
    assert (await tables.get("Table", "p", "r")).values == {"n": 1}
    await tables.close()


async def test_a_caller_that_gives_up_harms_nobody(path):
    tables = SqliteTables(path)
    await tables.insert("Table", "p", "r", {})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    calls = [asyncio.create_task(tables.upsert("Table", "p", str(number), {})) for number in range(5)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    other.execute("COMMIT")
    other.close()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["CancelledError", "str"] * 2 + ["CancelledError"]
    assert await tables.get("Table", "p", "1")
    await tables.close()


async def test_table_names_that_differ_in_case_are_one_table_as_in_the_service(path):
    tables = SqliteTables(path)
    await tables.insert("Usage", "p", "r", {})
    assert await tables.get("USAGE", "p", "r")
    await tables.close()


@pytest.mark.parametrize("content", [b"this is not a database, and long enough to be looked at" * 100, None])
async def test_a_broken_file_is_an_unavailable_store(tmp_path, content):
    path = tmp_path / "broken.db"
    path.write_bytes(content) if content else path.mkdir()
    tables = SqliteTables(str(path))
    for call in (tables.get("Table", "p", "r"), tables.upsert("Table", "p", "r", {}), tables.query("Table")):
        with pytest.raises(StoreUnavailable) as caught:
            await call
        assert isinstance(caught.value.__cause__, sqlite3.Error)
        assert str(path) not in str(caught.value)
    await tables.close()


async def test_a_closed_store_is_unavailable(path):
    tables = SqliteTables(path)
    await tables.close()
    for call in (tables.get("Table", "p", "r"), tables.upsert("Table", "p", "r", {}), tables.query("Table")):
        with pytest.raises(StoreUnavailable):
            await call
