"""How large a request may be, and an answer.

`characters` are those of all texts of a request: instructions, conversation, tools' descriptions and results; not of images.
`message_characters` are those of one message, whatever parts it has. `messages` are the turns of a conversation, or its items.
"""

from collections import Counter

from gateway.domain.call import Call
from gateway.domain.guardrails import Size
from gateway.domain.verdicts import NOTHING_FOUND, Finding, Reading
from gateway.guardrails.kinds import Rule
from gateway.guardrails.texts.passages import read_call

_TURNS = ("messages", "input")
_WHAT = {
    "characters": "characters",
    "message_characters": "characters in one message",
    "messages": "messages",
    "tools": "tools",
    "output_characters": "characters of output",
}


def size_rule(config: Size) -> Rule:
    """Return a rule that finds every limit that a request exceeds."""

    def rule(call: Call) -> Reading:
        return _judged(config, _measured(config, call))

    return rule


def check_output_size(config: Size, characters: int) -> Reading:
    """Return whether an answer is too large.

    Args:
        config: The limits.
        characters: Of its texts; of a stream those that came so far.
    """
    return _judged(config, {"output_characters": characters})


def _measured(config: Size, call: Call) -> dict[str, int]:
    """Return a request's sizes, as far as they are limited."""
    found: dict[str, int] = {}
    if config.characters is not None or config.message_characters is not None:
        passages = read_call(call).passages
        found["characters"] = sum([len(passage.text) for passage in passages])
        if config.message_characters is not None:
            of_turns: Counter[object] = Counter()
            for passage in passages:
                if passage.path and passage.path[0] in _TURNS:
                    of_turns[passage.path[:2]] += len(passage.text)
            found["message_characters"] = max(of_turns.values(), default=0)
    turns = next((value for name in _TURNS if isinstance(value := call.document.get(name), list)), None)
    found["messages"] = 1 if turns is None else len(turns)
    found["tools"] = sum(len(value) for name in ("tools", "functions") if isinstance(value := call.document.get(name), list))
    return found


def _judged(config: Size, sizes: dict[str, int]) -> Reading:
    findings = []
    for name, size in sizes.items():
        limit = getattr(config, name)
        if limit is not None and size > limit:
            findings.append(Finding(0, 0, f"size.{name}", reason=f"{size} {_WHAT[name]}, of which {limit} are allowed"))
    return Reading(tuple(findings)) if findings else NOTHING_FOUND
