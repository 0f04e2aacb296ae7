"""Chat requests for the tests of what reads them."""

import json
from typing import Any

import pytest

from gateway.domain.call import Inbound, Operation, Surface
from gateway.domain.chat import read_chat
from gateway.errors import RequestError

HELLO = {"role": "user", "content": "Hello"}
ABSENT = object()


def make_inbound(document: Any = None, **over: Any) -> Inbound:
    fields: dict[str, Any] = {
        "operation": Operation.CHAT,
        "surface": Surface.OPENAI,
        "request_id": "req-1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": {},
        "query": {},
        "path_model": "",
        "body": json.dumps(document).encode(),
        "received_s": 0.0,
    }
    return Inbound(**fields | over)


def chat(**over: Any) -> dict[str, Any]:
    return {name: value for name, value in ({"model": "gpt-4o", "messages": [HELLO]} | over).items() if value is not ABSENT}


def refusal(document: dict[str, Any], **over: Any) -> tuple[str, str | None]:
    with pytest.raises(RequestError) as caught:
        read_chat(make_inbound(document, **over))
    assert caught.value.status == 400
    return caught.value.code, caught.value.param
