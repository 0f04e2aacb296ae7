"""Step 7, and the guardrails' part of step 11: which of them hold for a call, and what they did to it.

Those of the caller's product, then its tenant's own rules, in the order cheap before dear. What they take is `guard_s` of the
record; what they said is in `draft.verdicts`, and from there in the record, in x-gateway-guardrails and in an explanation.
"""

import asyncio
import fnmatch
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

import msgspec

from gateway.domain.access import Principal, Product
from gateway.domain.deployment import Backend
from gateway.domain.guardrails import Action, Direction, Guardrail, JsonSchema, TenantRule
from gateway.domain.labels import session_key
from gateway.domain.request import Request
from gateway.domain.verdicts import Finding, Outcome, Reading
from gateway.errors import GatewayError, GuardrailUnavailable, UpstreamError
from gateway.guardrails.build import NoService, order_of
from gateway.guardrails.guarded import Guarded, Lineup, line_up
from gateway.guardrails.kinds import Guard
from gateway.guardrails.masking.vault import Vault
from gateway.guardrails.rules.schema import SchemaCheck, repair_call
from gateway.guardrails.seen import Seen
from gateway.guardrails.tally import Tally
from gateway.metering.draft import Draft
from gateway.opening import Opened, read_whole, text_of, usage_of
from gateway.ports import Clock
from gateway.settlement import Flight

# So many combinations of guardrails and tenants are remembered, by each worker.
REMEMBERED_CHAINS = 1024


class OpenCall(Protocol):
    """Steps 9 and 10."""

    async def __call__(self, flight: Flight, request: Request, *, whole: bool = False) -> Opened:
        """Return an answer that has begun; with `whole` one that was read to its end."""


