"""Makes Responses objects of what a chat answered: the object itself, and its output items.

Rules: members that OpenAI's schema requires are always there. Ids come from the chat's own and say that nothing was stored
(`domain/response_ids.py`): `resp_chat_…`, and the items' with their place in the output. Whole answers and streams make the
same items. Reasoning that the backend shows becomes a reasoning item with its text; what of it is signed (`thinking_blocks`) is
its `encrypted_content`, which clients send back as they do OpenAI's, and a call keeps its `extra_content`. Chat's url citations
become annotations.

Source: OpenAI API reference, "The response object"; openai-python 3.54.0, `types/responses` (read 2026-11-22).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Call, Usage
from gateway.domain.response_ids import UNSTORED

# Of a call without any: clients parse them.
NO_ARGUMENTS = "{}"

_ID_CHARACTERS = re.compile(r"[^A-Za-z0-9-]+")
_LONGEST_ID = 64
_PREFIX = "chatcmpl-"
# Finish reasons that mean that something is missing, and how a response says it.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": None,
    "temperature": None,
    "tool_choice": "auto",
    "top_p": None,
    "user": None,
}


class _Kept(msgspec.Struct, gc=False):
    thinking_blocks: list[Mapping[str, Any]] = []


_KEPT = msgspec.json.Decoder(_Kept)


class Citation(msgspec.Struct, gc=False):
    """What a chat's `url_citation` annotation holds."""

    url: str
    title: str = ""
    start_index: int = 0
    end_index: int = 0


class Annotation(msgspec.Struct, gc=False):
    """An entry of a chat message's `annotations`."""

    type: str | None = None
    url_citation: Citation | None = None


def own_id(chat_id: str, document: bytes) -> str:
    """Return what tells this answer's ids from others: from the chat's id, or the answer's bytes where it has none."""
    text = _ID_CHARACTERS.sub("", chat_id.removeprefix(_PREFIX))[:_LONGEST_ID]
    return text or hashlib.sha256(document).hexdigest()[:32]


def item_id(kind: str, own: str, position: int) -> str:
    """Return the id of the item at that place of the output; `kind` is msg, fc or rs."""
    return f"{kind}{UNSTORED}{own}_{position}"


def text_part(text: str, annotations: Sequence[Annotation] = ()) -> dict[str, Any]:
    """Return a part of a message's content."""
    return {"type": "output_text", "text": text, "annotations": annotations_of(annotations), "logprobs": []}


def refusal_part(text: str) -> dict[str, Any]:
    """Return a part in which the model declines."""
    return {"type": "refusal", "refusal": text}


def annotations_of(annotations: Sequence[Annotation]) -> list[dict[str, Any]]:
    """Return the url citations among a chat message's annotations, as a response has them."""
    cited = [each.url_citation for each in annotations if each.url_citation]
    return [{"type": "url_citation", **{name: getattr(each, name) for name in each.__struct_fields__}} for each in cited]


def message(item: str, parts: Sequence[Mapping[str, Any]], status: str) -> dict[str, Any]:
    """Return the item that is the model's message."""
    return {"id": item, "type": "message", "status": status, "role": "assistant", "content": list(parts)}


def function_call(item: str, call_id: str, name: str, arguments: str, status: str, extra: Any = None) -> dict[str, Any]:
    """Return the item that is one call of a function; `extra` is what its backend wants back with it."""
    more = {} if extra is None else {"extra_content": extra}
    return {"id": item, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments, **more}


def reasoning(item: str, texts: Sequence[str], blocks: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the item that is what the model thought; `blocks` is the same as its backend signed it and wants it back."""
    more = {"encrypted_content": msgspec.json.encode(_Kept(list(blocks))).decode()} if blocks else {}
    return {"id": item, "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text} for text in texts], **more}


def thinking_blocks_of(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a backend signed of a reasoning item that `reasoning` made; nothing of any other one."""
    try:
        return _KEPT.decode(item.get("encrypted_content") or b"{}").thinking_blocks
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []


def status_of(finish_reason: str | None) -> str:
    """Say how an answer ended: completed or incomplete."""
    return "incomplete" if finish_reason in _INCOMPLETE else "completed"


def response(
    call: Call,
    own: str,
    *,
    created: int,
    model: str,
    status: str,
    output: Sequence[Mapping[str, Any]],
    usage: Usage | None,
    reason: str | None,
) -> dict[str, Any]:
    """Return the response object.

    Args:
        call: The client's: the object repeats its settings.
        own: As `own_id` made it.
        created: The chat's time in Unix seconds.
        model: The chat's.
        status: in_progress, completed or incomplete.
        output: The items.
        usage: What it used, where that is known.
        reason: The chat's finish reason.
    """
    asked = call.document
    missing = _INCOMPLETE.get(reason or "") if status == "incomplete" else None
    echoed = {name: default if asked.get(name) is None else asked[name] for name, default in _ECHOED.items()}
    thinking, text = asked.get("reasoning") or {}, asked.get("text") or {}
    tools = [{"description": None, "parameters": None, "strict": None, **tool} for tool in asked.get("tools") or ()]
    return {
        "id": f"resp{UNSTORED}{own}",
        "object": "response",
        "created_at": created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": missing} if missing else None,
        "model": model or call.model,
        "output": list(output),
        "previous_response_id": None,
        "reasoning": {"effort": thinking.get("effort"), "summary": None},
        "store": False,
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tools": tools,
        "top_logprobs": 0,
        "truncation": "disabled",
        "usage": _usage(usage) if usage else None,
        **echoed,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
