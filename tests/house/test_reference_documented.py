"""docs/catalogue.md and docs/routing.md are references: every key, strategy and number of theirs is the code's."""

import importlib
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from gateway.alerts.events import Kind
from gateway.domain import catalog_price_schema, catalog_schema, guardrails, lookups
from gateway.routing.strategies import STRATEGIES
from tests.house.sources import ROOT, codes, read, section, table

CATALOGUE, ROUTING = read("docs/catalogue.md"), read("docs/routing.md")
# A table's heading, or the word in code style that the paragraph before it begins with → the entry whose keys it lists.
LISTED = {
    "Backends": catalog_schema.BackendEntry,
    "`auth`": catalog_schema.AuthEntry,
    "Deployments": catalog_schema.DeploymentEntry,
    "`capacity`": catalog_schema.CapacityEntry,
    "`cap`": catalog_schema.CapEntry,
    "`price`": catalog_price_schema.PriceEntry,
    "Models": catalog_schema.ModelEntry,
    "`pool`": catalog_schema.PoolEntry,
    "`retry`": catalog_schema.RetryEntry,
    "`fallbacks`": catalog_schema.FallbacksEntry,
    "`static`": catalog_schema.StaticEntry,
    "`lifecycle`": catalog_schema.LifecycleEntry,
    "`tiers`": catalog_schema.TierEntry,
    "`verify`": catalog_schema.VerifyEntry,
    "`judge`": catalog_schema.JudgeEntry,
    "`enrich`": catalog_schema.EnrichEntry,
    "`transform`": catalog_schema.TransformEntry,
    "Routing rules": catalog_schema.RuleEntry,
    "`when`": catalog_schema.WhenEntry,
    "`schedule`": catalog_schema.ScheduleEntry,
    "Tenant prices": catalog_schema.TenantPriceEntry,
    "Products": catalog_schema.ProductEntry,
}


def keys_under(name: str) -> set[str]:
    """Return the first column of the table that follows a heading, or a paragraph that begins with a word."""
    begin = re.search(rf"^{re.escape(name)}[^|`\n]*[^|\n]*:" if name.startswith("`") else rf"^## {name}$", CATALOGUE, re.MULTILINE)
    assert begin, f"nothing tells of {name}"
    rows = re.search(r"^\| key \|.*\n\| ---.*\n((?:\|.*\n)+)", CATALOGUE[begin.end() :], re.MULTILINE)
    assert rows
    return {codes(row.split("|")[1])[0] for row in rows[1].splitlines()}


def test_every_entry_of_the_schema_is_listed() -> None:
    entries = {
        entry
        for entry in (vars(catalog_schema) | {"PriceEntry": catalog_price_schema.PriceEntry}).values()
        if isinstance(entry, type) and entry.__name__.endswith("Entry")
    }
    assert entries == set(LISTED.values())


@pytest.mark.parametrize("name", LISTED)
def test_the_catalogues_page_lists_exactly_the_keys_of_the_schema(name: str) -> None:
    assert keys_under(name) == {field.encode_name for field in msgspec.structs.fields(LISTED[name])}


def guardrail_keys(name: str) -> set[str]:
    """Return the first column of the table that follows a sentence."""
    rows = CATALOGUE[CATALOGUE.index(name) :].split("| --- | --- | --- |\n")[1].split("\n\n")[0]
    return {codes(row.split("|")[1])[0] for row in rows.splitlines()}


def test_the_catalogues_page_lists_the_keys_of_all_guardrails() -> None:
    common = {field.name for field in msgspec.structs.fields(guardrails.Named)}
    assert guardrail_keys("What all of them take:") == common | {"type"}
    remote = {field.name for field in msgspec.structs.fields(guardrails.Remote)} - common
    assert guardrail_keys("What those that ask a service take besides") == remote


def said(default: object) -> str:
    """Return how a default is written; empty for one that is described in words."""
    if isinstance(default, bool):
        return "true" if default else ""
    return f"{default:g}" if isinstance(default, int | float) else default if isinstance(default, str) else ""


