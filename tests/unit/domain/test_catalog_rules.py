"""Routing rules and negotiated prices in the catalogue: every key of them, and every fault at its path."""

import datetime
from typing import Any

import pytest

from gateway.domain.deployment import Price
from gateway.domain.policy import Rule, Schedule, TenantPrice, When
from tests.unit.domain.catalog_documents import Change, build, fault

NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


def rule(**members: Any) -> Change:
    return lambda document: document.update(routing_rules=[{"id": "r", **members}])


def test_a_rule_says_when_and_where() -> None:
    when = {
        "tenant": "contoso", "product": ["a", "b*"], "key": "k", "user": ["u"], "tags": {"team": "web-*"}, "model": "s*",
        "operation": ["chat", "images.*"], "task": "code", "text": "(?i)secret", "tokens_over": 10, "tokens_under": 100,
        "capability": ["vision"], "classification": "confidential", "priority": "low",
        "schedule": {"days": ["mon", "sun"], "start": "22:00", "below": "06:30", "timezone": "Europe/Berlin"},
    }  # fmt: skip
    catalog = build(
        lambda document: document.update(
            routing_rules=[
                {"id": "one", "when": when, "model": "l", "confine": True},
                {"id": "two", "pool": [{"deployment": "d2", "priority": 3}], "strategy": "weighted"},
                {"id": "three", "when": {"schedule": {}}, "strategy": "balanced"},
            ]
        )
    )
    one, two, three = catalog.rules
    night = Schedule(frozenset({0, 6}), datetime.time(22, 0), datetime.time(6, 30), "Europe/Berlin")
    assert one == Rule(
        "one",
        When(
            tenant=("contoso",), product=("a", "b*"), key=("k",), user=("u",), tags={"team": "web-*"}, model=("s*",),
            operation=("chat", "images.*"), task=("code",), text="(?i)secret", tokens_over=10, tokens_under=100,
            capability=("vision",), classification=("confidential",), priority=("low",), schedule=night,
        ),
        model="large", confine=True,
    )  # fmt: skip
    assert [(member.deployment.id, member.priority) for member in two.pool] == [("d2", 3)]
    assert (two.strategy, two.when, three.when.schedule) == ("weighted", When(), Schedule())


def test_negotiated_prices_come_before_a_deployments_own() -> None:
    def change(document: dict[str, Any]) -> None:
        document["deployments"][0]["price"] = {"input": 2, "output": 4}
        document["tenant_prices"] = [{"tenant": "contoso", "deployment": "d*", "price": {"input": 1, "output": 2, "cached_input": 0.5}}]

    catalog = build(change)
    assert catalog.tenant_prices == (TenantPrice("contoso", "d*", Price(1_000_000, 2_000_000, 500_000)),)
    assert catalog.price(catalog.deployments["d1"], "contoso", NOON) == Price(1_000_000, 2_000_000, 500_000)
    assert catalog.price(catalog.deployments["d1"], "other", NOON) == Price(2_000_000, 4_000_000)


RULE_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"model": "s", "pool": [{"deployment": "d1"}]}, ""),
    ({"model": "nobody"}, ".model"),
    ({"strategy": "astrology"}, ".strategy"),
    ({"strategy": "weighted", "confine": True}, ".confine"),
    ({"pool": [{"deployment": "d9"}]}, ".pool[0].deployment"),
    ({"pool": [{"deployment": "d1", "weight": 0}]}, ".pool"),
    ({"model": "s", "when": {"colour": "red"}}, ".when"),
    ({"model": "s", "when": {"tenant": ""}}, ".when.tenant"),
    ({"model": "s", "when": {"operation": "chats"}}, ".when.operation"),
    ({"model": "s", "when": {"capability": ["flying"]}}, ".when.capability"),
    ({"model": "s", "when": {"priority": "urgent"}}, ".when.priority"),
    ({"model": "s", "when": {"text": "(("}}, ".when.text"),
    ({"model": "s", "when": {"tokens_over": -1}}, ".when.tokens_over"),
    ({"model": "s", "when": {"tokens_over": 5, "tokens_under": 6}}, ".when.tokens_under"),
    ({"model": "s", "when": {"tags": {"a": 1}}}, ".when.tags[...]"),
    ({"model": "s", "when": {"schedule": {"days": ["monday"]}}}, ".when.schedule.days"),
    ({"model": "s", "when": {"schedule": {"start": "8:00"}}}, ".when.schedule.start"),
    ({"model": "s", "when": {"schedule": {"below": "24:00"}}}, ".when.schedule.below"),
    ({"model": "s", "when": {"schedule": {"below": 1080}}}, ".when.schedule.below"),
    ({"model": "s", "when": {"schedule": {"timezone": "Mars/Olympus"}}}, ".when.schedule.timezone"),
    ({"model": "s", "when": {"schedule": {"timezone": "../etc/passwd"}}}, ".when.schedule.timezone"),
]


@pytest.mark.parametrize(("members", "path"), RULE_FAULTS)
def test_a_fault_in_a_rule_is_refused_at_its_path(members: dict[str, Any], path: str) -> None:
    assert fault(rule(**members)).path == f"$.routing_rules[0]{path}"


def test_a_rule_is_there_once() -> None:
    assert fault(lambda d: d.update(routing_rules=[{"id": "r", "model": "s"}] * 2)).path == "$.routing_rules[1].id"


@pytest.mark.parametrize(
    ("entry", "path"), [({"tenant": ""}, "tenant"), ({"deployment": "x*"}, "deployment"), ({"price": {"input": 1}}, "price")]
)
def test_a_fault_in_a_negotiated_price_is_refused_at_its_path(entry: dict[str, Any], path: str) -> None:
    whole = {"tenant": "t", "deployment": "*", "price": {"unit": 1}} | entry
    assert fault(lambda document: document.update(tenant_prices=[whole])).path == f"$.tenant_prices[0].{path}"
