"""The form of an answer: JSON that a schema accepts, and the one request to make it so.

A request for repair is the call as it was, the model's answer after it, and what is wrong with it; the client sees neither. It is
streamed where the call is.

Source: OpenAI API reference (chat `messages`, responses `input`, completions `prompt`), Anthropic Messages (`messages`), read
2026-11-22.
"""

from typing import Any

import msgspec

from gateway.domain.call import Call, Operation
from gateway.domain.guardrails import JsonSchema
from gateway.domain.json_schema import JsonForm
from gateway.domain.splice import splice, value_of

_REQUEST = (
    "Your answer was not accepted: {fault}. Answer the same request again, with nothing but the JSON that it asks for: "
    "no explanation, no code fence."
)


class SchemaCheck:
    """A schema, ready to check answers.

    Args:
        config: As the catalogue has it.
    """

    __slots__ = ("_form",)

    def __init__(self, config: JsonSchema) -> None:
        self._form = JsonForm(config.schema)

    def fault(self, text: str) -> str | None:
        """Say in a few words what is wrong with an answer's text, without repeating it; None where nothing is."""
        return self._form.fault(text)


def repairable(call: Call) -> bool:
    """Tell whether `repair_call` can ask again: not for tokens, and not for several prompts at once."""
    if call.operation is Operation.COMPLETIONS:
        return isinstance(call.document.get("prompt"), str)
    return call.operation in {Operation.CHAT, Operation.MESSAGES, Operation.RESPONSES}


def repair_call(call: Call, answer_text: str, fault: str) -> Call:
    """Return the call once more, the model's answer and what was wrong with it at the end.

    Args:
        call: As it was sent; one that is not `repairable` is returned as it is, so that the model is simply asked again.
        answer_text: What the model said.
        fault: What was wrong, by `SchemaCheck.fault`.
    """
    request = _REQUEST.format(fault=fault)
    if not repairable(call):
        return call
    if call.operation is Operation.COMPLETIONS:
        prompt = f"{call.document['prompt']}{answer_text}\n\n{request}\n\n"
        return _replaced(call, "prompt", prompt, msgspec.json.encode(prompt))
    turns: list[Any] = [{"role": "user", "content": request}]
    if answer_text.strip():
        turns.insert(0, {"role": "assistant", "content": answer_text})
    if call.operation is not Operation.RESPONSES:
        return _appended(call, "messages", turns)
    given = call.document.get("input")
    if isinstance(given, list):
        return _appended(call, "input", turns)
    items = [{"role": "user", "content": given}, *turns] if given else turns
    return _replaced(call, "input", items, msgspec.json.encode(items))


def _appended(call: Call, name: str, turns: list[Any]) -> Call:
    given = call.document[name]
    before = (value_of(call.body, name) or b"[]").rstrip()[:-1]
    added = msgspec.json.encode(turns)[1:]
    return _replaced(call, name, [*given, *turns], before + (b"," if given else b"") + added)


def _replaced(call: Call, name: str, value: Any, raw: bytes) -> Call:
    return msgspec.structs.replace(call, body=splice(call.body, {name: raw}), document={**call.document, name: value})
