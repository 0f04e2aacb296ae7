"""What is looked up before a call and put into its prompt: a customer's record, a glossary, today's prices.

Each lookup is a GET at a backend of the catalogue, all of them at once, each within its own time. The result goes in front of
the conversation as the operator's template says; the client's own bytes stay as they are around it. A lookup that fails fails
the call if it is required; otherwise the call goes on without it, and its record says so. So does one at a backend outside
the data zone to which the tenant is pinned: the backend is not asked.
"""

import asyncio
import functools
import logging
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.domain.call import Call, UpstreamRequest
from gateway.domain.context import CONVERSATIONS, with_context
from gateway.domain.policy import Enrichment
from gateway.domain.request import Request
from gateway.errors import GatewayError, Unavailable
from gateway.ports import Upstream

log = logging.getLogger(__name__)

# A longer result is no context but a mistake.
MAX_RESULT_CHARACTERS = 64 * 1024
_PLACEHOLDER = re.compile(r"\{(user|tenant|session|tag:[^{}]+)\}")


async def enrich(request: Request, enrichments: Sequence[Enrichment], upstream: Upstream) -> tuple[Call, list[str], str]:
    """Return the call with what was looked up, what to note in its record, and the text that was looked up.

    Args:
        request: The call; operations without a conversation are returned as they are.
        enrichments: What to look up, in the order in which it is put into the prompt.
        upstream: The network.

    Raises:
        Unavailable: `enrichment_failed`: a required lookup failed.
    """
    call = request.call
    if call.operation not in CONVERSATIONS:
        return call, [], ""
    found = await asyncio.gather(*(_look_up(request, each, upstream) for each in enrichments))
    texts = [text for text in found if text is not None]
    notes = ["enriched"] * bool(texts) + ["enrichment_skipped"] * (len(texts) < len(found))
    text = "\n\n".join(texts)
    return (with_context(call, text) if texts else call), notes, text


async def _look_up(request: Request, enrichment: Enrichment, upstream: Upstream) -> str | None:
    backend = enrichment.backend
    try:
        if request.principal.data_zone not in ("", backend.data_zone):
            raise _failed("its backend lies outside the tenant's data zone")
        path = _PLACEHOLDER.sub(functools.partial(_fill, request), enrichment.path)
        sent = UpstreamRequest(backend, "GET", f"{backend.endpoint}/{path.lstrip('/')}", {"accept": "application/json"}, b"")
        async with asyncio.timeout(enrichment.timeout_s):
            response = await upstream.send(sent, enrichment.timeout_s)
            body = await response.read()
        if not 200 <= response.status < 300:
            raise _failed(f"it answered {response.status}")
        return enrichment.template.replace("{result}", _pick(body, enrichment.pick))
    except (GatewayError, TimeoutError, UnicodeDecodeError, msgspec.MsgspecError) as exc:
        log.warning("the lookup at backend %s failed: %s", backend.id, exc)
        if enrichment.required:
            raise _failed("it did not succeed") from exc
        return None


def _fill(request: Request, match: re.Match[str]) -> str:
    name = match[1]
    values = {"user": request.labels.user, "session": request.labels.session, "tenant": request.principal.tenant}
    value = request.labels.tags.get(name.removeprefix("tag:"), "") if name.startswith("tag:") else values[name]
    if not value:
        raise _failed(f"the call does not say its {name}")
    return quote(value, safe="").replace(".", "%2E")  # never a way up the path


def _pick(body: bytes, pick: str) -> str:
    """Return the whole answer, or what is found going down its members."""
    if not pick:
        return body.decode()[:MAX_RESULT_CHARACTERS]
    value: Any = msgspec.json.decode(body)
    for name in pick.split("."):
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise _failed(f"its answer has no {pick}")
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:MAX_RESULT_CHARACTERS]


def _failed(why: str) -> Unavailable:
    return Unavailable(f"what the model is to be told could not be looked up: {why}; retry", code="enrichment_failed")
