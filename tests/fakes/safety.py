"""A ContentSafety that says of texts what the simulated one does, remembers what it was asked, and holds its callers to the limits."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from gateway.domain.verdicts import Analysis
from gateway.errors import GuardrailUnavailable

MARK = re.compile(r"sim-(hate|selfharm|sexual|violence)-([0-7])")
NAMES = {"hate": "Hate", "selfharm": "SelfHarm", "sexual": "Sexual", "violence": "Violence"}


class FakeSafety:
    """See `ports.ContentSafety`.

    Attributes:
        asked: What it was asked, in order.
        most: How many questions were open at once.
        faulty: A text with this in it has no answer.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.most = 0
        self.faulty = ""
        self.retry_after_s: float | None = None
        self.gate: asyncio.Event | None = None
        self.cancelled = 0
        self._open = 0

    async def analyze(
        self, text: str, *, categories: Sequence[str], blocklists: Sequence[str] = (), halt_on_blocklist: bool = False, levels: int = 4
    ) -> Analysis:
        await self._hear(text, text)
        hits = tuple(blocklists) if "sim-blocked" in text else ()
        if hits and halt_on_blocklist:
            return Analysis({}, hits)
        found = dict.fromkeys(categories or NAMES.values(), 0)
        for name, severity in MARK.findall(text):
            if NAMES[name] in found:
                found[NAMES[name]] = max(found[NAMES[name]], int(severity) // (8 // levels) * (8 // levels))
        return Analysis(found, hits)

    async def shield(self, prompt: str, documents: Sequence[str] = ()) -> tuple[bool, tuple[bool, ...]]:
        assert prompt or documents
        assert len(documents) <= 5
        assert sum(map(len, documents)) <= 10_000
        await self._hear((prompt, list(documents)), prompt, *documents)
        return "sim-attack" in prompt, tuple("sim-attack" in each for each in documents)

    async def protected_material(self, text: str) -> bool:
        await self._hear(text, text)
        return "sim-lyrics" in text

    async def groundedness(self, text: str, sources: Sequence[str], *, query: str, domain: str, task: str) -> tuple[float, tuple[str, ...]]:
        assert max(len(text), len(query)) <= 7500
        assert 0 < sum(map(len, sources)) <= 55_000
        await self._hear((text, list(sources), query, task), text)
        found = [
            each for each in re.findall(r"[^.]+\.?", text) if "sim-ungrounded" in each and not any(each.strip() in one for one in sources)
        ]
        return sum(map(len, found)) / len(text), tuple(found)

    async def close(self) -> None:
        """Nothing is open."""

    async def _hear(self, asked: Any, *texts: str) -> None:
        assert all(len(text) <= 10_000 for text in texts)
        self.asked.append(asked)
        self._open += 1
        self.most = max(self.most, self._open)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._open -= 1
        if self.faulty and any(self.faulty in text for text in texts):
            raise GuardrailUnavailable("Content Safety answered 500", retry_after_s=self.retry_after_s)
