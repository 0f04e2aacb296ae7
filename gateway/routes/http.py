"""The only importer of the HTTP extension: Request → Inbound, Answer → Response, GatewayError → JSON.

All of the app's HTTP functions receive a Starlette `Request` and must return a Starlette `Response`; a
`func.HttpResponse` would come out as a dump of its private fields. Inference routes answer errors in OpenAI's shape,
management routes as RFC 9457 problems.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from functools import partial
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from azurefunctions.extensions.http.fastapi import Request, Response

from gateway import container
from gateway.domain.access import Principal
from gateway.domain.call import CLIENT_GONE, Answer, ByteStream, Inbound, Operation, Surface
from gateway.domain.contract_versions import HEADER as VERSION_HEADER
from gateway.domain.contract_versions import asked_of
from gateway.domain.ids import uuid7_hex
from gateway.domain.management import Asked, Told
from gateway.errors import ClientDisconnected, GatewayError, Stopping
from gateway.routes import versions
from gateway.routes.audited import Act, audited
from gateway.routes.body import JSON as JSON_TYPE
from gateway.routes.body import MEDIA_TYPES, BodyReader, Receive
from gateway.routes.errors import error_event, error_json
from gateway.routes.header_faults import header_fault
from gateway.routes.hops import client_address
from gateway.routes.links import absolute, rest_of
from gateway.routes.patience import Patience

__all__ = ["Request", "Response", "administer", "plain_json", "respond"]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
# Answers that have no body, and so no length of one.
WITHOUT_BODY = frozenset({204, 304})
# The parameter of a route's path that says what is asked for.
PATH_NAMES = ("deployment", "model", "backend", "response", "prompt", "session")
# Whether a plain call's client is still there is looked at only once the call has taken this long: most never do.
WATCH_AFTER_S = 1.0
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")


class RawResponse(Response):  # type: ignore[misc]  # the extension has no types
    """A whole answer, its headers already bytes."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = headers if status in WITHOUT_BODY else [*headers, (b"content-length", str(len(body)).encode())]


