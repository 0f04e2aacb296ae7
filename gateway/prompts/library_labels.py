"""What becomes of a prompt's head when a label is put, put back or taken away, or the prompt is retired; and what is told of it. Pure."""

import datetime
from collections.abc import Sequence

import msgspec

from gateway.domain.prompts import Move, Prompt
from gateway.errors import Conflict, NotFound

MAX_LABELS = 32  # of a prompt
MAX_MOVES = 10  # that a label remembers


def put(prompt: Prompt, label: str, move: Move) -> Prompt:
    """Return the prompt with a label where the move puts it; as it was where the label is there already."""
    if not 1 <= move.version <= prompt.latest:
        raise version_not_found(prompt.name, move.version, prompt.latest, param="version")
    if prompt.labels.get(label) == move.version:
        return prompt
    if label not in prompt.labels and len(prompt.labels) >= MAX_LABELS:
        raise Conflict(f"the prompt {prompt.name!r} has {MAX_LABELS} labels; delete one of them first", code="too_many_labels")
    return _with(prompt, label, (*prompt.moves.get(label, ()), move)[-MAX_MOVES:])


def put_back(prompt: Prompt, label: str, at: datetime.datetime, by: str) -> Prompt:
    """Return the prompt with a label where it was before its last move."""
    moves = _moves(prompt, label)
    if len(moves) < 2:
        advice = f"PUT /manage/prompts/{prompt.name}/labels/{label} with the version that it shall have"
        raise Conflict(f"the label {label!r} remembers no place before this one; {advice}", code="nothing_to_roll_back")
    return _with(prompt, label, (*moves[:-2], Move(moves[-2].version, at, by)))


def without(prompt: Prompt, label: str) -> Prompt:
    """Return the prompt without a label, and without what the label remembers."""
    _moves(prompt, label)
    labels = {each: version for each, version in prompt.labels.items() if each != label}
    moves = {each: made for each, made in prompt.moves.items() if each != label}
    return msgspec.structs.replace(prompt, labels=labels, moves=moves)


def retire(prompt: Prompt, at: datetime.datetime) -> Prompt:
    """Return the prompt as one that no call finds."""
    if prompt.labels:
        names = ", ".join(sorted(prompt.labels))
        raise Conflict(f"the prompt {prompt.name!r} has labels ({names}), and calls may ask for them; delete them first", code="in_use")
    return msgspec.structs.replace(prompt, retired=at)


def busy(name: str) -> Conflict:
    """Return what to tell whose change met another one."""
    return Conflict(f"the prompt {name!r} is being changed by somebody else; look at it, and send the change again")


def prompt_not_found(name: str, *, advice: str = "GET /manage/prompts lists them", param: str | None = None) -> NotFound:
    """Return what to tell who asks for a prompt that is not there, or is not theirs."""
    return NotFound(f"there is no prompt {name[:64]!r}; {advice}", param=param, code="prompt_not_found")


def version_not_found(name: str, number: int, latest: int, *, param: str | None = None) -> NotFound:
    """Return what to tell who asks for a number that no version has."""
    return NotFound(f"the prompt {name!r} has no version {number}; it has 1 to {latest}", param=param, code="prompt_version_not_found")


def label_not_found(prompt: Prompt, label: str, *, param: str | None = None) -> NotFound:
    """Return what to tell who asks for a label that a prompt has not got."""
    there = f"it has {', '.join(sorted(prompt.labels))}" if prompt.labels else "it has none yet"
    advice = f"put one on a version at PUT /manage/prompts/{prompt.name}/labels/{{label}}"
    message = f"the prompt {prompt.name!r} has no label {label[:64]!r}; {there}; ask for one of 1 to {prompt.latest}, or {advice}"
    return NotFound(message, param=param, code="prompt_version_not_found")


def _moves(prompt: Prompt, label: str) -> Sequence[Move]:
    if label not in prompt.labels:
        raise label_not_found(prompt, label)
    return prompt.moves.get(label, ())


def _with(prompt: Prompt, label: str, moves: tuple[Move, ...]) -> Prompt:
    labels = {**prompt.labels, label: moves[-1].version}
    return msgspec.structs.replace(prompt, labels=labels, moves={**prompt.moves, label: moves})
