"""Azure AI Content Safety's categories and blocklists, for texts of any length.

A text over LIMIT characters goes there in overlapping chunks, several at a time; the worst that is said of any counts for all.
Every severity from its category's threshold on is a finding, and so is every blocklist that holds something of the text. Both
are of the whole text: the service does not say where.

| category | finding |
| --- | --- |
| Hate, Sexual, Violence, SelfHarm | `hate`, `sexual`, `violence`, `self_harm`, with their severity |
| a blocklist | `blocklist.<name>` |

Source: Azure AI Content Safety, "Harm categories" and "Input requirements" (read 2026-11-22).
"""

from collections.abc import Iterable, Sequence

from gateway.domain import guardrails
from gateway.domain.verdicts import NOTHING_FOUND, Analysis, Finding, Passage, Reading
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.services.asking import ask_new
from gateway.guardrails.services.chunks import cut
from gateway.guardrails.services.remembered import Remembered
from gateway.ports import ContentSafety

LIMIT = 10_000


class ContentSafetyService:
    """One guardrail of type `content-safety`.

    Args:
        config: As the catalogue has it.
        safety: The service.
        memory: What it said before.
    """

    def __init__(self, config: guardrails.ContentSafety, safety: ContentSafety, memory: Remembered) -> None:
        given = (("Hate", "hate"), ("Sexual", "sexual"), ("Violence", "violence"), ("SelfHarm", "self_harm"))
        self._wanted = {name: (ours, threshold) for name, ours in given if (threshold := getattr(config, ours))}
        self._config = config
        self._safety = safety
        self._memory = memory
        self._asked = repr(("analyze", sorted(self._wanted), config.blocklists, config.halt_on_blocklist, config.levels))

    async def inspect(self, passages: Sequence[Passage], sources: Sequence[Passage] = (), *, tenant: str) -> list[Reading]:  # noqa: ARG002
        """Return a reading for each passage, in their order; GuardrailUnavailable where one is not to be had."""
        if not self._wanted and not self._config.blocklists:
            raise GuardrailUnavailable("it looks for nothing: its categories are all 0, and it names no blocklist")
        parts = [(index, part) for index, passage in enumerate(passages) for part in parts_of(passage.text)]
        analyses = await ask_new(self._memory, [part for _, part in parts], self._analyze, asked=self._asked, tenant=tenant)
        said: list[list[Analysis]] = [[] for _ in passages]
        for (index, _), analysis in zip(parts, analyses, strict=True):
            said[index].append(analysis)
        return [self._reading(passage.text, worst(each)) for passage, each in zip(passages, said, strict=True)]

    async def _analyze(self, text: str) -> Analysis:
        config = self._config
        return await self._safety.analyze(
            text,
            categories=tuple(self._wanted),
            blocklists=config.blocklists,
            halt_on_blocklist=config.halt_on_blocklist,
            levels=config.levels,
        )

    def _reading(self, text: str, analysis: Analysis) -> Reading:
        findings = [
            Finding(0, len(text), ours, severity=severity, reason=f"severity {severity}, and {threshold} is the first that counts")
            for name, (ours, threshold) in self._wanted.items()
            if (severity := analysis.severities.get(name, 0)) >= threshold
        ]
        findings.sort(key=lambda each: -(each.severity or 0))
        findings += [Finding(0, len(text), f"blocklist.{name}", reason="something of it is on the list") for name in analysis.blocklists]
        return Reading(tuple(findings)) if findings else NOTHING_FOUND


def parts_of(text: str, limit: int = LIMIT) -> list[str]:
    """Return a text's chunks, without those that are white space alone: there is nothing in them to judge."""
    return [part for start, end in cut(text, limit) if (part := text[start:end]).strip()]


def worst(analyses: Iterable[Analysis]) -> Analysis:
    """Return what is said of a whole, from what is said of its parts."""
    severities: dict[str, int] = {}
    blocklists: dict[str, None] = {}
    for analysis in analyses:
        for name, severity in analysis.severities.items():
            severities[name] = max(severity, severities.get(name, 0))
        blocklists |= dict.fromkeys(analysis.blocklists)
    return Analysis(severities, tuple(blocklists))
