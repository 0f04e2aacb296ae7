"""/manage/prompts on a loopback socket, over a library in memory: what the command line talks to."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.domain.management import Asked, Told
from gateway.errors import GatewayError
from gateway.prompts.administration import PromptAdministration
from gateway.prompts.documents import Documents
from gateway.prompts.library import Library
from gateway.prompts.memory import PromptMemory
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.prompts.written import ADMIN, TEMPLATES

KEY = "gwa_for_tests_only"


class Served:
    """A gateway of which only prompts are there. `asked` are the requests that it had."""

    def __init__(self) -> None:
        clock = FakeClock()
        library = Library(FakeTables(), clock)
        self.administration = PromptAdministration(
            library, PromptMemory(library, clock), Documents(library, TEMPLATES, lambda *_: None), self._has
        )
        self.asked: list[str] = []
        self.url = ""
        self.redirect = ""

    def call(self, work: Callable[[PromptAdministration, Asked], Awaitable[Any]], document: Any = None, **query: str) -> Any:
        told = asyncio.run(self._run(work(self.administration, Asked(ADMIN, document or {}, query))))
        return told.value if isinstance(told, Told) else told

    def answer(self, method: str, target: str, key: str, document: Any) -> tuple[int, Any]:
        parts = urlsplit(target)
        place = [unquote(step) for step in parts.path.split("/")[3:]]
        query = dict(parse_qsl(parts.query))
        if key != f"Bearer {KEY}":
            return 401, {"detail": "this key does not work", "code": "invalid_api_key"}
        works: dict[tuple[str, int], Callable[[PromptAdministration, Asked], Awaitable[Any]]] = {
            ("GET", 0): lambda each, asked: each.list(asked),
            ("GET", 2): lambda each, asked: each.versions(asked, place[0]),
            ("POST", 2): lambda each, asked: each.create(asked, place[0]),
            ("GET", 3): lambda each, asked: each.version(asked, place[0], place[2]),
            ("PUT", 3): lambda each, asked: each.set_label(asked, place[0], place[2]),
        }
        try:
            return 200, self.call(works[method, len(place)], document, **query)
        except GatewayError as exc:
            return exc.status, {"detail": exc.message, "code": exc.code}

    async def _has(self, tenant: str) -> object | None:
        return tenant if tenant == "acme" else None

    async def _run(self, work: Awaitable[Any]) -> Any:
        return await work


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    """Serve until the end of the block."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            size = int(self.headers.get("content-length", 0))
            document = json.loads(self.rfile.read(size)) if size else None
            served.asked.append(f"{self.command} {self.path}")
            status, value = served.answer(self.command, self.path, self.headers.get("authorization", ""), document)
            body = json.dumps(value, default=str).encode()
            self.send_response(302 if served.redirect else status)
            if served.redirect:
                self.send_header("location", served.redirect)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
