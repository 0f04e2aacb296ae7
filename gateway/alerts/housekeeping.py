"""What has to be done from time to time, whoever calls: the Functions timers in Azure, the embedded host's elsewhere.

A chore that fails is logged, and the others are done: it comes again in a minute. Every chore may run twice at the same time,
on two instances, without harm.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import GatewayError

log = logging.getLogger(__name__)

type Chore = Callable[[], Awaitable[object]]


class Housekeeping:
    """The chores.

    Args:
        at_start: By name, what the first run of this process does.
        every_minute: What each run of the minute does, in this order.
        every_quarter: What each run of the quarter of an hour does.
    """

    def __init__(self, at_start: Mapping[str, Chore], every_minute: Mapping[str, Chore], every_quarter: Mapping[str, Chore]) -> None:
        self._at_start = dict(at_start)
        self._every_minute = every_minute
        self._every_quarter = every_quarter

    async def minute(self) -> None:
        """Do what is done every minute."""
        at_start, self._at_start = self._at_start, {}
        await _do(at_start)
        await _do(self._every_minute)

    async def quarter(self) -> None:
        """Do what is done every 15 minutes."""
        await _do(self._every_quarter)


async def _do(chores: Mapping[str, Chore]) -> None:
    for name, chore in chores.items():
        try:
            await chore()
        except GatewayError as exc:
            log.warning("the chore %r is left to its next run: %s", name, exc)
        except Exception:  # the others must still be done
            log.exception("the chore %r failed", name)
