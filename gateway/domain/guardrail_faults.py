"""What is wrong with a guardrail that its type cannot say. Pure; for the catalogue, for a tenant's own rules and for a trial.

Rules: a guardrail looks where its type can find something, and does what its type can do. Ids, categories and labels are plain
names, because they stand in a header and in reports. What only a detector can tell (does a pattern compile, is a language
known) is the business of a `Check`, which whoever builds the detectors passes on.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from gateway.domain.guardrails import (
    Action,
    BackendFilter,
    ContentSafety,
    Direction,
    Groundedness,
    Guardrail,
    Injection,
    JsonSchema,
    Languages,
    Named,
    Pii,
    ProtectedMaterial,
    Regex,
    Remote,
    Secrets,
    Size,
    SystemText,
    Terms,
    Tools,
    Topics,
    action_of,
    directions_of,
)

# Where a guardrail is wrong, and what is wrong there.
type Fault = tuple[str, str]
type Check = Callable[[Guardrail], Fault | None]

NAME_RULE = "must be 1 to 64 letters, digits and . _ : -, a letter first"
MAX_TIMEOUT_S = 60
CHUNKS = (100, 10_000)
MAX_TERM_CHARACTERS = 256
MAX_PATTERN_CHARACTERS = 1024
MAX_REPLACEMENT_CHARACTERS = 256
MAX_TEXT_CHARACTERS = 32_768
MAX_WINDOW_CHARACTERS = 100_000
CATEGORIES = ("hate", "sexual", "violence", "self_harm")
_SIZES = ("characters", "message_characters", "messages", "tools", "output_characters")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._:-]{0,63}\Z")
_BLOCKLIST = re.compile(r"[0-9A-Za-z._~-]{1,64}\Z")  # as Content Safety names them
_LANGUAGE = re.compile(r"[a-z]{2}\Z")
_REDACTING = (Pii, Secrets, Terms, Regex)  # they say where in a text something is
_INPUT_ONLY = (Injection, SystemText)
_OUTPUT_ONLY = (ProtectedMaterial, Groundedness, JsonSchema, BackendFilter)
_WHOLE = (Size, Tools)  # they look at a request as a whole
_PARTS = {Direction.TOOL_RESULTS, Direction.DOCUMENTS}


def nothing_more(_guardrail: Guardrail) -> Fault | None:
    """Find nothing wrong: the check of who builds no detectors."""
    return None


def guardrail_fault(guardrail: Guardrail) -> Fault | None:
    """Return the first thing that is wrong with a guardrail; None where nothing is."""
    return _named_fault(guardrail) or _direction_fault(guardrail) or _action_fault(guardrail) or _fault_of(guardrail)


def _named_fault(guardrail: Named) -> Fault | None:
    if not _NAME.match(guardrail.id):
        return "id", NAME_RULE
    if guardrail.label and not _NAME.match(guardrail.label):
        return "label", NAME_RULE
    if len(guardrail.message) > MAX_PATTERN_CHARACTERS:
        return "message", f"must have at most {MAX_PATTERN_CHARACTERS} characters"
    if "" in guardrail.tenants:
        return f"tenants[{guardrail.tenants.index('')}]", "is empty, and fits no tenant"
    return _remote_fault(guardrail) if isinstance(guardrail, Remote) else None


def _remote_fault(guardrail: Remote) -> Fault | None:
    if fault := _timeout_fault(guardrail.timeout_s):
        return fault
    if not CHUNKS[0] <= guardrail.chunk <= CHUNKS[1]:
        return "chunk", f"must be from {CHUNKS[0]} to {CHUNKS[1]} characters"
    if guardrail.mode == "during" and not set(directions_of(guardrail)) - {Direction.OUTPUT}:
        return "mode", "during is for what goes to the model; this guardrail looks at answers only"
    if guardrail.mode == "during" and guardrail.label:
        return "mode", "during is too late for a label: the call is with its model before there is a verdict; leave one of them out"
    return None


def _timeout_fault(timeout_s: float) -> Fault | None:
    return None if 0 < timeout_s <= MAX_TIMEOUT_S else ("timeout_s", f"must be over 0 and at most {MAX_TIMEOUT_S} seconds")


def _direction_fault(guardrail: Guardrail) -> Fault | None:
    directions = set(directions_of(guardrail))
    if isinstance(guardrail, _INPUT_ONLY) and Direction.OUTPUT in directions:
        said = "must be of input, messages, tool_results or documents"
        return "direction", f"{said}: {_type_of(guardrail)} looks only at what goes to the model"
    if isinstance(guardrail, _OUTPUT_ONLY) and directions != {Direction.OUTPUT}:
        return "direction", f"must be output: {_type_of(guardrail)} looks at answers only"
    if isinstance(guardrail, _WHOLE) and directions & _PARTS and Direction.MESSAGES not in directions:
        return "direction", f"must be of input and output, or both: {_type_of(guardrail)} looks at a request as a whole"
    return None


def _action_fault(guardrail: Guardrail) -> Fault | None:
    if isinstance(guardrail, SystemText) and guardrail.action is not None:
        return "action", "must be left out: a system-text is put in, and finds nothing"
    if action_of(guardrail) is Action.REDACT and not isinstance(guardrail, _REDACTING):
        return "action", f"must be block or report: {_type_of(guardrail)} does not say where in a text something is, so it cannot redact"
    return None


def _type_of(guardrail: Named) -> str:
    return str(type(guardrail).__struct_config__.tag)


@functools.singledispatch
def _fault_of(_guardrail: Any) -> Fault | None:
    """Return what is wrong with a type's own members."""
    return None


