"""Anthropic's Messages are counted like chats: a bound here, because nothing is loaded."""

import base64
import json
from typing import Any

import pytest

from gateway.domain.call import Operation
from gateway.metering.tokens import TokenCounter
from tests.builders import make_call

FRAMING = 3 + 4  # of one message
IMAGE = 1600  # the most

GIF_300_250 = base64.b64encode(b"GIF89a" + (300).to_bytes(2, "little") + (250).to_bytes(2, "little") + bytes(20)).decode()


def count(**document: Any) -> int:
    call = make_call({"model": "claude", "max_tokens": 9, **document}, operation=Operation.MESSAGES)
    return TokenCounter().count_prompt(call).tokens


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def test_texts_count_wherever_they_stand() -> None:
    plain = {"messages": [{"role": "user", "content": "Hello"}]}
    assert count(**plain) == FRAMING + 5
    assert count(system="Be brief.", **plain) == FRAMING + 5 + 9
    assert count(system=[{"type": "text", "text": "Be brief."}], **user({"type": "text", "text": "Hello"})) == FRAMING + 5 + 9
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Hello"}]}
    assert count(**user(result, {"type": "tool_result", "tool_use_id": "t"})) == FRAMING + 5


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        ({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}, IMAGE),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": GIF_300_250}}, 100),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 8000}}, 2000),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A"}}, IMAGE),
    ],
)
def test_what_is_no_text_is_estimated(block: dict[str, Any], tokens: int) -> None:
    assert count(**user(block)) == FRAMING + tokens


def test_what_becomes_text_of_the_providers_own_is_as_long_as_its_json() -> None:
    tool = {"name": "now", "input_schema": {"type": "object"}}
    used = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
    text = {"type": "document", "source": {"type": "text", "data": "Hello"}}
    expected = sum(len(json.dumps(each, separators=(",", ":"))) for each in (used, text, [tool]))
    assert count(tools=[tool], **user(used, text)) == FRAMING + expected
