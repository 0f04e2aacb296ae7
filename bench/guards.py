"""What guardrails cost a call: the same gateway, the same backend, one key with guardrails and one without, interleaved.

Of streams it is what every chunk takes longer. The backend's stamps are words with a blank behind them: they are released at once.
"""

import statistics

from bench import load, servers

PATH = "/v1/chat/completions"
PRODUCTS = ("bench", "masked", "shielded", "guarded")
STREAMED = ("bench", "masked", "guarded")
SHOWN = {"bench": "no guardrails", "masked": "PII + secrets", "shielded": "injection", "guarded": "PII + injection + rules"}


async def main(port: int, keys: dict[str, str], pid: int, bodies: dict[str, list[bytes]], rounds: int, seconds: float, progress) -> None:
    print("Guardrails: plain chat, 32 connections, ÷ the same gateway without. Medians of interleaved rounds; ratios are per round.\n")
    print(f"  {'':28}{'prompt':>8}{'calls/s':>10}{'÷ none':>9}{'CPU µs/call':>13}{'p50 ms':>9}")
    for size, sent in bodies.items():
        rates: dict[str, list[float]] = {name: [] for name in PRODUCTS}
        cpu_us: dict[str, list[float]] = {name: [] for name in PRODUCTS}
        p50_ms: dict[str, list[float]] = {name: [] for name in PRODUCTS}
        for number in range(rounds + 1):  # the first one warms up
            for name in PRODUCTS:
                progress(f"guardrails, {size}, round {number}/{rounds}: {name}")
                wires = [load.request(PATH, keys[name], each) for each in sent]
                rate, used_us, median_ms = await load.measured(port, wires, pid, seconds, name)
                if number:
                    rates[name].append(rate)
                    cpu_us[name].append(used_us)
                    p50_ms[name].append(median_ms)
        progress("")
        for name in PRODUCTS:
            ratio = statistics.median(mine / none for mine, none in zip(rates[name], rates["bench"], strict=True))
            row = f"  {SHOWN[name]:28}{size:>8}{statistics.median(rates[name]):>10.0f}{ratio:>9.2f}"
            print(row + f"{statistics.median(cpu_us[name]):>13.0f}{statistics.median(p50_ms[name]):>9.3f}")
        print()


async def streams(port: int, keys: dict[str, str], pid: int, body: bytes, rounds: int, progress, count: int = 50) -> None:
    delays: dict[str, list[list[float]]] = {name: [] for name in STREAMED}
    firsts: dict[str, list[list[float]]] = {name: [] for name in STREAMED}
    cpu_us: dict[str, list[float]] = {name: [] for name in STREAMED}
    for number in range(rounds + 1):  # the first one warms up
        for name in STREAMED:
            progress(f"guarded streams, round {number}/{rounds}: {name}")
            before_s = servers.cpu_s(pid)
            result = await load.streams(port, load.request(PATH, keys[name], body), count, 3)
            if result.chunks != count or len(result.latencies_s) != count:
                raise SystemExit(f"{name}: {count - result.chunks} streams failed")
            if number:
                cpu_us[name].append((servers.cpu_s(pid) - before_s) / len(result.delays_s) * 1e6)
                delays[name].append(result.delays_s)
                firsts[name].append(result.latencies_s)
    progress("")
    print(f"Guarded streams: {count} at once, 50 words each, one every 20 ms. Delay: backend's write → client's read. Medians of rounds.\n")
    print(f"  {'':28}{'delay p50 ms':>14}{'p99 ms':>9}{'first content ms':>18}{'CPU µs/chunk':>14}")
    for name in STREAMED:
        p50, p99 = (statistics.median(statistics.quantiles(each, n=100)[place] for each in delays[name]) * 1e3 for place in (49, 98))
        first = statistics.median(statistics.median(each) for each in firsts[name]) * 1e3
        print(f"  {SHOWN[name]:28}{p50:>14.2f}{p99:>9.2f}{first:>18.2f}{statistics.median(cpu_us[name]):>14.1f}")
    print()
