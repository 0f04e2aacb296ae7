"""A request and its answer as ASGI sees them."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

from gateway.routes.http import Request
from tests.flow.street import CHAT


class Exchange:
    """One request and what was sent back. `leave` makes the client go away."""

    def __init__(self, document: Any = None, *, pieces: list[bytes] | None = None, **headers: str) -> None:
        self.pieces = pieces if pieces is not None else [json.dumps(CHAT if document is None else document).encode()]
        self.left = asyncio.Event()
        self.more = asyncio.Event()
        self.more.set()
        self.sent: list[MutableMapping[str, Any]] = []
        named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": named,
        }  # fmt: skip

    @property
    def request(self) -> Any:
        return Request(self.scope, self.receive)

    async def receive(self) -> MutableMapping[str, Any]:
        if self.pieces:
            await self.more.wait()
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    async def finish(self, response: Any) -> None:
        await response(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])
