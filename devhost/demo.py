"""`make demo`: starts a gateway with simulated backends, calls it as a client would, breaks a backend, shows what happened.

The calls go through the official `openai` SDK over a loopback socket. Each one knows what it must end with; anything else
ends the demo with 1. Settings of the surrounding environment are left out, so that a demo never touches Azure.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import openai
import uvloop

from devhost import console
from devhost.host import ROOT
from devhost.simulator.config import SimulatorConfig
from devhost.simulator.server import serve as simulate

PACE = SimulatorConfig(latency_ms=120, tokens_per_second=60)
BAR = 24
COLUMNS = ("call", "status", "tokens", "first token", "latency", "cost", "served by")
START_S, STOP_S = 60, 40


class DemoError(Exception):
    """Something did not go as it must."""


@dataclass(slots=True)
class Seen:
    """What one call came to."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    tokens: int | None = None
    first_s: float | None = None
    took_s: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the demo: its title, the call, and the status it must end with."""

    title: str
    call: Callable[[openai.AsyncOpenAI], Awaitable[Seen]]
    status: int


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


async def streamed_chat(client: openai.AsyncOpenAI) -> Seen:
    """Print an answer token by token."""
    began_s = time.perf_counter()
    raw = await client.chat.completions.with_raw_response.create(
        model=console.MODEL,
        messages=[{"role": "user", "content": "Why put a gateway before every model?"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    seen = Seen(raw.status_code, dict(raw.headers))
    console.say("      ", end="")
    async for chunk in raw.parse():
        if chunk.usage is not None:
            seen.tokens = chunk.usage.total_tokens
        text = chunk.choices[0].delta.content if chunk.choices else None
        if text and seen.first_s is None:
            seen.first_s = time.perf_counter() - began_s
        console.say(text or "", end="")
    console.say()
    return seen


async def embeddings(client: openai.AsyncOpenAI) -> Seen:
    """Embed two texts."""
    raw = await client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=["a gateway", "a door"])
    answer = raw.parse()
    return Seen(raw.status_code, dict(raw.headers), answer.usage.total_tokens, note=f"{len(answer.data)} vectors")


async def without_key(client: openai.AsyncOpenAI) -> Seen:
    """Ask with a key that nobody issued."""
    return await chat(client.with_options(api_key="gwk_nobody_issued_this"), console.MODEL)


async def failover(client: openai.AsyncOpenAI) -> Seen:
    """Ask for a model whose first deployment is down."""
    return await chat(client, "mock-failover")


async def broken(client: openai.AsyncOpenAI) -> Seen:
    """Ask for a model whose only deployment is down."""
    return await chat(client, "mock-500")


async def chat(client: openai.AsyncOpenAI, model: str) -> Seen:
    """Ask for a whole answer; a refusal is a result too."""
    try:
        raw = await client.chat.completions.with_raw_response.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    except openai.APIStatusError as error:
        return Seen(error.status_code, dict(error.response.headers), note=str(error.code or ""))
    usage = raw.parse().usage
    return Seen(raw.status_code, dict(raw.headers), usage.total_tokens if usage else None)


STEPS = (
    Step("a streamed chat", streamed_chat, 200),
    Step("embeddings", embeddings, 200),
    Step("a key nobody issued", without_key, 401),
    Step("a backend is down: another serves", failover, 200),
    Step("every backend is down", broken, 502),
)


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


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Align the rows under their titles."""
    widths = [max(len(line[place]) for line in (COLUMNS, *rows)) for place in range(len(COLUMNS))]
    ruled = [COLUMNS, tuple("─" * width for width in widths), *rows]
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
        console.say(f"It serves {len(models)} models on {facts['url']}\n")
        for number, step in enumerate(STEPS, 1):
            console.say(f"{bar(number, len(STEPS))}  {step.title}")
            began_s = time.perf_counter()
            seen = await step.call(client)
            seen.took_s = time.perf_counter() - began_s
            rows.append(row(step.title, seen))
            if seen.status != step.status:
                wrong.append(f"{step.title!r} must end with {step.status}, not {seen.status}")
    console.say("\n" + table(rows) + "\n")
    if wrong:
        raise DemoError("; ".join(wrong))
    console.say("All went as it must. `make run` keeps a gateway running for you.")


def main() -> int:
    """Run the demo; 0 if all went as it must."""
    try:
        uvloop.run(run())
    except (DemoError, openai.OpenAIError, TimeoutError) as error:
        console.complain(str(error) or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
