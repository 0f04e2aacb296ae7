"""What the dialects of guarded streams have in common: where the texts of an event are, and how a stream ends that is blocked."""

from typing import Any, Protocol

from gateway.guardrails.streams.channels import Channel
from gateway.guardrails.streams.texts import Texts

type Document = dict[str, Any]


class Dialect(Protocol):
    """Reads one stream's events. Holds its state."""

    channels: dict[Any, Channel]

    async def take(self, document: Document) -> list[Document] | None:
        """Return the events for the client in place of this one; None where it may have it as it came.

        Once the watch has ended, they hold what was cleared before, and nothing is to be added but `ending`.
        """

    async def rest(self) -> list[Document]:
        """Return what still waits, as events: the stream's last event is next."""

    def ending(self, verdict: Document) -> list[Document]:
        """Return the events that end a blocked stream properly; none where the dialect has no such end.

        Args:
            verdict: What is told of it, as the member `gateway_guardrail`.
        """


class Common:
    """The state that all dialects have."""

    __slots__ = ("channels", "texts", "watch")

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.watch = texts.watch
        self.channels: dict[Any, Channel] = {}

    def channel(self, key: Any) -> Channel:
        """Return the text of that place, begun with its first piece."""
        channel = self.channels.get(key)
        if channel is None:
            channel = self.channels[key] = Channel(self.watch, self.texts.unmask)
        return channel