@_fault_of.register
def _(guardrail: Pii) -> Fault | None:
    if not 0 <= guardrail.min_confidence <= 1:
        return "min_confidence", "must be from 0 to 1"
    return _timeout_fault(guardrail.timeout_s) or _empty_fault(guardrail.entities, "entities")


@_fault_of.register
def _(guardrail: Secrets) -> Fault | None:
    return _empty_fault(guardrail.entities, "entities")


@_fault_of.register
def _(guardrail: Injection) -> Fault | None:
    return None if 0 < guardrail.threshold <= 1 else ("threshold", "must be over 0 and at most 1")


@_fault_of.register
def _(guardrail: Groundedness) -> Fault | None:
    return None if 0 <= guardrail.threshold < 1 else ("threshold", "must be from 0 to below 1")


@_fault_of.register
def _(guardrail: ContentSafety) -> Fault | None:
    most = 7 if guardrail.levels == 8 else 6
    for name in CATEGORIES:
        if not 0 <= getattr(guardrail, name) <= most:
            return name, f"must be from 0 (left out) to {most}, the highest severity of {guardrail.levels} levels"
    if not guardrail.blocklists and not any(getattr(guardrail, name) for name in CATEGORIES):
        return "hate", "all categories are left out and there is no blocklist, so that nothing could be found"
    for index, name in enumerate(guardrail.blocklists):
        if not _BLOCKLIST.match(name):
            return f"blocklists[{index}]", "is no name of a blocklist: 1 to 64 letters, digits and . _ ~ -"
    return None


@_fault_of.register
def _(guardrail: Terms) -> Fault | None:
    named = _category_fault(guardrail.category, "category") or _replacement_fault(guardrail.replacement)
    return named or _words_fault(guardrail.terms, "terms")


@_fault_of.register
def _(guardrail: Regex) -> Fault | None:
    if not guardrail.patterns:
        return "patterns", "needs at least one"
    for category, pattern in guardrail.patterns.items():
        if fault := _category_fault(category, "patterns"):
            return fault
        if not 1 <= len(pattern) <= MAX_PATTERN_CHARACTERS:
            return f"patterns.{category}", f"must have 1 to {MAX_PATTERN_CHARACTERS} characters"
    if not 0 <= guardrail.window <= MAX_WINDOW_CHARACTERS:
        return "window", f"must be from 0 to {MAX_WINDOW_CHARACTERS} characters"
    return _replacement_fault(guardrail.replacement)


