"""What the catalogue can say beyond backends and pools: every key of it, and every fault at its path."""

import datetime
import pathlib
import re
import sys
from typing import Any, get_args

import pytest
import yaml

from gateway.adapters.catalog_source import CatalogUnusable, parse_catalog
from gateway.domain.capabilities import CAPABILITIES
from gateway.domain.catalog_price_schema import TenantPriceEntry
from gateway.domain.catalog_schema import BackendEntry, DeploymentEntry, ModelEntry, ProductEntry, RuleEntry
from gateway.domain.deployment import AuthType, Price
from gateway.domain.guardrails import BUILT_IN, Guardrail
from gateway.domain.lookups import Lookup
from gateway.domain.policy import (
    STRATEGIES,
    Enrichment,
    Fallbacks,
    Lifecycle,
    LifecycleState,
    StaticAnswer,
    Tier,
    Transform,
    Verifier,
)
from tests.unit.domain.catalog_documents import Change, build, fault


def model(**members: Any) -> Change:
    return lambda document: document["models"][0].update(members)


def of_quality(quality: float) -> Change:
    return lambda document: document["deployments"][0].update(quality=quality)


@pytest.mark.parametrize("declared", [None, 0.49])
def test_a_quality_that_no_deployment_of_the_pool_has_is_no_floor(declared: float | None) -> None:
    def change(document: dict[str, Any], floor: float = 0.5) -> None:
        model(quality_floor=floor)(document)
        if declared is not None:
            of_quality(declared)(document)

    assert fault(change).path == "$.models[0].quality_floor"
    assert build(lambda document: change(document, declared or 0.0)).models[0].quality_floor == (declared or 0.0)


def test_a_model_says_how_it_is_served_and_by_whom_instead() -> None:
    change = model(
        strategy="lowest-cost", retry={"max_attempts": 2, "attempt_timeout_s": 2.5}, quality_floor=0.5, latency_ceiling_s=3,
        hash_on="user", max_output_tokens=100, default_output_tokens=50,
        fallbacks={"any": ["large"], "context_length": ["l"], "content_filter": [], "static": {"content": "Later."}},
        lifecycle={"state": "deprecated", "deprecated": "2026-01-02", "sunset": datetime.date(2026, 3, 4), "successor": "l"},
        tiers=[
            {"model": "l", "verify": {"json_schema": {"type": "object"}}},
            {"model": "large", "verify": {"regex": "^ok"}},
            {"model": "large", "verify": {"judge": {"model": "s", "question": "Good?"}}},
        ],
        enrich=[
            {"backend": "crm", "path": "/users/{user}?team={tag:team}", "template": "Known: {result}", "pick": "a.b", "required": True}
        ],
        transform=[{"type": "regex-replace", "pattern": "(a)", "replacement": r"\1b"}, {"type": "trim"}],
    )  # fmt: skip
    found = build(lambda document: (change(document), of_quality(0.5)(document))).models[0]
    assert (found.strategy, found.max_attempts, found.attempt_timeout_s) == ("lowest-cost", 2, 2.5)
    assert (found.quality_floor, found.latency_ceiling_s, found.hash_on, found.default_output_tokens) == (0.5, 3, "user", 50)
    assert found.fallbacks == Fallbacks(any=("large",), context_length=("large",), static=StaticAnswer("Later."))
    dates = datetime.date(2026, 1, 2), datetime.date(2026, 3, 4)
    assert found.lifecycle == Lifecycle(LifecycleState.DEPRECATED, *dates, successor="large")
    judge = Verifier(judge_model="small", question="Good?")
    verifiers = [Verifier(json_schema={"type": "object"}), Verifier(regex="^ok"), judge]
    assert found.tiers == tuple(Tier("large", verifier) for verifier in verifiers)
    crm = build().models[-1].pool[0].deployment.backend
    assert found.enrich == (Enrichment(crm, "/users/{user}?team={tag:team}", "Known: {result}", "a.b", 2.0, True),)
    assert found.transform == (Transform("regex-replace", "(a)", r"\1b"), Transform("trim"))


def test_a_backend_that_is_asked_for_by_its_path_has_a_hidden_model() -> None:
    catalog = build()
    hidden = catalog.find("crm")
    assert hidden is not None
    assert hidden.hidden
    assert [(member.deployment.id, member.deployment.name) for member in hidden.pool] == [("crm", "")]
    assert [shown.id for shown in catalog.models if not shown.hidden] == ["small", "large"]


