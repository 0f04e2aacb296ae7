"""Chat, responses, embeddings, images, audio and moderations under their three paths: Azure deployments, Azure v1 and OpenAI.

The paths differ in who is named where (deployment in the path, model in the body), in the key's header, and in Azure's
extra headers and annotations. Everything else is one code path.
"""

import time
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qs

import orjson

from devhost.simulator import answers, embeddings, exact, media, responses, wire
from devhost.simulator.engine import Engine, estimate
from devhost.simulator.exchange import Exchange
from devhost.simulator.faults import MODELS, Shape
from devhost.simulator.inspection import next_ids
from devhost.simulator.refusals import (
    Header,
    Refusal,
    access_denied,
    api_error,
    not_found,
    rate_limited,
    too_many_requests,
    wrong_openai_key,
)
from devhost.simulator.validation import check_chat

_OPERATIONS = {
    "/chat/completions": "ChatCompletions_Create",
    "/responses": responses.CREATE,
    "/embeddings": "Embeddings_Create",
    "/images/generations": media.IMAGES,
    "/audio/transcriptions": media.TRANSCRIPTION,
    "/audio/speech": media.SPEECH,
    "/moderations": media.MODERATION,
}
_AZURE_HEADERS: list[Header] = [
    (b"x-ms-region", b"Simulated"),
    (b"azureml-model-session", b"simulator-0"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains; preload"),
]
_SAMPLES = ("gpt-4o", "gpt-4o-mini", "o4-mini", "text-embedding-3-small", "text-embedding-3-large", "gpt-image-2", "whisper-1", "tts-1")
_MODEL_DATE = "-2025-01-01"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the operation, Azure or OpenAI, the deployment if the path names one, the API version."""

    operation: str
    azure: bool
    deployment: str = ""
    version: str = "v1"

    def refuse_excess(self, wait_s: float, what: str) -> Refusal:
        """Make the 429 of this dialect."""
        return too_many_requests(wait_s, what, self.operation, self.version) if self.azure else rate_limited(wait_s, what)


def read_target(exchange: Exchange) -> Target:
    """Read the target from path and query, or raise the 404 of a path that does not exist."""
    path = exchange.route
    if exchange.method != "POST":
        raise not_found()
    if path.startswith("/openai/deployments/"):
        deployment, _, rest = path.removeprefix("/openai/deployments/").partition("/")
        version = parse_qs(exchange.query.decode("latin-1")).get("api-version", [""])[0]
        target = Target(_OPERATIONS.get("/" + rest, ""), azure=True, deployment=deployment, version=version)
        if not deployment or not version or not deployment.isprintable():
            raise not_found()
    elif path == "/openai/responses":
        target = Target(responses.CREATE, azure=True)
    elif path.startswith("/openai/v1/"):
        target = Target(_OPERATIONS.get(path.removeprefix("/openai/v1"), ""), azure=True)
    else:
        target = Target(_OPERATIONS.get(path.removeprefix("/v1"), ""), azure=False)
    if not target.operation:
        raise not_found()
    return target


def check_key(exchange: Exchange, *, azure: bool) -> None:
    """Raise the 401 of the dialect unless a key is shown that does not start with `bad`."""
    own = exchange.header(b"api-key") if azure else ""
    key = own or bearer_of(exchange)
    if not key or key.startswith("bad"):
        raise access_denied() if azure else wrong_openai_key(key)
    exchange.auth = "api-key" if own else "authorization"


def bearer_of(exchange: Exchange) -> str:
    """Return the bearer token of a request, or the empty string."""
    scheme, _, token = exchange.header(b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class ModelRoutes:
    """Serves every path under /openai and /v1; remembers the responses that it stored."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._responses = responses.Responses()
        self._numbers = count(1)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request; raises refusals."""
        started_s = exchange.now_s()
        if exchange.route in {"/v1/models", "/openai/v1/models"} and exchange.method == "GET":
            check_key(exchange, azure=exchange.route.startswith("/openai"))
            await exchange.answer(200, _list_models(), next_ids())
            return
        if (stored := responses.read_item(exchange.method, exchange.route)) is not None:
            check_key(exchange, azure=exchange.route.startswith("/openai"))
            document = self._responses.item(stored)
            if b"stream=true" in exchange.query and stored.method == "GET":
                await self._engine.send_stream(exchange, next_ids(), responses.events(document), Shape(), started_s)
            else:
                await exchange.answer(200, orjson.dumps(document), next_ids())
            return
        target = read_target(exchange)
        check_key(exchange, azure=target.azure)
        body = media.read_form(exchange.body) if target.operation == media.TRANSCRIPTION else _read_json(exchange.body)
        name = target.deployment or _read_model(body)
        shape = self._engine.meet(name)
        headers = self._headers(exchange, target, name)
        first_byte_s = self._engine.first_byte_s(started_s, shape)
        if target.operation == "Embeddings_Create":
            items = embeddings.inputs_of(body)
            headers += self._engine.limits.admit(name, embeddings.count(items), target.refuse_excess)
            await self._engine.send_whole(exchange, headers, embeddings.answer(body, items, name), shape, first_byte_s)
            return
        if target.operation in media.OPERATIONS:
            content, content_type = media.answer(target.operation, body)
            headers += self._engine.limits.admit(name, 1, target.refuse_excess)
            await self._engine.send_whole(exchange, headers, content, shape, first_byte_s, content_type)
            return
        if target.operation == responses.CREATE:
            await self._respond(exchange, headers, (body, name, target), shape, first_byte_s)
            return
        await self._chat(exchange, headers, (body, name, target), shape, first_byte_s)

    async def _chat(
        self, exchange: Exchange, headers: list[Header], asked: tuple[dict[str, Any], str, Target], shape: Shape, first_byte_s: float
    ) -> None:
        body, name, target = asked
        engine = self._engine
        check_chat(body, target.version)
        answer = answers.compose(body, name)
        self._count_exactly(body, name, answer)
        estimated = estimate(body, answer)
        headers += engine.charge(name, estimated, answer, target.refuse_excess)
        options = body.get("stream_options") or {}
        frame = wire.Frame(
            f"chatcmpl-sim{next(self._numbers):024x}", int(time.time()), name + _MODEL_DATE, target.azure,
            logprobs=bool(body.get("logprobs")), include_usage=bool(options.get("include_usage")),
        )  # fmt: skip
        try:
            if body.get("stream"):
                await engine.send_stream(exchange, headers, wire.events(frame, answer), shape, first_byte_s, wire.DONE)
            else:
                await engine.send_whole(exchange, headers, wire.whole(frame, answer), shape, first_byte_s)
        finally:
            engine.provisioned.settle(name, estimated, answer.prompt_tokens + answer.completion_tokens())

    async def _respond(
        self, exchange: Exchange, headers: list[Header], asked: tuple[dict[str, Any], str, Target], shape: Shape, first_byte_s: float
    ) -> None:
        body, name, target = asked
        engine = self._engine
        chat = self._responses.as_chat(body)
        answer = answers.compose(chat, name)
        self._count_exactly(body, name, answer)
        estimated = estimate(chat, answer)
        headers += engine.charge(name, estimated, answer, target.refuse_excess)
        try:
            document = self._responses.keep(body, name + _MODEL_DATE, answer, chat)
            if body.get("stream"):
                await engine.send_stream(exchange, headers, responses.events(document), shape, first_byte_s)
            else:
                await engine.send_whole(exchange, headers, orjson.dumps(document), shape, first_byte_s)
        finally:
            engine.provisioned.settle(name, estimated, answer.prompt_tokens + answer.completion_tokens())

    def _count_exactly(self, body: dict[str, Any], name: str, answer: answers.Answer) -> None:
        if self._engine.config.exact_tokens:
            try:
                answer.prompt_tokens = exact.count(body, name)
            except ValueError as exc:
                raise api_error(400, str(exc), code="invalid_image_format") from None

    def _headers(self, exchange: Exchange, target: Target, name: str) -> list[Header]:
        headers = [*next_ids(), (b"openai-processing-ms", b"%d" % round(self._engine.config.latency_ms))]
        if target.azure:
            headers += _AZURE_HEADERS
            headers.append((b"x-ms-deployment-name", name.encode("utf-8", "replace")))
        if echoed := exchange.header(b"x-ms-client-request-id"):
            headers.append((b"x-ms-client-request-id", echoed.encode("latin-1")))
        return headers


def _read_json(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        text = (
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. "
            "The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        )
        raise api_error(400, text) from None
    if not isinstance(body, dict):
        raise api_error(400, "Invalid type for the request body: expected an object.")
    return body


def _read_model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model or not model.isprintable():
        raise api_error(400, "you must provide a model parameter")
    return model


def _list_models() -> bytes:
    rows = [{"id": name, "object": "model", "created": 1735689600, "owned_by": "simulator"} for name in (*_SAMPLES, *MODELS)]
    return orjson.dumps({"object": "list", "data": rows})