class EventStream(RawResponse):
    """A streamed answer. A client that goes away cancels it, which closes the upstream; the call settles in any case."""

    def __init__(self, stream: ByteStream, headers: list[tuple[bytes, bytes]], inbound: Inbound) -> None:
        self.status_code = 200
        self.body = b""
        self.background = None
        self.raw_headers = headers
        self._stream = stream
        self._inbound = inbound

    def _event(self, error: GatewayError) -> bytes:
        inbound = self._inbound
        return error_event(error, inbound.surface, inbound.operation, versions.error_members(error, inbound))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the stream's pieces as they come; an error after the first byte is one typed event, and no [DONE]."""
        watching = asyncio.create_task(_cancel_on_disconnect(receive, asyncio.current_task()))
        patience = Patience()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async for piece in self._stream:
                    patience.begin()
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    patience.end()
            except GatewayError as exc:
                await send({"type": "http.response.body", "body": self._event(exc), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # there is one: it was cancelled
            if not watching.done() and not patience.over:  # not the client's doing: the host is stopping, and the client should know
                await self._stream.aclose(Stopping())
                await send({"type": "http.response.body", "body": self._event(Stopping()), "more_body": False})
        finally:
            patience.close()
            watching.cancel()
            await self._stream.aclose()


async def respond(request: Request, operation: Operation, surface: Surface = Surface.OPENAI, error: GatewayError | None = None) -> Response:
    """Serve an inference route.

    Args:
        request: As the host hands it over.
        operation: What the route stands for.
        surface: Whose URL shape it is.
        error: Where no route serves the path or method: what to refuse it with.
    """
    inbound = _inbound(request, operation, surface)
    try:
        gateway = await container.get()
        inbound = _seen(request, inbound, gateway)
        error = error or header_fault(request.scope["headers"], inbound, gateway.settings.door.country_header)
        if error is not None:
            answer = await gateway.pipeline.refuse(inbound, error)
        else:
            taken = MEDIA_TYPES.get(operation, JSON_TYPE)
            body = BodyReader(request.receive, inbound.headers, gateway.settings.max_body_bytes, taken)
            with _Watch(request.receive, body):
                answer = await gateway.pipeline.serve(inbound, body.read)
    except GatewayError as exc:
        headers = _headers(JSON, inbound, {**exc.headers, **_retry_headers(exc)})
        return RawResponse(exc.status, headers, error_json(exc, surface, versions.error_members(exc, inbound)))
    if answer.stream is not None:
        headers = [*_headers(EVENT_STREAM, inbound, answer.headers), (b"cache-control", b"no-cache")]
        return EventStream(answer.stream, headers, inbound)
    if VERSION_HEADER in inbound.headers:
        answer = versions.answered(answer, inbound)
    more = absolute(answer.headers, inbound.headers, request.scope["scheme"]) if surface is Surface.AI else answer.headers
    return RawResponse(
        answer.status,
        _headers(JSON if answer.content_type == JSON_TYPE else _header_value(answer.content_type), inbound, more),
        answer.body,
    )


def _inbound(request: Request, operation: Operation, surface: Surface) -> Inbound:
    """Read everything of the request but its body; its caller's address needs the settings, see `_seen`."""
    scope = request.scope
    received_s = container.clock.now_s()
    query = scope["query_string"]
    params = request.path_params
    return Inbound(
        operation=operation,
        surface=surface,
        request_id=f"req_{uuid7_hex(container.clock.utc().timestamp())}",
        method=scope["method"],
        path=scope["path"],
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        query=dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {},
        # The host keeps an encoded slash encoded, so that it stays inside its segment; to us it is part of the name.
        path_model=unquote(next((params[name] for name in PATH_NAMES if name in params), "")) if params else "",
        body=b"",
        received_s=received_s,
        path_rest=rest_of(scope) if operation is Operation.FORWARD else "",
        query_string=query.decode("latin-1"),
        path_prompt=unquote(params.get("invoked", "")) if params else "",
    )


def _seen(request: Request, inbound: Inbound, gateway: container.Gateway) -> Inbound:
    """Return the request with its caller's address."""
    door = gateway.settings.door
    address = client_address(request.scope, door.trusted_hops)
    if door.front_id:
        address = gateway.front.address(inbound.headers, address)
    return msgspec.structs.replace(inbound, client_ip=address)


async def administer(request: Request, status: int, act: Act, *, reads_body: bool = True, empty_body: bool = False) -> Response:
    """Serve a management route: check who may (`routes/rights.py` has a row for each), and write all but reads into the audit trail.

    Args:
        request: As the host hands it over.
        status: Of a success.
        act: Does it: takes the gateway and what is asked, returns a JSON-ready value, or a `Told`.
        reads_body: Whether there is a body to read; the document is an empty object otherwise.
        empty_body: Whether it may be left out.
    """
    inbound = _inbound(request, Operation.MANAGE, Surface.OPENAI)
    try:
        gateway = await container.get()
        inbound = _seen(request, inbound, gateway)
        if error := header_fault(request.scope["headers"], inbound, gateway.settings.door.country_header):
            await gateway.pipeline.refuse(inbound, error)

        async def work(principal: Principal) -> Answer:
            reader = BodyReader(request.receive, inbound.headers, gateway.settings.max_body_bytes)
            read = partial(reader.document, optional=empty_body) if reads_body else None
            asked = Asked(principal, {}, inbound.query, inbound.headers.get("if-match", "").strip(), inbound.request_id)
            return _told(versions.told(await audited(gateway, inbound, asked, act, read), inbound), status)

        answer = await gateway.pipeline.administer(inbound, work)
    except GatewayError as exc:
        return _problem(exc, inbound)
    return RawResponse(answer.status, _headers(_header_value(answer.content_type), inbound, answer.headers), answer.body)


def _told(told: Told, status: int) -> Answer:
    if told.status in WITHOUT_BODY:
        return Answer(told.headers, b"", status=told.status, content_type="")
    body = told.value if isinstance(told.value, bytes) else msgspec.json.encode(told.value)
    headers = {**told.headers, "etag": told.etag} if told.etag else told.headers
    return Answer(headers, body, status=told.status or status, content_type=told.content_type)


def plain_json(status: int, value: Any) -> Response:
    """Answer with a JSON value that belongs to no call."""
    return RawResponse(status, [(b"content-type", JSON)], msgspec.json.encode(value))


def _problem(error: GatewayError, inbound: Inbound) -> Response:
    title = responses.get(error.status, error.code)  # RFC 9457: of about:blank it is the status in words
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": error.status, "detail": error.message, "code": error.code}
    if error.param is not None:
        body["param"] = error.param
    body |= versions.error_members(error, inbound)
    headers = _headers(PROBLEM_JSON, inbound, {**error.headers, **_retry_headers(error)})
    return RawResponse(error.status, headers, msgspec.json.encode(body))


class _Watch:
    """Cancels the current task when a plain call's client goes away; costs one timer until `WATCH_AFTER_S`."""

    def __init__(self, receive: Receive, body: BodyReader) -> None:
        self._receive = receive
        self._body = body
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if isinstance(exc, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
            raise (ClientDisconnected(CLIENT_GONE) if CLIENT_GONE in exc.args else Stopping()) from exc

    def _begin(self) -> None:
        # While the body is still being read, its reader sees the disconnect itself.
        if self._body.finished:
            self._watching = asyncio.create_task(_cancel_on_disconnect(self._receive, self._task))
        else:
            self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)


async def _cancel_on_disconnect(receive: Any, task: "asyncio.Task[Any] | None") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if task is not None:
        task.cancel(CLIENT_GONE)


def _headers(content_type: bytes, inbound: Inbound, more: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", inbound.request_id.encode())]
    if content_type:  # a service that gave none passed nothing on, or does not say what
        headers.insert(0, (b"content-type", content_type))
    echoed = inbound.headers.get("x-ms-client-request-id")
    if echoed is not None:
        headers.append((b"x-ms-client-request-id", _header_value(echoed)[:128]))
    if VERSION_HEADER in inbound.headers and (version := asked_of(inbound.headers)):
        headers.append((VERSION_HEADER.encode(), version.encode()))
    headers.extend((name.encode(), _header_value(value)) for name, value in more.items())
    return headers


def _header_value(text: str) -> bytes:
    """Encode a value; control characters go, so that none can end the header and begin another."""
    data = text.encode("latin-1", "replace")
    return data if text.isprintable() else _CONTROLS.sub(b"", data)


def _retry_headers(error: GatewayError) -> dict[str, str]:
    if error.retry_after_s is None:
        return {}
    # Both forms, rounded up: a client that waits as told must not come too early.
    return {"retry-after": str(max(math.ceil(error.retry_after_s), 1)), "retry-after-ms": str(math.ceil(error.retry_after_s * 1000))}
