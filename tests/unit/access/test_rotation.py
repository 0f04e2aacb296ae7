"""Keys that come and go, over stores that fail and workers that remember."""

import asyncio
import contextlib
import datetime
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.access.directory_changes import TRIES
from gateway.access.directory_subscriptions import CLAIM_S
from gateway.domain.tables import Entity, Value
from gateway.errors import Conflict, NotFound, RequestError, StoreUnavailable
from tests.fakes.tables import FakeTables
from tests.unit.access.office import ALICE, Office, asked


@pytest.fixture
def office() -> Office:
    return Office()


async def test_a_new_key_works_and_the_old_one_does_not_any_more(office: Office) -> None:
    made = await office.subscribe()
    told = await office.subscriptions.regenerate(asked(), made["id"], "primary")
    (text,) = told.value["keys"].values()
    assert text != made["keys"]["primary"]
    assert await office.opens(text)
    assert await office.opens(made["keys"]["secondary"])
    assert not await office.opens(made["keys"]["primary"])
    assert len(office.tables.rows("keys")) == 2


async def test_the_old_key_works_as_long_as_was_asked_for(office: Office) -> None:
    made = await office.subscribe()
    told = await office.subscriptions.regenerate(asked({"overlap_s": 60}), made["id"], "primary")
    new = told.value["keys"]["primary"]
    assert [each.expires_at is None for each in told.value["key_slots"]] == [True, False, True]
    office.clock.advance(59.9)
    assert await office.opens(made["keys"]["primary"])
    office.clock.advance(0.1 + 5)  # as long as a worker may remember it
    assert not await office.opens(made["keys"]["primary"])
    assert await office.opens(new)
    told = await office.subscriptions.change(asked({"name": "x"}), made["id"])
    assert len(told.value["key_slots"]) == len(office.tables.rows("keys")) == 2


async def test_an_overlap_is_not_made_longer_by_the_next_one(office: Office) -> None:
    made = await office.subscribe()
    for overlap_s in (60, 600):
        told = await office.subscriptions.regenerate(asked({"overlap_s": overlap_s}), made["id"], "primary")
    ends = {each.id: each.expires_at for each in told.value["key_slots"] if each.slot == "primary"}
    now = office.clock.utc()
    assert ends.pop(told.value["keys"]["primary"].split("_")[1]) is None
    assert ends.pop(made["keys"]["primary"].split("_")[1]) == now + datetime.timedelta(seconds=60)
    assert list(ends.values()) == [now + datetime.timedelta(seconds=600)]


async def test_not_more_than_so_many_keys_work_at_once(office: Office) -> None:
    made = await office.subscribe()
    for _ in range(6):
        await office.subscriptions.regenerate(asked({"overlap_s": 60}), made["id"], "primary")
    with pytest.raises(Conflict) as caught:
        await office.subscriptions.regenerate(asked({"overlap_s": 60}), made["id"], "primary")
    assert caught.value.code == "too_many_keys"
    assert len(office.tables.rows("keys")) == 8
    await office.subscriptions.regenerate(asked(), made["id"], "primary")
    assert len(office.tables.rows("keys")) == 2


@pytest.mark.parametrize("document", [{"overlap_s": -1}, {"overlap_s": 604_801}, {"overlap_s": "1"}, {"overlap_s": 1.5}])
async def test_a_bad_overlap_is_refused(office: Office, document: dict[str, Any]) -> None:
    made = await office.subscribe()
    with pytest.raises(RequestError) as caught:
        await office.subscriptions.regenerate(asked(document), made["id"], "primary")
    assert caught.value.param == "overlap_s"


async def test_there_are_two_slots(office: Office) -> None:
    made = await office.subscribe()
    for doing in (
        office.subscriptions.regenerate(asked(), made["id"], "tertiary"),
        office.subscriptions.revoke(asked(), made["id"], "tertiary"),
    ):
        with pytest.raises(NotFound) as caught:
            await doing
        assert caught.value.code == "key_not_found"


async def test_a_revoked_slot_can_be_filled_again(office: Office) -> None:
    made = await office.subscribe()
    await office.subscriptions.regenerate(asked({"overlap_s": 60}), made["id"], "primary")
    told = await office.subscriptions.revoke(asked(), made["id"], "primary")
    assert [each.slot for each in told.value["key_slots"]] == ["secondary"]
    assert not await office.opens(made["keys"]["primary"])
    told = await office.subscriptions.regenerate(asked(), made["id"], "primary")
    assert await office.opens(told.value["keys"]["primary"])


async def test_what_has_ended_gets_no_new_keys(office: Office) -> None:
    made = await office.subscribe()
    await office.subscriptions.transition(asked(), made["id"], "cancel")
    with pytest.raises(Conflict) as caught:
        await office.subscriptions.regenerate(asked(), made["id"], "primary")
    assert caught.value.code == "wrong_state"
    assert len(office.tables.rows("keys")) == 2


