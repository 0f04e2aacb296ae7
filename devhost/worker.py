"""The same app through Microsoft's own worker library: what indexing and invocation do in Azure, without the host.

`azure_functions_runtime` is called in this process instead of over gRPC. Its handlers take protobuf messages; here plain
namespaces stand in for them (`Message`). Where the real worker would open a second port for its HTTP server, the FastAPI
application is taken out of it and called over ASGI, with the header that ties a request to its invocation.

Rules: nothing of the library is changed for good: the server class is swapped only while the app is indexed. The library
keeps an entry per request for ever; `_invoke` drops it when the request ends.
"""

import asyncio
import functools
import logging
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from devhost.functions import AppError, HttpFunction, Loaded, Receive, Scope, Send, TimerFunction, read_function
from devhost.timers import Timer

log = logging.getLogger("devhost")

HEADER = b"x-ms-invocation-id"


class Message(SimpleNamespace):
    """Stands in for any protobuf message: attributes, and the name of the one that is set."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802  # protobuf's name
        """Name the attribute that is set; an input always carries `data`."""
        names = vars(self)
        return "data" if "data" in names else next((name for name, value in names.items() if value is not None), None)


class _StatusResult(Message):
    Failure, Success, Cancelled = 0, 1, 2


class _BindingInfo(Message):
    inout, undefined, string, binary, stream = 2, 0, 1, 2, 3
    out = 1


class Protos:
    """Stands in for the protobuf module: any name is a message."""

    StatusResult = _StatusResult
    BindingInfo = _BindingInfo

    def __getattr__(self, name: str) -> type[Message]:
        """Make the message class of that name."""
        return type(name, (Message,), {})


class _CapturedServer:
    """Takes the place of the extension's server: keeps the application and listens on nothing."""

    app: Any = None

    def __init__(self, _hostname: str, _port: int, web_app: Any) -> None:
        type(self).app = web_app.get_app()

    async def serve(self) -> None:
        """Do nothing: the embedded host listens."""


async def load(root: Path) -> Loaded:
    """Index the app as the worker does and pair every function with what invokes it.

    Raises:
        AppError: Indexing failed, or the app needs what this host does not serve.
    """
    import azure_functions_runtime as runtime
    from azurefunctions.extensions.http.fastapi import web

    runtime.start_threadpool_executor()
    request = SimpleNamespace(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(root)))
    original, web.WebServer = web.WebServer, _CapturedServer
    try:
        answer = await runtime.worker_init_request(SimpleNamespace(request=request, properties={"host": "127.0.0.1", "protos": Protos()}))
    finally:
        web.WebServer = original
    if answer.result.status != _StatusResult.Success:
        raise AppError(f"the worker cannot index the app: {answer.result.exception.message}")
    if "HttpUri" not in answer.capabilities or _CapturedServer.app is None:
        raise AppError("the worker does not stream: the app does not import the HTTP extension")
    metadata = await runtime.functions_metadata_request(None)
    loaded = Loaded([], [])
    for row in metadata.function_metadata_results or ():
        function = read_function(row.name, row.raw_bindings)
        if isinstance(function, TimerFunction):
            loaded.timers.append(Timer(function.name, function.schedule, functools.partial(_fire, function, row.function_id)))
        else:
            loaded.http.append((function, functools.partial(_invoke, function, row.function_id)))
    return loaded


async def close() -> None:
    """Stop the worker's threads."""
    import azure_functions_runtime as runtime

    await asyncio.to_thread(runtime.stop_threadpool_executor)


async def _invoke(function: HttpFunction, function_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Run one invocation and, beside it, the HTTP exchange that it waits for."""
    from azure_functions_runtime import http_v2

    invocation_id = str(uuid.uuid4())
    references = http_v2.http_coordinator._context_references  # noqa: SLF001  # the leak is there
    reference = references[invocation_id] = http_v2.AsyncContextReference()
    invocation = asyncio.create_task(_invocation(function, function_id, invocation_id, scope))
    inner = dict(scope, headers=[*scope["headers"], (HEADER, invocation_id.encode())])
    inner.pop("path_params", None)
    exchange = asyncio.create_task(_CapturedServer.app(inner, receive, send))
    try:
        failure = await _ended(exchange, invocation)
    except asyncio.CancelledError:
        invocation.cancel()
        raise
    finally:
        references.pop(invocation_id, None)
    if not reference.http_request_available_event.is_set():
        invocation.cancel()  # the application answered without the function: it would wait for ever
    await asyncio.wait({invocation})
    response = None if invocation.cancelled() else invocation.result()
    if response is not None and response.result.status != _StatusResult.Success:
        exception = response.result.exception
        log.error("function %s failed: %s\n%s", function.name, exception.message, exception.stack_trace)
    elif failure is not None:
        raise failure


async def _ended(exchange: "asyncio.Task[None]", invocation: "asyncio.Task[Any]") -> Exception | None:
    """Wait for the exchange's end; return its error, the handler's own, which the application raises again after its 500.

    A cancellation goes to whoever holds the answer: to the handler until it has returned one, then to the exchange that
    sends it. Either may still answer for itself.

    Raises:
        CancelledError: It did not.
    """
    try:
        await asyncio.wait({exchange})
    except asyncio.CancelledError:
        try:
            (exchange if invocation.done() else invocation).cancel()
            await asyncio.wait({exchange})
        finally:
            exchange.cancel()
        if not exchange.cancelled() and exchange.exception() is None:
            return None
        raise
    return exchange.exception()  # type: ignore[return-value]  # a cancellation is raised


async def _fire(function: TimerFunction, function_id: str, payload: str) -> None:
    """Run a timer's function once.

    Raises:
        RuntimeError: It failed; the message is the worker's.
    """
    import azure_functions_runtime as runtime

    trigger = Message(name=function.parameter, data=Message(json=payload))
    request = _request(str(uuid.uuid4()), function_id, trigger)
    response = await runtime.invocation_request(Message(request=Message(invocation_request=request)))
    if response.result.status != _StatusResult.Success:
        raise RuntimeError(f"{response.result.exception.message}\n{response.result.exception.stack_trace}")


def _request(invocation_id: str, function_id: str, trigger: Message) -> Message:
    """Make the InvocationRequest that the Functions host sends."""
    return Message(
        invocation_id=invocation_id,
        function_id=function_id,
        input_data=[trigger],
        trigger_metadata={},
        trace_context=Message(trace_parent="", trace_state="", attributes={}),
        retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
    )


async def _invocation(function: HttpFunction, function_id: str, invocation_id: str, scope: Scope) -> Any:
    """Send the InvocationRequest that the Functions host sends for an HTTP request."""
    import azure_functions_runtime as runtime
    from azure_functions_runtime import http_v2

    http = Message(method=scope["method"], url=scope["path"], headers={}, query={}, params=scope["path_params"], body=Message(bytes=b""))
    trigger = Message(name=function.parameter, data=Message(http=http))
    request = _request(invocation_id, function_id, trigger)
    try:
        return await runtime.invocation_request(Message(request=Message(invocation_request=request)))
    except asyncio.CancelledError as error:  # the library tells the waiting exchange of errors only
        if reference := http_v2.http_coordinator._context_references.get(invocation_id):  # noqa: SLF001
            reference.http_response = RuntimeError(f"the invocation was cancelled: {error}")
        raise
