"""What a replay is asked for, and whose captured calls are erased: nothing is taken for more than was said."""

import datetime
from typing import Any

import pytest

from gateway.captures.wanted import read_wanted, wanted_whose
from gateway.domain.access import Role
from gateway.domain.management import Asked
from gateway.errors import RequestError
from tests.builders import make_principal


def asked(**document: Any) -> Asked:
    return Asked(make_principal(tenant="contoso", roles=frozenset({Role.TENANT_ADMIN})), document)


def test_times_are_meant_where_they_are_said_and_looked_for_in_utc() -> None:
    wanted = read_wanted(asked(**{"from": "2026-11-22T10:00:00+05:00"}))
    assert wanted.since is not None
    assert (wanted.since.hour, wanted.since.tzinfo) == (5, datetime.UTC)


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-22T10:00:00"]
)
def test_a_time_that_nothing_can_be_counted_from_is_refused(name: str, moment: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_wanted(asked(**{name: moment}))
    assert (refused.value.param, refused.value.code) == (name, "invalid_value")


@pytest.mark.parametrize(
    ("query", "whose"), [({"tenant": "contoso"}, ("", "")), ({"user": "anna"}, ("anna", "")), ({"session": "s"}, ("", "s"))]
)
def test_who_is_named_is_erased(query: dict[str, str], whose: tuple[str, str]) -> None:
    assert wanted_whose(query) == whose


@pytest.mark.parametrize("name", ["user", "session", "users"])
def test_a_name_that_was_left_empty_or_misspelt_erases_not_everything(name: str) -> None:
    with pytest.raises(RequestError) as refused:
        wanted_whose({name: "anna" if name == "users" else ""})
    assert refused.value.param == name
