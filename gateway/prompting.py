"""Step 4 for calls with a prompt or a kept conversation: which version, which variant, and the body that they make.

    reference ──▶ experiment? ──▶ version ──▶ lookups ──▶ rendered ─┐
                                              session's history ────┼─▶ one body, read like any other from here on
                                              the call's own bytes ─┘

What a body is made of besides the call's own bytes is kept in `Origins`, so that it can be made again (`prompts/ingredients.py`).
A call of a model that an experiment varies goes through `vary`, once its model is known.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.captures.record import Captured, Source, inbound_of
from gateway.captures.sheet import Sheet
from gateway.conversations.history import Owner
from gateway.conversations.turns import Turns
from gateway.domain.access import Principal, Product
from gateway.domain.call import Answer, Call, Inbound, Operation
from gateway.domain.catalog import Catalog, Model
from gateway.domain.experiments import Assignment, Experiment
from gateway.domain.labels import SESSION, Labels
from gateway.domain.prompt_body import Message, fits, forced, messages_in
from gateway.domain.prompt_reference import Reference
from gateway.domain.prompts import Prompted, PromptVersion, Rendered
from gateway.domain.strict_json import parse_object
from gateway.errors import PermissionDenied, RequestError, Unavailable
from gateway.experiments.assign import assignment_of, unit_of
from gateway.experiments.memory import ExperimentMemory, for_model, for_prompt
from gateway.lookups.filling import Asking
from gateway.lookups.lookups import Found, Lookups
from gateway.metering.draft import Draft
from gateway.ports import Clock
from gateway.prompts.context import context_of
from gateway.prompts.ingredients import Ingredients, body_of, reference_of
from gateway.prompts.memory import PromptMemory

HISTORY = "x-gateway-history"
USE, OFF = "use", "off"
LARGE_BODY_BYTES = 256 * 1024  # above this a body is read in a thread
PROMPTED = frozenset({Operation.CHAT, Operation.RESPONSES})
_NOTHING_FOUND = Found()


class Origins(msgspec.Struct, frozen=True):
    """Where a call's body comes from, for the rest of the street.

    Attributes:
        prompted: None where it has no prompt.
        assignment: None where it is in no experiment.
        ingredients: What its body was made of.
        owner: Whose conversation its turn is added to; None for nobody's.
        turn: The messages of this call that are added.
    """

    prompted: Prompted | None = None
    assignment: Assignment | None = None
    ingredients: Ingredients = Ingredients()
    owner: Owner | None = None
    turn: tuple[Message, ...] = ()


PLAIN = Origins()


class Prompting:
    """Makes the bodies of calls that name a prompt, continue a conversation, or are varied by an experiment.

    Args:
        prompts: Versions by tenant, name and label.
        experiments: Those that run.
        lookups: Asks the sources of live data.
        turns: Conversations.
        clock: The time.
    """

    def __init__(self, prompts: PromptMemory, experiments: ExperimentMemory, lookups: Lookups, turns: Turns, clock: Clock) -> None:
        self._prompts = prompts
        self._experiments = experiments
        self._lookups = lookups
        self._turns = turns
        self._clock = clock

    async def prepare(
        self, draft: Draft, inbound: Inbound, principal: Principal, product: Product | None, labels: Labels, catalog: Catalog
    ) -> tuple[Inbound, Origins]:
        """Return the request as it is read from here on, and where its body comes from.

        Args:
            draft: Its record.
            inbound: The request, with its body.
            principal: The caller.
            product: The caller's; None where it is gone, which is refused later.
            labels: What the call says about itself.
            catalog: Has the lookups.

        Raises:
            GatewayError: The prompt, its version or a variable is not there or wrong; a lookup or the history failed.
        """
        mode = _history_mode(inbound, labels)
        if inbound.operation not in PROMPTED or not (mode == USE or inbound.path_prompt or b'"prompt"' in inbound.body):
            return inbound, PLAIN
        reference = await _done(inbound, reference_of, inbound)
        if reference is None and mode != USE:
            return inbound, PLAIN
        context = context_of(principal, labels)
        version, assignment, found = None, None, _NOTHING_FOUND
        if reference is not None:
            version, assignment = await self._version(principal, labels, inbound, reference)
            draft.prompt, draft.prompt_version, draft.keeps_sent = version.name, version.version, True
            found = await self._look_up(draft, version, reference, principal, context, catalog)
        owner = _owner(principal, product, labels, mode, version)
        if owner is not None:
            _check_alone(inbound)
        past: tuple[Message, ...] = ()
        if owner is not None and product is not None and product.history is not None:
            past = await self._turns.past(owner, product.history)
        ingredients = Ingredients(version, context, found.values, past, forced_by(assignment))
        body, rendered = await _done(inbound, body_of, inbound, reference, ingredients)
        prompted = Prompted(version, found.text) if version is not None else None
        turn = _turn(inbound, reference, rendered) if owner is not None else ()
        _expose(draft, assignment)
        return _with(inbound, body, ingredients.forced), Origins(prompted, assignment, ingredients, owner, turn)

    async def vary(
        self, draft: Draft, inbound: Inbound, model: Model | None, origins: Origins, principal: Principal, labels: Labels
    ) -> tuple[Inbound, Origins] | None:
        """Return the request as an experiment on its model has it; None where it stays as it is.

        Args:
            draft: Its record.
            inbound: The request, as it was read.
            model: The one that it asks for; None where there is none.
            origins: Where its body comes from; the variant of a prompt's experiment stays.
            principal: The caller.
            labels: What the call says about itself.
        """
        if model is None or inbound.operation not in PROMPTED or origins.assignment is not None:
            return None
        experiments = await self._running(principal.tenant)
        experiment = for_model(experiments, model.id) if experiments else None
        if experiment is None or not fits(inbound.operation, *(each.parameters for each in experiment.variants)):
            return None
        assignment = _assign(experiment, principal, labels, inbound.request_id)
        _expose(draft, assignment)
        ingredients = msgspec.structs.replace(origins.ingredients, forced=forced_by(assignment))
        body = await _done(inbound, forced, inbound.operation, inbound.body, ingredients.forced)
        origins = msgspec.structs.replace(origins, assignment=assignment, ingredients=ingredients)
        return _with(inbound, body, ingredients.forced), origins

    async def remember(self, origins: Origins, product: Product, call: Call, request_id: str, answer: Answer) -> Answer:
        """Return the answer; its turn is added to the conversation once the client has all of it."""
        if origins.owner is None or product.history is None:
            return answer
        return await self._turns.remember(origins.owner, request_id, origins.turn, product.history, answer, call.operation)

    async def _running(self, tenant: str) -> Sequence[Experiment]:
        known = self._experiments.fresh(tenant)
        return known if known is not None else await self._experiments.running(tenant)

    async def _version(
        self, principal: Principal, labels: Labels, inbound: Inbound, reference: Reference
    ) -> tuple[PromptVersion, Assignment | None]:
        """Return the version that a call gets: the one that it asks for, or an experiment's."""
        tenant, name, place = principal.tenant, reference.name, reference.param.removesuffix("variables")
        version = self._prompts.fresh(tenant, name, reference.wanted)
        version = version or await self._prompts.resolve(tenant, name, reference.wanted, place=place)
        experiments = await self._running(tenant)
        experiment = for_prompt(experiments, name, reference.wanted, version.tenant) if experiments else None
        if experiment is None or not fits(inbound.operation, *(each.parameters for each in experiment.variants)):
            return version, None
        assignment = _assign(experiment, principal, labels, inbound.request_id)
        if assignment.variant.version is not None:
            version = await self._prompts.resolve(tenant, name, assignment.variant.version, place=place)
        return version, assignment

    async def _look_up(
        self,
        draft: Draft,
        version: PromptVersion,
        reference: Reference,
        principal: Principal,
        context: Mapping[str, str],
        catalog: Catalog,
    ) -> Found:
        """Return what the version's lookups find."""
        if not version.lookups:
            return _NOTHING_FOUND
        wanted = [catalog.lookups[name] for name in version.lookups if name in catalog.lookups]
        if len(wanted) < len(version.lookups):
            gone = min(set(version.lookups) - catalog.lookups.keys())
            message = f"the lookup {gone!r}, which the prompt {version.name!r} needs, is not in the catalogue any more; ask its operator"
            raise Unavailable(message, code="lookup_failed")
        waiting_s = self._clock.now_s()
        asking = Asking(principal.tenant, principal.data_zone, reference.variables, context, reference.param)
        found = await self._lookups.fetch(wanted, asking)
        draft.upstream_wait_s += self._clock.now_s() - waiting_s
        draft.changes += found.notes
        return found


