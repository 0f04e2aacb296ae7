"""What can be wrong with a prompt's document beyond the types of its members. Pure; every fault names its field in `param`."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.json_schema import JsonForm, schema_fault
from gateway.domain.patterns import compiled
from gateway.domain.prompts import PromptMessage
from gateway.domain.steps import Classify, Extract, Format, Rename, Step
from gateway.errors import RequestError

MAX_MODEL_CHARACTERS = 256
MAX_MESSAGES = 100
MAX_PARTS = 50
MAX_CONDITIONS, MAX_GLOBS, MAX_GLOB_CHARACTERS = 16, 64, 256
MAX_PARAMETERS, MAX_PARAMETERS_BYTES = 64, 64 * 1024
MAX_SCHEMA_BYTES = 64 * 1024
MAX_EXAMPLES = 20
MAX_STEPS, MAX_LABELS, MAX_MEMBERS = 16, 32, 64
MAX_TEXT_CHARACTERS = 4096  # of a description, a note, a pattern, a question
# What a call, or the prompt elsewhere, says itself.
NOT_PARAMETERS = frozenset(
    {"model", "messages", "input", "instructions", "prompt", "variables", "version", "label", "stream", "stream_options"}
    | {"user", "conversation", "previous_response_id", "background", "safety_identifier"}
)
# A part's type → what of it must be there, and of which type.
PARTS: Mapping[str, tuple[str, type]] = {
    "text": ("text", str),
    "image_url": ("image_url", dict),
    "input_audio": ("input_audio", dict),
    "file": ("file", dict),
}
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_CONDITION = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def check_model(model: str, param: str) -> None:
    """Refuse what cannot be a model's name."""
    if not 1 <= len(model) <= MAX_MODEL_CHARACTERS or not model.isprintable() or model != model.strip():
        raise fault(param, f"must be a model's name of 1 to {MAX_MODEL_CHARACTERS} characters")


def check_messages(messages: Sequence[PromptMessage], known: Collection[str]) -> None:
    """Refuse messages that say nothing, or do not say whose words they are.

    Args:
        messages: As the document has them.
        known: The context variables that `when` may ask for; empty where nobody knows them.
    """
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise fault("messages", f"takes 1 to {MAX_MESSAGES} messages")
    if all(each.placeholder for each in messages):
        raise fault("messages", "needs a message besides the place of the conversation")
    if sum(bool(each.placeholder) for each in messages) > 1:
        raise fault("messages", "has two places for the conversation; leave one")
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if message.placeholder:
            _check_placeholder(message, place)
            continue
        if not message.role:
            raise fault(f"{place}.role", "is missing; it is system, developer, user or assistant")
        _check_content(message, f"{place}.content")
        _check_conditions(message.when, f"{place}.when", known)


