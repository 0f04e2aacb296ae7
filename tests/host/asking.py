"""What the host tests ask a running gateway with, below the SDK: plain HTTP, raw sockets, its tables, its simulator.

Nothing here asserts what an answer must be; `eventually` is the only way to wait.
"""

import http.client
import json
import os
import signal
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import msgspec

from gateway.metering.records import UsageRecord

WAIT_S = 30.0  # for what is due at once: the machine may be busy
STEP_S = 0.02
# The store keeps no property that is empty, zero or false.
EMPTY = {name: {str: "", bool: False, float: 0.0}.get(kind, 0) for name, kind in get_type_hints(UsageRecord).items()}


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, read to its end; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json()["error"]
        return error

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]


def eventually[T](probe: Callable[[], T], what: str, within_s: float = WAIT_S) -> T:
    """Return the first truthy value of `probe`; fail after `within_s`."""
    until_s = time.monotonic() + within_s
    while not (found := probe()):
        assert time.monotonic() < until_s, f"not within {within_s:g} s: {what}"
        time.sleep(STEP_S)
    return found


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "content-type": "application/json"}


def key_of(gateway: Any) -> str:
    key: str = gateway.demo_keys["unlimited"]
    return key


def connection_to(url: str, timeout_s: float = WAIT_S) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)


def ask(
    gateway: Any, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, key: str | None = None
) -> Reply:
    """Send one request on a connection of its own; `key` empty = no credentials, None = the unlimited demo key."""
    key = key_of(gateway) if key is None else key
    given = {**(bearer(key) if key else {"content-type": "application/json"}), **(headers or {})}
    connection = connection_to(gateway.url)
    try:
        connection.request(method, path, json.dumps(body) if isinstance(body, dict | list) else body, given)
        return reply_of(connection.getresponse())
    finally:
        connection.close()


def reply_of(response: http.client.HTTPResponse) -> Reply:
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def chat_body(text: str = "Hello", model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def chat(gateway: Any, text: str = "Hello", model: str = "gpt-4o", headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
    return ask(gateway, "POST", "/v1/chat/completions", chat_body(text, model, **more), headers)


def open_socket(gateway: Any, timeout_s: float = WAIT_S) -> socket.socket:
    parts = urlsplit(gateway.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=timeout_s)


def send_raw(gateway: Any, *pieces: bytes, method: str = "POST") -> Reply:
    """Send bytes as they are and read one answer. A server that answers early and closes is read as far as it spoke."""
    with open_socket(gateway) as raw:
        try:
            for piece in pieces:
                raw.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has refused already: what it said is still to be read
        response = http.client.HTTPResponse(raw, method=method)
        response.begin()
        return reply_of(response)


def head_of(
    gateway: Any, path: str = "/v1/chat/completions", *lines: str, method: str = "POST", length: int | None = None, key: str | None = None
) -> bytes:
    """Spell a request's head for `send_raw`: `lines` come after host, key and content type."""
    fixed = [f"{method} {path} HTTP/1.1", "host: gateway", f"authorization: Bearer {key or key_of(gateway)}", "connection: close"]
    if length is not None:
        fixed.append(f"content-length: {length}")
    return ("\r\n".join([*fixed, *lines]) + "\r\n\r\n").encode("latin-1")


def post_bytes(gateway: Any, body: bytes, *lines: str, path: str = "/v1/chat/completions") -> Reply:
    """Post exactly these bytes."""
    lines = lines or ("content-type: application/json",)
    return send_raw(gateway, head_of(gateway, path, *lines, length=len(body)), body)


def data_of(stream: bytes) -> list[str]:
    """Return the data of a stream's events; every event must be one data line."""
    *events, rest = stream.split(b"\n\n")
    assert not rest, rest
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events), events
    return [event[6:].decode() for event in events]


def text_of(stream: bytes) -> str:
    """Join the content of a chat stream that must end with [DONE]."""
    *chunks, done = data_of(stream)
    assert done == "[DONE]", done
    deltas = [choice["delta"] for chunk in chunks for choice in json.loads(chunk)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def marker() -> str:
    """Make a word that no other test uses, to find one's own call by."""
    return f"mark{uuid.uuid4().hex}"


def upstream_requests(gateway: Any, mark: str) -> list[dict[str, Any]]:
    """List what the simulated backend received with `mark` in its body or path, oldest first."""
    connection = connection_to(gateway.simulator_url)
    try:
        connection.request("GET", "/_sim/requests")
        listed = json.loads(connection.getresponse().read())["requests"]
    finally:
        connection.close()
    return [one for one in listed if mark in one["body"] or mark in one["path"]]


def upstream_request(gateway: Any, mark: str) -> dict[str, Any]:
    """Return the one request that the simulated backend received with `mark`."""
    found = upstream_requests(gateway, mark)
    assert len(found) == 1, found
    return found[0]


def records_of(data: Path) -> list[dict[str, Any]]:
    """Read all usage records of a data folder, whether or not a gateway runs on it; an absent property is empty."""
    with sqlite3.connect(f"file:{data / 'tables.db'}?mode=ro", uri=True, timeout=WAIT_S) as connection:
        rows = connection.execute("SELECT data FROM entities WHERE name = 'usage'").fetchall()
    connection.close()
    records = [{**EMPTY, **msgspec.msgpack.decode(row[0])} for row in rows]
    return [{**record, "cost_micro_usd": None} if record["unpriced"] else record for record in records]


def flush(gateway: Any) -> None:
    """Have the gateway write its buffered records: a report over an empty span does that first."""
    assert ask(gateway, "GET", "/manage/usage?from=2100-01-01", key=gateway.admin_key).status == 200


def find_records(gateway: Any, **wanted: Any) -> list[dict[str, Any]]:
    """Return the records, written or buffered, with these values."""
    flush(gateway)
    return [record for record in records_of(gateway.data) if all(record[name] == value for name, value in wanted.items())]


def record_of(gateway: Any, **wanted: Any) -> dict[str, Any]:
    """Wait for the record of one call (by request_id, user, …); there must be exactly one, also a moment later."""
    eventually(lambda: find_records(gateway, **wanted), f"a record with {wanted}")
    found = find_records(gateway, **wanted)
    assert len(found) == 1, found
    return found[0]


def memory_mb(gateway: Any) -> float:
    """Return the host's resident memory."""
    return _memory_mb(gateway, "VmRSS:")


def peak_memory_mb(gateway: Any) -> float:
    """Return the most that the host's resident memory ever was."""
    return _memory_mb(gateway, "VmHWM:")


def _memory_mb(gateway: Any, name: str) -> float:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text(encoding="ascii")
    return int(status.split(name)[1].split()[0]) / 1024


def kill(gateway: Any) -> None:
    """End a host as a power cut would."""
    os.kill(gateway.process.pid, signal.SIGKILL)
    gateway.process.wait()


def subscribe(gateway: Any, product: str = "unlimited", **limits: int) -> str:
    """Make a subscription and return its primary key."""
    order = {"tenant": "default", "product": product, "name": "a test's", "limits": limits}
    made = ask(gateway, "POST", "/manage/subscriptions", order, key=gateway.admin_key)
    assert made.status == 201, made
    key: str = made.json()["keys"]["primary"]
    return key
