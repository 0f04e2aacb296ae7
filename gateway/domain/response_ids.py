"""Ids of stored responses, and how a follow-up finds its way back to the resource that holds the state it speaks of.

A response, and every item of its output, lives on one resource: no other can continue it, show it, or read its encrypted
reasoning. So the ids that clients get are sealed: `resp_gw…`, `msg_gw…`, `rs_gw…` hold (model, deployment, upstream's id),
opaque, unforgeable and good for one tenant only. What seals is an `Ids` (`access/response_ids.py`); here is what is sealed and opened.

Out (`sealer`): the values of members whose names end in `id` and that look like an id of `_KINDS`, exact JSON tokens only:
what stands inside a text has escaped quotes around it. The same id always becomes the same text, so that the events of one
stream agree with each other. Nothing else of an answer changes. Measured (2026-11, one core of the development machine):
6 µs for the event of a token, 1 ms for 2 MB without ids.

What is encrypted (`encrypted_content`) gets the same in front, `enc_gw….`, because many clients send it back without the id.

In (`unseal`): `previous_response_id`, items' ids and the id in a stored response's path become the upstream's own. What
speaks of state pins the call to a deployment: a previous response, items of the types in `_PINNING`, and what is encrypted.
All other items are whole in themselves and are served anywhere. Two pins on two resources cannot both be served, which is a 400.

What was answered by translating a chat was stored nowhere, and its ids (`resp_chat_…`) say so: they stay as they are, items
that have them pin nothing, a reasoning item of that kind without encrypted content is left out of the input because no backend
could read it, and to continue, fetch or refer to one is refused.

Source: OpenAI API reference, "Conversation state" and "Reasoning models"; github.com/BerriAI/litellm/pull/27703 on why the
resource, not the deployment, is what holds state (read 2026-11-22).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from gateway.domain.call import Call, Operation
from gateway.domain.responses import item_type, no_response
from gateway.domain.splice import splice
from gateway.errors import RequestError

SEALED = "_gw"  # stands between an id's kind and what is sealed
# Operations whose answers carry ids that lead back to where they came from.
WITH_IDS = frozenset({Operation.RESPONSES, Operation.RESPONSE_ITEM})
UNSTORED = "_chat_"  # stands there in the ids of answers that a chat gave

_KINDS = "resp|rs|msg|fc|fco|ctc|cmp|ws|fs|ci|ig|cu|mcp|mcpl|mcpr|sh|lsh|apc|tsc"
# From the end of a member's name, which is quick to look for: `id`, `item_id`, `previous_response_id` …
_TOKEN = re.compile(rf'(id"[ \t\r\n]*:[ \t\r\n]*")((?:{_KINDS})_[A-Za-z0-9_.-]{{1,512}})(?=")'.encode())
_ENCRYPTED = re.compile(rb'(encrypted_content"[ \t\r\n]*:[ \t\r\n]*")(?=[^"])')
_ENCRYPTED_NAME = b'encrypted_content"'
_ENCRYPTED_ID = "enc_"  # in place of an upstream's id
_ENCRYPTED_END = "."  # stands in no sealed id
_PINNING = frozenset({"item_reference", "reasoning", "compaction", "mcp_approval_response"})
_ITEM_IDS = ("id", "approval_request_id")
_QUERY_IDS = frozenset({"after", "before"})


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """What an id holds."""

    model: str
    deployment: str
    upstream_id: str


class Ids(Protocol):
    """Seals ids and opens them; deterministic."""

    def load(self) -> None:
        """Get ready; for a thread, before the first id."""

    def seal(self, tenant: str, model: str, deployment: str, upstream_id: str) -> str:
        """Return the id for the tenant's eyes."""

    def open(self, tenant: str, text: str) -> Sealed | None:
        """Return what the id holds; None where it is not one of the tenant's."""


def sealer(call: Call, tenant: str, deployment: str, ids: Ids) -> Callable[[bytes], bytes]:
    """Make what seals the ids of one answer: of a whole body, or of any number of whole events of its stream.

    Args:
        call: Of operation RESPONSES or RESPONSE_ITEM; an answer to any other is returned as it is.
        tenant: The caller's.
        deployment: The id of the one that answers.
        ids: What seals.
    """
    if call.operation not in {Operation.RESPONSES, Operation.RESPONSE_ITEM}:
        return lambda data: data
    known: dict[bytes, bytes] = {}

    def replaced(match: re.Match[bytes]) -> bytes:
        token = match[2]
        sealed = known.get(token)
        if sealed is None:
            text = token.decode()
            sealed = known[token] = token if _is_unstored(text) else ids.seal(tenant, call.model, deployment, text).encode()
        return match[1] + sealed

    def seal(data: bytes) -> bytes:
        if _ENCRYPTED_NAME in data:
            head = (ids.seal(tenant, call.model, deployment, _ENCRYPTED_ID) + _ENCRYPTED_END).encode()
            data = _ENCRYPTED.sub(lambda match: match[1] + head, data)
        return _TOKEN.sub(replaced, data) if b"_" in data else data

    return seal


