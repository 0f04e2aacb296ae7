"""A kept conversation as a call meets it: what was said before, and its own turn, written once it is complete.

A whole answer is handed on when its turn is written, so that whoever asks next, of whichever worker, finds it. A store that does not
answer in time holds nobody up: the turn is written later, in the background. A stream's turn is written when the client has all of
it; who asks next of the same worker waits for that, of another worker may come before it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from gateway.conversations.collecting import collector
from gateway.conversations.history import Histories, Owner
from gateway.conversations.remembering import Keeper, Remembering
from gateway.domain.call import Answer, Operation
from gateway.domain.conversations import History
from gateway.domain.prompt_body import Message
from gateway.errors import Unavailable
from gateway.ports import Clock

log = logging.getLogger(__name__)

PATIENCE_S = 2.0


class Turns:
    """Reads and writes the turns of conversations.

    Args:
        histories: Where they are.
        clock: Paces what is tried again.
    """

    def __init__(self, histories: Histories, clock: Clock) -> None:
        self._histories = histories
        self._keeper = Keeper(clock)
        self._under_way: dict[Owner, int] = {}
        self._written = asyncio.Condition()

    async def past(self, owner: Owner, history: History) -> tuple[Message, ...]:
        """Return what was said before, oldest first; StoreUnavailable where nobody can tell."""
        if owner in self._under_way:
            with contextlib.suppress(TimeoutError):  # a slow store: what it has is read, and the turn that is late stands behind this one
                async with asyncio.timeout(PATIENCE_S), self._written:
                    await self._written.wait_for(lambda: owner not in self._under_way)
        return (await self._histories.load(owner, history.max_messages)).messages

    async def remember(
        self, owner: Owner, request_id: str, said: Sequence[Message], history: History, answer: Answer, operation: Operation
    ) -> Answer:
        """Return the answer; the turn is kept once the client has all of it.

        Args:
            owner: Whose conversation it is.
            request_id: Ours.
            said: The call's own messages.
            history: How long it is kept.
            answer: Whole, or a stream.
            operation: `chat` or `responses`.
        """
        found = collector(operation, stream=answer.stream is not None)

        async def keep(message: dict[str, Any]) -> None:
            turn = [*said, message]
            self._under_way[owner] = self._under_way.get(owner, 0) + 1
            try:
                await self._histories.append(owner, request_id.removeprefix("req_"), turn, history.ttl_days)
            finally:
                await self._done(owner)

        if answer.stream is not None:
            return msgspec.structs.replace(answer, stream=Remembering(answer.stream, found, keep, self._keeper))
        found.feed(answer.body)
        try:
            message = found.message()
        except (AttributeError, KeyError, TypeError) as exc:
            log.error("an answer cannot be read for its conversation: %s", type(exc).__name__)  # noqa: TRY400 - a traceback would show it
            return answer
        if message is not None:
            await self._soon(lambda: keep(message))
        return answer

    async def close(self) -> None:
        """Write what is under way."""
        await self._keeper.close()

    async def _soon(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await write()
        except (Unavailable, TimeoutError):
            self._keeper.keep(write)

    async def _done(self, owner: Owner) -> None:
        left = self._under_way[owner] - 1
        if left:
            self._under_way[owner] = left
        else:
            del self._under_way[owner]
        async with self._written:
            self._written.notify_all()
