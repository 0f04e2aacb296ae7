"""The prompts that a caller may use, as it sees them: GET /v1/prompts, /v1/prompts/{name}, /v1/prompts/{name}/openapi.json.

Shown is what there is to use: published prompts (those with the label `production`), the tenant's own and the shared ones, whose
model the caller's product and subscription cover. What a prompt says to the model is not shown. `?version=` asks for another version
of one, by number or label.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.access import Principal, Product
from gateway.domain.call import Answer, Inbound, Operation
from gateway.domain.catalog import Catalog, allows, matches
from gateway.domain.management import page_of, read_limit
from gateway.domain.prompts import PRODUCTION, SHARED, Prompt, PromptVersion
from gateway.errors import NotFound
from gateway.prompts.memory import PromptMemory
from gateway.prompts.openapi import openapi

AT_ONCE = 20  # versions that are read at the same time, for a list
VERSION_HEADER = "x-gateway-prompt-version"

type ReceiveBody = Callable[[], Awaitable[bytes]]


class Shelf:
    """Answers what prompts there are. Each method is a service beside calls; `inbound.path_model` is the prompt's name.

    Args:
        memory: The prompts.
        product: Returns a product by its id; None where there is none.
        variables_of: Returns the names of the variables that a version's text asks the caller for.
    """

    def __init__(
        self,
        memory: PromptMemory,
        product: Callable[[str], Awaitable[Product | None]],
        variables_of: Callable[[PromptVersion], frozenset[str]],
    ) -> None:
        self._memory = memory
        self._product = product
        self._variables_of = variables_of

    async def list(self, inbound: Inbound, _receive_body: ReceiveBody, principal: Principal, catalog: Catalog) -> Answer:
        """Return a page of the prompts that the caller may use, by name: `limit`, and `after` a name.

        Raises:
            RequestError: `limit` is no such number.
        """
        limit, after = read_limit(inbound.query), inbound.query.get("after", "")
        product = await self._product(principal.product)
        rest = [each for each in await self._memory.visible(principal.tenant) if each.name > after]
        shown: list[dict[str, Any]] = []
        while rest and len(shown) < limit:
            count = min(AT_ONCE, limit - len(shown))
            some, rest = rest[:count], rest[count:]
            versions = await asyncio.gather(*(self._published(principal.tenant, each) for each in some))
            pairs = zip(some, versions, strict=True)
            shown += [_summary(head, found) for head, found in pairs if found and _covers(product, principal, catalog, found.model)]
            after = some[-1].name
        return _answer(page_of(shown, after if rest else None))

    async def show(self, inbound: Inbound, _receive_body: ReceiveBody, principal: Principal, catalog: Catalog) -> Answer:
        """Return how a prompt is used: its variables, what it answers, examples, and a command to paste.

        Raises:
            NotFound: There is no such prompt or version, or the caller may not use its model.
        """
        version = await self._version(inbound, principal, catalog)
        names = self._variables_of(version)
        shape = _about(version) | {
            "variables": sorted(names),
            "input_schema": version.input_schema if version.input_schema is not None else _needed(names),
            "output_schema": version.output_schema,
            "examples": version.examples,
            "openapi": f"/v1/prompts/{version.name}/openapi.json",
            "curl": _curl(version, names),
        }
        return _answer(shape, version)

    async def api(self, inbound: Inbound, _receive_body: ReceiveBody, principal: Principal, catalog: Catalog) -> Answer:
        """Return a prompt's OpenAPI document; NotFound as `show`."""
        version = await self._version(inbound, principal, catalog)
        return _answer(openapi(version, variables=self._variables_of(version)), version)

    async def _version(self, inbound: Inbound, principal: Principal, catalog: Catalog) -> PromptVersion:
        name, wanted = inbound.path_model, inbound.query.get("version") or PRODUCTION
        version = await self._memory.resolve(principal.tenant, name, wanted, place="")
        if not _covers(await self._product(principal.product), principal, catalog, version.model):
            message = f"the model of the prompt {name!r} is not one that you may call; GET /v1/prompts lists the prompts that you may use"
            raise NotFound(message, param="id", code="prompt_not_found")
        return version

    async def _published(self, tenant: str, head: Prompt) -> PromptVersion | None:
        try:
            return await self._memory.resolve(tenant, head.name, PRODUCTION)
        except NotFound:  # it was withdrawn since the list was remembered
            return None


def _covers(product: Product | None, principal: Principal, catalog: Catalog, name: str) -> bool:
    model = catalog.find(name)
    if product is None or model is None or not allows(product, model, principal.models):
        return False
    return all(not each or matches(each, Operation.CHAT) for each in (product.operations, principal.operations))


def _about(version: PromptVersion) -> dict[str, Any]:
    return {
        "id": version.name,
        "object": "prompt",
        "version": version.version,
        "model": version.model,
        "description": version.description,
        "shared": version.tenant == SHARED,
    }


def _summary(head: Prompt, version: PromptVersion) -> dict[str, Any]:
    return _about(version) | {"labels": sorted(head.labels)}


def _needed(names: frozenset[str]) -> dict[str, Any]:
    ordered = sorted(names)
    return {"type": "object", "properties": {name: {} for name in ordered}, "required": ordered, "additionalProperties": False}


def _curl(version: PromptVersion, names: frozenset[str]) -> str:
    """Return a command for a shell that knows the gateway's URL as BASE and a key as KEY."""
    given: Mapping[str, Any] = version.examples[0] if version.examples else dict.fromkeys(sorted(names), "...")
    body = json.dumps({"variables": given}, ensure_ascii=False).replace("'", "'\\''")
    head = """-H "Authorization: Bearer $KEY" -H 'Content-Type: application/json'"""
    return f"""curl "$BASE/v1/prompts/{version.name}/invoke" {head} -d '{body}'"""


def _answer(value: Mapping[str, Any] | Sequence[Any], version: PromptVersion | None = None) -> Answer:
    headers = {VERSION_HEADER: str(version.version)} if version else {}
    return Answer(headers=headers, body=msgspec.json.encode(value))
