"""Step 10: the one loop that talks to backends, until one of them begins to answer.

A candidate is asked once it has a place for us (`routing/gate.py`). A plain answer counts when it is complete and read; a
stream counts when its first content is proved, and what came before is held so long: whatever fails until then fails over
and the client sees nothing of it. Each attempt is told to health exactly once, and its place is given back exactly once:
at once where it failed, at settlement where it answers.
"""

import asyncio
import logging
import random
from collections.abc import Callable

import msgspec

from gateway.domain.call import Call, Candidate, Operation, Plan, Usage
from gateway.domain.deployment import Deployment, Price, Protocol
from gateway.errors import (
    ContentFiltered,
    GatewayError,
    NoCapacity,
    RequestError,
    UpstreamError,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamTimeout,
)
from gateway.metering.draft import Draft
from gateway.opening import Opened, first_content, is_stream
from gateway.ports import Clock, Provider, Upstream
from gateway.routing.attempt import is_evidence
from gateway.routing.budget import RetryBudget
from gateway.routing.decide import after_failure
from gateway.routing.gate import Gates, Priority
from gateway.routing.health import Attempt, Health
from gateway.settlement import Flight

log = logging.getLogger(__name__)

# A plain call that its client gives less time than this says nothing of a deployment by running out of it.
PLAIN_TIMEOUT_S = 30.0
# Failures that are no news to an operator: the client's request, or a backend's own limit.
_NOT_THE_OPERATORS = (UpstreamRejected, ContentFiltered, UpstreamThrottled)

# Protocols whose answers say when they were made.
_TELLS_TIME = frozenset({Protocol.AZURE_OPENAI, Protocol.OPENAI})

type ProviderFor = Callable[[str, Operation, tuple[str, ...]], Provider | None]


class Terms(msgspec.Struct, frozen=True):
    """What holds for all attempts of one call.

    Attributes:
        deadline_s: On the Clock: when an answer must have begun.
        attempt_timeout_s: The longest that one deployment may take to begin.
        priority: Who goes first where calls queue.
        tokens: What the call is taken to use, for the model of a deployment's load.
        price: What the caller pays for a deployment.
        whole: A stream is held to its end, because somebody will look at all of it before the client does.
        budget: What extra attempts are taken from.
        capabilities: The model's, of a deployment that names none of its own: with some a backend does itself what else is a chat.
    """

    deadline_s: float
    attempt_timeout_s: float | None
    priority: Priority
    tokens: int
    price: Callable[[Deployment], Price | None]
    budget: RetryBudget
    whole: bool = False
    capabilities: tuple[str, ...] = ()


class Hold:
    """A place at a deployment and an attempt's standing with health; `release` gives both back, once."""

    __slots__ = ("_attempt", "_clock", "_deployment", "_gates", "_released", "_since_s")

    def __init__(self, attempt: Attempt, deployment: Deployment, gates: Gates, clock: Clock, since_s: float) -> None:
        self._attempt = attempt
        self._deployment = deployment
        self._gates = gates
        self._clock = clock
        self._since_s = since_s
        self._released = False

    def release(self, tokens: int) -> None:
        """Give it back, having used these tokens; a second time does nothing."""
        if not self._released:
            self._released = True
            now_s = self._clock.now_s()
            self._attempt.end(now_s, tokens)
            self._gates.leave(self._deployment, now_s - self._since_s)

    def broke(self, error: GatewayError) -> None:
        """Note that the answer broke off after it had begun."""
        self._attempt.broke(self._clock.now_s(), error)


