"""A tenant's list of records, cut into pages anywhere: all of its records once, and no page token that names another."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.tables import Page
from gateway.metering import reports
from tests.fakes.tables import FakeTables
from tests.unit.metering.test_reports import Office

# Before it, after it, and such that begin with its name or end with it.
NEIGHBOURS = ("mine", "a", "z", "mine-too", "mine.x", "min", "mine:", "xmine", "Mine")


class Resting(FakeTables):
    """Rests after two rows, as the service may at any time."""

    async def query(self, table: str, *, limit: int = 1000, **bounds: Any) -> Page:
        return await super().query(table, limit=min(limit, 2), **bounds)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(NEIGHBOURS), st.integers(1, 4)), max_size=30), st.integers(1, 3), st.integers(1, 4))
async def test_a_tenants_list_has_all_of_its_records_once_and_names_nobody_else(made: Any, looked_through: int, limit: int) -> None:
    office = Office()
    office.tables.__class__ = Resting
    for tenant, hours_ago in made:
        office.add(hours_ago, tenant)
    seen: list[str] = []
    query = {"limit": str(limit)}
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(reports, "PAGES_LOOKED_THROUGH", looked_through)
        for _ in range(200):
            page = await office.reports.records(query, "mine")
            seen += [record["request_id"] for record in page["data"]]
            if page["after"] is None:
                break
            assert base64.urlsafe_b64decode(page["after"]).split(b"|")[1] == b"mine"
            query["after"] = page["after"]
        else:
            raise AssertionError("it never comes to an end")
    assert seen == [entity.row for entity in office.tables.rows("usage") if entity.values["tenant"] == "mine"]
