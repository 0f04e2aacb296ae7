"""The only importer of the HTTP extension: Request → Inbound, Answer → Response, GatewayError → JSON.

All of the app's HTTP functions receive a Starlette `Request` and must return a Starlette `Response`; a
`func.HttpResponse` would come out as a dump of its private fields. Inference routes answer errors in OpenAI's shape,
management routes as RFC 9457 problems.
"""

import asyncio
import math
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from azurefunctions.extensions.http.fastapi import Request, Response
from starlette.requests import ClientDisconnect

from gateway import container
from gateway.container import Gateway
from gateway.domain.access import Principal
from gateway.domain.call import Answer, ByteStream, Inbound, Operation, Surface
from gateway.domain.ids import uuid7_hex
from gateway.domain.strict_json import parse_object
from gateway.errors import ClientDisconnected, GatewayError, PayloadTooLarge, RequestError, UnsupportedMediaType

__all__ = ["Request", "Response", "administer", "respond"]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
# Whether a plain call's client is still there is looked at only once the call has taken this long: most never do.
WATCH_AFTER_S = 1.0
INFLATE_STEP_BYTES = 64 * 1024

type Message = MutableMapping[str, Any]


class RawResponse(Response):  # type: ignore[misc]  # the extension has no types
    """A whole answer, its headers already bytes."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [*headers, (b"content-length", str(len(body)).encode())]


class EventStream(RawResponse):
    """A streamed answer. A client that goes away cancels it, which closes the upstream; the call settles in any case."""

    def __init__(self, stream: ByteStream, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = 200
        self.body = b""
        self.background = None
        self.raw_headers = headers
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the stream's pieces as they come; an error after the first byte is one typed event, and no [DONE]."""
        watching = asyncio.create_task(_cancel_on_disconnect(receive, asyncio.current_task()))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async for piece in self._stream:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except GatewayError as exc:
                event = b"data: " + _openai_error(exc) + b"\n\n"
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not watching.done():  # not the client's doing: the host is stopping
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # there is one: it was cancelled
        finally:
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
    inbound: Inbound | None = None
    try:
        gateway = await container.get()
        inbound = _inbound(request, gateway, operation, surface)
        if error is not None:
            answer = await gateway.pipeline.refuse(inbound, error)
        else:
            with _Watch(request):
                answer = await gateway.pipeline.serve(inbound, lambda: _receive_body(request, inbound.headers, gateway))
    except GatewayError as exc:
        headers = _headers(JSON, inbound, {**exc.headers, **_retry_headers(exc)})
        return RawResponse(exc.status, headers, _openai_error(exc))
    if answer.stream is not None:
        return EventStream(answer.stream, [*_headers(EVENT_STREAM, inbound, answer.headers), (b"cache-control", b"no-cache")])
    return RawResponse(answer.status, _headers(JSON, inbound, answer.headers), answer.body)


def _inbound(request: Request, gateway: Gateway, operation: Operation, surface: Surface) -> Inbound:
    """Read everything of the request but its body."""
    scope = request.scope
    received_s = gateway.clock.now_s()
    query = scope["query_string"]
    params = request.path_params
    return Inbound(
        operation=operation,
        surface=surface,
        request_id=f"req_{uuid7_hex(gateway.clock.utc().timestamp())}",
        method=scope["method"],
        path=scope["path"],
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        query=dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {},
        path_model=params.get("deployment") or params.get("model") or "" if params else "",
        body=b"",
        received_s=received_s,
    )


async def _receive_body(request: Request, headers: Mapping[str, str], gateway: Gateway) -> bytes:
    """Read a JSON body within the limit, inflating gzip within the same limit.

    Raises:
        UnsupportedMediaType: The content type is not JSON, or the content coding is neither gzip nor identity.
        PayloadTooLarge: More bytes than GATEWAY_MAX_BODY_MB, on the wire or inflated.
        RequestError: The gzip data is broken.
    """
    limit = gateway.settings.max_body_bytes
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"the content type {media_type[:64]!r} is not supported; send application/json", param="content-type")
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", ""):
        raise UnsupportedMediaType(f"the content coding {coding[:64]!r} is not supported; send gzip or none", param="content-encoding")
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:15]) > limit:
        raise _too_large(limit)
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
    except ClientDisconnect as exc:
        raise ClientDisconnected("the client went away while it sent its body") from exc
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return await asyncio.to_thread(_inflate, body, limit) if coding == "gzip" else body


