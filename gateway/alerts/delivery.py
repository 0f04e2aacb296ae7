"""Tells what the outbox holds to everybody who is to be told.

A run takes what is due, a few at a time, and stops after `RUN_S`, or once a target failed `PATIENCE` times in a row: a
receiver that is down is not hammered, and the run's turn does not outlast the minute.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from gateway.alerts.events import Alert, encode
from gateway.alerts.outbox import Outbox
from gateway.errors import GatewayError
from gateway.ports import Clock

log = logging.getLogger(__name__)

RUN_S = 40.0
AT_ONCE = 4
PATIENCE = 5

type Tell = Callable[[Alert, bytes], Awaitable[None]]


class Delivery:
    """Delivers alerts.

    Args:
        outbox: What is on its way.
        targets: By name, what tells one of them; raises GatewayError where it could not.
        clock: The time.
    """

    def __init__(self, outbox: Outbox, targets: Mapping[str, Tell], clock: Clock) -> None:
        self._outbox = outbox
        self._targets = targets
        self._clock = clock

    async def run(self) -> int:
        """Tell what is due; returns how many alerts were told to all. StoreUnavailable where the store does not answer."""
        if not self._targets:
            return 0
        until_s = self._clock.now_s() + RUN_S
        told = failed = 0
        names = await self._outbox.due()
        for start in range(0, len(names), AT_ONCE):
            if self._clock.now_s() >= until_s or failed >= PATIENCE:
                break
            done = await asyncio.gather(*(self._deliver(name) for name in names[start : start + AT_ONCE]))
            told += sum(each is True for each in done)
            failed = 0 if True in done else failed + sum(each is False for each in done)
        return told

    async def _deliver(self, name: str) -> bool | None:
        """Return whether all were told; None where the alert is somebody else's."""
        claimed = await self._outbox.claim(name)
        if claimed is None:
            return None
        body = encode(claimed.alert)
        left, errors, retry_after_s = [], [], None
        for target in claimed.left:
            if target not in self._targets:  # it is configured no more
                continue
            try:
                await self._targets[target](claimed.alert, body)
            except GatewayError as exc:
                left.append(target)
                errors.append(f"{target}: {exc.message}")
                retry_after_s = exc.retry_after_s or retry_after_s
        if errors:
            log.warning("the alert %s was not delivered: %s", name, "; ".join(errors))
        await self._outbox.settle(claimed, left, "; ".join(errors), retry_after_s)
        return not left
