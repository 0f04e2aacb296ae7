"""docs/limits.md and docs/identity.md are references: their keys, states, roles and numbers are the code's."""

import datetime
import importlib
import re

import msgspec
import pytest

from gateway.access.lifecycle import TRANSITIONS
from gateway.domain.access import Product, Role, Subscription, Tenant
from gateway.domain.limits import Limits, Mode
from gateway.limits.scopes import partitions_of
from tests.house.sources import codes, read, section, table

LIMITS, IDENTITY = read("docs/limits.md"), read("docs/identity.md")
# What no PATCH changes: given when it is made, changed by routes of its own, or ours.
FIXED = {
    "tenants": (Tenant, {"id"}),
    "products": (Product, {"id"}),
    "subscriptions": (Subscription, {"id", "tenant", "product", "state", "keys", "held"}),
}


def test_the_limits_page_lists_exactly_the_keys_of_limits() -> None:
    listed = [name for key, _, _ in table(LIMITS, "What can be limited") for name in codes(key)]
    assert listed == [field.name for field in msgspec.structs.fields(Limits)]


def test_the_limits_page_says_what_every_mode_does() -> None:
    assert [codes(mode)[0] for mode, _ in table(LIMITS, "Modes")] == [mode.value for mode in Mode]


def test_the_limits_page_draws_every_scope() -> None:
    kinds = [name.partition("|")[0] for name in partitions_of("t", "p", "s", "u")]
    assert re.findall(r"\[\"\*\*(\w+)\*\*", section(LIMITS, "Whose limits")) == kinds


@pytest.mark.parametrize("row", table(LIMITS, "Numbers"), ids=lambda row: row[2].strip("`"))
def test_the_limits_pages_numbers_are_the_codes(row: list[str]) -> None:
    what, number, constant = row
    module, _, name = codes(constant)[0].rpartition(".")
    value = getattr(importlib.import_module(f"gateway.{module}"), name)
    if isinstance(value, datetime.timedelta):
        value /= {"minutes": datetime.timedelta(minutes=1), "days": datetime.timedelta(days=1)}[what.rpartition(" ")[2]]
    assert value == float(number)


def test_the_identity_page_lists_what_can_be_changed() -> None:
    listed = {what: codes(members) for what, members in table(IDENTITY, "Tenants, products, subscriptions")}
    for what, (kind, fixed) in FIXED.items():
        names = {field.name for field in msgspec.structs.fields(kind)} - fixed
        assert {name for name in listed[what] if name.islower()} - {"active", "suspended"} == names, what


def test_the_identity_page_draws_every_way_between_states() -> None:
    drawn = re.findall(r"^  (\w+) --> (\w+): (\w+)$", section(IDENTITY, "Approval and states"), re.MULTILINE)
    assert set(drawn) == {(before, after, action) for action, ways in TRANSITIONS.items() for before, after in ways.items()}


def test_the_identity_page_lists_every_role() -> None:
    assert [codes(name)[0] for name, *_ in table(IDENTITY, "Roles")] == [Role.USER, Role.TENANT_ADMIN, Role.ADMIN]
    assert len(Role) == 3
