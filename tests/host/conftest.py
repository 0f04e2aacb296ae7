"""A gateway as users start it: `python -m devhost` in a process of its own, on a free port.

`gateway` is the checkout's app, once per session and mode; `run_host` starts any number of others.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devhost.simulator.server import Simulator, serve
from tests import leaks

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_APP = Path(__file__).parent / "sample_app"
START_S = 60
STOP_S = 60
# What the embedded host keeps for itself, readable by its user alone, so that a second start shows the same keys.
PRIVATE = {"demo-keys.json", "admin-key", "key-pepper"}
MODES = [pytest.param(mode, marks=pytest.mark.xdist_group(mode)) for mode in ("direct", "worker")]


@dataclass
class Running:
    """A host that serves.

    Attributes:
        demo_keys: Product → virtual key; `unlimited` has no limits and no guardrails.
    """

    process: subprocess.Popen[bytes]
    stderr_path: Path
    url: str = ""
    mode: str = ""
    admin_key: str = ""
    demo_keys: dict[str, str] = field(default_factory=dict)
    simulator_url: str | None = None
    data: Path = Path()

    def line(self, within_s: float = START_S) -> str:
        """Wait for the next line that it prints; the empty string when it has ended."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within_s)
        assert ready, f"nothing printed in {within_s} s; {self.errors()}"
        return self.process.stdout.readline().decode()

    def errors(self) -> str:
        """Return what it wrote to the error stream."""
        return self.stderr_path.read_text(encoding="utf-8")

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Ask it to stop, wait for the end, return the exit code."""
        if self.process.poll() is None:
            self.terminate()
        return self.wait()

    def wait(self) -> int:
        """Return the exit code; a host that does not end in time is killed and counts as -9."""
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment without what would reach into the host, and with the given settings."""
    foreign = ("GATEWAY_", "SIMULATOR_", "AzureWebJobs", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | settings


@contextlib.contextmanager
def started(folder: Path, *arguments: str, settings: dict[str, str] | None = None) -> Iterator[Running]:
    """Start a host and wait until it is ready or has ended; at the end it is gone."""
    ready, errors = folder / "ready.json", folder / "stderr.txt"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "devhost", "--port", "0", "--ready-file", str(ready), *arguments]
    with (
        errors.open("w", encoding="utf-8") as sink,
        subprocess.Popen(command, cwd=ROOT, env=environment(**(settings or {})), stdout=subprocess.PIPE, stderr=sink, bufsize=0) as process,
    ):
        running = Running(process, errors)
        try:
            while (line := running.line()) and "serves on" not in line:
                pass
            if ready.exists():
                for name, value in json.loads(ready.read_text(encoding="utf-8")).items():
                    setattr(running, name, Path(value) if name == "data" else value)
            yield running
        finally:
            running.stop()
            leaked = leaks.find(running.errors().encode(), (*leaks.TEXTS, running.admin_key))
            assert leaked == [], f"{leaked} on the host's error stream"
            assert stored_secrets(running) == []


def stored_secrets(running: Running) -> list[str]:
    """Return what secrets stand in the files that a host left behind: of keys only hashes, but for the demo keys that it shows again."""
    folders = [running.data] if running.data != Path() and running.data.is_dir() else []
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name not in PRIVATE]
    return [f"{secret} in {path.name}" for path in files for secret in leaks.find(path.read_bytes(), (running.admin_key,))]


type RunHost = Callable[..., Running]


@pytest.fixture
def run_host(tmp_path: Path) -> Iterator[RunHost]:
    """Start hosts with the given arguments (and `settings=` for the environment); all are gone after the test."""
    with contextlib.ExitStack() as stack:

        def run(*arguments: str, settings: dict[str, str] | None = None) -> Running:
            folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return stack.enter_context(started(folder, *arguments, settings=settings))

        yield run


def _session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, *arguments: str) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(f"host-{request.param}")
    mode = ["--worker"] if request.param == "worker" else []
    with started(folder, "--data", str(folder / "data"), *mode, *arguments) as running:
        assert running.url, running.errors()
        yield running
        code = running.stop()
        assert code == 0, f"SIGTERM must end it with 0, not {code}; {running.errors()}"


@pytest.fixture(scope="session", params=MODES)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The gateway with simulated backends, in both modes: `.url .mode .admin_key .demo_keys .simulator_url .data`."""
    yield from _session(request, tmp_path_factory)


@pytest.fixture(scope="session", params=MODES)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The sample app instead of the gateway, in both modes; its routes are under /base."""
    yield from _session(request, tmp_path_factory, "--app", str(SAMPLE_APP), "--no-simulator")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with serve() as running:
        yield running
