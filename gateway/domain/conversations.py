"""What a product says about long conversations: history that the gateway keeps, and prompts over the model's window. Frozen data."""

from collections.abc import Callable
from typing import Literal

import msgspec


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Conversations that the gateway keeps, per tenant, subscription, user and session.

    A call has one where it names a session (`x-gateway-session`) and asks for it: `x-gateway-history: use`, or a prompt whose
    version says so.

    Attributes:
        ttl_days: How long after its last turn a conversation is kept.
        max_messages: The newest that are put before a call's own; older ones are kept, and left out. Pairs of tool calls and
            results stay whole.
    """

    ttl_days: int = 30
    max_messages: int = 200


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to a call whose prompt and ceiling do not fit the model's context window.

    Attributes:
        over: `refuse` (400 `context_length_exceeded`), `truncate` (the oldest turns go), `summarise` (they become one message
            that `summary_model` writes), `bigger-model` (`model` is asked instead).
        model: The bigger one; empty for the first of the asked model's `context_length` fallbacks.
        summary_model: A cheap one.
        keep_turns: So many of the newest turns always stay as they are.
        default_output_tokens: The ceiling of a call without one; None leaves the model's.
        max_output_tokens: A higher ceiling is lowered to this; None leaves the model's.
    """

    over: Literal["refuse", "truncate", "summarise", "bigger-model"] = "refuse"
    model: str = ""
    summary_model: str = ""
    keep_turns: int = 2
    default_output_tokens: int | None = None
    max_output_tokens: int | None = None


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whether requests and answers are kept, so that they can be rebuilt and replayed. They hold what people wrote: off by default.

    Attributes:
        share: Which share of the calls, 0 to 1.
        days: How long they are kept.
    """

    share: float = 1.0
    days: int = 7


MAX_DAYS = 3650
MAX_MESSAGES = 1000
MAX_KEPT_TURNS = 100


def conversations_fault(said: History | Window | Capture | None, is_model: Callable[[str], bool]) -> tuple[str, str] | None:
    """Return the member and the message of what is wrong with what a product says; None where nothing is.

    Args:
        said: A product's.
        is_model: Tells whether clients may ask for a model of this name.
    """
    if isinstance(said, Window):
        return _window_fault(said, is_model)
    if isinstance(said, History):
        return _beyond(said, "ttl_days", 1, MAX_DAYS) or _beyond(said, "max_messages", 1, MAX_MESSAGES)
    if isinstance(said, Capture):
        return _beyond(said, "days", 1, MAX_DAYS) or (None if 0 <= said.share <= 1 else ("share", "must be from 0 to 1"))
    return None


def _window_fault(window: Window, is_model: Callable[[str], bool]) -> tuple[str, str] | None:
    for name, over in (("model", "bigger-model"), ("summary_model", "summarise")):
        value = getattr(window, name)
        if value and window.over != over:
            return name, f"is only for `over: {over}`"
        if value and not is_model(value):
            return name, "must be a model of the catalogue"
    if window.over == "summarise" and not window.summary_model:
        return "summary_model", "is needed for `over: summarise`: which model writes the summaries?"
    for name in ("default_output_tokens", "max_output_tokens"):
        if (tokens := getattr(window, name)) is not None and tokens < 1:
            return name, "must be at least 1"
    return _beyond(window, "keep_turns", 1, MAX_KEPT_TURNS)


def _beyond(thing: msgspec.Struct, name: str, least: int, most: int) -> tuple[str, str] | None:
    return None if least <= getattr(thing, name) <= most else (name, f"must be from {least} to {most}")
