"""Attributes of tenants and subscriptions: what prompts know of a call, and no caller can set."""

from typing import Any

import pytest

from gateway.access.administration_documents import Documents
from gateway.access.directory import DEFAULT, _record
from gateway.access.directory_rows import subscription_of, values_of
from gateway.domain.catalog import Catalog
from gateway.domain.tables import Entity
from gateway.errors import RequestError
from gateway.prompts.context import RESERVED as CONTEXT
from tests.builders import make_subscription


@pytest.mark.parametrize(
    ("attributes", "param"),
    [
        ({"user": "eve"}, "attributes.user"),
        ({"a b": "c"}, "attributes.a b"),
        ({"role": "x" * 257}, "attributes.role"),
        ({f"a{number}": "" for number in range(33)}, "attributes"),
    ],
    ids=["reserved", "name", "long", "many"],
)
def test_attributes_that_cannot_be_are_refused_by_name(attributes: dict[str, str], param: str) -> None:
    document: dict[str, Any] = {"product": "starter", "attributes": attributes}
    with pytest.raises(RequestError) as refused:
        Documents(Catalog({}, {})).new_subscription(document)
    assert refused.value.param == param


def test_a_subscriptions_attributes_win_over_its_tenants() -> None:
    documents = Documents(Catalog({}, {}))
    tenant = documents.changed_tenant(DEFAULT, {"attributes": {"role": "agent", "department": "sales"}})
    subscription = documents.changed_subscription(make_subscription(), {"attributes": {"role": "lead"}})
    record = _record("", "k", tenant, subscription, active=True)
    assert record.principal.attributes == {"role": "lead", "department": "sales"}


def test_no_attribute_takes_the_name_of_what_the_context_says_itself() -> None:
    documents = Documents(Catalog({}, {}))
    for name in sorted(CONTEXT):
        with pytest.raises(RequestError):
            documents.new_tenant({"id": "t", "attributes": {name: "x"}})


def test_a_row_keeps_attributes() -> None:
    subscription = make_subscription(id="sub_1", attributes={"role": "lead"})
    entity = Entity("contoso", "sub_1", values_of(subscription), "")
    assert subscription_of(entity).value == subscription


def test_a_row_holds_no_attributes_where_there_are_none() -> None:
    assert "attributes" not in values_of(make_subscription(id="sub_1"))
    assert "attributes" not in values_of(DEFAULT)
