"""Route templates: which function a path reaches, and which the Functions host would let it reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.routing import Route, RouteError, Router, overlap, parse, shadowed

GET = frozenset({"GET"})
TABLE = [
    ("models", "v1/models", GET),
    ("model", "v1/models/{id}", GET),
    ("chat", "v1/chat/completions", frozenset({"POST"})),
    ("deployment_chat", "openai/deployments/{deployment}/chat/completions", frozenset({"POST"})),
    ("deployment_other", "openai/deployments/{deployment}/{*rest}", frozenset()),
    ("openai_other", "openai/{*rest}", frozenset()),
    ("optional", "reports/{day?}", GET),
    ("v1_other", "v1/{*rest}", frozenset({"POST", "GET"})),
]


@pytest.fixture
def router() -> Router[str]:
    return Router([(Route(name, template, methods), name) for name, template, methods in TABLE])


@pytest.mark.parametrize(
    ("method", "path", "target", "values"),
    [
        ("GET", "/v1/models", "models", {}),
        ("GET", "/V1/Models", "models", {}),
        ("GET", "/v1/models/", "models", {}),
        ("HEAD", "/v1/models", "models", {}),
        ("GET", "/v1/models/GPT-4o", "model", {"id": "GPT-4o"}),
        ("POST", "/v1/models/gpt", "v1_other", {"rest": "models/gpt"}),
        ("GET", "/v1/chat/completions", "v1_other", {"rest": "chat/completions"}),
        ("POST", "/v1/chat/completions", "chat", {}),
        ("POST", "/v1/chat/completions/x", "v1_other", {"rest": "chat/completions/x"}),
        ("GET", "/v1", "v1_other", {}),
        ("GET", "/v1/", "v1_other", {}),
        ("POST", "/openai/deployments/d/chat/completions", "deployment_chat", {"deployment": "d"}),
        ("GET", "/openai/deployments/d/chat/completions", "deployment_other", {"deployment": "d", "rest": "chat/completions"}),
        ("PUT", "/openai/deployments/d", "deployment_other", {"deployment": "d"}),
        ("PUT", "/openai/deployments", "openai_other", {"rest": "deployments"}),
        ("GET", "/reports", "optional", {}),
        ("GET", "/reports/today", "optional", {"day": "today"}),
    ],
)
def test_prefers_literal_to_parameter_to_catch_all(
    router: Router[str], method: str, path: str, target: str, values: dict[str, str]
) -> None:
    assert router.match(method, path, path.encode()) == (target, values)


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/v1/models"), ("GET", "/"), ("GET", "/v2"), ("GET", "//v1/models"), ("GET", "/reports/a/b")]
)
def test_finds_nothing_where_no_template_or_method_fits(router: Router[str], method: str, path: str) -> None:
    assert router.match(method, path, path.encode()) is None


def test_keeps_an_encoded_slash_inside_its_segment(router: Router[str]) -> None:
    assert router.match("GET", "/v1/models/a/b c", b"/v1/models/a%2fb%20c") == ("model", {"id": "a%2Fb c"})


def test_an_encoded_slash_is_no_slash_of_a_literal_route() -> None:
    router = Router([(Route("chat", "v1/chat"), "chat"), (Route("rest", "v1/{*path}"), "rest")])
    assert router.match("POST", "/v1/chat", b"/v1/chat") == ("chat", {})
    assert router.match("POST", "/v1/chat", b"/v1%2Fchat") is None


def test_puts_the_prefix_before_every_route() -> None:
    router = Router([(Route("a", "/a/{x}"), "a"), (Route("root", ""), "root")], "/base/")
    assert router.match("GET", "/base/a/1") == ("a", {"x": "1"})
    assert router.match("GET", "/base") == ("root", {})
    assert router.match("GET", "/a/1") is None


def test_goes_back_when_the_more_precise_branch_ends_nowhere() -> None:
    router = Router([(Route("deep", "a/b/c"), "deep"), (Route("wide", "a/{x}/d"), "wide")])
    assert router.match("GET", "/a/b/d") == ("wide", {"x": "b"})


def test_a_route_without_methods_takes_all() -> None:
    router = Router([(Route("any", "any"), "any")])
    assert [router.match(method, "/any") for method in ("GET", "PATCH", "PROPFIND")] == [("any", {})] * 3


@pytest.mark.parametrize("template", ["{id:int}", "a{b}", "{a?}/b", "{*rest}/b", "{a=1}", "a//b", "admin/keys", "Runtime/x", "{}"])
def test_refuses_templates_that_it_would_misread(template: str) -> None:
    with pytest.raises(RouteError, match="route"):
        parse(template)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/b", "a/{x}", True),
        ("a/b", "a/c", False),
        ("a/b", "A/B", True),
        ("a", "a/b", False),
        ("a", "a/{x?}", True),
        ("a", "a/{*x}", True),
        ("a/b/c", "a/{*x}", True),
        ("{x}/b", "a/{y}", True),
        ("{x}/b", "{y}/c", False),
    ],
)
def test_knows_whether_two_templates_share_a_path(one: str, other: str, *, expected: bool) -> None:
    assert overlap(parse(one), parse(other)) is expected
    assert overlap(parse(other), parse(one)) is expected


@pytest.mark.parametrize(
    ("routes", "pairs"),
    [
        ([Route("chat", "v1/chat", GET), Route("any", "v1/{*rest}")], [("chat", "any")]),
        ([Route("chat", "v1/chat", GET), Route("z_any", "v1/{*rest}")], []),
        ([Route("chat", "v1/chat", frozenset({"POST"})), Route("any", "v1/{*rest}", GET)], []),
        ([Route("chat", "v1/chat"), Route("any", "v2/{*rest}")], []),
        ([Route("Chat", "v1/chat"), Route("a_any", "v1/{*rest}")], [("Chat", "a_any")]),
        ([Route("ab", "v1/chat"), Route("a_b", "v1/{*rest}")], []),
    ],
)
def test_names_the_functions_that_azure_would_never_call(routes: list[Route], pairs: list[tuple[str, str]]) -> None:
    assert [(hidden.name, hiding.name) for hidden, hiding in shadowed(routes)] == pairs


@given(
    st.permutations(TABLE), st.sampled_from(["/v1/models/x", "/openai/deployments/d/e", "/openai/deployments/d/chat/completions", "/v1"])
)
def test_the_order_of_registration_decides_nothing(table: list[tuple[str, str, frozenset[str]]], path: str) -> None:
    shuffled = Router([(Route(name, template, methods), name) for name, template, methods in table])
    plain = Router([(Route(name, template, methods), name) for name, template, methods in TABLE])
    assert shuffled.match("POST", path) == plain.match("POST", path)
