"""`python -m devhost.simulator`: the simulated services on a port of their own."""

import argparse
import asyncio
import signal
import sys

import uvloop

from devhost.simulator.config import AWS_KEY_ID, AWS_SECRET, SimulatorConfig
from devhost.simulator.faults import MODELS
from devhost.simulator.server import Simulator, serve


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devhost.simulator", description="Simulated model services.")
    parser.add_argument("--port", type=int, default=7072, help="0 = a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait before the first byte")
    parser.add_argument("--tokens-per-second", type=float, default=0.0, help="pace of each stream; 0 = at once")
    parser.add_argument("--error-rate", type=float, default=0.0, help="share of requests that fail with 500, 0 to 1")
    parser.add_argument("--tpm", type=int, default=0, help="tokens per minute and deployment; 0 = no limit")
    parser.add_argument("--rpm", type=int, default=0, help="requests per minute and deployment; 0 = no limit")
    parser.add_argument("--exact-tokens", action="store_true", help="count prompts as OpenAI does, not a token for four characters")
    options = parser.parse_args(arguments)
    if not 0 <= options.error_rate <= 1:
        parser.error("--error-rate must be between 0 and 1")
    if min(options.latency_ms, options.tokens_per_second, options.tpm, options.rpm) < 0:
        parser.error("a number is negative")
    return options


def _introduce(simulator: Simulator) -> None:
    print(f"Simulated Azure OpenAI and Content Safety on {simulator.url} (any key works, except one that starts with 'bad')")
    print("Below it: OpenAI at /v1; /anthropic /gemini /bedrock /cohere /azure-ai /azure-ml /rest")
    print(f"/bedrock believes signatures of the access key {AWS_KEY_ID} with the secret {AWS_SECRET}")
    print("\nEvery deployment and model name answers. These names misbehave:")
    for name, meaning in MODELS.items():
        print(f"  {name:<15} {meaning}")
    print("\nContent Safety heeds words: sim-hate-4, sim-blocked, sim-attack, sim-lyrics, sim-ungrounded, sim-safety-429 (any fault)")
    print("\nWhat it received: GET /_sim/requests. Try it:")
    print(
        f"  curl -sN '{simulator.url}/openai/deployments/chat/chat/completions?api-version=2024-10-21' -H 'api-key: any'"
        """ -H 'content-type: application/json' -d '{"stream": true, "messages": [{"role": "user", "content": "Hello"}]}'""",
        flush=True,
    )


async def _run(options: argparse.Namespace) -> int:
    config = SimulatorConfig(
        latency_ms=options.latency_ms, tokens_per_second=options.tokens_per_second,
        error_rate=options.error_rate, tpm=options.tpm, rpm=options.rpm, exact_tokens=options.exact_tokens,
    )  # fmt: skip
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with serve(config, options.port, host=options.host) as simulator:
            _introduce(simulator)
            await stop.wait()
    except OSError as exc:
        print(f"Cannot listen on {options.host}:{options.port}: {exc.strerror or exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(_run(_parse(sys.argv[1:]))))
