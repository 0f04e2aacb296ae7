"""One queue, without I/O: what is ready, scheduled, under a lock or deferred, and what becomes of it.

    put ──► scheduled ──► ready ──► locked ──► gone (completed)
                            ▲          │ ├───► deferred ──► locked …
                            └──────────┘ └───► dead-letter queue
                     abandoned, or its lock expired

Rules, as Service Bus has them:

- A message is delivered in the order of its sequence number; after a lock was lost it is delivered again, before younger ones.
- Each delivery that ends without success counts; at `max_delivery_count` the message goes to the dead-letter queue.
- A message whose time to live is over goes there too, but never while it is under a lock.
- Within `duplicate_window_s` a message with an id that was seen is accepted and dropped.
- A deferred message comes by its number only, and is deferred again when its lock is lost.
- The dead-letter queue, `<name>/$deadletterqueue`, is a queue that has none itself and forgets nothing.

Every change is told to the journal before anybody learns of it. Times are milliseconds since 1970.
"""

import heapq
import itertools
import uuid
from collections import deque
from collections.abc import Callable

from devhost.servicebus import messages
from devhost.servicebus.frames import AmqpError
from devhost.servicebus.messages import Content, Message, State
from devhost.servicebus.terms import Consumer, Journal, Lock, Options, Outcome

DEAD_LETTERS = "/$deadletterqueue"
_NEVER = 2**31


