import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.access import Principal
from gateway.domain.limits import NO_LIMITS, Limits, Mode, TokenQuota
from gateway.domain.tables import check_key
from gateway.limits.scopes import Scope, scopes_of
from tests.builders import make_principal, make_product

ONE, TWO = Limits(requests_per_minute=1), Limits(requests_per_minute=2)


def scopes(principal: Principal | None = None, gateway: Limits = NO_LIMITS, user: str = "", **product: Limits) -> dict[str, Scope]:
    found = scopes_of(gateway, principal or make_principal(), make_product(**product), user)
    return {scope.kind: scope for scope in found}


def test_a_call_without_limits_is_in_no_scope() -> None:
    assert scopes_of(NO_LIMITS, make_principal(), make_product(), "anna") == ()


def test_scopes_are_nested_from_the_outermost_to_the_user() -> None:
    principal = make_principal(limits=ONE, tenant_limits=ONE)
    found = scopes_of(ONE, principal, make_product(shared_limits=ONE, user_limits=ONE), "anna")
    assert [scope.kind for scope in found] == ["gateway", "tenant", "product", "subscription", "user"]
    assert [scope.partition for scope in found][:4] == [
        "gateway",
        "tenant|contoso",
        "product|contoso|starter",
        "subscription|contoso|sub_1",
    ]
    assert found[4].partition.startswith("user|contoso|sub_1|")
    assert [scope.ceilings[0].source for scope in found] == ["gateway", "tenant", "product", "subscription", "user"]


def test_the_same_call_again_is_in_the_very_same_scopes() -> None:
    principal, product = make_principal(limits=ONE), make_product()
    assert scopes_of(NO_LIMITS, principal, product, "") is scopes_of(NO_LIMITS, principal, product, "")
    read_again = make_principal(limits=Limits(requests_per_minute=1))
    assert scopes_of(NO_LIMITS, read_again, make_product(), "") is scopes_of(NO_LIMITS, principal, product, "")


def test_changed_limits_are_seen_at_once() -> None:
    assert scopes(make_principal(limits=ONE))["subscription"].ceilings[0].amount == 1
    assert scopes(make_principal(limits=TWO))["subscription"].ceilings[0].amount == 2


@pytest.mark.parametrize(
    ("own", "product", "source", "amount"),
    [
        (ONE, NO_LIMITS, "subscription", 1),
        (NO_LIMITS, TWO, "product", 2),
        (Limits(requests_per_minute=3), TWO, "product", 2),
        (ONE, TWO, "subscription", 1),
        (ONE, Limits(requests_per_minute=1), "subscription", 1),
    ],
)
def test_of_two_limits_the_tighter_one_holds_and_is_named(own: Limits, product: Limits, source: str, amount: int) -> None:
    (ceiling,) = scopes(make_principal(limits=own), limits=product)["subscription"].ceilings
    assert (ceiling.source, ceiling.amount) == (source, amount)


def test_a_trial_in_shadow_does_not_lift_an_enforced_limit() -> None:
    shadow = Limits(requests_per_minute=1, mode=Mode.SHADOW)
    (ceiling,) = scopes(make_principal(limits=TWO), limits=shadow)["subscription"].ceilings
    assert (ceiling.mode, ceiling.amount) == (Mode.ENFORCE, 2)


def test_other_metrics_and_windows_hold_beside_each_other() -> None:
    month = Limits(tokens=(TokenQuota("month", 10), TokenQuota("day", 5), TokenQuota("month", 3, count="input")))
    found = scopes(make_principal(limits=month), limits=Limits(tokens_per_minute=1))["subscription"].ceilings
    assert {ceiling.name for ceiling in found} == {"tokens.minute", "tokens.month", "tokens.day", "input_tokens.month"}


def test_no_tenant_feels_anothers_use_of_a_product() -> None:
    mine = scopes(shared_limits=ONE)["product"]
    assert scopes(make_principal(tenant="fabrikam"), shared_limits=ONE)["product"].partition != mine.partition
    assert scopes(make_principal(subscription="sub_2"), shared_limits=ONE)["product"].partition == mine.partition


def test_users_are_told_apart_and_named_nowhere() -> None:
    anna, ben = (scopes(user=user, user_limits=ONE)["user"].partition for user in ("anna@contoso.com", "ben@contoso.com"))
    assert anna != ben
    assert "anna" not in anna
    assert "user" not in scopes(user_limits=ONE)


@given(st.text(max_size=50), st.text(max_size=50), st.text(min_size=1, max_size=300))
def test_whatever_they_are_called_the_partition_is_a_legal_key_of_their_own(tenant: str, subscription: str, user: str) -> None:
    principal = make_principal(tenant=tenant, subscription=subscription, limits=ONE, tenant_limits=ONE)
    found = scopes(principal, user=user, user_limits=ONE, shared_limits=ONE)
    for scope in found.values():
        check_key("partition", scope.partition)
    assert len({scope.partition for scope in found.values()}) == len(found) == 4
    assert all(
        part.count("|") == bars for part, bars in zip((found[k].partition for k in ("tenant", "product", "user")), (1, 2, 3), strict=True)
    )
