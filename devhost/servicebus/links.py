"""A session's links: messages in, messages out, and what becomes of them.

A link's two ends count its deliveries; the receiving end gives credit. We receive from those who send, and send to those who
receive. `$cbs` (where clients show a token) and `<queue>/$management` are links to ourselves: a request on one, its answer on
the other.

Every token is taken: this is a Service Bus for one machine, on a loopback address.
"""

import secrets
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from devhost.servicebus import management, messages
from devhost.servicebus.codec import DecodeError, Described, Ulong
from devhost.servicebus.frames import AmqpError, Attach, Begin, Detach, Disposition, Flow, Performative, Transfer
from devhost.servicebus.messages import Message
from devhost.servicebus.queues import Queue
from devhost.servicebus.terms import Outcome

MAX_MESSAGE_BYTES = 262_144
CREDIT = 1_000  # messages that a sender may have on the way
CBS, MANAGEMENT = "$cbs", "/$management"
_BATCH = 0x80013700
_FRAME_OVERHEAD = 512
_SOURCE, _TARGET = 0x28, 0x29
_ACCEPTED, _REJECTED, _RELEASED, _MODIFIED = 0x24, 0x25, 0x26, 0x27
_SETTLED_FIRST = 1  # a receiver's settle mode, as the sender's: what is sent is settled
_LOCK_LOST = AmqpError(
    "com.microsoft:message-lock-lost", "The lock supplied is invalid. Either the lock expired, or the message was settled."
)


class Peer(Protocol):
    """The connection under a session."""

    max_frame_bytes: int

    def send(self, performative: Performative, channel: int, payload: bytes = b"") -> None:
        """Send a frame after the next commit."""

    def queue(self, name: str) -> Queue | None:
        """Return a queue by its name."""


class Link:
    """One link. As a consumer of a queue it sends."""

    def __init__(self, session: "Session", attach: Attach, address: str, queue: Queue | None) -> None:
        self.session = session
        self.handle = attach.handle
        self.address = address
        self.queue = queue
        self.sends = attach.role  # the peer receives, so we send
        self.settles = attach.snd_settle_mode == _SETTLED_FIRST
        self.credit = 0
        self.delivery_count = attach.initial_delivery_count or 0
        self.first: Transfer | None = None  # of a message that comes in several
        self.payload = bytearray()

    def wants(self) -> bool:
        """Tell whether a message may be sent."""
        return self.credit > 0 and self.session.window > 0

    def deliver(self, message: Message) -> None:
        """Send a message of its queue under a lock, or for good where the receiver wants it so."""
        queue = self.queue
        assert queue is not None
        if self.settles:
            encoded = message.encoded()
            queue.forget(message)
            self.send(encoded, secrets.token_bytes(16))
        else:
            lock = queue.lock(message)
            delivery_id = self.send(message.encoded(lock.until_ms), lock.token.bytes_le)
            self.session.unsettled[delivery_id] = (queue, lock.token)

    def send(self, encoded: bytes, tag: bytes, *, settled: bool | None = None) -> int:
        """Send a message in as many frames as it needs; return its delivery id."""
        session = self.session
        delivery_id = session.next_outgoing_id
        settled = self.settles if settled is None else settled
        step = session.peer.max_frame_bytes - _FRAME_OVERHEAD
        for at in range(0, len(encoded), step):
            first, more = at == 0, at + step < len(encoded)
            transfer = Transfer(self.handle, delivery_id if first else None, tag if first else None, 0 if first else None, settled, more)
            session.send(transfer, encoded[at : at + step])
            session.next_outgoing_id += 1
            session.window -= 1
        self.delivery_count += 1
        self.credit -= 1
        return delivery_id

    def grant(self) -> None:
        """Give the peer credit anew."""
        self.credit = CREDIT
        self.session.send_flow(self)


