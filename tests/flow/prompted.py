"""A recording street with the studio's prompts, experiments, conversations and lookups, put together as a worker has them."""

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.access.memory import Memory
from gateway.assembly import assemble
from gateway.captures.rebuild import rebuild
from gateway.captures.record import Captured
from gateway.domain.access import DEFAULT_TENANT
from gateway.domain.call import Call
from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Deployment
from gateway.domain.experiments import Experiment, ExperimentState, Goal, Target, Variant
from gateway.domain.prompts import Partial, PromptMessage, PromptText, PromptVersion
from gateway.experiments.store import ExperimentStore, Stored
from gateway.prompting import expanded
from gateway.prompts.library import Draft, Library
from gateway.providers.registry import provider_for
from gateway.replaying import Replaying
from gateway.studio import Ground, open_studio, replaying_of
from tests.fakes.clock import FakeClock
from tests.flow.replayed import Recording, parsed
from tests.flow.street import PEPPER


def encoded(call: Call, deployment: Deployment, capabilities: tuple[str, ...]) -> bytes:
    """Encode as an attempt does."""
    provider = provider_for(deployment.backend.protocol, call.operation, capabilities)
    assert provider is not None
    return provider.encode(call, deployment).body


class Prompted(Recording):
    """Its tenant's prompts are in `library`; `clock` moves labels' and experiments' memory on."""

    def __init__(self, catalog: Catalog, clock: FakeClock | None = None) -> None:
        super().__init__(catalog, clock=clock)

        async def erase(tenant: str, session: str) -> None:
            del tenant, session

        ground = Ground(
            self.directory, Memory(self.directory, self.clock), self.blobs, self.upstream, self.clock, PEPPER, (), erase  # type: ignore[arg-type]
        )  # fmt: skip
        self.studio = msgspec.structs.replace(open_studio(ground), captures=self.captures)
        self.library: Library = self.studio.library.library
        self.parts = msgspec.structs.replace(self.parts, **self.studio.parts)
        self.pipeline = assemble(self.parts)
        self.ready = self.replaying._sources.ready
        self.replaying: Replaying = replaying_of(self.parts, self.studio, self.directory, self.ready, parsed)

    async def version(self, name: str, *messages: PromptMessage, tenant: str = DEFAULT_TENANT, **says: Any) -> PromptVersion:
        """Make a prompt's next version."""
        text = PromptText(**{"model": "gpt-4o", "messages": messages} | says)
        return (await self.library.create(tenant, name, Draft(text))).version

    async def label(self, name: str, version: int, label: str = "production", tenant: str = DEFAULT_TENANT) -> None:
        """Move a label, and let time pass until every worker follows."""
        await self.library.set_label(tenant, name, label, version)
        self.clock.advance(5)

    async def experiment(self, name: str, on: Target, *variants: Variant) -> None:
        """Run one from now on."""
        store = ExperimentStore(self.tables)
        made: Stored = await store.create(
            Experiment(tenant=DEFAULT_TENANT, id=name, on=on, variants=variants, goal=Goal("cost_usd"), unit="request")
        )
        now: datetime.datetime = self.clock.utc()
        running = msgspec.structs.replace(made.experiment, state=ExperimentState.RUNNING, owner=DEFAULT_TENANT, started_at=now, salt=name)
        await store.replace(made, running)
        self.clock.advance(5)

    async def rebuilt(self, captured: Captured) -> bytes:
        """Compute what its backend was sent from the capture, and from the library as it stands at the end."""
        source = captured.source
        version = await self.library.version(source.tenant, source.name, source.version) if source is not None else None
        return rebuild(captured, version, expanded, encoded)


def said(role: Any, content: str, **over: Any) -> PromptMessage:
    return PromptMessage(role=role, content=content, **over)


def partials(**texts: str) -> Mapping[str, Partial]:
    return {name: Partial(1, text, (name,)) for name, text in texts.items()}
