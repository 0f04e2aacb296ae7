"""A wire case: what a client sends, what an upstream answers, and what the provider makes of both.

golden/<protocol>/<case>/
  case.json              optional: operation, surface, api_version (client), backend {…}, name, capabilities, status, headers
                         (the answer's), inbound {…} (more of the request: method, headers, path_model, path_rest, query_string)
  client_request.*       given: the client's exact bytes; .form is a multipart form
  upstream_response.*    given: the upstream's exact body; .sse and .eventstream are streams
  upstream_request.txt   made: method, URL, headers, empty line, exact body
  client_response.*      made: what the client gets, exact; absent where the answer became an error
  read.json              made: what we read from it: usage, finish reason, text, content flags, the error
"""

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from gateway.domain.call import Call, Inbound, Operation, StreamEvent, Surface
from gateway.domain.deployment import Deployment
from gateway.domain.readers import READERS
from gateway.errors import GatewayError
from gateway.ports import Provider
from gateway.providers.registry import provider_for
from tests.builders import make_backend, make_deployment

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/*/client_request.*"))
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENDPOINTS = {
    "azure-openai": "https://contoso-eastus.openai.azure.com",
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "bedrock": "https://bedrock-runtime.us-east-1.amazonaws.com",
    "cohere": "https://api.cohere.com",
    "azure-ai": "https://contoso.cognitiveservices.azure.com",
    "azure-ml": "https://contoso-score.eastus.inference.ml.azure.com",
    "rest": "https://erp.contoso.com/api",
}
SOUND_OR_TEXT = {".mp3", ".txt", ".srt"}
STREAMS = {".sse", ".eventstream"}
MADE = {"upstream_request.txt", "read.json", *(f"client_response{suffix}" for suffix in (".json", ".sse", *SOUND_OR_TEXT))}
GIVEN = {"case.json", "client_request.json", "client_request.form"}


def settings_of(case: Path) -> dict[str, Any]:
    path = case / "case.json"
    settings: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return settings


def upstream_file(case: Path) -> Path:
    (path,) = case.glob("upstream_response.*")
    return path


def parties(case: Path) -> tuple[Call, Deployment, Provider]:
    """Read the client's request as the gateway would, and the deployment that serves it."""
    settings, protocol = settings_of(case), case.parent.name
    operation = Operation(settings.get("operation", "chat"))
    inbound = Inbound(
        operation=operation,
        surface=Surface(settings.get("surface", "openai")),
        request_id="req-1",
        method="POST",
        path="/",
        headers={},
        query={"api-version": settings["api_version"]} if "api_version" in settings else {},
        path_model="",
        body=next(case.glob("client_request.*")).read_bytes(),
        received_s=0.0,
    )
    inbound = msgspec.structs.replace(inbound, **settings.get("inbound", {}))
    call = READERS[operation](inbound, TRACE)
    backend = make_backend(**{"protocol": protocol, "endpoint": ENDPOINTS[protocol]} | settings.get("backend", {}))
    provider = provider_for(protocol, operation, tuple(settings.get("capabilities", ())))
    assert provider is not None, f"nothing serves {operation} on {protocol}"
    return call, make_deployment(backend=backend, name=settings.get("name", "dep-1")), provider


def play(case: Path) -> dict[str, bytes]:
    """Return the made files' names and contents."""
    call, deployment, provider = parties(case)
    request = provider.encode(call, deployment)
    head = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in sorted(request.headers.items())), "", ""]
    made = {"upstream_request.txt": "\n".join(head).encode() + request.body}
    settings, answer = settings_of(case), upstream_file(case)
    call = msgspec.structs.replace(call, served=deployment)
    if (status := settings.get("status", 200)) != 200:
        read = {"error": show_error(provider.classify(status, settings.get("headers", {}), answer.read_bytes()))}
    elif answer.suffix in STREAMS:
        events = stream(case, [answer.read_bytes()])
        made["client_response.sse"] = b"".join(event.data for event in events)
        read = {"events": [show_event(event) for event in events]}
    else:
        completion = provider.decode(call, answer.read_bytes(), settings.get("headers", {}))
        made[f"client_response{answer.suffix if answer.suffix in SOUND_OR_TEXT else '.json'}"] = completion.body
        read = {name: show(getattr(completion, name)) for name in ("usage", "finish_reason", "text")}
        if completion.content_type != "application/json" or completion.headers:
            read["answer"] = {"content_type": completion.content_type, "headers": dict(completion.headers)}
    made["read.json"] = json.dumps(read, indent=2, ensure_ascii=False).encode() + b"\n"
    return made


def stream(case: Path, pieces: list[bytes]) -> list[StreamEvent]:
    call, _, provider = parties(case)
    decoder = provider.decoder(call)
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()


def show_event(event: StreamEvent) -> dict[str, Any]:
    """Return what is remarkable in an event; its data is in client_response."""
    shown = {name: show(getattr(event, name)) for name in ("text", "content", "usage", "finish_reason", "done")}
    shown["withheld"] = not event.data and event.error is None
    shown["error"] = show_error(event.error) if event.error else None
    return {name: value for name, value in shown.items() if value}


def show_error(error: GatewayError) -> dict[str, Any]:
    names = ("status", "type", "code", "param", "message", "retryable", "retry_after_s", "details")
    return {"class": type(error).__name__, **{name: getattr(error, name) for name in names}}


# Shown only where they are not nothing: few answers have them.
RARE = frozenset({"units", "unit", "audio_input_tokens", "audio_output_tokens", "cache_write_tokens", "cache_write_1h_tokens"})


def show(value: Any) -> Any:
    if not hasattr(value, "__struct_fields__"):
        return value
    shown = {name: getattr(value, name) for name in value.__struct_fields__}
    return {name: each for name, each in shown.items() if each or name not in RARE}
