"""Every management route has its role and its name in one table, and every request that is no read leaves an entry in the trail."""

import re
from collections import Counter
from typing import Any

import pytest

from gateway.access.audit import AUDIT
from gateway.adapters.tables_sqlite import SqliteTables
from gateway.routes.rights import RIGHTS
from tests.house.asks import Ask
from tests.house.sources import functions
from tests.house.test_routes import send

READS = {"GET", "HEAD"}
CATCH_ALL = "manage/{*path}"


def managed() -> set[tuple[str, str]]:
    return {(method, each.route) for each in functions() if each.route.startswith("manage/") for method in each.methods}


def test_the_table_of_rights_has_exactly_the_registered_routes() -> None:
    assert {(right.method, right.route) for right in RIGHTS} == {each for each in managed() if each[1] != CATCH_ALL}


def sent(gateway: Any, method: str, route: str, key: str) -> tuple[int, str]:
    path = "/" + re.sub(r"\{\*?\w+\}", "nobody", route)
    status, request_id, _ = send(gateway, Ask(0, method, path, {}, key))
    return status, request_id


async def entries(gateway: Any) -> Counter[str]:
    """Count the trail's entries by request."""
    tables = SqliteTables(str(gateway.data / "tables.db"))
    try:
        found: Counter[str] = Counter()
        after = None
        while True:
            page = await tables.query(AUDIT, continuation=after)
            found.update(str(entity.values["request_id"]) for entity in page.entities if entity.values["outcome"] != "begun")
            if (after := page.continuation) is None:
                return found
    finally:
        await tables.close()


@pytest.mark.parametrize(("key", "left"), [("admin", 1), ("user", 0)])
async def test_every_request_that_is_no_read_leaves_one_completed_entry(gateway: Any, key: str, left: int) -> None:
    writes = sorted(each for each in managed() if each[0] not in READS)
    assert len(writes) > 15
    asked = {each: sent(gateway, *each, key) for each in writes}
    found = await entries(gateway)
    assert {each: found[request_id] for each, (_, request_id) in asked.items() if found[request_id] != left} == {}
    if key == "user":
        assert {status for status, _ in asked.values()} == {403}


async def test_a_change_whose_body_cannot_be_read_leaves_one_as_well(gateway: Any) -> None:
    form = b"--house--"  # sent as a form, which no management route takes
    asked = [
        send(gateway, Ask(0, method, path, form, "admin"))
        for method, path in (("POST", "/manage/tenants"), ("PATCH", "/manage/products/x"))
    ]
    assert [status for status, _, _ in asked] == [415, 415]
    found = await entries(gateway)
    assert [found[request_id] for _, request_id, _ in asked] == [1, 1]


async def test_reads_leave_none(gateway: Any) -> None:
    asked = [sent(gateway, method, route, "admin") for method, route in sorted(managed()) if method == "GET"]
    found = await entries(gateway)
    assert [request_id for _, request_id in asked if found[request_id]] == []
