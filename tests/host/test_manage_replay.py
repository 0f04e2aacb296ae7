"""Captures over a running host: calls are kept, run again under another version and guardrail, and erased."""

from typing import Any

import pytest

from tests.host.asking import Reply, ask, chat_body, eventually
from tests.host.test_manage_access import made, manage
from tests.host.test_manage_guardrails import Tenant


class Capturing(Tenant):
    """A tenant whose calls are captured, with a prompt of its own."""

    def __init__(self, gateway: Any) -> None:
        super().__init__(gateway)
        product = f"of-{self.id}"
        capture = {"models": ["*"], "capture": {"share": 1, "days": 1}}
        etag = manage(gateway, "GET", f"products/{product}").headers["etag"]
        changed = manage(gateway, "PATCH", f"products/{product}", capture, if_match=etag)
        assert changed.status == 200, changed.body
        for text in ("Be kind.", "Be kind to {{firm}}."):
            says = {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": text}]}
            made(gateway, "prompts/hi/versions", says, self.admin)
        manage(gateway, "PUT", "prompts/hi/labels/production", {"version": 1}, self.admin)

    def asks(self) -> Reply:
        body = chat_body(prompt={"id": "hi"}, messages=[{"role": "user", "content": "Hello"}])
        return ask(self.gateway, "POST", "/v1/chat/completions", body, {"x-gateway-user": "anna"}, key=self.key)

    def replay(self, key: str | None = None, **document: Any) -> Reply:
        return manage(self.gateway, "POST", "replay", document, key or self.admin)


@pytest.fixture
def tenant(gateway: Any) -> Capturing:
    return Capturing(gateway)


def test_captured_calls_are_run_again_by_their_tenants_administrator_and_erased(gateway: Any, tenant: Capturing) -> None:
    assert tenant.asks().status == 200
    eventually(lambda: tenant.replay().json()["replayed"] == 1, "the captured call")
    (row,) = tenant.replay().json()["data"]
    assert (row["changed"], row["text_similarity"]) == ([], 1.0)
    (row,) = tenant.replay(**{"with": {"model": "gpt-4o-mini"}}).json()["data"]
    assert (row["before"]["model"], row["after"]["model"]) == ("gpt-4o", "gpt-4o-mini")
    other = tenant.replay(**{"with": {"prompt": {"name": "hi", "version": 2}}}).json()
    assert [each["reason"] for each in other["not_replayed"]] != []  # version 2 asks for a variable that the call does not bring
    guarded = tenant.replay(**{"with": {"guardrails": ["mask-pii"]}}).json()
    assert guarded["replayed"] == 1
    live = tenant.replay(gateway.admin_key, tenant=tenant.id, mode="live", max_cost_usd=1).json()
    assert live["replayed"] == 1
    assert live["cost_usd"] > 0
    stranger = Tenant(gateway)
    assert manage(gateway, "POST", "replay", {"tenant": tenant.id}, stranger.admin).status == 403
    assert manage(gateway, "DELETE", f"captures?tenant={tenant.id}", key=stranger.admin).status == 403
    assert manage(gateway, "DELETE", "captures?user=nobody", key=tenant.admin).json()["erased"] == 0
    assert manage(gateway, "DELETE", "captures?user=anna", key=tenant.admin).json()["erased"] == 1
    assert tenant.replay().json()["replayed"] == 0
