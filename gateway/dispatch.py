"""Steps 9 and 10: where a call goes. Rules, then cheaper tiers, then the model's own pool, then its fallbacks, then its own words.

    asked model ── rule? ──▶ target ──▶ tiers, each verified ──▶ pool ──▶ fallbacks by class ──▶ static answer

Each arrow but the first is taken only when what stands before it failed. What a tier's rejected answer cost is kept with the
call. The rights of a caller are to the model it asks for: where rules and fallbacks lead from there is the operator's word,
except for the data zone, which holds everywhere. A confined call goes where its rule says and nowhere else: to no tier, no
judge and no fallback, and not to what an earlier answer of somebody else's refers to.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.admission import DEFAULT_OUTPUT_TOKENS
from gateway.attempts import Attempts, ProviderFor, Terms
from gateway.canned import open_canned
from gateway.domain.call import Call, Plan
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import Deployment, PoolMember, Price
from gateway.domain.last_text import last_text
from gateway.domain.needs import needs_of
from gateway.domain.output_limit import ANSWERED_IN_TEXT
from gateway.domain.policy import Rule
from gateway.domain.request import Request, affinity_of
from gateway.domain.response_ids import WITH_IDS
from gateway.errors import GatewayError, ModelNotFound, NotFound, PermissionDenied, UpstreamError
from gateway.metering.tokens import BYTES_PER_TOKEN, EXACT_UP_TO, EXACT_UP_TO_IN_THREAD, Count, TokenCounter
from gateway.opening import Opened, read_whole, text_of, usage_of
from gateway.ports import Clock
from gateway.routing import fallbacks
from gateway.routing.budget import RetryBudget
from gateway.routing.decide import repeatable
from gateway.routing.gate import PRIORITIES
from gateway.routing.plan import Kind, Load, Planner, Target, refusal, target_of, targeted
from gateway.routing.rules import Facts, match
from gateway.settlement import Flight
from gateway.tiers import ask_tiers, plain_chat

log = logging.getLogger(__name__)


class Dispatcher:
    """Finds who answers.

    Args:
        planner: Orders a pool.
        attempts: Asks the candidates.
        providers: The provider of a protocol and operation.
        counter: Counts tokens where a rule or a context window asks for them.
        clock: The time.
    """

    def __init__(self, planner: Planner, attempts: Attempts, providers: ProviderFor, counter: TokenCounter, clock: Clock) -> None:
        self._planner = planner
        self._attempts = attempts
        self._providers = providers
        self._counter = counter
        self._clock = clock
        self._targets: dict[tuple[str, str], Target] = {}
        self._budgets: dict[str, RetryBudget] = {}

    async def open(self, flight: Flight, request: Request, *, whole: bool = False) -> Opened:
        """Return an answer that has begun.

        Args:
            flight: The call's.
            request: The call.
            whole: It is read to its end first, a stream as well.

        Raises:
            GatewayError: Nobody could answer; the failure of the model that was asked for counts most.
        """
        target, confined = self.target(flight, request)
        kind = self.kind(request)
        if target.model.tiers and not confined:
            tiered = await ask_tiers(self._ask_whole, flight, request, target.model.tiers)
            if tiered is not None:
                return tiered
        try:
            return await self._serve(flight, request, target, kind, whole=whole)
        except GatewayError as exc:
            error = exc
        if not confined:
            return await self._fall_back(flight, request, target, kind, error, whole=whole)
        raise error

    def target(self, flight: Flight, request: Request) -> tuple[Target, bool]:
        """Apply the first rule that fits; returns where the call goes, and whether it must stay there."""
        rule = self._rule(request)
        pinned = bool(request.call.pinned)
        if rule is None or (pinned and not rule.confine):
            return (self._pinned_target(request), True) if pinned else (self._target(request.model, None), False)
        flight.draft.rule = rule.id
        target = self._target(self._model(request.catalog, rule.model) if rule.model else request.model, rule)
        return (self._pinned_target(request, target), True) if pinned else (target, rule.confine)

    def _rule(self, request: Request) -> Rule | None:
        return match(request.catalog.rules, self._facts(request)) if request.catalog.rules else None

    def kind(self, request: Request) -> Kind:
        """Return what decides who may serve the call at all."""
        return Kind(request.call.operation, needs_of(request.call), request.principal.data_zone, bool(request.call.pinned))

    async def plan(self, request: Request, target: Target, kind: Kind) -> tuple[Plan, Load]:
        """Order the target's pool for this call."""
        call = request.call
        size, ceiling = len(call.body), call.max_output_tokens
        # A body has at least as many bytes as its prompt has tokens: most calls need no count to be known to fit.
        fits = target.window is None or size + (ceiling or 0) <= target.window
        load = Load(
            prompt_tokens=size // BYTES_PER_TOKEN if fits else (await self.count(call, target.model)).at_least,
            output_tokens=(ceiling or DEFAULT_OUTPUT_TOKENS) * call.choices,
            ceiling_tokens=ceiling or 0,
            affinity=affinity_of(request, target.model) if target.strategy == "consistent-hash" else "",
            price=self.prices(request),
        )
        return self._planner.plan(target, kind, load, self._clock.now_s()), load

    def prices(self, request: Request) -> Callable[[Deployment], Price | None]:
        """Return what the caller pays for a deployment at this moment."""
        if not request.catalog.tenant_prices:
            return self._own_price
        utc = self._clock.utc()
        return lambda deployment: request.catalog.price(deployment, request.principal.tenant, utc)

    def _own_price(self, deployment: Deployment) -> Price | None:
        price = deployment.price
        return price.at(self._clock.utc()) if price is not None and price.later else price

    async def _serve(self, flight: Flight, request: Request, target: Target, kind: Kind, *, whole: bool = False) -> Opened:
        plan, load = await self.plan(request, target, kind)
        if not plan.candidates:
            raise refusal(target.model, request.call, kind, plan.rejections)
        flight.draft.model = target.model.id
        terms = Terms(
            deadline_s=request.deadline_s,
            attempt_timeout_s=target.model.attempt_timeout_s,
            priority=PRIORITIES[request.labels.priority],
            tokens=load.prompt_tokens + load.output_tokens,
            price=load.price,
            budget=self._budgets.get(target.model.id) or self._budgets.setdefault(target.model.id, RetryBudget()),
            whole=whole,
            capabilities=target.model.capabilities,
        )
        opened = await self._attempts.open(flight, request.call, plan, terms)
        flight.draft.reason = opened.candidate.reason
        return opened

    async def ask(self, flight: Flight, request: Request, model: str, messages: list[dict[str, Any]], max_tokens: int) -> str:
        """Ask another model about a call, for the gateway itself; what it costs stays with the call, which goes on as it was.

        Args:
            flight: The call's.
            request: The call.
            model: The public name of the other one.
            messages: In chat's form.
            max_tokens: How long its answer may be.

        Returns:
            The answer's text.

        Raises:
            GatewayError: It cannot be asked; PermissionDenied where a rule confines the call.
        """
        rule = self._rule(request)
        if rule is not None and rule.confine:
            raise PermissionDenied("a rule keeps this call where it is; no other model may be asked about it", code="confined")
        call = plain_chat(model, messages, max_tokens, request.call.trace)
        before = flight.pause()
        try:
            opened = await self._ask_whole(flight, msgspec.structs.replace(request, call=call), model)
            flight.set_aside(usage_of(opened), text_of(opened))
            found = read_whole(call.operation, opened)
        finally:
            flight.resume(before)
        return found[0] if found is not None else ""

    async def _ask_whole(self, flight: Flight, request: Request, model: str) -> Opened:
        """Get a model's answer to its end, before anybody else sees it."""
        return await self._serve(flight, request, self._target(self._model(request.catalog, model), None), self.kind(request), whole=True)

    async def _fall_back(self, flight: Flight, request: Request, target: Target, kind: Kind, error: GatewayError, *, whole: bool) -> Opened:
        """Ask the models that the asked one falls back to, by why it failed."""
        policy, tried = target.model.fallbacks, frozenset({target.model.id})
        first = error
        while repeatable(error, safe=request.call.safe) and (following := fallbacks.after(error, policy, tried)) is not None:
            name, why = following
            model = self._model(request.catalog, name)
            tried |= {model.id, name}
            flight.draft.fallback = why
            try:
                return await self._serve(flight, request, self._target(model, None), kind, whole=whole)
            except GatewayError as exc:
                # A fallback that cannot even be asked says nothing about the call; the failure before it still stands.
                error = exc if isinstance(exc, UpstreamError) else error
        if policy.static is not None and request.call.operation in ANSWERED_IN_TEXT and fallbacks.class_of(first) == "any":
            flight.draft.model = request.model.id  # the operator speaks for the model that was asked for
            return open_canned(flight, request.call, policy.static, self._providers, int(self._clock.utc().timestamp()))
        raise error

    def _target(self, model: Model, rule: Rule | None) -> Target:
        """Return the model or the rule's pool as a target; made once for each."""
        key = (model.id, rule.id if rule else "")
        pool = rule.pool if rule and rule.pool else model.pool
        found = self._targets.get(key)
        if found is None or found.model is not model or found.pool is not pool:
            strategy = rule.strategy if rule and rule.strategy else model.strategy
            found = targeted(model, pool, strategy, rule.id) if rule else target_of(model)
            self._targets[key] = found
        return found

    def _pinned_target(self, request: Request, confined: Target | None = None) -> Target:
        """Return the pool that is left of the model's where a call refers to what one deployment, or its resource, holds.

        What a client wrote itself leads to the deployment of that name in the model's pool, or nowhere. An id that we sealed also
        leads to another deployment of the pool on the same resource, or out of the pool, to a fallback's deployment; but never
        out of where a rule keeps the call.
        """
        name, model, pinned = request.call.pinned, request.model, request.catalog.deployments.get(request.call.pinned)
        pool = model.pool if confined is None else confined.pool
        found = tuple(member for member in pool if member.deployment.id == name)
        if not found and pinned is not None and request.call.operation in WITH_IDS:
            found = tuple(member for member in pool if member.deployment.backend.id == pinned.backend.id)
            if not found and confined is None:
                found = (PoolMember(pinned),)
                # What it can do is its own model's to say, not that of the one that fell back to it.
                model = next((each for each in request.catalog.models if any(m.deployment is pinned for m in each.pool)), model)
        if not found and confined is not None:
            message = f"the rule {confined.rule!r} keeps this call away from what it refers to; send the conversation itself instead"
            raise PermissionDenied(message, code="confined")
        if not found:
            raise NotFound("the deployment that holds what the request refers to is not there any more", code="deployment_gone")
        rule = f"{confined.rule} pinned:{name}" if confined else f"pinned:{name}"
        return targeted(model if confined is None else confined.model, found, model.strategy, rule)

    def _model(self, catalog: Catalog, name: str) -> Model:
        model = catalog.find(name)
        if model is None:
            raise ModelNotFound(f"the catalogue leads to the model {name!r}, which it has not got", param="model")
        return model

    async def count(self, call: Call, model: Model) -> Count:
        """Count the prompt's tokens, in a thread where it is long."""
        if len(call.body) > EXACT_UP_TO:
            return await asyncio.to_thread(self._counter.count_prompt, call, model=model.id, exact_up_to=EXACT_UP_TO_IN_THREAD)
        return self._counter.count_prompt(call, model=model.id)

    def _facts(self, request: Request) -> Facts:
        call, principal, labels = request.call, request.principal, request.labels
        return Facts(
            tenant=principal.tenant,
            product=principal.product,
            subscription=principal.subscription,
            key_id=principal.key_id,
            user=labels.user,
            tags=labels.tags,
            model=request.model.id,
            operation=call.operation.value,
            needs=needs_of(call),
            priority=labels.priority,
            utc=self._clock.utc(),
            text=lambda: last_text(call),
            tokens=lambda: self._counter.count_prompt(call, model=request.model.id).tokens,
            labels_found=request.labels_found,
        )
