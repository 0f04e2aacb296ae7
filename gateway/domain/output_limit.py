"""How much a model may answer: the client's ceiling, held to the model's own and the product's; a default where the client gave none.

Only the member with the ceiling changes in the client's bytes. A ceiling above what the model can is lowered rather than
refused, as clients set it once for many models; the record says that it was.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from gateway.domain.call import Call, Operation
from gateway.domain.catalog import Model
from gateway.domain.conversations import Window
from gateway.domain.splice import splice

# The members that may hold the ceiling; the last one is set where there is none.
_MEMBERS: Mapping[Operation, tuple[str, ...]] = MappingProxyType({
    Operation.CHAT: ("max_tokens", "max_completion_tokens"),
    Operation.RESPONSES: ("max_output_tokens",),
    Operation.MESSAGES: ("max_tokens",),
    Operation.COMPLETIONS: ("max_tokens",),
})  # fmt: skip
# Their answers are made of tokens, up to a ceiling.
ANSWERED_IN_TEXT = frozenset(_MEMBERS)


def limited(model: Model, window: Window | None) -> Model:
    """Return the model with the ceilings that hold for a product's calls.

    A product's `max_output_tokens` is also the ceiling of calls that bring none, or it would be none for them.
    """
    if window is None or (window.max_output_tokens is None and window.default_output_tokens is None):
        return model
    most = _least(model.max_output_tokens, window.max_output_tokens)
    default = model.default_output_tokens if window.default_output_tokens is None else window.default_output_tokens
    return msgspec.structs.replace(model, max_output_tokens=most, default_output_tokens=_least(default, most))


def _least(one: int | None, other: int | None) -> int | None:
    return min([each for each in (one, other) if each is not None], default=None)


def within(call: Call, model: Model) -> tuple[Call, str]:
    """Return the call with a ceiling that the model can keep, and what was changed: "", `output_clamped` or `output_defaulted`."""
    members = _MEMBERS.get(call.operation)
    asked, ceiling, default = call.max_output_tokens, model.max_output_tokens, model.default_output_tokens
    if members is None:
        return call, ""
    if asked is None:
        return (call, "") if default is None else (_set(call, {members[-1]: default}, default), "output_defaulted")
    if ceiling is None or asked <= ceiling:
        return call, ""
    lowered = {name: ceiling for name in members if isinstance(call.document.get(name), int) and call.document[name] > ceiling}
    return _set(call, lowered, ceiling), "output_clamped"


def _set(call: Call, members: Mapping[str, int], ceiling: int) -> Call:
    body = splice(call.body, {name: str(value).encode() for name, value in members.items()})
    return msgspec.structs.replace(call, body=body, document={**call.document, **members}, max_output_tokens=ceiling)
