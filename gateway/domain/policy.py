"""What an operator decides about models beyond their pools: fallbacks, lifecycle, tiers, enrichment, rules. Frozen data."""

import datetime
import enum
import fnmatch
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.deployment import Backend, PoolMember, Price

# How a pool can be ordered; `routing/strategies.py` has a function for each, and a test compares the two.
STRATEGIES = frozenset({"priority", "weighted", "least-latency", "lowest-cost", "most-reliable", "consistent-hash", "balanced"})


class StaticAnswer(msgspec.Struct, frozen=True):
    """What is answered when no model can be."""

    content: str


class Fallbacks(msgspec.Struct, frozen=True):
    """Other models to ask, by why this one failed; `static` is the answer when all else did."""

    any: tuple[str, ...] = ()
    context_length: tuple[str, ...] = ()
    content_filter: tuple[str, ...] = ()
    static: StaticAnswer | None = None


class LifecycleState(enum.StrEnum):
    """Where a model stands between its first and its last call."""

    PREVIEW = "preview"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


def midnight(day: datetime.date) -> datetime.datetime:
    """Return the moment at which a day begins, in UTC."""
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC)


class Lifecycle(msgspec.Struct, frozen=True):
    """A model's state; `deprecated` and `sunset` are the days of the Deprecation and Sunset headers."""

    state: LifecycleState = LifecycleState.ACTIVE
    deprecated: datetime.date | None = None
    sunset: datetime.date | None = None
    successor: str = ""

    def is_over(self, utc: datetime.datetime) -> bool:
        """Tell whether the model is not served any more: it is retired, or deprecated and its last day is here."""
        if self.state is LifecycleState.DEPRECATED:
            return self.sunset is not None and utc >= midnight(self.sunset)
        return self.state is LifecycleState.RETIRED


class Verifier(msgspec.Struct, frozen=True):
    """What an answer must pass; exactly one of the three is set.

    Attributes:
        json_schema: The answer's text is JSON that this schema accepts.
        regex: It is found in the answer's text.
        judge_model: The model that is asked `question` about the answer; it must begin its own with `passes`.
    """

    json_schema: Mapping[str, Any] | None = None
    regex: str | None = None
    judge_model: str = ""
    question: str = "Is this a complete and correct answer to the request? Say yes or no."
    passes: str = "yes"


class Tier(msgspec.Struct, frozen=True):
    """A cheaper model that is asked first; its answer is used if it passes."""

    model: str
    verify: Verifier


class Enrichment(msgspec.Struct, frozen=True):
    """Something looked up before the call and put into its prompt.

    Attributes:
        backend: A `rest` backend.
        path: Under its endpoint; `{user}`, `{tenant}` and `{tag:NAME}` are filled in, escaped.
        template: What is added as a system message; `{result}` is the lookup's text.
        pick: Members to go down in the JSON answer, separated by dots; empty takes all of it.
        timeout_s: How long it may take.
        required: A lookup that fails fails the call; otherwise the call goes on without it.
    """

    backend: Backend
    path: str
    template: str = "{result}"
    pick: str = ""
    timeout_s: float = 2.0
    required: bool = False


class Transform(msgspec.Struct, frozen=True):
    """A change to the text of a whole answer: `type` is regex-replace, extract, trim or wrap; the rest are its arguments."""

    type: str
    pattern: str = ""
    replacement: str = ""
    field: str = ""


class Schedule(msgspec.Struct, frozen=True):
    """A time of the week, in a time zone; `below` before `start` goes over midnight."""

    days: frozenset[int] = frozenset(range(7))  # Monday is 0
    start: datetime.time = datetime.time(0, 0)
    below: datetime.time = datetime.time(0, 0)  # the same as `start`: all day
    timezone: str = "UTC"


class When(msgspec.Struct, frozen=True):
    """What a call must be for a rule to apply: everything that is given must hold. Names are globs."""

    tenant: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    subscription: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    model: tuple[str, ...] = ()
    operation: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    text: str = ""
    tokens_over: int | None = None
    tokens_under: int | None = None
    capability: tuple[str, ...] = ()
    classification: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    schedule: Schedule | None = None


class Rule(msgspec.Struct, frozen=True):
    """Where calls go that are as `when` says. The first rule that applies is the only one.

    Attributes:
        model: Goes to this model, with its pool and fallbacks.
        pool: Goes to these deployments.
        strategy: They are ordered by this; empty leaves the model's own.
        confine: Nothing leaves what the rule names: no tier, no judge, no fallback, no reference to an answer held elsewhere.
    """

    id: str
    when: When
    model: str = ""
    pool: tuple[PoolMember, ...] = ()
    strategy: str = ""
    confine: bool = False


class TenantPrice(msgspec.Struct, frozen=True):
    """A price that was negotiated for a tenant's use of the deployments that `deployment` (a glob) names.

    Attributes:
        price: None where it is the deployment's own, less a discount.
        share_ppm: How much of the deployment's own price the tenant pays, in parts per million.
        since: The first day on which it holds; None for ever since.
        below: The first day on which it holds no more; None for ever.
    """

    tenant: str
    deployment: str
    price: Price | None = None
    share_ppm: int = 1_000_000
    since: datetime.date | None = None
    below: datetime.date | None = None

    def holds(self, tenant: str, deployment: str, utc: datetime.datetime) -> bool:
        """Tell whether it speaks of this tenant's use of this deployment at this moment."""
        if self.tenant != tenant or not fnmatch.fnmatchcase(deployment, self.deployment):
            return False
        return (self.since is None or utc >= midnight(self.since)) and (self.below is None or utc < midnight(self.below))
