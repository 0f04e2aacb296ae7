"""Whether an answer is founded on what its request brought with it: tool results and documents. In English, and a preview.

Rules:

- Without a tool result or document there is nothing that an answer could be founded on, and nothing is asked.
- The question is the last thing that the user said. One of fewer than MIN_WORDS words is none for the service; the answer is
  then judged as a summary, which needs no question.
- An answer over LIMIT characters goes in overlapping chunks. Its share is theirs, by their lengths.
- Sources over MOST_SOURCES characters go in several questions. A chunk is as unfounded as the sources that support it best say.

Source: Azure AI Content Safety REST reference 2024-02-15-preview, "Detect Groundedness", and "Input requirements" (read
2026-11-22).
"""

import functools
import hashlib
from collections.abc import Sequence

from gateway.domain import guardrails
from gateway.domain.verdicts import Finding, Passage, Reading, Role
from gateway.guardrails.services.asking import ask_new, in_parallel
from gateway.guardrails.services.content_safety import parts_of
from gateway.guardrails.services.remembered import Remembered
from gateway.guardrails.services.shields import packed
from gateway.ports import ContentSafety

LIMIT = 7_500
MOST_SOURCES = 55_000
MIN_WORDS = 3
_SOURCES = (Role.TOOL, Role.DOCUMENT)


class GroundednessService:
    """One guardrail of type `groundedness`.

    Args:
        config: As the catalogue has it.
        safety: The service.
        memory: What it said before.
    """

    def __init__(self, config: guardrails.Groundedness, safety: ContentSafety, memory: Remembered) -> None:
        self._config = config
        self._safety = safety
        self._memory = memory

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:
        """Return a reading for each passage, in their order; GuardrailUnavailable where one is not to be had."""
        bundles = sources_of(sources)
        if not bundles:
            return [Reading() for _ in passages]
        query = query_of(sources)
        task = self._config.task if len(query.split()) >= MIN_WORDS else "Summarization"
        founded = hashlib.blake2b(repr((query, bundles)).encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
        asked = repr(("groundedness", self._config.domain, task, founded))
        parts = [(index, part) for index, passage in enumerate(passages) for part in parts_of(passage.text, LIMIT)]
        ask = functools.partial(self._share, bundles, query, task)
        shares = await ask_new(self._memory, [part for _, part in parts], ask, asked=asked, tenant=tenant)
        said: list[list[tuple[int, float]]] = [[] for _ in passages]
        for (index, part), share in zip(parts, shares, strict=True):
            said[index].append((len(part), share))
        return [self._reading(passage.text, each) for passage, each in zip(passages, said, strict=True)]

    async def _share(self, bundles: Sequence[Sequence[str]], query: str, task: str, text: str) -> float:
        """Return which share of a chunk is not founded, 0 to 1."""
        ask = functools.partial(self._safety.groundedness, text, query=query, domain=self._config.domain, task=task)
        return min([share for share, _ in await in_parallel([functools.partial(ask, bundle) for bundle in bundles])])

    def _reading(self, text: str, said: Sequence[tuple[int, float]]) -> Reading:
        if not said:
            return Reading()
        share = sum(length * each for length, each in said) / sum(length for length, _ in said)
        if share <= self._config.threshold:
            return Reading(score=share)
        reason = f"{share:.0%} of it is not founded on the request's documents and tool results"
        return Reading((Finding(0, len(text), "ungrounded", score=share, reason=reason),), share)


def sources_of(passages: Sequence[Passage]) -> list[list[str]]:
    """Return what an answer may be founded on, in bundles that fit into one question each."""
    texts = dict.fromkeys(part for each in passages if each.role in _SOURCES for part in parts_of(each.text, MOST_SOURCES))
    found = list(texts)
    return [[found[index] for index in each] for each in packed([len(text) for text in found], len(found), MOST_SOURCES)]


def query_of(passages: Sequence[Passage]) -> str:
    """Return the last thing that the user said; of a long one its end, where the question is."""
    said = [each.text for each in passages if each.role is Role.USER and each.text.strip()]
    return said[-1][-LIMIT:] if said else ""
