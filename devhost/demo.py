"""`make demo`: starts a gateway with simulated backends, calls it as clients would, shows what happened.

The calls (`demo_calls.py`, `demo_guardrails.py`, `demo_prompts.py`, `demo_access.py`) go through the official `openai` SDK over a
loopback socket, one of them as Anthropic's clients send it. Each one knows what it must end with; anything else ends the demo with 1.
Settings of the surrounding environment are left out, so that a demo never touches Azure.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

import aiohttp
import openai
import uvloop

from devhost import console, demo_access, demo_guardrails, demo_prompts
from devhost.demo_calls import STEPS, Seen
from devhost.host import ROOT
from devhost.simulator.config import SimulatorConfig
from devhost.simulator.server import serve as simulate

PACE = SimulatorConfig(latency_ms=120, tokens_per_second=60)
BAR = 24
COLUMNS = ("call", "status", "tokens", "first token", "latency", "cost", "served by")
START_S, STOP_S = 60, 40


class DemoError(Exception):
    """Something did not go as it must."""


@asynccontextmanager
async def gateway(simulator_url: str) -> AsyncIterator[dict[str, Any]]:
    """Run a gateway in a process of its own; yield what it says about itself.

    Raises:
        DemoError: It does not start, or does not end with 0.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "SIMULATOR_", "AzureWebJobs"))}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+", encoding="utf-8") as log:
        ready = Path(folder) / "ready.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "devhost", "--port", "0", "--ready-file", str(ready)),
            cwd=ROOT,
            env=own | {"SIMULATOR_URL": simulator_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=log,  # it warns of the backend that is broken on purpose
        )
        try:
            async with asyncio.timeout(START_S):
                while not ready.exists() and await process.stdout.readline():  # type: ignore[union-attr]  # it is a pipe
                    pass
            if not ready.exists():
                raise DemoError(f"the gateway did not start\n{_text(log)}")
            yield json.loads(ready.read_text(encoding="utf-8"))
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(STOP_S):
                await process.communicate()
        if process.returncode != 0:
            raise DemoError(f"the gateway ended with {process.returncode}\n{_text(log)}")


def _text(log: TextIO) -> str:
    log.seek(0)
    return log.read()


def bar(done: int, total: int) -> str:
    """Draw the progress."""
    full = BAR * done // total
    return f"[{'█' * full}{'░' * (BAR - full)}] {done}/{total}"


def row(title: str, seen: Seen) -> tuple[str, ...]:
    """Lay out one call for the table."""
    headers = {name.lower(): value for name, value in seen.headers.items()}
    deployment, attempts = headers.get("x-gateway-deployment", ""), headers.get("x-gateway-attempts", "")
    served = f"{deployment}, attempt {attempts}" if deployment and attempts else deployment
    return (
        title,
        str(seen.status),
        "" if seen.tokens is None else str(seen.tokens),
        "" if seen.first_s is None else f"{seen.first_s * 1000:.0f} ms",
        f"{seen.took_s * 1000:.0f} ms",
        f"${headers['x-gateway-cost-usd']}" if "x-gateway-cost-usd" in headers else "",
        " · ".join(part for part in (served, seen.note) if part),
    )


def table(rows: Sequence[tuple[str, ...]], columns: tuple[str, ...] = COLUMNS) -> str:
    """Align the rows under their titles."""
    widths = [max(len(line[place]) for line in (columns, *rows)) for place in range(len(columns))]
    ruled = [columns, tuple("─" * width for width in widths), *rows]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in ruled)


async def run() -> None:
    """Do it all.

    Raises:
        DemoError: A call ended otherwise than it must.
    """
    console.say("Starting a gateway and its simulated backends")
    rows: list[tuple[str, ...]] = []
    wrong: list[str] = []
    async with (
        simulate(PACE) as simulator,
        gateway(simulator.url) as facts,
        openai.AsyncOpenAI(base_url=f"{facts['url']}/v1", api_key=facts["demo_keys"]["unlimited"], max_retries=0) as client,
    ):
        models = (await client.models.list()).data
        guarded = demo_guardrails.steps(facts["demo_keys"][demo_guardrails.PRODUCT], simulator.url)
        prompts = demo_prompts.steps(facts, simulator.url)
        steps = (*STEPS, *guarded, *prompts, *demo_access.steps(await demo_access.prepare(facts, simulator.url)))
        console.say(f"It serves {len(models)} models on {facts['url']}\n")
        for number, step in enumerate(steps, 1):
            console.say(f"{bar(number, len(steps))}  {step.title}")
            began_s = time.perf_counter()
            seen = await step.call(client)
            seen.took_s = time.perf_counter() - began_s
            rows.append(row(step.title, seen))
            if fault := step.fault(seen):
                wrong.append(fault)
        spent = await demo_access.spending(facts, len(steps))
    console.say(f"\n{table(rows)}\n\nWho spent what (GET /manage/usage?group_by=tenant,product):\n")
    console.say(table(spent, demo_access.COLUMNS) + "\n")
    if wrong:
        raise DemoError("; ".join(wrong))
    console.say("All went as it must. `make run` keeps a gateway running for you.")


def main() -> int:
    """Run the demo; 0 if all went as it must."""
    try:
        uvloop.run(run())
    except (DemoError, openai.OpenAIError, aiohttp.ClientError, TimeoutError) as error:
        console.complain(str(error) or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
