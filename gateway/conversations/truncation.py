"""Which messages of a long conversation stay, when not all of them fit. Pure.

    system … │ turn 1 │ turn 2 │ … │ turn n      a turn: what the user says, and all that follows until they speak again
             └ go first, whole ┘   └ stay ┘

Chat messages, Anthropic's messages and items of Responses are read alike. Rules: system and developer text stays, wherever it
stands; turns go whole, the oldest first, so a call of a tool stays with its results and what is left begins with the user. Where a
result comes turns after its call, they are one turn. What stays keeps its order and is not changed.

A single turn is never cut: an agent's turn that is itself too long does not fit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gateway.errors import RequestError

type Message = Mapping[str, Any]
type CountMessages = Callable[[Sequence[Message]], int]


def truncated(messages: Sequence[Message], budget_tokens: int, count: CountMessages, *, keep_turns: int) -> tuple[Message, ...] | None:
    """Return what stays; None where even the system text and the newest turns are over the budget.

    Args:
        messages: Of a chat, of Anthropic's Messages, or items of Responses.
        budget_tokens: At most so many, as `count` counts.
        count: Counts messages together; asked once for each, and a few times for what is left.
        keep_turns: So many of the newest turns stay; at least one does.
    """
    if count(messages) <= budget_tokens:
        return tuple(messages)
    turns = turns_of(messages)
    base = count(())
    costs = [max(0, count((message,)) - base) for message in messages]
    droppable = turns[: max(0, len(turns) - max(1, keep_turns))]
    total, gone = base + sum(costs), set[int]()
    for number, turn in enumerate(droppable):
        gone.update(turn)
        total -= sum(costs[at] for at in turn)
        if total > budget_tokens and number < len(droppable) - 1:
            continue
        left = tuple(message for at, message in enumerate(messages) if at not in gone)
        if count(left) <= budget_tokens:
            return left
    return None


def turns_of(messages: Sequence[Message]) -> list[list[int]]:
    """Return the turns as places among the messages; system and developer text is in none of them."""
    turns: list[list[int]] = []
    called_in: dict[str, int] = {}
    spoken = True  # the user's: two messages of theirs in a row are one turn
    for at, message in enumerate(messages):
        if message.get("role") in ("system", "developer"):
            continue
        begins = _begins(message)
        if not turns or (begins and not spoken):
            turns.append([])
        spoken = begins
        turns[-1].append(at)
        since = min([called_in[each] for each in _results(message) if each in called_in], default=len(turns) - 1)
        if since < len(turns) - 1:
            turns[since:] = [[place for turn in turns[since:] for place in turn]]
            called_in = {each: min(number, since) for each, number in called_in.items()}
        called_in.update(dict.fromkeys(_calls(message), len(turns) - 1))
    return turns


def too_long(window_tokens: int, prompt_tokens: int, output_tokens: int, *, param: str = "messages") -> RequestError:
    """Return the refusal of a call that does not fit, in OpenAI's words.

    Args:
        window_tokens: The model's.
        prompt_tokens: Of the call.
        output_tokens: Its ceiling; 0 where it has none.
        param: The member that is too long.
    """
    asked = f"you requested {prompt_tokens + output_tokens} tokens ({prompt_tokens} in the {param}, {output_tokens} in the completion)"
    resulted = asked if output_tokens else f"your {param} resulted in {prompt_tokens} tokens"
    message = f"This model's maximum context length is {window_tokens} tokens. However, {resulted}. Please reduce the length of the {param}"
    return RequestError(message + (" or completion." if output_tokens else "."), param=param, code="context_length_exceeded")


def _begins(message: Message) -> bool:
    return message.get("role") == "user" and not any(block.get("type") == "tool_result" for block in _blocks(message))


def _calls(message: Message) -> Iterator[str]:
    for call in message.get("tool_calls") or ():
        yield str(call.get("id"))
    if str(message.get("type", "")).endswith("_call"):
        yield str(message.get("call_id"))
    yield from (str(block.get("id")) for block in _blocks(message) if block.get("type") == "tool_use")


def _results(message: Message) -> Iterator[str]:
    if message.get("role") == "tool":
        yield str(message.get("tool_call_id"))
    if str(message.get("type", "")).endswith("_call_output"):
        yield str(message.get("call_id"))
    yield from (str(block.get("tool_use_id")) for block in _blocks(message) if block.get("type") == "tool_result")


def _blocks(message: Message) -> list[Mapping[str, Any]]:
    content = message.get("content")
    return [block for block in content if isinstance(block, Mapping)] if isinstance(content, list | tuple) else []
