"""Tenants, subscriptions and their keys over a running host: approval, rotation, revocation, and what a tenant sees of others."""

import itertools
import re
import threading
from typing import Any

import pytest

from gateway.domain.access import Role
from gateway.routes.rights import RIGHTS
from tests.host.asking import Reply, ask, chat, chat_body, eventually

NAMES = itertools.count()


def manage(gateway: Any, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway, method, f"/manage/{path}", body, named, key=key or gateway.admin_key)


def made(gateway: Any, path: str, body: Any, key: str | None = None) -> Any:
    reply = manage(gateway, "POST", path, body, key)
    assert reply.status in (200, 201), reply.body
    return reply.json()


def calls(gateway: Any, key: str) -> Reply:
    return ask(gateway, "POST", "/v1/chat/completions", chat_body(), key=key)


def name(prefix: str) -> str:
    return f"{prefix}-{next(NAMES)}"


def test_a_subscription_serves_once_it_is_approved(gateway: Any) -> None:
    product = made(gateway, "products", {"id": name("gold"), "models": ["gpt-4o"], "requires_approval": True})["id"]
    shop = made(gateway, "subscriptions", {"product": product, "name": "shop"})
    key = shop["keys"]["primary"]
    assert shop["state"] == "submitted"
    refused = calls(gateway, key)
    assert (refused.status, refused.error["code"]) == (403, "subscription_not_active")
    path = f"subscriptions/{shop['id']}"
    assert made(gateway, f"{path}/approve", None)["state"] == "active"
    assert calls(gateway, key).status == 200  # this worker follows at once
    wrong = manage(gateway, "POST", f"{path}/approve")
    assert (wrong.status, wrong.json()["code"]) == (409, "wrong_state")
    (approved,) = [
        each for each in manage(gateway, "GET", "audit?action=subscription.approve").json()["data"] if shop["id"] in each["target"]
        and each["outcome"] == "done"
    ]  # fmt: skip
    assert (approved["actor"], approved["before"]["state"], approved["after"]["state"]) == ("bootstrap-admin", "submitted", "active")
    assert made(gateway, f"{path}/suspend", None)["state"] == "suspended"
    assert calls(gateway, key).status == 403
    assert made(gateway, f"{path}/resume", None)["state"] == "active"
    assert calls(gateway, key).status == 200


def test_keys_are_rotated_without_a_failed_call(gateway: Any) -> None:
    shop = made(gateway, "subscriptions", {"product": "unlimited", "name": "rotated"})
    path = f"subscriptions/{shop['id']}/keys"
    using, statuses, over = [shop["keys"]["primary"]], [], threading.Event()

    def client() -> None:
        while not over.is_set():
            statuses.append(calls(gateway, using[0]).status)

    caller = threading.Thread(target=client)
    caller.start()
    try:
        for slot in ("secondary", "primary", "primary"):
            before = len(statuses)
            using[0] = made(gateway, f"{path}/{slot}/regenerate", {"overlap_s": 60})["keys"][slot]
            eventually(lambda before=before: len(statuses) > before + 3, "calls with the new key")
    finally:
        over.set()
        caller.join()
    assert set(statuses) == {200}
    assert calls(gateway, shop["keys"]["primary"]).status == 200  # for a minute more
    made(gateway, f"{path}/primary/revoke", None)
    for key in (shop["keys"]["primary"], using[0]):
        assert calls(gateway, key).status == 401


def test_a_regenerated_key_stops_the_old_one_at_once(gateway: Any) -> None:
    shop = made(gateway, "subscriptions", {"product": "unlimited"})
    old = shop["keys"]["primary"]
    assert calls(gateway, old).status == 200
    new = made(gateway, f"subscriptions/{shop['id']}/keys/primary/regenerate", None)["keys"]["primary"]
    assert [calls(gateway, key).status for key in (old, new, shop["keys"]["secondary"])] == [401, 200, 200]


def test_a_write_can_name_the_version_that_it_changes(gateway: Any) -> None:
    tenant = made(gateway, "tenants", {"id": name("contoso")})["id"]
    for path, first, second in (
        (f"tenants/{tenant}", {"name": "A"}, {"name": "B"}),
        ("models/gpt-4o", {"weights": None}, {"lifecycle": None}),
    ):
        read = manage(gateway, "GET", path)
        assert re.fullmatch('"[A-Za-z0-9_-]+"', read.headers["etag"])
        changed = manage(gateway, "PATCH", path, first, if_match=read.headers["etag"])
        assert changed.status == 200
        if changed.headers["etag"] == read.headers["etag"]:
            continue
        late = manage(gateway, "PATCH", path, second, if_match=read.headers["etag"])
        assert (late.status, late.json()["code"], late.headers["content-type"]) == (412, "precondition_failed", "application/problem+json")
        assert manage(gateway, "PATCH", path, second, if_match="*").status == 200
    gone = manage(gateway, "DELETE", f"tenants/{tenant}", if_match='"another"')
    assert gone.status == 412
    gone = manage(gateway, "DELETE", f"tenants/{tenant}")
    assert (gone.status, gone.body) == (204, b"")


