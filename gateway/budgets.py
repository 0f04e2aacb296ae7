"""`GET /manage/budgets`: every calendar quota and budget that is in force, and how much of it is charged.

Read where the limiter counts: table `limits` (`limits/rows.py`). Charged is what was spent and what workers hold of it to spend,
so it runs a little ahead of what was used; the reports at /manage/usage say what was. Of users those are shown who have called in
the window, under the hash that their counter has.

A page holds whole tenants: `limit` counts them. The gateway's own limits stand before the first, for who may see all.
"""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.access.administration_documents import check_id
from gateway.access.directory import Directory
from gateway.domain.access import Principal, Product, Subscription, SubscriptionState, Tenant
from gateway.domain.limits import MICRO_USD, Ceiling, Limits, Metric
from gateway.domain.management import Asked, page_of, read_paging, tenant_of
from gateway.domain.tables import Entity
from gateway.errors import NotFound
from gateway.limits.rows import COUNTER, LIMITS, integer
from gateway.limits.scopes import Scope, partitions_of, scopes_of
from gateway.limits.windows import SLIDING, end_of, window_of
from gateway.ports import Clock, Tables

READS_AT_ONCE = 16
PAGE = 1000
ANYBODY = "anybody"  # stands for a user, where only the user's limits are asked for


class _Line(msgspec.Struct, frozen=True):
    """One ceiling of one scope."""

    kind: str
    tenant: str
    name: str
    partition: str
    ceiling: Ceiling


class Budgets:
    """Shows calendar quotas and budgets.

    Args:
        tables: Where the counters are.
        directory: Who has which limits.
        limits: The whole gateway's.
        clock: Says which windows are the current ones.
    """

    def __init__(self, tables: Tables, directory: Directory, limits: Limits, clock: Clock) -> None:
        self._tables = tables
        self._directory = directory
        self._limits = limits
        self._clock = clock

    async def page(self, asked: Asked) -> dict[str, Any]:
        """Return the budgets of one tenant, or of a page of tenants.

        Args:
            asked: Its query: `tenant`, `limit` (of tenants), `after`. A tenant's administrators see its budgets only.

        Raises:
            NotFound: There is no such tenant.
            RequestError: A parameter is not understood; `param` names it.
        """
        limit, after = read_paging(asked.query)
        named = tenant_of(asked, asked.query.get("tenant"))
        if named is not None:
            check_id(named, "tenant")
            stored = await self._directory.tenant(named)
            if stored is None:
                raise NotFound(f"there is no tenant {named[:80]!r}", param="tenant", code="tenant_not_found")
            return page_of(await self._of_tenant(stored.value), None)
        tenants, following = await self._directory.list_tenants(limit, after)
        own = [_Line("gateway", "", "", "gateway", each) for each in self._limits.ceilings("gateway")] if after is None else []
        data = await self._read(own)
        for tenant in tenants:
            data += await self._of_tenant(tenant)
        return page_of(data, following)

    async def _of_tenant(self, tenant: Tenant) -> list[dict[str, Any]]:
        products: dict[str, Product | None] = {}
        lines: dict[tuple[str, str], _Line] = {}
        users: list[tuple[Subscription, Ceiling]] = []
        _add(lines, tenant.id, Scope("tenant", partitions_of(tenant.id, "", "", "")[1], tenant.limits.ceilings("tenant")), "")
        for subscription in await self._subscriptions(tenant.id):
            if subscription.product not in products:
                products[subscription.product] = await self._directory.product(subscription.product)
            product = products[subscription.product]
            if product is None:
                continue
            principal = Principal(tenant.id, product.id, subscription.id, "", subscription.limits, tenant_limits=tenant.limits)
            for scope in scopes_of(self._limits, principal, product, ANYBODY):
                if scope.kind == "user":
                    users += [(subscription, each) for each in scope.ceilings if each.window not in SLIDING]
                elif scope.kind != "gateway":
                    _add(lines, tenant.id, scope, {"product": product.id, "subscription": subscription.id}.get(scope.kind, ""))
        data = await self._read(lines.values())
        for subscription, ceiling in users:
            data += await self._of_users(tenant.id, subscription, ceiling)
        return data

    async def _subscriptions(self, tenant: str) -> list[Subscription]:
        found: list[Subscription] = []
        after: str | None = None
        while True:
            some, after = await self._directory.list_subscriptions(tenant, PAGE, after)
            found += [each for each in some if each.state in (SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED)]
            if after is None:
                return found

    async def _read(self, lines: Iterable[_Line]) -> list[dict[str, Any]]:
        now = self._clock.utc()
        calendar = [each for each in lines if each.ceiling.window not in SLIDING]
        data: list[dict[str, Any]] = []
        for some in itertools.batched(calendar, READS_AT_ONCE, strict=False):
            rows = [f"{COUNTER}{each.ceiling.name}|{window_of(each.ceiling.window, now)}" for each in some]
            found = await asyncio.gather(*(self._tables.get(LIMITS, each.partition, row) for each, row in zip(some, rows, strict=True)))
            data += [self._shown(each, counter) for each, counter in zip(some, found, strict=True)]
        return data

    async def _of_users(self, tenant: str, subscription: Subscription, ceiling: Ceiling) -> list[dict[str, Any]]:
        """Return a limit of a subscription's users, for those whose counter is there."""
        prefix = partitions_of(tenant, "", subscription.id, ANYBODY)[4].rpartition("|")[0]
        row = f"{COUNTER}{ceiling.name}|{window_of(ceiling.window, self._clock.utc())}"
        data: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = await self._tables.query(
                LIMITS, partition_from=f"{prefix}|", partition_below=f"{prefix}|~", row_from=row, row_below=f"{row}~", continuation=after
            )
            for counter in page.entities:
                name = f"{subscription.id}/{counter.partition.rpartition('|')[2]}"
                data.append(self._shown(_Line("user", tenant, name, counter.partition, ceiling), counter))
            if (after := page.continuation) is None:
                return data

    def _shown(self, line: _Line, counter: Entity | None) -> dict[str, Any]:
        now, ceiling = self._clock.utc(), line.ceiling
        charged = integer(counter.values, "spent") + integer(counter.values, "out") if counter is not None else 0
        shown: dict[str, Any] = {
            "scope": line.kind,
            "tenant": line.tenant or None,
            "name": line.name or None,
            "metric": ceiling.metric.value,
            "window": ceiling.window,
            "window_id": window_of(ceiling.window, now),
            "ends_at": end_of(ceiling.window, now),
            "limit": ceiling.amount,
            "charged": charged,
            "percent": round(100 * charged / ceiling.amount, 1),
            "mode": ceiling.mode.value,
            "limit_of": ceiling.source,
        }
        if ceiling.metric is Metric.COST:
            shown |= {"limit_usd": ceiling.amount / MICRO_USD, "charged_usd": charged / MICRO_USD}
        return shown


def _add(lines: dict[tuple[str, str], _Line], tenant: str, scope: Scope, name: str) -> None:
    for ceiling in scope.ceilings:
        lines.setdefault((scope.partition, ceiling.name), _Line(scope.kind, tenant, name, scope.partition, ceiling))
