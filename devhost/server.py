"""One HTTP server in this process, and its end: stop accepting, let what runs finish, then close.

uvicorn's own signal handling is left out: the simulated backends in this process must outlive the
gateway's last stream, and a stop that was asked for is success, not death by signal.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.lifespan.off import LifespanOff

DRAIN_S = 30.0
SETTLE_S = 5.0
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

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process's own handler."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end the application: also after a cut, what was cut may first settle its accounts."""
        lifespan, self.lifespan = self.lifespan, LifespanOff(self.config)
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=SETTLE_S)
        await lifespan.shutdown()

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
