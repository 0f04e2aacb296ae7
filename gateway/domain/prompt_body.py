"""The request that a prompt and a call make together: messages in their order, and parameters. Pure, and the same every time.

    messages:    before · the session's history · the call's own · after       (`before` and `after` are the prompt's)
    parameters:  the prompt's < the call's own < the variant's (`forced`)
    model:       the prompt's < the call's own < the variant's

The call's own messages keep their bytes. What is rendered is in chat's form; a Responses request gets it as items of `input`, and
its parameters under their names there.

Source: OpenAI API reference, chat completions and responses (read 2026-11-22).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Operation
from gateway.domain.chat import wrong_type
from gateway.domain.splice import drop, splice, value_of
from gateway.errors import PromptError

type Message = Mapping[str, Any]

# A chat's parameters that Responses has under the same name.
_ALIKE = frozenset(
    {"temperature", "top_p", "metadata", "user", "parallel_tool_calls", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
    | {"top_logprobs", "max_output_tokens", "reasoning", "text", "include", "truncation"}
)
_PARTS = {"text": "input_text", "image_url": "input_image"}
_CEILINGS = frozenset({"max_tokens", "max_completion_tokens"})
_encode = msgspec.json.encode


class Addition(msgspec.Struct, frozen=True):
    """What is added to a call's own members.

    Attributes:
        before: Messages in front of the call's own.
        after: Messages behind them.
        model: The one that answers where the call names none.
        parameters: Members that a call's own win over.
    """

    before: Sequence[Message] = ()
    after: Sequence[Message] = ()
    model: str = ""
    parameters: Mapping[str, Any] = {}


def joined(operation: Operation, document: Mapping[str, Any], body: bytes, addition: Addition) -> bytes:
    """Return the request's body.

    Args:
        operation: `chat` or `responses`.
        document: The call's own members, parsed.
        body: The same as bytes.
        addition: What is added.

    Raises:
        PromptError: A parameter of the prompt has no place in a Responses request.
        RequestError: The call's own messages are no list.
    """
    changes: dict[str, bytes] = {}
    given = document.keys()
    defaults = {name: value for name, value in addition.parameters.items() if name not in given}
    if operation is Operation.CHAT:
        if not given.isdisjoint(_CEILINGS):  # two names of one ceiling
            defaults = {name: value for name, value in defaults.items() if name not in _CEILINGS}
        members = defaults
        if addition.before or addition.after:
            changes["messages"] = _chat_messages(document, body, addition)
    else:
        members = {name: value for name, value in _of_responses(defaults).items() if name not in given}
        if addition.before or addition.after:
            changes["input"] = _encode([*_items(addition.before), *_own_items(document), *_items(addition.after)])
    if addition.model and "model" not in given and "model" not in members:
        members["model"] = addition.model
    return splice(body, changes | {name: _encode(value) for name, value in members.items()})


def forced(operation: Operation, body: bytes, parameters: Mapping[str, Any]) -> bytes:
    """Return the body with members that win over its own.

    Args:
        operation: `chat` or `responses`.
        body: The request's.
        parameters: In chat's names, `model` among them.
    """
    if not parameters:
        return body
    members = dict(parameters) if operation is Operation.CHAT else _of_responses(parameters)
    if operation is Operation.CHAT and not _CEILINGS.isdisjoint(members):
        for name in _CEILINGS - members.keys():
            body = drop(body, name)
    return splice(body, {name: _encode(value) for name, value in members.items()})


def fits(operation: Operation, *parameters: Mapping[str, Any]) -> bool:
    """Tell whether `forced` can put any of these into a request.

    An experiment is not for requests that one of its variants does not fit: were only that one left out, those who get it would
    be others than those who get the control.
    """
    if operation is Operation.CHAT:
        return True
    try:
        for each in parameters:
            _of_responses(each)
    except PromptError:
        return False
    return True


def messages_in(operation: Operation, document: Mapping[str, Any]) -> list[Message]:
    """Return the call's own messages in chat's form; items of a Responses request that are no words, calls or results are left out."""
    if operation is Operation.CHAT:
        own = document.get("messages")
        return list(own) if type(own) is list else []
    return [message for item in _own_items(document) if type(item) is dict and (message := _message(item)) is not None]


def _message(item: Mapping[str, Any]) -> Message | None:
    kind = item.get("type", "message")
    if kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": item.get("call_id"), "type": "function", "function": function}]}
    if kind == "function_call_output":
        output = item.get("output")
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output if type(output) is str else _encode(output).decode()}
    if kind != "message" or type(item.get("role")) is not str:
        return None
    content = item.get("content")
    if type(content) is not list:
        return {"role": item["role"], "content": content}
    parts = [part for each in content if type(each) is dict and (part := _part(each)) is not None]
    return {"role": item["role"], "content": parts} if parts else None


def _part(part: Mapping[str, Any]) -> Message | None:
    if part.get("type") in {"input_text", "output_text"}:
        return {"type": "text", "text": part.get("text")}
    if part.get("type") == "input_image" and type(part.get("image_url")) is str:
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail") or "auto"}}
    return None


def _chat_messages(document: Mapping[str, Any], body: bytes, addition: Addition) -> bytes:
    own = document.get("messages")
    if own is not None and type(own) is not list:
        raise wrong_type("messages", "an array of objects", own)
    inner = (value_of(body, "messages") or b"[]").strip()[1:-1].strip() if own else b""
    pieces = [_encode(list(addition.before))[1:-1], inner, _encode(list(addition.after))[1:-1]]
    return b"[" + b",".join(piece for piece in pieces if piece) + b"]"


def _own_items(document: Mapping[str, Any]) -> list[Any]:
    own = document.get("input")
    if own is None:
        return []
    if type(own) is str:
        return [{"role": "user", "content": own}]
    if type(own) is not list:
        raise wrong_type("input", "a string or an array of objects", own)
    return own


def _items(messages: Sequence[Message]) -> list[Any]:
    """Return chat's messages as items of a Responses request."""
    items: list[Any] = []
    for message in messages:
        if message.get("role") == "tool":
            items.append({"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": message.get("content")})
            continue
        content = message.get("content")
        if content:
            items.append({"role": message["role"], "content": content if type(content) is str else _parts(content, message["role"])})
        for call in message.get("tool_calls") or ():
            function = call["function"]
            items.append({
                "type": "function_call", "call_id": call["id"], "name": function["name"], "arguments": function["arguments"],
            })  # fmt: skip
    return items


