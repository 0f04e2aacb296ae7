"""Captured calls: taken without waiting, bounded, written in the background, erased, and deleted when they are over."""

import datetime
import logging
from typing import Any

import pytest

from gateway.captures.capture import MAX_BODY_BYTES, Captures, chosen
from gateway.captures.names import CONTAINER, name_of, pack, read_name, unpack
from gateway.captures.record import Captured, Outcome
from gateway.domain.call import Operation, Surface
from gateway.domain.conversations import Capture
from gateway.errors import StoreUnavailable
from tests.builders import make_inbound, make_principal, make_product
from tests.fakes.blobs import FakeBlobs
from tests.fakes.clock import FakeClock

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PRODUCT = make_product(capture=Capture())


class World:
    def __init__(self, **over: Any) -> None:
        self.blobs, self.clock = FakeBlobs(), FakeClock()
        self.captures = Captures(self.blobs, self.clock, **over)


def captured(**over: Any) -> Captured:
    tenant = over.pop("tenant", "contoso")
    headers = {name: over.pop(short) for short, name in (("user", "x-gateway-user"), ("session", "x-gateway-session")) if short in over}
    fields: dict[str, Any] = {
        "request_id": "req_1", "at": NOW, "days": 7, "principal": make_principal(tenant=tenant), "operation": Operation.CHAT,
        "surface": Surface.OPENAI, "method": "POST", "path": "/v1/chat/completions", "headers": headers, "body": b'{"a": "\xc3\xa9"}',
    }  # fmt: skip
    return Captured(**fields | over)


def test_a_blob_holds_all_of_a_call_and_is_the_same_for_the_same_call() -> None:
    call = captured(outcome=Outcome(cost_micro_usd=None, status=400), body=b"\xff\x00 not text")
    assert unpack(pack(call)) == call
    assert pack(call) == pack(call)
    with pytest.raises(ValueError, match="no captured call"):
        unpack(b"something else")


def test_a_blobs_name_says_whose_it_is_and_when_it_is_over_but_no_user() -> None:
    name = name_of(captured(user="anna", session="s-17", days=3))
    assert name.startswith("contoso/2026-01-01/00/req_1~3~")
    assert "anna" not in name
    assert "s-17" not in name
    read = read_name(name)
    assert read is not None
    assert (read.tenant, read.day, read.request_id, read.days) == ("contoso", "2026-01-01", "req_1", 3)
    assert read_name("contoso/2026-01-01/00/something.else") is None


def test_the_same_user_of_two_tenants_goes_by_two_names() -> None:
    first, second = (read_name(name_of(captured(user="anna", tenant=tenant))) for tenant in ("contoso", "fabrikam"))
    assert first is not None
    assert second is not None
    assert first.user != second.user


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_the_calls_is_captured_by_their_ids(share: float) -> None:
    count = sum(chosen(f"req_{number}", share) for number in range(4000))
    assert abs(count / 4000 - share) < 0.03
    assert chosen("req_1", share) == chosen("req_1", share)


def test_a_call_is_captured_only_where_its_product_says_so() -> None:
    captures = World().captures
    begin = captures.begin
    assert begin(make_inbound(), b"{}", make_principal(), PRODUCT) is not None
    assert begin(make_inbound(), b"{}", make_principal(), make_product()) is None
    assert begin(make_inbound(), b"{}", make_principal(), make_product(capture=Capture(share=0.0))) is None
    assert begin(make_inbound(operation=Operation.FORWARD), b"{}", make_principal(), PRODUCT) is None
    assert begin(make_inbound(), b"x" * (MAX_BODY_BYTES + 1), make_principal(), PRODUCT) is None
    assert captures.dropped == 1


async def test_what_is_taken_is_written_in_the_background() -> None:
    world = World()
    world.captures.add(captured(), 0)
    assert world.blobs.data == {}
    assert world.captures._task is not None
    await world.captures._task
    assert world.blobs.names() == [name_of(captured())]


async def test_what_finds_no_room_is_left_out_and_counted_and_room_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    size = captured().size
    world = World(max_waiting_bytes=2 * size)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            world.captures.add(captured(request_id=f"req_{number}"), 0)
    assert world.captures.dropped == 3
    assert "not captured" in caplog.text
    await world.captures.flush()
    assert len(world.blobs.names()) == 2
    assert world.captures._held_bytes == 0
    world.captures.add(captured(request_id="req_9"), 0)
    await world.captures.flush()
    assert len(world.blobs.names()) == 3


