"""What a body is made of besides the call's own bytes, and the body that they make: pure, and the same whenever it is made.

    the prompt's messages · the session's past · the call's own · the prompt's, with its parameters; a variant's members win over all

Kept with a capture, `Ingredients` rebuild the request byte for byte.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Inbound
from gateway.domain.prompt_body import Addition, Message, forced, joined
from gateway.domain.prompt_reference import Reference, invocation_in, reference_in
from gateway.domain.prompts import PromptVersion, Rendered
from gateway.domain.strict_json import parse_object
from gateway.prompts.render import render

_NOTHING_RENDERED = Rendered(())


class Ingredients(msgspec.Struct, frozen=True):
    """What a body is made of besides the call's own bytes.

    Attributes:
        version: None where the call has no prompt.
        context: The caller's context variables.
        lookups: What lookups found, by name.
        past: The session's messages before this call.
        forced: Members of the request that an experiment's variant gives it, `model` among them.
    """

    version: PromptVersion | None = None
    context: Mapping[str, str] = {}
    lookups: Mapping[str, Any] = {}
    past: tuple[Message, ...] = ()
    forced: Mapping[str, Any] = {}


def reference_of(inbound: Inbound) -> Reference | None:
    """Return the prompt that a request asks for; None where it asks for none of ours."""
    document = parse_object(inbound.body)
    if inbound.path_prompt:
        return invocation_in(document, inbound.body, inbound.path_prompt)
    return reference_in(document, inbound.body)


def body_of(inbound: Inbound, reference: Reference | None, ingredients: Ingredients) -> tuple[bytes, Rendered]:
    """Return the body that a request and its ingredients make, and what of it the prompt rendered: the same every time.

    Args:
        inbound: The request, with its body as the client sent it.
        reference: The prompt that it asks for; None for none.
        ingredients: What is put into it.

    Raises:
        PromptError: A variable is missing, too many, or not what the version asks for.
    """
    version, past, rendered = ingredients.version, ingredients.past, _NOTHING_RENDERED
    own = inbound.body if reference is None else reference.body
    addition = Addition(before=past)
    if version is not None and reference is not None:
        rendered = render(version, reference.variables, ingredients.context, ingredients.lookups, param=reference.param)
        addition = Addition((*rendered.before, *past), rendered.after, version.model, version.parameters)
    body = joined(inbound.operation, parse_object(own), own, addition)
    return forced(inbound.operation, body, ingredients.forced), rendered
