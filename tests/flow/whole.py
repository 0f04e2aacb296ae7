"""A whole gateway in this process: wired by the container, asked through the app's own routes, over fakes.

What is fake: the table store, the clock, and the network, behind which is the simulator of the backends. `asked` is any request
at any path, as a host hands it over; nobody is authenticated, metered or audited but by the product itself.
"""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable, MutableMapping
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import function_app
from devhost.routing import Route, Router
from devhost.simulator.app import create_app
from devhost.simulator.config import AWS_KEY_ID, AWS_SECRET, SimulatorConfig
from gateway import connections, container
from gateway.adapters.credentials import add_credential
from gateway.container import Gateway
from gateway.domain.call import UpstreamRequest
from gateway.errors import UpstreamError
from gateway.metering.tokens import TokenCounter
from gateway.routes.http import Request
from gateway.settings import Settings, load_settings
from tests.fakes.blobs import FakeBlobs
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.house.asks_prompts import MAKE_INVOKED

ROOT = Path(__file__).resolve().parents[2]
ADMIN_KEY, PEPPER, BACKEND_KEY = "the-administrators-own-key", "pepper-pepper-pepper", "upstream-secret"


def _functions() -> dict[str, tuple[Route, Any]]:
    """Return all HTTP functions by name: their route and handler."""
    found = {}
    for builder in (each for part in (*function_app.CALLS, *function_app.MANAGEMENT) for each in part.bp._function_builders):
        function = builder._function
        trigger = json.loads(function.get_raw_bindings()[0])
        name = function.get_function_name()
        found[name] = (Route(name, trigger["route"], frozenset(trigger["methods"])), function.get_user_function())
    return found


FUNCTIONS = _functions()


