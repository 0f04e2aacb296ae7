"""What a newer version of the contract says otherwise: pure functions from the first version's shapes, applied at the door.

| version | what | differs |
| --- | --- | --- |
| 2026-11-22 | errors | and problems say `request_id`, `retryable`, `retry_after_ms` where it is known, and `doc`: what to read |
| 2026-11-22 | lists at /manage | have `next`, the path of the next page or null, instead of `has_more` and `after` |
| 2026-11-22 | models | have every member always, also where nothing is known: `capabilities`, `context_window`, `lifecycle` … |

Nothing here runs for a request that names no version.
"""

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from gateway.domain.call import Answer, Inbound, Operation
from gateway.domain.contract_versions import NOVEMBER, asked_of, since
from gateway.domain.management import Told
from gateway.errors import GatewayError

ERRORS_DOC = "README.md#errors"
_MODEL: Mapping[str, Any] = {"aliases": [], "capabilities": [], "context_window": None, "max_output_tokens": None, "lifecycle": {}}
_LIFECYCLE: Mapping[str, Any] = {"state": "active", "sunset": None, "successor": None}
_MODELS = frozenset({Operation.LIST_MODELS, Operation.GET_MODEL})


def error_members(error: GatewayError, inbound: Inbound) -> Mapping[str, Any]:
    """Return what the version that a request asks for says of an error beyond the first one."""
    if not since(asked_of(inbound.headers), NOVEMBER):
        return {}
    members: dict[str, Any] = {"request_id": inbound.request_id, "retryable": error.retryable}
    if error.retry_after_s is not None:
        members["retry_after_ms"] = math.ceil(error.retry_after_s * 1000)
    return members | {"doc": ERRORS_DOC}


def answered(answer: Answer, inbound: Inbound) -> Answer:
    """Return an inference answer in the shapes of the version that its request asks for."""
    if inbound.operation not in _MODELS or not since(asked_of(inbound.headers), NOVEMBER):
        return answer
    document = msgspec.json.decode(answer.body)
    return msgspec.structs.replace(answer, body=msgspec.json.encode(newer_models(document)))


def told(answer: Told, inbound: Inbound) -> Told:
    """Return a management answer in the shapes of the version that its request asks for."""
    if not isinstance(answer.value, dict) or not since(asked_of(inbound.headers), NOVEMBER):
        return answer
    return msgspec.structs.replace(answer, value=newer_list(answer.value, inbound.path, inbound.query))


def newer_models(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model, or a list of models, with every member that a model can have."""
    if "data" in document:
        return {**document, "data": [newer_models(model) for model in document["data"]]}
    members = {**_MODEL, **document}
    named = {name: members.pop(name) for name in _MODEL}
    return {**members, **named, "lifecycle": {**_LIFECYCLE, **named["lifecycle"]}}


def newer_list(document: Mapping[str, Any], path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return a page whose `next` leads to the page after it; what is no page stays as it is.

    Args:
        document: As the first version has it.
        path: Of the request, decoded.
        query: Of the request; the next page is asked for with the same.
    """
    if document.get("object") != "list" or "after" not in document:
        return dict(document)
    after = document["after"]
    rest = {name: value for name, value in document.items() if name not in {"has_more", "after"}}
    return rest | {"next": f"{quote(path)}?{urlencode({**query, 'after': after})}" if after is not None else None}