def _parts(parts: Sequence[Message], role: str) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        kind = part.get("type")
        if kind == "image_url":
            image = part["image_url"]
            found.append({"type": "input_image", "image_url": image["url"], "detail": image.get("detail", "auto")})
        elif kind == "text":
            found.append({"type": "output_text" if role == "assistant" else "input_text", "text": part["text"]})
        else:
            raise PromptError(f"a part of type {str(kind)[:64]!r} has no place in a Responses request; ask at /v1/chat/completions")
    return found


def _of_responses(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat's parameters under the names that they have in a Responses request."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in _ALIKE or name == "model":
            found[name] = value
        elif name in _CEILINGS:
            found["max_output_tokens"] = value
        elif name == "reasoning_effort":
            found["reasoning"] = {"effort": value}
        elif name == "response_format" and type(value) is dict:
            form = value.get("json_schema")
            found["text"] = {"format": {"type": value.get("type"), **(form if type(form) is dict else {})}}
        elif name == "tools" and type(value) is list:
            found["tools"] = [_tool(each) for each in value]
        else:
            raise PromptError(f"the prompt's parameter {name!r} has no place in a Responses request; ask at /v1/chat/completions")
    return found


def _tool(tool: Any) -> Any:
    function = tool.get("function") if type(tool) is dict else None
    return {"type": "function", **function} if type(function) is dict else tool