def test_an_internal_backend_is_for_lookups_only() -> None:
    def change(document: dict[str, Any]) -> None:
        document["backends"][1]["internal"] = True
        model(enrich=[{"backend": "crm", "path": "/x"}])(document)

    catalog = build(change)
    assert catalog.find("crm") is None
    assert catalog.models[0].enrich[0].backend.id == "crm"
    assert fault(lambda document: document["backends"][0].update(internal=True)).path == "$.backends[0].internal"


def test_the_hidden_model_takes_the_deployment_of_its_id_with_its_price() -> None:
    priced = {"id": "crm", "backend": "crm", "name": "blue", "price": {"unit": 10}}
    hidden = build(lambda document: document["deployments"].append(priced)).find("crm")
    assert hidden is not None
    assert (hidden.pool[0].deployment.name, hidden.pool[0].deployment.price) == ("blue", Price(0, 0, unit=10_000_000))
    elsewhere = fault(lambda document: document["deployments"].append(priced | {"backend": "aoai"}))
    assert elsewhere.path == "$.deployments[2].id"


@pytest.mark.parametrize("change", [model(id="crm"), model(aliases=["crm"])])
def test_a_model_of_a_backends_name_stands_in_its_place(change: Change) -> None:
    catalog = build(change)
    assert catalog.find("crm") is catalog.models[0]
    assert not any(found.hidden for found in catalog.models)


def test_fallbacks_may_lead_in_a_circle() -> None:
    def change(document: dict[str, Any]) -> None:
        model(fallbacks={"any": ["large"]})(document)
        document["models"][1]["fallbacks"] = {"any": ["small"]}

    assert [found.fallbacks.any for found in build(change).models[:2]] == [("large",), ("small",)]


MODEL_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"strategy": "astrology"}, "strategy"),
    ({"hash_on": "moon"}, "hash_on"),
    ({"capabilities": ["chat", "visoin"]}, "capabilities[1]"),
    ({"quality_floor": 1.5}, "quality_floor"),
    ({"quality_floor": float("nan")}, "quality_floor"),
    ({"latency_ceiling_s": 0}, "latency_ceiling_s"),
    ({"context_window": 0}, "context_window"),
    ({"max_output_tokens": 5, "default_output_tokens": 6}, "default_output_tokens"),
    ({"retry": {"attempt_timeout_s": 0}}, "retry.attempt_timeout_s"),
    ({"retry": {"attempt_timeout_s": 10_000}}, "retry.attempt_timeout_s"),
    ({"fallbacks": {"any": ["large", "nobody"]}}, "fallbacks.any[1]"),
    ({"fallbacks": {"content_filter": ["s"]}}, "fallbacks.content_filter[0]"),
    ({"fallbacks": {"sometimes": ["l"]}}, "fallbacks"),
    ({"fallbacks": {"any": ["crm"]}}, "fallbacks.any[0]"),
    ({"lifecycle": {"state": "dead"}}, "lifecycle.state"),
    ({"lifecycle": {"state": "active", "sunset": "2026-01-01"}}, "lifecycle.sunset"),
    ({"lifecycle": {"state": "deprecated", "sunset": "soon"}}, "lifecycle.sunset"),
    ({"lifecycle": {"state": "deprecated", "deprecated": "2026-02-01", "sunset": "2026-01-01"}}, "lifecycle.sunset"),
    ({"lifecycle": {"state": "retired", "successor": "small"}}, "lifecycle.successor"),
    ({"tiers": [{"model": "small", "verify": {"regex": "x"}}]}, "tiers[0].model"),
    ({"tiers": [{"model": "large", "verify": {}}]}, "tiers[0].verify"),
    ({"tiers": [{"model": "large", "verify": {"regex": "x", "json_schema": {}}}]}, "tiers[0].verify"),
    ({"tiers": [{"model": "large", "verify": {"regex": "("}}]}, "tiers[0].verify.regex"),
    ({"tiers": [{"model": "large", "verify": {"json_schema": {"items": [{"$ref": "https://x.com/s"}]}}}]}, "tiers[0].verify.json_schema"),
    ({"tiers": [{"model": "large", "verify": {"json_schema": {"$dynamicRef": "file:///s"}}}]}, "tiers[0].verify.json_schema"),
    ({"tiers": [{"model": "large", "verify": {"judge": {"model": "nobody"}}}]}, "tiers[0].verify.judge.model"),
    ({"enrich": [{"backend": "aoai", "path": "/x"}]}, "enrich[0].backend"),
    ({"enrich": [{"backend": "crm", "path": "x"}]}, "enrich[0].path"),
    ({"enrich": [{"backend": "crm", "path": "/{secret}"}]}, "enrich[0].path"),
    ({"enrich": [{"backend": "crm", "path": "/", "template": "none"}]}, "enrich[0].template"),
    ({"enrich": [{"backend": "crm", "path": "/", "timeout_s": 0}]}, "enrich[0].timeout_s"),
    ({"transform": [{"type": "shout"}]}, "transform[0].type"),
    ({"transform": [{"type": "regex-replace"}]}, "transform[0].pattern"),
    ({"transform": [{"type": "regex-replace", "pattern": "["}]}, "transform[0].pattern"),
    ({"transform": [{"type": "regex-replace", "pattern": "a", "replacement": r"\1"}]}, "transform[0].replacement"),
    ({"transform": [{"type": "extract", "pattern": "a"}]}, "transform[0].field"),
    ({"transform": [{"type": "trim", "field": "a"}]}, "transform[0].field"),
    ({"transform": [{"type": "wrap"}]}, "transform[0].replacement"),
    ({"transform": [{"type": "wrap", "replacement": "text"}]}, "transform[0].replacement"),
]


