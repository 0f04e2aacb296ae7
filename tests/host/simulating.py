"""Asking the simulated backends without a client library."""

import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp

USER: list[Any] = [{"role": "user", "content": "hello"}]


@dataclass
class Answered:
    status: int
    headers: Any
    text: str
    json: Any = field(default=None)


async def chat(http: aiohttp.ClientSession, base: str, deployment: str = "chat", raw: bytes | None = None, **body: Any) -> Answered:
    url = f"{base}/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"
    data = raw if raw is not None else json.dumps({"messages": USER} | body).encode()
    async with http.post(url, data=data, headers={"api-key": "key"}) as answer:
        text = await answer.text()
        is_json = answer.content_type == "application/json" and deployment != "mock-malformed"
        return Answered(answer.status, answer.headers, text, json.loads(text) if is_json else None)
