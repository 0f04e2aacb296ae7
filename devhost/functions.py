"""The app's functions as the embedded host sees them: what their bindings say.

What this host cannot serve is refused here, with the function's name.

Shape: `Target = async (scope, receive, send)`, an ASGI application per function; `scope["path_params"]` holds the
route's values.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from devhost.routing import Route
from devhost.timers import Schedule, ScheduleError, Timer, read_schedule

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type Target = Callable[[Scope, Receive, Send], Awaitable[None]]


class AppError(Exception):
    """The app cannot be hosted; the message is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """A function with an HTTP trigger.

    Attributes:
        name: The function's.
        route: Its template and methods, without host.json's prefix.
        parameter: The name under which the handler takes the request.
    """

    name: str
    route: Route
    parameter: str


@dataclass(frozen=True, slots=True)
class TimerFunction:
    """A function with a timer trigger.

    Attributes:
        name: The function's.
        schedule: When it runs.
        parameter: The name under which the handler takes the timer.
    """

    name: str
    schedule: Schedule
    parameter: str


def read_function(name: str, bindings: Iterable[str]) -> HttpFunction | TimerFunction:
    """Read a function's bindings.

    Args:
        name: The function's.
        bindings: One JSON object each, as the worker hands them to the Functions host.

    Raises:
        AppError: It needs something that this host does not serve.
    """
    read = [json.loads(binding) for binding in bindings]
    trigger = next((binding for binding in read if binding["type"].lower().endswith("trigger")), None)
    if trigger is None or trigger["type"] not in ("httpTrigger", "timerTrigger"):
        kind = trigger["type"] if trigger else "no trigger"
        raise AppError(f"function {name!r} has a trigger that the embedded host does not serve yet: {kind}")
    for binding in read:
        if binding is not trigger and (binding["type"] != "http" or trigger["type"] != "httpTrigger"):
            raise AppError(f"function {name!r} has a binding that the embedded host does not serve yet: {binding['type']}")
    return _timer_function(name, trigger) if trigger["type"] == "timerTrigger" else _http_function(name, trigger)


def _timer_function(name: str, trigger: dict[str, Any]) -> TimerFunction:
    if trigger.get("runOnStartup"):
        raise AppError(f"function {name!r} asks to run on startup, which the embedded host does not do: leave runOnStartup out")
    try:
        return TimerFunction(name, read_schedule(trigger["schedule"]), trigger["name"])
    except ScheduleError as error:
        raise AppError(f"function {name!r}: {error}") from error


def _http_function(name: str, trigger: dict[str, Any]) -> HttpFunction:
    if trigger.get("authLevel", "FUNCTION").upper() != "ANONYMOUS":
        raise AppError(f"function {name!r} asks for a Functions key; the gateway has its own keys: set the level to anonymous")
    methods = frozenset(method.upper() for method in trigger.get("methods") or ())
    return HttpFunction(name, Route(name, trigger.get("route") or name, methods), trigger["name"])


@dataclass(frozen=True, slots=True)
class Loaded:
    """The app's functions, with what to call for them."""

    http: list[tuple[HttpFunction, Target]]
    timers: list[Timer]
