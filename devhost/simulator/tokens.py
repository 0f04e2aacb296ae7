"""Token counts without a tokenizer: cheap, deterministic, lossless when split.

A token is at most four characters that are not spaces, with the space before them; the count of a prompt is its length / 4
(`exact.py` counts it as OpenAI does, where a simulator is started so).
"""

import re
from typing import Any

_PIECE = re.compile(r" ?\S{1,4}|\s")
_IMAGE_TOKENS = {"low": 85, "high": 765}
_MESSAGE_OVERHEAD = 3


def pieces(text: str) -> list[str]:
    """Split an answer into its tokens; joined again they are the text."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """Count the tokens of a prompt's text."""
    return (len(text) + 3) // 4


def text_of(content: Any) -> str:
    """Return the text in a message's content, whether it is a string, parts, or null."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part.get("text") or part.get("refusal") or "") for part in content if isinstance(part, dict))
    return ""


def _count_attachments(content: Any) -> int:
    if not isinstance(content, list):
        return 0
    total = 0
    for part in content:
        kind = part.get("type")
        if kind == "image_url":
            detail = part.get("image_url", {})
            total += _IMAGE_TOKENS.get(detail.get("detail", "") if isinstance(detail, dict) else "", 255)
        elif kind in {"input_audio", "file"}:
            total += 50
    return total


def count_prompt(messages: list[dict[str, Any]], texts: list[str]) -> int:
    """Count a chat prompt: every message's text, its images, its tool calls, and a constant per message."""
    total = _MESSAGE_OVERHEAD
    for message, text in zip(messages, texts, strict=True):
        total += _MESSAGE_OVERHEAD + count(text) + _count_attachments(message.get("content"))
        for call in message.get("tool_calls") or ():
            total += _MESSAGE_OVERHEAD + count(str(call.get("function")))
    return total
