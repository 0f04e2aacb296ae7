"""A GatewayError as the bytes that a client of its surface can read.

Everywhere the OpenAI error object under `error`. Anthropic's clients also look for `"type": "error"` beside it, and know the
event of a broken stream by its name; Responses clients want `type`, `code` and `message` at the top of that event.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Operation, Surface
from gateway.errors import GatewayError

_NOTHING: Mapping[str, Any] = {}


def error_json(error: GatewayError, surface: Surface, more: Mapping[str, Any] = _NOTHING) -> bytes:
    """Return the body of an answer that failed; `more` are members of its object that a newer version of the contract has."""
    document = {"error": {**_object(error), **more}}
    return msgspec.json.encode({"type": "error", **document} if surface is Surface.ANTHROPIC else document)


def error_event(error: GatewayError, surface: Surface, operation: Operation, more: Mapping[str, Any] = _NOTHING) -> bytes:
    """Return the last event of a stream that broke; `more` as for a whole answer."""
    if operation in {Operation.RESPONSES, Operation.RESPONSE_ITEM}:
        event = {"type": "error", "code": error.code, "message": error.message, "param": error.param, **more}
        return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
    name = b"event: error\n" if surface is Surface.ANTHROPIC else b""
    return name + b"data: " + error_json(error, surface, more) + b"\n\n"


def _object(error: GatewayError) -> dict[str, Any]:
    return {"message": error.message, "type": error.type, "param": error.param, "code": error.code, **error.details}
