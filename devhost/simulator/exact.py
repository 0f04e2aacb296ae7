"""Prompt tokens as OpenAI counts them, for `SimulatorConfig.exact_tokens`: a second, independent reading of the public rules.

It shares no code with the gateway: only the vocabularies' files, read here in its own way. Images are decoded whole by
`pictures.py`, functions are written by `signatures.py`. It needs tiktoken, half a second and 100 MB at its first use, so it is
off unless asked for: all other tests and benchmarks count a token for four characters.

Counts chats and Responses. What is stored of a previous response is not counted. A file or a sound is 50 tokens.

Source: OpenAI cookbook, "How to count tokens with tiktoken"; github.com/hmarr/openai-chat-tokens; OpenAI guide "Images and
vision", section on costs (read 2026-11-23).
"""

import base64
import functools
import re
from pathlib import Path
from typing import Any

import orjson

from devhost.simulator import pictures, signatures

_FILES = Path(__file__).parents[2] / "gateway" / "metering" / "encodings"
_OLD, _NEW = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4", "fb374d419588a4632f3f557e76b4b70aebbca790"
_OLD_MODELS = re.compile(r"gpt-3|gpt-4($|-)")
# How a text is cut before its pieces are paired, from tiktoken_ext/openai_public.py.
_OLD_CUT = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_NEW_CUT = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]*[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]+{_ENDINGS}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]+[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]*{_ENDINGS}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ATTACHED = 50


def count(body: dict[str, Any], name: str) -> int:
    """Count the prompt of a chat request or a Responses request of the model `name`."""
    if "messages" in body:
        return _chat(body, name)
    return _chat(_as_chat(body), name)


@functools.cache
def _vocabulary(file_name: str, cut: str) -> Any:
    import tiktoken  # a simulator that counts by length never loads it

    lines = (_FILES / file_name).read_bytes().splitlines()
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in (line.split() for line in lines if line)}
    return tiktoken.Encoding(file_name[:8], pat_str=cut, mergeable_ranks=ranks, special_tokens={})


def _text(name: str, text: str) -> int:
    vocabulary = _vocabulary(_OLD, _OLD_CUT) if _OLD_MODELS.match(name) else _vocabulary(_NEW, _NEW_CUT)
    return len(vocabulary.encode(text, disallowed_special=()))


def _chat(body: dict[str, Any], name: str) -> int:
    """Sum a chat: a primed answer of three tokens, its messages, what describes functions, and its format."""
    functions = [*(body.get("functions") or ()), *(tool["function"] for tool in body.get("tools") or () if "function" in tool)]
    others = [tool for tool in body.get("tools") or () if "function" not in tool]
    total = 3
    joined = False  # the functions go into the first system message, or else into one of their own
    for message in body["messages"]:
        first = bool(functions) and not joined and message["role"] in ("system", "developer")
        joined = joined or first
        total += _message(message, name, "\n" if first else "")
    if functions:
        total += _text(name, signatures.namespace(functions)) + (5 if joined else 9)
    for described in (others, body.get("response_format")):
        if described:
            total += _text(name, orjson.dumps(described).decode())
    choice = body.get("tool_choice") or body.get("function_call")
    if choice == "none":
        total += 1
    elif isinstance(choice, dict):
        total += 4 + _text(name, choice.get("function", choice)["name"])
    return total


def _message(message: dict[str, Any], name: str, end: str) -> int:
    """Sum a message: three tokens around it, the role, the content; a name has one more; an answer by `function` two less."""
    total = 3 + _text(name, message["role"]) - (2 if message["role"] == "function" else 0)
    content = message.get("content") or ""
    for part in [{"type": "text", "text": content + end}] if isinstance(content, str) else content:
        total += _part(part, name)
    if "name" in message:
        total += 1 + _text(name, message["name"])
    called = [message["function_call"]] if "function_call" in message else [call["function"] for call in message.get("tool_calls") or ()]
    return total + sum(3 + _text(name, each["name"]) + _text(name, each["arguments"]) for each in called)


def _part(part: dict[str, Any], name: str) -> int:
    if part["type"] == "image_url":
        return pictures.tokens(name, part["image_url"]["url"], part["image_url"].get("detail", "auto"))
    if part["type"] in {"input_audio", "file"}:
        return _ATTACHED
    return _text(name, part.get("text") or part.get("refusal") or "")


def _as_chat(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("input") or ""
    messages = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        match item.get("type", "message"):
            case "message":
                content = item["content"]
                parts = content if isinstance(content, str) else [_as_part(part) for part in content]
                messages.append({"role": item["role"], "content": parts})
            case "function_call":
                messages.append({"role": "assistant", "function_call": item})
            case "function_call_output":
                output = item["output"]
                messages.append({"role": "tool", "content": output if isinstance(output, str) else [_as_part(part) for part in output]})
    tools = [{"function": tool} if tool["type"] == "function" else tool for tool in body.get("tools") or ()]
    layout = body.get("text")
    return {"messages": messages, "tools": tools, "tool_choice": body.get("tool_choice"), "response_format": layout}


def _as_part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url") or "", "detail": part.get("detail", "auto")}}
    return {"type": "file"} if part["type"] in {"input_file", "input_audio"} else {**part, "type": "text"}