async def test_while_the_store_is_down_calls_wait_and_are_written_after_it() -> None:
    world = World()
    world.blobs.down = True
    for number in range(20):
        world.captures.add(captured(request_id=f"req_{number}"), 0)
    with pytest.raises(StoreUnavailable):
        await world.captures.flush()
    world.blobs.down = False
    await world.captures.flush()
    assert len(world.blobs.names()) == 20
    assert (world.captures.dropped, world.captures._held_bytes) == (0, 0)


async def test_what_a_store_does_not_take_at_the_end_is_counted() -> None:
    world = World()
    world.captures.add(captured(), 0)
    world.blobs.down = True
    await world.captures.close()
    assert (world.captures.dropped, world.captures._held_bytes) == (1, 0)


async def filled(*calls: Captured) -> World:
    world = World()
    for call in calls:
        world.captures.add(call, 0)
    await world.captures.flush()
    return world


async def test_calls_are_listed_by_tenant_and_time() -> None:
    hours = [NOW + datetime.timedelta(hours=hour) for hour in (0, 1, 25)]
    world = await filled(*(captured(tenant=tenant, at=at) for at in hours for tenant in ("contoso", "contoso-2", "fabrikam")))

    async def days(since: int, until: int) -> list[str]:
        first, last = (NOW + datetime.timedelta(hours=hour) for hour in (since, until))
        return [name async for name in world.captures.names("contoso", first, last)]

    assert [name.rpartition("/")[0] for name in await days(0, 48)] == [
        "contoso/2026-01-01/00",
        "contoso/2026-01-01/01",
        "contoso/2026-01-02/01",
    ]
    assert [name.rpartition("/")[0] for name in await days(1, 2)] == ["contoso/2026-01-01/01"]
    (only,) = await days(1, 2)
    rest = [name async for name in world.captures.names("contoso", NOW, NOW + datetime.timedelta(hours=48), only)]
    assert [name.rpartition("/")[0] for name in rest] == ["contoso/2026-01-02/01"]


async def test_a_user_a_session_or_a_tenant_is_erased_and_nobody_else() -> None:
    calls = [
        captured(request_id="req_1", user="anna", session="s1"),
        captured(request_id="req_2", user="anna", session="s2"),
        captured(request_id="req_3", user="bert", session="s1"),
        captured(request_id="req_4", user="anna", tenant="fabrikam"),
        captured(request_id="req_5"),
    ]
    world = await filled(*calls)
    world.captures.add(captured(request_id="req_6", user="anna"), 0)  # not written yet
    assert await world.captures.erase("contoso", user="anna") == 3
    left = [unpack(world.blobs.data[CONTAINER, name]).request_id for name in world.blobs.names()]
    assert left == ["req_3", "req_5", "req_4"]
    await world.captures.flush()
    assert len(world.blobs.names()) == 3
    assert await world.captures.erase("contoso", session="s1") == 1
    assert await world.captures.erase("contoso") == 1
    assert [name.partition("/")[0] for name in world.blobs.names()] == ["fabrikam"]


async def test_what_is_over_is_deleted_at_the_end_of_its_last_day() -> None:
    world = await filled(captured(request_id="req_1", days=1), captured(request_id="req_2", days=3), captured(tenant="fabrikam", days=1))
    assert await world.captures.purge() == 0
    world.clock.advance(2 * 86400 - 1)
    assert await world.captures.purge() == 0
    world.clock.advance(1)
    assert await world.captures.purge() == 2
    assert [each.request_id for each in (unpack(data) for data in world.blobs.data.values())] == ["req_2"]
    listed = world.blobs.listed
    assert await world.captures.purge() == 0
    assert world.blobs.listed == listed + 2  # the day's first name, and the end: it is known when the next is over
    world.clock.advance(2 * 86400)
    assert await world.captures.purge() == 1
    assert world.blobs.data == {}


async def test_a_blob_that_is_none_is_passed_over() -> None:
    world = await filled(captured())
    (name,) = world.blobs.names()
    world.blobs.data[CONTAINER, name] = b"torn"
    assert await world.captures.read(name) is None
    assert await world.captures.read("contoso/2026-01-01/00/gone") is None
