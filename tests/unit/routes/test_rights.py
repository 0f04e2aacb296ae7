"""Who may use which route of /manage."""

import pytest

from gateway.domain.access import Role
from gateway.errors import PermissionDenied
from gateway.routes.rights import RIGHTS, check_right, methods_of, right_of
from tests.builders import make_principal

# What a tenant's administrator may do; all else is for administrators of the gateway.
TENANTS = {
    *("tenant.read", "product.list", "subscription.list", "subscription.create", "subscription.read", "subscription.suspend"),
    *("tenant.rules.read", "tenant.rules.change", "guardrail.test", "guardrail.report"),
    *("subscription.resume", "subscription.cancel", "key.regenerate", "key.revoke", "audit.list"),
}
OTHERS = {
    *("alert.replay", "lookup.value.change", "lookup.value.delete", "replay", "capture.erase", "session.erase"),
    *("prompt.version.create", "prompt.label.change", "prompt.label.delete", "prompt.label.rollback", "prompt.delete"),
    *("experiment.create", "experiment.change", "experiment.delete", "experiment.start", "experiment.stop"),
    *("experiment.promote", "experiment.rollback"),
}
WATCHED = ("tenant.", "product.", "subscription.", "key.", "audit.", "model.", "deployment.", "guardrail.")


def test_a_tenants_administrator_may_do_this_and_no_more() -> None:
    assert {right.action for right in RIGHTS if right.role is not Role.ADMIN and right.action.startswith(WATCHED)} == TENANTS
    # Whatever else is open to it, it changes nothing but what is its own: these are the writes of other packages.
    assert {right.action for right in RIGHTS if right.role is not Role.ADMIN and right.method != "GET"} - TENANTS <= OTHERS
    assert Role.USER not in {right.role for right in RIGHTS}


def test_every_row_has_its_own_route_and_every_write_its_own_name() -> None:
    assert len({(right.method, right.route) for right in RIGHTS}) == len(RIGHTS)
    writes = [right.action for right in RIGHTS if right.method != "GET"]
    assert len(set(writes)) == len(writes)


@pytest.mark.parametrize(
    ("method", "path", "action", "names"),
    [
        ("GET", "/manage/tenants", "tenant.list", {}),
        ("GET", "/Manage/Tenants/A", "tenant.read", {"tenant": "A"}),
        ("HEAD", "/manage/tenants/a/", "tenant.read", {"tenant": "a"}),
        ("POST", "/manage/subscriptions/s/keys/primary/revoke", "key.revoke", {"subscription": "s", "slot": "primary"}),
        ("PATCH", "/manage/models/org/model", "model.change", {"model": "org/model"}),
        ("PUT", "/manage/lookups/customer/eu/4711", "lookup.value.change", {"lookup": "customer", "key": "eu/4711"}),
        ("GET", "/manage/usage/records", "usage.list", {}),
    ],
)
def test_a_path_finds_its_row(method: str, path: str, action: str, names: dict[str, str]) -> None:
    right, found = right_of(method, path)
    assert (right.action, found) == (action, names)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/manage/tenants/a"),
        ("GET", "/manage/nothing"),
        ("GET", "/manage/tenants/a/b"),
        ("POST", "/manage/subscriptions//suspend"),
        ("POST", "/manage/subscriptions/s/suspend\n"),
        ("GET", "/elsewhere/manage/tenants/a"),
    ],
)
def test_what_has_no_row_is_for_administrators_of_the_gateway(method: str, path: str) -> None:
    right, names = right_of(method, path)
    assert (right.role, names) == (Role.ADMIN, {})
    assert right not in RIGHTS
    with pytest.raises(PermissionDenied):
        check_right(right, make_principal(roles=frozenset({Role.TENANT_ADMIN, Role.USER})))


def test_a_role_reaches_as_far_as_its_rows_say() -> None:
    for each in RIGHTS:
        check_right(each, make_principal(roles=frozenset({Role.ADMIN})))
        if each.role is Role.TENANT_ADMIN:
            check_right(each, make_principal(roles=frozenset({Role.TENANT_ADMIN})))
        else:
            with pytest.raises(PermissionDenied, match=r"Gateway\.Admin"):
                check_right(each, make_principal(roles=frozenset({Role.TENANT_ADMIN})))
        with pytest.raises(PermissionDenied):
            check_right(each, make_principal(roles=frozenset({Role.USER})))


def test_a_path_says_which_methods_it_takes() -> None:
    assert methods_of("/manage/usage/records") == ["GET"]  # two rows fit it
    assert methods_of("/manage/tenants/x") == ["GET", "PATCH", "DELETE"]
    assert methods_of("/manage/audit") == ["GET"]
    assert methods_of("/manage/nothing") == []


def test_what_is_tried_on_guardrails_is_kept_from_the_trail() -> None:
    shown = {right.action: right.shown for right in RIGHTS if right.shown}
    assert shown["guardrail.test"] == ("guardrails", "direction", "outcome", "verdicts")


def test_what_is_looked_up_is_kept_from_the_trail() -> None:
    shown = {right.action: right.shown for right in RIGHTS if right.action.startswith("lookup.value.") and right.method != "GET"}
    assert set(shown) == {"lookup.value.change", "lookup.value.delete"}
    assert not any("value" in members or not members for members in shown.values())
