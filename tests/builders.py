"""One builder per noun: sensible defaults, `over` replaces what a test is about."""

import json
from typing import Any

from gateway.domain.access import Principal, Product, Subscription, SubscriptionState
from gateway.domain.call import Call, Inbound, Operation, Surface
from gateway.domain.catalog import Model
from gateway.domain.deployment import Auth, AuthType, Backend, Deployment, PoolMember, Price, Protocol


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


def make_price(**over: Any) -> Price:
    """Micro-USD per million tokens: 2.50, 1.25 and 10 dollars."""
    fields: dict[str, Any] = {"input": 2_500_000, "cached_input": 1_250_000, "output": 10_000_000}
    return Price(**fields | over)


def make_model(*deployments: Deployment, **over: Any) -> Model:
    """A model over a pool of these deployments, the first of which has the highest priority."""
    members = tuple(PoolMember(deployment, priority=index) for index, deployment in enumerate(deployments or (make_deployment(),)))
    return Model(**{"id": "gpt-4o", "pool": members} | over)


def make_principal(**over: Any) -> Principal:
    fields: dict[str, Any] = {"tenant": "contoso", "product": "starter", "subscription": "sub_1", "key_id": "a" * 16}
    return Principal(**fields | over)


def make_product(**over: Any) -> Product:
    fields: dict[str, Any] = {"id": "starter", "models": ("*",)}
    return Product(**fields | over)


def make_subscription(**over: Any) -> Subscription:
    """An active one; what is stored has an id and keys besides."""
    fields: dict[str, Any] = {"id": "", "tenant": "contoso", "product": "starter", "name": "app", "state": SubscriptionState.ACTIVE}
    return Subscription(**fields | over)


def make_inbound(document: Any = None, **over: Any) -> Inbound:
    """A chat request; `document` becomes the body."""
    fields: dict[str, Any] = {
        "operation": Operation.CHAT,
        "surface": Surface.OPENAI,
        "request_id": "req_1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": {},
        "query": {},
        "path_model": "",
        "body": b"" if document is None else json.dumps(document).encode(),
        "received_s": 0.0,
    }
    return Inbound(**fields | over)
