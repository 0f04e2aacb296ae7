"""One request's life, as values: Inbound → Call → Plan → Attempt… → Completion or StreamEvents → Outcome.

Every step of `pipeline.py` takes the last step's value and makes a new one. All are frozen, none holds a socket.
"""

import enum
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import msgspec

from gateway.domain.deployment import Backend, Deployment
from gateway.errors import GatewayError


class Operation(enum.StrEnum):
    """What is being asked for; the usage record's `operation`."""

    # An Enum's own hash is a Python function, and these are the keys of tables that every call looks into.
    __hash__ = str.__hash__

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    RESPONSE_ITEM = "responses.item"  # GET, DELETE or cancel a stored response
    MESSAGES = "messages"  # Anthropic's
    COMPLETIONS = "completions"
    IMAGES = "images.generations"
    TRANSCRIPTION = "audio.transcriptions"
    SPEECH = "audio.speech"
    MODERATIONS = "moderations"
    FORWARD = "forward"  # /ai/{backend}/…: Azure AI services, Azure ML, any REST API
    LIST_MODELS = "models.list"
    GET_MODEL = "models.get"
    LIST_PROMPTS = "prompts.list"
    GET_PROMPT = "prompts.get"
    PROMPT_API = "prompts.openapi"
    FEEDBACK = "feedback"
    ERASE_SESSION = "sessions.erase"
    MANAGE = "manage"
    UNKNOWN = "unknown"


class Surface(enum.StrEnum):
    """Whose URL shape the client used."""

    __hash__ = str.__hash__

    OPENAI = "openai"  # /v1/…
    AZURE = "azure"  # /openai/deployments/{deployment}/…?api-version=
    AZURE_V1 = "azure-v1"  # /openai/v1/…
    ANTHROPIC = "anthropic"  # /v1/messages, /anthropic/v1/messages
    AI = "ai"  # /ai/{backend}/…


class Inbound(msgspec.Struct, frozen=True, gc=False):
    """An HTTP request as the route read it.

    Attributes:
        operation: What the route stands for.
        surface: Whose URL shape it came by.
        request_id: Ours; answered as x-request-id and written to the record.
        headers: Names in lower case.
        query: The last value of each parameter.
        path_model: What the path names: a deployment, a model, a backend, a stored response, a prompt, a session; else empty.
        body: As sent, decompressed.
        received_s: On the Clock.
        path_rest: What follows the backend in `/ai/{backend}/…`, as sent: still escaped, without its leading slash.
        query_string: As sent.
        client_ip: The caller's address, as far as trusted hops vouch for it; empty where nobody does.
        path_prompt: The prompt that the path invokes; empty elsewhere.
    """

    operation: Operation
    surface: Surface
    request_id: str
    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    path_model: str
    body: bytes
    received_s: float
    path_rest: str = ""
    query_string: str = ""
    client_ip: str = ""
    path_prompt: str = ""

    def __repr__(self) -> str:
        return f"Inbound({self.request_id!r}, {self.method!r}, {self.path!r}, …)"  # its headers hold a credential


class Call(msgspec.Struct, frozen=True, gc=False):
    """A model call: the fields we act on, and the client's own bytes for all the rest.

    Attributes:
        model: The public name asked for.
        body: The client's bytes; providers splice into them and never re-serialise what they do not change.
        document: `body` parsed strictly. Read it, never write it.
        stream: The client wants server-sent events.
        include_usage: The client asked for the usage chunk itself.
        max_output_tokens: The client's ceiling for one choice, if it gave one.
        choices: `n`.
        api_version: The client's `api-version`, if it gave one.
        trace: The traceparent to send upstream.
        content_type: Of `body`; multipart bodies keep their boundary in it.
        method: To use upstream; anything but POST only for pass-through and stored responses.
        path: For pass-through: the rest of the path, escaped, without its leading slash; for a stored response its id, and what follows it.
        query: For pass-through: the query string to send, escaped, without our own parameters.
        headers: Client headers that go upstream besides our own; an allow-list fills it, names in lower case.
        pinned: The only deployment that may serve it, because it holds the state that the call refers to; empty for any.
        origin: The model whose call made that state, where it is not the one asked for: its rights are needed too.
        received_at: Unix seconds; what an answer says of its making where the backend gives no time.
        safe: It may be sent again although an earlier try may have done its work.
        served: The deployment whose answer is being read: the pipeline sets it before `decode` and `decoder`, so that links to the
            backend can be turned into links to us.
    """

    operation: Operation
    surface: Surface
    model: str
    body: bytes
    document: Mapping[str, Any]
    stream: bool = False
    include_usage: bool = False
    max_output_tokens: int | None = None
    choices: int = 1
    api_version: str | None = None
    trace: str = ""
    content_type: str = "application/json"
    method: str = "POST"
    path: str = ""
    query: str = ""
    headers: Mapping[str, str] = {}
    pinned: str = ""
    origin: str = ""
    received_at: int = 0
    safe: bool = True
    served: Deployment | None = None


