"""An administrator's document becomes a version that can be made.

    POST /manage/prompts/{name}/versions
    {"model", "messages": [{"role", "content", "when"?} | {"placeholder": "conversation"}], "parameters"?, "input_schema"?,
     "output_schema"?, "template"?, "partials"?, "lookups"?, "steps"?, "history"?, "description"?, "examples"?, "note"?}

Every fault names its field in `param`. What is refused here cannot fail in a call: templates are compiled, schemas and patterns are
checked, examples are tried. Without an `input_schema` every variable of the templates is needed and takes any JSON value.
"""

import asyncio
import fnmatch
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import msgspec

from gateway.domain.documents import convert
from gateway.domain.lookups import Lookup
from gateway.domain.prompts import NAME_PATTERN, SHARED, PromptMessage, PromptText
from gateway.domain.steps import Step
from gateway.prompts import documents_checks as checks
from gateway.prompts.documents_checks import fault
from gateway.prompts.documents_partials import Pin, pinned
from gateway.prompts.library import Draft, Library
from gateway.prompts.rows import MAX_NUMBER, MAX_VERSION_BYTES, is_name, numbered, stored_bytes

MAX_LOOKUPS = 16
LATEST = "latest"  # in a management request the newest version; no label can be called so

# What is wrong with the name of a lookup that a tenant's prompt asks for; None where nothing is.
type CheckLookup = Callable[[str, str], str | None]


class Templates(msgspec.Struct, frozen=True):
    """What is known of templates.

    Attributes:
        check: Raises PromptError where a text's templates are none, its partials among them.
        partials_of: The references of what its templates include.
        variables_of: The names of the variables that its templates need.
        conditions: The context variables that `when` may ask for.
    """

    check: Callable[[PromptText], None]
    partials_of: Callable[[PromptText], Collection[str]]
    variables_of: Callable[[PromptText], Collection[str]]
    conditions: Collection[str] = frozenset()


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    model: str
    messages: tuple[PromptMessage, ...]
    parameters: dict[str, Any] = {}
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    template: Literal["strict", "jinja2"] = "strict"
    partials: dict[str, int | Pin] = {}
    lookups: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    history: bool = False
    description: str = ""
    examples: tuple[dict[str, Any], ...] = ()
    note: str = ""


class _Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int


class Documents:
    """Reads documents.

    Args:
        library: Where the prompts are that others include.
        templates: What is known of templates.
        check_lookup: Says what is wrong with a lookup that a tenant's prompt names; it takes the tenant and the name.
    """

    def __init__(self, library: Library, templates: Templates, check_lookup: CheckLookup) -> None:
        self._library = library
        self._templates = templates
        self._check_lookup = check_lookup

    async def version(self, tenant: str, name: str, document: Mapping[str, Any]) -> Draft:
        """Return the version that a document asks for.

        Args:
            tenant: Whose prompt it is; "" for a shared one.
            name: The prompt's.
            document: As sent.

        Raises:
            RequestError: Something is wrong with it; `param` names the field.
        """
        check_name(name)
        wanted = convert(document, _Document)
        text = await asyncio.to_thread(self._text, tenant, wanted)  # schemas and patterns load what checks them
        references = await asyncio.to_thread(self._templates.partials_of, text)
        pins = {each: Pin(pin) if isinstance(pin, int) else pin for each, pin in wanted.partials.items()}
        if references or pins:
            partials = await pinned(self._library, tenant, name, text, references, pins)
            text = msgspec.structs.replace(text, partials=partials)
        await asyncio.to_thread(self._finish, text, wanted)
        draft = Draft(text, wanted.description, wanted.examples, wanted.note)
        _check_size(tenant, name, draft)
        return draft

    def _text(self, tenant: str, wanted: _Document) -> PromptText:
        checks.check_model(wanted.model, "model")
        checks.check_messages(wanted.messages, self._templates.conditions)
        checks.check_history(wanted.messages, history=wanted.history)
        checks.check_parameters(wanted.parameters)
        checks.check_schemas(wanted.input_schema, wanted.output_schema)
        checks.check_steps(wanted.steps)
        checks.check_texts(description=wanted.description, note=wanted.note)
        if wanted.template == "jinja2" and tenant != SHARED:
            raise fault("template", "may be 'jinja2' for shared prompts only, which the gateway's administrator makes; use 'strict'")
        self._check_lookups(tenant, wanted.lookups)
        fields = {name: getattr(wanted, name) for name in PromptText.__struct_fields__}
        return PromptText(**fields | {"partials": {}})

    def _check_lookups(self, tenant: str, names: tuple[str, ...]) -> None:
        if len(names) > MAX_LOOKUPS or len(set(names)) < len(names):
            raise fault("lookups", f"takes at most {MAX_LOOKUPS} names, each once")
        for index, name in enumerate(names):
            if (wrong := self._check_lookup(tenant, name)) is not None:
                raise fault(f"lookups[{index}]", wrong)

    def _finish(self, text: PromptText, wanted: _Document) -> None:
        self._templates.check(text)
        if wanted.examples:
            checks.check_examples(wanted.examples, input_schema_of(text, self._templates))