@_fault_of.register
def _(guardrail: Topics) -> Fault | None:
    if not guardrail.topics:
        return "topics", "needs at least one"
    for topic, words in guardrail.topics.items():
        if fault := _category_fault(topic, "topics") or _words_fault(words, f"topics.{topic}"):
            return fault
        different = len({unicodedata.normalize("NFKC", word).casefold().strip() for word in words})
        if not 1 <= guardrail.at_least <= different:
            return "at_least", f"must be from 1 to the number of different words of each topic; {topic!r} has {different}"
    return None


@_fault_of.register
def _(guardrail: Languages) -> Fault | None:
    if not guardrail.allow and not guardrail.deny:
        return "allow", "needs languages, or `deny` does"
    for name in ("allow", "deny"):
        for index, language in enumerate(getattr(guardrail, name)):
            if not _LANGUAGE.match(language):
                return f"{name}[{index}]", f"is {language[:16]!r}, which is no ISO 639-1 code such as en or de"
    both = [language for language in guardrail.deny if language in guardrail.allow]
    return (f"deny[{guardrail.deny.index(both[0])}]", f"is {both[0]!r}, which `allow` has, too") if both else None


@_fault_of.register
def _(guardrail: Size) -> Fault | None:
    given = {name: value for name in _SIZES if (value := getattr(guardrail, name)) is not None}
    if not given:
        return "characters", f"no limit is given; there are {', '.join(_SIZES)}"
    directions = set(directions_of(guardrail))
    for name, value in given.items():
        if value < 1:
            return name, "must be at least 1"
        if (name == "output_characters") is not (Direction.OUTPUT in directions) and len(
            directions & {Direction.MESSAGES, Direction.OUTPUT}
        ) == 1:
            return name, f"is a limit of {'answers' if name == 'output_characters' else 'requests'}, at which `direction` does not look"
    return None


@_fault_of.register
def _(guardrail: Tools) -> Fault | None:
    if not guardrail.allow and not guardrail.deny:
        return "allow", "needs globs over tools' names, or `deny` does"
    return _empty_fault(guardrail.allow, "allow") or _empty_fault(guardrail.deny, "deny")


@_fault_of.register
def _(guardrail: JsonSchema) -> Fault | None:
    return None if guardrail.schema else ("schema", "is empty, so that every JSON would do")


@_fault_of.register
def _(guardrail: SystemText) -> Fault | None:
    if not any(each.isprintable() and not each.isspace() for each in guardrail.text):
        return "text", "is empty"
    return None if len(guardrail.text) <= MAX_TEXT_CHARACTERS else ("text", f"must have at most {MAX_TEXT_CHARACTERS} characters")


def _replacement_fault(replacement: str) -> Fault | None:
    if len(replacement) <= MAX_REPLACEMENT_CHARACTERS and replacement.isprintable():
        return None
    return "replacement", f"must have at most {MAX_REPLACEMENT_CHARACTERS} characters, all of them printable"


def _empty_fault(globs: Sequence[str], name: str) -> Fault | None:
    return (f"{name}[{globs.index('')}]", "is empty, and fits nothing") if "" in globs else None


def _category_fault(category: str, path: str) -> Fault | None:
    return None if _NAME.match(category) else (path, f"the name {category[:64]!r} {NAME_RULE}")


def _words_fault(words: Sequence[str], path: str) -> Fault | None:
    if not words:
        return path, "needs at least one"
    for index, word in enumerate(words):
        if not word.strip() or len(word) > MAX_TERM_CHARACTERS:
            return f"{path}[{index}]", f"must have 1 to {MAX_TERM_CHARACTERS} characters, and not only white space"
    return None
