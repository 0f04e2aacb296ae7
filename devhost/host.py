"""The embedded host: the Function App as one ASGI application, without Azure.

It imports `function_app`, asks it once for its functions, and calls them. `direct` calls the handlers itself (the
default, fast); `worker` calls the same app through Microsoft's worker library (devhost/worker.py: the fidelity check).
Both end in the same routes table and the same `Host`, which runs the app's timers as well.

Rules: what the app declares and this host cannot serve is refused at the start, never ignored. A handler's exception is
an empty 500, as the Functions host answers it. A path that no function matches is answered 404 by the Functions host with
an empty body; here OpenAI's error object says so, because whoever sees it is a developer at this machine.
"""

import asyncio
import contextlib
import importlib
import inspect
import json
import logging
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from devhost.functions import AppError, HttpFunction, Loaded, Receive, Scope, Send, Target, TimerFunction, read_function
from devhost.routing import RouteError, Router, shadowed
from devhost.timers import Timer, Timers

ROOT = Path(__file__).resolve().parent.parent
MODES = ("direct", "worker")
BASE_PATH = "/v1"  # what the base URL of OpenAI's SDKs ends in, and is easily forgotten
log = logging.getLogger("devhost")

type Hook = Callable[[], Awaitable[None]]


def route_prefix(root: Path) -> str:
    """Read the prefix of every route from host.json; the platform's default is `api`."""
    settings = json.loads((root / "host.json").read_text(encoding="utf-8"))
    prefix: str = settings.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    return prefix


