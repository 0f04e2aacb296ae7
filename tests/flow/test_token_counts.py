"""The gateway counts what the simulated provider reports, which counts by itself: within 1 % for each request, and in sum.

This proves that two readings of the public rules agree, on everything in the corpus. Where the rules themselves are proved by
numbers of the providers stands in `gateway/metering/prompts.py`; those numbers are in `tests/unit/metering`.
"""

import json
from typing import Any

import pytest

from devhost.simulator.app import create_app
from devhost.simulator.config import SimulatorConfig
from gateway.domain.call import Call, Operation
from gateway.domain.chat import read_chat
from gateway.domain.responses import read_responses
from gateway.metering.tokens import TokenCounter
from tests.builders import make_inbound
from tests.flow.corpus import CHATS, RESPONSES
from tests.flow.whole import over_asgi

HEADERS = {"authorization": "Bearer any", "content-type": "application/json"}
AS_BILLED = 0.01


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    counter = TokenCounter()
    counter.start_loading()
    assert counter.wait(60)
    return counter


@pytest.fixture(scope="module")
def simulator() -> Any:
    return create_app(SimulatorConfig(exact_tokens=True))


async def reported(simulator: Any, path: str, document: dict[str, Any]) -> int:
    """Return what the provider says that the prompt had."""
    sent = await over_asgi(simulator, "POST", path, "", HEADERS, json.dumps(document).encode())
    answer = json.loads(b"".join(message.get("body", b"") for message in sent))
    assert sent[0]["status"] == 200, answer
    usage = answer["usage"]
    return int(usage["input_tokens"] if "input_tokens" in usage else usage["prompt_tokens"])


def chat(name: str) -> tuple[str, dict[str, Any], Call]:
    document = {"model": "gpt-4o", **CHATS[name]}
    return "/v1/chat/completions", document, read_chat(make_inbound(document))


def response(name: str) -> tuple[str, dict[str, Any], Call]:
    document = {"model": "gpt-4o", **RESPONSES[name]}
    return "/v1/responses", document, read_responses(make_inbound(document, operation=Operation.RESPONSES))


@pytest.mark.parametrize("name", sorted(CHATS))
async def test_a_chats_count_is_within_a_hundredth_of_the_bill(counter: TokenCounter, simulator: Any, name: str) -> None:
    path, document, call = chat(name)
    billed = await reported(simulator, path, document)
    assert counter.count_prompt(call).tokens == pytest.approx(billed, rel=AS_BILLED)


@pytest.mark.parametrize("name", sorted(RESPONSES))
async def test_a_responses_count_is_within_a_hundredth_of_the_bill(counter: TokenCounter, simulator: Any, name: str) -> None:
    path, document, call = response(name)
    billed = await reported(simulator, path, document)
    assert counter.count_prompt(call).tokens == pytest.approx(billed, rel=AS_BILLED)


async def test_all_together_are_within_a_hundredth_of_the_bill(counter: TokenCounter, simulator: Any) -> None:
    asked = [*map(chat, CHATS), *map(response, RESPONSES)]
    billed = sum([await reported(simulator, path, document) for path, document, _ in asked])
    assert sum(counter.count_prompt(call).tokens for *_, call in asked) == pytest.approx(billed, rel=AS_BILLED)


async def test_a_broken_image_is_refused_by_the_provider_and_counted_at_most(counter: TokenCounter, simulator: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    document = {"model": "gpt-4o", "messages": [{"role": "user", "content": [image]}]}
    with pytest.raises(AssertionError, match="invalid_image_format"):
        await reported(simulator, "/v1/chat/completions", document)
    assert counter.count_prompt(read_chat(make_inbound(document))).tokens == 7 + 85 + 8 * 170


async def test_a_simulator_that_is_not_told_so_counts_by_length() -> None:
    document = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 400}]}
    assert await reported(create_app(), "/v1/chat/completions", document) == 3 + 3 + 100
    assert await reported(create_app(SimulatorConfig(exact_tokens=True)), "/v1/chat/completions", document) == 3 + 4 + 50
