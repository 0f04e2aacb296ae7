"""The ContentSafety port on Azure AI Content Safety, through `azure-ai-contentsafety`.

| asked | api-version | body |
| --- | --- | --- |
| `text:analyze` | 2023-10-01, the SDK's | `{"text", "categories", "blocklistNames", "haltOnBlocklistHit", "outputType"}` |
| `text:shieldPrompt` | 2024-09-01 | `{"userPrompt", "documents"}` |
| `text:detectProtectedMaterial` | 2024-09-01 | `{"text"}` |
| `text:detectGroundedness` | 2024-09-15-preview | `{"domain", "task", "qna": {"query"}, "text", "groundingSources", "reasoning"}` |

Rules:

- The SDK has the first only; the others go through its `send_request`, with its credential and its pipeline. Its own retries
  and redirects are off.
- An answer of 429 or 503 is asked for once more, after the wait that it names, if that is MAX_WAIT_S at most.
- FAILURES in a row, of one kind of question, and for OPEN_S its calls fail at once; then one tries. Whoever gave up after
  SLOW_S counts as one: a service that hangs is cancelled by its callers and never fails by itself. An answer that
  refuses the question alone (400, 404 …) is none.
- An answer that does not say what was asked is a failure, never a pass.
- What callers are told names neither the endpoint nor a text. The log has the status and the service's own error code.

Importing this module loads the SDK: only the container does, and only where it is configured. With a managed identity the role
`Cognitive Services User` at the resource is needed.

Source: Azure AI Content Safety REST reference 2024-09-01 and its quickstarts; azure-ai-contentsafety 1.0.0 (read 2026-11-22).
"""

import asyncio
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from azure.ai.contentsafety.aio import ContentSafetyClient
from azure.ai.contentsafety.models import AnalyzeTextOptions
from azure.core.credentials import AzureKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import HttpRequest

from gateway.adapters.content_safety_breaker import Breaker
from gateway.domain.verdicts import Analysis
from gateway.errors import GuardrailUnavailable
from gateway.ports import Clock

log = logging.getLogger(__name__)

API_VERSION, GROUNDEDNESS_VERSION = "2024-09-01", "2024-09-15-preview"
MAX_WAIT_S, USUAL_WAIT_S = 2.0, 0.2
SLOW_S = 1.0
_ANALYZE, _SHIELD, _MATERIAL, _GROUNDED = "text:analyze", "text:shieldPrompt", "text:detectProtectedMaterial", "text:detectGroundedness"
_LEVELS = {4: "FourSeverityLevels", 8: "EightSeverityLevels"}
_BROKEN = (AzureError, OSError, ValueError, msgspec.MsgspecError)
_ALL_FAIL = frozenset({401, 403, 408, 429})  # of 4xx, what every question would be answered
_HINTS = {
    401: ": see that the key is this resource's, or that it takes tokens",
    403: ": give the gateway's identity the role Cognitive Services User, and let its network in",
    404: ": the resource's region may not have this, or a blocklist of that name is not there",
}
_CODE = re.compile(r"[A-Za-z0-9_.]{1,64}")


class _Named(msgspec.Struct, frozen=True, rename="camel"):
    blocklist_name: str


class _Graded(msgspec.Struct, frozen=True):
    category: str
    severity: int


class _Analyzed(msgspec.Struct, frozen=True, rename="camel"):
    categories_analysis: tuple[_Graded, ...] = ()
    blocklists_match: tuple[_Named, ...] | None = None


class _Attack(msgspec.Struct, frozen=True, rename="camel"):
    attack_detected: bool


class _Shielded(msgspec.Struct, frozen=True, rename="camel"):
    user_prompt_analysis: _Attack | None = None
    documents_analysis: tuple[_Attack, ...] | None = None


class _Detected(msgspec.Struct, frozen=True):
    detected: bool


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    protected_material_analysis: _Detected


class _Segment(msgspec.Struct, frozen=True):
    text: str = ""


class _Grounded(msgspec.Struct, frozen=True, rename="camel"):
    ungrounded_detected: bool
    ungrounded_percentage: float | None = None
    ungrounded_details: tuple[_Segment, ...] = ()


