"""Phrases of attacks on language models, each worth some log-odds: what the small model cannot learn from a thousand examples.

They stand in `data/injection_rules.tsv`, are RE2's, and are looked for all at once in text that is plain (`normalise.plain`), lower
case and has single spaces. A phrase that also stands in honest questions ("how do I ignore whitespace", "what is a system
prompt") is worth little or nothing alone; what counts is whose rules are to be ignored, and who is told so. Several phrases of one
name count once.

Source: the kinds of attack as OWASP's LLM01:2025 lists them, https://genai.owasp.org/llmrisk/llm01-prompt-injection/ (read 2026-11-22).
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway.guardrails.injection.signs import one_of

JAILBREAK, PROMPT_INJECTION, INDIRECT = "jailbreak", "prompt_injection", "indirect_injection"
TABLE = Path(__file__).parent / "data" / "injection_rules.tsv"


class Rule(NamedTuple):
    """A phrase, or several of a kind.

    Attributes:
        name: As the reason says it.
        category: What a text is that holds one.
        worth: Log-odds that it adds.
        pattern: Of RE2.
        embedded: Whether it counts in data only.
    """

    name: str
    category: str
    worth: float
    pattern: str
    embedded: bool


def read_rules(text: str) -> tuple[Rule, ...]:
    """Read a table of rules: `$NAME = part` names a part of patterns, other lines are rules, and `#` begins a comment.

    Raises:
        ValueError: A line is neither.
    """
    parts: dict[str, str] = {}
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("$"):
            name, _, part = line[1:].partition(" = ")
            parts[name] = part
        elif line and not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != len(Rule._fields):
                raise ValueError(f"line {number} of the rules has {len(fields)} fields, not {len(Rule._fields)}")
            name, category, worth, where, pattern = fields
            for part, meaning in parts.items():
                pattern = pattern.replace(f"${{{part}}}", meaning)
            rules.append(Rule(name, category, float(worth), pattern, where == "data"))
    return tuple(rules)


@functools.cache
def bundled_rules() -> tuple[Rule, ...]:
    """Return the rules that come with the gateway; read once."""
    return read_rules(TABLE.read_text(encoding="utf-8"))


@functools.cache
def _signs() -> Callable[[str], list[int]]:
    return one_of(rule.pattern for rule in bundled_rules())


def hits(text: str) -> list[Rule]:
    """Return the rules that a text fits, of each name the one worth most; the text is plain, lower case, single spaced."""
    found: dict[str, Rule] = {}
    for index in _signs()(text):
        rule = bundled_rules()[index]
        if rule.name not in found or found[rule.name].worth < rule.worth:
            found[rule.name] = rule
    return list(found.values())
