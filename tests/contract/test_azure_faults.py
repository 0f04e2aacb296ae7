"""What the Azure adapters make of a service that fails: no Azurite needed, a loopback server plays the service."""

import asyncio
import contextlib

import pytest
from aiohttp import web

from gateway.adapters import blobs as azure_blobs
from gateway.adapters import tables as azure_tables
from gateway.domain.tables import Action, EntityExists, Write, check_transaction, request_bytes
from gateway.errors import RequestError, StoreUnavailable

ACCOUNT = "devstoreaccount1"
SILENCE = None  # in place of an answer
ONCE = {
    "insert": lambda tables: tables.insert("Table", "p", "r", {}),
    "replace": lambda tables: tables.replace("Table", "p", "r", {}, "*"),
    "delete": lambda tables: tables.delete("Table", "p", "r"),
    "transact": lambda tables: tables.transact("Table", "p", [Write(Action.UPSERT, "r")]),
}
TWICE = {
    "get": lambda tables: tables.get("Table", "p", "r"),
    "upsert": lambda tables: tables.upsert("Table", "p", "r", {}),
    "query": lambda tables: tables.query("Table"),
}
BLOBS = {
    "put": lambda blobs: blobs.put("container", "name", b""),
    "get": lambda blobs: blobs.get("container", "name"),
    "delete": lambda blobs: blobs.delete("container", "name"),
    "list": lambda blobs: blobs.list("container"),
}


def _location(url: str) -> str:
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey=a2V5;BlobEndpoint={url}/{ACCOUNT};TableEndpoint={url}/{ACCOUNT}"


@contextlib.asynccontextmanager
async def _service(answer):
    """A server on a loopback port; `answer(request, body)` says what it answers. Yields its URL and what it was asked."""
    asked, end = [], asyncio.Event()

    async def handle(request):
        body = await request.read()
        asked.append((request.method, len(body)))
        if answer is SILENCE:
            await end.wait()
            return web.Response()
        return await answer(request, body)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        end.set()
        await runner.cleanup()


def _status(status, code="", **headers):
    async def answer(request, body):
        return web.json_response(
            {"odata.error": {"code": code, "message": {"lang": "en-US", "value": "no"}}}, status=status, headers=headers
        )

    return answer


@pytest.fixture
async def refused() -> str:
    """The URL of a port where nobody listens any more."""
    async with _service(SILENCE) as (url, _):
        return url


@pytest.mark.parametrize("name", [*ONCE, *TWICE])
async def test_a_table_store_that_cannot_be_reached_is_unavailable(refused, name):
    tables = azure_tables.connect(_location(refused), None)
    with pytest.raises(StoreUnavailable) as caught:
        await (ONCE | TWICE)[name](tables)
    assert caught.value.__cause__ is not None
    assert refused not in str(caught.value)
    await tables.close()


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
@pytest.mark.parametrize("name", [*ONCE, *TWICE])
async def test_a_table_store_that_fails_is_unavailable(name, status):
    async with _service(_status(status, "ServerBusy")) as (url, _):
        tables = azure_tables.connect(_location(url), None)
        with pytest.raises(StoreUnavailable):
            await (ONCE | TWICE)[name](tables)
        await tables.close()


@pytest.mark.parametrize(("name", "times"), [*((name, 1) for name in ONCE), *((name, 2) for name in TWICE)])
@pytest.mark.parametrize("answer", [_status(500), _status(503, **{"Retry-After": "0"}), SILENCE])
async def test_only_what_may_be_repeated_is_sent_again(name, times, answer):
    async with _service(answer) as (url, asked):
        tables = azure_tables.AzureTables(_location(url), timeout_s=0.2)
        with pytest.raises(StoreUnavailable):
            await (ONCE | TWICE)[name](tables)
        await tables.close()
    assert len(asked) == times


async def test_a_table_that_is_being_deleted_is_unavailable_and_no_conflict():
    async with _service(_status(409, "TableBeingDeleted")) as (url, _):
        tables = azure_tables.connect(_location(url), None)
        with pytest.raises(StoreUnavailable):
            await tables.insert("Table", "p", "r", {})
        await tables.close()


async def test_an_insert_that_meets_a_row_is_told_by_the_body_alone():
    async with _service(_status(409, "EntityAlreadyExists")) as (url, _):
        tables = azure_tables.connect(_location(url), None)
        with pytest.raises(EntityExists):
            await tables.insert("Table", "p", "r", {})
        await tables.close()


async def test_a_table_that_stays_missing_is_asked_for_twice_and_no_more():
    async def answer(request, body):
        made = request.path.endswith("/Tables")
        return await (_status(201) if made else _status(404, "TableNotFound"))(request, body)

    async with _service(answer) as (url, asked):
        tables = azure_tables.connect(_location(url), None)
        with pytest.raises(Exception, match="row changed"):
            await tables.insert("Table", "p", "r", {})
        await tables.close()
    assert len(asked) == 3


async def test_too_large_in_the_service_s_eyes_is_the_request_s_fault():
    async with _service(_status(413, "RequestBodyTooLarge")) as (url, _):
        tables = azure_tables.connect(_location(url), None)
        for call in (tables.insert("Table", "p", "r", {}), tables.transact("Table", "p", [Write(Action.UPSERT, "r")])):
            with pytest.raises(RequestError):
                await call
        await tables.close()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {f"v{number}": -(2**63) for number in range(200)},
        {f"v{number}": "日本語" * 40 for number in range(20)},
        {f"v{number}": '\0😀"' * 40 for number in range(20)},
        {f"v{number}": bytes(100) for number in range(20)},
        {f"v{number}": -1.2345678901234567e-300 for number in range(200)},
    ],
)
async def test_the_size_that_is_checked_covers_the_request_that_is_sent(values):
    writes = [Write(action, f"{key}{action}", values, "*") for action in Action for key in ("r", "日本語'%" * 50)]
    async with _service(_status(503)) as (url, asked):
        tables = azure_tables.connect(_location(url), None)
        with pytest.raises(StoreUnavailable):
            await tables.transact("T" * 63, "ü" * 400, writes)
        await tables.close()
    (sent,) = [size for _, size in asked]
    check_transaction("ü" * 400, writes)
    assert sent <= request_bytes("ü" * 400, writes) <= 2 * sent


@pytest.mark.parametrize("name", BLOBS)
async def test_a_blob_store_that_cannot_be_reached_is_unavailable(refused, name):
    blobs = azure_blobs.AzureBlobs(_location(refused), retry_after_s=0)
    with pytest.raises(StoreUnavailable) as caught:
        await BLOBS[name](blobs)
    assert caught.value.__cause__ is not None
    assert refused not in str(caught.value)
    await blobs.close()


@pytest.mark.parametrize("answer", [_status(403), _status(409, **{"x-ms-error-code": "ContainerBeingDeleted"}), _status(500), SILENCE])
@pytest.mark.parametrize("name", BLOBS)
async def test_a_blob_store_that_fails_is_unavailable(name, answer):
    async with _service(answer) as (url, asked):
        blobs = azure_blobs.AzureBlobs(_location(url), timeout_s=0.2, retry_after_s=0)
        with pytest.raises(StoreUnavailable):
            await BLOBS[name](blobs)
        await blobs.close()
    assert 1 <= len(asked) <= 2


async def test_a_put_that_must_not_overwrite_is_sent_once():
    async with _service(_status(500)) as (url, asked):
        blobs = azure_blobs.AzureBlobs(_location(url), retry_after_s=0)
        with pytest.raises(StoreUnavailable):
            await blobs.put("container", "name", b"", overwrite=False)
        await blobs.close()
    assert len(asked) == 1
