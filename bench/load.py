"""A load generator on a bare asyncio protocol: closed loop, N connections, each sends as soon as it has its answer."""

import asyncio
import itertools
import statistics
import time
from dataclasses import dataclass, field

from bench import servers

DIGITS = bytes.maketrans(b"bfgkqvwxyzh", b"0123456789.")  # of a backend's stamps that are words


@dataclass
class Result:
    """What one run saw: latencies in seconds (of streams to the first content),
    answers that were not 200, and chunk delays of streams in seconds."""

    latencies_s: list[float] = field(default_factory=list)
    failures: int = 0
    delays_s: list[float] = field(default_factory=list)
    chunks: int = 0


def request(path: str, key: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Plain(asyncio.Protocol):
    """One connection that repeats one request until told to stop."""

    def __init__(self, wires: list[bytes], result: Result, until_s: float, done: asyncio.Event) -> None:
        self.wires, self.result, self.until_s, self.done = itertools.cycle(wires), result, until_s, done
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent_s = time.perf_counter()
        self.transport.write(next(self.wires))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.find(b"content-length: ")
        length = int(self.buffer[at + 16 : self.buffer.find(b"\r", at)])
        if len(self.buffer) < end + 4 + length:
            return
        now_s = time.perf_counter()
        if self.buffer.startswith(b"HTTP/1.1 200"):
            self.result.latencies_s.append(now_s - self.sent_s)
        else:
            self.result.failures += 1
        self.buffer = b""
        if now_s < self.until_s:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set()


async def plain(port: int, wires: list[bytes], connections: int, seconds: float) -> tuple[Result, float]:
    """Load for some seconds; returns the result and the seconds it really took."""
    result, loop = Result(), asyncio.get_running_loop()
    started_s = time.perf_counter()
    dones = []
    for _ in range(connections):
        done = asyncio.Event()
        dones.append(done)
        await loop.create_connection(lambda done=done: Plain(wires, result, started_s + seconds, done), "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*(done.wait() for done in dones)), seconds + 30)
    return result, time.perf_counter() - started_s


async def measured(port: int, wires: list[bytes], pid: int, seconds: float, name: str) -> tuple[float, float, float]:
    """Load a server over 32 connections, then over one; returns calls/s, CPU µs per call of the process, and the median in ms."""
    before_s = servers.cpu_s(pid)
    result, took_s = await plain(port, wires, 32, seconds)
    used_s = servers.cpu_s(pid) - before_s
    single, _ = await plain(port, wires, 1, seconds / 3)
    if result.failures or single.failures:
        raise SystemExit(f"{name}: {result.failures + single.failures} calls failed")
    calls = len(result.latencies_s)
    return calls / took_s, used_s / calls * 1e6, statistics.median(single.latencies_s) * 1e3


class Stream(asyncio.Protocol):
    """One streamed call: notes how long each chunk was under way since the backend wrote it."""

    def __init__(self, wire: bytes, result: Result, done: asyncio.Event) -> None:
        self.wire, self.result, self.done = wire, result, done
        self.tail = b""
        self.begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.sent_s = time.perf_counter()
        transport.write(self.wire)

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        data = self.tail + data
        mark = b'"content":"'
        at = data.find(mark)
        while at >= 0:
            end = data.find(b'"', at + len(mark))
            if end < 0:
                break
            stamp = data[at + len(mark) : end]
            if stamp:
                self.result.delays_s.append(now_s - float(stamp.translate(DIGITS)))
                if not self.begun:
                    self.begun = True
                    self.result.latencies_s.append(now_s - self.sent_s)
            data = data[end:]
            at = data.find(mark)
        self.tail = data[-512:] if at < 0 else data[at:]
        if b"data: [DONE]" in self.tail:
            self.result.chunks += 1
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set()


async def streams(port: int, wire: bytes, count: int, seconds: float, *, ramp_s: float = 1.0) -> Result:
    """Start `count` streams spread over `ramp_s` and wait for all; `chunks` counts those that ended with [DONE]."""
    result, loop = Result(), asyncio.get_running_loop()
    dones = []
    for _ in range(count):
        done = asyncio.Event()
        dones.append(done)
        await loop.create_connection(lambda done=done: Stream(wire, result, done), "127.0.0.1", port)
        await asyncio.sleep(ramp_s / count)
    await asyncio.wait_for(asyncio.gather(*(done.wait() for done in dones)), seconds + 60)
    return result
