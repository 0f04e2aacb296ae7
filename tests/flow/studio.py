"""A street with all that the studio adds, and prompts and experiments that are made as administrators make them."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.access.memory import Memory
from gateway.assembly import assemble
from gateway.domain.access import Product, Role
from gateway.domain.catalog import Catalog
from gateway.domain.conversations import Capture, History
from gateway.domain.experiments import Experiment
from gateway.domain.lookups import HttpLookup, Lookup, TableLookup
from gateway.domain.management import Asked
from gateway.domain.prompts import SHARED
from gateway.studio import Ground, open_studio
from tests.builders import make_backend, make_principal, make_product
from tests.fakes.blobs import FakeBlobs
from tests.fakes.tables import FakeTables
from tests.flow.street import PEPPER, Street, models

ADMINISTRATOR = make_principal(roles=frozenset({Role.ADMIN}))
CRM = make_backend(id="crm", protocol="rest", endpoint="https://crm.contoso.com")
LOOKUPS: tuple[Lookup, ...] = (
    TableLookup(id="plan", key="{variables.customer}"),
    HttpLookup(id="orders", backend="crm", path="orders/{variables.customer}", ttl_s=0.0),
)


def studio_catalog(*products: Product, **over: Any) -> Catalog:
    own = (make_product(id="all"), make_product(id="talks", history=History()), make_product(id="kept", capture=Capture()), *products)
    lookups = {each.id: each for each in LOOKUPS}
    return Catalog(models(), own, lookups=lookups, lookup_backends={"crm": CRM}, **over)


class StudioStreet(Street):
    """Its prompts are made by `publish`, its experiments run by `run`."""

    def __init__(self, catalog: Catalog | None = None, tables: FakeTables | None = None) -> None:
        super().__init__(catalog or studio_catalog(), tables=tables)
        self.blobs = FakeBlobs()
        memory = Memory(self.directory, self.clock)
        self.studio = open_studio(Ground(self.directory, memory, self.blobs, self.upstream, self.clock, PEPPER, (), self.vault.erase))
        self.parts = msgspec.structs.replace(self.parts, **self.studio.parts)
        self.pipeline = assemble(self.parts)

    async def publish(self, name: str, *messages: Any, tenant: str = SHARED, label: str = "production", **document: Any) -> int:
        """Make a version, and put a label on it; returns its number."""
        said = [{"role": "user", "content": each} if isinstance(each, str) else each for each in messages]
        query = {"tenant": tenant} if tenant else {}
        asked = Asked(ADMINISTRATOR, {"model": "gpt-4o", "messages": said, **document}, query)
        version: int = (await self.studio.prompts.create(asked, name)).value["version"]
        await self.studio.prompts.set_label(Asked(ADMINISTRATOR, {"version": version}, query), name, label)
        return version

    async def run(self, document: Mapping[str, Any], tenant: str = SHARED) -> Experiment:
        """Make an experiment and start it."""
        full: dict[str, Any] = {"id": "test", "goal": {"metric": "cost_usd", "better": "lower"}, **document}
        await self.studio.experiments.create(Asked(ADMINISTRATOR, full, {"tenant": tenant} if tenant else {}))
        return (await self.studio.experiments.lifecycle.start(tenant, full["id"])).after.experiment

    @property
    def sent(self) -> dict[str, Any]:
        """The body that the last backend was sent."""
        document: dict[str, Any] = json.loads(self.upstream.requests[-1].body)
        return document
