"""Does a cheaper model's answer pass? The checks that need no model themselves; pure.

An answer that calls tools passes: it is a step, not the final word, and there is no text to look at.
"""

from typing import Any

import msgspec

from gateway.domain.call import Operation
from gateway.domain.json_schema import JsonForm
from gateway.domain.patterns import compiled
from gateway.domain.policy import Verifier


def passes(verifier: Verifier, text: str) -> bool:
    """Tell whether a text passes a JSON schema or a pattern; a verifier with neither passes everything."""
    if verifier.json_schema is not None:
        return JsonForm(verifier.json_schema).accepts(text)
    if verifier.regex is not None:
        return compiled(verifier.regex).search(text) is not None
    return True


def read_answer(operation: Operation, body: bytes) -> tuple[str, bool]:
    """Return the text of a whole answer in its dialect, and whether it calls tools.

    Args:
        operation: Whose shape the body has; an operation without text gives "".
        body: As the client would get it.
    """
    document: Any = msgspec.json.decode(body)
    if operation is Operation.CHAT:
        message = (document.get("choices") or [{}])[0].get("message") or {}
        return message.get("content") or "", bool(message.get("tool_calls"))
    if operation is Operation.MESSAGES:
        parts = document.get("content") or []
        return "".join(part.get("text", "") for part in parts), any(part.get("type") == "tool_use" for part in parts)
    if operation is Operation.RESPONSES:
        items = document.get("output") or []
        text = "".join(part.get("text", "") for item in items for part in item.get("content") or [])
        return text, any(item.get("type") == "function_call" for item in items)
    if operation is Operation.COMPLETIONS:
        return (document.get("choices") or [{}])[0].get("text") or "", False
    return "", False