class Attempts:
    """Makes attempts.

    Args:
        health: Told how each of them went.
        gates: Lets them in.
        providers: The provider of a protocol and operation.
        upstream: The network.
        clock: The time.
        rng: Jitter.
    """

    def __init__(
        self,
        *,
        health: Health,
        gates: Gates,
        providers: ProviderFor,
        upstream: Upstream,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._health = health
        self._gates = gates
        self._providers = providers
        self._upstream = upstream
        self._clock = clock
        self._rng = rng

    async def open(self, flight: Flight, call: Call, plan: Plan, terms: Terms) -> Opened:
        """Try the plan's candidates until one answers.

        Raises:
            GatewayError: The last attempt's failure, or NoCapacity where none could be made.
        """
        draft, remaining = flight.draft, plan.candidates
        error: GatewayError | None = None
        attempts = 0
        if self._clock.now_s() >= terms.deadline_s:  # another model took all the time there was
            raise UpstreamTimeout("the call's time was over before this model could be asked; retry, or raise x-gateway-timeout-ms")
        while remaining:
            entered = self._gates.enter_now(remaining)
            if entered is not remaining[0]:
                remaining = await self._enter(flight, remaining, entered, terms)
            if not attempts:
                terms.budget.earn()
            attempts += 1
            draft.attempts += 1
            candidate = remaining[0]
            try:
                return await self._attempt(flight, call, candidate, terms)
            except RequestError as exc:  # what this backend's protocol cannot say, another's may
                error = error or exc  # it says nothing of why an earlier one failed
                self._note(flight, candidate, exc)
                remaining = remaining[1:]
                attempts -= 1  # nobody was asked
                draft.attempts -= 1
                continue
            except GatewayError as exc:
                error = exc
                self._note(flight, candidate, exc)
            decision = after_failure(error, plan, remaining, attempts, self._rng, budget=terms.budget, safe=call.safe)
            waiting_s = self._clock.now_s()
            remaining = decision.candidates if waiting_s + decision.wait_s < terms.deadline_s else ()
            if remaining and decision.wait_s:
                await self._clock.sleep(decision.wait_s)
                draft.upstream_wait_s += self._clock.now_s() - waiting_s
            remaining = self._still_open(remaining)
        if isinstance(error, UpstreamThrottled):
            error.retry_after_s = self._soonest(plan, error.retry_after_s)
        raise error or NoCapacity("no deployment serves the model just now; retry later")

    def _soonest(self, plan: Plan, wait_s: float | None) -> float | None:
        """Return when the first of the pool may be asked again, whichever of them spoke last."""
        now_s = self._clock.now_s()
        blocks = [self._health.blocked(each.deployment, now_s) for each in plan.candidates]
        waits = [block.until_s - now_s for block in blocks if block is not None]
        waits += [each.retry_after_s for each in plan.rejections if each.retry_after_s is not None]
        return min(waits, default=wait_s)

    def _still_open(self, remaining: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Leave out whom others found to be failing, or were told to wait for, since the plan was made."""
        now_s = self._clock.now_s()
        blocks = [(each, self._health.blocked(each.deployment, now_s)) for each in remaining]
        return tuple(each for each, block in blocks if block is None or (each.last_resort and block.code == "open"))

    async def _enter(
        self, flight: Flight, remaining: tuple[Candidate, ...], entered: Candidate | None, terms: Terms
    ) -> tuple[Candidate, ...]:
        """Get a place, unless there is one, and return the candidates with the one that has it in front.

        A deployment that turned bad while calls waited gives its places back fast: it must not draw all that wait.
        """
        while entered is None:
            waiting_s = self._clock.now_s()
            try:
                entered = await self._gates.enter(remaining, terms.priority, max(terms.deadline_s - waiting_s, 0.001))
            finally:
                flight.draft.queue_s += self._clock.now_s() - waiting_s
            better = self._still_open(remaining)
            if not better or entered in better:
                break
            self._gates.pass_on(entered.deployment)
            remaining = better
            entered = self._gates.enter_now(remaining)
        if entered is remaining[0]:
            return remaining
        return (entered, *(each for each in remaining if each is not entered))

    async def _attempt(self, flight: Flight, call: Call, candidate: Candidate, terms: Terms) -> Opened:
        """Make one attempt; the place that was got for it is held by the flight from here on."""
        draft, deployment, started_s = flight.draft, candidate.deployment, self._clock.now_s()
        draft.deployment, draft.backend, draft.upstream_request_id = deployment.id, deployment.backend.id, ""
        doubted_before = flight.in_doubt
        attempt = self._health.begin(deployment, started_s, terms.tokens)
        hold = Hold(attempt, deployment, self._gates, self._clock, started_s)
        flight.sent(deployment, terms.price(deployment), hold)
        timeout_s = max(terms.deadline_s - started_s, 0.001)
        if terms.attempt_timeout_s is not None:
            timeout_s = min(timeout_s, terms.attempt_timeout_s)
        try:
            opened = await self._open(draft, call, candidate, timeout_s, terms)
        except GatewayError as exc:
            flight.failed(exc, doubted_before=doubted_before)
            if call.operation is Operation.FORWARD and not is_evidence(exc):
                attempt.spared(self._clock.now_s(), exc)
            else:
                attempt.failed(self._clock.now_s(), exc, patient=_patient(call, timeout_s, terms))
            hold.release(0)
            raise
        finally:
            draft.upstream_wait_s += self._clock.now_s() - started_s
        attempt.answered(self._clock.now_s(), opened.response.headers)
        return opened

    def _note(self, flight: Flight, candidate: Candidate, error: GatewayError) -> None:
        deployment = candidate.deployment
        flight.draft.route.append(f"{deployment.id}:{error.code}")
        if isinstance(error, UpstreamError) and not isinstance(error, _NOT_THE_OPERATORS):
            request_id = flight.draft.inbound.request_id
            log.warning("call %s: deployment %s of backend %s: %s", request_id, deployment.id, deployment.backend.id, error.code)

    async def _open(self, draft: Draft, call: Call, candidate: Candidate, timeout_s: float, terms: Terms) -> Opened:
        """Send, and wait for a stream's first content, or for the whole of a plain answer."""
        deployment = candidate.deployment
        provider = self._providers(deployment.backend.protocol, call.operation, deployment.capabilities or terms.capabilities)
        assert provider is not None  # a plan holds only deployments that can serve the operation
        if deployment.backend.protocol not in _TELLS_TIME:
            call = msgspec.structs.replace(call, received_at=int(self._clock.utc().timestamp()))
        until = asyncio.get_running_loop().time() + timeout_s
        request = provider.encode(call, deployment)
        if draft.keeps_sent:
            draft.sent = request.body
        response = await self._upstream.send(request, timeout_s)
        if draft.sheet is not None:
            capabilities = deployment.capabilities or terms.capabilities
            response = draft.sheet.heard(call, deployment, capabilities, request.body, response)
        draft.heard(response.headers)
        auth = deployment.backend.auth
        draft.upstream_request_id = auth.masked(draft.upstream_request_id)
        passed = response.status in request.passes
        if not 200 <= response.status < 300 and not passed:
            headers = {name: auth.masked(value) for name, value in response.headers.items()}
            raise provider.classify(response.status, headers, auth.masked_body(await response.read()))
        if passed or not is_stream(call, response):
            body = await response.read()
            if call.operation is Operation.FORWARD:  # of any service, one that tells what it was sent among them
                body = auth.masked_body(body)
            # What an answer says about where it came from has to lead back to that deployment.
            asked = msgspec.structs.replace(call, served=deployment) if call.operation is Operation.FORWARD else call
            completion = provider.decode(asked, body, response.headers)
            if passed:  # it was refused: nothing was used
                completion = msgspec.structs.replace(completion, usage=Usage())
            return Opened(response, candidate, completion)
        decoder, chunks = provider.decoder(call), response.chunks()
        try:
            async with asyncio.timeout_at(until):
                held = await first_content(decoder, chunks, whole=terms.whole)
        except TimeoutError as exc:
            response.close()
            raise UpstreamTimeout("the backend's stream did not begin in time; retry, or raise x-gateway-timeout-ms") from exc
        except BaseException:
            response.close()
            raise
        return Opened(response, candidate, None, decoder, chunks, held)


def _patient(call: Call, timeout_s: float, terms: Terms) -> bool | None:
    """Tell whose fault a timeout is: what the operator chose is the deployment's; what the client chose may be its impatience.

    How long a whole answer takes is the client's choice as well, by how much it asks for; None judges by how long was waited.
    """
    if timeout_s == terms.attempt_timeout_s:
        return True
    return False if not call.stream and timeout_s < PLAIN_TIMEOUT_S else None
