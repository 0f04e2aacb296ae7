"""Whether a call fits its model's context window, and its messages as a list that can be shortened. Pure.

    prompt's tokens + the answer's ceiling ≤ the model's window          a body has at least as many bytes as its prompt has tokens

Chats, Anthropic's messages and Responses with a list of items can be shortened; the messages that stay, and all other members,
keep the client's own bytes.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.conversations.truncation import Message
from gateway.domain.call import Call, Operation
from gateway.domain.catalog import Model, matches
from gateway.domain.policy import Rule
from gateway.domain.splice import splice, value_of

# The member that holds the conversation.
PARAMS: Mapping[Operation, str] = MappingProxyType({
    Operation.CHAT: "messages",
    Operation.RESPONSES: "input",
    Operation.MESSAGES: "messages",
    Operation.COMPLETIONS: "prompt",
})  # fmt: skip
_SHORTENED = frozenset({Operation.CHAT, Operation.RESPONSES, Operation.MESSAGES})
# What a shortened conversation leaves to the answer of a call without a ceiling, at most, and of how much of the window.
ROOM_TOKENS, ROOM_SHARE = 512, 8
_RAW = msgspec.json.Decoder(list[msgspec.Raw])


def window_of(model: Model) -> int | None:
    """Return the largest context window that a model's pool has, in tokens; None where nobody said."""
    windows = [member.deployment.context_window or model.context_window for member in model.pool] or [model.context_window]
    return None if None in windows else max(each for each in windows if each is not None)


def surely_fits(call: Call, window_tokens: int) -> bool:
    """Tell whether a call fits without its tokens being counted."""
    return len(call.body) + (call.max_output_tokens or 0) <= window_tokens


def budget_of(call: Call, window_tokens: int) -> int:
    """Return how many tokens the prompt of a shortened call may have."""
    return window_tokens - (call.max_output_tokens or min(ROOM_TOKENS, window_tokens // ROOM_SHARE))


def messages_of(call: Call) -> list[Message] | None:
    """Return the conversation; None where it is none that can be shortened."""
    found = call.document.get(PARAMS[call.operation]) if call.operation in _SHORTENED else None
    return found if type(found) is list and all(type(each) is dict for each in found) else None


def with_messages(call: Call, messages: Sequence[Message]) -> Call:
    """Return the call with another conversation; messages that are its own keep their bytes.

    Args:
        call: One whose `messages_of` are known.
        messages: What it is from now on.
    """
    param = PARAMS[call.operation]
    own = {
        id(message): bytes(raw) for message, raw in zip(call.document[param], _RAW.decode(value_of(call.body, param) or b"[]"), strict=True)
    }
    pieces = [own.get(id(message)) or msgspec.json.encode(message) for message in messages]
    body = splice(call.body, {param: b"[" + b",".join(pieces) + b"]"})
    return msgspec.structs.replace(call, body=body, document={**call.document, param: list(messages)})


def parts_of(call: Call, messages: Sequence[Message]) -> tuple[Call, Call, list[Call]]:
    """Return what is counted to know what each message takes: the call without any, one of no message, and one of each.

    Args:
        call: The call.
        messages: Its conversation.
    """
    param = PARAMS[call.operation]

    def holding(found: Sequence[Message], rest: Mapping[str, Any]) -> Call:
        # A count asks a body for its size alone: whether to count in a thread.
        return msgspec.structs.replace(call, body=msgspec.json.encode(found), document={**rest, param: list(found)})

    return holding((), call.document), holding((), {}), [holding((message,), {}) for message in messages]


def stays_confined(rules: Sequence[Rule], asked: str, other: str) -> bool:
    """Tell whether a call that goes to another model is still under the rules that may confine it; a guardrail may yet say so.

    Args:
        rules: The catalogue's.
        asked: The model that the call asks for.
        other: The one that would be asked in its place.
    """
    if not any(rule.confine for rule in rules):
        return True
    named = [rule.when.model for rule in rules if rule.when.model]  # of any rule: the first that fits is the only one
    return all(matches(globs, other) == matches(globs, asked) for globs in named)
