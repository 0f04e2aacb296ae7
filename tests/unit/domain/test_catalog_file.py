import copy
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.catalog import Catalog
from gateway.domain.catalog_file import CatalogError, build_catalog
from gateway.domain.deployment import Price, Protocol
from gateway.domain.limits import Limits
from tests.builders import make_product
from tests.fakes.clock import FakeClock

ENVIRONMENT = {"KEY": "the-secret", "HOST": "example.com"}
GOOD: dict[str, Any] = {
    "version": 1,
    "backends": [
        {"id": "aoai", "protocol": "azure-openai", "endpoint": "https://x.example.com/", "auth": {"type": "api-key", "key": "${env:KEY}"}},
        {"id": "plain", "protocol": "openai", "endpoint": "https://${env:HOST}/v1", "auth": {"type": "none"}},
    ],
    "deployments": [
        {"id": "d1", "backend": "aoai", "name": "gpt4o", "price": {"input": 2.5, "cached_input": 1.25, "output": 10}},
        {"id": "d2", "backend": "plain", "capacity": {"tpm": 5}},
    ],
    "models": [
        {"id": "m1", "aliases": ["alias"], "pool": [{"deployment": "d1"}, {"deployment": "d2", "priority": 2, "weight": 3}]},
        {"id": "m2", "pool": [{"deployment": "d2"}], "retry": {"max_attempts": 1}, "context_window": 8, "max_output_tokens": 4},
    ],
    "products": [{"id": "p", "models": ["m*"], "limits": {"requests_per_minute": 5}}],
}


def build(change: Callable[[dict[str, Any]], Any] = lambda _: None) -> Catalog:
    document = copy.deepcopy(GOOD)
    change(document)
    return build_catalog(document, ENVIRONMENT)


def fault(change: Callable[[dict[str, Any]], Any]) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        build(change)
    return caught.value


