"""`make bench`: what the gateway adds, against the barest forwarder, interleaved in one run.

    python -m bench [plain] [stream] [failover] [imports] [spill] [limits] [guards] [prompts] [--rounds N] [--seconds S] [--worker]

Absolute figures depend on the machine; the ratios are what to compare. Servers listen on loopback only, loads are bounded.
"""

import argparse
import json
import os
import statistics
import sys

import uvloop

from bench import guards, imports, limits, load, prompts, servers, spill


def body(question: str, times: int = 3, **more: object) -> bytes:
    """Return a chat request whose question differs from call to call, and whose system text does not."""
    system = {"role": "system", "content": "You are a helpful assistant that answers in one sentence."}
    user = {"role": "user", "content": f"What is the capital of {question}, and how many people live there? " * times}
    document = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 200, "messages": [system, user], **more}
    return json.dumps(document, separators=(",", ":")).encode()


BODIES = [body(f"country number {number}") for number in range(4001)]  # more than any memo keeps
LONG_BODIES = [body(f"country number {number}", 40) for number in range(501)]
POOLED = [each.replace(b'"gpt-4o"', b'"gpt-4o-five"') for each in BODIES]
STREAM_BODY = body("France", stream=True)
LETTERS_BODY = body("France", stream=True, metadata={"stamp": "letters"})
PATH = "/v1/chat/completions"
AZURE_PATH = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"


WHAT = ["plain", "stream", "failover", "imports", "spill", "limits", "guards", "prompts"]

type Target = tuple[int, str, str, int]  # port, path, key, process id


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


async def plain(targets: dict[str, Target], rounds: int, seconds: float) -> None:
    rates: dict[str, list[float]] = {name: [] for name in targets}
    cpu_us: dict[str, list[float]] = {name: [] for name in targets}
    p50_ms: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(rounds + 1):  # the first one warms up
        for name, (port, path, key, pid) in targets.items():
            progress(f"plain chat, round {number}/{rounds}: {name}")
            wires = [load.request(path, key, each) for each in (POOLED if name == "pool of 5" else BODIES)]
            rate, used_us, median_ms = await load.measured(port, wires, pid, seconds, name)
            if number:
                rates[name].append(rate)
                cpu_us[name].append(used_us)
                p50_ms[name].append(median_ms)
    base = "forwarder"
    progress("")
    print("Plain chat, 32 connections; p50 at concurrency 1. Medians of interleaved rounds; ratios are per round.\n")
    print(f"  {'':12}{'calls/s':>10}{'÷ forwarder':>13}{'CPU µs/call':>13}{'p50 ms':>9}{'added to direct ms':>20}")
    for name in targets:
        ratios = [mine / theirs for mine, theirs in zip(rates[name], rates[base], strict=True)]
        added = statistics.median(p50_ms[name]) - statistics.median(p50_ms["direct"])
        row = f"  {name:12}{statistics.median(rates[name]):>10.0f}{statistics.median(ratios):>13.2f}"
        print(row + f"{statistics.median(cpu_us[name]):>13.0f}{statistics.median(p50_ms[name]):>9.3f}{added:>20.3f}")
    print()


async def stream(targets: dict[str, Target], rounds: int, count: int = 200) -> None:
    delays: dict[str, list[list[float]]] = {name: [] for name in targets}
    complete: dict[str, int] = dict.fromkeys(targets, 0)
    cpu: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(rounds):
        for name, (port, path, key, pid) in targets.items():
            progress(f"streams, round {number + 1}/{rounds}: {name}")
            before_s = servers.cpu_s(pid)
            result = await load.streams(port, load.request(path, key, STREAM_BODY), count, 3)
            cpu[name].append((servers.cpu_s(pid) - before_s) / len(result.delays_s) * 1e6)
            delays[name].append(result.delays_s)
            complete[name] += result.chunks
    progress("")
    print(f"{count} concurrent streams of 50 chunks, one every 20 ms ({count * 50} chunks/s). Delay: backend's write → client's read.\n")
    print(f"  {'':12}{'complete':>12}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'CPU µs/chunk':>14}")
    for name in targets:
        p50, p99, worst = (statistics.median([percentile(d, share) for d in delays[name]]) * 1e3 for share in (0.5, 0.99, 1.0))
        row = f"  {name:12}{complete[name]:>6}/{rounds * count:<5}{p50:>9.2f}{p99:>9.2f}{worst:>9.2f}"
        print(row + f"{statistics.median(cpu[name]):>14.1f}")
    print()


async def failover(target: Target) -> None:
    port, path, key, _ = target
    print("Failover, 16 connections, real sockets: calls that succeed while one of three deployments does not.\n")
    print(f"  {'':12}{'calls':>8}{'failed':>8}{'success':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for model, seconds in (("one-fails", 10.0), ("one-hangs", 30.0)):
        progress(f"failover: {model}, {seconds:g} s")
        wires = [load.request(path, key, each.replace(b'"gpt-4o"', f'"{model}"'.encode())) for each in BODIES]
        result, _ = await load.plain(port, wires, 16, seconds)
        progress("")
        calls = len(result.latencies_s) + result.failures
        p50, p99, worst = (percentile(result.latencies_s, share) * 1e3 for share in (0.5, 0.99, 1.0))
        success = len(result.latencies_s) / calls
        print(f"  {model:12}{calls:>8}{result.failures:>8}{success:>10.3%}{p50:>9.2f}{p99:>9.2f}{worst:>9.0f}")
    print()


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


async def main(options: argparse.Namespace) -> None:
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    upstream, forwarder = servers.free_port(), servers.free_port()
    python = sys.executable
    with (
        servers.process([*servers.pin(1), python, "-m", "bench.upstream", str(upstream)], upstream) as backend,
        servers.process([*servers.pin(0), python, "-m", "bench.forwarder", str(forwarder), str(upstream)], forwarder) as bare,
        servers.gateway(upstream, *(guards.PRODUCTS if "guards" in options.what else ()), worker=options.worker) as (port, keys, pid),
    ):
        key = keys["bench"]
        targets = {
            "direct": (upstream, AZURE_PATH, "none", backend.pid),
            "forwarder": (forwarder, PATH, "none", bare.pid),
            "gateway": (port, PATH, key, pid),
            "pool of 5": (port, PATH, key, pid),
        }
        if "plain" in options.what:
            await plain(targets, options.rounds, options.seconds)
        if "stream" in options.what:
            await stream({name: target for name, target in targets.items() if name != "pool of 5"}, options.rounds)
        if "failover" in options.what:
            await failover(targets["gateway"])
        if "guards" in options.what:
            await guards.streams(port, keys, pid, LETTERS_BODY, options.rounds, progress)
            await guards.main(port, keys, pid, {"0.6 KB": BODIES, "4 KB": LONG_BODIES}, options.rounds, options.seconds, progress)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "what",
        nargs="*",
        default=["plain", "stream", "imports", "spill"],
        help=f"{', '.join(WHAT)}; by default all but failover, limits, guards and prompts",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load per server and round")
    parser.add_argument("--worker", action="store_true", help="run the gateway through Microsoft's worker library")
    chosen = parser.parse_args()
    if "imports" in chosen.what:
        imports.main(chosen.rounds)
    if "spill" in chosen.what:
        spill.main()
    if "limits" in chosen.what:
        limits.main(chosen.seconds)
    if "prompts" in chosen.what:
        prompts.main()
    if {"plain", "stream", "failover", "guards"} & set(chosen.what):
        uvloop.run(main(chosen))
