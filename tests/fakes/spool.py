"""The Spool port in memory, with a bound and faults at a test's word."""

from collections.abc import Sequence


class FakeSpool:
    """See `ports.Spool`. `room` is how many more entries it takes; `appends` counts the syncs."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.parts: dict[str, list[bytes]] = {}
        self.room = room
        self.appends = 0
        self.closed = False

    @property
    def entries(self) -> list[bytes]:
        return [entry for part in self.parts.values() for entry in part]

    async def append(self, entries: Sequence[bytes]) -> int:
        self.appends += 1
        kept = list(entries[: self.room])
        self.room -= len(kept)
        if kept:
            self.parts[f"{self.appends:04}"] = kept
        return len(kept)

    async def take(self) -> tuple[str, list[bytes]] | None:
        return next(iter(self.parts.items()), None)

    async def done(self, name: str) -> None:
        self.room += len(self.parts.pop(name))

    async def close(self) -> None:
        self.closed = True
