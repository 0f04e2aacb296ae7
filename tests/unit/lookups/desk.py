"""Lookups over fakes: their sources, their memory and what administrators write."""

import json
from typing import Any

from gateway.domain.access import Role
from gateway.domain.deployment import Auth, AuthType, Protocol
from gateway.domain.lookups import FeatureLookup, HttpLookup, Lookup, TableLookup
from gateway.domain.management import Asked
from gateway.lookups.administration import LookupAdministration
from gateway.lookups.filling import Asking
from gateway.lookups.lookups import Found, Lookups
from gateway.lookups.rows import TABLE, partition_of, row_of, values_of
from tests.builders import make_backend, make_principal
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.fakes.upstream import FakeUpstream, Reply

CRM = make_backend(id="crm", protocol=Protocol.REST, endpoint="https://crm.example.com/api", auth=Auth(AuthType.NONE), data_zone="eu")
ASKING = Asking("contoso", "", {"id": "42", "n": 7, "list": [1]}, {"user": "ann"})


def http_lookup(**over: Any) -> HttpLookup:
    return HttpLookup(**{"id": "customer", "backend": "crm", "path": "/customers/{variables.id}"} | over)


def table_lookup(**over: Any) -> TableLookup:
    return TableLookup(**{"id": "plan", "key": "{variables.id}"} | over)


def feature_lookup(**over: Any) -> FeatureLookup:
    features = {"customer:value": "number", "customer:orders": "integer"}
    return FeatureLookup(**{"id": "facts", "backend": "crm", "entity": "id", "key": "{variables.n}", "features": features} | over)


def json_reply(value: Any, **over: Any) -> Reply:
    return Reply(**{"steps": [json.dumps(value).encode()], "headers": {"content-type": "application/json; charset=utf-8"}} | over)


def text_reply(text: str) -> Reply:
    return Reply(steps=[text.encode()], headers={"content-type": "text/plain"})


class Desk:
    """`lookups` are those that administrators know."""

    def __init__(self, *known: Lookup, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.upstream = FakeUpstream(self.clock)
        self.tables = FakeTables()
        self.lookups = Lookups(self.upstream, self.tables, self.clock, {"crm": CRM})
        self.manage = LookupAdministration(self.tables, {each.id: each for each in known}, self.clock, self.lookups.forget)

    async def hold(self, value: Any, *, tenant: str = "contoso", key: str = "42", lookup: str = "plan") -> None:
        """Put a value into the table, and forget that the table was asked."""
        values = values_of(key, json.dumps(value).encode(), self.clock.utc(), "somebody")
        await self.tables.insert(TABLE, partition_of(tenant, lookup), str(row_of(key)), values)
        self.tables.calls = 0

    async def find(self, *wanted: Lookup, asking: Asking = ASKING) -> Found:
        return await self.lookups.fetch(wanted, asking)


def asked(role: Role = Role.ADMIN, *, if_match: str = "", document: dict[str, Any] | None = None, **query: str) -> Asked:
    return Asked(make_principal(roles=frozenset({role})), document or {}, query, if_match)
