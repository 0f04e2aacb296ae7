from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.catalog_guardrails import MAX_RULES_CHARACTERS, rules_fault
from gateway.domain.guardrail_faults import Fault, guardrail_fault
from gateway.domain.guardrails import (
    BUILT_IN,
    Direction,
    Guardrail,
    Injection,
    Languages,
    Named,
    Pii,
    Regex,
    SystemText,
    TenantRule,
    Terms,
    Topics,
    directions_of,
)
from gateway.domain.tables import MAX_PROPERTY_BYTES
from tests.unit.domain.catalog_documents import Change, build, fault

KINDS = get_args(Guardrail.__value__)
NEEDED: dict[str, dict[str, Any]] = {
    "terms": {"terms": ["Bluebird"]},
    "regex": {"patterns": {"case": "C-[0-9]{4}"}},
    "topics": {"topics": {"weapons": ["rifle", "pistol"]}},
    "languages": {"allow": ["en"]},
    "size": {"characters": 1000},
    "tools": {"deny": ["shell*"]},
    "json-schema": {"schema": {"type": "object"}},
    "system-text": {"text": "Be kind."},
}


def type_of(kind: type[Named]) -> str:
    return str(kind.__struct_config__.tag)


def one(kind: str, **members: Any) -> Change:
    entry = {"id": "g", "type": kind, **NEEDED.get(kind, {}), **members}
    return lambda document: document.update(guardrails=[entry])


def products(*names: str) -> Change:
    return lambda document: document.update(products=[{"id": "p", "models": ["*"], "guardrails": list(names)}])


def test_every_type_can_be_written_with_what_it_needs_and_nothing_else() -> None:
    for kind in KINDS:
        assert type(build(one(type_of(kind))).guardrails["g"]) is kind


def test_the_built_in_ones_are_there_and_are_good() -> None:
    assert build().guardrails == BUILT_IN
    assert [guardrail_fault(each) for each in BUILT_IN.values()] == [None] * 4


def test_a_definition_of_a_built_in_name_takes_its_place() -> None:
    own = Pii(id="mask-pii", entities=("email",))
    assert build(lambda document: document.update(guardrails=[msgspec.to_builtins(own)])).guardrails == BUILT_IN | {"mask-pii": own}


def test_a_product_names_its_guardrails_in_order() -> None:
    assert build(products("shield-prompts", "mask-pii")).products["p"].guardrails == ("shield-prompts", "mask-pii")


@pytest.mark.parametrize(("names", "place"), [(("mask-pii", "mask_pii"), 1), (("mask-pii", "mask-pii"), 1), (("",), 0)])
def test_a_product_cannot_name_one_that_is_not_there_or_one_twice(names: tuple[str, ...], place: int) -> None:
    assert fault(products(*names)).path == f"$.products[0].guardrails[{place}]"