@pytest.mark.parametrize(("members", "path"), MODEL_FAULTS)
def test_a_fault_in_a_model_is_refused_at_its_path(members: dict[str, Any], path: str) -> None:
    assert fault(model(**members)).path == f"$.models[0].{path}"


def test_an_unknown_capability_is_answered_with_those_there_are() -> None:
    message = fault(model(capabilities=["json_schema"])).message
    assert all(name in message for name in CAPABILITIES)


@pytest.mark.parametrize(("section", "value"), [("prompts", []), ("chains", [])])
def test_what_is_still_to_come_is_refused_by_name(section: str, value: Any) -> None:
    assert f"`{section}`" in fault(lambda document: document.update({section: value})).message


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_of_the_contract_is_taken(strategy: str) -> None:
    assert build(model(strategy=strategy)).models[0].strategy == strategy


CONTRACT = """\
version: 1
backends:
  - id: aoai-eastus
    protocol: azure-openai
    endpoint: https://contoso-eastus.openai.azure.com
    auth: {type: managed-identity}
    region: eastus
    data_zone: us
deployments:
  - id: gpt-4o-ptu
    backend: aoai-eastus
    name: gpt4o-ptu
    sku: provisioned
    capacity: {ptu: 100, tpm: 240000, rpm: 1440, concurrency: 64}
    quota_group: contoso-gpt4o
    price: {input: 2.50, cached_input: 1.25, output: 10.00}
  - {id: gpt-4o-weu, backend: aoai-eastus}
models:
  - id: gpt-4o
    aliases: [chat-default]
    pool: [{deployment: gpt-4o-ptu, priority: 1}, {deployment: gpt-4o-weu, priority: 2, weight: 3}]
    retry: {max_attempts: 3}
    strategy: priority
    fallbacks: {any: [gpt-4o-mini], context_length: [gpt-4o-128k], content_filter: [], static: {content: "We'll be right back."}}
    capabilities: [chat, vision, tools, json-schema]
    context_window: 128000
    max_output_tokens: 16384
    lifecycle: {state: active}
  - {id: gpt-4o-mini, pool: [{deployment: gpt-4o-weu}]}
  - {id: gpt-4o-128k, pool: [{deployment: gpt-4o-weu}], lifecycle: {state: deprecated, sunset: 2027-01-31}}
products:
  - id: starter
    models: ["gpt-4o*", text-embedding-3-small]
    limits:
      requests_per_minute: 60
      tokens_per_minute: 20000
      tokens: [{period: month, limit: 2000000}]
      budget_usd: [{period: month, limit: 50, alert_at: [50, 80, 100]}]
      concurrency: 8
    guardrails: [mask-pii, shield-prompts, content-safety]
    requires_approval: true
guardrails:
  - {id: codenames, type: terms, terms: [Bluebird], action: redact}
routing_rules:
  - id: nights
    when: {schedule: {days: [mon, tue], start: "18:00", below: "08:00", timezone: Europe/Berlin}}
    model: gpt-4o-mini
"""


