"""`python -m devhost.servicebus`: queues on a loopback port until Ctrl-C or SIGTERM; prints the connection string."""

import argparse
import asyncio
import logging
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from devhost.servicebus.broker import Broker
from devhost.servicebus.terms import Options


def declared(text: str) -> tuple[str, Options]:
    """Read a queue's declaration: `jobs`, or `jobs:lock_s=30:duplicate_window_s=600`.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    name, *given = text.split(":")
    if not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r}: a queue needs a name without a slash")
    try:
        return name, msgspec.convert(dict(pair.partition("=")[::2] for pair in given), Options, strict=False)
    except msgspec.ValidationError as exc:
        raise argparse.ArgumentTypeError(f"{text!r}: {exc}") from exc


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m devhost.servicebus", description=__doc__)
    parser.add_argument("--port", type=int, default=5672, help="where to listen on 127.0.0.1; 0 takes any free port (default: 5672)")
    parser.add_argument("--data", type=Path, help="the file that keeps all; without it, memory")
    options = ", ".join(Options.__struct_fields__)
    parser.add_argument(
        "--queue", dest="queues", type=declared, action="append", required=True, metavar="NAME[:OPTION=VALUE…]", help=f"options: {options}"
    )
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> int:
    """Serve until a signal says stop, or the broker cannot go on; return the exit code."""
    broker = Broker(dict(options.queues), options.data)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, broker.stopped.set)
    async with broker.listening(options.port):
        print(broker.connection_string, flush=True)
        await broker.stopped.wait()
    return 1 if broker.failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 after a stop that was asked for, 1 if it could not serve."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = parse(arguments)
    try:
        return asyncio.run(serve(options))
    except (OSError, OverflowError, sqlite3.Error) as error:
        print(f"cannot serve the queues: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