def test_a_product_that_names_an_unknown_one_is_told_which_there_are() -> None:
    message = fault(products("nobody")).message
    assert all(name in message for name in BUILT_IN)


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("pii", {"id": "1st"}, "id"),
    ("pii", {"id": ""}, "id"),
    ("pii", {"id": "a;b"}, "id"),
    ("pii", {"label": "top secret"}, "label"),
    ("pii", {"tenants": ["a", ""]}, "tenants[1]"),
    ("pii", {"message": "x" * 1025}, "message"),
    ("pii", {"min_confidence": 1.1}, "min_confidence"),
    ("pii", {"timeout_s": 0}, "timeout_s"),
    ("pii", {"entities": ["email", ""]}, "entities[1]"),
    ("pii", {"language_backend": "nobody"}, "language_backend"),
    ("pii", {"language_backend": "crm"}, "language_backend"),
    ("secrets", {"entities": [""]}, "entities[0]"),
    ("injection", {"threshold": 0}, "threshold"),
    ("injection", {"threshold": 1.5}, "threshold"),
    ("injection", {"action": "redact"}, "action"),
    ("injection", {"direction": "output"}, "direction"),
    ("injection", {"direction": "both"}, "direction"),
    ("content-safety", {"hate": 8, "levels": 8}, "hate"),
    ("content-safety", {"violence": 7}, "violence"),
    ("content-safety", {"hate": 0, "sexual": 0, "violence": 0, "self_harm": 0}, "hate"),
    ("content-safety", {"action": "redact"}, "action"),
    ("content-safety", {"blocklists": ["rivals", "a b"]}, "blocklists[1]"),
    ("content-safety", {"blocklists": ["x\r\ny"]}, "blocklists[0]"),
    ("content-safety", {"timeout_s": 61}, "timeout_s"),
    ("content-safety", {"chunk": 50}, "chunk"),
    ("content-safety", {"direction": "output", "mode": "during"}, "mode"),
    ("protected-material", {"direction": "input"}, "direction"),
    ("protected-material", {"mode": "during"}, "mode"),
    ("content-safety", {"mode": "during", "label": "confidential"}, "mode"),
    ("groundedness", {"direction": ["messages", "output"]}, "direction"),
    ("groundedness", {"threshold": 1}, "threshold"),
    ("terms", {"terms": []}, "terms"),
    ("terms", {"terms": ["a", " "]}, "terms[1]"),
    ("terms", {"category": "two words"}, "category"),
    ("terms", {"replacement": "x" * 257}, "replacement"),
    ("terms", {"replacement": "a\nb"}, "replacement"),
    ("regex", {"patterns": {}}, "patterns"),
    ("regex", {"patterns": {"a": ""}}, "patterns.a"),
    ("regex", {"patterns": {"a b": "x"}}, "patterns"),
    ("regex", {"window": -1}, "window"),
    ("regex", {"replacement": "x" * 257}, "replacement"),
    ("topics", {"topics": {}}, "topics"),
    ("topics", {"topics": {"a": []}}, "topics.a"),
    ("topics", {"at_least": 3}, "at_least"),
    ("topics", {"topics": {"a": ["Rifle", "rifle "]}}, "at_least"),
    ("topics", {"action": "redact"}, "action"),
    ("languages", {"allow": []}, "allow"),
    ("languages", {"deny": ["english"]}, "deny[0]"),
    ("languages", {"deny": ["de", "en"]}, "deny[1]"),
    ("languages", {"action": "redact"}, "action"),
    ("size", {"characters": None}, "characters"),
    ("size", {"tools": 0}, "tools"),
    ("size", {"direction": "documents"}, "direction"),
    ("size", {"direction": "output"}, "characters"),
    ("size", {"direction": "input", "output_characters": 5}, "output_characters"),
    ("size", {"action": "redact"}, "action"),
    ("tools", {"deny": []}, "allow"),
    ("tools", {"direction": ["tool_results", "output"]}, "direction"),
    ("tools", {"action": "redact"}, "action"),
    ("json-schema", {"schema": {}}, "schema"),
    ("json-schema", {"direction": "both"}, "direction"),
    ("json-schema", {"action": "redact"}, "action"),
    ("system-text", {"text": " \n"}, "text"),
    ("system-text", {"text": "\u200b"}, "text"),
    ("system-text", {"action": "block"}, "action"),
    ("backend-filter", {"direction": "input"}, "direction"),
    ("backend-filter", {"action": "redact"}, "action"),
]


@pytest.mark.parametrize(("kind", "members", "path"), FAULTS)
def test_a_fault_is_named_at_its_path(kind: str, members: dict[str, Any], path: str) -> None:
    assert fault(one(kind, **members)).path == f"$.guardrails[0].{path}"


def test_every_type_but_those_without_a_choice_has_a_fault_above() -> None:
    assert {kind for kind, _, _ in FAULTS} == {type_of(kind) for kind in KINDS}


@pytest.mark.parametrize(
    ("members", "said"), [({"typ": "pii"}, "type"), ({"type": "pi"}, "'pii'"), ({"type": "pii", "entitys": []}, "entitys")]
)
def test_what_is_misspelt_is_named(members: dict[str, Any], said: str) -> None:
    error = fault(lambda document: document.update(guardrails=[{"id": "g", **members}]))
    assert error.path.startswith("$.guardrails[0]")
    assert said in error.message