def connect(endpoint: str, key: str, credential: AsyncTokenCredential | None, clock: Clock) -> "AzureContentSafety":
    """Make the adapter for a resource.

    Args:
        endpoint: Its URL; http:// on the loopback alone.
        key: Its key; empty where the credential asks.
        credential: A managed identity's.
        clock: The time.

    Raises:
        ValueError: The endpoint is none, or there is nothing to authenticate with.
    """
    return AzureContentSafety(endpoint, key, credential, clock)


class AzureContentSafety:
    """See `ports.ContentSafety`; see `connect`, besides `timeout_s`: how long an answer may take to begin or to go on."""

    def __init__(self, endpoint: str, key: str, credential: AsyncTokenCredential | None, clock: Clock, *, timeout_s: float = 10.0) -> None:
        plain = _is_plain(endpoint)
        if not key and credential is None:
            raise ValueError("Content Safety needs a key or a managed identity")
        # The SDK sends tokens over TLS alone; a simulator on the loopback gets them without.
        self._options: dict[str, Any] = {"enforce_https": False} if plain and not key else {}
        self._client = ContentSafetyClient(
            endpoint.rstrip("/"),
            AzureKeyCredential(key) if key or credential is None else credential,
            retry_policy=AsyncRetryPolicy.no_retries(),
            permit_redirects=False,
            connection_timeout=min(timeout_s, 3.0),
            read_timeout=timeout_s,
        )
        self._clock = clock
        self._breakers = {each: Breaker(clock) for each in (_ANALYZE, _SHIELD, _MATERIAL, _GROUNDED)}

    async def analyze(
        self, text: str, *, categories: Sequence[str], blocklists: Sequence[str] = (), halt_on_blocklist: bool = False, levels: int = 4
    ) -> Analysis:
        """Grade a text by category, and look for a blocklist's items."""
        asked = AnalyzeTextOptions(
            text=text,
            categories=list(categories) or None,
            blocklist_names=list(blocklists) or None,
            halt_on_blocklist_hit=halt_on_blocklist,
            output_type=_LEVELS[levels],
        )

        async def send() -> Analysis:
            answer = await self._client.analyze_text(asked, **self._options)
            found = msgspec.convert(answer.as_dict(), _Analyzed)
            severities = {each.category: each.severity for each in found.categories_analysis}
            hits = tuple(dict.fromkeys(each.blocklist_name for each in found.blocklists_match or ()))
            if not severities.keys() >= set(categories) and not (halt_on_blocklist and hits):
                raise ValueError("it does not grade all that was asked")
            return Analysis(severities, hits)

        return await self._ask(_ANALYZE, send)

    async def shield(self, prompt: str, documents: Sequence[str] = ()) -> tuple[bool, tuple[bool, ...]]:
        """Tell whether the prompt, and each of at most 5 documents, holds an attack."""

        async def send() -> tuple[bool, tuple[bool, ...]]:
            found = await self._post(_SHIELD, API_VERSION, {"userPrompt": prompt, "documents": list(documents)}, _Shielded)
            of_prompt, of_documents = found.user_prompt_analysis, found.documents_analysis or ()
            if (prompt and of_prompt is None) or len(of_documents) != len(documents):
                raise ValueError("it does not judge all that was asked")
            return bool(of_prompt and of_prompt.attack_detected), tuple(each.attack_detected for each in of_documents)

        return await self._ask(_SHIELD, send)

    async def protected_material(self, text: str) -> bool:
        """Tell whether a text holds known text that is somebody's."""

        async def send() -> bool:
            found = await self._post(_MATERIAL, API_VERSION, {"text": text}, _Material)
            return found.protected_material_analysis.detected

        return await self._ask(_MATERIAL, send)

    async def groundedness(self, text: str, sources: Sequence[str], *, query: str, domain: str, task: str) -> tuple[float, tuple[str, ...]]:
        """Return which share of a text is not founded in its sources, 0 to 1, and which parts those are."""
        body: dict[str, Any] = {"domain": domain, "task": task, "text": text, "groundingSources": list(sources), "reasoning": False}
        if task == "QnA":
            body["qna"] = {"query": query}

        async def send() -> tuple[float, tuple[str, ...]]:
            found = await self._post(_GROUNDED, GROUNDEDNESS_VERSION, body, _Grounded)
            share = found.ungrounded_percentage
            if share is not None and not 0 <= share <= 1:
                raise ValueError("it names no share")
            if not found.ungrounded_detected:
                return 0.0, ()
            return share or 1.0, tuple(each.text for each in found.ungrounded_details)  # found, and not told how much: all of it

        return await self._ask(_GROUNDED, send)

    async def close(self) -> None:
        """Let the connections go. Safe to call twice."""
        await self._client.close()

    async def _post[T](self, operation: str, version: str, body: dict[str, Any], kind: type[T]) -> T:
        request = HttpRequest("POST", f"/{operation}?api-version={version}", json=body)
        response = await self._client.send_request(request, **self._options)
        if response.status_code != 200:
            raise HttpResponseError(response=response)
        return msgspec.json.decode(response.content, type=kind)

    async def _ask[T](self, operation: str, send: Callable[[], Awaitable[T]]) -> T:
        breaker = self._breakers[operation]
        breaker.enter()
        started_s = self._clock.now_s()
        try:
            answer = await self._twice(send)
        except _BROKEN as exc:
            status = exc.status_code if isinstance(exc, HttpResponseError) else None
            if status is not None and 400 <= status < 500 and status not in _ALL_FAIL:
                breaker.succeeded()
            else:
                breaker.left(failed=True)
            raise _unavailable(operation, exc) from exc
        except BaseException as exc:
            breaker.left(failed=isinstance(exc, asyncio.CancelledError) and self._clock.now_s() - started_s >= SLOW_S)
            raise
        breaker.succeeded()
        return answer

    async def _twice[T](self, send: Callable[[], Awaitable[T]]) -> T:
        try:
            return await send()
        except HttpResponseError as exc:
            wait_s = (USUAL_WAIT_S if (told := _told_s(exc)) is None else told) if exc.status_code in (429, 503) else None
            if wait_s is None or wait_s > MAX_WAIT_S:
                raise
        await self._clock.sleep(wait_s)
        return await send()


