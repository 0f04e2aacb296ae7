"""A clock that stands still until a test moves it."""

import asyncio
import datetime


class FakeClock:
    """Time moves by `advance` and by `sleep`, which does not wait."""

    def __init__(self, start: datetime.datetime = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self.slept_s: list[float] = []

    def now_s(self) -> float:
        return self._elapsed_s

    def utc(self) -> datetime.datetime:
        return self._start + datetime.timedelta(seconds=self._elapsed_s)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)  # others come to their turn, as they would

    def advance(self, seconds: float) -> None:
        self._elapsed_s += seconds