def put(section: str, index: int, name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document[section][index][name] = value

    return change


def test_a_file_becomes_a_catalogue() -> None:
    catalog = build()
    model = catalog.find("m1")
    assert model is not None
    assert catalog.find("alias") is model
    assert [(member.deployment.id, member.priority, member.weight) for member in model.pool] == [("d1", 1, 1), ("d2", 2, 3)]
    first, second = (member.deployment for member in model.pool)
    assert (first.name, first.price) == ("gpt4o", Price(input=2_500_000, cached_input=1_250_000, output=10_000_000))
    assert (second.name, second.price) == ("d2", None)
    assert (first.backend.endpoint, first.backend.auth.key, first.backend.protocol) == (
        "https://x.example.com", "the-secret", Protocol.AZURE_OPENAI,
    )  # fmt: skip
    assert second.backend.endpoint == "https://example.com/v1"
    assert (model.max_attempts, build().models[1].max_attempts) == (3, 1)
    assert catalog.products == {"p": make_product(id="p", models=("m*",), limits=Limits(requests_per_minute=5))}
    assert [found.id for found in catalog.visible(make_product(models=("m1",)), FakeClock().utc())] == ["m1"]
    assert "the-secret" not in repr(first)


def test_a_large_catalogue_is_found_by_name_at_once() -> None:
    def grow(document: dict[str, Any]) -> None:
        document["models"] = [
            {"id": f"m{index}", "aliases": [f"a{index}", f"b{index}"], "pool": [{"deployment": "d1"}]} for index in range(500)
        ]

    catalog = build(grow)
    assert len(catalog.models) == 500
    assert type(catalog._by_name) is dict
    assert len(catalog._by_name) == 1500
    found = catalog.find("b499")
    assert found is not None
    assert found.id == "m499"
    assert catalog.find("m500") is None


UNKNOWN_KEYS = [
    (lambda d: d.update(colour=1), "$", "colour"),
    (put("backends", 1, "colour", 1), "$.backends[1]", "colour"),
    (lambda d: d["backends"][0]["auth"].update(secret=1), "$.backends[0].auth", "secret"),
    (lambda d: d["deployments"][0]["price"].update(ouput=1), "$.deployments[0].price", "ouput"),
    (lambda d: d["models"][0]["pool"][1].update(wieght=1), "$.models[0].pool[1]", "wieght"),
    (lambda d: d["products"][0]["limits"].update(request_per_minute=1), "$.products[0].limits", "request_per_minute"),
]


@pytest.mark.parametrize(("change", "path", "name"), UNKNOWN_KEYS)
def test_an_unknown_key_is_refused_at_its_path(change: Callable[[dict[str, Any]], Any], path: str, name: str) -> None:
    error = fault(change)
    assert error.path == path
    assert f"`{name}`" in error.message


BAD = [
    (lambda d: d.pop("version"), "$"),
    (lambda d: d.update(version=2), "$.version"),
    (lambda d: d.update(version="1"), "$.version"),
    (lambda d: d.update(backends=None), "$.backends"),
    (lambda d: d["models"].append("m3"), "$.models[2]"),
    (put("backends", 0, "id", "a b"), "$.backends[0].id"),
    (put("backends", 0, "id", ""), "$.backends[0].id"),
    (put("backends", 1, "id", "aoai"), "$.backends[1].id"),
    (put("deployments", 1, "id", "d1"), "$.deployments[1].id"),
    (put("models", 1, "id", "m1"), "$.models[1].id"),
    (put("models", 1, "id", "alias"), "$.models[1]"),
    (put("models", 1, "aliases", ["m1"]), "$.models[1]"),
    (put("models", 1, "aliases", ["x", "x"]), "$.models[1]"),
    (put("backends", 0, "protocol", "smoke-signals"), "$.backends[0].protocol"),
    (put("backends", 0, "auth", {"type": "api-key"}), "$.backends[0].auth.key"),
    (put("backends", 0, "auth", {"type": "none", "key": "${env:KEY}"}), "$.backends[0].auth.key"),
    (put("deployments", 0, "backend", "nobody"), "$.deployments[0].backend"),
    (put("deployments", 0, "sku", "gold"), "$.deployments[0].sku"),
    (put("deployments", 0, "price", {"input": -1, "output": 1}), "$.deployments[0].price.input"),
    (put("deployments", 0, "price", {"input": 1, "output": float("nan")}), "$.deployments[0].price.output"),
    (put("deployments", 0, "price", {"input": 1, "output": 2_000_000}), "$.deployments[0].price.output"),
    (put("deployments", 0, "price", {"input": 1}), "$.deployments[0].price"),
    (put("models", 0, "pool", []), "$.models[0].pool"),
    (put("models", 0, "pool", [{"deployment": "d1"}, {"deployment": "d9"}]), "$.models[0].pool[1].deployment"),
    (put("models", 0, "pool", [{"deployment": "d1"}, {"deployment": "d1"}]), "$.models[0].pool[1].deployment"),
    (put("models", 0, "pool", [{"deployment": "d1", "weight": 0}]), "$.models[0].pool"),
    (put("models", 0, "pool", [{"deployment": "d1", "weight": -1}]), "$.models[0].pool[0].weight"),
    (put("models", 0, "pool", [{"deployment": "d1", "weight": 1.5}]), "$.models[0].pool[0].weight"),
    (put("models", 0, "retry", {"max_attempts": 0}), "$.models[0].retry.max_attempts"),
    (put("models", 0, "retry", {"max_attempts": 11}), "$.models[0].retry.max_attempts"),
    (put("models", 0, "strategy", "astrology"), "$.models[0].strategy"),
    (put("products", 0, "id", "unlimited"), "$.products[0].id"),
    (put("products", 0, "limits", {"tokens_per_minute": 0}), "$.products[0].limits.tokens_per_minute"),
]


@pytest.mark.parametrize(("change", "path"), BAD)
def test_a_fault_is_refused_at_its_path(change: Callable[[dict[str, Any]], Any], path: str) -> None:
    assert fault(change).path == path


BAD_ENDPOINTS = [
    "http://example.com", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1", "ftp://example.com",
    "https://", "example.com", "https://user:pw@example.com", "https://example.com?key=1", "https://example.com#x", "https://[::1",
    "https://x:99999", "https://x:y", "https://exa mple.com", "https://example.com/\npath", "", "//example.com", "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("endpoint", BAD_ENDPOINTS)
def test_an_endpoint_that_is_no_plain_https_url_is_refused(endpoint: str) -> None:
    assert fault(put("backends", 0, "endpoint", endpoint)).path == "$.backends[0].endpoint"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:7072", "http://localhost:7072/v1", "http://[::1]:7072", "https://x.example.com:8443/a/b"]
)
def test_plain_http_is_taken_on_loopback_only(endpoint: str) -> None:
    assert build(put("backends", 0, "endpoint", endpoint))


@pytest.mark.parametrize("key", ["sk-inline-secret", "${env:KEY}tail", "x${env:KEY}", "${env:KEY}${env:KEY}", "${KEY}", "${env:}"])
def test_an_inline_secret_is_refused_and_not_repeated(key: str) -> None:
    error = fault(put("backends", 0, "auth", {"type": "api-key", "key": key}))
    assert error.path == "$.backends[0].auth.key"
    assert key not in str(error)


def test_a_secret_that_is_a_number_is_refused_and_not_repeated() -> None:
    assert "123456789" not in str(fault(put("backends", 0, "auth", {"type": "api-key", "key": 123456789})))


@pytest.mark.parametrize("secret", ["with-newline\n", " leading", "in\r\nside", "nul\x00"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(CatalogError) as caught:
        build_catalog(GOOD, ENVIRONMENT | {"KEY": secret})
    assert caught.value.path == "$.backends[0].auth.key"
    assert secret.strip() not in str(caught.value)


@pytest.mark.parametrize("environment", [{}, {"KEY": "", "HOST": "x"}])
def test_a_setting_that_is_not_set_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(CatalogError, match="the setting KEY is not set") as caught:
        build_catalog(GOOD, environment)
    assert caught.value.path == "$.backends[0].auth.key"


@pytest.mark.parametrize(
    "document", [None, "just a string", 5, [], [GOOD], {}, {"version": 1}, {1: 2}, {"backends": "x"}, {"backends": [None]}]
)
def test_what_is_no_catalogue_is_a_catalogue_error(document: Any) -> None:
    with pytest.raises(CatalogError):
        build_catalog(document, ENVIRONMENT)


@pytest.mark.parametrize("alias", ["", " gpt ", "a\nb", "/x", "a b"])
def test_an_alias_is_held_to_the_rules_of_a_name(alias: str) -> None:
    error = fault(put("models", 0, "aliases", [alias]))
    assert error.path == "$.models[0].aliases"


def test_a_models_name_may_hold_a_slash_as_open_models_do() -> None:
    assert build(put("models", 0, "aliases", ["meta-llama/Llama-3.3"])).find("meta-llama/Llama-3.3") is not None


@pytest.mark.parametrize(
    "change",
    [
        put("backends", 0, "protocol", "${env:KEY}"),
        put("deployments", 0, "backend", "${env:KEY}"),
        put("deployments", 0, "sku", "${env:KEY}"),
        put("models", 0, "id", "no ${env:KEY}"),
    ],
)
def test_a_setting_in_the_wrong_place_is_never_repeated(change: Callable[[dict[str, Any]], Any]) -> None:
    error = fault(change)
    assert ENVIRONMENT["KEY"] not in str(error)
    assert "${env:KEY}" in error.message
