"""What a prompt includes from others: `{{> name}}` is the other's `production` version, `{{> name@3}}` its version 3.

Looked up once, when the version is made, and kept with it: what another prompt says later changes nothing that is there. What is
included is the text of the other's only message, or of its only system message; what that one includes is filled in, as it was
pinned there. The tenant's own prompt comes before the shared one. A prompt that includes itself, on whatever way, is refused: each
version would hold all earlier ones.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from gateway.domain.prompts import NAME_PATTERN, PRODUCTION, SHARED, Partial, Prompt, PromptText, PromptVersion
from gateway.prompts import strict
from gateway.prompts.documents_checks import fault
from gateway.prompts.library import Library

MAX_DEPTH = 5
MAX_PARTIALS = 32
_REFERENCE = re.compile(rf"({NAME_PATTERN})(?:@([0-9]{{1,8}}))?")


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a document may say of a partial: its version. The rest is as GET shows it, and must still be so."""

    version: int
    text: str = ""
    includes: tuple[str, ...] = ()
    depth: int = 1


async def pinned(
    library: Library, tenant: str, name: str, text: PromptText, wanted: Collection[str], pins: Mapping[str, Pin]
) -> Mapping[str, Partial]:
    """Return what a prompt's templates include, by reference.

    Args:
        library: Where the other prompts are.
        tenant: Whose prompt it is.
        name: The prompt's.
        text: What it says, without its partials.
        wanted: The references in its templates.
        pins: Versions that the document asks for, by reference.

    Raises:
        RequestError: One cannot be included; `param` is `messages` or the pin.
    """
    if len(wanted) > MAX_PARTIALS:
        raise fault("messages", f"include {len(wanted)} prompts; {MAX_PARTIALS} is the most")
    for reference in pins:
        if reference not in wanted:
            raise fault(f"partials.{reference[:64]}", "is included nowhere; leave it out")
    found: dict[str, Partial] = {}
    for reference in sorted(wanted):
        pin = pins.get(reference)
        param = f"partials.{reference}" if pin else "messages"
        version = await _find(library, tenant, reference, pin, param)
        partial = _partial(version, name, text.template, reference, param)
        if pin is not None and pin.text and pin.text != partial.text:
            raise fault(f"{param}.text", f"is not what version {partial.version} says; leave 'text' out")
        found[reference] = partial
    return found


async def _find(library: Library, tenant: str, reference: str, pin: Pin | None, param: str) -> PromptVersion:
    matched = _REFERENCE.fullmatch(reference)
    if matched is None:
        raise fault(param, f"include {reference[:80]!r}, which is no prompt's name, and none with a version such as name@3")
    name = matched[1]
    if pin is not None and matched[2] and pin.version != int(matched[2]):
        raise fault(f"{param}.version", f"is not the version that {reference!r} asks for; leave it out")
    head = await _head(library, tenant, name)
    if head is None:
        raise fault(param, f"include the prompt {name!r}, which is not there; make it first")
    number = pin.version if pin is not None else int(matched[2]) if matched[2] else head.labels.get(PRODUCTION)
    if number is None:
        raise fault(param, f"include the prompt {name!r}, which has no label {PRODUCTION!r}; put it on a version, or write {name}@1")
    version = await library.version(head.tenant, name, number)
    if version is None:
        raise fault(param, f"include version {number} of the prompt {name!r}, which has 1 to {head.latest}")
    return version


async def _head(library: Library, tenant: str, name: str) -> Prompt | None:
    for owner in dict.fromkeys((tenant, SHARED)):
        head = await library.head(owner, name)
        if head is not None and head.prompt.retired is None:
            return head.prompt
    return None


def _partial(version: PromptVersion, including: str, template: str, reference: str, param: str) -> Partial:
    """Return another prompt's text as a partial of the prompt that includes it."""
    if version.template != template:
        raise fault(param, f"include {reference!r}, whose template is {version.template!r}; only {template!r} fits here")
    includes = tuple(sorted({version.name}.union(*([each.partition("@")[0], *one.includes] for each, one in version.partials.items()))))
    if including in includes:
        raise fault(param, f"include {reference!r}, which is or includes {including!r} itself")
    depth = 1 + max((each.depth for each in version.partials.values()), default=0)
    if depth > MAX_DEPTH:
        raise fault(param, f"include {reference!r}, which is {depth} inclusions deep; {MAX_DEPTH} is the most")
    text = _only_text(version)
    if text is None:
        advice = "a prompt that is included has one message, or one system message, of one text and without `when`"
        raise fault(param, f"include {reference!r}, of which it is not clear what is meant: {advice}")
    if template == "strict":
        text = strict.expanded(text, version.partials)
    elif version.partials:
        raise fault(param, f"include {reference!r}, which includes others itself; a jinja2 prompt includes all of them")
    return Partial(version.version, text, includes, depth)


def _only_text(version: PromptVersion) -> str | None:
    messages = [each for each in version.messages if not each.placeholder]
    chosen = messages if len(messages) == 1 else [each for each in messages if each.role in {"system", "developer"}]
    if len(chosen) != 1 or chosen[0].when:
        return None
    content: Any = chosen[0].content
    if isinstance(content, str):
        return content
    return content[0]["text"] if len(content) == 1 and content[0].get("type") == "text" else None
