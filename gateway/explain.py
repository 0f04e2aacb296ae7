"""`x-gateway-explain: true`: where a call would go and why, without calling a model or spending anything of the caller's.

    {"object": "gateway.explanation", "request_id", "identity": {…}, "limits": {…}, "model": {…},
     "guardrails": [verdicts], "classification": […], "rule", "needs": […], "data_zone", "tokens": {…}, "strategy",
     "candidates": [{"deployment", "position", "reason", …}], "rejected": [{"deployment", "code", "reason", "retry_after_s"}],
     "refusal", "tiers": […], "fallbacks": {…}}

It names deployments, as x-gateway-deployment does; no backend's address, key or subscription is in it.
"""

from typing import Any

import msgspec

from gateway.dispatch import Dispatcher
from gateway.domain.access import Principal, Product
from gateway.domain.call import Answer, Candidate, Rejection, Usage
from gateway.domain.deployment import Deployment
from gateway.domain.request import Request
from gateway.domain.verdict_text import to_document
from gateway.errors import GatewayError, GuardrailBlocked, GuardrailUnavailable, RequestError
from gateway.guarding import Guardian
from gateway.metering.pricing import cost_micro_usd
from gateway.routing.health import Health
from gateway.routing.plan import Load, refusal
from gateway.settlement import Flight

HEADER = "x-gateway-explain"


def wanted(headers: Any) -> bool:
    """Tell whether the caller asks for the decision instead of the answer; RequestError if the header says neither."""
    text = headers.get(HEADER)
    if text is None:
        return False
    if text.lower() not in ("true", "false"):
        raise RequestError(f"{HEADER} must be true or false", param=HEADER, code="invalid_value")
    return bool(text.lower() == "true")


async def explain(
    dispatcher: Dispatcher, guardian: Guardian, health: Health, flight: Flight, request: Request, product: Product, now_s: float
) -> Answer:
    """Return the decision on a call.

    Args:
        dispatcher: Decides.
        guardian: Inspects the request.
        health: How the deployments do.
        flight: The call's; it gets a record, as every call does.
        request: The call.
        product: The caller's.
        now_s: On the Clock.
    """
    flight.draft.experiment = flight.draft.variant = ""  # nobody gets an answer to judge the variant by
    request, blocked = await _guarded(guardian, flight, request, product)
    target, confined = dispatcher.target(flight, request)
    kind = dispatcher.kind(request)
    plan, load = await dispatcher.plan(request, target, kind)
    model, fallbacks = target.model, target.model.fallbacks
    refused = blocked or (None if plan.candidates else refusal(model, request.call, kind, plan.rejections))
    states = {state.deployment: state for state in health.states(now_s)}
    explanation: dict[str, Any] = {
        "object": "gateway.explanation",
        "request_id": flight.draft.inbound.request_id,
        "identity": _identity(request.principal),
        "limits": {"product": product.limits, "subscription": request.principal.limits},
        "model": {"asked": request.call.model, "resolved": request.model.id, "served": model.id},
        "guardrails": [to_document(verdict) for verdict in flight.draft.verdicts],
        "classification": sorted(request.labels_found),
        "rule": target.rule or None,
        "confined": confined,
        "operation": request.call.operation.value,
        "needs": sorted(kind.needs),
        "data_zone": kind.data_zone or None,
        "priority": request.labels.priority,
        "tokens": {
            "prompt": (await dispatcher.count(request.call, model)).tokens,
            "max_output": request.call.max_output_tokens,
            "context_window": model.context_window,
        },
        "strategy": target.strategy,
        "max_attempts": plan.max_attempts,
        "candidates": [_candidate(each, index, load, states.get(each.deployment.id)) for index, each in enumerate(plan.candidates)],
        "rejected": [_rejection(each) for each in plan.rejections],
        "refusal": None if refused is None else {"status": refused.status, "code": refused.code, "message": refused.message},
        "tiers": [] if confined else [tier.model for tier in model.tiers],
        "fallbacks": None if confined else fallbacks,
        "lifecycle": model.lifecycle,
    }
    return Answer(headers={"x-gateway-model": model.id}, body=msgspec.json.encode(explanation))


async def _guarded(guardian: Guardian, flight: Flight, request: Request, product: Product) -> tuple[Request, GatewayError | None]:
    """Return the request as it would go to the model, and what refuses it."""
    try:
        inspected, guarded = await guardian.inspect(flight.draft, request, product)
        if guarded is not None:
            await guarded.settled()
    except (GuardrailBlocked, GuardrailUnavailable) as refused:
        return request, refused
    return inspected, None


def _identity(principal: Principal) -> dict[str, Any]:
    names = ("tenant", "product", "subscription", "key_id")
    return {name: getattr(principal, name) for name in names} | {"roles": sorted(principal.roles)}


def _candidate(candidate: Candidate, index: int, load: Load, state: Any) -> dict[str, Any]:
    deployment = candidate.deployment
    shown = _facts(deployment) | {"position": index + 1, "reason": candidate.reason, "last_resort": candidate.last_resort, "health": state}
    price = load.price(deployment)
    cost = cost_micro_usd(Usage(prompt_tokens=load.prompt_tokens, completion_tokens=load.output_tokens), price)
    shown["estimated_cost_usd"] = None if cost is None else cost / 1_000_000
    return shown


def _rejection(rejection: Rejection) -> dict[str, Any]:
    return _facts(rejection.deployment) | {"code": rejection.code, "reason": rejection.reason, "retry_after_s": rejection.retry_after_s}


def _facts(deployment: Deployment) -> dict[str, Any]:
    backend = deployment.backend
    return {
        "deployment": deployment.id,
        "sku": deployment.sku,
        "region": backend.region or None,
        "data_zone": backend.data_zone or None,
        "quota_group": deployment.quota_group or None,
        "draining": deployment.draining,
    }
