"""Administrators and what they administer, over a fake store."""

from collections.abc import Mapping
from typing import Any

from gateway.access import keys
from gateway.access.administration import Administration
from gateway.access.administration_subscriptions import SubscriptionAdministration
from gateway.access.audit import Audit
from gateway.access.directory import Directory, KeyRecord
from gateway.access.memory import Memory
from gateway.domain.access import Role
from gateway.domain.catalog import Catalog
from gateway.domain.management import Asked
from tests.builders import make_backend, make_deployment, make_model, make_principal, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

PEPPER = b"pepper-pepper-pepper"
ADMIN = make_principal(tenant="default", key_id="the-admin", roles=frozenset({Role.ADMIN}))
ALICE = "11111111-2222-3333-4444-555555555555"
CAROL = "0a0b0c0d-0e0f-4a4b-8c8d-ffffffffffff"
BOB = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def catalog() -> Catalog:
    european = make_deployment(backend=make_backend(data_zone="eu"))
    american = make_deployment(id="gpt-4o-us", backend=make_backend(id="us", data_zone="us"))
    homeless = make_deployment(id="gpt-4o-any", backend=make_backend(id="any"))
    models = (make_model(european, american, homeless), make_model(homeless, id="mini"), make_model(homeless, id="any", hidden=True))
    return Catalog(models, (make_product(id="filed"),))


def asked(
    document: Mapping[str, Any] | None = None, *, query: Mapping[str, str] | None = None, tenant: str = "", if_match: str = ""
) -> Asked:
    """What the administrator of the gateway asks, or that of a tenant."""
    own = make_principal(tenant=tenant, key_id=f"admin-of-{tenant}", roles=frozenset({Role.TENANT_ADMIN}))
    return Asked(own if tenant else ADMIN, document or {}, query or {}, if_match, "req_1")


class Office:
    """One worker's administrations; two over the same tables are two workers."""

    def __init__(self, tables: FakeTables | None = None, clock: FakeClock | None = None, filed: Catalog | None = None) -> None:
        self.tables = tables or FakeTables()
        self.clock = clock or FakeClock()
        self.directory = Directory(self.tables, filed or catalog(), PEPPER, self.clock)
        self.memory = Memory(self.directory, self.clock)
        self.administration = Administration(self.directory, self.memory)
        self.subscriptions = SubscriptionAdministration(self.directory, self.memory)
        self.audit = Audit(self.tables, self.clock)

    async def tenant(self, tenant_id: str, **members: Any) -> dict[str, Any]:
        told = await self.administration.create_tenant(asked({"id": tenant_id, **members}))
        return dict(told.value)

    async def product(self, product_id: str, **members: Any) -> dict[str, Any]:
        told = await self.administration.create_product(asked({"id": product_id, "models": ["*"], **members}))
        return dict(told.value)

    async def subscribe(self, product: str = "unlimited", *, by: str = "", **members: Any) -> dict[str, Any]:
        """Create a subscription, and return what its creator is shown."""
        told = await self.subscriptions.create(asked({"product": product, **members}, tenant=by))
        return dict(told.value)

    async def record(self, text: str) -> KeyRecord | None:
        """Read the record of a key's whole text from the store; None where it opens nothing."""
        key = keys.parse(text)
        assert key is not None
        record = await self.directory.key_record(key.id)
        return record if record is not None and keys.matches(PEPPER, key, record.hash) else None

    async def opens(self, text: str) -> bool:
        """Tell whether this worker, with what it remembers, takes the key."""
        key = keys.parse(text)
        assert key is not None
        record = await self.memory.records.get(key.id)
        return record is not None and record.active and keys.matches(PEPPER, key, record.hash)