type Change = Callable[[Office, str], Awaitable[Any]]

# What must be noticed of a key: everything that stops it.
STOPS: dict[str, Change] = {
    "revoked": lambda office, name: office.subscriptions.revoke(asked(), name, "primary"),
    "regenerated": lambda office, name: office.subscriptions.regenerate(asked(), name, "primary"),
    "suspended": lambda office, name: office.subscriptions.transition(asked(), name, "suspend"),
    "tenant suspended": lambda office, _: office.administration.change_tenant(asked({"state": "suspended"}), "contoso"),
}


def serves(record: Any) -> bool:
    return record is not None and record.active and record.tenant_active and record.state == "active"


@pytest.mark.parametrize("stop", STOPS)
async def test_what_stops_a_key_is_noticed_at_once_here_and_within_five_seconds_elsewhere(office: Office, stop: str) -> None:
    other = Office(office.tables, office.clock)
    await office.tenant("contoso")
    made = await office.subscribe(tenant="contoso")
    key_id = made["keys"]["primary"].split("_")[1]
    for worker in (office, other):
        assert serves(await worker.memory.records.get(key_id))
    office.clock.advance(2.4)  # the other one has just read it, as it were
    await STOPS[stop](office, made["id"])
    assert not serves(await office.memory.records.get(key_id))
    noticed_s = 0.0
    while serves(await other.memory.records.get(key_id)):
        await asyncio.sleep(0)  # for what it reads in the background
        office.clock.advance(0.1)
        noticed_s += 0.1
    assert noticed_s <= 5


async def test_a_changed_product_and_a_new_identity_are_noticed_too(office: Office) -> None:
    other = Office(office.tables, office.clock)
    await office.product("gold")
    made = await office.subscribe("gold")
    for worker in (office, other):
        assert (await worker.memory.products.get("gold")).models == ("*",)  # type: ignore[union-attr]
        assert await worker.memory.identities.get(ALICE) is None
    await office.administration.change_product(asked({"models": ["mini"]}), "gold")
    await office.subscriptions.change(asked({"identities": [ALICE]}), made["id"])
    assert (await office.memory.products.get("gold")).models == ("mini",)  # type: ignore[union-attr]
    assert serves(await office.memory.identities.get(ALICE))
    office.clock.advance(4.1)
    assert (await other.memory.products.get("gold")).models == ("mini",)  # type: ignore[union-attr]
    assert serves(await other.memory.identities.get(ALICE))


class Interrupted(FakeTables):
    """Lets others in after every read, so that changes that begin together meet."""

    async def get(self, table: str, partition: str, row: str) -> Entity | None:
        found = await super().get(table, partition, row)
        await asyncio.sleep(0)
        return found


async def test_of_keys_that_are_made_at_once_the_last_one_works_and_no_update_is_lost() -> None:
    office = Office(Interrupted())
    made = await office.subscribe()
    told = await asyncio.gather(
        office.subscriptions.regenerate(asked(), made["id"], "primary"),
        office.subscriptions.regenerate(asked(), made["id"], "secondary"),
        office.subscriptions.change(asked({"name": "renamed"}), made["id"]),
        return_exceptions=True,
    )
    shown = (await office.subscriptions.read(asked(), made["id"])).value
    for one, slot in zip(told, ("primary", "secondary", "name"), strict=True):
        if isinstance(one, BaseException):
            assert isinstance(one, Conflict)
        elif slot == "name":
            assert shown["name"] == "renamed"
        else:
            assert await office.opens(one.value["keys"][slot])
            assert not await office.opens(made["keys"][slot])
    assert sum(not isinstance(one, BaseException) for one in told) >= 2


class Contested(FakeTables):
    """Somebody else always writes a subscription first, as often as `rivals` says."""

    rivals = 0

    async def replace(self, table: str, partition: str, row: str, values: Mapping[str, Value], etag: str) -> str:
        if table == "subscriptions" and self.rivals:
            self.rivals -= 1
            found = await self.get(table, partition, row)
            assert found is not None
            await super().replace(table, partition, row, found.values, found.etag)
        return await super().replace(table, partition, row, values, etag)


async def test_who_writes_without_a_pause_cannot_keep_an_administrator_from_a_change() -> None:
    tables = Contested()
    office = Office(tables)
    made = await office.subscribe()
    tables.rivals = TRIES - 1
    assert (await office.subscriptions.transition(asked(), made["id"], "suspend")).value["state"] == "suspended"
    tables.rivals = TRIES
    with pytest.raises(Conflict, match="somebody else"):
        await office.subscriptions.transition(asked(), made["id"], "resume")


