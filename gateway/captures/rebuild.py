"""The exact bytes that a backend was sent, computed again from what was captured of the call. Pure.

    the client's body ─expand─▶ with prompt, history, variant ─read─▶ request ─changes…─▶ as it was sent on ─encode─▶ upstream body

Nothing of the upstream body that was kept is used: only its hash, to compare. A change is repeated from its facts where it is a
function of them (`REPEATED`); where it is not (what guardrails masked, ids that were sealed, an answer asked for once more), the
request's body after it was kept and is read again.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.captures.record import Captured, Change, inbound_of
from gateway.domain.call import Call
from gateway.domain.catalog import Model
from gateway.domain.context import with_context
from gateway.domain.deployment import Deployment
from gateway.domain.fingerprint import hash_of
from gateway.domain.output_limit import within
from gateway.domain.prompts import PromptVersion
from gateway.domain.readers import READERS
from gateway.errors import RequestError

# Returns the client's body with all that it was expanded with: the prompt's version, the history, what the variant forces.
type Expand = Callable[[Captured, PromptVersion | None], bytes]
# Returns the body that a deployment is sent; the capabilities decide what its backend does itself.
type Encode = Callable[[Call, Deployment, tuple[str, ...]], bytes]
type Repeat = Callable[[Call, Change], Call]


def _limits(call: Call, change: Change) -> Call:
    most, default = change.facts.get("max_output_tokens"), change.facts.get("default_output_tokens")
    return within(call, Model("", (), max_output_tokens=most, default_output_tokens=default))[0]


def _context(call: Call, change: Change) -> Call:
    return with_context(call, change.facts["text"])


# What repeats a change, by who made it: the output's ceiling (facts: the model's `max_output_tokens`, `default_output_tokens`), and
# the operator's words before the conversation (`text`).
REPEATED: Mapping[str, Repeat] = MappingProxyType({"limits": _limits, "context": _context})


def rebuild(
    captured: Captured, version: PromptVersion | None, expand: Expand, encode: Encode, repeated: Mapping[str, Repeat] = REPEATED
) -> bytes:
    """Return the body that the answering backend was sent.

    Args:
        captured: The call.
        version: Of its prompt; None where it had none.
        expand: Repeats the expansion.
        encode: Repeats the provider's encoding.
        repeated: Repeats changes, by who made them.

    Raises:
        RequestError: No backend was asked, or the version is not the one that the call was rendered from.
    """
    if captured.asked is None:
        raise RequestError("no backend was asked for this call, so there is nothing to rebuild", code="not_replayable")
    source = captured.source
    if source is not None and (version is None or (source.hash and version.hash != source.hash)):
        message = f"this call was rendered from version {source.version} of the prompt {source.name!r}, which is not the one given"
        raise RequestError(message, code="not_replayable")
    return encode(as_sent_on(captured, version, expand, repeated), captured.asked.deployment(), captured.asked.capabilities)


def as_sent_on(captured: Captured, version: PromptVersion | None, expand: Expand, repeated: Mapping[str, Repeat] = REPEATED) -> Call:
    """Return the request as it stood before it was encoded for the backend."""
    read = READERS[captured.operation]
    call = read(inbound_of(captured, expand(captured, version)), "")
    for change in captured.changes:
        call = read(inbound_of(captured, change.body), "") if change.body else repeated[change.by](call, change)
    return call


def proved(captured: Captured, rebuilt: bytes) -> bool:
    """Tell whether what was rebuilt is what was sent."""
    return hash_of(rebuilt) == captured.upstream_hash


def as_sent(captured: Captured, version: PromptVersion | None) -> bytes:
    """Expand a call that had neither prompt, history nor variant: its body is the client's own."""
    if version is not None or captured.source is not None or captured.history or captured.forced:
        raise RequestError("this call was expanded, and needs what repeats that", code="not_replayable")
    return captured.body
