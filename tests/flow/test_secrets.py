"""No secret gets out: every log line of every logger, every answer, row and file of a gateway that is asked well and badly."""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from gateway import doorway
from gateway.access.jwks import SigningKeys
from gateway.errors import UpstreamTimeout
from tests import leaks
from tests.fakes.entra import AUDIENCE, TENANT, Endpoint, app_claims, token
from tests.flow.whole import ADMIN_KEY, BACKEND_KEY, FUNCTIONS, PEPPER, Told, Whole, whole
from tests.house.asks import ASKS

WEBHOOK_SECRET, BUS_KEY, FRONT = "whsec_d2ViaG9vay1zZWNyZXQtb2YtdGVzdHM=", "c2VydmljZS1idXMta2V5LW9mLXRlc3Rz", "front-door-id-of-tests"
BUS = f"Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=root;SharedAccessKey={BUS_KEY};UseDevelopmentEmulator=true"
TEXTS = (ADMIN_KEY, PEPPER, BACKEND_KEY, WEBHOOK_SECRET, WEBHOOK_SECRET[6:], BUS_KEY, FRONT, "token-in-the-webhooks-url")
CHAT = {"model": "mock-echo", "messages": [{"role": "user", "content": "Hello"}]}
SETTINGS = {
    "GATEWAY_ALERTS_WEBHOOK": "http://127.0.0.1:1/token-in-the-webhooks-url",
    "GATEWAY_ALERTS_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "GATEWAY_ALERTS_QUEUE": "alerts",
    "GATEWAY_SERVICEBUS": BUS,
    "GATEWAY_ENTRA_TENANT_ID": TENANT,
    "GATEWAY_ENTRA_AUDIENCE": AUDIENCE,
    "GATEWAY_TRUSTED_FRONT_DOOR_ID": FRONT,
}