def _is_plain(endpoint: str) -> bool:
    """Tell http:// on the loopback from https://; ValueError for all others."""
    parts = urlsplit(endpoint)
    if parts.hostname and "@" not in parts.netloc and not parts.query and not parts.fragment:
        if parts.scheme == "https":
            return False
        if parts.scheme == "http" and _is_loopback(parts.hostname):
            return True
    raise ValueError("Content Safety's endpoint must be https:// and a host; http:// is for the loopback alone")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _told_s(exc: HttpResponseError) -> float | None:
    """Return how long the service asks us to wait, in seconds; None where it does not say so."""
    headers: Any = getattr(exc.response, "headers", None) or {}
    for name, unit_s in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name, ""))
        if value.isascii() and value.isdigit():
            return int(value) * unit_s
    return None


def _unavailable(operation: str, exc: Exception) -> GuardrailUnavailable:
    """Say what happened: to the log with what the operator can do about it, to the caller without."""
    status = exc.status_code if isinstance(exc, HttpResponseError) else None
    if status is None or status == 200:
        log.warning("Content Safety's %s failed: %s", operation, type(exc).__name__)
        if isinstance(exc, ClientAuthenticationError):
            return GuardrailUnavailable("the gateway's managed identity got no token for Content Safety")
        silent = status is None and isinstance(exc, AzureError | OSError)
        return GuardrailUnavailable("Content Safety did not answer" if silent else "Content Safety answered what cannot be read")
    code = str(getattr(getattr(exc, "error", None), "code", None) or "")
    named = f" ({code})" if _CODE.fullmatch(code) else ""
    log.warning("Content Safety's %s answered %s%s%s", operation, status, named, _HINTS.get(status, ""))
    return GuardrailUnavailable(
        f"Content Safety answered {status}", retry_after_s=_told_s(exc) if isinstance(exc, HttpResponseError) else None
    )