class Session:
    """One session of a connection."""

    def __init__(self, peer: Peer, channel: int, begin: Begin) -> None:
        self.peer = peer
        self.channel = channel
        self.window = begin.incoming_window
        self.next_incoming_id = begin.next_outgoing_id
        self.next_outgoing_id = 0
        self.links: dict[int, Link] = {}
        self.replies: dict[str, Link] = {}
        self.unsettled: dict[int, tuple[Queue, uuid.UUID]] = {}
        self.handlers: dict[type, Callable[[Any, bytes], None]] = {
            Attach: lambda attach, _: self._attach(attach),
            Flow: lambda flow, _: self._flow(flow),
            Transfer: self._transfer,
            Disposition: lambda disposition, _: self._disposition(disposition),
            Detach: lambda detach, _: self._detach(detach),
        }

    def send(self, performative: Performative, payload: bytes = b"") -> None:
        """Send a frame on this session's channel."""
        self.peer.send(performative, self.channel, payload)

    def send_flow(self, link: Link, *, drain: bool | None = None) -> None:
        """Say how a link stands."""
        self.send(
            Flow(
                self.next_incoming_id,
                next_outgoing_id=self.next_outgoing_id,
                handle=link.handle,
                delivery_count=link.delivery_count,
                link_credit=link.credit,
                drain=drain,
            )
        )

    def end(self) -> None:
        """Let the links go; locks stay until they expire."""
        for link in self.links.values():
            self._drop(link)
        self.links.clear()

    def _attach(self, attach: Attach) -> None:
        address = _address(attach)
        own = address == CBS or address.endswith(MANAGEMENT)
        queue = None if address == CBS else self.peer.queue(address.removesuffix(MANAGEMENT))
        try:
            _check(attach, address, queue)
        except AmqpError as refusal:
            # As the protocol has it: attached to nothing, then detached with the reason.
            self.send(Attach(attach.name, attach.handle, not attach.role, initial_delivery_count=0 if attach.role else None))
            self.send(Detach(attach.handle, closed=True, error=refusal.encoded()))
            return
        link = self.links[attach.handle] = Link(self, attach, address, queue)
        self.send(
            Attach(
                attach.name,
                attach.handle,
                not attach.role,
                attach.snd_settle_mode,
                attach.rcv_settle_mode,
                Described(Ulong(_SOURCE), [address if attach.role else None]),
                Described(Ulong(_TARGET), [None if attach.role else address]),
                initial_delivery_count=0 if attach.role else None,
                max_message_size=MAX_MESSAGE_BYTES,
            )
        )
        if not link.sends:
            link.grant()
        elif own:
            self.replies[address] = link
        elif queue is not None:
            queue.consumers.append(link)

    def _flow(self, flow: Flow) -> None:
        if flow.next_incoming_id is not None:
            self.window = flow.next_incoming_id + flow.incoming_window - self.next_outgoing_id
        link = self.links.get(flow.handle) if flow.handle is not None else None
        if link is not None and link.sends:
            link.credit = (flow.delivery_count or 0) + (flow.link_credit or 0) - link.delivery_count
        for queue in {each.queue for each in self.links.values() if each.sends and each.queue is not None}:
            queue.pump()
        if link is not None and link.sends and flow.drain:
            link.delivery_count += max(0, link.credit)
            link.credit = 0
            self.send_flow(link, drain=True)
        elif link is not None and flow.echo:
            self.send_flow(link)

    def _transfer(self, transfer: Transfer, payload: bytes) -> None:
        link = self._link(transfer.handle)
        self.next_incoming_id += 1
        link.first = link.first or transfer
        if len(link.payload) <= MAX_MESSAGE_BYTES:  # beyond it the message is refused at its end, and not kept until then
            link.payload += payload
        if transfer.aborted:
            link.first = None
            link.payload.clear()
        if transfer.more or link.first is None:
            return
        first, encoded = link.first, bytes(link.payload)
        link.first = None
        link.payload.clear()
        link.delivery_count += 1
        link.credit -= 1
        try:
            self._receive(link, first, encoded)
            state = Described(Ulong(_ACCEPTED), [])
        except AmqpError as refusal:
            state = Described(Ulong(_REJECTED), [refusal.encoded()])
        if not (first.settled or transfer.settled):
            self.send(Disposition(role=True, first=first.delivery_id or 0, last=first.delivery_id, settled=True, state=state))
        if link.credit < CREDIT // 2:
            link.grant()

    def _receive(self, link: Link, first: Transfer, encoded: bytes) -> None:
        """Do with a whole message what its link is for."""
        try:
            if link.address == CBS or link.address.endswith(MANAGEMENT):
                reply = self.replies.get(link.address)
                answer = management.answer(link.queue, encoded)
                if reply is not None:
                    reply.send(answer, secrets.token_bytes(4), settled=True)
                return
            if len(encoded) > MAX_MESSAGE_BYTES:
                raise AmqpError("amqp:link:message-size-exceeded", f"The message has more than the {MAX_MESSAGE_BYTES} bytes it may have.")
            parts = messages.batched(encoded) if first.message_format == _BATCH else [encoded]
            contents = [messages.read(part) for part in parts]  # all of them, before the first is kept
        except DecodeError as exc:
            raise AmqpError("amqp:decode-error", str(exc)) from exc
        if link.queue is not None:
            for content in contents:
                link.queue.put(content)
            link.queue.pump()

    def _disposition(self, disposition: Disposition) -> None:
        if not disposition.role or not isinstance(disposition.state, Described):
            return
        last = disposition.first if disposition.last is None else disposition.last
        for delivery_id in [each for each in self.unsettled if disposition.first <= each <= last]:
            queue, token = self.unsettled.pop(delivery_id)
            known = queue.settle(token, *_outcome(disposition.state))
            if disposition.settled:
                continue
            # The SDK waits for an outcome, and expects its own back.
            fields = [] if known else [_LOCK_LOST.encoded()]
            state = Described(Ulong(disposition.state.descriptor if known else _REJECTED), fields)
            self.send(Disposition(role=False, first=delivery_id, last=delivery_id, settled=True, state=state))

    def _detach(self, detach: Detach) -> None:
        link = self.links.pop(detach.handle, None)
        if link is not None:
            self._drop(link)
            self.send(Detach(detach.handle, closed=detach.closed))

    def _drop(self, link: Link) -> None:
        if link.queue is not None and link in link.queue.consumers:
            link.queue.consumers.remove(link)
        if self.replies.get(link.address) is link:
            del self.replies[link.address]

    def _link(self, handle: int) -> Link:
        if handle not in self.links:
            raise AmqpError("amqp:session:unattached-handle", f"there is no link {handle} in this session")
        return self.links[handle]