class Guardian:
    """Puts calls under guard.

    Args:
        build: Makes a guardrail ready to run.
        vault: Where sessions' placeholders are.
        clock: The time.
    """

    def __init__(self, build: Callable[[Guardrail], Guard], vault: Vault, clock: Clock) -> None:
        self._build = build
        self._vault = vault
        self._clock = clock
        self._seen = Seen()
        self._built: dict[tuple[str, str], tuple[Guardrail, Guard]] = {}
        self._building = threading.Lock()  # they are built in threads
        self._chains: OrderedDict[tuple[tuple[str, ...], str, str], tuple[object, tuple[TenantRule, ...], Lineup]] = OrderedDict()

    async def inspect(self, draft: Draft, request: Request, product: Product) -> tuple[Request, Guarded | None]:
        """Inspect a request.

        Args:
            draft: Takes the verdicts.
            request: The call.
            product: The caller's.

        Returns:
            The request as it goes to the model, and what guards its answer; None where nothing holds for it.

        Raises:
            GuardrailBlocked: A guardrail refuses it.
            GuardrailUnavailable: One that fails closed could not run.
        """
        form = _form_of(request)
        if not product.guardrails and not request.principal.rules and form is None:
            return request, None
        lineup = await self._guards(request, product)
        if form is not None:
            lineup = await asyncio.to_thread(self._formed, lineup, form, request.principal.tenant)
        started_s = self._clock.now_s()
        guarded = Guarded(lineup, self._vault, request.principal.tenant, _session(request), draft.verdicts.append, self._clock, self._seen)
        try:
            inserted = request.prompted.looked_up if request.prompted is not None else ""
            call = await guarded.request(request.call, request.looked_up, inserted)
        finally:
            draft.guard_s += self._clock.now_s() - started_s
        labels = frozenset([each.label for each in draft.verdicts if each.label])
        if call is request.call and not labels:
            return request, guarded
        if call is not request.call:
            draft.changes.append("guarded")
        return msgspec.structs.replace(request, call=call, labels_found=labels), guarded

    async def open(self, open_call: OpenCall, flight: Flight, request: Request, guarded: Guarded) -> Opened:
        """Open a call whose request has been inspected.

        Args:
            open_call: Steps 9 and 10.
            flight: The call's.
            request: As it goes to the model.
            guarded: What guards it.

        Raises:
            GatewayError: Nobody could answer, or a guardrail refuses the request or the answer's form.
        """
        form = guarded.form
        try:
            opened = await open_call(flight, request) if form is None else await self._in_form(open_call, flight, request, form, guarded)
        except UpstreamError as exc:
            guarded.told(exc)
            raise
        await self._settled(flight, guarded, opened)
        return opened

    async def _settled(self, flight: Flight, guarded: Guarded, opened: Opened) -> None:
        """Wait for what was asked beside the model; an answer that may not be given is let go.

        Raises:
            GuardrailBlocked: A guardrail refuses the request.
            GuardrailUnavailable: One that fails closed could not run.
        """
        started_s = self._clock.now_s()
        try:
            await guarded.settled()
        except GatewayError:
            opened.response.close()
            flight.usage = usage_of(opened)  # it was made, and is paid for
            raise
        finally:
            flight.draft.guard_s += self._clock.now_s() - started_s

    async def _in_form(self, open_call: OpenCall, flight: Flight, request: Request, guard: Guard, guarded: Guarded) -> Opened:
        """Open a call whose answer must have a form; one that has not is asked for once more, with what was wrong.

        Raises:
            UpstreamError: `answer_invalid`: the model's answer does not have it.
        """
        config = guard.config
        assert isinstance(config, JsonSchema)  # of no other type is there a form
        check, tally = SchemaCheck(config), Tally(guard, Direction.OUTPUT)
        opened = await open_call(flight, request, whole=True)
        fault = await self._fault(check, request, opened, guarded, tally)
        outcome = None
        if fault is not None and (config.repair or await self._insists(request, opened, guarded, tally)):
            again = msgspec.structs.replace(request, call=repair_call(request.call, text_of(opened), fault))
            flight.set_aside(usage_of(opened), text_of(opened))
            opened.response.close()
            opened = await open_call(flight, again, whole=True)
            fault = await self._fault(check, request, opened, guarded, tally)
            outcome = Outcome.REPAIRED if fault is None else None
        tally.add(Reading((Finding(0, 0, "json_schema", reason=fault),) if fault is not None else ()), 0)
        refused = fault is not None and (guard.action is Action.BLOCK or await self._insists(request, opened, guarded, tally))
        flight.draft.verdicts.append(tally.verdict(Outcome.BLOCKED if refused else outcome))
        flight.draft.guard_s += tally.ms / 1000
        if refused:
            opened.response.close()
            flight.usage = usage_of(opened)
            raise UpstreamError(
                f"the model's answer does not have the form that the guardrail {config.id!r} asks for; retry, or ask more simply",
                code="answer_invalid",
            )
        return opened

    async def _fault(self, check: SchemaCheck, request: Request, opened: Opened, guarded: Guarded, tally: Tally) -> str | None:
        """Return what is wrong with an answer's form; None where nothing is, or where it is no text: a call of a tool, another's words."""
        started_s = self._clock.now_s()
        read = read_whole(request.call.operation, opened)
        if read is None or read[1] or (opened.completion is None and not opened.held):
            return None
        text = guarded.original(read[0])
        fault = await asyncio.to_thread(check.fault, text)  # some schemas take the square of its length: other calls go on meanwhile
        tally.add(Reading(), len(text))
        tally.ms += (self._clock.now_s() - started_s) * 1000
        return fault

    async def _insists(self, request: Request, opened: Opened, guarded: Guarded, tally: Tally) -> bool:
        """Tell whether an answer misses the form that the call's prompt asks for, whatever the product's guardrail does about its own."""
        form = _form_of(request)
        if form is None or guarded.form is None:
            return False
        beside = Tally(guarded.form, Direction.OUTPUT)  # the text is counted once
        fault = await self._fault(SchemaCheck(form), request, opened, guarded, beside)
        tally.ms += beside.ms
        return fault is not None

    async def _guards(self, request: Request, product: Product) -> Lineup:
        """Return the guardrails that hold for a call, in their order; put together once."""
        principal, known = request.principal, request.catalog.guardrails
        key = (product.guardrails, principal.tenant, principal.data_zone)
        found = self._chains.get(key)
        if found is None or found[0] is not known or (found[1] is not principal.rules and found[1] != principal.rules):
            guards = await asyncio.to_thread(self._put_together, request, product)  # thousands of terms take their time
            found = self._chains[key] = (known, principal.rules, guards)
            if len(self._chains) > REMEMBERED_CHAINS:
                self._chains.popitem(last=False)
        return found[2]

    def _put_together(self, request: Request, product: Product) -> Lineup:
        principal, known = request.principal, request.catalog.guardrails
        missing = [name for name in product.guardrails if name not in known]
        if missing:
            raise GuardrailUnavailable(f"the guardrail {missing[0]!r} of your product no longer exists; ask the gateway's operator")
        guards = [self._ready("", known[name]) for name in product.guardrails if _holds(known[name], principal)]
        guards += [self._ready(principal.tenant, rule) for rule in principal.rules if _holds(rule, principal)]
        zoned = partial(_in_zone, principal.data_zone, request.catalog.guard_backends)
        return line_up(sorted(map(zoned, guards), key=order_of))

    def _formed(self, lineup: Lineup, form: JsonSchema, tenant: str) -> Lineup:
        """Return the guardrails with the form that a prompt asks for; an answer must have that of the product's guardrail as well."""
        if lineup.form is not None:
            config = lineup.form.config
            assert isinstance(config, JsonSchema)
            both = [{**config.schema, "$id": "urn:guardrail"}, {**form.schema, "$id": "urn:prompt"}]  # where their references start
            form = msgspec.structs.replace(config, id=f"{config.id} {form.id}", schema={"allOf": both})
        return msgspec.structs.replace(lineup, form=self._ready(tenant, form))

    def _ready(self, tenant: str, config: Guardrail) -> Guard:
        """Return a guardrail that is ready to run; made once for all the products that name it."""
        key = (tenant, config.id)
        found = self._built.get(key)
        if found is None or found[0] != config:
            found = (config, self._build(config))
            with self._building:
                self._built[key] = found
                if len(self._built) > REMEMBERED_CHAINS:
                    self._built.pop(next(iter(self._built)))
        return found[1]

    async def warm(self, guardrails: Mapping[str, Guardrail], names: Iterable[str]) -> None:
        """Load what the first call would wait for: the models of the guardrails that products name."""
        await asyncio.to_thread(self._warm, [guardrails[name] for name in names if name in guardrails])

    def _warm(self, configs: Sequence[Guardrail]) -> None:
        for config in configs:
            guard = self._ready("", config)
            if guard.detector is not None:
                guard.detector.read("How long does it take to begin?")


def _form_of(request: Request) -> JsonSchema | None:
    """Return the form that the call's prompt asks its answer to have."""
    version = request.prompted.version if request.prompted is not None else None
    if version is None or version.output_schema is None:
        return None
    return JsonSchema(id=f"prompt:{version.name}.{version.version}", schema=version.output_schema)


def _holds(config: Guardrail, principal: Principal) -> bool:
    return not config.tenants or any(fnmatch.fnmatchcase(principal.tenant, glob) for glob in config.tenants)


def _in_zone(zone: str, backends: Mapping[str, Backend], guard: Guard) -> Guard:
    """Keep a pinned tenant's texts away from a service outside its data zone: there the guardrail cannot run."""
    backend = backends.get(getattr(guard.config, "language_backend", ""))
    if backend is None or zone in ("", backend.data_zone):
        return guard
    return msgspec.structs.replace(guard, service=NoService("its backend lies outside the tenant's data zone"))


def _session(request: Request) -> str:
    """Return what the calls of a session share; empty where the call belongs to none."""
    labels = request.labels
    return session_key(request.principal.subscription, labels.user, labels.session) if labels.session else ""
