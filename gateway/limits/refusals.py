"""What a caller is told of its limits: the refusal, and the headers of a call that was let in.

A refusal says whose limit it is, how much it is, when there is room again, and what to do. Rates and calls at once are 429;
calendar quotas and budgets are 403, which no client library tries again by itself. A call that asks for more than a whole limit
is told that only asking for less helps, and gets no time to come back; one that asks for more than is left of it is told both.
"""

import datetime
import math
from collections.abc import Sequence
from typing import NamedTuple

from gateway.domain.limits import MICRO_USD, MINUTE, NOW, Ceiling, Metric
from gateway.errors import LimitExceeded, QuotaExhausted, RateLimited
from gateway.limits.exchange import SLOT_LIFE_S
from gateway.limits.purse_kinds import MinutePurse
from gateway.limits.purses import Purse

WINDOW_S = 60.0  # the longest wait: until all that counts now has slid out
WARNING = "x-gateway-limit-warning"
_WORDS = {
    Metric.REQUESTS: "requests",
    Metric.TOKENS: "tokens",
    Metric.INPUT_TOKENS: "input tokens",
    Metric.OUTPUT_TOKENS: "output tokens",
}
_LESS = {
    Metric.REQUESTS: "send fewer at once",
    Metric.INPUT_TOKENS: "shorten the prompt",
    Metric.OUTPUT_TOKENS: "lower max_tokens",
    Metric.COST: "lower max_tokens, shorten the prompt or ask a cheaper model",
}


def refusal(purse: Purse, asked: int, wait_s: float, headers: dict[str, str]) -> LimitExceeded:
    """Return why a call is refused.

    Args:
        purse: Of the ceiling that it would pass.
        asked: What it asks of it.
        wait_s: When there will be room.
        headers: The rate headers.
    """
    ceiling = purse.ceiling
    details = {"scope": ceiling.source, "limit": limit_name(ceiling)}
    kind = RateLimited if ceiling.window in (MINUTE, NOW) else QuotaExhausted
    less = _LESS.get(ceiling.metric, "lower max_tokens or shorten the prompt")
    if asked > ceiling.amount:
        message = f"{_may(ceiling, asked)}, more than {_whose(ceiling)}; {less}"
        refused = kind(message, headers=headers, details=details)
        refused.retryable = False  # however long the client waits
        return refused
    if ceiling.window == NOW:
        message = f"{_whose(ceiling)} is reached; send it again once one of them has ended"
    elif ceiling.window == MINUTE:
        message = f"{_whose(ceiling)} is reached; retry in {math.ceil(wait_s)} s"
    else:
        end = f"{datetime.datetime.fromtimestamp(purse.ends_s, datetime.UTC):%Y-%m-%dT%H:%MZ}"
        if 0 < purse.remaining < asked:
            left = f"the {_amount(ceiling.metric, purse.remaining)} that are left of {_whose(ceiling)} until {end}"
            message = f"{_may(ceiling, asked)}, more than {left}; {less}, wait"
        else:
            message = f"{_whose(ceiling)} is used up until {end}; wait"
        message += " until then, or ask the administrator for more"
    return kind(message, retry_after_s=wait_s, headers=headers, details=details)


def limit_name(ceiling: Ceiling) -> str:
    """Return what a ceiling is called where it is configured: `tokens_per_minute`, `concurrency`, `budget_usd.month`."""
    if ceiling.window == NOW:
        return "concurrency"
    if ceiling.window == MINUTE:
        return "spend_usd_per_minute" if ceiling.metric is Metric.COST else f"{ceiling.metric.value}_per_minute"
    return f"budget_usd.{ceiling.window}" if ceiling.metric is Metric.COST else ceiling.name


def wait_s(purse: Purse, asked: int, short: int, utc_s: float) -> float:
    """Return after how many seconds there is room; never for a call that asks for more than the whole limit.

    Args:
        purse: Of the ceiling that a call would pass.
        asked: What it asks of it.
        short: How much of that is not there.
        utc_s: Now, in UTC seconds.
    """
    if asked > purse.ceiling.amount:
        return math.inf
    if purse.ceiling.window == NOW:
        return 1.0
    if not isinstance(purse, MinutePurse):
        return max(purse.ends_s - utc_s, 0.001)
    for second, amount in sorted(purse.spends().items()):
        short -= amount if second > utc_s - SLOT_LIFE_S else 0
        if short <= 0:
            return max(second + SLOT_LIFE_S - utc_s, 0.001)
    return WINDOW_S


class Head(NamedTuple):
    """The three headers that speak of one metric, and the purses of its ceilings."""

    limit: str
    remaining: str
    reset: str
    purses: tuple[Purse, ...]


def rate_headers(heads: Sequence[Head], utc_s: float) -> dict[str, str]:
    """Return the x-ratelimit headers; of several ceilings the one speaks of which the least is left.

    Args:
        heads: Of requests and of tokens.
        utc_s: Now, in UTC seconds.
    """
    headers: dict[str, str] = {}
    for limit, remaining, reset, purses in heads:
        purse = purses[0] if len(purses) == 1 else min(purses, key=_remaining)
        headers[limit] = str(purse.ceiling.amount)
        headers[remaining] = str(purse.remaining)
        if purse.ends_s == math.inf:  # a minute: its oldest second slides out
            reset_s = 0.0 if purse.oldest is None else purse.oldest + SLOT_LIFE_S - utc_s
        else:
            reset_s = purse.ends_s - utc_s
        headers[reset] = f"{math.ceil(reset_s)}s" if reset_s > 0.0 else "0s"
    return headers


def heads_of(purses: Sequence[Purse]) -> tuple[Head, ...]:
    """Return which purses the rate headers speak of: those of minutes, and only where there are none those of calendar quotas."""
    heads = []
    for name, metrics in (("requests", {Metric.REQUESTS}), ("tokens", {Metric.TOKENS, Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS})):
        found = tuple(purse for purse in purses if purse.ceiling.metric in metrics and purse.patient)
        rates = tuple(purse for purse in found if purse.ceiling.window == MINUTE)
        if found:
            limit, remaining, reset = (f"x-ratelimit-{word}-{name}" for word in ("limit", "remaining", "reset"))
            heads.append(Head(limit, remaining, reset, rates or found))
    return tuple(heads)


def warning(purses: Sequence[Purse]) -> dict[str, str]:
    """Return the header that says which soft limits a call has passed."""
    return {WARNING: ", ".join(f"{purse.ceiling.source}:{purse.ceiling.name}" for purse in purses)}


def _remaining(purse: Purse) -> int:
    return purse.remaining


def _may(ceiling: Ceiling, asked: int) -> str:
    return f"this call may {'cost' if ceiling.metric is Metric.COST else 'use'} {_amount(ceiling.metric, asked)}"


def _whose(ceiling: Ceiling) -> str:
    if ceiling.window == NOW:
        return f"the {ceiling.source}'s limit of {ceiling.amount} calls at once"
    noun = "limit" if ceiling.window == MINUTE else "budget" if ceiling.metric is Metric.COST else "quota"
    return f"the {ceiling.source}'s {noun} of {_amount(ceiling.metric, ceiling.amount)} per {ceiling.window}"


def _amount(metric: Metric, amount: int) -> str:
    if metric is Metric.COST:
        return f"${amount / MICRO_USD:,.6f}".rstrip("0").rstrip(".")
    return f"{amount} {_WORDS[metric]}"