def test_a_misspelt_key_is_told_which_its_own_type_knows() -> None:
    message = fault(one("terms", tems=["x"])).message
    assert (
        message == "`tems` is not known here; known are action, category, direction, fail, id, label, message, replacement, tenants, terms"
    )


def test_the_values_that_are_taken_are_each_said_once() -> None:
    assert fault(one("pii", action="mask")).message == "must be 'block', 'redact' or 'report', not 'mask'"


def test_one_name_is_defined_once() -> None:
    both = [{"id": "g", "type": "pii"}, {"id": "g", "type": "secrets"}]
    assert fault(lambda document: document.update(guardrails=both)).path == "$.guardrails[1].id"


def test_a_language_service_that_is_asked_is_kept_with_the_catalogue() -> None:
    def change(document: dict[str, Any]) -> None:
        one("pii", language_backend="text")(document)
        document["backends"].append(
            {"id": "text", "protocol": "azure-ai", "endpoint": "https://t.example.com", "auth": {"type": "none"}, "internal": True}
        )

    assert [*build(change).guard_backends] == ["text"]
    assert build().guard_backends == {}


def test_a_check_of_the_detectors_is_asked_about_each_that_is_otherwise_good() -> None:
    rules: list[TenantRule] = [Terms(id="a", terms=("x",)), Regex(id="b", patterns={"c": "("})]

    def check(guardrail: Guardrail) -> Fault | None:
        return ("patterns.c", "does not compile") if isinstance(guardrail, Regex) else None

    assert rules_fault(rules, (), check) == ("rules[1].patterns.c", "does not compile")
    assert rules_fault(rules, ()) is None


@given(st.sampled_from([kind for kind in KINDS if kind not in (SystemText, Injection)]), st.lists(st.sampled_from(Direction), min_size=1))
def test_what_is_taken_looks_somewhere_and_nowhere_that_was_not_said(kind: type[Any], names: list[Direction]) -> None:
    needed = NEEDED.get(type_of(kind), {})
    guardrail = msgspec.convert({"id": "g", "type": type_of(kind), "direction": names, **needed}, Guardrail)
    taken = guardrail_fault(guardrail) is None
    assert set(directions_of(guardrail)) == set(names)
    if not taken:
        assert set(names) != set(directions_of(kind(id="g", **needed)))


def many(count: int, size: int = 1) -> tuple[str, ...]:
    return tuple(f"{number:04}{'é' * size}" for number in range(count))


TOO_MUCH: list[tuple[list[TenantRule], str]] = [
    ([Terms(id=f"t{n}", terms=("x",)) for n in range(51)], "rules"),
    ([Terms(id="a", terms=many(1001))], "rules"),
    ([Terms(id="a", terms=many(900)), Topics(id="b", topics={"t": many(101)})], "rules"),
    ([Regex(id="a", patterns={f"c{n}": "x" for n in range(21)})], "rules"),
    ([Terms(id="a", terms=many(200, 200))], "rules"),
    ([Terms(id="a", terms=("x",)), Terms(id="a", terms=("y",))], "rules[1].id"),
    ([Terms(id="mask-pii", terms=("x",))], "rules[0].id"),
    ([Terms(id="a", terms=("x",), tenants=("contoso",))], "rules[0].tenants"),
    ([Languages(id="a")], "rules[0].allow"),
]


@pytest.mark.parametrize(("rules", "path"), TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_a_tenants_rules_have_their_bounds(rules: list[TenantRule], path: str) -> None:
    found = rules_fault(rules, BUILT_IN)
    assert found is not None
    assert found[0] == path


def test_the_most_rules_that_are_taken_fit_a_property_of_a_row() -> None:
    rules = [Terms(id=f"t{n}", terms=many(20, 4)) for n in range(50)]
    assert rules_fault(rules, BUILT_IN) is None
    assert 2 * MAX_RULES_CHARACTERS + 4 <= MAX_PROPERTY_BYTES
