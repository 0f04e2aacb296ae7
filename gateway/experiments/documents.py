"""Administrators' documents become experiments, and experiments documents. Pure; every fault names its field in `param`.

    {"id": "tone", "on": {"prompt": "support", "label": "production"},
     "variants": [{"id": "control", "weight": 95}, {"id": "friendly", "weight": 5, "version": 7, "parameters": {"temperature": 0.2}}],
     "goal": {"metric": "feedback.thumbs", "better": "higher"}, "guards": [{"metric": "latency_s", "margin": 0.5}],
     "unit": "user", "alpha": 0.05, "min_units": 100, "auto_promote": false}

A document of a change names members: one that is not there stays, null takes it away, each is replaced as a whole; but `weights`
({variant: weight}) changes those of the variants that it names. Of feedback more is better unless the document says otherwise,
of all other metrics less.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from gateway.domain.documents import convert
from gateway.domain.experiments import FEEDBACK, METRICS, Experiment, Goal, GuardMetric, Target, Variant
from gateway.domain.prompts import NAME_PATTERN
from gateway.errors import Conflict
from gateway.experiments.lifecycle import DRAFT, MAX_WEIGHT, fault, reweighted
from gateway.experiments.store import is_id, serves
from gateway.ports import Clock

MAX_VARIANTS, MAX_GUARDS = 10, 10
MAX_ALPHA = 0.5
MAX_MIN_UNITS = 10_000_000
MAX_PARAMETERS = 32
# What the call, the prompt or the gateway says, and what would make one answer several.
NOT_PARAMETERS = frozenset(
    {"model", "messages", "input", "instructions", "system", "prompt", "variables", "version", "label", "stream", "stream_options"}
    | {"n", "best_of", "user", "conversation", "previous_response_id", "background", "store", "safety_identifier", "metadata"}
)
WHILE_RUNNING = frozenset({"weights", "auto_promote"})
_NAMES = "letters, digits and . _ -, at most 64, a letter or digit first"
_FEEDBACK = re.compile(re.escape(FEEDBACK) + NAME_PATTERN)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    on: Target
    variants: tuple[Variant, ...]
    goal: Goal
    guards: tuple[GuardMetric, ...] = ()
    unit: Literal["user", "session", "request"] = "user"
    alpha: float = 0.05
    min_units: int = 100
    auto_promote: bool = False


class _New(_Fields, frozen=True, kw_only=True):
    id: str


class _Running(msgspec.Struct, frozen=True):
    weights: Mapping[str, int] = {}
    auto_promote: bool = False


class Documents:
    """Reads documents.

    Args:
        model: The id behind a model's id or alias; None where no client could ask for it.
        new_salt: Makes what is mixed into an experiment's hashes.
        clock: Tells the time.
    """

    def __init__(self, model: Callable[[str], str | None], new_salt: Callable[[], str], clock: Clock) -> None:
        self._model = model
        self._new_salt = new_salt
        self._clock = clock

    def new(self, tenant: str, document: Mapping[str, Any]) -> Experiment:
        """Return a draft; `tenant` is whose, "" for a shared one."""
        fields = convert(_directed(document), _New)
        if not is_id(fields.id):
            raise fault("id", f"must be {_NAMES}")
        checked = self._checked(fields)
        return Experiment(tenant=tenant, id=fields.id, salt=self._new_salt(), created_at=self._clock.utc(), **checked)

    def changed(self, now: Experiment, document: Mapping[str, Any]) -> Experiment:
        """Return the experiment as a change leaves it: a draft's all but its id, a running one's weights and `auto_promote`.

        Raises:
            RequestError: A member cannot be that.
            Conflict: The experiment is no draft any more, and a member is named that stays as it is then.
        """
        if now.state is not DRAFT and (fixed := sorted(document.keys() - WHILE_RUNNING)):
            advice = "while it runs, 'weights' and 'auto_promote' can be changed; stop it and make another"
            raise Conflict(
                f"the experiment is {now.state.value}, and {fixed[0][:64]!r} stays; {advice}", param=fixed[0], code="wrong_state"
            )
        if "weights" in document and "variants" in document:
            raise fault("weights", "stands beside 'variants', which have weights themselves; leave one out")
        named = {name: value for name, value in document.items() if name in WHILE_RUNNING and value is not None}
        weights, auto_promote = msgspec.structs.astuple(convert(named, _Running))
        rest = {name: value for name, value in document.items() if name != "weights"}
        if now.state is DRAFT:
            now = self._merged(now, rest)
        elif "auto_promote" in document:
            now = msgspec.structs.replace(now, auto_promote=auto_promote)
        return reweighted(now, weights, self._clock.utc())

    def _merged(self, now: Experiment, document: Mapping[str, Any]) -> Experiment:
        kept = {name: msgspec.to_builtins(getattr(now, name)) for name in _Fields.__struct_fields__}
        merged = {**kept, **_directed(document)}
        fields = {name: value for name, value in merged.items() if value is not None or name not in kept}
        return msgspec.structs.replace(now, **self._checked(convert(fields, _Fields)))

    def _checked(self, fields: _Fields) -> dict[str, Any]:
        """Return the members that an experiment has."""
        on = self._target(fields.on)
        self._check_variants(fields.variants, on)
        _check_metric(fields.goal.metric, "goal.metric")
        if len(fields.guards) > MAX_GUARDS:
            raise fault("guards", f"takes at most {MAX_GUARDS}")
        for index, guard in enumerate(fields.guards):
            _check_metric(guard.metric, f"guards[{index}].metric")
            if not (math.isfinite(guard.margin) and guard.margin >= 0):
                raise fault(f"guards[{index}].margin", "must be 0 or more")
        if not 0 < fields.alpha <= MAX_ALPHA:
            raise fault("alpha", f"must be over 0 and at most {MAX_ALPHA}")
        if not 1 <= fields.min_units <= MAX_MIN_UNITS:
            raise fault("min_units", f"must be from 1 to {MAX_MIN_UNITS}")
        return {name: getattr(fields, name) for name in _Fields.__struct_fields__} | {"on": on}

    def _target(self, on: Target) -> Target:
        if bool(on.prompt) == bool(on.model):
            raise fault("on", "names one of 'prompt' and 'model'")
        if on.model:
            if on.label != Target().label:
                raise fault("on.label", "is for a prompt")
            return Target(model=self._found(on.model, "on.model"))
        if not is_id(on.prompt):
            raise fault("on.prompt", f"must be {_NAMES}")
        if not is_id(on.label) or on.label.isdigit():
            raise fault("on.label", "must be a label: a call that names a version's number is in no experiment")
        return on

    def _check_variants(self, variants: tuple[Variant, ...], on: Target) -> None:
        if not 2 <= len(variants) <= MAX_VARIANTS:
            raise fault("variants", f"takes 2 to {MAX_VARIANTS}; the first is the control")
        known: set[str] = set()
        for index, variant in enumerate(variants):
            place = f"variants[{index}]"
            if not is_id(variant.id):
                raise fault(f"{place}.id", f"must be {_NAMES}")
            if variant.id in known:
                raise fault(f"{place}.id", f"{variant.id!r} is there twice")
            known.add(variant.id)
            if not 0 <= variant.weight <= MAX_WEIGHT:
                raise fault(f"{place}.weight", f"must be from 0 to {MAX_WEIGHT}")
            _check_version(variant.version, f"{place}.version", on)
            if variant.model:
                self._found(variant.model, f"{place}.model")
            _check_parameters(variant.parameters, f"{place}.parameters")
        if not any(variant.weight for variant in variants):
            raise fault("variants", "need one with a weight over 0")

    def _found(self, model: str, param: str) -> str:
        found = self._model(model)
        if found is None:
            raise fault(param, f"{model[:64]!r} is no model of the catalogue")
        return found


def experiment_shape(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as it is shown; `serves` tells whether calls get anything from it."""
    on = experiment.on
    guards = [{"metric": guard.metric, "better": guard.better, "margin": guard.margin} for guard in experiment.guards]
    return {
        "id": experiment.id,
        "tenant": experiment.tenant or None,
        "state": experiment.state,
        "serves": serves(experiment),
        "on": {"model": on.model} if on.model else {"prompt": on.prompt, "label": on.label},
        "variants": [_variant_shape(variant) for variant in experiment.variants],
        "goal": {"metric": experiment.goal.metric, "better": experiment.goal.better},
        "guards": guards,
        **{name: getattr(experiment, name) for name in ("unit", "alpha", "min_units", "auto_promote")},
        **{name: getattr(experiment, name) for name in ("created_at", "started_at", "ended_at")},
        "winner": experiment.winner or None,
        "reason": experiment.reason or None,
        "phases": experiment.phases,
    }


