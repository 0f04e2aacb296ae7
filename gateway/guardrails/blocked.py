"""What a client gets when one of our guardrails blocked its call: the fourth outcome beside the three of a backend's own filter.

A request that is blocked is a 400, `guardrail_blocked`. A whole answer that is blocked keeps the shape that clients of its dialect
know from a filtered one, without its content; `gateway_guardrail` says whose verdict it was:

| dialect | answer |
| --- | --- |
| chat, completions | every choice: no content, `finish_reason: content_filter` |
| responses | `status: incomplete`, `incomplete_details.reason: content_filter`, no output |
| messages | `content: []`, `stop_reason: refusal` |
| all others | the 400 |

What was used stays in the answer: it was used. No message ever repeats what was found.

Source: OpenAI API reference, "The chat completion object", "The response object"; Claude API reference, "Handling stop reasons";
Azure OpenAI, "Content filtering" (read 2026-11-22).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Call, Completion, Operation
from gateway.domain.guardrails import Direction
from gateway.domain.verdicts import Verdict
from gateway.errors import GuardrailBlocked
from gateway.guardrails.backend_filter import RESULTS

MEMBER = "gateway_guardrail"
CODE = "GuardrailBlocked"
FINISH_REASON = "content_filter"

_WHAT: Mapping[Direction, str] = {
    Direction.MESSAGES: "the request",
    Direction.TOOL_RESULTS: "a tool's result in the request",
    Direction.DOCUMENTS: "a document in the request",
    Direction.OUTPUT: "the model's answer",
}
_NEXT: Mapping[Direction, str] = {
    Direction.MESSAGES: "change it, and send it again",
    Direction.TOOL_RESULTS: "leave that result out or clean it, and send the request again",
    Direction.DOCUMENTS: "leave that document out or clean it, and send the request again",
    Direction.OUTPUT: "ask in another way, or for something else",
}
# What of an answer says nothing of its content; whatever else a backend sends goes.
_CHAT_KEPT = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "prompt_filter_results", "usage")
_MESSAGE_KEPT = ("id", "type", "role", "model", "usage")
_RESPONSE_GONE = ("output", "output_text")
_MENDABLE = ("size.", "tool")  # what is wrong with a request's form is what its sender has to know


def said_of(verdict: Verdict, message: str = "") -> str:
    """Return what a caller is told of a blocked call.

    Args:
        verdict: Which guardrail blocked it, and why.
        message: The guardrail's own words; empty for ours.
    """
    if message:
        return message
    told = verdict.reason if verdict.category.startswith(_MENDABLE) else ""
    found = f" ({told or verdict.category})" if verdict.category else ""
    return f"The guardrail {verdict.guard!r} blocked {_WHAT[verdict.direction]}{found}; {_NEXT[verdict.direction]}."


def guardrail_of(verdict: Verdict, message: str = "") -> dict[str, Any]:
    """Return a verdict as clients see it.

    Args:
        verdict: Which guardrail blocked the call, and why.
        message: The guardrail's own words; empty for ours.
    """
    return {
        "guard": verdict.guard,
        "direction": verdict.direction.value,
        "category": verdict.category or None,
        "severity": verdict.severity,
        "score": verdict.score,
        "reason": verdict.reason or None,
        "message": said_of(verdict, message),
    }


def verdict_details(verdict: Verdict, message: str = "") -> dict[str, Any]:
    """Return the members that an error object has besides, as Azure lays its own filter's out."""
    return {"innererror": {"code": CODE, "guardrail": guardrail_of(verdict, message)}}


def blocked_request(verdict: Verdict, message: str = "") -> GuardrailBlocked:
    """Return the refusal of a call.

    Args:
        verdict: Which guardrail blocked it, and why.
        message: The guardrail's own words; empty for ours.
    """
    return GuardrailBlocked(said_of(verdict, message), details=verdict_details(verdict, message))


def blocked_answer(call: Call, completion: Completion, verdict: Verdict, message: str = "") -> Completion:
    """Return what takes the place of a blocked answer: a success in the call's dialect, without its content.

    Args:
        call: The client's.
        completion: The answer.
        verdict: Which guardrail blocked it, and why.
        message: The guardrail's own words; empty for ours.

    Raises:
        GuardrailBlocked: The dialect has no such answer.
    """
    empty = _EMPTY.get(call.operation)
    if empty is None:
        raise blocked_request(verdict, message)
    document: Any = msgspec.json.decode(completion.body)
    if type(document) is not dict or not (emptied := empty(document)):
        raise blocked_request(verdict, message)
    body = msgspec.json.encode({**emptied, MEMBER: guardrail_of(verdict, message)})
    return msgspec.structs.replace(completion, body=body, finish_reason=FINISH_REASON)


def _chat(document: dict[str, Any]) -> dict[str, Any]:
    return _choices(document, "message", {"role": "assistant", "content": None, "refusal": None})


def _completions(document: dict[str, Any]) -> dict[str, Any]:
    return _choices(document, "text", "")


def _choices(document: dict[str, Any], name: str, nothing: Any) -> dict[str, Any]:
    choices = [
        {"index": choice.get("index", index), name: nothing, "logprobs": None, "finish_reason": FINISH_REASON} | _only(choice, RESULTS)
        for index, choice in enumerate(document.get("choices") or ())
    ]
    return _only(document, _CHAT_KEPT) | {"choices": choices}


def _responses(document: dict[str, Any]) -> dict[str, Any]:
    if "output" not in document:  # a list of a stored response's items
        return {}
    kept = {name: value for name, value in document.items() if name not in _RESPONSE_GONE}
    return kept | {"status": "incomplete", "incomplete_details": {"reason": FINISH_REASON}, "error": None, "output": []}


def _messages(document: dict[str, Any]) -> dict[str, Any]:
    return _only(document, _MESSAGE_KEPT) | {"content": [], "stop_reason": "refusal", "stop_sequence": None}


def _only(members: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: members[name] for name in names if name in members}


_EMPTY = {
    Operation.CHAT: _chat,
    Operation.COMPLETIONS: _completions,
    Operation.RESPONSES: _responses,
    Operation.RESPONSE_ITEM: _responses,
    Operation.MESSAGES: _messages,
}
