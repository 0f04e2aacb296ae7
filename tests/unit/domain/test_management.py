"""What all parts of /manage do alike."""

import pytest

from gateway.domain.access import Role
from gateway.domain.management import Asked, check_match, etag_of, tenant_of
from gateway.errors import PermissionDenied, PreconditionFailed
from tests.builders import make_principal


def asked(*roles: Role) -> Asked:
    return Asked(make_principal(tenant="contoso", roles=frozenset(roles)))


@pytest.mark.parametrize("requested", [None, "", "contoso", "fabrikam"])
def test_an_administrator_of_the_gateway_sees_what_it_asks_for(requested: str | None) -> None:
    for roles in ((Role.ADMIN,), (Role.ADMIN, Role.TENANT_ADMIN)):
        assert tenant_of(asked(*roles), requested) == (requested or None)


@pytest.mark.parametrize("roles", [(Role.TENANT_ADMIN,), (Role.USER,), ()])
def test_whoever_else_asks_sees_its_own_tenant(roles: tuple[Role, ...]) -> None:
    for requested in (None, "", "contoso"):
        assert tenant_of(asked(*roles), requested) == "contoso"
    with pytest.raises(PermissionDenied) as caught:
        tenant_of(asked(*roles), "fabrikam")
    assert (caught.value.status, caught.value.param) == (403, "tenant")


@pytest.mark.parametrize("version", ["", "1", "W/\"datetime'2026-11-22T18%3A00%3A00.1234567Z'\"", "ü\n"])
def test_an_etag_is_quoted_and_safe_in_a_header(version: str) -> None:
    etag = etag_of(version)
    assert etag[0] == etag[-1] == '"'
    assert etag[1:-1].replace("-", "").replace("_", "").isalnum()
    assert etag == etag_of(version) != etag_of(f"{version}x")


@pytest.mark.parametrize("sent", ["", "*", '"a"', '"b" , "a"', '"b","a"'])
def test_a_version_that_still_holds_lets_a_change_pass(sent: str) -> None:
    check_match(sent, '"a"')


@pytest.mark.parametrize("sent", ['"b"', "a", 'W/"a"', '"A"', ",", '"a', '"*"'])
def test_another_version_does_not(sent: str) -> None:
    with pytest.raises(PreconditionFailed):
        check_match(sent, '"a"')
