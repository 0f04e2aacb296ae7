"""What a session of the emulated Service Bus says, frame by frame, to clients other than the SDK and to clients in error."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from devhost.servicebus.codec import Described, Ulong, decode, encode
from devhost.servicebus.connection import Connection
from devhost.servicebus.frames import (
    AMQP_HEADER,
    EMPTY,
    MAX_FRAME_BYTES,
    AmqpError,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Transfer,
    read,
    write,
)
from devhost.servicebus.journal import SqliteJournal
from devhost.servicebus.links import MAX_MESSAGE_BYTES, Session
from devhost.servicebus.messages import sections
from devhost.servicebus.queues import Queue
from devhost.servicebus.terms import Options

BODY = encode(Described(Ulong(0x75), b"body"))
TO_JOBS = Described(Ulong(0x29), ["jobs"])
FROM_JOBS = Described(Ulong(0x28), ["jobs"])


class Peer:
    """A connection that keeps what is sent, and a broker with one queue."""

    max_frame_bytes = 1024

    def __init__(self) -> None:
        self.sent: list[tuple[Any, bytes]] = []
        self.journal = SqliteJournal(None)
        self.jobs = Queue("jobs", Options(), self.journal, lambda: 1_000)

    def send(self, performative: Any, channel: int, payload: bytes = b"") -> None:
        self.sent.append((performative, payload))

    def queue(self, name: str) -> Queue | None:
        return self.jobs if name == "jobs" else None

    def said(self, kind: type) -> list[Any]:
        return [performative for performative, _ in self.sent if isinstance(performative, kind)]


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.journal.close()


def session(peer: Peer, window: int = 100) -> Session:
    return Session(peer, 0, Begin(incoming_window=window))


def tell(to: Session, performative: Any, payload: bytes = b"") -> None:
    to.handlers[type(performative)](performative, payload)


def sender(peer: Peer, window: int = 100) -> Session:
    opened = session(peer, window)
    tell(opened, Attach("s", 0, False, target=TO_JOBS, initial_delivery_count=0))
    return opened


def receiver(peer: Peer, window: int = 100) -> Session:
    opened = session(peer, window)
    tell(opened, Attach("r", 1, True, 0, source=FROM_JOBS))
    return opened


def put(peer: Peer, count: int) -> None:
    opened = sender(peer)
    for number in range(count):
        tell(opened, Transfer(0, number, b"t", 0, settled=True), BODY)


def test_a_sender_is_given_credit_and_told_the_largest_message(peer: Peer) -> None:
    sender(peer)
    (attach,) = peer.said(Attach)
    assert (attach.role, attach.max_message_size, attach.target) == (True, MAX_MESSAGE_BYTES, TO_JOBS)
    assert peer.said(Flow)[0].link_credit == 1_000


def test_credit_never_runs_out_for_a_sender_that_goes_on(peer: Peer) -> None:
    put(peer, 700)
    assert [flow.delivery_count for flow in peer.said(Flow)] == [0, 501]


def test_a_message_in_parts_counts_once_and_an_aborted_one_not_at_all(peer: Peer) -> None:
    opened = sender(peer)
    tell(opened, Transfer(0, 0, b"t", 0, False, True), BODY[:3])
    tell(opened, Transfer(0, aborted=True))
    tell(opened, Transfer(0, 1, b"t", 0, False, True), BODY[:3])
    tell(opened, Transfer(0), BODY[3:])
    assert len(peer.jobs) == 1
    assert [(each.first, each.state.descriptor) for each in peer.said(Disposition)] == [(1, 0x24)]


def test_what_is_no_message_is_rejected_and_the_link_goes_on(peer: Peer) -> None:
    opened = sender(peer)
    tell(opened, Transfer(0, 0, b"t", 0), b"noise")
    tell(opened, Transfer(0, 1, b"t", 0), BODY)
    rejected, accepted = peer.said(Disposition)
    assert rejected.state.value[0].value[0] == "amqp:decode-error"
    assert accepted.state.descriptor == 0x24


def test_a_batch_with_one_part_that_is_no_message_keeps_none_of_them(peer: Peer) -> None:
    opened = sender(peer)
    tell(opened, Transfer(0, 0, b"t", 0x80013700), encode(Described(Ulong(0x75), BODY)) + encode(Described(Ulong(0x75), b"noise")))
    assert len(peer.jobs) == 0


def test_a_receiver_gets_no_more_than_its_credit(peer: Peer) -> None:
    put(peer, 5)
    opened = receiver(peer)
    tell(opened, Flow(0, handle=1, delivery_count=0, link_credit=2))
    assert len(peer.said(Transfer)) == 2
    tell(opened, Flow(0, handle=1, delivery_count=2, link_credit=2))
    assert len(peer.said(Transfer)) == 4


def test_a_receiver_gets_no_more_frames_than_its_sessions_window(peer: Peer) -> None:
    put(peer, 5)
    opened = receiver(peer, window=2)
    tell(opened, Flow(0, incoming_window=2, handle=1, delivery_count=0, link_credit=5))
    assert len(peer.said(Transfer)) == 2
    tell(opened, Flow(2, incoming_window=2))
    assert len(peer.said(Transfer)) == 4


def test_draining_uses_up_what_credit_is_left_and_says_so(peer: Peer) -> None:
    put(peer, 1)
    opened = receiver(peer)
    tell(opened, Flow(0, handle=1, delivery_count=0, link_credit=5, drain=True))
    last = peer.said(Flow)[-1]
    assert (last.drain, last.link_credit, last.delivery_count) == (True, 0, 5)
    put(peer, 1)
    assert len(peer.said(Transfer)) == 1


def test_a_large_message_is_sent_in_frames_that_the_receiver_takes(peer: Peer) -> None:
    opened = sender(peer)
    tell(opened, Transfer(0, 0, b"t", 0, settled=True), encode(Described(Ulong(0x75), b"z" * 5_000)))
    tell(receiver(peer), Flow(0, handle=1, delivery_count=0, link_credit=1))
    frames = [write(performative, 0, payload) for performative, payload in peer.sent if isinstance(performative, Transfer)]
    assert max(map(len, frames)) <= peer.max_frame_bytes
    whole = b"".join(read(frame).payload for frame in frames)
    assert [code for code, _, _ in sections(whole)] == [0x70, 0x72, 0x75]
    assert [performative.more for performative in peer.said(Transfer)][-1] is False


def test_a_link_that_leads_nowhere_is_detached_with_the_reason(peer: Peer) -> None:
    tell(session(peer), Attach("x", 3, True, source=Described(Ulong(0x28), ["nowhere"])))
    (attach,), (detach,) = peer.said(Attach), peer.said(Detach)
    assert (attach.source, attach.target, detach.error.value[0]) == (None, None, "amqp:not-found")


def test_a_transfer_on_no_link_is_an_error_of_the_session(peer: Peer) -> None:
    with pytest.raises(AmqpError, match="no link 9"):
        tell(session(peer), Transfer(9, 0, b"t", 0), BODY)


def test_an_operation_that_is_not_emulated_says_so(peer: Peer) -> None:
    opened = session(peer)
    tell(opened, Attach("in", 0, True, source=Described(Ulong(0x28), ["jobs/$management"])))
    tell(opened, Attach("out", 1, False, target=Described(Ulong(0x29), ["jobs/$management"])))
    tell(opened, Flow(0, handle=0, delivery_count=0, link_credit=10))
    request = encode(Described(Ulong(0x73), [Ulong(7)])) + encode(Described(Ulong(0x74), {"operation": "com.microsoft:add-rule"}))
    tell(opened, Transfer(1, 0, b"t", 0), request + encode(Described(Ulong(0x77), {})))
    (answer,) = [payload for performative, payload in peer.sent if isinstance(performative, Transfer)]
    parts = {code: decode(answer, at)[0].value for code, at, _ in sections(answer)}
    assert parts[0x73][5] == 7
    assert (parts[0x74]["statusCode"], parts[0x74]["errorCondition"]) == (501, "amqp:not-implemented")


def test_a_request_that_lacks_something_is_rejected(peer: Peer) -> None:
    opened = session(peer)
    tell(opened, Attach("out", 1, False, target=Described(Ulong(0x29), ["jobs/$management"])))
    request = encode(Described(Ulong(0x74), {"operation": "com.microsoft:renew-lock"})) + encode(Described(Ulong(0x77), {}))
    tell(opened, Transfer(1, 0, b"t", 0), request)
    (rejected,) = peer.said(Disposition)
    assert rejected.state.value[0].value[0] == "amqp:decode-error"


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written, self.closed, self.alive = b"", False, asyncio.Event()

    def write(self, data: Any) -> None:
        self.written += data
        if self.written.count(EMPTY) >= 3:
            self.alive.set()

    def close(self) -> None:
        self.closed = True


class Broker:
    """A broker that commits at once."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()

    def queue(self, name: str) -> None:
        return None

    def changed(self) -> None:
        for connection in self.connections:
            if flush := connection.take_outgoing():
                flush()


