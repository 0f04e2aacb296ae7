"""One HTTP server in this process, and its end: stop accepting, let what runs finish, then close.

uvicorn's own signal handling is left out: the simulated backends in this process must outlive the
gateway's last stream, and a stop that was asked for is success, not death by signal.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.lifespan.off import LifespanOff

DRAIN_S = 30.0
SETTLE_S = 5.0
CUT_S = 0.5  # the same once it was told to cut short
STEP_S = 0.05
MAX_PORT = 65535
KEEP_ALIVE_S = 75


def bind(host: str, port: int) -> socket.socket:
    """Take a port; 0 means any free one.

    Raises:
        OSError: It is taken, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def url_of(sock: socket.socket) -> str:
    """Say where a bound socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """A server that others start and stop.

    Args:
        app: The ASGI application.
        drain_s: How long requests and streams may take to finish once it stops.
    """

    def __init__(self, app: Any, drain_s: float = DRAIN_S) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, round(drain_s)),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process's own handler."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end the application: also after a cut, what was cut may first settle its accounts."""
        lifespan, self.lifespan = self.lifespan, LifespanOff(self.config)
        await super().shutdown(sockets)
        await self._settled()
        await lifespan.shutdown()

    async def _wait_tasks_to_complete(self) -> None:
        """Wait for what runs, within uvicorn's bound; told to cut short, cancel it as uvicorn does when the bound is over."""
        await super()._wait_tasks_to_complete()
        if self.force_exit:
            for task in self.server_state.tasks:
                task.cancel("cut short")

    async def _settled(self) -> None:
        """Let what was cut end by itself; a client that reads nothing is dropped, so that it cannot hold up the end."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while self.server_state.tasks and loop.time() - began_s < (CUT_S if self.force_exit else SETTLE_S):
            await asyncio.wait(set(self.server_state.tasks), timeout=STEP_S)
        if self.server_state.tasks:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.wait(set(self.server_state.tasks), timeout=CUT_S)

    async def until_started(self, running: "asyncio.Task[None]") -> None:
        """Return when it accepts connections.

        Raises:
            RuntimeError: It ended instead.
        """
        while not self.started:
            done, _ = await asyncio.wait({running}, timeout=0.005)
            if done:
                await running
                raise RuntimeError("the server ended before it served")