class Host:
    """The root ASGI application.

    Args:
        functions: Every function with an HTTP trigger, with what to call for it.
        prefix: Before every route.
        closers: Awaited one after the other when the server stops, after the last request.
        timers: Run as long as the server serves.
    """

    def __init__(
        self,
        functions: Iterable[tuple[HttpFunction, Target]],
        prefix: str,
        closers: Iterable[Hook] = (),
        timers: Iterable[Timer] = (),
    ) -> None:
        rows = [(function.route, target) for function, target in functions]
        self.router: Router[Target] = Router(rows, prefix)
        self.warnings = [
            f"in Azure {hiding.name!r} ({hiding.template}) would answer for {hidden.name!r} ({hidden.template}):"
            " the Functions host tries functions by name; rename one of them"
            for hidden, hiding in shadowed(route for route, _ in rows)
        ]
        self._closers = tuple(closers)
        self._timers = Timers(timers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's lifespan."""
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        found = self.router.match(scope["method"], scope["path"], scope["raw_path"])
        if found is None:
            await not_found(send, uuid.uuid4().hex, self._meant(scope["path"]))
            return
        target, scope["path_params"] = found
        try:
            await target(scope, receive, send)
        except asyncio.CancelledError:  # the stop's: what did not answer for itself is answered for
            with contextlib.suppress(RuntimeError):  # it had begun to answer
                await empty(send, 503)

    def _meant(self, path: str) -> str:
        """Return the app's own path that this one falls short of by the end of an SDK's base URL; empty if there is none."""
        return f"{BASE_PATH}{path}" if f"{BASE_PATH}{path}" in self.router.exact else ""

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise NotImplementedError(f"the Functions host serves HTTP only, not {scope['type']}")
        await receive()
        self._timers.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._timers.close()
        for close in self._closers:
            try:
                await close()
            except Exception:  # the others must still be closed
                log.exception("closing failed")
        await send({"type": "lifespan.shutdown.complete"})


async def empty(send: Send, status: int, request_id: str | None = None) -> None:
    """Answer without a body."""
    headers = [(b"content-length", b"0")]
    if request_id is not None:
        headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def not_found(send: Send, request_id: str, meant: str = "") -> None:
    """Answer for the host itself: no function has this path; `meant` is one that has."""
    message = "no function of the app serves this path and method"
    if meant:
        message += f"; {meant} is served: the base URL that SDKs want ends in {BASE_PATH}"
    error = {"message": message, "type": "not_found_error", "param": None, "code": "unknown_url"}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"x-request-id", request_id.encode())]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def direct_target(function: HttpFunction, handler: Callable[..., Any], request_type: Callable[[Scope, Receive], Any]) -> Target:
    """Make the ASGI application that calls a handler itself.

    Args:
        function: What it is.
        handler: The user's function; a plain one runs in a thread, as in the worker.
        request_type: The class that the HTTP extension hands to handlers.
    """
    name, parameter = function.name, function.parameter
    call = handler if inspect.iscoroutinefunction(handler) else _threaded(handler)

    async def target(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await call(**{parameter: request_type(scope, receive)})
            if not callable(response):
                raise TypeError(f"{name} returned {type(response).__name__}, not a response")  # noqa: TRY301
        except Exception:
            log.exception("function %s failed", name)
            await empty(send, 500)
            return
        await response(scope, receive, send)

    return target


def _threaded(handler: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(**arguments: Any) -> Any:
        return await asyncio.to_thread(handler, **arguments)

    return call


def direct_timer(function: TimerFunction, handler: Callable[..., Any], request_type: Callable[..., Any]) -> Timer:
    """Make the timer that calls a handler itself.

    Args:
        function: What it is.
        handler: The user's function; a plain one runs in a thread, as in the worker.
        request_type: The class that timer triggers are handed over as.
    """
    call = handler if inspect.iscoroutinefunction(handler) else _threaded(handler)

    async def run(text: str) -> None:
        told = json.loads(text)
        timer = request_type(past_due=told["IsPastDue"], schedule_status=told["ScheduleStatus"], schedule=told["Schedule"])
        await call(**{function.parameter: timer})

    return Timer(function.name, function.schedule, run)


def load_direct() -> Loaded:
    """Import the app and pair every function with what calls its handler.

    Raises:
        AppError: The app cannot be imported or hosted.
    """
    try:
        app = importlib.import_module("function_app").app
        functions = app.get_functions()
    except Exception as error:
        raise AppError(explain(error)) from error
    from azure.functions.timer import TimerRequest
    from azurefunctions.extensions.base import RequestTrackerMeta

    request_type = RequestTrackerMeta.get_request_type()
    loaded = Loaded([], [])
    for function in functions:
        described = read_function(function.get_function_name(), function.get_raw_bindings())
        handler = function.get_user_function()
        if isinstance(described, TimerFunction):
            loaded.timers.append(direct_timer(described, handler, TimerRequest))
        else:
            loaded.http.append((described, direct_target(described, handler, request_type)))
    return loaded


def explain(error: BaseException) -> str:
    """Say what went wrong in the app's own words, with the place for what it did not mean to raise."""
    where = ""
    trace = error.__traceback__
    if type(error).__module__ == "builtins" and trace is not None:
        while trace.tb_next is not None:
            trace = trace.tb_next
        where = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    kind = type(error).__name__ + ": " if where else ""
    return f"the app cannot be loaded: {kind}{error}{where}"


async def check_app() -> None:
    """Let the gateway say what is wrong with its settings or its catalogue, before anything is served.

    Raises:
        AppError: Something is.
    """
    container = sys.modules.get("gateway.container")
    if container is not None and (fault := await container.check()):
        raise AppError(fault)


async def close_app() -> None:
    """Let the gateway flush its records and close its stores."""
    container = sys.modules.get("gateway.container")
    if container is not None:
        await container.shutdown()


async def build(mode: str = "direct", root: Path = ROOT) -> Host:
    """Make the root application; once per process, since an app can be indexed only once.

    Args:
        mode: `direct` or `worker`.
        root: The folder with function_app.py and host.json.

    Raises:
        AppError: The app cannot be hosted.
    """
    sys.path.insert(0, str(root))
    closers: list[Hook] = [close_app]
    if mode == "worker":
        from devhost import worker

        loaded = await worker.load(root)
        closers.append(worker.close)
    else:
        loaded = load_direct()
    await check_app()
    try:
        return Host(loaded.http, route_prefix(root), closers, loaded.timers)
    except RouteError as error:
        raise AppError(str(error)) from error
