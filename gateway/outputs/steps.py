"""A prompt's steps, done to the texts of its whole answer, one after the other: each sees what those before it left.

- What steps find stands at the top of the answer: `"gateway_output": {field: value}`. For a pattern it is a list of all that matched
  (its first group, where it has one); for a path and for a label it is one value, or a list where the answer has several texts (`n`).
- Every step that did something is noted as `step:<type>`. One that could not (no JSON, no such path, a model that failed or gave no
  label) leaves the text as it is, its field is null, and it is noted as `step:<type>_failed`: an answer that was paid for is
  not thrown away for it. An answer that must be JSON is the business of the prompt's `output_schema`.
- Everything else of the answer keeps its value: ids, usage, tool calls, refusals. Where no step does anything the body keeps its bytes.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from gateway.domain.call import Operation
from gateway.domain.patterns import compiled
from gateway.domain.steps import OUTPUT, Classify, Extract, Format, Rename, Step
from gateway.domain.transforms import TRANSFORMED, texts_of
from gateway.errors import GatewayError
from gateway.outputs.classify import instructions_of, label_of, question_of

log = logging.getLogger(__name__)

type Ask = Callable[[str, str, str], Awaitable[str]]
"""Asks a model: (its public name, what it is told to do, the user's message) → its answer's text. Raises GatewayError."""

_INDENT = 2
_NO_JSON = (msgspec.DecodeError, RecursionError)  # the latter: nested beyond what anybody means
_COMPACT = -1


async def apply(steps: Sequence[Step], operation: Operation, body: bytes, ask: Ask) -> tuple[bytes, list[str]]:
    """Return the answer after its steps, and what to note of them in its record.

    Args:
        steps: In their order.
        operation: Says where the texts are; the answers of others than chat, responses, messages and completions are left alone.
        body: The whole answer, as the client would get it.
        ask: Asks the model of a `classify` step; what it costs is its own business.
    """
    if not steps or operation not in TRANSFORMED:
        return body, []
    document: Any = msgspec.json.decode(body)
    places = [(holder, name) for holder, name in texts_of(operation, document) if isinstance(holder.get(name), str)]
    if not places:
        return body, []
    texts: list[str] = [holder[name] for holder, name in places]
    before, fields, notes = list(texts), dict[str, Any](), list[str]()
    for step in steps:
        kind = f"step:{type(step).__struct_config__.tag}"
        found, done = await _one(step, texts, ask)
        fields |= found
        notes += [kind] * (True in done) + [f"{kind}_failed"] * (False in done)
    if fields:
        document[OUTPUT] = fields
    for (holder, name), text in zip(places, texts, strict=True):
        holder[name] = text
    return (msgspec.json.encode(document) if fields or texts != before else body), list(dict.fromkeys(notes))


async def _one(step: Step, texts: list[str], ask: Ask) -> tuple[dict[str, Any], list[bool | None]]:
    """Do a step to all texts, in place; return the fields that it adds, and for each text whether it was done, None for nothing to do."""
    if isinstance(step, Classify):
        labels = [await _label(step, text, ask) for text in texts]  # a call asks one other model at a time
        return {step.field: _alone(labels)}, [label is not None for label in labels]
    if isinstance(step, Extract) and step.pattern:
        matches = [match for text in texts for match in _matches(step.pattern, text)]
        return {step.field: matches}, [True if matches else None]
    if isinstance(step, Extract):
        found = [_at(step.path, text) for text in texts]
        return {step.field: _alone([value for value, _ in found])}, [there for _, there in found]
    changed = [_renamed(step, text) if isinstance(step, Rename) else _formatted(step, text) for text in texts]
    done = [None if new == old else new is not None for new, old in zip(changed, texts, strict=True)]
    texts[:] = [old if new is None else new for new, old in zip(changed, texts, strict=True)]
    return {}, done


def _alone(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


async def _label(step: Classify, text: str, ask: Ask) -> str | None:
    try:
        answer = await ask(step.model, instructions_of(step), question_of(text))
    except GatewayError as exc:
        log.warning("the model %s could not be asked for a label: %s", step.model, exc.code)
        return None
    return label_of(step, answer)


def _matches(pattern: str, text: str) -> list[str | None]:
    found = compiled(pattern)
    return [match.group(1 if found.groups else 0) for match in found.finditer(text)]


def _at(path: str, text: str) -> tuple[Any, bool]:
    """Return what a JSON text holds at a path, and whether it is there."""
    try:
        value: Any = msgspec.json.decode(text)
    except _NO_JSON:
        return None, False
    for name in path.split("."):
        if isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return None, False
    return value, True


def _renamed(step: Rename, text: str) -> str | None:
    """Return the object with its members under their new names, in their order; None for no object, or for two of one name."""
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except _NO_JSON:
        return None
    if step.members.keys().isdisjoint(members):
        return text
    renamed = {step.members.get(name, name): value for name, value in members.items()}
    return msgspec.json.encode(renamed).decode() if len(renamed) == len(members) else None


def _formatted(step: Format, text: str) -> str | None:
    """Return the text in its new form; None where it must be JSON and is none."""
    if step.form == "trim":
        return text.strip()
    if step.form == "line":
        return " ".join(text.split())
    if step.form == "template":
        return step.template.replace("{text}", text)
    try:
        msgspec.json.decode(text)
        return msgspec.json.format(text, indent=_COMPACT if step.form == "json" else _INDENT)  # numbers keep their digits
    except _NO_JSON:
        return None
