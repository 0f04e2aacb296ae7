"""What limits a caller: rates, calendar quotas, budgets, concurrency. Frozen data, as it stands in products and subscriptions.

    limits:
      requests_per_minute: 60            # rates hold in any 60 seconds; passed: 429
      tokens_per_minute: 20000           # prompt and completion together
      input_tokens_per_minute: 15000
      output_tokens_per_minute: 5000
      spend_usd_per_minute: 0.50         # stops a spike while it happens
      concurrency: 8                     # calls under way at once
      requests: [{period: day, limit: 1000}]                  # calendar quotas; passed: 403 insufficient_quota
      tokens: [{period: month, limit: 2000000, count: total}] # count: total | input | output
      budget_usd: [{period: month, limit: 50, alert_at: [50, 80, 100]}]
      mode: enforce                      # enforce | soft (let pass, say so, alert) | shadow (count only)

Calendar periods begin at midnight UTC; weeks on Monday. `Limits.ceilings()` is the flat form that the limiter works with.
Money is integer micro-USD everywhere but in the file and at /manage, where it is dollars.
"""

import enum
import functools
from typing import Literal

import msgspec

MICRO_USD = 1_000_000
MAX_AMOUNT = 10**12  # requests or tokens
MAX_USD = 10**9  # in micro-dollars its sums still fit 64 bits
ALERT_AT = (50, 80, 100)
BREAKER_ALERT_AT = (100,)  # of spend_usd_per_minute: once per burst

type Period = Literal["hour", "day", "week", "month", "quarter", "year"]


class Mode(enum.StrEnum):
    """What a limit does once it is reached."""

    ENFORCE = "enforce"
    SOFT = "soft"
    SHADOW = "shadow"


class Metric(enum.StrEnum):
    """What is counted."""

    __hash__ = str.__hash__  # the keys of tables that every limited call looks into

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    COST = "cost"  # micro-USD
    CONCURRENCY = "concurrency"


MINUTE, NOW = "minute", "now"  # the windows that are no calendar period: the last 60 seconds, and this moment


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many calls in a calendar period."""

    period: Period
    limit: int
    alert_at: tuple[int, ...] = ALERT_AT


class TokenQuota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """So many tokens in a calendar period."""

    period: Period
    limit: int
    count: Literal["total", "input", "output"] = "total"
    alert_at: tuple[int, ...] = ALERT_AT


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """So much money, in US dollars, in a calendar period."""

    period: Period
    limit: float
    alert_at: tuple[int, ...] = ALERT_AT


class Ceiling(msgspec.Struct, frozen=True):
    """One limit in the form the limiter works with: at most `amount` of `metric` within `window`.

    Attributes:
        metric: What is counted.
        window: `minute` (any 60 seconds), `now` (concurrency), or a calendar period.
        amount: Requests, tokens, micro-USD or calls at once.
        mode: What it does once it is reached.
        alert_at: Percentages that are announced, once each per window; none for rates and concurrency, but that money is stopped.
        source: Whose limit it is, for refusals: gateway | tenant | product | subscription | user.
    """

    metric: Metric
    window: str
    amount: int
    mode: Mode = Mode.ENFORCE
    alert_at: tuple[int, ...] = ()
    source: str = ""

    @property
    def name(self) -> str:
        """The counter's name within its scope: `tokens.month`."""
        return f"{self.metric.value}.{self.window}"


_RATES = {
    "requests_per_minute": Metric.REQUESTS,
    "tokens_per_minute": Metric.TOKENS,
    "input_tokens_per_minute": Metric.INPUT_TOKENS,
    "output_tokens_per_minute": Metric.OUTPUT_TOKENS,
}
_COUNTED = {"total": Metric.TOKENS, "input": Metric.INPUT_TOKENS, "output": Metric.OUTPUT_TOKENS}


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All limits of one scope, as written; None and empty mean no ceiling. See the module for what each means."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    spend_usd_per_minute: float | None = None
    concurrency: int | None = None
    requests: tuple[Quota, ...] = ()
    tokens: tuple[TokenQuota, ...] = ()
    budget_usd: tuple[Budget, ...] = ()
    mode: Mode = Mode.ENFORCE

    def ceilings(self, source: str) -> tuple[Ceiling, ...]:
        """Return the flat form; `source` says whose they are."""
        return _ceilings(self, source)


NO_LIMITS = Limits()


@functools.lru_cache(maxsize=4096)
def _ceilings(limits: Limits, source: str) -> tuple[Ceiling, ...]:
    found = [
        Ceiling(metric, MINUTE, amount, limits.mode, source=source)
        for name, metric in _RATES.items()
        if (amount := getattr(limits, name)) is not None
    ]
    if limits.spend_usd_per_minute is not None:
        found.append(Ceiling(Metric.COST, MINUTE, micro_usd(limits.spend_usd_per_minute), limits.mode, BREAKER_ALERT_AT, source))
    if limits.concurrency is not None:
        found.append(Ceiling(Metric.CONCURRENCY, NOW, limits.concurrency, limits.mode, source=source))
    found += [Ceiling(Metric.REQUESTS, each.period, each.limit, limits.mode, each.alert_at, source) for each in limits.requests]
    found += [Ceiling(_COUNTED[each.count], each.period, each.limit, limits.mode, each.alert_at, source) for each in limits.tokens]
    found += [Ceiling(Metric.COST, each.period, micro_usd(each.limit), limits.mode, each.alert_at, source) for each in limits.budget_usd]
    return tuple(found)


def micro_usd(usd: float) -> int:
    """Return dollars as whole micro-dollars."""
    return round(usd * MICRO_USD)


def limits_fault(limits: Limits) -> tuple[str, str] | None:
    """Return the path and the message of the first value that cannot be a limit; None where all can.

    Both the catalogue and /manage ask this, and prefix the path with where they found the limits.
    """
    for name in (*_RATES, "concurrency"):
        value = getattr(limits, name)
        if value is not None and not 1 <= value <= MAX_AMOUNT:
            return name, f"must be from 1 to {MAX_AMOUNT}"
    spend = limits.spend_usd_per_minute
    if spend is not None and not 1 / MICRO_USD <= spend <= MAX_USD:
        return "spend_usd_per_minute", f"must be over 0 and at most {MAX_USD}"
    for name in ("requests", "tokens", "budget_usd"):
        if fault := _quotas_fault(name, getattr(limits, name)):
            return fault
    return None


def _quotas_fault(name: str, quotas: tuple[Quota | TokenQuota | Budget, ...]) -> tuple[str, str] | None:
    seen = set()
    for index, quota in enumerate(quotas):
        least, most = (1 / MICRO_USD, MAX_USD) if isinstance(quota, Budget) else (1, MAX_AMOUNT)
        if not least <= quota.limit <= most:
            return f"{name}[{index}].limit", f"must be over 0 and at most {most}"
        if any(not 1 <= percent <= 1000 for percent in quota.alert_at) or len(quota.alert_at) > 10:
            return f"{name}[{index}].alert_at", "takes up to 10 percentages from 1 to 1000"
        key = (quota.period, getattr(quota, "count", ""))
        if key in seen:
            return f"{name}[{index}].period", f"the period {quota.period!r} is there twice"
        seen.add(key)
    return None
