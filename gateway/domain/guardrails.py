"""Named guardrails: what is looked for, in which direction, and what happens then. Frozen data.

The catalogue's `guardrails:` and a tenant's own rules are read into these as they are: `type` says which one. Products name
them. Four are built in, and may be named without being defined: `BUILT_IN`.

Directions: `input` is all that goes to the model; `messages`, `tool_results` and `documents` are its three kinds; `output` is the
answer; `both` is input and output.
"""

import enum
from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Direction(enum.StrEnum):
    """Which way a text goes, and what it is."""

    __hash__ = str.__hash__

    MESSAGES = "messages"  # of the request: what system, user and assistant said
    TOOL_RESULTS = "tool_results"
    DOCUMENTS = "documents"
    OUTPUT = "output"


INPUT = (Direction.MESSAGES, Direction.TOOL_RESULTS, Direction.DOCUMENTS)
BOTH = (*INPUT, Direction.OUTPUT)

type DirectionName = Literal["input", "output", "both", "messages", "tool_results", "documents"]
_NAMED: Mapping[str, tuple[Direction, ...]] = {"input": INPUT, "both": BOTH} | {each.value: (each,) for each in Direction}

TIMEOUT_S = 3.0  # that a service has, where a guardrail does not say


class Action(enum.StrEnum):
    """What is done about a finding."""

    BLOCK = "block"
    REDACT = "redact"
    REPORT = "report"


class Fail(enum.StrEnum):
    """What is done when a guardrail cannot run: `open` lets the call pass, `closed` refuses it."""

    OPEN = "open"
    CLOSED = "closed"


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What all guardrails have.

    Attributes:
        id: Its name.
        direction: One or several; empty means the type's own (`DIRECTIONS`).
        action: What happens; None means the type's own.
        fail: When it cannot run; None means `closed`, but `open` where it only reports.
        label: A finding gives the call this classification, which routing rules ask for (`classification`).
        tenants: Globs; it holds for these tenants only. Empty for all.
        message: What the caller of a blocked call is told in place of our own words.
    """

    id: str
    direction: DirectionName | tuple[DirectionName, ...] = ()
    action: Action | None = None
    fail: Fail | None = None
    label: str = ""
    tenants: tuple[str, ...] = ()
    message: str = ""


class Remote(Named, frozen=True, kw_only=True):
    """What those that ask a service have.

    Attributes:
        mode: `before` the model is asked, or `during`: beside it, and the answer is withheld until the verdict is there.
        timeout_s: How long it may take, in seconds.
        chunk: How many characters of a stream are collected before they are sent to the service.
    """

    mode: Literal["before", "during"] = "before"
    timeout_s: float = TIMEOUT_S
    chunk: int = 1000


class Pii(Named, frozen=True, tag="pii"):
    """Personal data.

    Attributes:
        entities: Globs over categories (`email`, `phone`, `national_id.*`); empty for all but secrets.
        reversible: The model sees `<EMAIL_1>`, and the client gets the original back; otherwise both see `[EMAIL]`.
        language_backend: An `azure-ai` backend whose Language service is asked for names and addresses as well.
        min_confidence: Of what that service finds, 0 to 1.
        timeout_s: How long it may take, in seconds.
    """

    entities: tuple[str, ...] = ()
    reversible: bool = True
    language_backend: str = ""
    min_confidence: float = 0.8
    timeout_s: float = TIMEOUT_S


class Secrets(Named, frozen=True, tag="secrets"):
    """Credentials: API keys, tokens, private keys, connection strings; `entities` are globs over their categories."""

    entities: tuple[str, ...] = ()


class Injection(Remote, frozen=True, tag="injection"):
    """Prompt injection and jailbreaks: the local detector, and Prompt Shields where Content Safety is configured.

    Attributes:
        threshold: Score from which on the local detector speaks, 0 to 1.
        shields: Whether Prompt Shields is asked: `auto` where it is configured, `always` (unavailable where it is not), `never`.
    """

    threshold: float = 0.5
    shields: Literal["auto", "always", "never"] = "auto"


class ContentSafety(Remote, frozen=True, tag="content-safety"):
    """Azure AI Content Safety's categories.

    Attributes:
        hate: Severity from which on it counts, 1 to 7; 0 leaves the category out. `sexual`, `violence`, `self_harm` likewise.
        blocklists: Names of blocklists at the service.
        halt_on_blocklist: A hit on a blocklist spares the analysis of categories.
        levels: Of severity: 4 (0, 2, 4, 6) or 8 (0 to 7).
    """

    hate: int = 4
    sexual: int = 4
    violence: int = 4
    self_harm: int = 4
    blocklists: tuple[str, ...] = ()
    halt_on_blocklist: bool = False
    levels: Literal[4, 8] = 4


class ProtectedMaterial(Remote, frozen=True, tag="protected-material"):
    """Known texts (lyrics, articles) in answers."""


class Groundedness(Remote, frozen=True, tag="groundedness"):
    """Whether an answer is founded in the documents and tool results of its request.

    Attributes:
        domain: `Generic` or `Medical`.
        task: `QnA` or `Summarization`.
        threshold: Share of the answer that may be ungrounded, 0 to 1.
    """

    domain: Literal["Generic", "Medical"] = "Generic"
    task: Literal["QnA", "Summarization"] = "QnA"
    threshold: float = 0.0


class Terms(Named, frozen=True, tag="terms"):
    """Words and phrases: an organisation's own, competitors, bias.

    Attributes:
        terms: Found as whole words, whatever their letter case.
        category: What a finding is called: `term`, `competitor`, `bias` …
        replacement: What takes the place of a redacted one.
    """

    terms: tuple[str, ...]
    category: str = "term"
    replacement: str = "[REDACTED]"


class Regex(Named, frozen=True, tag="regex"):
    """RE2 patterns, whose time is linear whoever wrote them.

    Attributes:
        patterns: Category → pattern.
        replacement: What takes the place of a redacted match.
        window: How many characters of a stream are held back for a pattern whose matches have no longest length; 0 holds back the
            whole answer.
    """

    patterns: Mapping[str, str]
    replacement: str = "[REDACTED]"
    window: int = 0


class Topics(Named, frozen=True, tag="topics"):
    """Subjects, each known by its words.

    Attributes:
        topics: Name → words and phrases that speak for it.
        at_least: How many different ones of a topic make a finding.
    """

    topics: Mapping[str, tuple[str, ...]]
    at_least: int = 2


class Languages(Named, frozen=True, tag="languages"):
    """Natural languages, as ISO 639-1 codes; what is too short to tell passes."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Size(Named, frozen=True, tag="size"):
    """How large a request may be, and an answer in characters; None for any size."""

    characters: int | None = None
    message_characters: int | None = None
    messages: int | None = None
    tools: int | None = None
    output_characters: int | None = None


