"""One builder per noun: sensible defaults, `over` replaces what a test is about."""

import json
from typing import Any

from gateway.domain.call import Call, Operation, Surface
from gateway.domain.catalog import Auth, AuthType, Backend, Deployment, Protocol


def make_backend(**over: Any) -> Backend:
    fields: dict[str, Any] = {
        "id": "aoai-eastus",
        "protocol": Protocol.AZURE_OPENAI,
        "endpoint": "https://contoso-eastus.openai.azure.com",
        "auth": Auth(type=AuthType.API_KEY, key="upstream-secret"),
    }
    return Backend(**fields | over)


def make_deployment(**over: Any) -> Deployment:
    fields: dict[str, Any] = {"id": "gpt-4o-eastus", "backend": over.pop("backend", None) or make_backend(), "name": "gpt4o"}
    return Deployment(**fields | over)


def make_call(document: dict[str, Any] | None = None, **over: Any) -> Call:
    """A chat call. `document` becomes the body, unless `body` says otherwise; flags must be given explicitly."""
    document = document or {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    fields: dict[str, Any] = {
        "operation": Operation.CHAT,
        "surface": Surface.OPENAI,
        "model": document.get("model", "gpt-4o"),
        "body": json.dumps(document).encode(),
        "document": document,
        "stream": document.get("stream", False),
        "include_usage": (document.get("stream_options") or {}).get("include_usage", False),
    }
    return Call(**fields | over)