async def test_of_an_identity_that_two_bind_at_once_one_gets_it() -> None:
    office = Office(Interrupted())
    told = await asyncio.gather(office.subscribe(identities=[ALICE]), office.subscribe(identities=[ALICE]), return_exceptions=True)
    assert [type(one) for one in told if isinstance(one, BaseException)] == [Conflict]
    (made,) = (one for one in told if not isinstance(one, BaseException))
    record = await office.directory.identity_record(ALICE)
    assert record is not None
    assert record.principal.subscription == made["id"]


class Breaking(FakeTables):
    """Dies at the n-th write: before it, or after it was done."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left = 10**9
        self.late = False

    async def _one(self, table: str, partition: str, write: Any) -> str:
        self.writes_left -= 1
        if self.writes_left >= 0:
            return await super()._one(table, partition, write)
        if self.writes_left == -1 and self.late:
            await super()._one(table, partition, write)
        raise StoreUnavailable("gone")


async def _create(office: Office, _: str) -> Any:
    return await office.subscribe(identities=[ALICE], name="second")


async def _rename(office: Office, name: str) -> Any:
    return await office.subscriptions.change(asked({"name": "second", "identities": [ALICE]}), name)


CHANGES: dict[str, Change] = {
    **{name: STOPS[name] for name in ("revoked", "regenerated", "suspended")},
    "created": _create,
    "renamed": _rename,
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("writes", range(6))
@pytest.mark.parametrize("name", CHANGES)
async def test_a_crash_between_any_two_writes_leaves_nothing_broken(name: str, writes: int, late: bool) -> None:
    tables = Breaking()
    office = Office(tables)
    made = await office.subscribe()
    tables.writes_left, tables.late = writes, late
    with contextlib.suppress(StoreUnavailable):
        await CHANGES[name](office, made["id"])
    tables.writes_left = 10**9
    again = Office(tables, office.clock)  # another worker, that remembers nothing
    listed = (await again.subscriptions.list(asked()))["data"]
    assert {each["name"] for each in listed} <= {"", "second"}
    shown = {each["id"]: each for each in listed}
    for row in tables.rows("keys"):
        record = await again.directory.key_record(row.partition)
        named = record is not None and row.partition in {each.id for each in shown[record.principal.subscription]["key_slots"]}
        assert (record is not None and record.active) == named  # a key works if and only if its subscription shows it
    for each in listed:
        assert {slot.id for slot in each["key_slots"]} <= {row.partition for row in tables.rows("keys")}
    office.clock.advance(CLAIM_S)
    for each in listed:  # whatever was left behind stands in nobody's way
        if ALICE in each["identities"]:
            await again.subscriptions.change(asked({"identities": None}), each["id"])
    assert (await again.subscribe(identities=[ALICE]))["identities"] == (ALICE,)
    told = await again.subscriptions.regenerate(asked(), made["id"], "primary")
    assert not await again.opens(made["keys"]["primary"])
    assert await again.opens(told.value["keys"]["primary"])


class Counting(FakeTables):
    """Says what was written where."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    async def replace(self, table: str, partition: str, row: str, values: Mapping[str, Value], etag: str) -> str:
        self.written.append(table)
        return await super().replace(table, partition, row, values, etag)


async def test_a_change_that_changes_nothing_writes_nothing() -> None:
    tables = Counting()
    office = Office(tables)
    made = await office.subscribe(name="x")
    await office.subscriptions.change(asked({"name": "x"}), made["id"])
    assert tables.written == []
    await office.subscriptions.change(asked({"name": "y"}), made["id"])
    assert tables.written == ["subscriptions"]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["regenerate", "revoke", "suspend", "resume", "cancel", "wait"]), st.sampled_from(["primary", "secondary"])),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_whatever_is_done_the_shown_keys_are_those_that_work(actions: list[tuple[str, str]]) -> None:
    asyncio.run(_do(actions))


async def _do(actions: list[tuple[str, str]]) -> None:
    office = Office()
    made = await office.subscribe()
    texts = {text.split("_")[1]: text for text in made["keys"].values()}
    for action, slot in actions:
        with contextlib.suppress(Conflict):
            if action == "wait":
                office.clock.advance(30)
            elif action == "regenerate":
                told = await office.subscriptions.regenerate(asked({"overlap_s": 45}), made["id"], slot)
                texts |= {text.split("_")[1]: text for text in told.value["keys"].values()}
            elif action == "revoke":
                await office.subscriptions.revoke(asked(), made["id"], slot)
            else:
                await office.subscriptions.transition(asked(), made["id"], action)
        shown = (await office.subscriptions.read(asked(), made["id"])).value
        living = {each.id for each in shown["key_slots"] if each.works_at(office.clock.utc())}
        for key_id, text in texts.items():
            record = await office.record(text)
            assert (record is not None and record.active) == (key_id in living)