class Listener(logging.Handler):
    """Keeps every record as all that a handler could print of it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        parts = [record.getMessage(), repr(record.args), record.name]
        if record.exc_info and record.exc_info[0] is not None:
            parts += traceback.TracebackException(*record.exc_info, capture_locals=False).format()  # type: ignore[arg-type]
        self.lines.append("\n".join(parts))


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """Turn every logger on, whatever level it has of its own."""
    root, listener = logging.getLogger(), Listener()
    loggers = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    levels = {each: each.level for each in (root, *loggers)}
    for each in levels:
        each.setLevel(logging.DEBUG)
    root.addHandler(listener)
    try:
        yield listener
    finally:
        root.removeHandler(listener)
        for each, level in levels.items():
            each.setLevel(level)


class Watched:
    """A gateway, and all that came out of it but the keys that it shows on purpose."""

    def __init__(self, it: Whole, folder: Path, listener: Listener) -> None:
        self.it, self.folder, self.listener = it, folder, listener
        self.answers: list[tuple[str, Told]] = []
        self.shown: list[str] = []

    async def ask(self, method: str, target: str, key: str = ADMIN_KEY, document: Any = None, **headers: str) -> Told:
        told = await self.it.asked(method, target, key, document, **headers)
        if told.status < 400 and (method, target.rpartition("/")[2]) in (("POST", "subscriptions"), ("POST", "regenerate")):
            self.shown += told.json["keys"].values()  # this one time
        else:
            self.answers.append((f"{method} {target}", told))
        return told

    def check(self) -> None:
        """Look through everything."""
        texts = (*TEXTS, *self.shown)
        for name, told in self.answers:
            assert leaks.find(told.bytes, texts) == [], name
        for entity in self.it.tables.data.values():
            assert leaks.find(repr(entity).encode(), texts) == [], (entity.partition, entity.row)
        for file in (each for each in self.folder.rglob("*") if each.is_file()):
            assert leaks.find(file.read_bytes(), texts) == [], file.name
        assert [line[:200] for line in self.listener.lines if leaks.find(line.encode(), texts)] == []
        parts = [self.it.gateway.settings, *(getattr(self.it.gateway, name) for name in self.it.gateway.__struct_fields__)]
        for part in parts:
            assert leaks.find(repr(part).encode(), texts) == [], type(part)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    with listening() as listener:
        keys = {"GATEWAY_ENTRA_JWKS_URL": "https://127.0.0.1:1/keys"}
        issuer = Endpoint()
        with mock.patch.object(doorway, "SigningKeys", lambda _fetch, tenant, clock: SigningKeys(issuer.fetch, tenant, clock)):
            async with whole(tmp_path, **SETTINGS, **keys) as it:
                yield Watched(it, tmp_path, listener)
                await it.quiet()


async def test_every_route_asked_well_and_badly_lets_none_out(watched: Watched) -> None:
    _, key = await watched.it.subscribe("contoso", limits={"budget_usd": [{"period": "day", "limit": 0.001}], "mode": "soft"})
    watched.shown.append(key)
    credentials = {"user": key, "admin": ADMIN_KEY, "nobody": "gwk_" + "a" * 16 + "_" + "b" * 43}
    made = ""
    for name in (name for name in ASKS if name in FUNCTIONS):
        for ask in ASKS[name]:
            kind = "multipart/form-data; boundary=house" if isinstance(ask.body, bytes) else "application/json"
            path = ask.path.replace("{made}", made).replace("{last}", "req_nobody")
            told = await watched.ask(ask.method, path, credentials[ask.key], ask.body, content_type=kind)
            if told.body.startswith((b'{"id":"resp_', b'{"id":"sub_')):
                made = told.json["id"]
    watched.it.clock.advance(6)  # what was spent is told to the store, which announces the crossed budget
    await watched.ask("POST", "/v1/chat/completions", key, CHAT)
    while not any(each.get("error") for each in (await watched.it.asked("GET", "/manage/alerts")).json["data"]):
        await watched.it.gateway.housekeeping.quarter()
        await watched.it.gateway.housekeeping.minute()
        await asyncio.sleep(0.01)  # neither the webhook nor the queue can be reached, which takes them a moment
    for target in ("costs?format=csv", "usage/records", "audit?limit=1000", "alerts", "subscriptions", "limits", "budgets"):
        assert (await watched.ask("GET", f"/manage/{target}")).status == 200
    assert any("audit" in name and b"regenerate" in told.body for name, told in watched.answers)
    (alerts,) = [told.json["data"] for name, told in watched.answers if name == "GET /manage/alerts"][-1:]
    assert any("webhook could not be reached" in each.get("error", "") for each in alerts)
    assert any("mock-500" in line for line in watched.listener.lines)
    watched.check()


async def test_wrong_credentials_of_every_kind_are_not_repeated(watched: Watched) -> None:
    _, key = await watched.it.subscribe("contoso")
    now = watched.it.clock.utc().timestamp()
    good = token(app_claims(now))
    wrong = [
        key[:-1] + ("A" if key[-1] != "A" else "B"), good, good[:-4] + "AAAA", token(app_claims(now, aud="api://other")),
        token(app_claims(now - 90_000)), token(app_claims(now, roles=["Gateway.Admin"])), BACKEND_KEY, FRONT, ADMIN_KEY,
    ]  # fmt: skip
    for credential in wrong:
        for target in ("POST /v1/chat/completions", "POST /v1/messages", "GET /v1/models", "GET /manage/audit", "POST /manage/tenants"):
            method, path = target.split()
            document = {**CHAT, "max_tokens": 5} if path.startswith("/v1") and method == "POST" else {} if method == "POST" else None
            for name in ("authorization", "api_key", "x_api_key"):
                text = f"Bearer {credential}" if name == "authorization" else credential
                told = await watched.ask(method, path, "", document, **{name: text}, x_azure_fdid=FRONT)
                assert credential.encode() not in told.bytes
    assert {told.status for _, told in watched.answers} >= {200, 401, 403}
    watched.shown += wrong
    watched.check()


def _echo(status: int) -> Told:
    key = BACKEND_KEY.encode()
    named = [(b"content-type", b"application/json"), (b"x-echo", key), (b"x-request-id", key)]
    return Told([{"status": status, "headers": named}, {"body": b'{"error":{"message":"bad key %b","code":"%b"}}' % (key, key)}])


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 408, 422, 429, 500, 503])
async def test_what_a_backend_says_of_our_key_goes_nowhere(watched: Watched, status: int) -> None:
    _, key = await watched.it.subscribe("contoso")
    watched.shown.append(key)
    watched.it.network.meddle = lambda _request, _headers: _echo(status)
    for stream in (False, True):
        for path in ("/v1/chat/completions", "/anthropic/v1/messages", "/openai/deployments/mock-echo/chat/completions"):
            if status >= 400:
                told = await watched.ask("POST", path, key, {**CHAT, "stream": stream, "max_tokens": 5})
                assert told.status >= 400
    assert (
        b"bad key ***" in (await watched.ask("POST", "/ai/sim-safety/contentsafety/text:analyze", key, {"text": "x"})).body or status >= 401
    )
    await watched.ask("GET", "/manage/usage/records")
    await watched.ask("GET", "/manage/deployments")
    await watched.it.quiet()
    watched.check()


async def test_faults_of_the_network_and_the_store_let_none_out(watched: Watched) -> None:
    it = watched.it
    _, key = await it.subscribe("contoso", limits={"tokens": [{"period": "day", "limit": 1000}]})
    watched.shown.append(key)

    def fault(_request: Any, _headers: Any) -> Told:
        raise UpstreamTimeout("too late")

    it.network.meddle = fault
    assert (await watched.ask("POST", "/v1/chat/completions", key, CHAT)).status == 504
    it.tables.down = True
    unknown = "gwk_" + "c" * 16 + "_" + "d" * 43
    watched.shown.append(unknown)
    for credential in (key, unknown, ADMIN_KEY):
        await watched.ask("POST", "/v1/chat/completions", credential, CHAT)
        await watched.ask("POST", "/manage/subscriptions", credential, {"product": "starter", "name": "x"})
    await it.gateway.housekeeping.minute()
    it.tables.down = False
    it.clock.advance(2)
    watched.check()
