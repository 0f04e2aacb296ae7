"""Experiments as values: variants of a prompt, a model or parameters, each given to its share of users. Frozen data.

    draft ──start──▶ running ──stop──▶ stopped
                        ├──promote──▶ promoted       by an administrator, or by `auto_promote`
                        └──guard──▶ rolled_back      a guard metric got worse: everybody gets the control again

The first variant is the control. An experiment belongs to a tenant, or is shared (tenant ""): then it holds for all of them.
What ended as promoted or rolled back may still serve: the winner, or the control, to everybody, until it is stopped.
"""

import datetime
import enum
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

# What the ledger tells of every call; `feedback.NAME` is what clients send to POST /v1/feedback.
METRICS = ("cost_usd", "latency_s", "ttft_s", "total_tokens", "error_rate", "guard_rate")
FEEDBACK = "feedback."


class ExperimentState(enum.StrEnum):
    """Where an experiment stands."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is varied: calls of a prompt (asked for by the label), or of a model. Exactly one of the two."""

    prompt: str = ""
    label: str = "production"
    model: str = ""


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One arm.

    Attributes:
        id: Its name.
        weight: Of all weights' sum, its share of the units.
        version: Of the target's prompt: a number, or a label; None leaves what the call asks for.
        model: The model that answers; empty leaves it.
        parameters: Members of the request that win over the prompt's and the call's.
    """

    id: str
    weight: int = 1
    version: int | str | None = None
    model: str = ""
    parameters: Mapping[str, Any] = {}


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The metric that decides, and which way is better."""

    metric: str
    better: Literal["higher", "lower"] = "higher"


class GuardMetric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A metric that a variant may not worsen by more than `margin` (in the metric's unit) against the control."""

    metric: str
    better: Literal["higher", "lower"] = "lower"
    margin: float = 0.0


class Span(msgspec.Struct, frozen=True, array_like=True):
    """Hashes from `start` on, up to the next span's, are a variant's. All of them are 0 to 2**64 - 1."""

    start: int
    variant: str


class Phase(msgspec.Struct, frozen=True):
    """The weights that held from a moment on, UTC."""

    at: datetime.datetime
    weights: Mapping[str, int]


class Experiment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An experiment.

    Attributes:
        on: What is varied.
        unit: Who gets one variant for good: a user or a session; `request` for none.
        salt: Mixed into the hash: two experiments split the same users independently.
        alpha: The share of experiments without any difference that may find one.
        min_units: No decision before every variant has so many units.
        auto_promote: The winner is promoted without an administrator.
        started_at: UTC; results count from here: the start, or the last change of weights.
        ended_at: UTC; results count up to here.
        winner: Of a promoted one: the variant that everybody gets.
        reason: Why it ended.
        owner: Whose prompt it is on, settled when it starts: the tenant's own, or "" for a shared one.
        spans: Who gets what, once weights were changed; empty for what the weights alone say.
        phases: All weights that held since it started, the last ones last.
        label_moved: Of a promoted one: the label stands at the winner's version, which nothing else need serve any more.
    """

    tenant: str
    id: str
    on: Target
    variants: tuple[Variant, ...]
    goal: Goal
    guards: tuple[GuardMetric, ...] = ()
    unit: Literal["user", "session", "request"] = "user"
    salt: str = ""
    alpha: float = 0.05
    min_units: int = 100
    auto_promote: bool = False
    state: ExperimentState = ExperimentState.DRAFT
    created_at: datetime.datetime | None = None
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    winner: str = ""
    reason: str = ""
    owner: str = ""
    spans: tuple[Span, ...] = ()
    phases: tuple[Phase, ...] = ()
    label_moved: bool = False

    @property
    def recorded(self) -> str:
        """As records name it: `shared/ID` for a shared one, since a tenant's own may have the same id."""
        return self.id if self.tenant else f"shared/{self.id}"


class Assignment(msgspec.Struct, frozen=True):
    """Which variant a call got.

    Attributes:
        exposed: It counts for results. It does not where the call names no unit, or where the experiment has ended.
    """

    experiment: Experiment
    variant: Variant
    exposed: bool = True
