"""Prompts over a running host: versions, labels, rollback, differences, whose they are, and what the trail says of them."""

import uuid
from typing import Any

import pytest

from tests.host.asking import Reply
from tests.host.test_manage_access import manage
from tests.host.test_manage_guardrails import Tenant


def says(content: str = "You answer for {{company}}.", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": content}], **more}


class Prompt:
    """A tenant's prompt of a name that nobody else uses."""

    def __init__(self, gateway: Any, tenant: Tenant) -> None:
        self.gateway = gateway
        self.tenant = tenant
        self.name = f"support-{uuid.uuid4().hex[:8]}"

    def ask(self, method: str, path: str = "", body: Any = None, key: str | None = None, **headers: str) -> Reply:
        return manage(self.gateway, method, f"prompts/{self.name}{path}", body, key or self.tenant.admin, **headers)

    def make(self, *contents: str, **more: Any) -> list[Any]:
        made = [self.ask("POST", "/versions", says(content, **more)) for content in contents]
        assert [reply.status for reply in made] == [201] * len(made), made
        return [reply.json() for reply in made]

    def put(self, label: str, version: int) -> Reply:
        return self.ask("PUT", f"/labels/{label}", {"version": version})


@pytest.fixture
def prompt(gateway: Any) -> Prompt:
    return Prompt(gateway, Tenant(gateway))


def test_versions_are_made_labelled_compared_and_rolled_back(prompt: Prompt) -> None:
    one, two = prompt.make("One", "Two")
    assert (one["version"], two["version"], len(one["hash"])) == (1, 2, 64)
    again = prompt.ask("POST", "/versions", says("Two"))
    assert (again.status, again.json()["version"]) == (200, 2)
    assert [prompt.put("production", each).status for each in (1, 2)] == [200, 200]
    difference = prompt.ask("GET", "/diff?from=1&to=production").json()
    assert difference["changes"] == [{"field": "messages[0].content", "before": "One", "after": "Two"}]
    back = prompt.ask("POST", "/labels/production/rollback")
    assert (back.status, back.json()["version"]) == (200, 1)
    assert prompt.ask("GET", "/versions/production").json()["messages"] == [{"role": "system", "content": "One"}]
    shown = prompt.ask("GET").json()
    assert (shown["latest"], shown["labels"]) == (2, {"production": 1})
    listed = manage(prompt.gateway, "GET", "prompts", key=prompt.tenant.admin).json()["data"]
    assert [each["name"] for each in listed] == [prompt.name]


def test_a_change_of_what_was_changed_meanwhile_is_refused(prompt: Prompt) -> None:
    prompt.make("One", "Two")
    etag = prompt.ask("GET").headers["etag"]
    assert prompt.ask("PUT", "/labels/production", {"version": 1}, **{"if-match": etag}).status == 200
    late = prompt.ask("PUT", "/labels/production", {"version": 2}, **{"if-match": etag})
    assert (late.status, late.json()["code"]) == (412, "precondition_failed")


def test_a_deleted_prompt_keeps_its_versions_and_its_numbers(prompt: Prompt) -> None:
    prompt.make("One")
    prompt.put("production", 1)
    refused = prompt.ask("DELETE")
    assert (refused.status, refused.json()["code"]) == (409, "in_use")
    assert (prompt.ask("DELETE", "/labels/production").status, prompt.ask("DELETE").status) == (204, 204)
    assert prompt.ask("GET", "/versions/1").status == 200
    assert manage(prompt.gateway, "GET", "prompts", key=prompt.tenant.admin).json()["data"] == []
    assert prompt.make("One")[0]["version"] == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (says(parameters={"stream": True}), "parameters.stream"),
        (says(input_schema={"type": "array"}), "input_schema.type"),
        (says(template="jinja2"), "template"),
        (says(lookups=["nobody"]), "lookups[0]"),
        (says("Hello {{> nobody}}"), "messages"),
        (says(steps=[{"type": "extract", "field": "id", "pattern": "(?=x)"}]), "steps[0].pattern"),
        (says(examples=[{"town": "x"}]), "examples[0]"),
        (says() | {"messages": [{"role": "system", "content": ""}]}, "messages[0].content"),
    ],
    ids=["parameters", "input-schema", "template", "lookups", "partials", "steps", "examples", "content"],
)
def test_what_is_wrong_with_a_version_is_named(prompt: Prompt, body: dict[str, Any], param: str) -> None:
    refused = prompt.ask("POST", "/versions", body)
    assert (refused.status, refused.json()["param"]) == (400, param)
    assert prompt.ask("GET").status == 404


def test_prompts_are_their_tenants_and_shared_ones_the_gateways(gateway: Any, prompt: Prompt) -> None:
    other = Tenant(gateway)
    prompt.make("secret of one tenant")
    for reply in (prompt.ask("GET", key=other.admin), prompt.ask("GET", "/versions/1", key=other.admin)):
        assert (reply.status, reply.json()["code"]) == (404, "prompt_not_found")
    assert prompt.ask("GET", f"?tenant={prompt.tenant.id}", key=other.admin).status == 403
    assert prompt.ask("PUT", "/labels/production", {"version": 1}, key=other.admin).status == 404
    assert prompt.ask("GET", key=prompt.tenant.key).status == 403
    assert prompt.ask("GET", f"?tenant={prompt.tenant.id}", key=gateway.admin_key).status == 200
    assert prompt.ask("GET", key=gateway.admin_key).status == 404
    assert prompt.ask("POST", "/versions", says("shared"), key=gateway.admin_key).status == 201
    assert prompt.ask("GET", "/versions/1", key=other.admin).json()["messages"][0]["content"] == "shared"
    assert prompt.ask("PUT", "/labels/production?shared=true", {"version": 1}, key=other.admin).status == 403
    assert prompt.ask("POST", "/versions?tenant=nobody-at-all", says(), key=gateway.admin_key).json()["code"] == "tenant_not_found"


def test_the_trail_says_who_moved_a_label_and_holds_no_prompts_text(gateway: Any, prompt: Prompt) -> None:
    prompt.make("A text that nobody else has", "Two")
    prompt.put("production", 1)
    where = f"?tenant={prompt.tenant.id}"
    assert prompt.ask("PUT", f"/labels/production{where}", {"version": 2}, key=gateway.admin_key).status == 200
    trail = manage(gateway, "GET", "audit?limit=1000", key=prompt.tenant.admin)
    entries = [each for each in trail.json()["data"] if each["target"].startswith(f"prompts/{prompt.name}")]
    assert [each["action"] for each in entries] == ["prompt.version.create"] * 2 + ["prompt.label.change"] * 2
    assert (entries[-1]["before"]["labels"], entries[-1]["after"]["version"]) == ({"production": 1}, 2)
    assert entries[-1]["tenant"] == prompt.tenant.id
    assert "nobody else has" not in trail.body.decode()
