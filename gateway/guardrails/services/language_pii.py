"""Names, addresses and organisations, as Azure AI Language finds them: what has no pattern that a detector could know it by.

    POST {endpoint}/language/:analyze-text?api-version=2023-04-01
    {"kind": "PiiEntityRecognition", "parameters": {…}, "analysisInput": {"documents": [{"id": "0", "text"}]}}
    ← {"results": {"documents": [{"id", "entities": [{"category", "offset", "length", "confidenceScore"}]}], "errors": [{"id", …}]}}

| category | finding |
| --- | --- |
| Person, Address, Organization | `person`, `address`, `organization` |

Rules:

- Only these are asked for: all the others have patterns and checksums, and are found here without asking.
- A document has 5,120 characters at most, a request 5 documents: longer texts go in overlapping chunks. What both of two
  neighbours see is one finding, and so is what they see different parts of.
- Places are told in Unicode code points, as Python counts. One that is none of its text makes the whole answer unusable.
- A document that the service could not read is a failure of the whole.
- The service is told not to log what it reads.

Source: Azure AI Language REST reference 2023-04-01, "Analyze Text", and "Service limits" (read 2026-11-22).
"""

import fnmatch
import functools
from collections.abc import Mapping, Sequence

import msgspec

from gateway.domain.call import UpstreamRequest
from gateway.domain.deployment import Backend
from gateway.domain.verdicts import NOTHING_FOUND, Finding, Passage, Reading
from gateway.errors import GatewayError, GuardrailUnavailable
from gateway.guardrails.services.asking import in_parallel
from gateway.guardrails.services.chunks import cut
from gateway.guardrails.services.remembered import Remembered, key_of
from gateway.ports import Upstream

API_VERSION = "2023-04-01"
LIMIT, OVERLAP, MOST_DOCUMENTS = 5_120, 200, 5
CATEGORIES: Mapping[str, str] = {"Person": "person", "Address": "address", "Organization": "organization"}
_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_PARAMETERS = {"piiCategories": list(CATEGORIES), "stringIndexType": "UnicodeCodePoint", "loggingOptOut": True}

type Part = tuple[bytes, str]


class _Entity(msgspec.Struct, frozen=True, rename="camel"):
    category: str
    offset: int
    length: int
    confidence_score: float


class _Document(msgspec.Struct, frozen=True):
    id: str
    entities: tuple[_Entity, ...]