def forced_by(assignment: Assignment | None) -> Mapping[str, Any]:
    """Return the members of the request that a variant gives it."""
    if assignment is None:
        return {}
    variant = assignment.variant
    return {**variant.parameters, "model": variant.model} if variant.model else variant.parameters


async def _done[**P, R](inbound: Inbound, make: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Make something of a request's body; of a large one in a thread, where it holds up no other call."""
    if len(inbound.body) > LARGE_BODY_BYTES:
        return await asyncio.to_thread(make, *args, **kwargs)
    return make(*args, **kwargs)


def _with(inbound: Inbound, body: bytes, members: Mapping[str, Any]) -> Inbound:
    """Return the request with another body; an Azure path names another model where a variant does."""
    path_model = members.get("model", inbound.path_model) if inbound.path_model else ""
    return msgspec.structs.replace(inbound, body=body, path_model=path_model)


def _assign(experiment: Experiment, principal: Principal, labels: Labels, request_id: str) -> Assignment:
    unit = unit_of(
        experiment,
        tenant=principal.tenant,
        subscription=principal.subscription,
        user=labels.user,
        session=labels.session,
        request_id=request_id,
    )
    return assignment_of(experiment, unit)


def _expose(draft: Draft, assignment: Assignment | None) -> None:
    if assignment is not None and assignment.exposed:
        draft.experiment, draft.variant = assignment.experiment.recorded, assignment.variant.id


def _history_mode(inbound: Inbound, labels: Labels) -> str:
    mode = inbound.headers.get(HISTORY, "").strip().lower()
    if mode not in {"", USE, OFF}:
        raise RequestError(f"the header {HISTORY} must be {USE} or {OFF}", param=HISTORY, code="invalid_value")
    if mode == USE and inbound.operation not in PROMPTED:
        raise RequestError(f"only chat and responses continue a conversation; leave {HISTORY} out", param=HISTORY, code="unsupported_value")
    if mode == USE and not labels.session:
        raise RequestError(f"{HISTORY}: {USE} needs {SESSION}: whose conversation is it?", param=SESSION, code="missing_required_parameter")
    return mode


def _owner(principal: Principal, product: Product | None, labels: Labels, mode: str, version: PromptVersion | None) -> Owner | None:
    """Return whose conversation the call continues; None where it continues none."""
    kept = product is not None and product.history is not None
    if mode == USE and not kept:
        message = f"your product keeps no conversations; leave {HISTORY} out, and send the messages so far, or ask its operator"
        raise PermissionDenied(message, param=HISTORY, code="history_not_kept")
    if not kept or mode == OFF or not labels.session or not (mode == USE or (version is not None and version.history)):
        return None
    return Owner(principal.tenant, principal.subscription, labels.user, labels.session)


def _check_alone(inbound: Inbound) -> None:
    """Refuse a request that continues a conversation which its backend keeps: it would be told everything twice."""
    document = parse_object(inbound.body)
    for name in ("previous_response_id", "conversation"):
        if inbound.operation is Operation.RESPONSES and document.get(name) is not None:
            message = f"'{name}' continues what the backend keeps, and {HISTORY} what the gateway keeps; use one of them"
            raise RequestError(message, param=name, code="unsupported_value")


def _turn(inbound: Inbound, reference: Reference | None, rendered: Rendered) -> tuple[Message, ...]:
    """Return the messages of this call that its conversation keeps: the user's and the tools', but nothing of the operator's."""
    own = inbound.body if reference is None else reference.body
    said = [*messages_in(inbound.operation, parse_object(own)), *rendered.after]
    return tuple(message for message in said if message.get("role") not in {"system", "developer"})


def expanded(captured: Captured, version: PromptVersion | None) -> bytes:
    """Return the body that a captured call's request was expanded to, made again; see `captures/rebuild.py`."""
    inbound, source = inbound_of(captured, captured.body), captured.source
    if captured.operation not in PROMPTED:
        return captured.body
    context, lookups = (source.context, source.lookups) if source is not None else ({}, {})
    reference = reference_of(inbound) if source is not None else None
    return body_of(inbound, reference, Ingredients(version, context, lookups, captured.history, captured.forced))[0]


def note(sheet: Sheet, origins: Origins) -> None:
    """Write on a call's capture what its body was made of."""
    made, assignment = origins.ingredients, origins.assignment
    version, source = made.version, None
    if version is not None:
        looked_up = origins.prompted.looked_up if origins.prompted is not None else ""
        source = Source(version.tenant, version.name, version.version, version.hash, made.context, made.lookups, looked_up)
    experiment, variant = (assignment.experiment.id, assignment.variant.id) if assignment is not None else ("", "")
    sheet.expanded(source=source, history=made.past, experiment=experiment, variant=variant, forced=made.forced)