class Tools(Named, frozen=True, tag="tools"):
    """Which tools a request may offer and an answer may call: globs over names; `deny` wins, an empty `allow` allows all others."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class JsonSchema(Named, frozen=True, tag="json-schema"):
    """What the answer's text must be: JSON that the schema accepts.

    Attributes:
        schema: A JSON Schema.
        repair: The model is asked once more, with what was wrong.
    """

    schema: Mapping[str, Any]
    repair: bool = True


class SystemText(Named, frozen=True, tag="system-text"):
    """Text that stands before everything else in the prompt, whatever the client sends."""

    text: str


class BackendFilter(Named, frozen=True, tag="backend-filter"):
    """The model's own content filter: an answer that it could not check is `unavailable`, and refused where this fails closed."""


type Guardrail = (
    Pii | Secrets | Injection | ContentSafety | ProtectedMaterial | Groundedness | Terms | Regex | Topics | Languages | Size | Tools
    | JsonSchema | SystemText | BackendFilter
)  # fmt: skip
# What a tenant may define for itself: local, and harmless to others.
type TenantRule = Terms | Regex | Topics | Languages

_INPUT_ONLY = (Injection, SystemText)
_OUTPUT_ONLY = (ProtectedMaterial, Groundedness, JsonSchema, BackendFilter)
_REDACTS = (Pii,)


def directions_of(guardrail: Named) -> tuple[Direction, ...]:
    """Return the directions in which a guardrail looks."""
    names = (guardrail.direction,) if isinstance(guardrail.direction, str) else guardrail.direction
    if names:
        found = {each for name in names for each in _NAMED[name]}
        return tuple(each for each in Direction if each in found)
    if isinstance(guardrail, _OUTPUT_ONLY):
        return (Direction.OUTPUT,)
    return INPUT if isinstance(guardrail, _INPUT_ONLY) else BOTH


def action_of(guardrail: Named) -> Action:
    """Return what a guardrail does about a finding."""
    return guardrail.action or (Action.REDACT if isinstance(guardrail, _REDACTS) else Action.BLOCK)


def fail_of(guardrail: Named) -> Fail:
    """Return what is done when a guardrail cannot run: one that would only report keeps nobody waiting."""
    return guardrail.fail or (Fail.OPEN if action_of(guardrail) is Action.REPORT else Fail.CLOSED)


def timeout_of(guardrail: Named) -> float:
    """Return how long a guardrail's service may take, in seconds."""
    return guardrail.timeout_s if isinstance(guardrail, Remote | Pii) else TIMEOUT_S


BUILT_IN: Mapping[str, Guardrail] = {
    each.id: each
    for each in (
        Pii(id="mask-pii"),
        Secrets(id="block-secrets"),
        Injection(id="shield-prompts"),
        ContentSafety(id="content-safety"),
    )
}
