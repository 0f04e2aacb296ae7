import datetime

import pytest

from gateway.access.authorize import authorize, find_model
from gateway.domain.access import Principal, Product
from gateway.domain.call import Operation, Surface
from gateway.domain.catalog import Catalog, Model
from gateway.errors import ModelNotFound, PermissionDenied
from tests.builders import make_model, make_principal, make_product

CATALOG = Catalog((make_model(aliases=("chat-default",)), make_model(id="gpt-4o-mini")), ())


def test_a_model_is_found_by_id_and_by_alias() -> None:
    assert find_model(CATALOG, "gpt-4o") is find_model(CATALOG, "chat-default")


@pytest.mark.parametrize("name", ["", "GPT-4O", "gpt-4", "gpt-4o "])
def test_no_other_name_is_a_model(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        find_model(CATALOG, name)
    assert caught.value.param == "model"
    assert "GET /v1/models" in caught.value.message


def test_at_ai_no_list_of_models_is_pointed_to() -> None:
    with pytest.raises(ModelNotFound) as caught:
        find_model(CATALOG, "erp-west", Surface.AI)
    assert caught.value.param == "backend"
    assert "there is no backend 'erp-west' at /ai" in caught.value.message
    assert "/v1/models" not in caught.value.message


@pytest.mark.parametrize(
    ("globs", "allowed"),
    [
        (("*",), True),
        (("gpt-4o",), True),
        (("gpt-4?",), True),
        (("x", "gpt*"), True),
        (("gpt-4",), False),
        (("GPT-4O",), False),
        (("chat-default",), False),
        (("[",), False),
        ((), False),
    ],
)
def test_the_products_globs_decide_over_ids(globs: tuple[str, ...], allowed: bool) -> None:
    model, product = find_model(CATALOG, "gpt-4o"), make_product(models=globs)
    if allowed:
        assert authorize(make_principal(), product, model) is product
    else:
        with pytest.raises(PermissionDenied) as caught:
            authorize(make_principal(), product, model)
        assert caught.value.code == "model_not_allowed"


def test_a_product_that_is_gone_allows_nothing() -> None:
    with pytest.raises(PermissionDenied) as caught:
        authorize(make_principal(), None, find_model(CATALOG, "gpt-4o"))
    assert caught.value.code == "product_not_found"


@pytest.mark.parametrize(
    ("globs", "allowed"), [((), True), (("gpt-4o",), True), (("gpt-4o*",), True), (("x", "*mini"), False), (("chat-default",), False)]
)
def test_a_subscriptions_globs_narrow_its_products(globs: tuple[str, ...], allowed: bool) -> None:
    model, principal = find_model(CATALOG, "gpt-4o"), make_principal(models=globs)
    if allowed:
        assert authorize(principal, make_product(), model)
        return
    with pytest.raises(PermissionDenied, match="your subscription does not include the model 'gpt-4o'") as caught:
        authorize(principal, make_product(), model)
    assert (caught.value.code, caught.value.param) == ("model_not_allowed", "model")


def test_a_subscriptions_globs_never_widen_its_products() -> None:
    with pytest.raises(PermissionDenied, match="the product 'starter' does not include"):
        authorize(make_principal(models=("*",)), make_product(models=("gpt-4o",)), find_model(CATALOG, "gpt-4o-mini"))


@pytest.mark.parametrize(
    ("globs", "operation", "allowed"),
    [
        ((), Operation.SPEECH, True),
        (("chat",), Operation.CHAT, True),
        (("chat",), Operation.EMBEDDINGS, False),
        (("chat",), Operation.COMPLETIONS, False),
        (("audio.*",), Operation.SPEECH, True),
        (("audio.*",), Operation.TRANSCRIPTION, True),
        (("audio.*",), Operation.IMAGES, False),
        (("chat", "images.generations"), Operation.IMAGES, True),
        (("CHAT",), Operation.CHAT, False),
        (("*",), Operation.FORWARD, True),
        (("responses",), Operation.RESPONSE_ITEM, True),
        (("responses.*",), Operation.RESPONSE_ITEM, True),
        (("responses.item",), Operation.RESPONSES, False),
        (("chat",), Operation.RESPONSE_ITEM, False),
    ],
)
def test_operations_are_allowed_by_product_and_subscription_both(globs: tuple[str, ...], operation: Operation, allowed: bool) -> None:
    model = find_model(CATALOG, "gpt-4o")
    for principal, product in (
        (make_principal(), make_product(operations=globs)),
        (make_principal(operations=globs), make_product()),
        (make_principal(operations=("*",)), make_product(operations=globs)),
    ):
        if allowed:
            assert authorize(principal, product, model, operation) is product
            continue
        with pytest.raises(PermissionDenied, match="does not include the operation") as caught:
            authorize(principal, product, model, operation)
        assert caught.value.code == "operation_not_allowed"


def test_lists_show_only_what_may_be_called() -> None:
    utc = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for models in ((), ("*",), ("*-mini",), ("nothing",)):
        principal, product = make_principal(models=models), make_product(models=("gpt-4o*",))
        shown = CATALOG.visible(product, utc, principal.models)
        assert [model for model in CATALOG.models if _may(principal, product, model)] == shown


def _may(principal: Principal, product: Product, model: Model) -> bool:
    try:
        return authorize(principal, product, model) is product
    except PermissionDenied:
        return False