type Act = Callable[[Gateway, dict[str, Any]], Awaitable[Any]]


async def administer(request: Request, status: int, act: Act, *, reads_body: bool = True) -> Response:
    """Serve a management route.

    Args:
        request: As the host hands it over.
        status: Of a success.
        act: Does it: takes the gateway and the body's object, returns a JSON-ready value.
        reads_body: Whether there is a body to read; `act` gets an empty object otherwise.
    """
    inbound: Inbound | None = None
    try:
        gateway = await container.get()
        inbound = _inbound(request, gateway, Operation.MANAGE, Surface.OPENAI)

        async def work(_principal: Principal) -> Answer:
            body = await _receive_body(request, inbound.headers, gateway) if reads_body else b""
            value = await act(gateway, parse_object(body) if reads_body else {})
            return Answer(headers={}, body=msgspec.json.encode(value), status=status)

        answer = await gateway.pipeline.administer(inbound, work)
    except GatewayError as exc:
        return _problem(exc, inbound)
    return RawResponse(answer.status, _headers(JSON, inbound, answer.headers), answer.body)


def _problem(error: GatewayError, inbound: Inbound | None) -> Response:
    body = {"type": "about:blank", "title": error.code, "status": error.status, "detail": error.message, "code": error.code}
    if error.param is not None:
        body["param"] = error.param
    headers = _headers(PROBLEM_JSON, inbound, {**error.headers, **_retry_headers(error)})
    return RawResponse(error.status, headers, msgspec.json.encode(body))


class _Watch:
    """Cancels the current task when a plain call's client goes away; costs one timer until `WATCH_AFTER_S`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        self._timer.cancel()
        if self._watching is None:
            return
        gone = self._watching.done()
        self._watching.cancel()
        if gone and isinstance(exc, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
            raise ClientDisconnected("the client went away") from exc

    def _begin(self) -> None:
        # While the body is still being read, its reader sees the disconnect itself.
        if self._request._stream_consumed:  # noqa: SLF001 - Starlette has no public word for it
            self._watching = asyncio.create_task(_cancel_on_disconnect(self._request.receive, self._task))


async def _cancel_on_disconnect(receive: Any, task: "asyncio.Task[Any] | None") -> None:
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()
    if task is not None:
        task.cancel()


def _headers(content_type: bytes, inbound: Inbound | None, more: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", content_type)]
    if inbound is not None:
        headers.append((b"x-request-id", inbound.request_id.encode()))
        echoed = inbound.headers.get("x-ms-client-request-id")
        if echoed is not None:
            headers.append((b"x-ms-client-request-id", echoed.encode("latin-1")[:128]))
    headers.extend((name.encode(), value.encode("latin-1", "replace")) for name, value in more.items())
    return headers


def _retry_headers(error: GatewayError) -> dict[str, str]:
    if error.retry_after_s is None:
        return {}
    # Both forms, rounded up: a client that waits as told must not come too early.
    return {"retry-after": str(max(math.ceil(error.retry_after_s), 1)), "retry-after-ms": str(math.ceil(error.retry_after_s * 1000))}


def _openai_error(error: GatewayError) -> bytes:
    shape = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": {**shape, **error.details}})


def _inflate(data: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    pieces: list[bytes] = []
    size = 0
    try:
        while data and not inflater.eof:
            piece = inflater.decompress(data, INFLATE_STEP_BYTES)
            data = inflater.unconsumed_tail
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
    except zlib.error as exc:
        raise RequestError("the body is announced as gzip and is not", param="content-encoding", code="invalid_gzip") from exc
    if not inflater.eof or inflater.unused_data:
        raise RequestError("the gzip body is cut short, or something follows it", param="content-encoding", code="invalid_gzip")
    return b"".join(pieces)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is over {limit / 1024 / 1024:g} MB, which is this gateway's limit; send less at once")
