"""Streets with guardrails, and what the flow tests of guardrails ask of them."""

import json
from typing import Any

from gateway.domain.catalog import Catalog
from gateway.domain.guardrails import (
    Guardrail,
)
from gateway.domain.policy import Rule
from tests.builders import make_product
from tests.flow.street import Street, models

CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HEADER = "x-gateway-guardrails"
EMAIL = "ada@contoso.com"
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
CARD = "4111 1111 1111 1111"


def guarded(*guardrails: Guardrail, rules: tuple[Rule, ...] = ()) -> Street:
    """A street whose product `all` has these guardrails."""
    catalog = Catalog(
        models(),
        (make_product(id="all", guardrails=tuple(each.id for each in guardrails)),),
        rules,
        guardrails={each.id: each for each in guardrails},
    )
    return Street(catalog)


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]} | more


def sent(street: Street, index: int = -1) -> Any:
    """What the backend was sent."""
    return json.loads(street.upstream.requests[index].body)


def prompt(street: Street, index: int = -1) -> str:
    text: str = sent(street, index)["messages"][-1]["content"]
    return text


async def verdicts(street: Street) -> list[dict[str, Any]]:
    """The verdicts of the newest record."""
    told: list[dict[str, Any]] = json.loads(str((await street.records())[-1]["guardrails"]))
    return told


async def content(street: Street, document: Any) -> str:
    answer = await street.call(document)
    text: str = json.loads(answer.body)["choices"][0]["message"]["content"]
    return text


def texts(body: bytes) -> str:
    """The text of a chat stream."""
    found = ""
    for line in body.split(b"\n\n"):
        if line.startswith(b"data: {"):
            found += "".join(choice["delta"].get("content") or "" for choice in json.loads(line[6:])["choices"])
    return found
