import asyncio
import pathlib
from collections.abc import AsyncIterator

import pytest

from gateway import container
from gateway.connections import open_spool
from gateway.domain.ids import uuid7_hex
from gateway.errors import NotFound, Unavailable
from gateway.settings import load_settings
from tests.builders import make_inbound

SAMPLE = str(pathlib.Path(__file__).parents[2] / "catalog.yaml")


@pytest.fixture
async def environment(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, str]]:
    values = {
        "GATEWAY_CATALOG": SAMPLE,
        "GATEWAY_TABLES": f"sqlite:///{tmp_path}/tables.db",
        "GATEWAY_BLOBS": f"file://{tmp_path}/blobs",
        "GATEWAY_SPOOL": f"{tmp_path}/spool",
        "GATEWAY_KEY_PEPPER": "x" * 16,
        "GATEWAY_ADMIN_KEY": "y" * 16,
        "SIMULATOR_URL": "http://127.0.0.1:1",
        "SIMULATOR_KEY": "z",
        "SIMULATOR_AWS_KEY_ID": "z",
        "SIMULATOR_AWS_SECRET": "z",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(container, "_worker", container._Worker())
    yield values
    await container.shutdown()


async def test_a_worker_has_one_gateway_until_it_shuts_down(environment: dict[str, str]) -> None:
    gateway = await container.get()
    assert await container.get() is gateway
    await container.shutdown()
    assert await container.get() is not gateway


async def test_it_is_ready_when_the_stores_answer(environment: dict[str, str]) -> None:
    assert await container.readiness() == {"configuration": "ok", "tables": "ok", "blobs": "ok"}


async def test_a_store_that_is_closed_makes_it_unready(environment: dict[str, str]) -> None:
    await (await container.get()).tables.close()
    assert (await container.readiness())["tables"] == "store_unavailable"


async def test_a_configuration_that_is_mended_serves_the_next_request(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GATEWAY_CATALOG", "/nowhere/catalog.yaml")
    with pytest.raises(Unavailable) as caught:
        await container.get()
    assert caught.value.code == "misconfigured"
    assert "/nowhere" not in caught.value.message
    assert "/nowhere/catalog.yaml" in caplog.text
    assert await container.readiness() == {"configuration": "misconfigured"}
    monkeypatch.setenv("GATEWAY_CATALOG", SAMPLE)
    assert await container.get()


async def test_check_tells_what_is_wrong(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert await container.check() is None
    monkeypatch.setenv("GATEWAY_KEY_PEPPER", "short")
    assert "GATEWAY_KEY_PEPPER" in str(await container.check())
    monkeypatch.setenv("GATEWAY_KEY_PEPPER", "x" * 16)
    monkeypatch.delenv("SIMULATOR_KEY")
    assert "SIMULATOR_KEY" in str(await container.check())


@pytest.mark.parametrize("name", ["GATEWAY_TABLES", "GATEWAY_BLOBS"])
@pytest.mark.parametrize("value", ["nonsense", "AccountKey=5ecret"])
async def test_a_store_that_cannot_be_opened_is_a_misconfiguration(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    fault = str(await container.check())
    assert fault.startswith(f"{name} is no ")
    assert value not in fault
    with pytest.raises(Unavailable) as caught:
        await container.get()
    assert caught.value.code == "misconfigured"
    assert name in caplog.text.splitlines()[0]


async def test_closing_closes_everything_although_the_store_is_gone(environment: dict[str, str]) -> None:
    gateway = await container.build(load_settings())
    await gateway.tables.close()
    await gateway.close()


async def test_a_record_that_the_store_does_not_take_at_the_end_is_brought_in_by_the_next_gateway(
    environment: dict[str, str], tmp_path: pathlib.Path
) -> None:
    gateway = await container.get()
    request_id = f"req_{uuid7_hex(container.clock.utc().timestamp())}"
    await gateway.tables.close()
    with pytest.raises(NotFound):
        await gateway.pipeline.refuse(make_inbound(request_id=request_id, received_s=container.clock.now_s()), NotFound("nothing is there"))
    await container.shutdown()
    assert len(list((tmp_path / "spool").glob("*.spool"))) == 1
    again = await container.get()
    async with asyncio.timeout(20):
        while list((tmp_path / "spool").glob("*.spool")):  # noqa: ASYNC110 - the recorder's own task works
            await asyncio.sleep(0.01)
    record = await again.reports.record(request_id)
    assert (record["error_code"], record["status"]) == ("not_found", 404)


def test_a_spool_is_its_stores_whatever_its_key_is(environment: dict[str, str]) -> None:
    def store(tables: str) -> str:
        return open_spool(load_settings(environment | {"GATEWAY_TABLES": tables}))._prefix

    account = "DefaultEndpointsProtocol=https;AccountName=one;AccountKey={};EndpointSuffix=core.windows.net"
    assert store(account.format("old")) == store(account.format("new"))
    assert store(account.format("old")) != store(account.format("old").replace("=one", "=two"))
    assert store("https://one.table.core.windows.net?sig=a") == store("https://one.table.core.windows.net?sig=b")
    assert store("sqlite:///a.db") != store("sqlite:///b.db")
