"""Verdicts as text: `x-gateway-guardrails`, the usage record's `guardrails`, an explanation's members. Pure.

The header is a list of RFC 9651, a member for each guardrail and direction:

    mask-pii;on=messages;is=redacted;category=email;count=2;score=0.98;scanned=412;ms=0.2, shield-prompts;on=messages;is=passed

`on` is the direction and `is` the outcome; `category`, `count`, `severity`, `score` and `label` stand where there is something to
say. The record has the same as JSON, with the reason. Both are cut to a size at whole verdicts, and the least grave go first.

Source: RFC 9651, sections 3.1, 3.3 and 4.1 (read 2026-11-22).
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.domain.guardrails import Direction
from gateway.domain.verdicts import Outcome, Verdict

HEADER = "x-gateway-guardrails"
MAX_HEADER_BYTES = 2000
MAX_RECORD_CHARACTERS = 2000
MAX_LABELS_CHARACTERS = 256
MAX_WORD_CHARACTERS = 128
# The gravest first.
GRAVITY = (
    Outcome.BLOCKED,
    Outcome.UNAVAILABLE,
    Outcome.SKIPPED,
    Outcome.REDACTED,
    Outcome.REPAIRED,
    Outcome.REPORTED,
    Outcome.PASSED,
)
_RANK = {outcome: rank for rank, outcome in enumerate(GRAVITY)}
_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*\Z")
_WORDS = ("guard", "category", "reason", "label")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_A_STRING = re.compile(r"[^\x20-\x7e]")


def header_of(verdicts: Sequence[Verdict]) -> str:
    """Return the value of `x-gateway-guardrails`, at most MAX_HEADER_BYTES of ASCII; empty where there are no verdicts."""
    if not verdicts:
        return ""
    return ", ".join(_kept(verdicts, [_member(each) for each in verdicts], MAX_HEADER_BYTES, len(", ")))


def line_of(verdicts: Sequence[Verdict]) -> str:
    """Return what the usage record says: a JSON array of at most MAX_RECORD_CHARACTERS; empty where there are no verdicts."""
    if not verdicts:
        return ""
    shown = [each if _is_short(each) else _short(each) for each in verdicts]
    line = msgspec.json.encode(shown).decode()
    if len(line) <= MAX_RECORD_CHARACTERS:
        return line
    texts = [msgspec.json.encode(each).decode() for each in shown]
    return f"[{','.join(_kept(verdicts, texts, MAX_RECORD_CHARACTERS - len('[]'), len(',')))}]"


def read_line(text: str) -> tuple[Verdict, ...]:
    """Return the verdicts of a usage record.

    Raises:
        msgspec.MsgspecError: It is no such text.
    """
    return _DECODER.decode(text) if text else ()


def labels_of(verdicts: Iterable[Verdict]) -> str:
    """Return the labels that guardrails gave a call, each once, with commas between, at most MAX_LABELS_CHARACTERS."""
    labels = ",".join(sorted({each.label for each in verdicts if each.label}))
    return labels if len(labels) <= MAX_LABELS_CHARACTERS else labels[: MAX_LABELS_CHARACTERS + 1].rpartition(",")[0]


def to_document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as an explanation and a trial show it; what it does not say is left out."""
    document: dict[str, Any] = msgspec.to_builtins(verdict)
    return document


_DECODER = msgspec.json.Decoder(tuple[Verdict, ...])


def _kept(verdicts: Sequence[Verdict], texts: Sequence[str], most: int, between: int) -> list[str]:
    """Return the texts of the gravest verdicts that there is room for, in the order in which they were given."""
    if sum(map(len, texts)) + between * (len(texts) - 1) <= most:
        return list(texts)
    kept, room = set[int](), most + between
    for index in sorted(range(len(texts)), key=lambda index: _gravity(verdicts[index])):
        room -= len(texts[index]) + between
        if room < 0:
            break
        kept.add(index)
    return [text for index, text in enumerate(texts) if index in kept]


def _gravity(verdict: Verdict) -> tuple[float, ...]:
    return _RANK[verdict.outcome], -(verdict.severity or 0), -(verdict.score or 0.0)


def _is_short(verdict: Verdict) -> bool:
    """Tell whether a verdict can be written as it is: nearly all can, and every guarded call comes by here."""
    score, ms, reason = verdict.score, verdict.ms, verdict.reason
    if score is None and not (reason or verdict.category or verdict.label):
        return len(verdict.guard) <= MAX_WORD_CHARACTERS and ms == round(ms, 3)
    words = len(verdict.guard) + len(verdict.category) + len(reason) + len(verdict.label)
    plain = words <= MAX_WORD_CHARACTERS and verdict.category.isprintable() and reason.isprintable()
    return plain and ms == round(ms, 3) and (score is None or score == round(score, 4))


def _short(verdict: Verdict) -> Verdict:
    """Return a verdict whose words are short enough that one always has room."""
    values: dict[str, Any] = {name: _CONTROLS.sub("?", getattr(verdict, name)[:MAX_WORD_CHARACTERS]) for name in _WORDS}
    values |= {"score": None if verdict.score is None else round(verdict.score, 4), "ms": round(verdict.ms, 3)}
    changed = {name: value for name, value in values.items() if value != getattr(verdict, name)}  # a default must stay the same object
    return msgspec.structs.replace(verdict, **changed) if changed else verdict


@functools.lru_cache(maxsize=4096)
def _beginning(guard: str, direction: Direction, outcome: Outcome) -> str:
    return f"{_word(guard)};on={direction.value};is={outcome.value}"


def _member(verdict: Verdict) -> str:
    text = _beginning(verdict.guard, verdict.direction, verdict.outcome)
    if not verdict.count and verdict.score is None and verdict.severity is None and not verdict.label:  # nearly every one
        return f"{text};scanned={verdict.scanned};ms={verdict.ms:.3f}" if verdict.scanned else f"{text};ms={verdict.ms:.3f}"
    if verdict.category:
        text += f";category={_word(verdict.category)}"
    if verdict.count:
        text += f";count={verdict.count}"
    if verdict.severity is not None:
        text += f";severity={verdict.severity}"
    if verdict.score is not None:
        text += f";score={round(verdict.score, 3)}"
    if verdict.scanned:
        text += f";scanned={verdict.scanned}"
    if verdict.label:
        text += f";label={_word(verdict.label)}"
    return f"{text};ms={round(verdict.ms, 3)}"


def _word(text: str) -> str:
    """Return a token, or a string where the text cannot be one; what no string can hold becomes a question mark."""
    text = text[:MAX_WORD_CHARACTERS]
    if _TOKEN.match(text):
        return text
    escaped = _NOT_IN_A_STRING.sub("?", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