class _Results(msgspec.Struct, frozen=True):
    documents: tuple[_Document, ...] = ()
    errors: tuple[msgspec.Raw, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    results: _Results


_ANSWER = msgspec.json.Decoder(_Answer)


class LanguagePii:
    """The second detector of a guardrail of type `pii`.

    Args:
        backend: Where the Language service is, and our credential for it.
        upstream: The network.
        min_confidence: What the service is less sure of does not count, 0 to 1.
        memory: What it said before.
        entities: Globs over the findings' categories; empty for all of them.
        timeout_s: How long an answer may take to begin, in seconds.
    """

    def __init__(
        self,
        backend: Backend,
        upstream: Upstream,
        min_confidence: float,
        memory: Remembered,
        entities: Sequence[str] = (),
        timeout_s: float = 10.0,
    ) -> None:
        self._backend = backend
        self._wanted = {
            each for each in CATEGORIES.values() if not entities or any(fnmatch.fnmatchcase(each, pattern) for pattern in entities)
        }
        self._upstream = upstream
        self._min_confidence = min_confidence
        self._memory = memory
        self._timeout_s = timeout_s
        self._asked = repr(("language pii", backend.id, backend.endpoint))

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:  # noqa: ARG002
        """Return a reading for each passage, in their order; GuardrailUnavailable where one is not to be had."""
        if not self._wanted:
            return [NOTHING_FOUND for _ in passages]
        parts: list[list[tuple[int, bytes]]] = []
        known: dict[bytes, tuple[Finding, ...]] = {}
        new: dict[bytes, str] = {}
        for passage in passages:
            parts.append([])
            for start, end in cut(passage.text, LIMIT, OVERLAP):
                if not (text := passage.text[start:end]).strip():
                    continue
                key = key_of(tenant, self._asked, text)
                parts[-1].append((start, key))
                if (found := self._memory.get(key)) is not None:
                    known[key] = found
                else:
                    new[key] = text
        asks = list(new.items())
        batches = [asks[first : first + MOST_DOCUMENTS] for first in range(0, len(asks), MOST_DOCUMENTS)]
        await in_parallel([functools.partial(self._ask, batch, known) for batch in batches])
        return [self._reading([(start, known[key]) for start, key in each]) for each in parts]

    def _reading(self, found: Sequence[tuple[int, Sequence[Finding]]]) -> Reading:
        findings = [
            msgspec.structs.replace(each, start=start + each.start, end=start + each.end)
            for start, entities in found
            for each in entities
            if each.score >= self._min_confidence and each.category in self._wanted
        ]
        return Reading(joined(findings)) if findings else NOTHING_FOUND

    async def _ask(self, batch: Sequence[Part], known: dict[bytes, tuple[Finding, ...]]) -> None:
        documents = [{"id": str(index), "text": text} for index, (_, text) in enumerate(batch)]
        body = {"kind": "PiiEntityRecognition", "parameters": _PARAMETERS, "analysisInput": {"documents": documents}}
        for (key, _), found in zip(batch, findings_of(await self._send(body), [text for _, text in batch]), strict=True):
            known[key] = found
            self._memory.put(key, found)

    async def _send(self, body: Mapping[str, object]) -> bytes:
        url = f"{self._backend.endpoint}/language/:analyze-text?api-version={API_VERSION}"
        try:
            raw = msgspec.json.encode(body)
            response = await self._upstream.send(UpstreamRequest(self._backend, "POST", url, _HEADERS, raw), self._timeout_s)
            answer = await response.read()
        except UnicodeEncodeError as exc:
            raise GuardrailUnavailable("a text holds half a character, which Azure AI Language cannot be sent") from exc
        except GatewayError as exc:
            raise GuardrailUnavailable("Azure AI Language did not answer", retry_after_s=exc.retry_after_s) from exc
        if response.status != 200:
            raise GuardrailUnavailable(f"Azure AI Language answered {response.status}")
        return answer


def findings_of(answer: bytes, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
    """Return what the service found in each text; GuardrailUnavailable where it does not say it of every one."""
    try:
        results = _ANSWER.decode(answer).results
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise GuardrailUnavailable("Azure AI Language answered what cannot be read") from exc
    if results.errors:
        raise GuardrailUnavailable("Azure AI Language could not read a text")
    entities = {each.id: each.entities for each in results.documents}
    if len(results.documents) != len(texts) or entities.keys() != {str(index) for index in range(len(texts))}:
        raise GuardrailUnavailable("Azure AI Language did not answer for every text")
    return [tuple(_finding(each, text) for each in entities[str(index)] if each.category in CATEGORIES) for index, text in enumerate(texts)]


def _finding(entity: _Entity, text: str) -> Finding:
    start, end = entity.offset, entity.offset + entity.length
    if not 0 <= start < end <= len(text):
        raise GuardrailUnavailable("Azure AI Language found something outside the text")
    return Finding(start, end, CATEGORIES[entity.category], entity.confidence_score, reason="seen by Azure AI Language")


def joined(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings in order, those that overlap made one: of the kind of the longest, from the first character to the last."""
    made: list[Finding] = []
    for each in sorted(findings, key=lambda each: (each.start, -each.end)):
        if not made or each.start >= made[-1].end:
            made.append(each)
            continue
        last = made[-1]
        longer = each if each.end - each.start > last.end - last.start else last
        made[-1] = msgspec.structs.replace(longer, start=last.start, end=max(last.end, each.end), score=max(last.score, each.score))
    return tuple(made)
