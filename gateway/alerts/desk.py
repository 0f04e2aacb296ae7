"""Where alerts come in, and where administrators look at them: announcements of this worker, `GET /manage/alerts`, replays.

`announced` is called on the hot path, so it only notes the row; a background task hands it over and has it told at once,
because nobody wants to hear a minute later that a budget is used up.
"""

import asyncio
import collections
import contextlib
import logging
from typing import Any

from gateway.alerts.delivery import Delivery
from gateway.alerts.events import Kind
from gateway.alerts.outbox import STATES, Outbox, shown
from gateway.alerts.thresholds import Thresholds
from gateway.domain.management import Asked, page_of, read_paging, tenant_of
from gateway.domain.tables import Entity
from gateway.errors import GatewayError, RequestError

log = logging.getLogger(__name__)

MAX_ANNOUNCED = 10_000  # what is beyond it the next sweep finds
CLOSE_S = 5.0
MAX_QUERIES = 20  # of the store for one page, however few alerts fit the filters


class Desk:
    """Takes announcements, shows alerts, replays them.

    Args:
        outbox: Where alerts are.
        thresholds: Hands announcements over.
        delivery: Tells them.
    """

    def __init__(self, outbox: Outbox, thresholds: Thresholds, delivery: Delivery) -> None:
        self._outbox = outbox
        self._thresholds = thresholds
        self._delivery = delivery
        self._announced: collections.deque[tuple[str, str]] = collections.deque(maxlen=MAX_ANNOUNCED)
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def announced(self, partition: str, row: str) -> None:
        """Take an announcement that this worker has written; returns at once and never fails."""
        self._announced.append((partition, row))
        if self._task is None or self._task.done():
            with contextlib.suppress(RuntimeError):  # no loop runs here: the next sweep finds it
                self._task = asyncio.get_running_loop().create_task(self._hand_over(), name="announcements")

    async def list(self, asked: Asked) -> dict[str, Any]:
        """Return a page of alerts, the newest first.

        Args:
            asked: Its query: `tenant`, `type`, `state`, `limit`, `after`. A tenant's administrators see its alerts only.

        Raises:
            RequestError: A parameter is not understood; `param` names it.
        """
        query = asked.query
        tenant = tenant_of(asked, query.get("tenant"))
        kind = _one_of(query.get("type"), [each.value for each in Kind], "type")
        state = _one_of(query.get("state"), STATES, "state")
        limit, after = read_paging(query)
        found: list[Entity] = []
        for _ in range(MAX_QUERIES):
            entities, after = await self._outbox.page(limit - len(found), after)
            wanted = {"tenant": tenant, "kind": kind, "state": state}
            found += [row for row in entities if all(value is None or row.values[name] == value for name, value in wanted.items())]
            if after is None or len(found) >= limit:
                break
        return page_of([shown(row) for row in found], after)

    async def replay(self, asked: Asked, name: str) -> dict[str, Any]:
        """Have an alert told once more, under the same id; see `Outbox.replay`."""
        again = await self._outbox.replay(name, tenant_of(asked, None))
        await self._delivery.run()
        return await self._outbox.show(name) or again

    async def close(self) -> None:
        """Hand over what was announced, and tell nobody any more: another process, or the next one, does."""
        self._closing = True
        if self._task is not None:
            _, waiting = await asyncio.wait({self._task}, timeout=CLOSE_S)
            for task in waiting:  # what it has claimed is told again after a while
                task.cancel()
                await asyncio.wait({task})

    async def _hand_over(self) -> None:
        while self._announced:
            partition, row = self._announced.popleft()
            try:
                await self._thresholds.hand_over(partition, row)
                if not self._announced and not self._closing:
                    await self._delivery.run()
            except GatewayError as exc:
                log.warning("the announcement %s of %s waits for the next sweep: %s", row, partition, exc)


def _one_of(value: str | None, allowed: list[str] | tuple[str, ...], name: str) -> str | None:
    if value and value not in allowed:
        raise RequestError(f"'{name}' must be one of {', '.join(allowed)}", param=name, code="invalid_value")
    return value or None
