"""Starts what is measured, each on a core of its own where there are two: the server on 0, backend and load on 1."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator

CATALOG = """
version: 1
backends:
  - {id: bench, protocol: azure-openai, endpoint: "${env:SIMULATOR_URL}", auth: {type: api-key, key: "${env:SIMULATOR_KEY}"}}
deployments:
  - {id: one, backend: bench, name: gpt-4o, price: {input: 2.5, output: 10}}
  - {id: two, backend: bench, name: gpt-4o, price: {input: 2.5, output: 10}}
  - {id: three, backend: bench, name: gpt-4o, price: {input: 2.5, output: 10}}
  - {id: four, backend: bench, name: gpt-4o, price: {input: 2.5, output: 10}}
  - {id: five, backend: bench, name: gpt-4o, price: {input: 2.5, output: 10}}
  - {id: fails, backend: bench}
  - {id: hangs, backend: bench}
models:
  - {id: gpt-4o, pool: [{deployment: one}]}
  - {id: gpt-4o-five, pool: [{deployment: one}, {deployment: two}, {deployment: three}, {deployment: four}, {deployment: five}]}
  - {id: one-fails, strategy: weighted, pool: [{deployment: fails}, {deployment: two}, {deployment: three}]}
  - {id: one-hangs, strategy: weighted, retry: {attempt_timeout_s: 2}, pool: [{deployment: hangs}, {deployment: two}, {deployment: three}]}
products:
  - {id: bench, models: ["*"], limits: LIMITS}
  - {models: ["*"], limits: LIMITS, id: masked, guardrails: [mask-pii, block-secrets]}
  - {models: ["*"], limits: LIMITS, id: shielded, guardrails: [shield-prompts]}
  - {models: ["*"], limits: LIMITS, id: guarded, guardrails: [mask-pii, shield-prompts, words, sizes]}
guardrails:
  - {id: words, type: terms, terms: [Fabrikam, Northwind Traders, Adventure Works, Project Falcon, Blue Yonder], category: competitor}
  - {id: sizes, type: size, characters: 400000, messages: 2000, tools: 64}
""".replace("LIMITS", "{requests_per_minute: 100000000, tokens_per_minute: 100000000000}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else []


@contextlib.contextmanager
def process(command: list[str], port: int, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            if started.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"{command[-2:]} did not start")
            time.sleep(0.05)
        yield started
    finally:
        started.terminate()
        started.wait(20)


@contextlib.contextmanager
def gateway(upstream_port: int, *products: str, worker: bool = False) -> Iterator[tuple[int, dict[str, str], int]]:
    """Run the gateway; yields its port, a key of each product, all with limits on, and its process id."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        catalog, ready = pathlib.Path(folder, "catalog.yaml"), pathlib.Path(folder, "ready.json")
        catalog.write_text(CATALOG)
        environment = {"SIMULATOR_URL": f"http://127.0.0.1:{upstream_port}", "SIMULATOR_KEY": "bench-bench-bench"}
        command = [*pin(0), sys.executable, "-m", "devhost", "--port", str(port), "--data", folder, "--catalog", str(catalog)]
        command += ["--ready-file", str(ready), "--no-simulator", *(["--worker"] if worker else [])]
        with process(command, port, environment) as running:
            while not ready.exists():
                time.sleep(0.05)
            admin_key = json.loads(ready.read_text())["admin_key"]
            yield port, {product: subscribe(port, admin_key, product) for product in products or ("bench",)}, running.pid


def subscribe(port: int, admin_key: str, product: str) -> str:
    body = json.dumps({"tenant": "default", "product": product, "name": "bench"}).encode()
    headers = {"authorization": f"Bearer {admin_key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/manage/subscriptions", body, headers)
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["keys"]["primary"])


def cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used so far, its threads included."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