class Told:
    """An answer as it went over the wire."""

    def __init__(self, sent: list[MutableMapping[str, Any]]) -> None:
        self.status = int(sent[0]["status"])
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in sent[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def bytes(self) -> bytes:
        """All that the client got."""
        return repr(self.headers).encode() + self.body

    @property
    def code(self) -> str:
        found = self.json
        return str(found.get("code") or found.get("error", {}).get("code"))


class Still(FakeClock):
    """Moves by `advance` alone; a sleep is over at once and takes no time."""

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        await asyncio.sleep(0)


class Response:
    """See `ports.UpstreamResponse`."""

    def __init__(self, told: Told) -> None:
        self.status, self.headers = told.status, told.headers
        self._body = told.body

    async def read(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    def close(self) -> None:
        """Nothing to let go."""


class Simulated:
    """The network: everybody is the simulator. `meddle` may answer in its place, or raise."""

    def __init__(self, clock: FakeClock) -> None:
        self._app = create_app(SimulatorConfig(now_s=clock.now_s))
        self._clock = clock
        self.meddle: Callable[[UpstreamRequest, dict[str, str]], Told | None] = lambda request, headers: None
        self.asked = 0

    async def send(self, request: UpstreamRequest, timeout_s: float) -> Response:
        self.asked += 1
        headers = {**request.headers, "host": urlsplit(request.url).netloc}
        url = urlsplit(add_credential(request, headers, self._clock, "a-token"))
        if (told := self.meddle(request, headers)) is not None:
            return Response(told)
        sent = await over_asgi(self._app, request.method, url.path, url.query, headers, request.body)
        if not sent:
            raise UpstreamError("the backend could not be reached")
        return Response(Told(sent))

    async def close(self) -> None:
        """Nothing to let go."""


async def over_asgi(app: Any, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> list[MutableMapping[str, Any]]:
    sent: list[MutableMapping[str, Any]] = []
    got = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        return got.pop() if got else await asyncio.get_running_loop().create_future()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope_of(method, path, query, headers), receive, send)
    return sent


def scope_of(method: str, path: str, query: str, headers: dict[str, str]) -> dict[str, Any]:
    named = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
        "headers": named, "scheme": "http", "client": ("127.0.0.1", 50000),
    }  # fmt: skip


class Whole:
    """One worker, and what tests look at."""

    def __init__(self, gateway: Gateway, tables: FakeTables, clock: Still, network: Simulated) -> None:
        self.gateway, self.tables, self.clock, self.network = gateway, tables, clock, network
        self._router: Router[Any] = Router(FUNCTIONS.values())

    async def asked(self, method: str, target: str, key: str = ADMIN_KEY, document: Any = None, **headers: str) -> Told:
        """Send a request; `document` is the body's JSON, or its bytes; underscores in the names of `headers` are hyphens."""
        body = b"" if document is None else document if isinstance(document, bytes) else json.dumps(document).encode()
        all_headers = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            all_headers.setdefault("authorization", f"Bearer {key}")
        path, _, query = target.partition("?")
        found = self._router.match(method, unquote(path), path.encode())
        assert found is not None, target

        async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            scope["path_params"] = found[1]
            response = await found[0](Request(scope, receive))
            await response(scope, receive, send)

        return Told(await over_asgi(app, method, path, query, all_headers, body))

    async def quiet(self) -> None:
        """Wait until what goes on behind a request is done: records are written, exchanges made."""
        recorder = self.gateway.reports._recorder
        for _ in range(30):
            await asyncio.sleep(0)
        # The spool's files are written by a thread.
        while recorder._buffer or recorder._under_way or recorder._spooled:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def subscribe(self, tenant: str, product: str = "unlimited", **document: Any) -> tuple[str, str]:
        """Return the id and the primary key of a new subscription, whose tenant is made where it is not there; a prompt to invoke too."""
        await self.asked("POST", MAKE_INVOKED.path, document=MAKE_INVOKED.body)
        await self.asked("POST", "/manage/tenants", document={"id": tenant, "name": tenant})
        told = await self.asked("POST", "/manage/subscriptions", document={"tenant": tenant, "product": product, **document})
        assert told.status == 201, told.body
        return told.json["id"], told.json["keys"]["primary"]


@functools.cache
def counter() -> TokenCounter:
    """Return one for all, loaded: how exact counts are must not be a matter of time."""
    counter = TokenCounter()
    counter.start_loading()
    assert counter.wait(30)
    return counter


@contextlib.asynccontextmanager
async def whole(
    folder: Path, *, edit: Callable[[str], str] = str, tables: FakeTables | None = None, clock: Still | None = None, **over: str
) -> AsyncIterator[Whole]:
    """Run a gateway. `folder` is where its spool is; `edit` changes the sample catalogue, `over` adds to the settings."""
    clock, tables = clock or Still(), tables or FakeTables()
    network = Simulated(clock)
    file = folder / "catalog.yaml"
    file.write_text(edit((ROOT / "catalog.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    environment = {
        "GATEWAY_CATALOG": str(file), "GATEWAY_TABLES": f"sqlite:///{folder}/tables.db", "GATEWAY_BLOBS": f"file://{folder}/blobs",
        "GATEWAY_SPOOL": str(folder / "spool"), "GATEWAY_KEY_PEPPER": PEPPER, "GATEWAY_ADMIN_KEY": ADMIN_KEY,
        "SIMULATOR_URL": "http://127.0.0.1:1", "SIMULATOR_KEY": BACKEND_KEY, "SIMULATOR_AWS_KEY_ID": AWS_KEY_ID,
        "SIMULATOR_AWS_SECRET": AWS_SECRET,
    } | over  # fmt: skip

    async def stores(settings: Settings, identity: Any) -> tuple[Any, Any]:
        return tables, FakeBlobs()

    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(container, "clock", clock))
        patches.enter_context(mock.patch.object(container, "_worker", container._Worker()))
        patches.enter_context(mock.patch.object(container, "TokenCounter", counter))
        patches.enter_context(mock.patch.object(connections, "open_stores", stores))
        patches.enter_context(mock.patch.object(connections, "_upstream", return_value=network))
        gateway = await container.build(load_settings(environment))
        container._worker.gateway = gateway
        try:
            yield Whole(gateway, tables, clock, network)
        finally:
            await container.shutdown()