def test_a_suspended_tenant_and_a_narrowed_subscription_are_refused(gateway: Any) -> None:
    tenant = made(gateway, "tenants", {"id": name("fabrikam")})["id"]
    shop = made(gateway, "subscriptions", {"product": "unlimited", "tenant": tenant, "models": ["gpt-4o-mini"]})
    key = shop["keys"]["primary"]
    assert chat(gateway, model="gpt-4o-mini", headers={"authorization": f"Bearer {key}"}).status == 200
    assert chat(gateway, model="gpt-4o", headers={"authorization": f"Bearer {key}"}).status == 403
    assert manage(gateway, "PATCH", f"tenants/{tenant}", {"state": "suspended"}).status == 200
    refused = chat(gateway, model="gpt-4o-mini", headers={"authorization": f"Bearer {key}"})
    assert (refused.status, refused.error["code"]) == (403, "tenant_suspended")
    assert manage(gateway, "PATCH", f"tenants/{tenant}", {"state": None}).status == 200
    assert chat(gateway, model="gpt-4o-mini", headers={"authorization": f"Bearer {key}"}).status == 200


def test_a_head_reads_and_never_writes(gateway: Any) -> None:
    tenant = made(gateway, "tenants", {"id": name("headed")})["id"]
    before = len(manage(gateway, "GET", "audit?limit=1000").json()["data"])
    shop = made(gateway, "subscriptions", {"product": "unlimited", "tenant": tenant})["id"]
    for path, body in (
        ("tenants", {"id": name("never")}),
        ("products", {"id": name("never"), "models": ["*"]}),
        ("subscriptions", {"product": "unlimited", "tenant": tenant}),
        (f"tenants/{tenant}", {"name": "changed"}),
        (f"subscriptions/{shop}", {"name": "changed"}),
        ("models/gpt-4o", {"weights": {"gpt-4o-eastus": 7}}),
    ):
        assert manage(gateway, "HEAD", path, body).status == 200
    assert manage(gateway, "GET", f"tenants/{tenant}").json()["name"] == tenant
    assert manage(gateway, "GET", f"subscriptions/{shop}").json()["name"] == ""
    assert len(manage(gateway, "GET", f"subscriptions?tenant={tenant}").json()["data"]) == 1
    assert manage(gateway, "GET", "models/gpt-4o").json()["overridden"] == []
    for path in ("tenants", "products"):
        assert b"never" not in manage(gateway, "GET", f"{path}?limit=1000").body
    assert len(manage(gateway, "GET", "audit?limit=1000").json()["data"]) == before + 1


class Party:
    """A tenant with an administrator of its own, a subscription that called, and what marks it."""

    def __init__(self, gateway: Any, prefix: str) -> None:
        self.tenant = made(gateway, "tenants", {"id": name(prefix)})["id"]
        own = {"tenant": self.tenant, "product": "unlimited"}
        admin = made(gateway, "subscriptions", {**own, "name": f"admin-of-{self.tenant}", "roles": ["Gateway.TenantAdmin", "Gateway.User"]})
        shop = made(gateway, "subscriptions", {**own, "name": f"shop-of-{self.tenant}"})
        self.admin_key, self.shop_key = admin["keys"]["primary"], shop["keys"]["primary"]
        self.subscription = shop["id"]
        self.request_id = calls(gateway, self.shop_key).request_id
        keys = [each["id"] for one in (admin, shop) for each in one["key_slots"]]
        self.marks = {self.tenant, admin["id"], shop["id"], self.request_id, *keys}


@pytest.fixture(scope="module")
def parties(gateway: Any) -> tuple[Party, Party]:
    return Party(gateway, "ours"), Party(gateway, "theirs")


OPEN = [right for right in RIGHTS if right.role is Role.TENANT_ADMIN]


