"""`python -m bench limits`: reservations per second under limits that several processes share, against read-modify-write.

Each process reserves and settles as fast as it can, under two scopes with six ceilings, in rounds that alternate:

- leases: the gateway's own limiter.
- read-modify-write: one counter only; read it, write it back under its ETag, again where somebody else was faster.

Stores: SQLite, and Azurite where Node and it are installed (`npm ci --prefix tests/contract/azurite`).
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.adapters.clock import SystemClock
from gateway.adapters.tables_sqlite import SqliteTables
from gateway.domain.amounts import Amounts
from gateway.domain.limits import MINUTE, Ceiling, Metric
from gateway.domain.tables import EntityChanged, EntityExists
from gateway.errors import StoreUnavailable
from gateway.limits.limiter import Limiter
from gateway.limits.scopes import Scope
from gateway.ports import Tables

AZURITE = Path(__file__).parents[1] / "tests" / "contract" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
# The account that every storage emulator has; its key is public.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PROCESSES = 4
TASKS = 8
ROUNDS = 3
WARM_S = 3.0  # before anything is counted: slices grow with use
SECONDS = 4.0
MUCH = 10**12
ASKED, USED = Amounts(1, 400, 500, 6000), Amounts(1, 400, 150, 2500)
TENANT = (Ceiling(Metric.TOKENS, "month", MUCH), Ceiling(Metric.COST, "month", MUCH), Ceiling(Metric.REQUESTS, MINUTE, MUCH))
OWN = (Ceiling(Metric.TOKENS, MINUTE, MUCH), Ceiling(Metric.REQUESTS, "day", MUCH), Ceiling(Metric.COST, "day", MUCH))


class Counted:
    """A store whose calls are counted, and the reservations that were made with it."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.calls = self.made = 0

    def __getattr__(self, name: str) -> Any:
        self.calls += 1
        return getattr(self._tables, name)


def open_store(location: str) -> Tables:
    if "AccountName=" not in location:
        return SqliteTables(location)
    from gateway.adapters import tables  # its SDK is slow to import

    return tables.connect(location, None)


async def leases(tables: Counted, partition: str, end_s: float) -> None:
    limiter = Limiter(tables, SystemClock(), secrets.token_hex(4), random.Random())
    scopes = (Scope("tenant", f"tenant|{partition}", TENANT), Scope("subscription", f"subscription|{partition}|one", OWN))

    async def call() -> None:
        while time.monotonic() < end_s:
            limiter.settle(await limiter.reserve(scopes, ASKED), USED)
            tables.made += 1
            await asyncio.sleep(0)  # a call waits for its backend, and lets others run

    await asyncio.gather(*(call() for _ in range(TASKS)))
    await limiter.close()


async def read_modify_write(tables: Counted, partition: str, end_s: float) -> None:
    async def call() -> None:
        while time.monotonic() < end_s:
            with contextlib.suppress(EntityChanged, EntityExists, StoreUnavailable):
                found = await tables.get("plain", partition, "counter")
                if found is None:
                    await tables.insert("plain", partition, "counter", {"used": ASKED.tokens})
                else:
                    await tables.replace("plain", partition, "counter", {"used": int(str(found.values["used"])) + ASKED.tokens}, found.etag)
                tables.made += 1

    await asyncio.gather(*(call() for _ in range(TASKS)))


WAYS = {"leases": leases, "read-modify-write": read_modify_write}


async def work(way: str, store: str, partition: str, seconds: float) -> None:
    """Be one of the processes: open the store, say so, wait for the word, work, and tell what came of it."""
    tables = open_store(store)
    await tables.get("limits", partition, "none")
    print("ready", flush=True)
    sys.stdin.readline()
    counted, marks = Counted(tables), []

    def mark() -> None:
        marks.append((counted.made, counted.calls, time.monotonic(), time.process_time()))

    asyncio.get_running_loop().call_later(WARM_S, mark)
    await WAYS[way](counted, partition, time.monotonic() + WARM_S + seconds)
    mark()
    told = dict(zip(("made", "calls", "wall_s", "cpu_s"), (after - before for before, after in zip(*marks, strict=True)), strict=True))
    await tables.close()
    print(json.dumps(told), flush=True)


def together(way: str, store: str, seconds: float) -> list[dict[str, float]]:
    """Let all processes work at the same time on counters that nobody had before."""
    command = [sys.executable, "-m", "bench.limits", way, store, secrets.token_hex(6), str(seconds)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    for worker in workers:
        if worker.stdout is None or worker.stdout.readline() != "ready\n":
            raise SystemExit(f"a process of {way} did not start")
    for worker in workers:
        if worker.stdin is not None:
            worker.stdin.write("go\n")
            worker.stdin.flush()
    return [json.loads(worker.communicate()[0]) for worker in workers]


@contextlib.contextmanager
def azurite() -> Iterator[str | None]:
    """Yield the connection string of an Azurite in memory; None where it is not installed."""
    node = shutil.which("node")
    if node is None or not AZURITE.exists():
        yield None
        return
    command = [node, str(AZURITE), "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            lines = iter(process.stdout or [])
            url = next(line.split()[-1] for line in lines if "Table service is successfully listening" in line)
            yield f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={url}/{ACCOUNT}"
        finally:
            process.terminate()


def median(rounds: Sequence[list[dict[str, float]]], figure: str) -> float:
    return statistics.median(statistics.fmean(each[figure] for each in told) for told in rounds)


def compare(name: str, store: str, seconds: float) -> None:
    found: Mapping[str, list[list[dict[str, float]]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            found[way].append(together(way, store, seconds))
    rates = {way: [sum(each["made"] / each["wall_s"] for each in told) / PROCESSES for told in rounds] for way, rounds in found.items()}
    ratio = statistics.median(mine / theirs for mine, theirs in zip(rates["leases"], rates["read-modify-write"], strict=True))
    for way, rounds in found.items():
        made = median(rounds, "made")
        row = f"  {name:9}{way:19}{statistics.median(rates[way]):>17,.0f}{made / median(rounds, 'cpu_s'):>16,.0f}"
        print(row + f"{median(rounds, 'calls') / made:>21.5f}{ratio if way == 'leases' else 1.0:>10.1f}×")


def main(seconds: float = SECONDS) -> None:
    cores = os.cpu_count()
    print(f"Limits: {PROCESSES} processes on {cores} cores, {TASKS} tasks each, one tenant. Medians of {ROUNDS} alternating rounds.\n")
    print(f"  {'store':9}{'way':19}{'calls/s, process':>17}{'per CPU second':>16}{'table calls ÷ calls':>21}{'ratio':>11}")
    with tempfile.TemporaryDirectory() as folder:
        compare("SQLite", str(Path(folder) / "limits.db"), seconds)
    with azurite() as location:
        if location is None:
            print("  Azurite is not installed: npm ci --prefix tests/contract/azurite")
        else:
            compare("Azurite", location, seconds)
    print()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
