"""Two workers over one store: what one of them changes, the other follows within five seconds."""

import asyncio
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway import container
from gateway.container import Gateway
from gateway.domain.access import Role
from gateway.domain.call import Operation
from gateway.domain.management import Asked, Told
from gateway.errors import GatewayError
from gateway.settings import load_settings
from tests.builders import make_inbound, make_principal
from tests.fakes.clock import FakeClock

SAMPLE = str(pathlib.Path(__file__).parents[2] / "catalog.yaml")
ADMIN = make_principal(tenant="default", key_id="the-admin", roles=frozenset({Role.ADMIN}))


class Standing(FakeClock):
    """Moves by `advance` alone: what waits in the background waits for good."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.get_running_loop().create_future()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Standing:
    clock = Standing()
    monkeypatch.setattr(container, "clock", clock)
    return clock


@pytest.fixture
async def workers(clock: Standing, tmp_path: pathlib.Path) -> AsyncIterator[list[Gateway]]:
    names = ("SIMULATOR_KEY", "SIMULATOR_AWS_KEY_ID", "SIMULATOR_AWS_SECRET")
    values = {
        "GATEWAY_CATALOG": SAMPLE,
        "GATEWAY_TABLES": f"sqlite:///{tmp_path}/tables.db",
        "GATEWAY_BLOBS": f"file://{tmp_path}/blobs",
        "GATEWAY_SPOOL": str(tmp_path / "spool"),
        "GATEWAY_KEY_PEPPER": "x" * 16,
        "SIMULATOR_URL": "http://127.0.0.1:1",
    }
    made = [await container.build(load_settings(values | dict.fromkeys(names, "z"))) for _ in range(2)]
    yield made
    for each in made:
        await each.close()


async def lists(worker: Gateway, key: str) -> int:
    """Ask for the models, which needs no backend; returns the status."""

    async def no_body() -> bytes:
        return b""

    inbound = make_inbound(operation=Operation.LIST_MODELS, headers={"authorization": f"Bearer {key}"}, received_s=container.clock.now_s())
    try:
        return (await worker.pipeline.serve(inbound, no_body)).status
    except GatewayError as exc:
        return exc.status


def asked(**document: Any) -> Asked:
    return Asked(ADMIN, document)


type Stop = Callable[[Gateway, str], Awaitable[Told]]

STOPS: dict[str, tuple[int, Stop]] = {
    "revoked": (401, lambda worker, name: worker.subscriptions.revoke(asked(), name, "primary")),
    "regenerated": (401, lambda worker, name: worker.subscriptions.regenerate(asked(), name, "primary")),
    "cancelled": (403, lambda worker, name: worker.subscriptions.transition(asked(), name, "cancel")),
    "tenant suspended": (403, lambda worker, _: worker.administration.change_tenant(asked(state="suspended"), "contoso")),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("age_s", [0.0, 2.0, 3.9])
async def test_a_key_that_was_stopped_is_refused_by_the_other_worker_within_five_seconds(
    workers: list[Gateway], clock: Standing, stop: str, age_s: float
) -> None:
    here, there = workers
    status, do = STOPS[stop]
    await here.administration.create_tenant(asked(id="contoso"))
    told = await here.subscriptions.create(asked(product="unlimited", tenant="contoso"))
    key = told.value["keys"]["primary"]
    assert [await lists(worker, key) for worker in workers] == [200, 200]
    clock.advance(age_s)  # what the other one remembers may be fresh or old
    await do(here, told.value["id"])
    assert await lists(here, key) == status
    clock.advance(5)
    assert await lists(there, key) == status


async def test_a_key_works_everywhere_as_soon_as_it_is_shown(workers: list[Gateway]) -> None:
    here, there = workers
    told = await here.subscriptions.create(asked(product="unlimited"))
    shown = await there.subscriptions.regenerate(asked(), told.value["id"], "primary")
    assert [await lists(worker, shown.value["keys"]["primary"]) for worker in workers] == [200, 200]
