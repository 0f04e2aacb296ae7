"""Placeholders that outlive their call, because the provider keeps the conversation: responses, and what continues them.

Kept under the id of the response, and of the conversation it belongs to: a later call that names one of them, or fetches the
response, gets the originals back.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.domain.call import Call, Operation, StreamEvent
from gateway.guardrails.streams.stream import GuardedStream

# In the first event of a stream, `response.created`; all backends name it so, and so do we.
_RESPONSE_ID = re.compile(rb'"id"\s*:\s*"(resp_[A-Za-z0-9_-]{1,256})"')


class KeptStream:
    """A guarded stream of a response whose placeholders are kept before its client may know its id; see `relay.StreamGuard`.

    Args:
        stream: Looks at it.
        keep: Keeps them, told the response as far as it has been said.
    """

    def __init__(self, stream: GuardedStream, keep: Callable[[Any], Awaitable[None]]) -> None:
        self._stream = stream
        self._keep = keep
        self._kept = False

    @property
    def blocked(self) -> bool:
        """Whether it has ended the stream itself."""
        return self._stream.blocked

    async def feed(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """Take events and return those that the client may have now."""
        for event in events:
            if not self._kept and (found := _RESPONSE_ID.search(event.data)):
                self._kept = True
                await self._keep({"id": found[1].decode()})
        return await self._stream.feed(events)

    def close(self) -> None:
        """Give the verdicts, however the stream ended; safe to call twice."""
        self._stream.close()


def conversation_of(call: Call) -> str:
    """Return the id of the conversation at the provider that a call belongs to; empty where it belongs to none."""
    found = call.document.get("conversation")
    found = found.get("id") if isinstance(found, dict) else found
    return found if isinstance(found, str) else ""


def kept_under(call: Call) -> str:
    """Return the id of what a call continues, or fetches, at its provider; empty where it begins anew."""
    if call.operation is Operation.RESPONSE_ITEM:
        return call.path.partition("/")[0]
    if call.operation is not Operation.RESPONSES:
        return ""
    previous = call.document.get("previous_response_id")
    return previous if isinstance(previous, str) else conversation_of(call)
