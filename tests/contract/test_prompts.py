"""Prompts over every table store: versions of any size, pages, and writers at once."""

import asyncio

from gateway.domain.prompts import SHARED
from gateway.errors import Conflict
from gateway.prompts.library import Library, Made
from tests.fakes.clock import FakeClock
from tests.unit.prompts.written import draft


async def attempt(library: Library, tenant: str, content: str) -> Made | None:
    try:
        return await library.create(tenant, "support", draft(content))
    except Conflict:
        return None


async def test_a_prompts_life_is_the_same_over_every_store(tables, table):
    library = Library(tables, FakeClock())
    tenant = table  # nobody's
    long = 'ü😀"\\\n' * 30_000
    made = await library.create(tenant, "support", draft(long, note="first"), author="key")
    assert await library.version(tenant, "support", 1) == made.version
    await library.create(tenant, "support", draft("Two"), if_match=made.etag)
    await library.create(tenant, "support.v", draft("Other"))
    await library.set_label(tenant, "support", "production", 1)
    head = await library.set_label(tenant, "support", "production", 2, if_match="*")
    assert (await library.head(tenant, "support")).etag == head.etag
    assert (await library.roll_back(tenant, "support", "production", if_match=head.etag)).prompt.labels == {"production": 1}
    first, after = await library.list(tenant, 1)
    rest, _ = await library.list(tenant, 5, after)
    assert [each.name for each in (*first, *rest)] == ["support", "support.v"]
    versions, _ = await library.versions(tenant, "support", 10)
    assert [each.version for each in versions] == [1, 2]
    await library.delete_label(tenant, "support", "production")
    await library.delete(tenant, "support")
    assert [each.name for each in (await library.list(tenant, 9))[0]] == ["support.v"]
    assert (await library.create(tenant, "support", draft("Three"))).version.version == 3


async def test_writers_at_once_leave_no_gap_and_overwrite_nothing(tables, table):
    library = Library(tables, FakeClock())
    done = [each for each in await asyncio.gather(*(attempt(library, table, f"{index}") for index in range(6))) if each]
    assert sorted(each.version.version for each in done) == [*range(1, len(done) + 1)]
    for each in done:
        assert await library.version(table, "support", each.version.version) == each.version
    assert (await library.head(table, "support")).prompt.latest == len(done) >= 1


async def test_shared_prompts_lie_beside_those_of_tenants(tables, table):
    library = Library(tables, FakeClock())
    name = table
    await library.create(SHARED, name, draft("shared"))
    await library.create("contoso", name, draft("own"))
    found = [await library.version(tenant, name, 1) for tenant in (SHARED, "contoso", "fabrikam")]
    assert [each and each.messages[0].content for each in found] == ["shared", "own", None]
