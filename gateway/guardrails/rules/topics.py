"""Subjects that a text speaks of, each known by its words: a topic is found where enough different ones of them stand."""

from collections.abc import Mapping, Sequence

from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading, Role
from gateway.guardrails.rules.terms import Lexicon
from gateway.guardrails.rules.terms_folding import fold_bytes


class TopicsDetector:
    """Finds topics.

    Args:
        topics: Name to words and phrases, found as terms are.
        at_least: How many different ones of a topic make a finding.

    Raises:
        ValueError: A topic's words are wrong; the message begins with its name.
    """

    __slots__ = ("_at_least", "_lexicons")
    spans = False

    def __init__(self, topics: Mapping[str, Sequence[str]], at_least: int) -> None:
        self._at_least = at_least
        self._lexicons: list[tuple[str, Lexicon]] = []
        for topic, words in topics.items():
            try:
                self._lexicons.append((topic, Lexicon(words)))
            except ValueError as exc:
                raise ValueError(f"{topic}: {exc}") from exc

    def read(self, text: str, role: Role = Role.USER) -> Reading:  # noqa: ARG002 - whose words they are makes no difference
        """Return the topics of a text, each as a finding of the whole."""
        findings, data = [], fold_bytes(text)
        for topic, lexicon in self._lexicons:
            count = len({term for _, _, term in lexicon.find(text, data)})
            if count >= self._at_least:
                findings.append(Finding(0, len(text), topic, reason=f"{count} different words of the topic"))
        return Reading(tuple(findings)) if findings else NOTHING_FOUND

    def open_from(self, text: str) -> int:  # noqa: ARG002 - a text is judged as a whole
        """Return 0: nothing is settled before the text is whole."""
        return 0

    def replacement(self, finding: Finding, original: str) -> str:  # noqa: ARG002 - nothing is replaced
        """Return the text itself."""
        return original
