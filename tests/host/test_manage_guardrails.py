"""Guardrails over a running host: tenants' own rules, trying them, what records and reports say, and where found labels lead."""

import json
import uuid
from typing import Any

import pytest

from gateway.domain.access import Role
from tests.host.asking import Reply, ask, chat_body
from tests.host.test_manage_access import made, manage

HEADER = "x-gateway-guardrails"


class Tenant:
    """A tenant with a caller and an administrator of its own, on a product with guardrails."""

    def __init__(self, gateway: Any, *guardrails: str) -> None:
        self.gateway = gateway
        self.id = f"tenant-{uuid.uuid4().hex[:8]}"
        made(gateway, "tenants", {"id": self.id})
        product = made(gateway, "products", {"id": f"of-{self.id}", "models": ["*"], "guardrails": list(guardrails)})
        order = {"tenant": self.id, "product": product["id"], "name": "x"}
        self.key: str = made(gateway, "subscriptions", order)["keys"]["primary"]
        self.admin: str = made(gateway, "subscriptions", order | {"roles": [Role.TENANT_ADMIN]})["keys"]["primary"]

    def rules(self, *rules: Any) -> Reply:
        return manage(self.gateway, "PUT", f"tenants/{self.id}/rules", {"rules": list(rules)}, self.admin)

    def say(self, text: str, **headers: str) -> Reply:
        body = chat_body(messages=[{"role": "user", "content": text}])
        return ask(self.gateway, "POST", "/v1/chat/completions", body, headers, key=self.key)

    def record(self, reply: Reply) -> Any:
        return manage(self.gateway, "GET", f"usage/{reply.headers['x-request-id']}", key=self.admin).json()

    def report(self, **query: str) -> Any:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        return manage(self.gateway, "GET", f"guardrails/report?{asked}", key=self.admin).json()


def terms(name: str, *words: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "type": "terms", "terms": list(words), **more}


def test_a_tenants_administrator_sets_rules_that_hold_at_once(gateway: Any) -> None:
    tenant = Tenant(gateway)
    assert tenant.say("About Bluebird").status == 200
    assert tenant.rules(terms("names", "Bluebird")).status == 200
    refused = tenant.say("About Bluebird")
    assert (refused.status, refused.error["code"]) == (400, "guardrail_blocked")
    assert refused.headers[HEADER].startswith("names;on=messages;is=blocked;category=term;count=1;")
    assert "bluebird" not in refused.body.decode().lower()
    assert tenant.say("About something else").status == 200
    (entry,) = [
        each for each in manage(gateway, "GET", "audit?action=tenant.rules.change", key=tenant.admin).json()["data"]
        if each["outcome"] == "done"
    ]  # fmt: skip
    assert (entry["before"]["rules"], entry["after"]["rules"]) == ([], [terms("names", "Bluebird")])
    assert tenant.rules().status == 200
    assert tenant.say("About Bluebird").status == 200


def test_rules_are_a_tenants_own(gateway: Any) -> None:
    one, other = Tenant(gateway), Tenant(gateway)
    one.rules(terms("names", "Bluebird"))
    assert other.say("About Bluebird").status == 200
    assert manage(gateway, "GET", f"tenants/{one.id}/rules", key=other.admin).status == 404
    assert manage(gateway, "PUT", f"tenants/{one.id}/rules", {"rules": []}, other.admin).status == 404
    assert manage(gateway, "PUT", f"tenants/{one.id}/rules", {"rules": []}, one.key).status == 403


def test_a_guarded_calls_verdicts_are_in_its_record_and_its_tenants_report(gateway: Any) -> None:
    tenant, other = Tenant(gateway, "mask-pii"), Tenant(gateway, "mask-pii")
    tenant.rules(terms("names", "Bluebird", action="report", label="internal"))
    reply = tenant.say("Tell ann@contoso.com about Bluebird")
    assert reply.status == 200
    assert "ann@contoso.com" in reply.body.decode()
    record = tenant.record(reply)
    verdicts = {(each["guard"], each["direction"]): each for each in json.loads(record["guardrails"])}
    assert {key: each["outcome"] for key, each in verdicts.items() if key[1] == "messages"} == {
        ("mask-pii", "messages"): "redacted",
        ("names", "messages"): "reported",
    }
    assert (record["classification"], record["guard_s"] > 0) == ("internal", True)
    assert "contoso.com" not in record["guardrails"]
    report = tenant.report(group_by="guard,category", direction="messages")
    found = {(row["guard"], row["category"]): (row["calls"], row["findings"]) for row in report["data"]}
    assert found == {("mask-pii", "email"): (1, 1), ("names", "term"): (1, 1)}
    assert other.report()["data"] == []


def test_what_a_guardrail_labels_is_led_by_a_rule_whatever_the_caller_says_of_it(gateway: Any) -> None:
    tenant = Tenant(gateway)
    tenant.rules(terms("names", "Bluebird", action="report", label="confidential"))
    for headers in ({}, {"x-gateway-tags": "classification=public"}):
        assert tenant.say("About Bluebird", **headers).headers["x-gateway-model"] == "phi-4"
    assert tenant.say("About something else").headers["x-gateway-model"] == "gpt-4o"


def test_guardrails_are_tried_without_a_model_and_the_trail_does_not_get_the_text(gateway: Any) -> None:
    tried = made(gateway, "guardrails/test", {"guardrails": ["mask-pii"], "text": "I am ann@contoso.com"})
    assert (tried["outcome"], "ann@contoso.com" in tried["text"]) == ("redacted", False)
    chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": "I am ann@contoso.com"}]}
    whole = made(gateway, "guardrails/test", {"guardrails": ["mask-pii"], "request": chat})
    assert "ann@contoso.com" not in json.dumps(whole)
    blocked = made(gateway, "guardrails/test", {"guardrails": [terms("names", "Bluebird")], "text": "About Bluebird"})
    assert (blocked["outcome"], blocked["text"]) == ("blocked", None)
    misspelt = {"guardrails": ["mask-pii"], "txt": "I am ann@contoso.com"}
    assert manage(gateway, "POST", "guardrails/test", misspelt).status == 400
    trail = manage(gateway, "GET", "audit?action=guardrail.test&limit=1000").body.decode()
    assert "mask-pii" in trail
    assert "ann@contoso.com" not in trail
    assert "About Bluebird" not in trail


@pytest.mark.parametrize("wrong", ["mask-pii", {"id": "p", "type": "pii"}], ids=["named", "defined"])
def test_a_tenants_administrator_tries_its_own_rules_only(gateway: Any, wrong: Any) -> None:
    tenant = Tenant(gateway)
    tenant.rules(terms("names", "Bluebird"))
    tried = made(gateway, "guardrails/test", {"guardrails": ["names"], "text": "About Bluebird"}, tenant.admin)
    assert tried["outcome"] == "blocked"
    refused = manage(gateway, "POST", "guardrails/test", {"guardrails": [wrong], "text": "x"}, tenant.admin)
    assert refused.status == 400


def test_a_rule_that_no_detector_can_read_is_refused_by_its_field(gateway: Any) -> None:
    tenant = Tenant(gateway)
    refused = tenant.rules({"id": "r", "type": "regex", "patterns": {"case": "(unclosed"}})
    assert (refused.status, refused.json()["param"]) == (400, "rules[0].patterns.case")
    refused = tenant.rules({"id": "l", "type": "languages", "allow": ["xx"]})
    assert (refused.status, refused.json()["param"]) == (400, "rules[0].allow[0]")
