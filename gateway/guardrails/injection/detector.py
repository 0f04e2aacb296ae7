"""Prompt injection and jailbreaks, told from text alone: offline, in less than a millisecond for 4 KB.

    text ──plain──▶ without disguise ──┬─ phrases of attacks (`patterns.py`) ──┐
                                       ├─ a small linear model (`model.py`) ───┼─▶ log-odds ─▶ score
                                       ├─ a tail of gibberish (`gibberish.py`) ┤
                                       └─ decoded parts, read the same way ────┘

In what a tool returned or a document holds, instructions to the reader are suspicious in themselves: there every sentence is
judged on its own. The same is done to data that a user's message carries under a heading ("E-mail:", "Context:"). A score is a
probability only roughly: `BALANCE` puts 0.5 where less than 2 % of honest texts of unseen sources lie above it. The reason names
what was found, never the text.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from gateway.domain.verdicts import Finding, Reading, Role
from gateway.guardrails.injection.gibberish import gibberish
from gateway.guardrails.injection.model import Model, apart, bundled_model, pieces, sentences
from gateway.guardrails.injection.normalise import plain, variants
from gateway.guardrails.injection.patterns import INDIRECT, JAILBREAK, PROMPT_INJECTION, Rule, hits

OBFUSCATION = "obfuscation"
BALANCE = 0.9
_OTHERS = frozenset((Role.TOOL, Role.DOCUMENT))
MOST_WORTH = 7.0  # of all phrases together
_UNDONE = {"tag characters": 3.0, "bidi": 1.5, "zero-width": 1.5, "look-alike letters": 1.5, "styled letters": 0.5, "piled marks": 0.5}
_DECODED, _GIBBERISH, _HEADED = 1.0, 6.0, 2.0
_HEADINGS = frozenset(
    {"e-mail", "email", "context", "document", "article", "passage", "webpage", "page", "table", "content", "review", "report"}
    | {"result", "results", "transcript", "text", "data"}
)
_LEAST_DATA, _LONGEST_HEADING = 150, 16


class Judged(NamedTuple):
    """What one way of reading a text comes to."""

    logit: float
    category: str
    reason: str


class InjectionDetector:
    """Judges a text as a whole; finds no places in it."""

    spans = False

    def __init__(self, threshold: float, model: Model | None = None) -> None:
        """Take a threshold, 0 to 1, from which on a score is a finding; `model` is the bundled one unless another is given."""
        self._threshold = threshold
        self._model = model

    def read(self, text: str, role: Role = Role.USER) -> Reading:
        """Return the score of a text, and one finding over all of it where that reaches the threshold."""
        if not text.strip():
            return Reading(score=0.0)
        worst = max(self.ways(text, role in _OTHERS), key=lambda judged: judged.logit)
        score = round(1 / (1 + math.exp(min(BALANCE - worst.logit, 50.0))), 4)
        if score < self._threshold:
            return Reading(score=score)
        return Reading((Finding(0, len(text), worst.category, score, reason=worst.reason),), score)

    def open_from(self, text: str) -> int:
        """Return 0: whatever follows can make an attack of it."""
        del text
        return 0

    def replacement(self, finding: Finding, original: str) -> str:
        """Return what would take a text's place; no finding of this detector is ever redacted."""
        del finding, original
        return "[REMOVED]"

    def ways(self, text: str, data: bool) -> Iterator[Judged]:  # noqa: FBT001 - a role of two kinds
        """Yield what each way of reading a text comes to; the first is the text as it stands."""
        clear = plain(text)
        hidden = sum(_UNDONE.get(each, 0.0) for each in clear.undone)
        how = f"hidden: {', '.join(clear.undone)}" if hidden else ""
        start = 0 if data else _data_in(clear.text)
        first = self._judged(clear.text, start, hidden, how)
        yield first
        if noise := gibberish(clear.text):
            yield Judged(first.logit + _GIBBERISH * noise, OBFUSCATION, _said(first.reason, "suffix: gibberish"))
        for variant in variants(clear.text):
            yield self._judged(variant.text, 0 if data else None, hidden + _DECODED, _said(how, f"decoded: {variant.name}"))

    def _judged(self, text: str, start: int | None, more: float, how: str) -> Judged:
        """Judge a text whose characters from `start` on are data; None where there are none."""
        lower = text.lower()
        model = self._model or bundled_model()
        found = hits(" ".join(lower.split()))
        if start is None:
            found = [rule for rule in found if not rule.embedded]
        words = apart(lower)
        looked = model.look_up(words)
        logit = model.direct.highest(looked.direct, looked.pairs, pieces(words)) + _worth(found, data=False)
        if start is not None:
            within = sentences(words, apart(lower[:start]).count if start else 0)
            embedded = model.embedded.highest(looked.embedded, looked.pairs, within) + _worth(found, data=True)
            logit = max(logit, embedded - _HEADED if start else embedded)
        category, reason = _named(found, start == 0)
        return Judged(logit + more, OBFUSCATION if how and not found else category, _said(reason, how))


def _data_in(text: str) -> int | None:
    """Return where the data of a message begins that has a heading for it."""
    at = text.find(":\n")
    while 0 <= at < len(text) - _LEAST_DATA:
        if text[max(0, at - _LONGEST_HEADING) : at].rpartition(" ")[2].rpartition("\n")[2].lower() in _HEADINGS:
            return at + 2
        at = text.find(":\n", at + 2)
    return None


def _worth(found: list[Rule], *, data: bool) -> float:
    return min(sum(rule.worth for rule in found if data or not rule.embedded), MOST_WORTH)


def _named(found: list[Rule], data: bool) -> tuple[str, str]:  # noqa: FBT001
    """Return the category and the reason of what was found."""
    if not found:
        return (INDIRECT if data else PROMPT_INJECTION), "model"
    best = max(found, key=lambda rule: rule.worth)
    category = INDIRECT if data and best.category != JAILBREAK else best.category
    return category, f"pattern: {', '.join(rule.name for rule in found)}"


def _said(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))
