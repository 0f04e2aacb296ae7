"""Content Safety that is connected by the first text it judges, because its SDK is a tenth of a second of a cold start."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.adapters.late import Late
from gateway.domain.verdicts import Analysis
from gateway.ports import ContentSafety


class LateSafety:
    """Stands for Content Safety until it is needed; see the port.

    Args:
        connect: Connects it; what it raises is raised by the call that needed it, and the next one tries again.
    """

    def __init__(self, connect: Callable[[], Awaitable[ContentSafety]]) -> None:
        self._late = Late(connect)

    async def analyze(
        self, text: str, *, categories: Sequence[str], blocklists: Sequence[str] = (), halt_on_blocklist: bool = False, levels: int = 4
    ) -> Analysis:
        """Grade a text by category, and look for a blocklist's items."""
        safety = await self._late.get()
        return await safety.analyze(text, categories=categories, blocklists=blocklists, halt_on_blocklist=halt_on_blocklist, levels=levels)

    async def shield(self, prompt: str, documents: Sequence[str] = ()) -> tuple[bool, tuple[bool, ...]]:
        """Tell whether the prompt, and each document, holds an attack."""
        return await (await self._late.get()).shield(prompt, documents)

    async def protected_material(self, text: str) -> bool:
        """Tell whether a text holds known text that is somebody's."""
        return await (await self._late.get()).protected_material(text)

    async def groundedness(self, text: str, sources: Sequence[str], *, query: str, domain: str, task: str) -> tuple[float, tuple[str, ...]]:
        """Return which share of a text is not founded in its sources, and why."""
        return await (await self._late.get()).groundedness(text, sources, query=query, domain=domain, task=task)

    async def close(self) -> None:
        """Let connections go, if there are any. Safe to call twice."""
        await self._late.close()
