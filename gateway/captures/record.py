"""What is kept of one call so that it can be rebuilt and replayed: all that decided what its backend was sent.

Rules: no credential is in it. Of the client's headers those of an allow-list are kept, of a backend neither URL nor key; a body in
which a virtual key of ours stands is not kept at all. All else is what people wrote, and is kept as they wrote it.
"""

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.access import Principal, masked_keys
from gateway.domain.call import Inbound, Operation, Surface
from gateway.domain.deployment import Auth, AuthType, Backend, Deployment, Protocol

# Headers that decide something of a call, none of them a credential.
HEADERS = (
    *("x-gateway-user", "x-gateway-session", "x-gateway-tags", "x-gateway-priority", "x-gateway-history"),
    *("content-type", "anthropic-version", "anthropic-beta"),
)
QUERY = ("api-version",)
# What is kept: not what was sent to be heard, nor what is passed through or asks for a stored answer.
OPERATIONS = frozenset({
    Operation.CHAT, Operation.RESPONSES, Operation.MESSAGES, Operation.COMPLETIONS, Operation.EMBEDDINGS, Operation.MODERATIONS,
    Operation.IMAGES, Operation.SPEECH,
})  # fmt: skip


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a prompt was rendered from, besides the version itself and the variables in the body.

    Attributes:
        tenant: Whose prompt it is; "" for a shared one.
        hash: The version's.
        context: Context variables, as they were.
        lookups: What was found, by lookup.
        looked_up: The text of it that guardrails read as a document.
    """

    tenant: str
    name: str
    version: int
    hash: str = ""
    context: Mapping[str, Any] = {}
    lookups: Mapping[str, Any] = {}
    looked_up: str = ""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that changed the request's body after it was read, in the order in which it was done.

    Attributes:
        by: Who did it: what repeats it (`rebuild.py`).
        facts: What it was done with.
        body: The body after it, where it cannot be computed again: what guardrails masked, ids that were opened.
    """

    by: str
    facts: Mapping[str, Any] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Change({self.by!r})"


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The deployment that answered, as far as the body that it was sent depends on it.

    Attributes:
        capabilities: Its own, or its model's: they decide what a backend does itself.
    """

    id: str
    name: str
    backend: str
    protocol: Protocol
    api_version: str = ""
    vendor: str = ""
    capabilities: tuple[str, ...] = ()

    def deployment(self) -> Deployment:
        """Return a deployment that can be encoded for, and not be reached."""
        backend = Backend(
            self.backend, self.protocol, "https://captured.invalid", Auth(AuthType.NONE), api_version=self.api_version, vendor=self.vendor
        )
        return Deployment(self.id, backend, self.name, capabilities=self.capabilities)


def asked_of(deployment: Deployment, capabilities: tuple[str, ...]) -> Asked:
    """Return what is kept of a deployment."""
    backend = deployment.backend
    return Asked(deployment.id, deployment.name, backend.id, backend.protocol, backend.api_version, backend.vendor, capabilities)


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the backend answered, before anything was done to it.

    Attributes:
        complete: All of it is here: it was read to its end, and was not too long to be kept.
        content_type: Of the body.
    """

    status: int
    body: bytes
    stream: bool = False
    complete: bool = True
    content_type: str = ""

    def __repr__(self) -> str:
        return f"Heard({self.status}, {len(self.body)} bytes)"


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the client was answered."""

    body: bytes
    stream: bool = False
    complete: bool = True

    def __repr__(self) -> str:
        return f"Told({len(self.body)} bytes)"


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How it ended: the members of the usage record that a replay is compared by. Money is micro-USD."""

    status: int = 200
    error_code: str = ""
    finish_reason: str = ""
    model: str = ""
    deployment: str = ""
    attempts: int = 0
    rule: str = ""
    tier: str = ""
    fallback: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int | None = 0
    guardrails: str = ""
    guard_s: float = 0.0
    upstream_ttft_s: float = 0.0
    total_s: float = 0.0


def outcome_of(record: Any) -> Outcome:
    """Return what a usage record says of how its call ended."""
    return Outcome(**{name: getattr(record, name) for name in Outcome.__struct_fields__})


class Captured(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One call.

    Attributes:
        at: When it was settled, in UTC.
        days: How long it is kept.
        principal: Who called, without limits, networks and guardrails.
        path_model: The deployment in an Azure path.
        path_prompt: The prompt that the path invoked.
        body: The client's, as sent.
        source: What its prompt was rendered from; None where it had none.
        history: Messages of the session that were put in.
        experiment: And `variant`, and the members of the request that the variant forced, `model` among them.
        changes: What was done to the body after it was read.
        asked: Who answered; None where nobody was asked.
        upstream_body: What it was sent.
        upstream_hash: The same, hashed.
    """

    request_id: str
    at: datetime.datetime
    days: int
    principal: Principal
    operation: Operation
    surface: Surface
    method: str
    path: str
    path_model: str = ""
    path_prompt: str = ""
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: bytes = b""
    source: Source | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    experiment: str = ""
    variant: str = ""
    forced: Mapping[str, Any] = {}
    changes: tuple[Change, ...] = ()
    asked: Asked | None = None
    upstream_body: bytes = b""
    upstream_hash: str = ""
    heard: Heard | None = None
    told: Told | None = None
    outcome: Outcome = Outcome()

    def __repr__(self) -> str:
        return f"Captured({self.request_id!r})"  # the rest is what people wrote

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.principal.tenant

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes, about."""
        answers = len(self.heard.body if self.heard else b"") + len(self.told.body if self.told else b"")
        made_of = len(msgspec.json.encode((self.source, self.history))) if self.source is not None or self.history else 0
        return 2048 + len(self.body) + len(self.upstream_body) + answers + made_of + sum(len(each.body) for each in self.changes)

    @property
    def user(self) -> str:
        """Whose call it was: whom a token proved, or whom the client named."""
        return self.principal.user or self.headers.get("x-gateway-user", "").strip()

    @property
    def session(self) -> str:
        """Which session the client named."""
        return self.headers.get("x-gateway-session", "").strip()


def inbound_of(captured: Captured, body: bytes, received_s: float = 0.0) -> Inbound:
    """Return the request as it came, with this body; its credential is not there any more.

    A variant's model stands in an Azure path too, as it did for the call.

    Args:
        captured: The call.
        body: The client's, or what it was expanded to.
        received_s: On the Clock.
    """
    return Inbound(
        operation=captured.operation,
        surface=captured.surface,
        request_id=captured.request_id,
        method=captured.method,
        path=captured.path,
        headers=captured.headers,
        query=captured.query,
        path_model=captured.forced.get("model", captured.path_model) if captured.path_model else "",
        body=body,
        received_s=received_s,
        path_prompt=captured.path_prompt,
    )


def kept_headers(inbound: Inbound) -> dict[str, str]:
    """Return the headers that are kept, without virtual keys that somebody put there."""
    return {name: masked_keys(inbound.headers[name]) for name in HEADERS if name in inbound.headers}


def holds_key(data: bytes) -> bool:
    """Tell whether a virtual key of ours may stand in it."""
    return b"gwk_" in data and masked_keys(text := data.decode("latin-1")) != text
