"""Tenants' own rules, guardrails as they are shown, and trying them."""

from typing import Any

import msgspec
import pytest

from gateway.access.administration_guardrails import MAX_TEXT_CHARACTERS, GuardrailAdministration, guardrail_shape
from gateway.access.directory_rows import thing_of, values_of
from gateway.access.memory import STALE_S
from gateway.domain.access import Tenant
from gateway.domain.catalog import Catalog
from gateway.domain.guardrail_faults import Fault
from gateway.domain.guardrail_trial import Trial, Tried
from gateway.domain.guardrails import BUILT_IN, Action, Direction, Guardrail, Regex, TenantRule, Terms, Topics
from gateway.domain.tables import Entity
from gateway.domain.verdicts import Outcome, Verdict
from gateway.errors import Conflict, NotFound, PreconditionFailed, RequestError
from tests.unit.access.office import Office, asked

NAMES: dict[str, Any] = {"id": "names", "type": "terms", "terms": ["Bluebird"], "action": "redact", "label": "confidential"}


@pytest.fixture
def office() -> Office:
    return Office()


async def key_of(office: Office, tenant: str) -> str:
    return str((await office.subscribe(tenant=tenant))["keys"]["primary"])


async def test_a_tenants_administrator_sets_its_own_rules_and_its_calls_are_under_them_at_once(office: Office) -> None:
    await office.tenant("contoso")
    key = await key_of(office, "contoso")
    assert await office.opens(key)
    told = await office.administration.set_rules(asked({"rules": [NAMES]}, tenant="contoso"), "contoso")
    rule = Terms(id="names", terms=("Bluebird",), action=Action.REDACT, label="confidential")
    assert told.value == {"tenant": "contoso", "rules": (rule,)}
    assert told.before == {"tenant": "contoso", "rules": ()}
    record = await office.memory.records.get(key.split("_")[1])
    assert record is not None
    assert record.principal.rules == (rule,)


async def test_another_worker_follows_within_five_seconds(office: Office) -> None:
    await office.tenant("contoso")
    key = (await key_of(office, "contoso")).split("_")[1]
    other = Office(office.tables, office.clock)
    await other.memory.records.get(key)
    await office.administration.set_rules(asked({"rules": [NAMES]}), "contoso")
    other.clock.advance(STALE_S + 0.1)
    record = await other.memory.records.get(key)
    assert record is not None
    assert [rule.id for rule in record.principal.rules] == ["names"]


async def test_rules_of_another_tenant_are_not_there(office: Office) -> None:
    await office.tenant("contoso")
    await office.tenant("fabrikam")
    with pytest.raises(NotFound):
        await office.administration.set_rules(asked({"rules": []}, tenant="fabrikam"), "contoso")
    with pytest.raises(NotFound):
        await office.administration.rules(asked(tenant="fabrikam"), "contoso")
    with pytest.raises(NotFound):
        await office.administration.set_rules(asked({"rules": []}), "nobody")


async def test_rules_are_shown_with_an_etag_that_guards_the_next_change(office: Office) -> None:
    await office.tenant("contoso", rules=[NAMES])
    told = await office.administration.rules(asked(tenant="contoso"), "contoso")
    assert msgspec.json.decode(msgspec.json.encode(told.value)) == {"tenant": "contoso", "rules": [NAMES]}
    changed = await office.administration.set_rules(asked({"rules": []}, if_match=told.etag), "contoso")
    assert changed.value["rules"] == ()
    with pytest.raises(PreconditionFailed):
        await office.administration.set_rules(asked({"rules": [NAMES]}, if_match=told.etag), "contoso")


async def test_the_default_tenant_has_none(office: Office) -> None:
    with pytest.raises(Conflict):
        await office.administration.set_rules(asked({"rules": [NAMES]}), "default")


