"""What guardrails look at, what they find in it, and what they make of it.

    Passage ──detector──▶ Reading (Findings, score) ──guardrail's action──▶ Verdict

A passage is one text of a request or an answer: a message's content, a tool's result, one string of a tool call's JSON
arguments. Findings point into it by characters. A verdict sums up one guardrail over all passages of one direction of one
call; it is what the usage record, `x-gateway-guardrails` and an explanation say. A guardrail that could not run is
`unavailable`, and what it does not understand is `skipped`: never `passed`.
"""

import enum
from collections.abc import Mapping

import msgspec

from gateway.domain.guardrails import Direction


class Role(enum.StrEnum):
    """Whose words a passage holds."""

    __hash__ = str.__hash__

    SYSTEM = "system"  # the application's: instructions, tool descriptions
    USER = "user"
    ASSISTANT = "assistant"  # the model's, of this answer or of an earlier turn
    TOOL = "tool"  # what a tool returned
    DOCUMENT = "document"  # what was retrieved, or looked up by the gateway


class Passage(msgspec.Struct, frozen=True, gc=False):
    """One text.

    Attributes:
        path: Where it stands in the document: member names and indexes; an index into an object is the name of its member there, one
            into a text a segment of it (`guardrails/texts/reader.py`).
        text: As it is read, so of JSON inside a string the value, not its escapes.
        role: Whose words.
        inner: Where the document holds JSON in a string (a tool call's arguments): the place inside that JSON.
    """

    path: tuple[str | int, ...]
    text: str
    role: Role
    inner: tuple[str | int, ...] | None = None


class Finding(msgspec.Struct, frozen=True, gc=False):
    """Something in a text: the characters [start, end), of a category such as `email`, `hate` or `jailbreak`.

    `reason` says in a few words what made it one and never repeats the text itself.
    """

    start: int
    end: int
    category: str
    score: float = 1.0
    severity: int | None = None
    reason: str = ""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a detector makes of one text: findings that count, ordered and not overlapping, and its highest score, 0 to 1."""

    findings: tuple[Finding, ...] = ()
    score: float | None = None


NOTHING_FOUND = Reading()


class Analysis(msgspec.Struct, frozen=True, gc=False):
    """What Content Safety says of a text: severities by category (`Hate` …), 0 to 7, and the blocklists that hold something of it."""

    severities: Mapping[str, int] = {}
    blocklists: tuple[str, ...] = ()


class Outcome(enum.StrEnum):
    """What became of a direction of a call at one guardrail."""

    __hash__ = str.__hash__

    PASSED = "passed"
    REPORTED = "reported"  # something was found, and let through
    REDACTED = "redacted"
    REPAIRED = "repaired"  # the answer was asked for again, and then held
    BLOCKED = "blocked"
    UNAVAILABLE = "unavailable"  # it could not run
    SKIPPED = "skipped"  # there was something that it cannot read


class Verdict(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a guardrail said of one direction of a call.

    Attributes:
        category: Of the gravest finding; empty where nothing was found.
        severity: 0 to 7, where the guardrail grades.
        score: 0 to 1, the highest it saw, where it gives one.
        count: How many findings there were.
        scanned: Characters looked at; those whose verdict was remembered included.
        ms: How long it took, in milliseconds.
        reason: In a few words, never the text itself.
        label: The classification that it gives the call; empty for none.
    """

    guard: str
    direction: Direction
    outcome: Outcome
    category: str = ""
    severity: int | None = None
    score: float | None = None
    count: int = 0
    scanned: int = 0
    ms: float = 0.0
    reason: str = ""
    label: str = ""
