"""The whole pipeline over fakes: real providers, limiter, directory, counter and recorder; no network, no real time."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.access.authenticate import Authenticator
from gateway.access.directory import Directory
from gateway.access.directory_subscriptions import Subscriptions
from gateway.access.response_ids import ResponseIds
from gateway.assembly import Parts, assemble
from gateway.cached import Cached
from gateway.domain.access import DEFAULT_TENANT
from gateway.domain.call import Answer, Inbound, Operation
from gateway.domain.catalog import Catalog, Model
from gateway.domain.deployment import Deployment, PoolMember
from gateway.domain.limits import Limits
from gateway.domain.tables import Value
from gateway.errors import GatewayError
from gateway.guarding import Guardian
from gateway.guardrails.build import Workshop, build_guard
from gateway.guardrails.masking.vault import Vault
from gateway.guardrails.services.remembered import Remembered
from gateway.limits.limiter import Limiter
from gateway.metering.records import USAGE, Recorder, UsageRecord
from gateway.metering.tokens import TokenCounter
from gateway.routing.caps import Caps
from gateway.routing.gate import Gates
from gateway.routing.health import Health
from tests.builders import make_deployment, make_inbound, make_model, make_price, make_product, make_subscription
from tests.fakes.clock import FakeClock
from tests.fakes.safety import FakeSafety
from tests.fakes.tables import FakeTables
from tests.fakes.upstream import FakeUpstream, Reply, Step

PEPPER = b"pepper-pepper-pepper"
ADMIN_KEY = "the-administrators-own-key"
REQUEST_TIMEOUT_S = 100.0
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = CHAT | {"stream": True}
USAGE_JSON = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, "prompt_tokens_details": {"cached_tokens": 400}}
COST = 600 * 2.5 + 400 * 1.25 + 100 * 10  # micro-USD
DONE = b"data: [DONE]\n\n"


ABSENT: dict[str, Value] = {
    field.name: {"str": "", "int": 0, "bool": False, "float": 0.0}[field.type.__name__]
    for field in msgspec.structs.fields(UsageRecord)
    if field.type in (str, int, bool, float)
}


def _cost(row: Mapping[str, Value]) -> dict[str, Value]:
    return {} if row.get("unpriced") else {"cost_micro_usd": row.get("cost_micro_usd", 0)}


def priced(name: str) -> Deployment:
    return make_deployment(id=name, name=name, price=make_price())


def models() -> tuple[Model, ...]:
    shared = tuple(PoolMember(priced(name), priority=1) for name in ("even-a", "even-b"))
    return (
        make_model(priced("east"), priced("west"), id="gpt-4o", aliases=("chat-default",)),
        make_model(priced("mini"), id="gpt-4o-mini"),
        make_model(priced("once"), priced("never"), id="no-retry", max_attempts=1),
        make_model(make_deployment(id="free", name="free"), id="unpriced"),
        make_model(priced("small"), id="text-embedding-3-small"),
        Model(id="even", pool=shared),
    )


PRODUCTS = {
    "all": make_product(id="all"),
    "mini-only": make_product(id="mini-only", models=("gpt-4o-m*",)),
    "two-calls": make_product(id="two-calls", limits=Limits(requests_per_minute=2)),
    "few-tokens": make_product(id="few-tokens", limits=Limits(tokens_per_minute=1000)),
}


def completion(text: str = "Hi!", usage: Mapping[str, Any] | None = USAGE_JSON) -> Reply:
    body = {"id": "c1", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return Reply(steps=[json.dumps(body | ({"usage": usage} if usage else {})).encode()])


def failure(status: int, code: str = "whatever", **headers: str) -> Reply:
    return Reply(status=status, headers=headers, steps=[json.dumps({"error": {"message": "no", "code": code}}).encode()])


def event(text: str = "", usage: Mapping[str, Any] | None = None, **choice: Any) -> bytes:
    choices = [] if usage else [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": None} | choice]
    return b"data: " + json.dumps({"id": "c1", "choices": choices} | ({"usage": usage} if usage else {})).encode() + b"\n\n"


STREAM_STEPS: list[Step] = [event(), event("Hel"), event("lo"), event(finish_reason="stop"), event(usage=USAGE_JSON), DONE]


def streamed(*steps: Step) -> Reply:
    return Reply(steps=steps or STREAM_STEPS)


class Street:
    """Everything a test looks at. `limiter`, `recorder` and the rest are the product's own."""

    def __init__(
        self,
        catalog: Catalog | None = None,
        clock: FakeClock | None = None,
        upstream: FakeUpstream | None = None,
        tables: FakeTables | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.clock.advance(1000)  # no stamp is 0 by chance
        self.tables = tables or FakeTables()
        self.upstream = upstream or FakeUpstream(self.clock)
        self.catalog = catalog or Catalog(models(), tuple(PRODUCTS.values()))
        self.directory = Directory(self.tables, self.catalog, PEPPER, self.clock)
        self.limiter = Limiter(self.tables, self.clock, "worker-1", random.Random(7))
        self.recorder = Recorder(self.tables, FakeClock())  # its own time: pacing must not move the call's
        self.bodies_read = 0
        self._numbers = itertools.count(1)
        self.keys: dict[str, str] = {}
        self.counter = TokenCounter()
        self.health = Health(random.Random(7))
        self.gates = Gates()
        self.caps = Caps()

        self.safety = FakeSafety()
        workshop = Workshop(self.safety, self.upstream, self.catalog.guard_backends, Remembered(self.clock))
        self.vault = Vault(self.tables, PEPPER, self.clock)
        self.guardian = Guardian(lambda config: build_guard(config, workshop), self.vault, self.clock)

        async def current() -> Catalog:
            return self.catalog

        self.parts = Parts(
            catalog=current,
            guardian=self.guardian,
            authenticator=Authenticator(Cached(self.directory.key_record, self.clock), PEPPER, ADMIN_KEY),
            products=Cached(self.directory.product, self.clock),
            limiter=self.limiter,
            upstream=self.upstream,
            counter=self.counter,
            recorder=self.recorder,
            health=self.health,
            gates=self.gates,
            caps=self.caps,
            ids=ResponseIds(PEPPER),
            clock=self.clock,
            rng=random.Random(7),
            request_timeout_s=REQUEST_TIMEOUT_S,
        )
        self.pipeline = assemble(self.parts)

    async def key(self, product: str = "all") -> str:
        """Return the product's one key."""
        if product not in self.keys:
            self.keys[product] = await self.subscribe(product)
        return self.keys[product]

    async def subscribe(self, product: str = "all", **over: Any) -> str:
        """Return the primary key of a new subscription."""
        _, keys = await Subscriptions(self.directory).create(make_subscription(tenant=DEFAULT_TENANT, product=product, **over))
        return keys["primary"]

    async def call(self, document: Any = CHAT, *, product: str = "all", key: str | None = None, **over: Any) -> Answer:
        """Send a call; `headers` come on top of the key, `fault` is what reading the body raises."""
        headers = {"authorization": f"Bearer {await self.key(product) if key is None else key}"} | dict(over.pop("headers", {}))
        fault: GatewayError | None = over.pop("fault", None)
        body: bytes = over.pop("body", None) or json.dumps(document).encode()

        async def receive_body() -> bytes:
            self.bodies_read += 1
            if fault is not None:
                raise fault
            return body

        return await self.pipeline.serve(self.inbound(headers=headers, **over), receive_body)

    async def refused(self, document: Any = CHAT, **over: Any) -> GatewayError:
        """Send a call that must fail, and return why."""
        try:
            await self.call(document, **over)
        except GatewayError as exc:
            return exc
        raise AssertionError("the call was served")

    def inbound(self, **over: Any) -> Inbound:
        return make_inbound(**{"received_s": self.clock.now_s(), "request_id": f"req_{next(self._numbers):06}"} | over)

    async def get(self, operation: Operation, path_model: str = "", product: str = "all") -> Any:
        answer = await self.call(operation=operation, method="GET", path="/v1/models", path_model=path_model, product=product)
        return json.loads(answer.body)

    async def records(self) -> list[Mapping[str, Value]]:
        """Return the usage rows that are stored, oldest first, with the empty values that a row leaves out."""
        await self.recorder.flush()
        return [ABSENT | entity.values | _cost(entity.values) for entity in self.tables.rows(USAGE)]

    async def record(self) -> Mapping[str, Value]:
        """Return the one usage row that there must be."""
        (record,) = await self.records()
        return record


async def read(answer: Answer) -> bytes:
    """Read a stream to its end, as a route does."""
    assert answer.stream is not None
    try:
        return b"".join([piece async for piece in answer.stream])
    finally:
        await answer.stream.aclose()


async def read_until_error(answer: Answer) -> tuple[list[bytes], GatewayError | None]:
    """Read a stream piece by piece; return what came, and what ended it before its end."""
    assert answer.stream is not None
    pieces: list[bytes] = []
    try:
        async for piece in answer.stream:
            pieces.append(piece)  # noqa: PERF401 - an error must not lose them
    except GatewayError as exc:
        return pieces, exc
    finally:
        await answer.stream.aclose()
    return pieces, None


async def until(condition: Callable[[], object]) -> None:
    """Let the other tasks run until it holds."""
    while not condition():  # noqa: ASYNC110 - no time passes here
        await asyncio.sleep(0)