BAD_RULES: list[tuple[Any, str]] = [
    ({}, "rules"),
    ({"rules": [NAMES], "x": 1}, "x"),
    ({"rules": [NAMES, NAMES]}, "rules[1].id"),
    ({"rules": [NAMES | {"id": "mask-pii"}]}, "rules[0].id"),
    ({"rules": [NAMES | {"type": "pii"}]}, "rules[0].type"),
    ({"rules": [NAMES | {"type": "size"}]}, "rules[0].type"),
    ({"rules": [NAMES | {"terms": []}]}, "rules[0].terms"),
    ({"rules": [NAMES | {"tenants": ["fabrikam"]}]}, "rules[0].tenants"),
    ({"rules": [NAMES | {"action": "mask"}]}, "rules[0].action"),
    ({"rules": [NAMES | {"id": f"n{n}"} for n in range(51)]}, "rules"),
    ({"rules": [{"id": "bad", "type": "regex", "patterns": {"c": "("}}]}, "rules[0].patterns.c"),
]


@pytest.mark.parametrize(("document", "param"), BAD_RULES, ids=range(len(BAD_RULES)))
async def test_a_bad_rule_names_its_field_and_changes_nothing(document: dict[str, Any], param: str) -> None:
    office = Office()
    office.administration._documents._check_guardrail = unbalanced
    await office.tenant("contoso")
    with pytest.raises(RequestError) as caught:
        await office.administration.set_rules(asked(document), "contoso")
    assert (caught.value.param, param in caught.value.message) == (param, True)
    assert (await office.administration.rules(asked(), "contoso")).value["rules"] == ()


def unbalanced(guardrail: Guardrail) -> Fault | None:
    """A check as the detectors' would be."""
    wrong = isinstance(guardrail, Regex) and guardrail.patterns.get("c") == "("
    return ("patterns.c", "does not compile") if wrong else None


def test_every_rule_survives_its_row() -> None:
    rules: tuple[TenantRule, ...] = (
        Terms(id="a", terms=("x",)),
        Regex(id="b", patterns={"c": "d"}),
        Topics(id="e", topics={"f": ("g", "h")}),
    )
    tenant = Tenant(id="contoso", name="Contoso", rules=rules)
    assert thing_of(Entity("tenant", "contoso", values_of(tenant), ""), Tenant, id="contoso").value == tenant


