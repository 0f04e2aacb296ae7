"""Recorded requests, run again under another catalogue, prompt version or set of guardrails: POST /manage/replay.

    captured call ─▶ its body, expanded as it was or by another version ─▶ a second street ─▶ what changed

The second street is the same street (`assembly.py`) over nothing that belongs to the first: its own limits (none), health, caps and
places; a store that keeps nothing; a recorder that collects. So nothing of a replay is charged to the tenant, and nothing of it
feeds alerts, experiments, health or caps.

- `dry` asks no model: each backend answers as the captured call was answered. Guardrails do run, with the services that they ask.
- `live` asks the deployments. It costs money, so it is for `Gateway.Admin` and needs `max_cost_usd`. What it spends is in the ledger
  under the tenant `~replay`, which no tenant can be called.
- A catalogue comes from a `Gateway.Admin` only. No setting is filled into it, and where it is live, its backends are those of the
  running catalogue, by id: it can bring neither a secret out nor a prompt to another host.

What was looked up for a call, and its session's history, are what they were then.
"""

import asyncio
import datetime
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

import msgspec

from gateway.access.authenticate import Authenticator
from gateway.assembly import Parts, assemble
from gateway.cached import Cached
from gateway.captures.alternative import NoSettings, as_caller, body_again, rehearsed, repeatable, unlimited
from gateway.captures.capture import Captures
from gateway.captures.comparison import compared, summed, text_of
from gateway.captures.names import read_name
from gateway.captures.rebuild import Expand
from gateway.captures.record import Captured, inbound_of, outcome_of
from gateway.captures.recorded import Collected, KnownCallers, Nowhere, Recorded, RecordedUpstream
from gateway.captures.wanted import Wanted, named_tenant, read_wanted, wanted_whose
from gateway.domain.access import Principal, Product
from gateway.domain.call import Inbound, Operation
from gateway.domain.catalog import Catalog
from gateway.domain.guardrails import Guardrail, TenantRule
from gateway.domain.ids import random_hex, uuid7_hex
from gateway.domain.management import Asked
from gateway.domain.prompts import Prompted, PromptVersion
from gateway.errors import GatewayError, NotFound, RequestError
from gateway.guarding import Guardian
from gateway.guardrails.kinds import Guard
from gateway.guardrails.masking.vault import Vault
from gateway.limits.limiter import Limiter
from gateway.metering.record import UsageRecord
from gateway.metering.records import Recorder
from gateway.pipeline import Pipeline
from gateway.ports import Provider
from gateway.prompting import PROMPTED, Origins, Prompting
from gateway.prompts.ingredients import reference_of
from gateway.routing.caps import Caps
from gateway.routing.gate import Gates
from gateway.routing.health import Health

REPLAY_TENANT = "~replay"
DEFAULT_SPAN = datetime.timedelta(hours=24)
# What a live call's record says: nothing of it is counted among a tenant's calls, prompts or experiments.
_NOBODYS = dict.fromkeys(("subscription", "user", "session", "tags", "prompt", "experiment", "variant"), "")
ENOUGH_S = 60.0  # after so long no further call is begun; `after` goes on from there


class Sources(msgspec.Struct, frozen=True):
    """What a replay asks of the gateway.

    Attributes:
        products: The product of that id, as it stands now.
        rules: A tenant's own guardrails, as they stand now.
        version: The version that a tenant's call gets now, by name, and number or label; None where there is none.
        kept: A version as it is kept, by its own tenant ("" for a shared prompt), name and number, of a deleted prompt too.
        expand: Repeats a captured call's expansion (`captures/rebuild.py`).
        ready: Makes a guardrail ready to run.
        parse: Reads a catalogue; the mapping fills `${env:NAME}`; RequestError says what is wrong with it.
    """

    products: Callable[[str], Awaitable[Product | None]]
    rules: Callable[[str], Awaitable[tuple[TenantRule, ...]]]
    version: Callable[[str, str, int | str], Awaitable[PromptVersion | None]]
    kept: Callable[[str, str, int], Awaitable[PromptVersion | None]]
    expand: Expand
    ready: Callable[[Guardrail], Guard]
    parse: Callable[[str, Mapping[str, str]], Catalog]