def check_history(messages: Sequence[PromptMessage], *, history: bool) -> None:
    """Refuse a prompt that continues conversations, asks something itself, and does not say whether it asks before or behind them."""
    if history and not any(each.placeholder for each in messages) and any(each.role in {"user", "assistant"} for each in messages):
        said = 'needs to know where the conversation goes: put {"placeholder": "conversation"} among the messages'
        raise fault("history", said)


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the call or the prompt itself decides, and too many or too large ones."""
    for name in parameters:
        if name.lower() in NOT_PARAMETERS:
            raise fault(f"parameters.{name}", "is not for a prompt's parameters: the prompt's own members, or the call, say it")
        if not _PARAMETER.fullmatch(name):
            raise fault("parameters", f"has the name {name[:64]!r}, which no request has")
    if len(parameters) > MAX_PARAMETERS or _json_bytes(parameters) > MAX_PARAMETERS_BYTES:
        raise fault("parameters", f"takes at most {MAX_PARAMETERS} members and {MAX_PARAMETERS_BYTES // 1024} KB of JSON")


def check_schemas(input_schema: Mapping[str, Any] | None, output_schema: Mapping[str, Any] | None) -> None:
    """Refuse schemas that nothing can be checked with; the variables are members of an object."""
    for param, schema in (("input_schema", input_schema), ("output_schema", output_schema)):
        if schema is None:
            continue
        if _json_bytes(schema) > MAX_SCHEMA_BYTES:
            raise fault(param, f"must have at most {MAX_SCHEMA_BYTES // 1024} KB as JSON")
        if (wrong := schema_fault(dict(schema))) is not None:
            raise fault(param, wrong)
    if input_schema is not None and input_schema.get("type") != "object":
        raise fault("input_schema.type", 'must be "object": the variables are its members')


def check_examples(examples: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> None:
    """Refuse examples that the schema of the variables does not take."""
    if len(examples) > MAX_EXAMPLES:
        raise fault("examples", f"takes at most {MAX_EXAMPLES}")
    form = JsonForm(dict(schema)) if examples else None
    for index, example in enumerate(examples):
        if form is not None and (wrong := form.fault(msgspec.json.encode(example).decode())) is not None:
            raise fault(f"examples[{index}]", f"are variables that the prompt does not take: {wrong}")


def check_texts(**texts: str) -> None:
    """Refuse a description or a note that is too long."""
    for param, text in texts.items():
        if len(text) > MAX_TEXT_CHARACTERS:
            raise fault(param, f"must have at most {MAX_TEXT_CHARACTERS} characters")


def check_steps(steps: Sequence[Step]) -> None:
    """Refuse steps that cannot be done."""
    if len(steps) > MAX_STEPS:
        raise fault("steps", f"takes at most {MAX_STEPS}")
    for index, step in enumerate(steps):
        _STEPS[type(step)](step, f"steps[{index}]")


def fault(param: str, message: str) -> RequestError:
    """Return what to tell whose document is wrong."""
    return RequestError(f"'{param}' {message}", param=param, code="invalid_value")


def _check_placeholder(message: PromptMessage, place: str) -> None:
    for name in ("role", "content", "when"):
        if getattr(message, name):
            raise fault(f"{place}.{name}", "is not for the place of the conversation")


def _check_content(message: PromptMessage, place: str) -> None:
    if isinstance(message.content, str):
        if not message.content.strip():
            raise fault(place, "is empty")
        return
    if not 1 <= len(message.content) <= MAX_PARTS:
        raise fault(place, f"takes a text, or 1 to {MAX_PARTS} parts")
    for index, part in enumerate(message.content):
        kind = part.get("type")
        if not isinstance(kind, str) or kind not in PARTS:
            raise fault(f"{place}[{index}].type", f"must be one of {', '.join(PARTS)}")
        if kind != "text" and message.role != "user":
            raise fault(f"{place}[{index}].type", "must be text: only a user's message holds images, sounds and files")
        name, wanted = PARTS[kind]
        if not isinstance(part.get(name), wanted):
            raise fault(f"{place}[{index}].{name}", "must be a text" if wanted is str else "must be an object")


def _check_conditions(when: Mapping[str, str | tuple[str, ...]], place: str, known: Collection[str]) -> None:
    if len(when) > MAX_CONDITIONS:
        raise fault(place, f"takes at most {MAX_CONDITIONS} conditions")
    for name, globs in when.items():
        if not _CONDITION.fullmatch(name):
            raise fault(place, f"has the name {name[:64]!r}, which no context variable has")
        if known and name not in known:
            raise fault(f"{place}.{name}", f"is no context variable; there are {', '.join(sorted(known))}")
        each = (globs,) if isinstance(globs, str) else globs
        if not 1 <= len(each) <= MAX_GLOBS or any(not 1 <= len(glob) <= MAX_GLOB_CHARACTERS for glob in each):
            raise fault(f"{place}.{name}", f"takes 1 to {MAX_GLOBS} globs of 1 to {MAX_GLOB_CHARACTERS} characters")


def _check_extract(step: Extract, place: str) -> None:
    _check_field(step.field, f"{place}.field")
    if bool(step.pattern) == bool(step.path):
        raise fault(f"{place}.pattern", "or 'path' is needed, and only one of the two")
    check_texts(**{f"{place}.pattern": step.pattern, f"{place}.path": step.path})
    try:
        compiled(step.pattern)
    except ValueError as exc:
        raise fault(f"{place}.pattern", f"is no pattern that RE2 takes: {exc}") from exc
    if step.path and any(not each for each in step.path.split(".")):
        raise fault(f"{place}.path", "must be members and indices with dots between them, such as order.lines.0")


def _check_rename(step: Rename, place: str) -> None:
    if not 1 <= len(step.members) <= MAX_MEMBERS:
        raise fault(f"{place}.members", f"takes 1 to {MAX_MEMBERS} names")
    for old, new in step.members.items():
        if not old or not new or len(old) > MAX_MODEL_CHARACTERS or len(new) > MAX_MODEL_CHARACTERS:
            raise fault(f"{place}.members", f"takes names of 1 to {MAX_MODEL_CHARACTERS} characters")
    if len(set(step.members.values())) < len(step.members):
        raise fault(f"{place}.members", "gives two members the same name")


def _check_format(step: Format, place: str) -> None:
    check_texts(**{f"{place}.template": step.template})
    if step.form == "template" and "{text}" not in step.template:
        raise fault(f"{place}.template", "must hold {text}, where the answer's text goes")
    if step.form != "template" and step.template:
        raise fault(f"{place}.template", 'is for "as": "template" only')


def _check_classify(step: Classify, place: str) -> None:
    check_model(step.model, f"{place}.model")
    _check_field(step.field, f"{place}.field")
    check_texts(**{f"{place}.question": step.question})
    short = all(1 <= len(each.strip()) <= MAX_MODEL_CHARACTERS for each in step.labels)
    distinct = len({each.strip().casefold() for each in step.labels}) == len(step.labels)
    if not 2 <= len(step.labels) <= MAX_LABELS or not short or not distinct:
        raise fault(f"{place}.labels", f"takes 2 to {MAX_LABELS} labels that differ, of 1 to {MAX_MODEL_CHARACTERS} characters")
    if not step.question.strip():
        raise fault(f"{place}.question", "is empty; leave it out for the usual one")


def _check_field(name: str, param: str) -> None:
    if not _FIELD.fullmatch(name):
        raise fault(param, "must be a name of 1 to 64 letters, digits, _ and -, a letter or _ first")


def _json_bytes(value: Any) -> int:
    return len(msgspec.json.encode(value))


_STEPS: Mapping[type[Step], Callable[[Any, str], None]] = {
    Extract: _check_extract,
    Rename: _check_rename,
    Format: _check_format,
    Classify: _check_classify,
}
