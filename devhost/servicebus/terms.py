"""What a queue is declared with, what is said of a delivery, and what a queue asks of those around it."""

import enum
import uuid
from typing import NamedTuple, Protocol

import msgspec

from devhost.servicebus.messages import Message


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a queue is declared with; the defaults are Service Bus's own.

    Attributes:
        lock_s: How long a delivery is locked.
        max_delivery_count: Deliveries without success after which a message is dead.
        duplicate_window_s: How long ids are remembered; 0 switches duplicate detection off.
        default_ttl_s: How long a message may wait that says nothing itself; 0 for ever.
        dead_letter_expired: Whether expired messages go to the dead-letter queue or are dropped.
    """

    lock_s: float = 60.0
    max_delivery_count: int = 10
    duplicate_window_s: float = 0.0
    default_ttl_s: float = 0.0
    dead_letter_expired: bool = True


class Outcome(enum.Enum):
    """What a receiver says of a delivery. RELEASE is an abandonment that does not count."""

    COMPLETE = "completed"
    ABANDON = "abandoned"
    RELEASE = "released"
    DEFER = "defered"  # the protocol's own spelling
    DEAD_LETTER = "suspended"


class Lock(NamedTuple):
    """One delivery."""

    token: uuid.UUID
    until_ms: int


class Consumer(Protocol):
    """A receiver's link."""

    def wants(self) -> bool:
        """Tell whether it has credit."""

    def deliver(self, message: Message) -> None:
        """Take the message, under a lock or for good."""


class Journal(Protocol):
    """Where changes are kept."""

    def added(self, queue: str, message: Message) -> None:
        """Keep a new message."""

    def changed(self, queue: str, message: Message) -> None:
        """Keep a message's new state."""

    def removed(self, queue: str, sequence: int) -> None:
        """Forget a message."""

    def seen(self, queue: str, message_id: str, sequence: int, until_ms: int) -> None:
        """Remember a message's id until then."""

    def unseen(self, queue: str, now_ms: int) -> None:
        """Forget the ids whose time is over."""