class Replaying:
    """Runs captured calls again.

    Args:
        captures: Where they are.
        parts: What the street that serves is made of; the second one shares what neither counts nor learns.
        sources: What else is asked.
    """

    def __init__(self, captures: Captures, parts: Parts, sources: Sources) -> None:
        self._captures = captures
        self._parts = parts
        self._sources = sources

    async def replay(self, asked: Asked) -> dict[str, Any]:
        """Do POST /manage/replay.

        Raises:
            RequestError: The document is wrong.
            PermissionDenied: A catalogue, another tenant or a live replay is asked for by who may not.
        """
        wanted = read_wanted(asked)
        running = await self._parts.catalog()
        catalog = running if wanted.other.catalog is None else await asyncio.to_thread(self._parse, wanted.other.catalog)
        catalog = rehearsed(catalog, running, live=wanted.mode == "live")
        if unknown := set(wanted.other.guardrails or ()) - catalog.guardrails.keys():
            raise RequestError(f"there is no guardrail {min(unknown)!r}", param="with.guardrails", code="invalid_value")
        run = _Run(self._parts, self._sources, catalog, wanted, asked.principal)
        rows: list[dict[str, Any]] = []
        failed: list[dict[str, str]] = []
        remaining, after = False, ""
        until_s = self._parts.clock.now_s() + ENOUGH_S
        async for name, captured in self._chosen(wanted):
            if len(rows) + len(failed) >= wanted.limit or self._parts.clock.now_s() >= until_s or run.spent:
                remaining = True
                break
            after = name
            try:
                rows.append(await run.once(captured))
            except GatewayError as exc:
                failed.append({"request_id": captured.request_id, "code": exc.code, "reason": exc.message})
        return {
            "object": "replay", "mode": wanted.mode, "tenant": wanted.tenant, "replayed": len(rows), "not_replayed": failed,
            "sums": summed(rows), "cost_usd": run.cost_micro_usd / 1_000_000 if wanted.mode == "live" else 0.0, "data": rows,
            "remaining": remaining, "after": after if remaining else None,
        }  # fmt: skip

    async def erase(self, asked: Asked) -> dict[str, Any]:
        """Do DELETE /manage/captures?tenant=&user=&session=: forget what was captured of a tenant, or of one of its users or sessions.

        Raises:
            RequestError: Nobody's tenant is named, or a user or session without a name.
            PermissionDenied: It is another's.
        """
        tenant, (user, session) = named_tenant(asked, asked.query.get("tenant")), wanted_whose(asked.query)
        return {"object": "captures.erased", "tenant": tenant, "erased": await self._captures.erase(tenant, user=user, session=session)}

    async def _chosen(self, wanted: Wanted) -> AsyncIterator[tuple[str, Captured]]:
        until = wanted.until or self._parts.clock.utc()
        since, ids = wanted.since or until - DEFAULT_SPAN, set(wanted.request_ids)
        async for name in self._captures.names(wanted.tenant, since, until, wanted.after):
            read = read_name(name)
            if read is None or (ids and read.request_id not in ids):
                continue
            captured = await self._captures.read(name)
            if captured is not None and captured.tenant == wanted.tenant and since <= captured.at <= until:
                yield name, captured

    def _parse(self, catalog: str | dict[str, Any]) -> Catalog:
        return self._sources.parse(catalog if isinstance(catalog, str) else msgspec.json.encode(catalog).decode(), NoSettings())


class _Repeating:
    """Stands for `prompting.Prompting`: bodies are expanded already; what holds for the answers of their prompts goes along."""

    def __init__(self) -> None:
        self.prompted: dict[str, Prompted] = {}

    async def prepare(self, draft: object, inbound: Inbound, *_: object) -> tuple[Inbound, Origins]:  # noqa: ARG002 - its signature
        """Return the request as it is, with its prompt."""
        return inbound, Origins(self.prompted.get(inbound.request_id))

    async def vary(self, *_: object) -> None:
        """Leave the request as it is: an experiment's variant is in its body."""


