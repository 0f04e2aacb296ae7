"""`python -m devhost`: the gateway on this machine, with simulated backends, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import uvloop

from devhost import console
from devhost.environment import apply_settings, data_folder, write_private
from devhost.functions import AppError
from devhost.host import ROOT, build
from devhost.keys import demo_keys, example_model, until_ready
from devhost.queues import service_bus
from devhost.server import DRAIN_S, MAX_PORT, Server, bind, url_of


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m devhost", description=__doc__)
    parser.add_argument("--port", type=int, default=7071, help="where to serve; 0 takes any free port (default: 7071)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: 127.0.0.1)")
    parser.add_argument("--data", type=Path, help="folder for all state; without it a temporary one, removed at the end")
    parser.add_argument("--catalog", help="the catalogue: a path or an https URL (default: GATEWAY_CATALOG, or catalog.yaml)")
    parser.add_argument("--no-simulator", action="store_true", help="do not start the simulated backends")
    parser.add_argument("--service-bus", action="store_true", help="run queues, too: an emulated Service Bus")
    parser.add_argument("--worker", action="store_true", help="run the app through Microsoft's worker library")
    parser.add_argument("--app", type=Path, default=ROOT, help="folder of the Function App (default: this one)")
    parser.add_argument("--ready-file", type=Path, help="write url and keys there, as JSON, once it serves")
    parser.add_argument("--drain-s", type=float, default=DRAIN_S, help=f"how long running requests may finish (default: {DRAIN_S:g})")
    return parser.parse_args(arguments)


@asynccontextmanager
async def simulator(*, wanted: bool) -> AsyncIterator[str | None]:
    """Run the simulated backends on a loopback port of their own; yield its address.

    They end after the gateway, whose last streams they feed. A SIMULATOR_URL in the environment stands for running ones.
    """
    if not wanted or os.environ.get("SIMULATOR_URL"):
        yield None
        return
    from devhost.simulator.server import serve as simulate

    async with simulate() as simulated:
        yield simulated.url


async def serve(options: argparse.Namespace, sock: socket.socket, data: Path) -> None:
    """Serve until a signal says stop.

    Raises:
        AppError: The app cannot be served; nothing was left running.
    """
    url = url_of(sock)
    admin_key_given = bool(os.environ.get("GATEWAY_ADMIN_KEY"))
    async with simulator(wanted=not options.no_simulator) as simulator_url, service_bus(wanted=options.service_bus, data=data) as bus:
        apply_settings(data, options.catalog, simulator_url)
        mode = "worker" if options.worker else "direct"
        host = await build(mode, options.app.resolve())
        for warning in host.warnings:
            console.warn(warning)
        server = Server(host, drain_s=options.drain_s)
        stop_on_signals(server)
        running = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            await server.until_started(running)
            await until_ready(url)
            admin_key = os.environ["GATEWAY_ADMIN_KEY"]
            keys = await demo_keys(url, admin_key, data)
            model = await example_model()
            kept = options.data is not None
            banner = console.Banner(url, mode, admin_key, admin_key_given, keys, simulator_url, data, kept, model)
            if options.ready_file is not None:
                write_ready(options.ready_file, banner, bus)
            console.greet(banner)
            if bus is not None:
                console.say(f"queues: {bus}")
            await asyncio.wait({running})
        except (AppError, aiohttp.ClientError):
            if not server.should_exit:  # otherwise it was told to stop while it introduced itself
                raise
        finally:
            server.should_exit = True
            await running
    console.say("stopped")


def write_ready(path: Path, banner: console.Banner, service_bus_location: str | None) -> None:
    """Tell a program what the greeting tells a person."""
    facts = {
        "url": banner.url,
        "mode": banner.mode,
        "admin_key": banner.admin_key,
        "demo_keys": banner.demo_keys,
        "simulator_url": banner.simulator_url,
        "service_bus": service_bus_location,
        "data": str(banner.data),
    }
    write_private(path, json.dumps(facts) + "\n")


def stop_on_signals(server: Server) -> None:
    """Drain at the first Ctrl-C or SIGTERM; a second one does not wait."""

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True
        console.say(
            "\nstopping: cutting short what runs" if server.force_exit else "\nstopping: finishing what runs (again to cut it short)"
        )

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 after a stop that was asked for, 1 if it could not serve."""
    options = parse(arguments)
    if not 0 <= options.port <= MAX_PORT:
        console.complain(f"there is no port {options.port}: they go up to {MAX_PORT}. Choose another: --port N, or make run PORT=N")
        return 1
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        sock = bind(options.host, options.port)
    except OSError as error:
        console.complain(f"cannot serve on {options.host}:{options.port}: {error.strerror}. Choose another: --port N, or make run PORT=N")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until it serves; then `stop_on_signals`
    try:
        with sock, data_folder(options.data) as data, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(options, sock, data))
    except AppError as error:
        console.complain(str(error))
        return 1
    except KeyboardInterrupt:
        console.say("\nstopped before it served")
    return 0


if __name__ == "__main__":
    sys.exit(main())
