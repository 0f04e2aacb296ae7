"""Every implementation of a store Protocol, each on a store of its own; names are fresh, so tests share one Azurite.

Azurite needs Node and `npm ci` in `tests/contract/azurite`. Without them its half is skipped, or fails where CI=true.
"""

import os
import pathlib
import re
import secrets
import shutil
import subprocess
import threading

import pytest

from gateway.adapters.blobs_files import FileBlobs
from gateway.adapters.tables_sqlite import SqliteTables
from tests.fakes.tables import FakeTables

AZURITE = pathlib.Path(__file__).parent / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
# The account that every storage emulator has; its key is public.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://127\.0\.0\.1:\d+)")
START_TIMEOUT_S = 60


def connection_string(blob_url: str, table_url: str) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY}"
        f";BlobEndpoint={blob_url}/{ACCOUNT};TableEndpoint={table_url}/{ACCOUNT}"
    )


@pytest.fixture(scope="session")
def azurite():
    """The connection string of an Azurite in memory, on ports that the system chose."""
    node = shutil.which("node")
    if node is None or not AZURITE.exists():
        reason = "Azurite is not installed; `npm ci --prefix tests/contract/azurite` installs it, given Node"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    command = [node, str(AZURITE), "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence"]
    for service in ("blob", "queue", "table"):
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines, urls, ready = [], {}, threading.Event()

    def read() -> None:
        for line in process.stdout:
            lines.append(line)
            if found := LISTENING.search(line):
                urls[found[1]] = found[2]
                if len(urls) == 3:
                    ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        ready.wait(START_TIMEOUT_S)
        if len(urls) < 3:
            pytest.fail(f"Azurite did not start:\n{''.join(lines)}")
        yield connection_string(urls["Blob"], urls["Table"])
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)
        reader.join(START_TIMEOUT_S)
        process.stdout.close()


@pytest.fixture(params=["fake", "sqlite", pytest.param("azure", marks=pytest.mark.azurite)])
async def tables(request, tmp_path):
    if request.param == "fake":  # what other tests rely on has to be true of it, too
        store = FakeTables()
    elif request.param == "sqlite":
        store = SqliteTables(str(tmp_path / "made" / "tables.db"))
    else:
        from gateway.adapters import tables as azure

        store = azure.connect(request.getfixturevalue("azurite"), None)
    yield store
    await store.close()


@pytest.fixture(params=["files", pytest.param("azure", marks=pytest.mark.azurite)])
async def blobs(request, tmp_path):
    if request.param == "files":
        store = FileBlobs(str(tmp_path / "made"))
    else:
        from gateway.adapters import blobs as azure

        store = azure.connect(request.getfixturevalue("azurite"), None)
    yield store
    await store.close()


@pytest.fixture
def table() -> str:
    """The name of a table that nobody has used."""
    return f"T{secrets.token_hex(8)}"


@pytest.fixture
def container() -> str:
    """The name of a container that nobody has used."""
    return f"c-{secrets.token_hex(8)}"