class UpstreamRequest(msgspec.Struct, frozen=True, gc=False):
    """What a provider wants sent. Credentials are not in it: the Upstream adds them from `backend.auth`.

    Attributes:
        passes: Statuses outside 2xx that are the service's answer to the client, to be decoded like a success.
    """

    backend: Backend
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    passes: frozenset[int] = frozenset()


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one call, and what else is paid for.

    `prompt_tokens` includes cached, written and heard ones, `completion_tokens` includes reasoning and spoken ones. `units`
    counts what has no tokens, in `unit`: images, characters, seconds, pages, transactions, requests. `audio_…` tokens are sound;
    `cache_write_tokens` went into the provider's cache at a price of their own, `cache_write_1h_tokens` of them for an hour.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    units: int = 0
    unit: str = ""
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, other: "Usage") -> "Usage":
        """Return both together; units are added where they are the same."""
        same_unit = other.unit == self.unit or not self.units
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated or other.estimated,
            self.units + other.units if same_unit else self.units,
            self.unit or other.unit,
            self.audio_input_tokens + other.audio_input_tokens,
            self.audio_output_tokens + other.audio_output_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A complete answer: the bytes for the client, and what we read from them.

    Attributes:
        text: The output's text, where the upstream gave no usage and somebody must count it.
        content_type: Of `body`.
        headers: More response headers for the client, names in lower case.
    """

    body: bytes
    usage: Usage | None = None
    text: str = ""
    finish_reason: str | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class StreamEvent(msgspec.Struct, frozen=True, gc=False):
    """One upstream event.

    Attributes:
        data: Bytes for the client, framing included; empty where the client must not see the event.
        text: The content it adds, for counting.
        content: It carries the model's output (text, tool arguments, reasoning): the first one stamps TTFT.
        usage: The provider's own numbers, in the event that has them.
        finish_reason: Where this event ends a choice.
        done: The stream ended as the protocol says it should.
        error: The stream broke; nothing follows.
    """

    data: bytes
    text: str = ""
    content: bool = False
    usage: Usage | None = None
    finish_reason: str | None = None
    done: bool = False
    error: GatewayError | None = None


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A deployment that may serve the call, and why it stands where it stands.

    Attributes:
        last_resort: It is known to fail, and is asked only because nothing better is left.
    """

    deployment: Deployment
    reason: str
    last_resort: bool = False


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A deployment of the pool that may not serve the call now, and why.

    Attributes:
        code: Low cardinality: `data_zone`, `capability`, `context_window`, `operation`, `draining`, `weight`, `cap`,
            `cooldown`, `resting`, `open`, `quality`.
        retry_after_s: When it may again, where that is known.
    """

    deployment: Deployment
    code: str
    reason: str
    retry_after_s: float | None = None


class Plan(msgspec.Struct, frozen=True, gc=False):
    """The candidates in the order in which they are tried, how many attempts there may be in all, and who was left out."""

    candidates: tuple[Candidate, ...]
    max_attempts: int
    rejections: tuple[Rejection, ...] = ()


# The message of the cancellation that a client's disconnect causes; any other cancellation is the host's, which is stopping.
CLIENT_GONE = "the client went away"


class ByteStream(Protocol):
    """A streamed answer. Iterating raises GatewayError where the stream breaks; `aclose` must always be called."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over whole server-sent events, each piece as soon as it is there."""

    async def aclose(self, error: GatewayError | None = None) -> None:
        """End it: closes the upstream and settles the call, if iterating to the end has not done so already.

        Args:
            error: Why it ends before its end; by default because the client went away.
        """


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back to the client: a body, or a stream in its place."""

    headers: Mapping[str, str]
    body: bytes = b""
    stream: ByteStream | None = None
    status: int = 200
    content_type: str = "application/json"
