"""Content Safety whose answers a test says: by what stands in a text."""

import asyncio
from collections.abc import Sequence

from gateway.domain.verdicts import Analysis
from gateway.errors import GuardrailUnavailable
from tests.fakes.clock import FakeClock


class FakeSafety:
    """Texts decide: `hate-4` is hate of severity 4, `attack` an attack, `lyrics` somebody's, `ungrounded` half invented.

    Attributes:
        asked: (operation, text) of each call, in order.
        down: Every call fails.
        gate: Calls wait for it; set from the start.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, str]] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def _ask(self, operation: str, text: str) -> None:
        self.asked.append((operation, text))
        await self.gate.wait()
        if self.down:
            raise GuardrailUnavailable("Content Safety did not answer")

    async def analyze(
        self, text: str, *, categories: Sequence[str], blocklists: Sequence[str] = (), halt_on_blocklist: bool = False, levels: int = 4
    ) -> Analysis:
        await self._ask("analyze", text)
        found = {name: 4 if f"{name.lower()}-4" in text else 0 for name in categories}
        return Analysis(found, tuple(name for name in blocklists if name in text))

    async def shield(self, prompt: str, documents: Sequence[str] = ()) -> tuple[bool, tuple[bool, ...]]:
        await self._ask("shield", "\n".join([prompt, *documents]))
        return "attack" in prompt, tuple("attack" in each for each in documents)

    async def protected_material(self, text: str) -> bool:
        await self._ask("protected_material", text)
        return "lyrics" in text

    async def groundedness(self, text: str, sources: Sequence[str], *, query: str, domain: str, task: str) -> tuple[float, tuple[str, ...]]:
        await self._ask("groundedness", text)
        return (0.5, ("invented",)) if "ungrounded" in text else (0.0, ())

    async def close(self) -> None:
        return None
