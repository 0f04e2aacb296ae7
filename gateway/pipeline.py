"""A request's way through the gateway, in the order in which it happens.

1. **receive** the route turns the HTTP request into `Inbound`; its body is read only once the caller is known.
2. **authenticate** key → `Principal`.
3. **read** the body, strictly → `Call`; what we do not act on rides along in the client's own bytes.
4. **resolve** a prompt of the library → its version, rendered, with the session's history: one body (`prompting.py`); the public
   model's name → model; an experiment → variant; an id that an earlier answer carried → its deployment.
5. **authorize** the model against the caller's product.
6. **admit** what fits the model's window (`conversing.py`): what the call may use at most → reserved from every limit; refused = 429,
   or 403 for quotas and budgets.
7. **guard input** allow | redact | block; what is asked of a service runs at once, or beside the model where it is said so.
8. **look up** the cache (its place is here; it is still to come).
9. **plan** rules → tiers, pool or fallbacks; each pool → ordered candidates, with the reason for each (`dispatch.py`).
10. **attempt** encode → send → first content. Until then an error is classified and decided: next candidate, another model, or stop.
11. **answer** decode → guarded, on streams by a window → the client's JSON, or its stream (`answering.py`). After the first content
    an error ends the stream as one typed event.
12. **settle** exactly once, also when the client disconnects: usage → cost → reservation → usage record. It never awaits.

Order rule: cheap before dear, free before paid, refusal before spending. Every surface goes down this street.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from gateway.access.authenticate import Authenticator
from gateway.access.authorize import authorize, find_model, find_origin
from gateway.admission import Admission, units_at_most
from gateway.answering import Answering, served_by
from gateway.cached import Cached
from gateway.captures.capture import Captures
from gateway.conversing import Conversing
from gateway.costcheck import planned
from gateway.dispatch import Dispatcher
from gateway.domain.access import Principal, Product
from gateway.domain.call import Answer, Call, Inbound, Operation
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deadline import read_timeout_s
from gateway.domain.labels import Labels, read_labels
from gateway.domain.policy import LifecycleState
from gateway.domain.readers import READERS
from gateway.domain.request import Request
from gateway.domain.response_ids import WITH_IDS, Ids, unseal
from gateway.domain.trace import Trace, continue_trace
from gateway.enrichment import enrich
from gateway.errors import GatewayError, RequestError
from gateway.explain import explain, wanted
from gateway.guarding import Guardian
from gateway.guardrails.guarded import Guarded
from gateway.metering.draft import Draft
from gateway.opening import Opened
from gateway.ports import Clock, Upstream
from gateway.prompting import PLAIN, Origins, Prompting, note
from gateway.relay import Noting
from gateway.routing.health import Health
from gateway.routing.lifecycle import refuse_retired
from gateway.settlement import Flight, Settlement

type ReceiveBody = Callable[[], Awaitable[bytes]]
# Answers what is no call of a model.
type Service = Callable[[Inbound, ReceiveBody, Principal, Catalog], Awaitable[Answer]]

# Above this a body is parsed in a thread: it would hold up the other calls for milliseconds.
LARGE_BODY_BYTES = 256 * 1024


class Pipeline:
    """The street. Every dependency is a value or a port; `container.py` builds it, tests build it from fakes.

    Args:
        catalog: What can serve, as it stands now.
        authenticator: Step 2.
        products: Products by id, for steps 4 and 5.
        conversing: What does not fit a model's window.
        admission: Step 6.
        guardian: Step 7.
        dispatcher: Steps 9 and 10.
        answering: Step 11.
        health: How the deployments do.
        settlement: Step 12.
        ids: Seals what leads back to a deployment.
        upstream: The network, for what is looked up before a call.
        clock: The time.
        request_timeout_s: How long an answer may take to begin.
        services: What is no call of a model, by operation.
        prompting: Step 4, for calls with a prompt, a history or an experiment; None where bodies come as they are.
        captures: Keeps calls for replays; None keeps none.
    """

    def __init__(
        self,
        *,
        catalog: Callable[[], Awaitable[Catalog]],
        authenticator: Authenticator,
        products: Cached[Product],
        conversing: Conversing,
        admission: Admission,
        guardian: Guardian,
        dispatcher: Dispatcher,
        answering: Answering,
        health: Health,
        settlement: Settlement,
        ids: Ids,
        upstream: Upstream,
        clock: Clock,
        request_timeout_s: float,
        services: Mapping[Operation, Service],
        prompting: Prompting | None = None,
        captures: Captures | None = None,
    ) -> None:
        self._catalog = catalog
        self._authenticator = authenticator
        self._products = products
        self._conversing = conversing
        self._prompting = prompting
        self._captures = captures
        self._services = services
        self._admission = admission
        self._guardian = guardian
        self._dispatcher = dispatcher
        self._answering = answering
        self._health = health
        self._settlement = settlement
        self._ids = ids
        self._ids_ready = False
        self._upstream = upstream
        self._clock = clock
        self._request_timeout_s = request_timeout_s

    async def serve(self, inbound: Inbound, receive_body: ReceiveBody) -> Answer:
        """Answer an inference call.

        Args:
            inbound: The request, its body still empty.
            receive_body: Reads the body; called only once the caller is known.

        Raises:
            GatewayError: The refusal or failure, after it was recorded.
        """
        draft = Draft(inbound)
        trace = continue_trace(inbound.headers.get("traceparent"))
        draft.trace_id = trace.trace_id
        flight, guarded = Flight(draft), None
        try:
            with Noting(draft):
                principal = draft.principal = await self._authenticator.authenticate(inbound)
                catalog = await self._catalog()
                if inbound.operation not in READERS:
                    return await self._beside(draft, inbound, receive_body, catalog)
                inbound = msgspec.structs.replace(inbound, body=await receive_body())
                labels = read_labels(inbound.headers, principal.user)
                product = await self._products.get(principal.product)
                call, model, origins = await self._resolve(draft, inbound, product, labels, catalog, trace)
                product = authorize(principal, product, model, call.operation)
                for name in origins.prompted.asks if origins.prompted is not None else ():
                    authorize(principal, product, find_model(catalog, name, call.surface), Operation.CHAT)
                if model.lifecycle.state is not LifecycleState.ACTIVE:
                    refuse_retired(model, self._clock.utc())
                if call.origin:
                    call, origin = find_origin(catalog, call, model)
                    refuse_retired(origin, self._clock.utc())
                    authorize(principal, product, origin, call.operation)
                deadline_s = inbound.received_s + read_timeout_s(inbound.headers, self._request_timeout_s)
                request = Request(call, model, catalog, principal, labels, deadline_s, prompted=origins.prompted)
                request = await self._conversing.fit(draft, request, product)
                if wanted(inbound.headers):
                    return await explain(self._dispatcher, self._guardian, self._health, flight, request, product, self._clock.now_s())
                if product.call_cost is not None:
                    request = await self._confirm(flight, request, product)
                flight.reservation = await self._admission.admit(draft, request, product)
                request = await self._shape(draft, request)
                request, guarded = await self._guardian.inspect(draft, request, product)
                draft.changed("guardrails", request.call)
                request = await self._conversing.summarise(flight, request, product)
                flight.call = request.call
                opened = await self._open(flight, request, guarded)
                answer = await self._answering.answer(flight, request, opened, guarded)
                if origins.owner is not None and self._prompting is not None:
                    answer = await self._prompting.remember(origins, product, request.call, inbound.request_id, answer)
                return answer if draft.sheet is None else draft.sheet.told(answer)
        finally:
            if guarded is not None:
                guarded.close()
            if not flight.handed_over:
                self._settlement.settle(flight)

    async def refuse(self, inbound: Inbound, error: GatewayError) -> Answer:
        """Record a request that no route serves, and raise its error."""
        flight = Flight(Draft(inbound))
        flight.draft.fail(error)
        self._settlement.settle(flight)
        raise error

    async def administer(self, inbound: Inbound, act: Callable[[Principal], Awaitable[Answer]]) -> Answer:
        """Do a management call: authenticate the administrator, act, record."""
        draft = Draft(inbound)
        try:
            with Noting(draft):
                draft.principal = await self._authenticator.authenticate_administrator(inbound)
                answer = await act(draft.principal)
                draft.status = answer.status
                return answer
        finally:
            self._settlement.settle(Flight(draft))

    async def _confirm(self, flight: Flight, request: Request, product: Product) -> Request:
        """Ask before a dear call, or let a cheaper model draft its answer."""
        sizes, headers = await self._admission.sizes(request), flight.draft.inbound.headers
        request, flight.plan = planned(request, product, headers, sizes, units_at_most(request.call), self._clock.utc())
        if flight.plan:
            flight.draft.changes.append("drafted")
        return request

    async def _open(self, flight: Flight, request: Request, guarded: Guarded | None) -> Opened:
        """Steps 9 and 10; a failure says how far they came."""
        try:
            if guarded is None:
                return await self._dispatcher.open(flight, request)
            return await self._guardian.open(self._dispatcher.open, flight, request, guarded)
        except GatewayError as exc:
            exc.headers = {**exc.headers, **served_by(flight.draft)}
            raise

    async def _shape(self, draft: Draft, request: Request) -> Request:
        """Put what the operator looks up into the prompt; refuse what cannot be transformed on its way back."""
        model, prompted = request.model, request.prompted
        steps = prompted is not None and prompted.version.steps
        if request.call.stream and (model.transform or steps):
            who = f"the model {model.id!r} rewrites its" if model.transform else "this prompt has steps that change its"
            message = f"{who} answers as a whole, so they cannot be streamed; leave out 'stream'"
            raise RequestError(message, param="stream", code="unsupported_value")
        if not model.enrich:
            return request
        started_s = self._clock.now_s()
        call, notes, looked_up = await enrich(request, model.enrich, self._upstream)
        draft.changes += notes
        draft.upstream_wait_s += self._clock.now_s() - started_s
        draft.changed("context", call, {"text": looked_up} if notes == ["enriched"] else None)
        return msgspec.structs.replace(request, call=call, looked_up=looked_up)

    async def _ids_loaded(self) -> None:
        """Import what seals ids in a thread, once: it takes longer than a call may be held up."""
        if not self._ids_ready:
            await asyncio.to_thread(self._ids.load)
            self._ids_ready = True

    async def _beside(self, draft: Draft, inbound: Inbound, receive_body: ReceiveBody, catalog: Catalog) -> Answer:
        """Answer what is no call of a model: the lists of models and prompts, feedback, a session's erasure."""
        assert draft.principal is not None
        answer = await self._services[inbound.operation](inbound, receive_body, draft.principal, catalog)
        draft.status = answer.status
        return answer

    async def _resolve(
        self, draft: Draft, inbound: Inbound, product: Product | None, labels: Labels, catalog: Catalog, trace: Trace
    ) -> tuple[Call, Model, Origins]:
        """Return what is asked for: the request with its prompt, its history and its variant in it, and the model."""
        principal, sheet = draft.principal, None
        assert principal is not None  # it was authenticated
        if product is not None and self._captures is not None and not wanted(inbound.headers):
            sheet = draft.sheet = self._captures.begin(inbound, inbound.body, principal, product)
            draft.keeps_sent = sheet is not None
        origins, prompting = PLAIN, self._prompting
        if prompting is not None:
            inbound, origins = await prompting.prepare(draft, inbound, principal, product, labels, catalog)
        call = await self._read(inbound, trace)
        draft.model, draft.stream = call.model, call.stream
        if prompting is not None:
            varied = await prompting.vary(draft, inbound, catalog.find(call.model), origins, principal, labels)
            if varied is not None:
                inbound, origins = varied
                call = await self._read(inbound, trace)
        if sheet is not None:
            note(sheet, origins)
            sheet.read(call)
        if call.operation in WITH_IDS:
            await self._ids_loaded()
            call = unseal(call, principal.tenant, self._ids, _resources(catalog))
            draft.changed("ids", call)
        draft.model = call.model
        model = find_model(catalog, call.model, call.surface)
        draft.model = model.id
        return call, model, origins

    async def _read(self, inbound: Inbound, trace: Trace) -> Call:
        if len(inbound.body) > LARGE_BODY_BYTES:
            return await asyncio.to_thread(READERS[inbound.operation], inbound, trace.traceparent)
        return READERS[inbound.operation](inbound, trace.traceparent)


def _resources(catalog: Catalog) -> Callable[[str], str]:
    """Return what tells a deployment's resource: what one deployment of it encrypted another one can read."""

    def resource_of(deployment_id: str) -> str:
        deployment = catalog.deployments.get(deployment_id)
        return deployment.backend.id if deployment is not None else deployment_id

    return resource_of
