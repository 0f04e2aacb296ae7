"""The table store is down, slow to say yes, or comes and goes: who is served, for how long, and that nothing is lost or doubled."""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import doorway
from gateway.access.jwks import SigningKeys
from gateway.domain.tables import Write
from gateway.errors import StoreUnavailable
from tests.fakes.entra import AUDIENCE, OID, TENANT, Endpoint, app_claims, token
from tests.fakes.tables import FakeTables
from tests.flow.whole import Still, Told, Whole, whole

ENTRA = {"GATEWAY_ENTRA_TENANT_ID": TENANT, "GATEWAY_ENTRA_AUDIENCE": AUDIENCE}
CHAT = {"model": "mock-echo", "messages": [{"role": "user", "content": "Hello"}]}
OUTAGE_S = 60
UNKNOWN = "gwk_" + "a" * 16 + "_" + "b" * 43


class Flapping(FakeTables):
    """Comes and goes: a call fails by chance, and of those that write half are done all the same."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng, self.share = random.Random(seed), 0.0

    async def transact(self, table: str, partition: str, writes: Any) -> list[str | None]:
        done = await super().transact(table, partition, writes)
        self._perhaps()
        return done

    async def _one(self, table: str, partition: str, write: Write) -> str:
        done = await super()._one(table, partition, write)
        self._perhaps()
        return done

    async def _arrive(self) -> None:
        await super()._arrive()
        self._perhaps()

    def _perhaps(self) -> None:
        if self.rng.random() < self.share:
            raise StoreUnavailable("the table store did not answer; try again")


async def chat(it: Whole, key: str, **over: Any) -> Told:
    told = await it.asked("POST", "/v1/chat/completions", key, CHAT | over)
    for _ in range(30):
        await asyncio.sleep(0)
    return told


def ledger(it: Whole) -> list[str]:
    """Return the ids of the requests that the ledger has, of calls."""
    return sorted(entity.row for entity in it.tables.rows("usage") if entity.values["operation"] != "manage")


async def test_keys_that_were_seen_work_for_a_minute_and_then_nobody_does(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        _, key = await it.subscribe("contoso")
        assert (await chat(it, key)).status == 200
        it.tables.down = True
        for _ in range(OUTAGE_S // 10):
            it.clock.advance(9.9)
            assert (await chat(it, key)).status == 200
        it.clock.advance(1)
        told = await chat(it, key)
        assert (told.status, told.code) == (503, "store_unavailable")
        it.tables.down = False
        it.clock.advance(3)
        assert (await chat(it, key)).status == 200


async def test_who_was_not_seen_is_told_to_come_again_and_not_that_the_key_is_wrong(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        _, key = await it.subscribe("contoso")
        it.tables.down = True
        for unseen in (key, UNKNOWN):
            told = await chat(it, unseen)
            assert (told.status, told.code) == (503, "store_unavailable")
        it.tables.down = False
        it.clock.advance(3)
        assert [(await chat(it, each)).status for each in (key, UNKNOWN)] == [200, 401]


@pytest.mark.parametrize("age_s", [0, 4, 30])
async def test_a_key_that_was_revoked_before_stays_refused(tmp_path: Path, age_s: float) -> None:
    async with whole(tmp_path) as it:
        subscription, key = await it.subscribe("contoso")
        assert (await chat(it, key)).status == 200
        assert (await it.asked("POST", f"/manage/subscriptions/{subscription}/keys/primary/revoke")).status == 200
        assert (await chat(it, key)).status == 401
        it.tables.down = True
        it.clock.advance(age_s)
        assert (await chat(it, key)).status in (401, 503)


async def test_a_tokens_binding_is_remembered_as_long_as_a_key_is(tmp_path: Path) -> None:
    issuer = Endpoint()
    with mock.patch.object(doorway, "SigningKeys", lambda _fetch, tenant, clock: SigningKeys(issuer.fetch, tenant, clock)):
        async with whole(tmp_path, **ENTRA) as it:
            await it.subscribe("contoso", identities=[OID])
            now = it.clock.utc().timestamp()
            bearer, unseen = token(app_claims(now)), token(app_claims(now, oid=OID[:-1] + "9", azp=OID[:-1] + "8"))
            assert (await chat(it, bearer)).status == 200
            it.tables.down = issuer.down = True
            for _ in range(OUTAGE_S // 10):
                it.clock.advance(9.9)
                assert (await chat(it, bearer)).status == 200
            assert (await chat(it, unseen)).status == 503
            it.clock.advance(1)
            assert (await chat(it, bearer)).status == 503


async def test_limits_let_their_allowance_pass_and_charge_it_when_the_store_is_back(tmp_path: Path) -> None:
    async with whole(tmp_path) as it:
        subscription, key = await it.subscribe("contoso", limits={"requests": [{"period": "day", "limit": 200}]})
        assert (await chat(it, key)).status == 200
        for _ in range(8):  # what it held idle goes back
            it.clock.advance(2)
            await it.gateway.pipeline._admission._limiter.tick()
        it.tables.down = True
        found = [await chat(it, key) for _ in range(30)]
        assert [told.status for told in found] == [200] * 10 + [503] * 20  # 5 % of the limit
        it.tables.down = False
        it.clock.advance(3)
        assert (await chat(it, key)).status == 200
    counters = {entity.row: entity.values for entity in it.tables.rows("limits") if subscription in entity.partition}
    assert {row: (values["spent"], values["out"]) for row, values in counters.items() if row.startswith("c|")} == {
        "c|requests.day|2026-01-01": (12, 0)
    }


async def test_records_wait_on_the_disk_and_are_in_the_ledger_once(tmp_path: Path) -> None:
    clock, tables = Still(), FakeTables()
    async with whole(tmp_path, clock=clock, tables=tables) as it:
        _, key = await it.subscribe("contoso")
        told = [await chat(it, key)]
        await it.quiet()
        tables.down = True
        told += [await chat(it, key) for _ in range(5)]
        assert len(ledger(it)) == 1
    assert list((tmp_path / "spool").glob("*.spool"))
    tables.down = False
    async with whole(tmp_path, clock=clock, tables=tables) as it:  # the next process of this machine
        await it.quiet()
        assert ledger(it) == sorted(each.headers["x-request-id"] for each in told)
    assert not list((tmp_path / "spool").glob("*.spool"))


async def test_a_write_that_was_done_and_denied_is_in_the_ledger_once(tmp_path: Path) -> None:
    tables = Flapping(1)
    async with whole(tmp_path, tables=tables) as it:
        _, key = await it.subscribe("contoso")
        with mock.patch.object(tables, "_arrive", FakeTables()._arrive):  # everything is done, and always denied
            assert (await chat(it, key)).status == 200
            tables.share = 1.0
            told = [await chat(it, key) for _ in range(4)]
            assert [each.status for each in told] == [200] * 4
            tables.share = 0.0
        await it.quiet()
    assert len(ledger(it)) == 5


CHANGES = [
    ("POST", "/manage/tenants", {"id": "new"}),
    ("POST", "/manage/products", {"id": "new", "models": ["*"]}),
    ("POST", "/manage/subscriptions", {"product": "starter", "tenant": "contoso"}),
    ("PATCH", "/manage/subscriptions/{}", {"name": "new"}),
    ("POST", "/manage/subscriptions/{}/keys/primary/regenerate", None),
    ("POST", "/manage/subscriptions/{}/suspend", None),
    ("PATCH", "/manage/deployments/mock-echo", {"draining": True}),
]


@pytest.mark.parametrize("change", CHANGES, ids=[f"{method} {path}" for method, path, _ in CHANGES])
async def test_a_change_while_the_store_is_down_is_refused_and_nothing_is_half_done(tmp_path: Path, change: Any) -> None:
    method, path, document = change
    async with whole(tmp_path) as it:
        subscription, key = await it.subscribe("contoso")
        assert (await chat(it, key)).status == 200
        await it.quiet()
        before = dict(it.tables.data)
        it.tables.down = True
        told = await it.asked(method, path.format(subscription), document=document)
        assert (told.status, told.code) == (503, "store_unavailable")
        assert it.tables.data == before
        it.tables.down = False
        assert (await chat(it, key)).status == 200


@pytest.mark.parametrize("change", CHANGES[2:6], ids=[f"{method} {path}" for method, path, _ in CHANGES[2:6]])
@pytest.mark.parametrize("after", range(1, 7))
async def test_a_store_that_goes_in_the_middle_of_a_change_leaves_a_key_that_works_or_none(tmp_path: Path, change: Any, after: int) -> None:
    method, path, document = change
    async with whole(tmp_path) as it:
        subscription, key = await it.subscribe("contoso")
        await it.quiet()
        falls, arrive = it.tables.calls + after, it.tables._arrive

        async def failing() -> None:
            it.tables.down = it.tables.calls + 1 >= falls
            await arrive()

        with mock.patch.object(it.tables, "_arrive", failing):
            told = await it.asked(method, path.format(subscription), document=document)
        it.tables.down = False
        it.clock.advance(5)
        trail = [entity.values for entity in it.tables.rows("audit")][-1]
        outcome = trail["outcome"]
        assert outcome in (("done", "begun") if told.status < 400 else ("failed", "begun", "done")), (told.status, outcome)
        if told.status < 400 and path.endswith("regenerate"):
            assert (await chat(it, told.json["keys"]["primary"])).status == 200
            assert (await chat(it, key)).status == 401
        elif told.status >= 400 and not path.endswith("suspend"):
            assert (await chat(it, key)).status == 200


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), shares=st.lists(st.sampled_from([0.0, 0.0, 0.2, 0.6, 1.0]), min_size=3, max_size=8))
def test_after_a_store_that_came_and_went_the_ledger_has_what_was_answered_and_the_counters_agree(seed: int, shares: list[float]) -> None:
    asyncio.run(come_and_go(seed, shares))


async def come_and_go(seed: int, shares: list[float]) -> None:
    tables, clock = Flapping(seed), Still()
    limits = {"requests": [{"period": "day", "limit": 1000}], "tokens": [{"period": "month", "limit": 100_000}]}
    with tempfile.TemporaryDirectory() as folder:
        async with whole(Path(folder), tables=tables, clock=clock) as it:
            subscription, key = await it.subscribe("contoso", limits=limits)
            asked = [(await chat(it, key)).headers["x-request-id"]]
            for share in shares:
                tables.share = share
                told = [await chat(it, key, max_tokens=50, stream=tables.rng.random() < 0.3) for _ in range(4)]
                asked += [each.headers["x-request-id"] for each in told]
                assert {each.status for each in told} <= {200, 503}
                clock.advance(2)
                await it.gateway.pipeline._admission._limiter.tick()
            tables.share = 0.0
            clock.advance(40)
            await it.quiet()
        async with whole(Path(folder), tables=tables, clock=clock) as it:
            await it.quiet()
            clock.advance(3600)
            await it.gateway.housekeeping.quarter()
    assert set(asked) == set(ledger(it))
    sums = {"requests": 0, "tokens": 0}
    for entity in tables.rows("usage"):
        charged = {name: int(str(entity.values.get(f"charged_{name}", 0))) for name in ("requests", "input_tokens", "output_tokens")}
        sums["requests"] += charged["requests"]
        sums["tokens"] += charged["input_tokens"] + charged["output_tokens"]
    rows = [entity for entity in tables.rows("limits") if entity.row.startswith("c|") and subscription in entity.partition]
    assert {entity.row[2:].partition(".")[0]: entity.values["spent"] for entity in rows} == sums
    assert all(entity.values["out"] == 0 for entity in rows)
