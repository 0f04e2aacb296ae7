"""What a product says about long conversations: history that the gateway keeps, and prompts over the model's window. Frozen data."""

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