@pytest.mark.parametrize(
    "right", [right for right in OPEN if right.method == "GET" and "{" not in right.route], ids=lambda right: right.action
)
def test_a_tenants_administrator_sees_nothing_of_others_in_any_list(gateway: Any, parties: tuple[Party, Party], right: Any) -> None:
    ours, theirs = parties
    path = right.route.removeprefix("manage/")
    after = shown = ""
    while True:
        reply = manage(gateway, "GET", f"{path}?limit=3{after}" if "usage" not in path else path, key=ours.admin_key)
        assert reply.status == 200
        shown += reply.body.decode()
        if not (more := reply.json().get("after")):
            break
        after = f"&after={more}"
    assert [mark for mark in (*theirs.marks, '"default"') if mark in shown.replace('"default":', "")] == []
    if right.action in ("subscription.list", "audit.list", "usage.list"):
        assert [mark for mark in ours.marks if mark in shown]
    if right.action != "product.list":
        assert manage(gateway, "GET", f"{path}?tenant={theirs.tenant}", key=ours.admin_key).status == 403
        assert manage(gateway, "GET", f"{path}?tenant={ours.tenant}", key=ours.admin_key).status == 200


# What must be right before anybody looks whose it is; a version that is made is one's own, whatever its name.
BODIES: dict[str, Any] = {"prompt.label.change": {"version": 1}}


@pytest.mark.parametrize(
    "right", [right for right in OPEN if "{" in right.route and right.action != "prompt.version.create"], ids=lambda right: right.action
)
def test_what_is_anothers_is_not_found_by_any_route(gateway: Any, parties: tuple[Party, Party], right: Any) -> None:
    ours, theirs = parties
    theirs_by_name = {"tenant": theirs.tenant, "subscription": theirs.subscription, "slot": "primary", "request_id": theirs.request_id}
    for others in (theirs_by_name, dict.fromkeys(theirs_by_name, "nobody") | {"slot": "primary"}):
        path = re.sub(r"\{(\w+)\}", lambda found, others=others: others.get(found[1], "nobody"), right.route).removeprefix("manage/")
        assert (
            manage(gateway, right.method, path, BODIES.get(right.action, {}) if right.method != "GET" else None, ours.admin_key).status
            == 404
        )
    assert calls(gateway, theirs.shop_key).status == 200


@pytest.mark.parametrize("right", [right for right in RIGHTS if right.role is Role.ADMIN], ids=lambda right: right.action)
def test_what_is_not_for_a_tenants_administrator_is_refused(gateway: Any, parties: tuple[Party, Party], right: Any) -> None:
    ours, _ = parties
    path = re.sub(r"\{tenant\}", ours.tenant, re.sub(r"\{subscription\}", ours.subscription, right.route))
    path = re.sub(r"\{\w+\}", "gpt-4o", path).removeprefix("manage/")
    reply = manage(gateway, right.method, path, {} if right.method != "GET" else None, ours.admin_key)
    assert (reply.status, reply.json()["code"]) == (403, "permission_denied")


def test_a_tenants_administrator_runs_its_own_subscriptions(gateway: Any, parties: tuple[Party, Party]) -> None:
    ours, _ = parties
    product = made(gateway, "products", {"id": name("open"), "models": ["gpt-4o"]})["id"]
    own = made(gateway, "subscriptions", {"product": product, "name": "own"}, ours.admin_key)
    assert (own["tenant"], own["state"]) == (ours.tenant, "active")
    key = own["keys"]["primary"]
    assert calls(gateway, key).status == 200
    path = f"subscriptions/{own['id']}"
    for action, status in (("suspend", 403), ("resume", 200), ("cancel", 403)):
        made(gateway, f"{path}/{action}", None, ours.admin_key)
        assert calls(gateway, key).status == status
    trail = manage(gateway, "GET", "audit?limit=1000", key=ours.admin_key).json()["data"]
    mine = [each["action"] for each in trail if own["id"] in each["target"]]
    assert mine == ["subscription.create", "subscription.suspend", "subscription.resume", "subscription.cancel"]
    assert {each["actor"] for each in trail if own["id"] in each["target"]} == {ours.admin_key.split("_")[1]}
    assert manage(gateway, "POST", f"{path}/approve", None, ours.admin_key).status == 403
    *_, last = manage(gateway, "GET", "audit?limit=1000&action=subscription.approve", key=ours.admin_key).json()["data"]
    assert (last["target"], last["outcome"], last["error"]) == (path + "/approve", "failed", "permission_denied")
    for refused in ({"roles": ["Gateway.TenantAdmin"]}, {"tenant": "default"}, {"identities": ["11111111-2222-3333-4444-555555555555"]}):
        assert manage(gateway, "POST", "subscriptions", {"product": product, **refused}, ours.admin_key).status == 403
    assert manage(gateway, "POST", "subscriptions", {"product": "unlimited"}, ours.admin_key).json()["state"] == "submitted"