def input_schema_of(text: PromptText, templates: Templates) -> Mapping[str, Any]:
    """Return the schema of a prompt's variables: its own, or one that needs every variable of its templates and knows no other."""
    if text.input_schema is not None:
        return text.input_schema
    names = sorted(templates.variables_of(text))
    return {"type": "object", "properties": {name: {} for name in names}, "required": names, "additionalProperties": False}


def lookup_check(lookups: Mapping[str, Lookup]) -> CheckLookup:
    """Return what tells whether a tenant's prompt may ask for a lookup of the catalogue; for a shared prompt it must only be there.

    Args:
        lookups: By name.
    """

    def fault_of(tenant: str, name: str) -> str | None:
        lookup = lookups.get(name)
        known = sorted(each.id for each in lookups.values() if _may_use(each, tenant))
        if lookup is not None and _may_use(lookup, tenant):
            return None
        return f"is no lookup of the catalogue that this prompt may use; there are {', '.join(known) or 'none'}"

    return fault_of


def check_name(name: str) -> None:
    """Raise RequestError for what cannot be a prompt's name."""
    if not is_name(name):
        raise fault("name", f"must be 1 to 64 letters, digits and . _ -, a letter or digit first ({NAME_PATTERN})")


def check_label(label: str) -> None:
    """Raise RequestError for what cannot be a label: what a call could take for a number or for the newest version is none."""
    if not is_name(label) or label.isdigit() or label == LATEST:
        wanted = "must be 1 to 64 letters, digits and . _ -, a letter or digit first"
        raise fault("label", f"{wanted}; it cannot be a number, which names a version, and not {LATEST!r}")


def label_version(document: Mapping[str, Any]) -> int:
    """Return the version of `{"version"}`."""
    return convert(document, _Label).version


def _may_use(lookup: Lookup, tenant: str) -> bool:
    return tenant == SHARED or not lookup.tenants or any(fnmatch.fnmatchcase(tenant, glob) for glob in lookup.tenants)


def _check_size(tenant: str, name: str, draft: Draft) -> None:
    about = {"description": draft.description, "examples": draft.examples, "note": draft.note}
    sizes = {field: len(msgspec.json.encode(getattr(draft.text, field))) for field in PromptText.__struct_fields__}
    sizes |= {field: len(msgspec.json.encode(value)) for field, value in about.items()}
    if sum(sizes.values()) * 2 < MAX_VERSION_BYTES - 2048:  # no character takes more bytes as UTF-16 than twice those as UTF-8
        return
    size = stored_bytes(numbered(draft.text, tenant, name, MAX_NUMBER, "", None, **about))
    if size > MAX_VERSION_BYTES:
        largest = max(sizes, key=lambda field: sizes[field])
        raise fault(largest, f"makes the version {size} bytes as UTF-16; {MAX_VERSION_BYTES} is the most: shorten it, or split the prompt")