class Bench:
    """Notes what is tried; what is redacted is what it is told."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.trials: list[Trial] = []
        self.verdicts = verdicts

    async def try_out(self, trial: Trial) -> Tried:
        self.trials.append(trial)
        return Tried(self.verdicts, "redacted" if trial.text else None, {"redacted": True} if trial.document else None)


MAIL = Verdict("mask-pii", Direction.MESSAGES, Outcome.REDACTED, "email", count=1)
CLEAR = Verdict("shield-prompts", Direction.MESSAGES, Outcome.PASSED)


def desk(office: Office, bench: Bench) -> GuardrailAdministration:
    return GuardrailAdministration(office.directory, bench.try_out, unbalanced)


async def test_named_and_defined_guardrails_are_tried_in_their_order(office: Office) -> None:
    bench = Bench(MAIL, CLEAR)
    told = await desk(office, bench).test(asked({"guardrails": ["mask-pii", NAMES], "text": "x", "direction": "output"}))
    (trial,) = bench.trials
    assert [each.id for each in trial.guardrails] == ["mask-pii", "names"]
    assert (trial.direction, trial.text, trial.document) == (Direction.OUTPUT, "x", None)
    assert (told["object"], told["outcome"], told["text"]) == ("guardrail.test", "redacted", "redacted")
    assert told["verdicts"][0] == {"guard": "mask-pii", "direction": "messages", "outcome": "redacted", "category": "email", "count": 1}


async def test_a_chats_body_is_tried_as_a_whole(office: Office) -> None:
    bench = Bench()
    body = {"messages": [{"role": "user", "content": "x"}]}
    told = await desk(office, bench).test(asked({"guardrails": ["mask-pii"], "request": body}))
    assert bench.trials[0].document == body
    assert (told["request"], told["outcome"]) == ({"redacted": True}, None)


BAD_TRIALS: list[tuple[dict[str, Any], str]] = [
    ({"text": "x"}, "guardrails"),
    ({"guardrails": [], "text": "x"}, "guardrails"),
    ({"guardrails": ["mask-pii"]}, "text"),
    ({"guardrails": ["mask-pii"], "text": "x", "request": {}}, "text"),
    ({"guardrails": ["mask-pii"], "text": "x" * (MAX_TEXT_CHARACTERS + 1)}, "text"),
    ({"guardrails": ["mask-pii"], "text": "x", "direction": "input"}, "direction"),
    ({"guardrails": ["mask-pii"], "request": {}, "direction": "output"}, "direction"),
    ({"guardrails": ["mask-pii", "nobody"], "text": "x"}, "guardrails[1]"),
    ({"guardrails": ["mask-pii", "mask-pii"], "text": "x"}, "guardrails"),
    ({"guardrails": ["mask-pii"] * 51, "text": "x"}, "guardrails"),
    ({"guardrails": [NAMES | {"terms": []}], "text": "x"}, "guardrails[0].terms"),
    ({"guardrails": [{"id": "r", "type": "regex", "patterns": {"c": "("}}], "text": "x"}, "guardrails[0].patterns.c"),
    ({"guardrails": [{"id": "p", "type": "pii", "language_backend": "eu"}], "text": "x"}, "guardrails[0].language_backend"),
]


@pytest.mark.parametrize(("document", "param"), BAD_TRIALS, ids=range(len(BAD_TRIALS)))
async def test_a_bad_trial_names_its_field_and_tries_nothing(office: Office, document: dict[str, Any], param: str) -> None:
    bench = Bench()
    with pytest.raises(RequestError) as caught:
        await desk(office, bench).test(asked(document))
    assert caught.value.param == param
    assert bench.trials == []


async def test_a_tenants_administrator_tries_its_own_rules_and_such_as_could_be_its_own(office: Office) -> None:
    await office.tenant("contoso", rules=[NAMES])
    bench = Bench(CLEAR)
    tried = desk(office, bench)
    await tried.test(asked({"guardrails": ["names", NAMES | {"id": "more"}], "text": "x"}, tenant="contoso"))
    assert [[each.id for each in trial.guardrails] for trial in bench.trials] == [["names", "more"]]
    for wrong, param in (("mask-pii", "guardrails[0]"), ({"id": "p", "type": "pii"}, "guardrails[0].type")):
        with pytest.raises(RequestError) as caught:
            await tried.test(asked({"guardrails": [wrong], "text": "x"}, tenant="contoso"))
        assert caught.value.param == param
    with pytest.raises(RequestError):
        await tried.test(asked({"guardrails": ["names"], "text": "x"}, tenant="fabrikam"))


async def test_what_is_tried_is_in_no_repr() -> None:
    trial = Trial((), Direction.OUTPUT, "ann@example.com", {"a": "ann@example.com"}, "contoso")
    assert "ann" not in repr(trial) + repr(Tried((), "ann@example.com", {"a": "ann@example.com"}))


async def test_guardrails_are_listed_with_what_they_leave_unsaid() -> None:
    own = Terms(id="bias", terms=("x",), action=None, direction="output")
    office = Office(filed=Catalog((), (), guardrails={**BUILT_IN, "bias": own}))
    listed = {each["id"]: each for each in (await desk(office, Bench()).list(asked()))["data"]}
    assert listed.keys() == {*BUILT_IN, "bias"}
    shield = listed["shield-prompts"]
    assert (shield["type"], shield["action"], shield["fail"], shield["threshold"]) == ("injection", "block", "closed", 0.5)
    assert shield["built_in"] is True
    assert shield["direction"] == ("messages", "tool_results", "documents")
    assert (listed["bias"]["direction"], listed["bias"]["built_in"]) == (("output",), False)
    assert guardrail_shape(own)["terms"] == ("x",)