def unseal(call: Call, tenant: str, ids: Ids, resource_of: Callable[[str], str] = str) -> Call:
    """Return the call with the upstream's own ids in it, pinned to the deployment that they lead to.

    Args:
        call: As its reader made it.
        tenant: The caller's.
        ids: What opens.
        resource_of: A deployment's id → what tells resources apart; by default each deployment is one of its own.

    Raises:
        NotFound: An id does not open.
        RequestError: An id refers to what was not stored, or two lead to different resources; `param` names the field.
    """
    opener = _Opener(tenant, ids, resource_of)
    if call.operation is Operation.RESPONSE_ITEM:
        return _unseal_path(call, opener)
    if call.operation is not Operation.RESPONSES:
        return call
    changes: dict[str, bytes] = {}
    document = dict(call.document)
    previous = document.get("previous_response_id")
    if previous is not None:
        document["previous_response_id"] = opener.upstream_id(previous, "previous_response_id", pins=True)
        changes["previous_response_id"] = msgspec.json.encode(document["previous_response_id"])
    items = document.get("input")
    if type(items) is list:
        opened = [kept for index, item in enumerate(items) if (kept := _unseal_item(item, f"input[{index}]", opener)) is not None]
        if len(opened) != len(items) or any(new is not old for new, old in zip(opened, items, strict=True)):
            document["input"] = opened
            changes["input"] = msgspec.json.encode(opened)
    if not changes:
        return call
    return msgspec.structs.replace(call, body=splice(call.body, changes), document=document, pinned=opener.deployment, origin=opener.model)


def _unseal_path(call: Call, opener: "_Opener") -> Call:
    """Open the id in the path, and those that a listing begins or ends with."""
    item, slash, rest = call.path.partition("/")
    if _is_unstored(item):
        raise no_response("response_id")
    upstream_id = opener.upstream_id(item, "response_id", pins=True)
    pairs = [
        (name, opener.upstream_id(value, name, pins=False) if name in _QUERY_IDS else value)
        for name, value in parse_qsl(call.query, keep_blank_values=True)
    ]
    path = f"{quote(upstream_id, safe='')}{slash}{rest}"
    return msgspec.structs.replace(call, model=opener.model, path=path, query=urlencode(pairs), pinned=opener.deployment)


def _unseal_item(item: Mapping[str, Any], path: str, opener: "_Opener") -> Mapping[str, Any] | None:
    """Return the item with the upstream's ids, itself where it has none, or None where it must be left out."""
    kind, encrypted = item_type(item), item.get("encrypted_content")
    opened = dict(item)
    for name in _ITEM_IDS:
        value = item.get(name)
        if type(value) is not str:
            continue
        if kind == "reasoning" and not encrypted and _is_unstored(value):
            return None
        opened[name] = opener.upstream_id(value, f"{path}.{name}", pins=kind in _PINNING, may_be_foreign=kind != "item_reference")
    if type(encrypted) is str and _is_sealed(encrypted):
        head, _, opened["encrypted_content"] = encrypted.partition(_ENCRYPTED_END)
        opener.upstream_id(head, f"{path}.encrypted_content", pins=True)
    return item if opened == item else opened


def _is_unstored(text: str) -> bool:
    return text.startswith(UNSTORED, text.find("_"))


def _is_sealed(text: str) -> bool:
    return text.startswith(SEALED, text.find("_"))


class _Opener:
    """Opens one call's ids, and holds what they pin it to."""

    def __init__(self, tenant: str, ids: Ids, resource_of: Callable[[str], str]) -> None:
        self._tenant = tenant
        self._ids = ids
        self._resource_of = resource_of
        self._pinned_by = ""
        self.model = ""
        self.deployment = ""

    def upstream_id(self, text: str, param: str, *, pins: bool, may_be_foreign: bool = False) -> str:
        """Return the upstream's id; an item's own may also be one that its client made up, and is then left alone."""
        if _is_unstored(text):
            if may_be_foreign:
                return text
            raise RequestError(
                f"'{param}' names an answer that was not stored, because its model keeps none; send the conversation so far in 'input'.",
                param=param,
                code="not_supported",
            )
        ours = _is_sealed(text)
        sealed = self._ids.open(self._tenant, text) if ours else None
        if sealed is None:
            if may_be_foreign and not ours:
                return text
            raise no_response(param)
        if pins:
            self._pin(sealed, param)
        return sealed.upstream_id

    def _pin(self, sealed: Sealed, param: str) -> None:
        if not self.deployment:
            self.model, self.deployment, self._pinned_by = sealed.model, sealed.deployment, param
        elif self._resource_of(sealed.deployment) != self._resource_of(self.deployment):
            raise RequestError(
                f"'{param}' and '{self._pinned_by}' come from different resources, and neither knows the other's; "
                "send the items of one conversation only.",
                param=param,
                code="invalid_value",
            )
