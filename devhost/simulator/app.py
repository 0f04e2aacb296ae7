"""The ASGI application: who is asked, may they ask, and what do they get.

Azure OpenAI, OpenAI and Content Safety are at the root; every other service is below a prefix of its own. Order of the checks,
as at Azure: path and api-version, key, JSON, fault model, request, content filter, limits. Only this module renders a refusal.
An exception that is none is a bug of the simulator and says so.
"""

import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from devhost.simulator import inspection
from devhost.simulator.abroad import Service
from devhost.simulator.anthropic import Anthropic
from devhost.simulator.azure_ai import AzureAI
from devhost.simulator.azure_ml import AzureML
from devhost.simulator.bedrock import Bedrock
from devhost.simulator.cohere import Cohere
from devhost.simulator.config import SimulatorConfig
from devhost.simulator.content_safety import ContentSafety
from devhost.simulator.engine import Engine
from devhost.simulator.entra import Entra
from devhost.simulator.exchange import Exchange, Receive, Scope, Send
from devhost.simulator.gemini import Gemini
from devhost.simulator.model_routes import ModelRoutes
from devhost.simulator.refusals import Refusal, not_found
from devhost.simulator.rest import Rest

type AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_app(config: SimulatorConfig | None = None) -> AsgiApp:
    """Return the simulated service as an ASGI application, with counters and memory of its own."""
    return _App(config or SimulatorConfig())


class _App:
    """Dispatches by path; remembers the last requests."""

    def __init__(self, config: SimulatorConfig) -> None:
        engine = Engine(config)
        self._models = ModelRoutes(engine)
        self._safety = ContentSafety(engine)
        self._services: dict[str, Service] = {
            "anthropic": Anthropic(engine),
            "azure-ai": AzureAI(engine),
            "azure-ml": AzureML(engine),
            "bedrock": Bedrock(engine),
            "cohere": Cohere(engine),
            "gemini": Gemini(engine),
            "rest": Rest(engine),
        }
        self._requests = inspection.RequestLog(config.keep_requests)
        self._identity = inspection.Identity(config.identity_header)
        self._entra = Entra()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        if scope["type"] != "http":
            return None
        exchange = Exchange(scope, receive, send)
        await exchange.read()
        try:
            await self._route(exchange)
        except Refusal as refusal:
            await _refuse(exchange, refusal)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and the console the reason
            traceback.print_exc(file=sys.stderr)
            if not exchange.status:
                error = {"code": "SimulatorBug", "message": "The simulator itself failed; its console says why."}
                await _refuse(exchange, Refusal(500, {"error": error}))
        finally:
            exchange.close()
        return None

    async def _route(self, exchange: Exchange) -> None:
        path = exchange.path
        if path.startswith("/_sim/"):
            await self._requests.serve(exchange)
            return
        self._requests.add(exchange)
        if path.startswith(("/openai/", "/v1/")):
            await self._models.serve(exchange)
        elif path.startswith("/contentsafety/"):
            await self._safety.serve(exchange)
        elif path == "/msi/token" and exchange.method == "GET":
            await self._identity.serve(exchange)
        elif path.startswith("/entra/"):
            exchange.route = path.removeprefix("/entra")
            await self._entra.serve(exchange)
        else:
            await self._serve_below_a_prefix(exchange)

    async def _serve_below_a_prefix(self, exchange: Exchange) -> None:
        prefix, _, rest = exchange.path[1:].partition("/")
        service = self._services.get(prefix)
        if service is None:
            raise not_found()
        exchange.route = f"/{rest}"
        try:
            await service.serve(exchange)
        except Refusal as refusal:
            raise service.told(refusal) from None


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    payload: Any = refusal.payload
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    headers = [*inspection.next_ids(), *refusal.headers]
    if echoed := exchange.header(b"x-ms-client-request-id"):
        headers.append((b"x-ms-client-request-id", echoed.encode("latin-1")))
    await exchange.answer(refusal.status, body, headers, refusal.content_type)


async def _live(receive: Receive, send: Send) -> None:
    """Answer the server's lifespan messages; there is nothing to start or stop."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
