"""Routing rules: the first one that fits a call says where it goes. Pure: a table and a call's facts in, a rule out.

Everything that a `when` gives must hold. Names are globs, told apart by case; of a list one must fit. What costs nothing is
asked first, the prompt's text and tokens last, and neither is looked at twice for one call: `Facts` takes callables.

A schedule is read in its own time zone, so 08:00 stays eight o'clock when clocks change. One that ends before it starts goes
over midnight, and belongs to the day on which it started.
"""

import datetime
import fnmatch
import functools
import zoneinfo
from collections.abc import Callable, Mapping, Sequence

import msgspec

from gateway.domain.patterns import compiled
from gateway.domain.policy import Rule, Schedule, When

TASK_TAG = "task"
CLASSIFICATION_TAG = "classification"
MAX_TEXT_CHARACTERS = 10_000
_NO_TAGS: Mapping[str, str] = {}


def _no_text() -> str:
    return ""


def _no_tokens() -> int:
    return 0


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What rules may ask of a call.

    Attributes:
        key_id: The public part of the key.
        user: As the caller names it; empty for none.
        model: The id of the model asked for.
        operation: As in `Operation`.
        needs: The capabilities that the call needs.
        utc: The time of day.
        text: Returns the last user message's text; asked once, and only where a rule wants it.
        tokens: Returns the prompt's tokens; likewise.
        labels_found: What guardrails found the call to be.
    """

    tenant: str
    product: str
    subscription: str
    key_id: str
    model: str
    operation: str
    utc: datetime.datetime
    user: str = ""
    tags: Mapping[str, str] = _NO_TAGS
    needs: frozenset[str] = frozenset()
    priority: str = "normal"
    text: Callable[[], str] = _no_text
    tokens: Callable[[], int] = _no_tokens
    labels_found: frozenset[str] = frozenset()

    @property
    def task(self) -> str:
        """What the call is for, by its tag `task`."""
        return self.tags.get(TASK_TAG, "")

    @property
    def classifications(self) -> frozenset[str]:
        """How sensitive its data are: by its tag `classification`, and by what was found, which no tag takes away."""
        return self.labels_found | {self.tags.get(CLASSIFICATION_TAG, "")}


def match(rules: Sequence[Rule], facts: Facts) -> Rule | None:
    """Return the first rule that fits; None where none does."""
    if not rules:
        return None
    text, tokens = functools.cache(facts.text), functools.cache(facts.tokens)
    for rule in rules:
        if _fits(rule.when, facts) and _fits_prompt(rule.when, text, tokens):
            return rule
    return None


def _fits(when: When, facts: Facts) -> bool:
    """Compare all that needs no look at the prompt."""
    return (
        _one_fits(when.tenant, facts.tenant)
        and _one_fits(when.product, facts.product)
        and _one_fits(when.subscription, facts.subscription)
        and _one_fits(when.key, facts.key_id)
        and _one_fits(when.user, facts.user)
        and _one_fits(when.model, facts.model)
        and _one_fits(when.operation, facts.operation)
        and _one_fits(when.priority, facts.priority)
        and _one_fits(when.task, facts.task)
        and (not when.classification or any(_one_fits(when.classification, each) for each in facts.classifications))
        and (not when.capability or any(_one_fits(when.capability, need) for need in facts.needs))
        and all(name in facts.tags and _one_fits((pattern,), facts.tags[name]) for name, pattern in when.tags.items())
        and (when.schedule is None or in_schedule(when.schedule, facts.utc))
    )


def _fits_prompt(when: When, text: Callable[[], str], tokens: Callable[[], int]) -> bool:
    if when.text and not compiled(when.text).search(text()[:MAX_TEXT_CHARACTERS]):
        return False
    if when.tokens_over is not None and tokens() <= when.tokens_over:
        return False
    return when.tokens_under is None or tokens() < when.tokens_under


def _one_fits(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def in_schedule(schedule: Schedule, utc: datetime.datetime) -> bool:
    """Tell whether a moment lies in the schedule; `start` belongs to it, `below` does not."""
    local = utc.astimezone(_zone(schedule.timezone))
    now, today = local.time(), local.weekday()
    if schedule.start == schedule.below:
        return today in schedule.days
    if schedule.start < schedule.below:
        return today in schedule.days and schedule.start <= now < schedule.below
    return (today in schedule.days and now >= schedule.start) or ((today - 1) % 7 in schedule.days and now < schedule.below)


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)