def _address(attach: Attach) -> str:
    """Return the name of what a link leads to; clients may write it as a URL."""
    end = attach.source if attach.role else attach.target
    fields = end.value if isinstance(end, Described) and isinstance(end.value, list) else []
    name = str(fields[0]) if fields and fields[0] is not None else ""
    return name.split("://", 1)[1].partition("/")[2].lower() if "://" in name else name.lower()


def _check(attach: Attach, address: str, queue: Queue | None) -> None:
    """Refuse a link that leads nowhere, or asks for what is not here."""
    if address != CBS and queue is None:
        raise AmqpError("amqp:not-found", f"The messaging entity '{address}' could not be found.")
    source = attach.source.value if isinstance(attach.source, Described) and isinstance(attach.source.value, list) else []
    filters = source[7] if attach.role and len(source) > 7 and isinstance(source[7], dict) else {}
    if "com.microsoft:session-filter" in filters:
        raise AmqpError("amqp:not-implemented", "Sessions of messages are not emulated: receive without a session.")


def _outcome(state: Described) -> tuple[Outcome, str, str]:
    """Return what a receiver decided, and a dead letter's reason and description."""
    fields = state.value if isinstance(state.value, list) else []
    if state.descriptor == _ACCEPTED:
        return Outcome.COMPLETE, "", ""
    if state.descriptor == _RELEASED:
        return Outcome.RELEASE, "", ""
    if state.descriptor == _MODIFIED:
        return (Outcome.DEFER if len(fields) > 1 and fields[1] else Outcome.ABANDON), "", ""
    if state.descriptor == _REJECTED:
        error = fields[0].value if fields and isinstance(fields[0], Described) and isinstance(fields[0].value, list) else []
        info = error[2] if len(error) > 2 and isinstance(error[2], dict) else {}
        return Outcome.DEAD_LETTER, str(info.get("DeadLetterReason") or ""), str(info.get("DeadLetterErrorDescription") or "")
    raise AmqpError("amqp:not-implemented", f"there is no outcome 0x{state.descriptor:02x}")
