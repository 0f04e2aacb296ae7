"""A raw HTTP server on 127.0.0.1 that answers exactly the bytes a test wants, and sees when its client hangs up."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

HANG = b"<hang>"
CUT = b"<cut>"
type Piece = bytes | asyncio.Event


@dataclass
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Loopback:
    """Answers each request with the next of `answers`, a list of pieces; an Event waits, HANG waits for the client, CUT resets it."""

    def __init__(self) -> None:
        self.answers: list[list[Piece]] = []
        self.received: list[Received] = []
        self.disconnected = asyncio.Event()
        self.url = ""
        self._connections = 0

    def will(self, *pieces: Piece) -> None:
        self.answers.append(list(pieces))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection = self._connections
        try:
            while await self._exchange(reader, writer, connection):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.disconnected.set()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received.append(Received(method, target, headers, body, connection))
        for piece in self.answers.pop(0):
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            if piece is HANG:
                await reader.read()  # until the client closes
                return False
            if piece is CUT:
                writer.transport.abort()
                return False
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return True


@contextlib.asynccontextmanager
async def loopback(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    server = Loopback()
    handlers: set[asyncio.Task[None]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        task.add_done_callback(handlers.discard)
        await server.serve(reader, writer)

    listening = await asyncio.start_server(tracked, host, 0, ssl=tls)
    shown = f"[{host}]" if ":" in host else host
    server.url = f"{'https' if tls else 'http'}://{shown}:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def answer(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n"
END = b"0\r\n\r\n"