class Queue:
    """A queue, and its dead-letter queue.

    Args:
        name: In lower case.
        now_ms: The clock.
    """

    def __init__(self, name: str, options: Options, journal: Journal, now_ms: Callable[[], int]) -> None:
        self.name = name
        self.options = options
        self.consumers: deque[Consumer] = deque()
        self.last_sequence = 0
        self._journal = journal
        self._now_ms = now_ms
        self._messages: dict[int, Message] = {}
        self._ready: list[int] = []
        self._locks: dict[uuid.UUID, tuple[int, int]] = {}
        self._due: list[tuple[int, int, uuid.UUID | None]] = []  # when, whose, and which lock
        self._seen: dict[str, tuple[int, int]] = {}
        self.dead_letters: Queue | None = None
        if not name.endswith(DEAD_LETTERS):
            own = Options(lock_s=options.lock_s, max_delivery_count=_NEVER)
            self.dead_letters = Queue(name + DEAD_LETTERS, own, journal, now_ms)

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, content: Content) -> int:
        """Take a message and return its number; for a duplicate, the number that the first one got."""
        now_ms = self._now_ms()
        if self.options.duplicate_window_s and content.message_id is not None:
            known = self._seen.get(content.message_id)
            if known is not None and known[1] > now_ms:
                return known[0]
            until_ms = now_ms + int(self.options.duplicate_window_s * 1000)
            self._seen.pop(content.message_id, None)  # so that the oldest stays in front
            self._seen[content.message_id] = (self.last_sequence + 1, until_ms)
            self._journal.seen(self.name, content.message_id, self.last_sequence + 1, until_ms)
        self.last_sequence += 1
        message = Message(self.last_sequence, content, now_ms)
        if content.scheduled_ms > now_ms:
            message.state = State.SCHEDULED
        message.expires_ms = self._expiry(message)
        self._journal.added(self.name, message)
        self._take_in(message)
        return message.sequence

    def restore(self, message: Message) -> None:
        """Take a message that a journal kept. A delivery that nobody settled has counted."""
        if message.state is State.LOCKED:
            message.state = State.READY
            self._messages[message.sequence] = message
            self._return(message)
        else:
            self._take_in(message)

    def remember(self, message_id: str, sequence: int, until_ms: int) -> None:
        """Take an id that a journal kept."""
        self._seen[message_id] = (sequence, until_ms)

    def lock(self, message: Message) -> Lock:
        """Lock a message for one delivery."""
        token = uuid.uuid4()
        message.state = State.LOCKED
        self._journal.changed(self.name, message)
        return Lock(token, self._hold(token, message.sequence))

    def renew(self, token: uuid.UUID) -> int | None:
        """Begin a lock's time anew and return its end; None if it is lost."""
        held = self._locks.get(token)
        return None if held is None else self._hold(token, held[0])

    def settle(self, token: uuid.UUID, outcome: Outcome, reason: str = "", description: str = "") -> bool:
        """End a delivery; False if its lock is lost."""
        held = self._locks.pop(token, None)
        if held is None:
            return False
        message = self._messages[held[0]]
        if outcome is Outcome.COMPLETE:
            self.forget(message)
        elif outcome is Outcome.DEAD_LETTER:
            self._bury(message, reason, description)
        else:
            message.deferred = message.deferred or outcome is Outcome.DEFER
            self._return(message, counts=outcome is not Outcome.RELEASE)
        self.pump()
        return True

    def forget(self, message: Message) -> None:
        """Remove a message for good."""
        del self._messages[message.sequence]
        self._journal.removed(self.name, message.sequence)

    def cancel(self, sequences: list[int]) -> None:
        """Remove scheduled messages; those that are no more, or were enqueued, are left as they are."""
        for sequence in sequences:
            message = self._messages.get(sequence)
            if message is not None and message.state is State.SCHEDULED:
                self.forget(message)

    def peek(self, from_sequence: int, count: int) -> list[Message]:
        """Return messages in whatever state, by number, without a lock."""
        return list(itertools.islice((each for number, each in sorted(self._messages.items()) if number >= from_sequence), count))

    def deferred(self, sequences: list[int]) -> list[Message]:
        """Return deferred messages by number.

        Raises:
            AmqpError: One is not there, not deferred, or under a lock; then none is returned.
        """
        found = [self._messages.get(sequence) for sequence in sequences]
        given = [each for each in found if each is not None and each.state is State.DEFERRED]
        if len(given) < len(sequences):
            raise AmqpError(
                "com.microsoft:message-not-found", f"not all of the messages {sequences} are deferred in the queue {self.name!r}"
            )
        return given

    def pump(self) -> None:
        """Hand out what is ready to consumers that have credit, in turn."""
        while self._ready and (consumer := self._next_consumer()) is not None:
            message = self._messages.get(heapq.heappop(self._ready))
            if message is None:
                continue  # it expired while it stood in line
            if 0 < message.expires_ms <= self._now_ms():
                self._expire(message)
            else:
                consumer.deliver(message)

    def run_due(self) -> None:
        """Do what the clock says: enqueue, expire, take back."""
        now_ms = self._now_ms()
        while self._due and self._due[0][0] <= now_ms:
            at_ms, sequence, token = heapq.heappop(self._due)
            message = self._messages.get(sequence)
            if token is not None:
                if self._locks.get(token) == (sequence, at_ms) and message is not None:
                    del self._locks[token]
                    self._return(message)
            elif message is not None and message.state is State.SCHEDULED and message.content.scheduled_ms <= now_ms:
                self._enqueue(message, now_ms)
            elif message is not None and message.state in (State.READY, State.DEFERRED) and message.expires_ms == at_ms:
                self._expire(message)
        self._forget_ids(now_ms)
        self.pump()
        if self.dead_letters is not None:
            self.dead_letters.run_due()

    def next_due_ms(self) -> int | None:
        """Return when the clock next has something to say."""
        own = [self._due[0][0]] if self._due else []
        below = self.dead_letters.next_due_ms() if self.dead_letters is not None else None
        return min([*own, *([below] if below is not None else [])], default=None)

    def _take_in(self, message: Message) -> None:
        self._messages[message.sequence] = message
        if message.state is State.SCHEDULED:
            heapq.heappush(self._due, (message.content.scheduled_ms, message.sequence, None))
            return
        if message.expires_ms:
            heapq.heappush(self._due, (message.expires_ms, message.sequence, None))
        if message.state is State.READY:
            heapq.heappush(self._ready, message.sequence)

    def _enqueue(self, message: Message, now_ms: int) -> None:
        message.state, message.enqueued_ms = State.READY, now_ms
        message.expires_ms = self._expiry(message)
        self._journal.changed(self.name, message)
        self._take_in(message)

    def _expiry(self, message: Message) -> int:
        default_ms = int(self.options.default_ttl_s * 1000)
        own_ms = message.content.ttl_ms
        ttl_ms = min(own_ms, default_ms) if own_ms and default_ms else own_ms or default_ms
        return message.enqueued_ms + ttl_ms if ttl_ms else 0

    def _hold(self, token: uuid.UUID, sequence: int) -> int:
        until_ms = self._now_ms() + int(self.options.lock_s * 1000)
        self._locks[token] = (sequence, until_ms)
        heapq.heappush(self._due, (until_ms, sequence, token))
        return until_ms

    def _return(self, message: Message, *, counts: bool = True) -> None:
        """Take a message back from a delivery that did not end it."""
        message.delivery_count += counts
        message.state = State.DEFERRED if message.deferred else State.READY
        if message.delivery_count >= self.options.max_delivery_count:
            times = self.options.max_delivery_count
            self._bury(message, "MaxDeliveryCountExceeded", f"Message could not be consumed after {times} delivery attempts.")
        elif 0 < message.expires_ms <= self._now_ms():
            self._expire(message)
        else:
            self._journal.changed(self.name, message)
            self._take_in(message)

    def _expire(self, message: Message) -> None:
        if self.options.dead_letter_expired:
            self._bury(message, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            self.forget(message)

    def _bury(self, message: Message, reason: str, description: str) -> None:
        """Move a message to the dead-letter queue; one that is there already stays."""
        if self.dead_letters is None:
            message.state, message.deferred = State.READY, False
            self._journal.changed(self.name, message)
            self._take_in(message)
            return
        self.forget(message)
        self.dead_letters.bury(messages.dead(message, self.name, reason, description), message.delivery_count)

    def bury(self, content: Content, delivery_count: int) -> None:
        """Take in a dead message with the count that it had."""
        self.last_sequence += 1
        message = Message(self.last_sequence, content, self._now_ms(), delivery_count=delivery_count)
        self._journal.added(self.name, message)
        self._take_in(message)
        self.pump()

    def _next_consumer(self) -> Consumer | None:
        for _ in range(len(self.consumers)):
            consumer = self.consumers[0]
            self.consumers.rotate(-1)
            if consumer.wants():
                return consumer
        return None

    def _forget_ids(self, now_ms: int) -> None:
        old = [name for name, (_, until_ms) in itertools.takewhile(lambda each: each[1][1] <= now_ms, self._seen.items())]
        for name in old:
            del self._seen[name]
        if old:
            self._journal.unseen(self.name, now_ms)
