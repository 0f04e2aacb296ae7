from typing import Any

import pytest

from gateway.domain.catalog_lookups import lookup_fault
from gateway.domain.lookups import FeatureLookup, HttpLookup, TableLookup, needs_of
from gateway.routing.overrides import ModelOverride, Overrides, apply
from tests.unit.domain.catalog_documents import Change, build, fault

HTTP = {"id": "customer", "type": "http", "backend": "crm", "path": "/customers/{variables.id}?by={context.user}", "pick": "data.0"}
TABLE = {"id": "plan", "type": "table", "key": "{variables.id}", "fail": "open", "default": {"plan": "free"}}
FEATURES = {"id": "f", "type": "features", "backend": "crm", "entity": "id", "key": "{variables.id}", "features": {"c:value": "number"}}


def lookups(*entries: dict[str, Any]) -> Change:
    return lambda document: document.update(lookups=list(entries))


def test_every_type_is_read_with_the_backends_that_they_ask() -> None:
    catalog = build(lookups(HTTP, TABLE, FEATURES))
    assert [type(each) for each in catalog.lookups.values()] == [HttpLookup, TableLookup, FeatureLookup]
    assert list(catalog.lookup_backends) == ["crm"]
    assert list(needs_of(catalog.lookups["customer"])) == [("variables", "id"), ("context", "user")]
    assert build().lookups == {}


def test_what_operators_change_while_it_runs_leaves_lookups_as_they_are() -> None:
    catalog = build(lookups(HTTP))
    changed = apply(catalog, Overrides({"small": ModelOverride({"d1": 7})}, {}))
    assert changed is not catalog
    assert (changed.lookups, changed.lookup_backends) == (catalog.lookups, catalog.lookup_backends)


@pytest.mark.parametrize(
    ("entry", "over", "path"),
    [
        (HTTP, {"id": "no-hyphen"}, "id"),
        (HTTP, {"id": "1st"}, "id"),
        (HTTP, {"backend": "aoai"}, "backend"),
        (HTTP, {"backend": "nobody"}, "backend"),
        (HTTP, {"path": "customers"}, "path"),
        (HTTP, {"path": "/{user}"}, "path"),
        (HTTP, {"path": "/{variables.a b}"}, "path"),
        (HTTP, {"path": "/a b"}, "path"),
        (HTTP, {"path": "/../x"}, "path"),
        (HTTP, {"pick": "a..b"}, "pick"),
        (HTTP, {"ttl_s": -1}, "ttl_s"),
        (HTTP, {"ttl_s": 86_401}, "ttl_s"),
        (HTTP, {"timeout_s": 0}, "timeout_s"),
        (HTTP, {"timeout_s": 31}, "timeout_s"),
        (HTTP, {"default": "x"}, "default"),
        (TABLE, {"key": ""}, "key"),
        (TABLE, {"key": "{id}"}, "key"),
        (FEATURES, {"entity": ""}, "entity"),
        (FEATURES, {"features": {}}, "features"),
        (FEATURES, {"features": {"a:x": "any", "b:x": "any"}}, "features"),
        (FEATURES, {"features": {"a:id": "any"}}, "features"),
        (FEATURES, {"features": {"a:": "any"}}, "features"),
        (FEATURES, {"backend": "aoai"}, "backend"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.get("type") or "-".join(map(str, value.items())),
)
def test_a_fault_is_named_at_its_path(entry: dict[str, Any], over: dict[str, Any], path: str) -> None:
    assert fault(lookups(TABLE | {"id": "first"}, entry | over)).path == f"$.lookups[1].{path}"


def test_an_id_cannot_be_there_twice_and_a_type_must_be_known() -> None:
    assert fault(lookups(TABLE, TABLE)).path == "$.lookups[1].id"
    assert fault(lookups({"id": "x", "type": "sql"})).path.startswith("$.lookups[0]")
    assert fault(lookups(TABLE | {"wait": 1})).path.startswith("$.lookups[0]")


def test_a_prompt_may_name_what_its_tenant_may_use() -> None:
    known = build(lookups(HTTP | {"tenants": ["contoso*"]}, TABLE)).lookups
    assert lookup_fault(known, "contoso-eu", "customer") is None
    assert lookup_fault(known, "", "customer") is None
    assert "there are plan" in (lookup_fault(known, "fabrikam", "customer") or "")
    assert "there are customer, plan" in (lookup_fault(known, "", "nobody") or "")
    assert "none" in (lookup_fault({}, "contoso", "plan") or "")
