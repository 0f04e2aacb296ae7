"""The system's clock: the only place in the product that reads the time."""

import asyncio
import datetime
import time


class SystemClock:
    """Real time. Durations are monotonic; stamps are aware UTC."""

    now_s = staticmethod(time.perf_counter)

    def utc(self) -> datetime.datetime:
        """Return the aware UTC time of day."""
        return datetime.datetime.now(datetime.UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
