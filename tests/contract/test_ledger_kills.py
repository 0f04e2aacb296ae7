"""Processes that record, spool and bring in what was spooled are killed at any moment: the ledger has each safe record once.

A record is safe once it is in the store or in the spool. The store fails half of the time, half of that after it has written.
"""

import asyncio
import pathlib
import random
import subprocess
import sys

from gateway.adapters.clock import SystemClock
from gateway.adapters.spool import FileSpool
from gateway.adapters.tables_sqlite import SqliteTables
from gateway.metering.records import Recorder

ROOT = pathlib.Path(__file__).parents[2]
ROUNDS = 8
BATCH = 23

CHILD = """
import asyncio, datetime, random, sys
import gateway.metering.records as records
from gateway.adapters.clock import SystemClock
from gateway.adapters.spool import FileSpool
from gateway.adapters.tables_sqlite import SqliteTables
from gateway.errors import StoreUnavailable
from tests.unit.metering.test_records import make_record

folder, number, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
records.FLUSH_EVERY_S = 0.001  # so that the background task is in the middle of something whenever the kill comes
rng = random.Random(seed)

class Failing(SqliteTables):
    async def transact(self, *args):
        if rng.random() < 0.25:
            raise StoreUnavailable("no")
        done = await super().transact(*args)
        if rng.random() < 0.33:
            raise StoreUnavailable("no answer")
        return done

async def main():
    global number
    recorder = records.Recorder(Failing(folder + "/tables.db"), SystemClock(), FileSpool(folder + "/spool", "a", 1 << 30))
    recorder.start()
    while True:
        for _ in range(23):
            at = datetime.datetime(2026, 1, 31, 12 + number % 2, tzinfo=datetime.UTC)
            recorder.add(make_record(number, at=at, tenant="ab"[number % 2], prompt_tokens=number))
            number += 1
            await asyncio.sleep(0)
        while True:
            await asyncio.sleep(0)
            try:
                await recorder.flush()
            except StoreUnavailable:
                await recorder._set_aside()
            async with recorder._writing:  # nothing is on its way to the store
                if not recorder._buffer and not recorder._spooling.locked():
                    break
        print(number, flush=True)

asyncio.run(main())
"""


async def test_every_record_that_was_safe_is_in_the_ledger_exactly_once(tmp_path: pathlib.Path) -> None:
    rng = random.Random(5)
    safe: set[int] = set()
    first = 0
    for round_ in range(ROUNDS):
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(first), str(round_)]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: ASYNC220 - nothing else runs
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(rng.randrange(1, 12))]
        child.kill()
        rest = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        assert all(lines), "the process ended by itself"
        said = [int(line) for line in (*lines, *rest)]
        safe |= set(range(first, max(said)))
        first = max(safe) + 10 * BATCH
    left = list((tmp_path / "spool").glob("*.spool"))
    tables, spool = SqliteTables(str(tmp_path / "tables.db")), FileSpool(str(tmp_path / "spool"), "a", 1 << 30)
    recorder = Recorder(tables, SystemClock(), spool)
    recorder.start()
    while list((tmp_path / "spool").glob("*.spool")):  # noqa: ASYNC110 - another task works
        await asyncio.sleep(0.01)
    rows: list[tuple[str, object]] = []
    continuation = None
    while True:
        page = await tables.query("usage", continuation=continuation)
        rows += [(entity.row, entity.values.get("prompt_tokens", 0)) for entity in page.entities]
        continuation = page.continuation
        if continuation is None:
            break
    await recorder.close()
    await tables.close()
    assert left, "the kills left something to bring in"
    assert len(rows) == len({row for row, _ in rows})
    assert {f"req_{number:06}" for number in safe} <= {row for row, _ in rows}
    assert all(row == f"req_{tokens:06}" for row, tokens in rows)
