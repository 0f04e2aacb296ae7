"""What the operator says before the conversation: put into the prompt, in each dialect, before all that the client sent.

| dialect | where |
| --- | --- |
| chat | a first message of the system |
| responses | before `instructions`, which hold for this call whatever it continues |
| messages | before `system`, a text or a block |
| completions | before the prompt, or each of them |

A text that stands there already is not put there again. The client's own bytes stay as they are around it.

Source: OpenAI API reference (chat `messages`, responses `instructions`, completions `prompt`), Anthropic Messages (`system`), read
2026-11-22.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Call, Operation
from gateway.domain.splice import splice, value_of
from gateway.errors import RequestError

CONVERSATIONS = frozenset({Operation.CHAT, Operation.RESPONSES, Operation.MESSAGES})


def with_context(call: Call, text: str) -> Call:
    """Return the call with a text before everything else in its prompt; operations without a prompt are returned as they are.

    Raises:
        RequestError: The prompt is made of tokens, before which no text can be put.
    """
    if call.operation is Operation.CHAT:
        return _chat(call, text)
    if call.operation is Operation.RESPONSES:
        return _set(call, "instructions", _before(text, call.document.get("instructions")))
    if call.operation is Operation.MESSAGES:
        given = call.document.get("system")
        if not isinstance(given, list):
            return _set(call, "system", _before(text, given))
        block = {"type": "text", "text": text}
        return call if given and given[0].get("text") == text else _set(call, "system", [block, *given])
    if call.operation is Operation.COMPLETIONS:
        return _set(call, "prompt", _prompt(text, call.document.get("prompt")))
    return call


def _chat(call: Call, text: str) -> Call:
    messages = call.document["messages"]
    message = {"role": "system", "content": text}
    if messages[:1] == [message]:
        return call
    rest = (value_of(call.body, "messages") or b"[]").lstrip()[1:]
    body = splice(call.body, {"messages": b"[" + msgspec.json.encode(message) + (b"," if messages else b"") + rest})
    return msgspec.structs.replace(call, body=body, document={**call.document, "messages": [message, *messages]})


def _prompt(text: str, prompt: Any) -> Any:
    if prompt is None or isinstance(prompt, str):
        return _before(text, prompt)
    if all(isinstance(each, str) for each in prompt):
        return [_before(text, each) for each in prompt]
    message = "'prompt' must be text here, because the gateway puts its operator's text before it; send no tokens."
    raise RequestError(message, param="prompt", code="invalid_type")


def _before(text: str, given: str | None) -> str:
    if given == text or (given and given.startswith(f"{text}\n\n")):
        return given
    return f"{text}\n\n{given}" if given else text


def _set(call: Call, name: str, value: Any) -> Call:
    if call.document.get(name) == value:
        return call
    document: Mapping[str, Any] = {**call.document, name: value}
    return msgspec.structs.replace(call, body=splice(call.body, {name: msgspec.json.encode(value)}), document=document)