def test_the_contracts_sample_loads() -> None:
    catalog = parse_catalog(CONTRACT, "c.yaml", {})
    assert [found.id for found in catalog.models] == ["gpt-4o", "gpt-4o-mini", "gpt-4o-128k"]
    assert catalog.models[2].lifecycle.sunset == datetime.date(2027, 1, 31)
    assert catalog.deployments["gpt-4o-ptu"].backend.auth.type is AuthType.MANAGED_IDENTITY
    assert catalog.products["starter"].guardrails == ("mask-pii", "shield-prompts", "content-safety")
    assert {*catalog.guardrails} == {*BUILT_IN, "codenames"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("any: [gpt-4o-mini]", "any: [gpt-5]", 24),
        ("strategy: priority", "strategy: random", 23),
        ("Europe/Berlin", "Berlin", 46),
        ('start: "18:00"', "start: 18:00", 46),
        ("state: deprecated", "state: active", 30),
        ("[mask-pii, shield", "[mask_pii, shield", 40),
        ("action: redact", "action: mask", 43),
        ("type: terms", "type: words", 43),
        ("    sku: provisioned", "    quality: 2\n    sku: provisioned", 13),
    ],
)
def test_a_fault_of_the_new_kind_names_its_line(old: str, new: str, line: int) -> None:
    with pytest.raises(CatalogUnusable, match=rf"^c\.yaml:{line}: "):
        parse_catalog(CONTRACT.replace(old, new, 1), "c.yaml", {})


def calls_to_load(models: int) -> int:
    """How many functions are called to load so many models with all they can have: the work, without a clock."""

    def change(document: dict[str, Any]) -> None:
        document["deployments"] = [{"id": f"d{n}", "backend": "aoai", "capacity": {"tpm": 9}} for n in range(2 * models)]
        document["models"] = [
            {
                "id": f"m{n}", "aliases": [f"a{n}"], "pool": [{"deployment": f"d{n}"}, {"deployment": f"d{n + models}"}],
                "capabilities": ["chat"], "fallbacks": {"any": [f"m{(n + 1) % models}"]}, "transform": [{"type": "trim"}],
            }
            for n in range(models)
        ]  # fmt: skip
        document["routing_rules"] = [
            {"id": f"r{n}", "when": {"operation": "chat", "text": f"x{n}"}, "model": f"m{n}"} for n in range(models)
        ]

    called = 0

    def count(_frame: object, event: str, _value: object) -> None:
        nonlocal called
        called += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        catalog = build(change)
    finally:
        sys.setprofile(before)
    assert len(catalog.rules) == models
    return called


def test_the_work_of_loading_grows_with_the_models_and_no_faster() -> None:
    assert calls_to_load(400) < 2.5 * calls_to_load(200)  # by the pair, four times


def test_the_catalogue_that_is_shown_whole_loads() -> None:
    page = (pathlib.Path(__file__).parents[3] / "docs" / "catalogue.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"<!-- a catalogue with all there is -->\n```yaml\n(.*?)```", page, re.DOTALL)
    environment = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", text), "x")
    catalog = parse_catalog(text, "catalogue.md", environment)
    assert len(catalog.rules) == 3
    document = yaml.safe_load(text)
    shown = {name for section in document.values() if isinstance(section, list) for item in section for name in item}
    kinds = tuple(type(each) for each in catalog.guardrails.values())
    assert set(kinds) == set(get_args(Guardrail.__value__))
    entries = (BackendEntry, DeploymentEntry, ModelEntry, RuleEntry, TenantPriceEntry, ProductEntry, *get_args(Lookup.__value__), *kinds)
    assert {name for entry in entries for name in entry.__struct_encode_fields__} | {"type"} == shown


def test_the_sample_of_the_repository_loads() -> None:
    sample = pathlib.Path(__file__).parents[3] / "catalog.yaml"
    environment = {"SIMULATOR_URL": "http://127.0.0.1:1"} | dict.fromkeys(
        ("SIMULATOR_KEY", "SIMULATOR_AWS_KEY_ID", "SIMULATOR_AWS_SECRET"), "x"
    )
    assert parse_catalog(sample.read_text(encoding="utf-8"), "catalog.yaml", environment).models