class _Run:
    """One replay: the second street, and what it has cost."""

    def __init__(self, parts: Parts, sources: Sources, catalog: Catalog, wanted: Wanted, administrator: Principal) -> None:
        self._parts, self._sources, self._catalog, self._wanted = parts, sources, catalog, wanted
        self._administrator = administrator
        self._known, self._collected, self._repeating = KnownCallers(), Collected(), _Repeating()
        self._health = Health(random.Random(0))  # noqa: S311 - spreads load, hides nothing
        self._gates, self._caps = Gates(), Caps(watching=False)
        self._products = Cached(self._product, parts.clock, capacity=64)
        self._guardian = Guardian(sources.ready, Vault(Nowhere(), random_hex(32).encode(), parts.clock), parts.clock)
        self.cost_micro_usd = 0

    @property
    def spent(self) -> bool:
        """Whether no further call may be begun."""
        most = self._wanted.max_cost_usd
        return most is not None and self._wanted.mode == "live" and self.cost_micro_usd >= most * 1_000_000

    async def once(self, captured: Captured) -> dict[str, Any]:
        """Run one call again, and return its row of the report.

        Raises:
            GatewayError: It cannot be run again.
        """
        version = await self._version(captured)
        body = body_again(captured, version, self._sources.expand, self._wanted.other.model)
        clock = self._parts.clock
        request_id = f"req_{uuid7_hex(clock.utc().timestamp())}"
        headers = {name: value for name, value in captured.headers.items() if name != "x-gateway-history"}
        inbound = inbound_of(captured, b"", clock.now_s())
        path_model = inbound.path_model and (self._wanted.other.model or inbound.path_model)
        inbound = msgspec.structs.replace(inbound, request_id=request_id, headers=headers, path_model=path_model, path_prompt="")
        rules = await self._sources.rules(captured.tenant)
        self._known.callers[request_id] = msgspec.structs.replace(as_caller(captured.principal), rules=rules)
        if version is not None and captured.source is not None:
            self._repeating.prompted[request_id] = Prompted(
                repeatable(version, live=self._wanted.mode == "live"), captured.source.looked_up
            )
        try:
            text = await self._text(captured, inbound, body)
        finally:
            del self._known.callers[request_id]
            self._repeating.prompted.pop(request_id, None)
            record = self._collected.records.pop(request_id, None)
            if record is not None and self._wanted.mode == "live":
                self._charge(record)
        if record is None:
            raise NotFound("the street left no record of the call", code="not_replayable")
        after = outcome_of(record)
        if after.error_code == "not_recorded":
            raise RequestError("no complete answer was recorded for this call; replay it live", code="not_recorded")
        before = text_of(captured.operation, told.body, stream=told.stream) if (told := captured.told) and told.complete else None
        return await asyncio.to_thread(compared, captured.request_id, captured.outcome, after, (before, text))

    async def _text(self, captured: Captured, inbound: Inbound, body: bytes) -> str | None:
        async def receive() -> bytes:
            return body

        try:
            answer = await self._street(captured).serve(inbound, receive)
            if answer.stream is None:
                return text_of(captured.operation, answer.body, stream=False)
            try:
                return text_of(captured.operation, b"".join([piece async for piece in answer.stream]), stream=True)
            finally:
                await answer.stream.aclose()
        except GatewayError:
            return None  # the record says how it ended

    async def _version(self, captured: Captured) -> PromptVersion | None:
        """Return the version that its prompt is rendered from now; None where it had no prompt."""
        source, other = captured.source, self._wanted.other.prompt
        if source is None:
            if captured.operation in PROMPTED and reference_of(inbound_of(captured, captured.body)) is not None:
                raise RequestError("this call ended before its prompt was rendered, so it cannot be run further", code="not_replayable")
            return None
        if other is not None and other.name == source.name:
            version = await self._sources.version(captured.tenant, source.name, other.version)
        else:
            version = await self._sources.kept(source.tenant, source.name, source.version)
        if version is None:
            raise NotFound(f"the prompt {source.name!r} does not have the version any more, or yet", code="not_replayable")
        return version

    async def _product(self, product_id: str) -> Product | None:
        product = self._catalog.products.get(product_id) or await self._sources.products(product_id)
        return None if product is None else unlimited(product, self._wanted.other.guardrails)

    def _street(self, captured: Captured) -> Pipeline:
        """Return the second street, as one call finds it."""
        parts, dry = self._parts, self._wanted.mode == "dry"

        async def current() -> Catalog:
            return self._catalog

        def providers(protocol: str, operation: Operation, capabilities: tuple[str, ...]) -> Provider | None:
            found, asked = parts.providers(protocol, operation, capabilities), captured.asked
            answered = parts.providers(asked.protocol, operation, asked.capabilities) if asked is not None else None
            return found if found is None or answered is None else Recorded(found, answered)

        return assemble(
            msgspec.structs.replace(
                parts,
                catalog=current,
                guardian=self._guardian,
                authenticator=cast(Authenticator, self._known),
                products=self._products,
                limiter=Limiter(Nowhere(), parts.clock, "replay", random.Random(0)),  # noqa: S311 - spreads load, hides nothing
                upstream=RecordedUpstream(captured) if dry else parts.upstream,
                recorder=cast(Recorder, self._collected),
                health=Health(random.Random(0)) if dry else self._health,  # noqa: S311
                gates=self._gates,
                caps=self._caps,
                rng=random.Random(captured.request_id),  # noqa: S311 - the same choice each time
                prompting=cast(Prompting, self._repeating),
                captures=None,
                services={},
                providers=providers if dry else parts.providers,
            )
        )

    def _charge(self, record: UsageRecord) -> None:
        """Write what a live call cost into the ledger, as nobody's of the tenants."""
        self.cost_micro_usd += record.cost_micro_usd or 0
        mine = msgspec.structs.replace(record, **_NOBODYS, tenant=REPLAY_TENANT, product="replay", key_id=self._administrator.key_id)
        self._parts.recorder.add(mine)