def _variant_shape(variant: Variant) -> dict[str, Any]:
    return {"weight": variant.weight, **msgspec.to_builtins(variant)}


def _directed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with a direction for every metric that has none."""
    directed = dict(document)
    if "goal" in directed:
        directed["goal"] = _with_direction(directed["goal"])
    if isinstance(directed.get("guards"), list):
        directed["guards"] = [_with_direction(each) for each in directed["guards"]]
    return directed


def _with_direction(metric: Any) -> Any:
    if not isinstance(metric, Mapping) or "better" in metric:
        return metric
    return {**metric, "better": "higher" if str(metric.get("metric")).startswith(FEEDBACK) else "lower"}


def _check_metric(metric: str, param: str) -> None:
    if metric not in METRICS and not _FEEDBACK.fullmatch(metric):
        raise fault(param, f"must be one of {', '.join(METRICS)}, or {FEEDBACK}NAME of what clients send to /v1/feedback")


def _check_version(version: int | str | None, param: str, on: Target) -> None:
    if version is None:
        return
    if on.model:
        raise fault(param, "is for an experiment on a prompt")
    if version < 1 if isinstance(version, int) else not is_id(version):
        raise fault(param, "must be a version's number, from 1 on, or a label")


def _check_parameters(parameters: Mapping[str, Any], param: str) -> None:
    if len(parameters) > MAX_PARAMETERS:
        raise fault(param, f"takes at most {MAX_PARAMETERS}")
    for name in parameters:
        if name.lower() in NOT_PARAMETERS:
            raise fault(f"{param}.{name}", "is not for a variant's parameters: its own members, or the call, say it")
        if not _PARAMETER.fullmatch(name):
            raise fault(param, f"has the name {name[:64]!r}, which no request has")
