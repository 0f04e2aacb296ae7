"""Runs the simulated service: in this process on a free port (`serve`), for tests, benchmarks and the embedded host."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from devhost.simulator.app import create_app
from devhost.simulator.config import SimulatorConfig

_GRACE_S = 1
_QUIET = logging.getLogger("devhost.simulator.http")
_QUIET.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator: `url` is its base, such as http://127.0.0.1:40001."""

    url: str
    port: int
    config: SimulatorConfig


class _QuietProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a logger of its own: answers that are cut on purpose are no errors, other servers' still are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _QUIET


@asynccontextmanager
async def serve(config: SimulatorConfig | None = None, port: int = 0, *, host: str = "127.0.0.1") -> AsyncIterator[Simulator]:
    """Serve on the running loop until the block ends; port 0 = a free one. Open streams are cut at the end.

    Raises:
        OSError: the port is taken.
    """
    config = config or SimulatorConfig()
    listener = _listen(host, port)
    settings = uvicorn.Config(
        create_app(config), http=_QuietProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
        date_header=False, server_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=_GRACE_S,
    )  # fmt: skip
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup(sockets=[listener])
    bound = int(listener.getsockname()[1])
    try:
        yield Simulator(f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}", bound, config)
    finally:
        running = list(server.server_state.tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        server.force_exit = True
        await server.shutdown(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket that says it is TCP: only then does asyncio set TCP_NODELAY on what it accepts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
