"""Guardrails tried on a text or on a chat's body, without a model: what is tried, and what came of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.guardrails import Direction, Guardrail
from gateway.domain.verdicts import Verdict


class Trial(msgspec.Struct, frozen=True):
    """What is tried.

    Attributes:
        guardrails: In the order in which they were named.
        direction: What `text` is.
        text: A single text; None where `document` is there.
        document: A chat's body, whose own parts say what they are; None where `text` is there.
        tenant: Whose verdicts services may remember.
    """

    guardrails: tuple[Guardrail, ...]
    direction: Direction
    text: str | None
    document: Mapping[str, Any] | None
    tenant: str

    def __repr__(self) -> str:
        return f"Trial({[each.id for each in self.guardrails]}, {self.direction.value})"  # the text may be personal


class Tried(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        verdicts: As a call's record would have them.
        text: What would go on; None where it was blocked, or no text was tried.
        document: The same for a body.
    """

    verdicts: tuple[Verdict, ...]
    text: str | None = None
    document: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Tried({self.verdicts})"


# A guardrail that cannot run says so in its verdict; nothing is raised for it.
type TryOut = Callable[[Trial], Awaitable[Tried]]
