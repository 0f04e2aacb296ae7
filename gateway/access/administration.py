"""What administrators do with tenants and products at /manage. JSON documents in, JSON-ready values with their ETags out.

`routes/rights.py` says which role a route takes; that a tenant's administrator reaches its own tenant only is seen to here. What
is another's is answered as if it were not there.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.access.administration_documents import Documents, is_id
from gateway.access.administration_shapes import offer_shape, product_shape, rules_shape, tenant_shape
from gateway.access.directory import Directory
from gateway.access.directory_changes import Registry, product_not_found, tenant_not_found
from gateway.access.memory import Memory
from gateway.domain.access import DEFAULT_TENANT
from gateway.domain.guardrail_faults import Check, nothing_more
from gateway.domain.management import Asked, Told, etag_of, page_of, read_paging

NO_CONTENT = 204
_BY_QUERY = ("manage/experiments", "manage/captures", "manage/replay", "manage/sessions")  # routes whose query names the tenant


class Administration:
    """The management operations on tenants and products.

    Args:
        directory: Who may ask.
        memory: What this worker remembers of it.
        check: Says what is wrong with a tenant's rule that only its detector can tell.
    """

    def __init__(self, directory: Directory, memory: Memory, check: Check = nothing_more) -> None:
        self._directory = directory
        self._memory = memory
        self._registry = Registry(directory)
        self._documents = Documents(directory.catalog, check)

    async def concerned(self, asked: Asked, route: str, names: Mapping[str, str]) -> str:
        """Return the tenant that a change concerns, for the audit trail; empty for none in particular.

        Args:
            asked: The change.
            route: As registered.
            names: What the path names.
        """
        if not asked.everywhere:
            return asked.principal.tenant
        if "subscription" in names:
            return (await self._directory.tenant_of_subscription(names["subscription"]) or "") if is_id(names["subscription"]) else ""
        tenant = asked.document.get("tenant", DEFAULT_TENANT) if route == "manage/subscriptions" else names.get("tenant", "")
        if "prompt" in names or "lookup" in names or route.startswith(_BY_QUERY):
            named = asked.document.get("tenant") if route == "manage/replay" else None
            tenant = named or asked.query.get("tenant", "")
        return tenant if isinstance(tenant, str) and is_id(tenant) else ""

    async def list_tenants(self, asked: Asked) -> dict[str, Any]:
        """Return a page of tenants."""
        found, after = await self._directory.list_tenants(*read_paging(asked.query))
        return page_of([tenant_shape(tenant) for tenant in found], after)

    async def tenant(self, asked: Asked, tenant_id: str) -> Told:
        """Return a tenant."""
        stored = await self._directory.tenant(tenant_id) if is_id(tenant_id) and _reaches(asked, tenant_id) else None
        if stored is None:
            raise tenant_not_found(tenant_id)
        return Told(tenant_shape(stored.value), etag_of(stored.etag))

    async def create_tenant(self, asked: Asked) -> Told:
        """Create a tenant."""
        stored = await self._registry.create_tenant(self._documents.new_tenant(asked.document))
        return Told(tenant_shape(stored.value), etag_of(stored.etag))

    async def change_tenant(self, asked: Asked, tenant_id: str) -> Told:
        """Change a tenant, or suspend it and resume it by its `state`."""
        if not is_id(tenant_id):
            raise tenant_not_found(tenant_id)
        documents, document = self._documents, asked.document
        changed = await self._registry.change_tenant(tenant_id, asked.if_match, lambda now: documents.changed_tenant(now, document))
        self._memory.forget_tenant(tenant_id)
        return Told(tenant_shape(changed.after), etag_of(changed.etag), before=tenant_shape(changed.before))

    async def rules(self, asked: Asked, tenant_id: str) -> Told:
        """Return a tenant's own guardrails."""
        told = await self.tenant(asked, tenant_id)
        return msgspec.structs.replace(told, value=rules_shape(tenant_id, told.value["rules"]))

    async def set_rules(self, asked: Asked, tenant_id: str) -> Told:
        """Put other guardrails in the place of a tenant's own; its own administrator may."""
        if not is_id(tenant_id) or not _reaches(asked, tenant_id):
            raise tenant_not_found(tenant_id)
        documents, document = self._documents, asked.document
        changed = await self._registry.change_tenant(tenant_id, asked.if_match, lambda now: documents.changed_rules(now, document))
        self._memory.forget_tenant(tenant_id)
        before, after = (rules_shape(tenant_id, each.rules) for each in (changed.before, changed.after))
        return Told(after, etag_of(changed.etag), before=before)

    async def delete_tenant(self, asked: Asked, tenant_id: str) -> Told:
        """Delete a tenant without living subscriptions."""
        if not is_id(tenant_id):
            raise tenant_not_found(tenant_id)
        before = await self._registry.delete_tenant(tenant_id, asked.if_match)
        self._memory.forget_tenant(tenant_id)
        return Told(None, status=NO_CONTENT, before=tenant_shape(before))

    async def list_products(self, asked: Asked) -> dict[str, Any]:
        """Return a page of products; to a tenant's administrator only what a subscription would give it."""
        found, after = await self._directory.list_products(*read_paging(asked.query))
        shape = product_shape if asked.everywhere else offer_shape
        return page_of([shape(product) for product in found], after)

    async def product(self, _asked: Asked, product_id: str) -> Told:
        """Return a product."""
        if fixed := self._directory.fixed_product(product_id):
            return Told(product_shape(fixed), etag_of(""))
        stored = await self._directory.stored_product(product_id) if is_id(product_id) else None
        if stored is None:
            raise product_not_found(product_id)
        return Told(product_shape(stored.value), etag_of(stored.etag))

    async def create_product(self, asked: Asked) -> Told:
        """Create a product."""
        stored = await self._registry.create_product(self._documents.new_product(asked.document))
        self._memory.forget_product(stored.value.id)
        return Told(product_shape(stored.value), etag_of(stored.etag))

    async def change_product(self, asked: Asked, product_id: str) -> Told:
        """Change a product: its subscriptions follow."""
        if not is_id(product_id):
            raise product_not_found(product_id)
        documents, document = self._documents, asked.document
        changed = await self._registry.change_product(product_id, asked.if_match, lambda now: documents.changed_product(now, document))
        self._memory.forget_product(product_id)
        return Told(product_shape(changed.after), etag_of(changed.etag), before=product_shape(changed.before))

    async def delete_product(self, asked: Asked, product_id: str) -> Told:
        """Delete a product without living subscriptions."""
        if not is_id(product_id):
            raise product_not_found(product_id)
        before = await self._registry.delete_product(product_id, asked.if_match)
        self._memory.forget_product(product_id)
        return Told(None, status=NO_CONTENT, before=product_shape(before))


def _reaches(asked: Asked, tenant: str) -> bool:
    return asked.everywhere or asked.principal.tenant == tenant