def test_the_catalogues_page_lists_every_type_of_guardrail_with_its_direction_keys_and_defaults() -> None:
    rows = CATALOGUE[CATALOGUE.index("What each type takes") :].split("| --- | --- | --- |\n")[1].split("\n\n")[0].splitlines()
    listed = {codes(kind)[0]: (direction.strip(), keys) for kind, direction, keys in (row.split("|")[1:4] for row in rows)}
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(guardrails.Guardrail.__value__)}
    assert listed.keys() == kinds.keys()
    for name, kind in kinds.items():
        shared = guardrails.Remote if issubclass(kind, guardrails.Remote) else guardrails.Named
        own = [field for field in msgspec.structs.fields(kind) if field.name not in shared.__struct_fields__]
        direction, keys = listed[name]
        assert [field.name for field in own if f"`{field.name}`" not in keys] == [], name
        plain = {field.name: said(field.default) for field in own}
        assert [key for key, value in plain.items() if value and f"(`{value}`)" not in keys] == [], name
        made = kind(id="x", **dict.fromkeys((field.name for field in own if field.required), ()))
        looks = {guardrails.BOTH: "both", guardrails.INPUT: "input", (guardrails.Direction.OUTPUT,): "output"}
        assert looks[guardrails.directions_of(made)] == direction, name


def test_the_catalogues_page_lists_every_type_of_lookup_and_its_keys() -> None:
    first, second = section(CATALOGUE, "Lookups").split("What each type takes besides:")
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(lookups.Lookup.__value__)}
    listed = {codes(row.split("|")[1])[0]: row.split("|")[2] for row in second.splitlines() if row.startswith("| `")}
    common = {codes(row.split("|")[1])[0] for row in first.splitlines() if row.startswith("| `")}
    assert listed.keys() == kinds.keys()
    for name, kind in kinds.items():
        own = {field.name for field in msgspec.structs.fields(kind)} - common
        assert [key for key in sorted(own) if f"`{key}`" not in listed[name]] == [], name
        assert common - {"type"} <= {field.name for field in msgspec.structs.fields(kind)}


def test_the_routing_page_lists_every_strategy() -> None:
    assert [codes(name)[0] for name, _ in table(ROUTING, "Strategies")] == list(STRATEGIES)


@pytest.mark.parametrize("row", table(ROUTING, "Numbers"), ids=lambda row: row[2].strip("`"))
def test_the_routing_pages_numbers_are_the_codes(row: list[str]) -> None:
    module, name = codes(row[2])[0].split(".")
    assert getattr(importlib.import_module(f"gateway.routing.{module}"), name) == float(row[1])


def test_what_is_said_of_the_breaker_is_said_in_its_picture_too() -> None:
    numbers = {codes(constant)[0]: said for _, said, constant in table(ROUTING, "Numbers")}
    picture = section(ROUTING, "Circuit breaker")
    names = ("FAILURES_IN_A_ROW", "WINDOW_ATTEMPTS", "WINDOW_S", "OPEN_S", "MAX_OPEN_S", "PROBES_TO_CLOSE")
    assert [name for name in names if not re.search(rf"\b{numbers[f'breaker.{name}']}\b", picture)] == []


def test_readme_says_the_same_numbers_in_short() -> None:
    said = section(read("README.md"), "Routing and resilience")
    numbers = {codes(constant)[0]: number for _, number, constant in table(ROUTING, "Numbers")}
    phrases = (
        f"{numbers['breaker.FAILURES_IN_A_ROW']} failures in a row",
        f"half of {numbers['breaker.WINDOW_ATTEMPTS']} or more attempts within {numbers['breaker.WINDOW_S']} s",
        f"for {numbers['breaker.OPEN_S']} s, doubled up to {numbers['breaker.MAX_OPEN_S']} s",
        f"{numbers['breaker.PROBES_TO_CLOSE']} probes close it",
        f"a tenth of the first attempts, {numbers['budget.CAPACITY']} at once",
        f"a bounded queue ({catalog_schema.CapacityEntry().queue}, {numbers['gate.MAX_QUEUE_S']} s at most)",
    )
    assert [phrase for phrase in phrases if phrase not in said] == []
    assert all(f"`{name}`" in said for name in STRATEGIES)


def test_the_alerts_page_lists_every_type() -> None:
    assert [codes(kind)[0] for kind, *_ in table(read("docs/alerts.md"), "What is told")] == [kind.value for kind in Kind]


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda page: page.name)
def test_files_of_ours_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:tests|gateway|bench|devhost|infra|examples|orchestrations)/[\w./-]+)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
