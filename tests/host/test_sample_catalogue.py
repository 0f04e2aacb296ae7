"""What the sample catalogue promises in its comments, asked of a gateway that serves it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.routes.table import ANTHROPIC_ROWS, AZURE_ROWS, OPENAI_ROWS
from tests.host.asking import ask, chat, marker, upstream_requests
from tests.host.test_manage_access import manage

TEXTS: dict[Operation, Callable[[str], dict[str, Any]]] = {
    Operation.CHAT: lambda text: {"messages": [{"role": "user", "content": text}]},
    Operation.MESSAGES: lambda text: {"max_tokens": 100, "messages": [{"role": "user", "content": text}]},
    Operation.RESPONSES: lambda text: {"input": text},
    Operation.COMPLETIONS: lambda text: {"prompt": text},
}
TEXT_ROUTES = [(row.path, row.operation) for row in (*OPENAI_ROWS, *AZURE_ROWS, *ANTHROPIC_ROWS) if row.operation in TEXTS]


def served(gateway: Any, model: str, text: str = "Hello", **headers: str) -> str:
    reply = chat(gateway, text, model, {name.replace("_", "-"): value for name, value in headers.items()})
    assert reply.status == 200, reply
    deployment: str = reply.headers["x-gateway-deployment"]
    return deployment


@pytest.mark.parametrize(
    ("model", "tags", "deployment"),
    [
        ("smart", "team=web", "gemini-flash"),
        ("smart", "task=code", "claude-sonnet"),
        ("gpt-4o", "task=code", "gpt-4o-eastus"),
        ("gpt-4o", "classification=confidential", "phi-private"),
        ("smart", "task=code,classification=confidential", "phi-private"),
    ],
)
def test_rules_lead_calls_by_their_tags(gateway: Any, model: str, tags: str, deployment: str) -> None:
    assert served(gateway, model, x_gateway_tags=tags) == deployment


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-mini", "claude-haiku-4-5", "smart", "chat-default"])
@pytest.mark.parametrize(("path", "operation"), TEXT_ROUTES, ids=[path for path, _ in TEXT_ROUTES])
def test_no_text_route_leads_confidential_words_to_another_maker(gateway: Any, path: str, operation: Operation, model: str) -> None:
    mark = marker()
    if "{invoked}" in path:
        said = {"model": "gpt-4o", "messages": [{"role": "system", "content": "Be brief."}]}
        assert manage(gateway, "POST", "prompts/confided/versions", said).status in {200, 201}
        assert manage(gateway, "PUT", "prompts/confided/labels/production", {"version": 1}).status == 200
    target = f"/{path.format(deployment=model, invoked='confided')}?api-version=2024-10-21"
    reply = ask(gateway, "POST", target, {"model": model} | TEXTS[operation](mark), {"x-gateway-tags": "classification=confidential"})
    assert 200 <= reply.status < 500, reply
    assert reply.status != 200 or reply.headers["x-gateway-deployment"] == "phi-private"
    assert all(seen["path"].startswith("/azure-ml/") for seen in upstream_requests(gateway, mark))


def test_smart_goes_to_the_cheapest_that_can_do_it(gateway: Any) -> None:
    reply = chat(gateway, "Hello", "smart", {"x-gateway-explain": "true"})
    assert reply.status == 200
    decision = reply.json()
    assert (decision["object"], decision["strategy"]) == ("gateway.explanation", "lowest-cost")
    candidates = [each["deployment"] for each in decision["candidates"]]
    assert candidates == ["gemini-flash", "nova-pro", "claude-haiku", "command-a", "claude-sonnet"]
    costs = [each["estimated_cost_usd"] for each in decision["candidates"]]
    assert costs == sorted(costs)
    assert "127.0.0.1" not in reply.body.decode()


def test_another_makers_model_stands_in(gateway: Any) -> None:
    reply = chat(gateway, "Hello", "mock-fallback")
    assert (reply.status, reply.headers["x-gateway-deployment"]) == (200, "claude-haiku")


def test_provisioned_capacity_is_filled_first(gateway: Any) -> None:
    assert served(gateway, "gpt-4.1") == "gpt-4.1-ptu"


def test_calls_spill_over_before_provisioned_capacity_refuses(gateway: Any) -> None:
    mark = marker()
    replies = [chat(gateway, f"{mark} {number}", "mock-spill", max_tokens=40) for number in range(30)]
    assert {reply.status for reply in replies} == {200}
    assert {reply.headers["x-gateway-deployment"] for reply in replies} == {"mock-ptu", "gpt-4o-mini-eastus"}
    assert {seen["status"] for seen in upstream_requests(gateway, mark)} == {200}, "it was asked although it was full"


def test_a_small_model_answers_where_its_answer_passes(gateway: Any) -> None:
    assert served(gateway, "frugal") == "gpt-4o-mini-eastus"
    assert served(gateway, "frugal", "sim-tokens-3") == "gpt-4.1-eastus"


def test_what_is_known_of_the_customer_is_in_the_prompt(gateway: Any) -> None:
    mark = marker()
    assert served(gateway, "support", mark, x_gateway_user="anna") == "gpt-4o-mini-eastus"
    (seen,) = upstream_requests(gateway, mark)
    assert "What we know of the customer" in seen["body"]
    assert "anna" in seen["body"]


def test_a_model_on_its_way_out_says_when(gateway: Any) -> None:
    reply = chat(gateway, "Hello", "gpt-35-turbo")
    assert (reply.status, reply.headers["sunset"]) == (200, "Tue, 01 Jan 2030 00:00:00 GMT")
    assert "deprecation" in reply.headers


def test_text_analysis_answers_as_a_model(gateway: Any) -> None:
    content = chat(gateway, "I love it", "sentiment").json()["choices"][0]["message"]["content"]
    assert json.loads(content)["sentiment"] == "positive"


def test_clients_of_all_three_dialects_reach_other_makers(gateway: Any) -> None:
    turns = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    for model in ("gpt-4o", "claude-haiku-4-5", "gemini-2.5-flash"):
        message = ask(gateway, "POST", "/v1/messages", turns | {"model": model})
        assert (message.status, message.json()["type"], message.json()["stop_reason"]) == (200, "message", "end_turn")
        response = ask(gateway, "POST", "/v1/responses", {"model": model, "input": "Hello", "store": False})
        assert (response.status, response.json()["object"], response.json()["status"]) == (200, "response", "completed")


def test_a_document_is_read_through_links_to_the_gateway(gateway: Any) -> None:
    path = "/ai/sim-azure-ai/documentintelligence/documentModels/prebuilt-read:analyze?api-version=2024-11-30"
    begun = ask(gateway, "POST", path, {"base64Source": "aaaa"})
    assert (begun.status, begun.headers["operation-location"].startswith(gateway.url)) == (202, True)
    link = begun.headers["operation-location"].removeprefix(gateway.url)
    assert [ask(gateway, "GET", link).json()["status"] for _ in range(2)] == ["running", "succeeded"]
