"""Prompts as values: a name, its immutable numbered versions, and labels that are moved from one version to another.

    prompt "support" ─┬─ version 1 ◀── staging          what is written once never changes: another text is another version
                      └─ version 2 ◀── production       a call asks for a label (by default `production`) or for a number

A prompt belongs to a tenant, or is shared (tenant ""); a tenant's own hides the shared one of the same name. What a version says
is in its `hash`, so two versions that say the same have the same.
"""

import datetime
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.domain.steps import Classify, Step

SHARED = ""  # in the tenant's place: of a prompt that all tenants may use
PRODUCTION = "production"
# Names of prompts, labels, partials: a letter or digit first, then also . _ -
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
# What the operator's backends keep under these ids is theirs: such a `prompt` is passed on as it is.
BACKENDS_OWN = "pmpt_"

type Content = str | tuple[Mapping[str, Any], ...]
type Role = Literal["system", "developer", "user", "assistant"]


class PromptMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message of a prompt, or the place of the conversation among them.

    Attributes:
        role: Whose words it is; empty for a placeholder.
        content: A template, or parts of which the `text` ones hold templates.
        when: Context variable → globs, one of which must match for the message to be there; all named ones must hold.
        placeholder: `conversation`: here go the session's history and the messages of the call. Without one they go last.
    """

    role: Role | Literal[""] = ""
    content: Content = ""
    when: Mapping[str, str | tuple[str, ...]] = {}
    placeholder: Literal["", "conversation"] = ""


class Partial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text that a version includes from another prompt (`{{> name}}`), as it was when the version was made.

    Attributes:
        version: Of the other prompt.
        text: Its template; what it includes itself is filled in.
        includes: The names of all prompts whose texts are in it.
        depth: How many inclusions deep it is, itself counted.
    """

    version: int
    text: str
    includes: tuple[str, ...] = ()
    depth: int = 1


class PromptText(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a version says: all that its hash covers.

    Attributes:
        model: The public model that answers; a call may ask for another.
        messages: In their order.
        parameters: Members of the request (`temperature`, `max_tokens`, `response_format` …); the call's own win.
        input_schema: JSON Schema of the variables, an object's.
        output_schema: JSON Schema that the answer's text must have; it is asked for once more where it has not.
        template: `strict` knows `{{name}}` and `{{> partial}}` and nothing else; `jinja2` is for shared prompts, sandboxed.
        partials: By reference as the templates write it (`name` or `name@3`), pinned when the version was made.
        lookups: Names of lookups of the catalogue, whose results are `{{lookups.NAME}}`.
        steps: What is done to a whole answer's text.
        history: Calls with a session continue its conversation, and are added to it.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    parameters: Mapping[str, Any] = {}
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    template: Literal["strict", "jinja2"] = "strict"
    partials: Mapping[str, Partial] = {}
    lookups: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    history: bool = False


class PromptVersion(PromptText, frozen=True, kw_only=True, omit_defaults=True):
    """One version, as it is kept for ever.

    Attributes:
        tenant: Whose prompt it is; "" for a shared one.
        version: From 1 on, without gaps.
        description: What it is for, as the catalogue of prompts says it.
        examples: Variables to try it with, as the catalogue and its OpenAPI document show them.
        note: Why this version was made.
        author: Who made it: a key's public id, or an identity.
        at: When, in UTC.
        hash: SHA-256 of its PromptText, hex.
    """

    tenant: str
    name: str
    version: int
    description: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    note: str = ""
    author: str = ""
    at: datetime.datetime | None = None
    hash: str = ""


class Move(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a label was put: the version, when (UTC) and by whom."""

    version: int
    at: datetime.datetime
    by: str = ""


class Prompt(msgspec.Struct, frozen=True, omit_defaults=True):
    """A prompt's head: what there is of it, and where its labels are.

    Attributes:
        latest: The highest version number: all from 1 to it exist.
        labels: Label → version.
        moves: Label → where it was put, oldest first, where it is now the last; a rollback takes the last one away.
        retired: When the prompt was deleted: no call finds it, and its versions stay. None while it is in use.
    """

    tenant: str
    name: str
    latest: int
    labels: Mapping[str, int] = {}
    moves: Mapping[str, tuple[Move, ...]] = {}
    retired: datetime.datetime | None = None


class Rendered(msgspec.Struct, frozen=True):
    """A version with its variables filled in: the messages before the conversation and those after it, in chat's form."""

    before: tuple[Mapping[str, Any], ...]
    after: tuple[Mapping[str, Any], ...] = ()


class Prompted(msgspec.Struct, frozen=True):
    """What a call has from a prompt, for the rest of the street.

    Attributes:
        version: The version that was rendered.
        looked_up: Text that lookups brought: to guardrails a document.
    """

    version: PromptVersion
    looked_up: str = ""

    @property
    def asks(self) -> tuple[str, ...]:
        """Models that its steps ask besides, and that the caller must have a right to; a shared prompt's are the operator's word."""
        if self.version.tenant == SHARED:
            return ()
        return tuple(step.model for step in self.version.steps if isinstance(step, Classify))
