"""Known texts (lyrics, articles, recipes) in answers, as Azure AI Content Safety knows them; in English.

Texts of up to MIN_CHARACTERS are not sent: of those the service always says that they hold nothing.

Source: Azure AI Content Safety, "Input requirements" and "Protected material detection" (read 2026-11-22).
"""

from collections.abc import Sequence

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Passage, Reading
from gateway.guardrails.services.asking import ask_new
from gateway.guardrails.services.content_safety import parts_of
from gateway.guardrails.services.remembered import Remembered
from gateway.ports import ContentSafety

MIN_CHARACTERS = 110


class ProtectedMaterialService:
    """One guardrail of type `protected-material`."""

    def __init__(self, safety: ContentSafety, memory: Remembered) -> None:
        self._safety = safety
        self._memory = memory

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:  # noqa: ARG002
        """Return a reading for each passage, in their order; GuardrailUnavailable where one is not to be had."""
        long = [(index, passage.text) for index, passage in enumerate(passages) if len(passage.text) > MIN_CHARACTERS]
        parts = [(index, part) for index, text in long for part in parts_of(text)]
        texts = [part for _, part in parts]
        known = await ask_new(self._memory, texts, self._safety.protected_material, asked="protected material", tenant=tenant)
        found = {index for (index, _), detected in zip(parts, known, strict=True) if detected}
        return [_reading(passage.text) if index in found else NOTHING_FOUND for index, passage in enumerate(passages)]


def _reading(text: str) -> Reading:
    return Reading((Finding(0, len(text), "protected_material", reason="it holds a known text"),))
