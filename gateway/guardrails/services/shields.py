"""Prompt Shields: attacks in what users say, and in what tools and documents bring with them.

| a passage of | goes as | finding |
| --- | --- | --- |
| a user | `userPrompt` | `jailbreak` |
| a tool, a document | one of `documents` | `indirect_attack` |
| system, assistant | nowhere: they are the application's own, and the model's | |

One question holds one prompt and up to 5 documents of 10,000 characters together, so prompts and documents travel with each
other. Longer texts go in overlapping chunks; an attack in any is one in the whole.

Source: Azure AI Content Safety REST reference 2024-09-01, "Shield Prompt", and "Input requirements" (read 2026-11-22).
"""

import functools
import itertools
from collections.abc import Sequence

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Passage, Reading, Role
from gateway.guardrails.services.asking import in_parallel
from gateway.guardrails.services.content_safety import LIMIT, parts_of
from gateway.guardrails.services.remembered import Remembered, key_of
from gateway.ports import ContentSafety

MOST_DOCUMENTS = 5
PROMPT, DOCUMENT = "shield prompt", "shield document"
_ASKED = {Role.USER: PROMPT, Role.TOOL: DOCUMENT, Role.DOCUMENT: DOCUMENT}
_FOUND = {
    PROMPT: ("jailbreak", "Prompt Shields sees an attack on the model"),
    DOCUMENT: ("indirect_attack", "Prompt Shields sees instructions hidden in it"),
}

type Part = tuple[bytes, str]


class PromptShields:
    """What guardrails of type `injection` ask, once the local detector has let a call pass."""

    def __init__(self, safety: ContentSafety, memory: Remembered) -> None:
        self._safety = safety
        self._memory = memory

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:  # noqa: ARG002
        """Return a reading for each passage, in their order; GuardrailUnavailable where one is not to be had."""
        keys: list[list[bytes]] = []
        new: dict[str, dict[bytes, str]] = {PROMPT: {}, DOCUMENT: {}}
        attacks: dict[bytes, bool] = {}
        for passage in passages:
            asked = _ASKED.get(passage.role)
            parts = [(key_of(tenant, asked, text), text) for text in parts_of(passage.text)] if asked else []
            keys.append([key for key, _ in parts])
            for key, text in parts:
                if (attack := self._memory.get(key)) is not None:
                    attacks[key] = attack
                elif asked:
                    new[asked][key] = text
        prompts, documents = list(new[PROMPT].items()), list(new[DOCUMENT].items())
        bundles = [[documents[index] for index in each] for each in packed([len(text) for _, text in documents])]
        questions = itertools.zip_longest(prompts, bundles)
        await in_parallel([functools.partial(self._ask, prompt, bundle or [], attacks) for prompt, bundle in questions])
        return [_reading(passage, any(attacks[key] for key in each)) for passage, each in zip(passages, keys, strict=True)]

    async def _ask(self, prompt: Part | None, documents: list[Part], attacks: dict[bytes, bool]) -> None:
        seen, hidden = await self._safety.shield(prompt[1] if prompt else "", [text for _, text in documents])
        found = dict(zip((key for key, _ in documents), hidden, strict=True))
        if prompt:
            found[prompt[0]] = seen
        for key, attack in found.items():
            attacks[key] = attack
            self._memory.put(key, attack)


def packed(lengths: Sequence[int], most: int = MOST_DOCUMENTS, characters: int = LIMIT) -> list[list[int]]:
    """Put documents into as few questions as their order allows.

    Args:
        lengths: Of each document, in characters; none is over `characters`.
        most: Documents of one question.
        characters: Of all documents of one question.

    Returns:
        The documents of each question, by their indexes.
    """
    bundles: list[list[int]] = []
    room = 0
    for index, length in enumerate(lengths):
        if not bundles or length > room or len(bundles[-1]) == most:
            bundles.append([])
            room = characters
        bundles[-1].append(index)
        room -= length
    return bundles


def _reading(passage: Passage, attack: bool) -> Reading:  # noqa: FBT001
    if not attack:
        return NOTHING_FOUND
    category, reason = _FOUND[_ASKED[passage.role]]
    return Reading((Finding(0, len(passage.text), category, reason=reason),))
