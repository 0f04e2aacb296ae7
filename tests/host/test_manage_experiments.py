"""Experiments over a running host: their life at /manage, whose they are, and what the trail says of them."""

import uuid
from typing import Any

import pytest

from gateway.domain.access import Role
from tests.host.asking import Reply
from tests.host.test_manage_access import made, manage

ARMS = [{"id": "as-it-is", "weight": 95}, {"id": "cold", "weight": 5, "parameters": {"temperature": 0}}]
ENDINGS = {"stop": "stopped", "promote": "promoted", "rollback": "rolled_back"}


class Tenant:
    """A tenant with an administrator of its own."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.id = f"tenant-{uuid.uuid4().hex[:8]}"
        made(gateway, "tenants", {"id": self.id})
        order = {"tenant": self.id, "product": "unlimited", "name": "x", "roles": [Role.USER, Role.TENANT_ADMIN]}
        self.key: str = made(gateway, "subscriptions", order)["keys"]["primary"]

    def asks(self, method: str, path: str, document: Any = None, **headers: str) -> Reply:
        return manage(self.gateway, method, f"experiments{path}", document, self.key, **headers)

    def has_made(self, **more: Any) -> Any:
        document = {"id": "cold", "on": {"model": "gpt-4o"}, "variants": ARMS, "goal": {"metric": "cost_usd"}} | more
        reply = self.asks("POST", "", document)
        assert reply.status == 201, reply.body
        return reply.json()


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_experiment_is_made_started_ramped_ended_and_deleted(gateway: Any, ending: str) -> None:
    tenant = Tenant(gateway)
    draft = tenant.has_made()
    assert (draft["state"], draft["tenant"], draft["goal"]) == ("draft", tenant.id, {"metric": "cost_usd", "better": "lower"})
    assert tenant.asks("POST", "/cold/start").json()["state"] == "running"
    ramped = tenant.asks("PATCH", "/cold", {"weights": {"cold": 50}}).json()
    assert [phase["weights"]["cold"] for phase in ramped["phases"]] == [5, 50]
    assert tenant.asks("GET", "/cold/results").status == 200
    refused = tenant.asks("DELETE", "/cold")
    assert (refused.status, refused.json()["code"]) == (409, "in_use")
    ended = tenant.asks("POST", f"/cold/{ending}", {"reason": "enough"}).json()
    assert (ended["state"], ended["reason"], ended["serves"]) == (ENDINGS[ending], "enough", ending == "promote")
    assert tenant.asks("POST", "/cold/stop").status == (409 if ending == "stop" else 200)
    assert tenant.asks("DELETE", "/cold").status == 204
    assert tenant.asks("GET", "/cold").json()["code"] == "experiment_not_found"
    trail = manage(gateway, "GET", f"audit?tenant={tenant.id}&limit=1000").json()["data"]
    actions = [each["action"].partition(".")[2] for each in trail if each["action"].startswith("experiment.") and each["outcome"] == "done"]
    assert actions[:4] == ["create", "start", "change", ending]


def test_experiments_are_a_tenants_own(gateway: Any) -> None:
    one, other = Tenant(gateway), Tenant(gateway)
    one.has_made()
    for method, path in (("GET", "/cold"), ("PATCH", "/cold"), ("DELETE", "/cold"), ("POST", "/cold/start"), ("GET", "/cold/results")):
        reply = other.asks(method, path, {} if method == "PATCH" else None)
        assert (reply.status, reply.json()["code"]) == (404, "experiment_not_found")
        assert other.asks(method, f"{path}?tenant={one.id}", {} if method == "PATCH" else None).status == 403
    assert other.asks("GET", "").json()["data"] == []
    assert [each["id"] for each in one.asks("GET", "").json()["data"]] == ["cold"]
    assert manage(gateway, "GET", f"experiments/cold?tenant={one.id}").status == 200
    shared = [each["id"] for each in manage(gateway, "GET", "experiments").json()["data"]]
    assert "cold" not in shared


def test_a_second_experiment_on_a_model_is_told_of_the_first(gateway: Any) -> None:
    tenant = Tenant(gateway)
    tenant.has_made()
    tenant.has_made(id="colder")
    assert tenant.asks("POST", "/cold/start").status == 200
    refused = tenant.asks("POST", "/colder/start")
    assert (refused.status, refused.json()["code"]) == (409, "target_in_use")
    assert "'cold'" in refused.json()["detail"]


def test_changes_under_an_old_etag_are_refused_and_faults_are_named(gateway: Any) -> None:
    tenant = Tenant(gateway)
    tenant.has_made()
    etag = tenant.asks("GET", "/cold").headers["etag"]
    assert tenant.asks("PATCH", "/cold", {"alpha": 0.01}, if_match=etag).status == 200
    late = tenant.asks("PATCH", "/cold", {"alpha": 0.02}, if_match=etag)
    assert (late.status, late.json()["code"]) == (412, "precondition_failed")
    wrong = tenant.asks("PATCH", "/cold", {"variants": [ARMS[0], {"id": "b", "parameters": {"stream": True}}]})
    assert (wrong.status, wrong.json()["param"]) == (400, "variants[1].parameters.stream")