def connected() -> tuple[Connection, Transport]:
    connection, transport = Connection(Broker()), Transport()
    connection.connection_made(transport)
    connection.data_received(AMQP_HEADER + write(Open("c", max_frame_size=4096)))
    return connection, transport


def frames(data: bytes) -> list[Any]:
    found = []
    data = data.removeprefix(AMQP_HEADER)
    while data:
        size = int.from_bytes(data[:4])
        found.append(read(data[:size]).performative)
        data = data[size:]
    return found


def test_frames_may_arrive_in_any_pieces() -> None:
    connection, transport = connected()
    for byte in write(Begin(), 0) + write(End(), 0) + write(Close()):
        connection.data_received(bytes((byte,)))
    assert [type(each) for each in frames(transport.written)] == [Open, Begin, End, Close]
    assert transport.closed


@pytest.mark.parametrize(
    ("sent", "condition"),
    [
        ((MAX_FRAME_BYTES + 1).to_bytes(4) + b"\x02\x00\x00\x00", "amqp:connection:framing-error"),
        ((4).to_bytes(4) + b"\x02\x00\x00\x00", "amqp:connection:framing-error"),
        ((12).to_bytes(4) + b"\x02\x00\x00\x00noise", "amqp:decode-error"),
        (write(Flow(0), 5), "amqp:not-allowed"),
    ],
)
def test_a_connection_in_error_is_closed_with_the_reason(sent: bytes, condition: str) -> None:
    connection, transport = connected()
    connection.data_received(sent)
    last = frames(transport.written)[-1]
    assert isinstance(last, Close)
    assert last.error.value[0] == condition
    assert transport.closed


def test_a_mistake_in_one_session_ends_no_other() -> None:
    connection, transport = connected()
    connection.data_received(write(Begin(), 0) + write(Begin(), 1) + write(Transfer(3, 0, b"t", 0), 0, BODY) + write(End(), 1))
    ended = [each for each in frames(transport.written) if isinstance(each, End)]
    assert [each.error.value[0] if each.error else None for each in ended] == ["amqp:session:unattached-handle", None]
    assert not transport.closed


async def test_a_client_that_asks_for_signs_of_life_gets_them() -> None:
    connection, transport = Connection(Broker()), Transport()
    connection.connection_made(transport)
    connection.data_received(AMQP_HEADER + write(Open("c", idle_timeout=20)))
    async with asyncio.timeout(10):
        await transport.alive.wait()
    connection.connection_lost(None)
