"""Captured calls: taken without holding any call up, written in the background, listed, read, erased, and deleted when they are over.

What is taken waits in memory, MAX_WAITING_BYTES at most, answers of calls under way among them. What finds no room there is not kept:
no call is slowed down or refused for its capture's sake, and the loss is counted and logged (at 1, 2, 4, 8 … calls). While the blob
store is down, what waits is tried again, ever more slowly; a kill takes what was not written yet.

Data: see `names.py` and `record.py`.
"""

import asyncio
import collections
import contextlib
import datetime
import logging
from collections.abc import AsyncIterator

from gateway.captures.names import CONTAINER, Name, name_of, pack, read_name, unpack, whose_hash
from gateway.captures.record import OPERATIONS, Captured
from gateway.captures.sheet import Sheet
from gateway.domain.access import Principal, Product
from gateway.domain.call import Inbound
from gateway.domain.fingerprint import hash_of
from gateway.errors import GatewayError, NotFound, StoreUnavailable
from gateway.ports import Blobs, Clock

log = logging.getLogger(__name__)

MAX_WAITING_BYTES = 32 * 1024 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024  # a longer request is not kept
WRITE_EVERY_S = 0.5
AT_ONCE = 8  # blobs on their way to the store
LONGEST_PAUSE = 64  # times WRITE_EVERY_S, between two tries at a store that is down
BEYOND = "~"  # comes after whatever a day or an hour begins with


class Captures:
    """Keeps captured calls.

    Args:
        blobs: Where.
        clock: The time; its `sleep` paces the writing.
        max_waiting_bytes: How much may wait in memory.
    """

    def __init__(self, blobs: Blobs, clock: Clock, *, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._blobs = blobs
        self._clock = clock
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: collections.deque[tuple[Captured, int]] = collections.deque()
        self._held_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._over: dict[tuple[str, str], datetime.date] = {}  # when something of a tenant's day is over next
        self.dropped = 0

    def begin(self, inbound: Inbound, body: bytes, principal: Principal, product: Product) -> Sheet | None:
        """Return what a call's capture is written on; None where the call is not captured.

        Args:
            inbound: The request.
            body: As sent by the client.
            principal: Who calls.
            product: Says whether, which share, and for how long.
        """
        capture = product.capture
        if capture is None or inbound.operation not in OPERATIONS or not chosen(inbound.request_id, capture.share):
            return None
        if len(body) > MAX_BODY_BYTES:
            self._drop("its request is too long to be kept")
            return None
        return Sheet(self, inbound, body, principal, max(capture.days, 1))

    def take(self, size: int) -> bool:
        """Reserve room in memory; False where there is none."""
        if self._held_bytes + size > self._max_waiting_bytes:
            return False
        self._held_bytes += size
        return True

    def give_back(self, size: int) -> None:
        """Give room back."""
        self._held_bytes -= size

    def now(self) -> datetime.datetime:
        """Return the time, in UTC."""
        return self._clock.utc()

    def add(self, captured: Captured, reserved: int) -> None:
        """Take a call that is complete, in the room that was reserved for it; returns at once and never fails."""
        size = captured.size
        if not self.take(max(size - reserved, 0)):
            self.give_back(reserved)
            self._drop("too many wait for the store")
            return
        self._waiting.append((captured, max(size, reserved)))
        if self._task is None or self._task.done():
            with contextlib.suppress(RuntimeError):  # no loop runs here: a dropped stream is collected in any thread
                self._task = asyncio.get_running_loop().create_task(self._keep_writing(), name="captured calls")

    async def flush(self) -> None:
        """Write all that waits; StoreUnavailable leaves the rest waiting."""
        async with self._writing:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                done = await asyncio.gather(*(self._write(captured) for captured, _ in batch), return_exceptions=True)
                failure: BaseException | None = None
                for (captured, size), result in zip(batch, done, strict=True):
                    if isinstance(result, (StoreUnavailable, asyncio.CancelledError)):
                        failure = result
                        self._waiting.append((captured, size))
                        continue
                    self.give_back(size)
                    if result is not None:
                        log.error("the capture of %s cannot be stored: %s", captured.request_id, type(result).__name__)
                        self._drop("no store can take it")
                if failure is not None:
                    raise failure

    async def close(self) -> None:
        """Write what waits, once; what the store does not take now is lost, and counted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        try:
            await self.flush()
        except StoreUnavailable:
            for _ in range(len(self._waiting)):
                self.give_back(self._waiting.popleft()[1])
                self._drop("the store did not answer at the end")

    async def names(self, tenant: str, since: datetime.datetime, until: datetime.datetime, after: str = "") -> AsyncIterator[str]:
        """Iterate over the blobs of a tenant's calls, in the order in which they were settled, by the hour.

        Args:
            tenant: Whose.
            since: UTC, rounded down to the hour.
            until: UTC, not included but for its hour.
            after: The name to go on behind; empty for the first.
        """
        mark = max(after, f"{tenant}/{since:%Y-%m-%d/%H}")
        last = f"{tenant}/{until:%Y-%m-%d/%H}/{BEYOND}"
        while names := await self._blobs.list(CONTAINER, f"{tenant}/", after=mark):
            for name in names:
                if name > last:
                    return
                yield name
            mark = names[-1]

    async def read(self, name: str) -> Captured | None:
        """Return what a blob holds; None where it is gone, or is none."""
        try:
            data = await self._blobs.get(CONTAINER, name)
            return await asyncio.to_thread(unpack, data)
        except NotFound:
            return None
        except ValueError:
            log.error("the blob %s of captured calls cannot be read", name)  # noqa: TRY400 - the traceback would show what it holds
            return None

    async def erase(self, tenant: str, *, user: str = "", session: str = "") -> int:
        """Delete what is kept of a tenant, or of one of its users or sessions; returns how many calls that were.

        What other workers have not written yet they write within a second: erase again after that to be sure.
        """
        wanted = (whose_hash(tenant, user), whose_hash(tenant, session))

        def concerned(each: tuple[str, str]) -> bool:
            return all(want in ("-", found) for want, found in zip(wanted, each, strict=True))

        async with self._writing:
            left = collections.deque[tuple[Captured, int]]()
            for captured, size in self._waiting:
                if captured.tenant == tenant and concerned((whose_hash(tenant, captured.user), whose_hash(tenant, captured.session))):
                    self.give_back(size)
                else:
                    left.append((captured, size))
            erased = len(self._waiting) - len(left)
            self._waiting = left
        mark: str | None = None
        while names := await self._blobs.list(CONTAINER, f"{tenant}/", after=mark):
            mark = names[-1]
            for name in names:
                read = read_name(name)
                if read is not None and concerned((read.user, read.session)):
                    erased += await self._blobs.delete(CONTAINER, name)
        return erased

    async def purge(self) -> int:
        """Delete what is over; returns how many calls that were. May run on two instances at once.

        A day that was looked through is not looked at again before something of it is over.
        """
        today, deleted, mark = self._clock.utc().date(), 0, ""
        while found := await self._blobs.list(CONTAINER, limit=1, after=mark or None):
            tenant, _, rest = found[0].partition("/")
            day = rest.partition("/")[0]
            folder = f"{tenant}/{day}/"
            mark = f"{folder}{BEYOND}"
            with contextlib.suppress(ValueError):  # a folder that is none of ours
                if datetime.date.fromisoformat(day) < today and self._over.get((tenant, day), today) <= today:
                    deleted += await self._purge(folder, today)
        self._over = {key: over for key, over in self._over.items() if over > today}
        return deleted

    async def _purge(self, folder: str, today: datetime.date) -> int:
        deleted, mark, following = 0, None, datetime.date.max
        tenant, day, _ = folder.split("/")
        while names := await self._blobs.list(CONTAINER, folder, after=mark):
            mark = names[-1]
            for name in names:
                read = read_name(name)
                if read is None:
                    continue
                if (over := _over(read)) <= today:
                    deleted += await self._blobs.delete(CONTAINER, name)
                else:
                    following = min(following, over)
        self._over[tenant, day] = following
        return deleted

    async def _write(self, captured: Captured) -> None:
        data = await asyncio.to_thread(pack, captured)
        await self._blobs.put(CONTAINER, name_of(captured), data, content_type="application/gzip")

    async def _keep_writing(self) -> None:
        pause = 1
        while self._waiting:
            await self._clock.sleep(WRITE_EVERY_S * pause)
            try:
                await self.flush()
                pause = 1
            except GatewayError as exc:
                pause = min(2 * pause, LONGEST_PAUSE)
                log.warning("captured calls wait for the store (%d): %s", len(self._waiting), exc.code)

    def _drop(self, reason: str) -> None:
        before, self.dropped = self.dropped, self.dropped + 1
        if before.bit_length() != self.dropped.bit_length():
            log.warning("a call was not captured, because %s: %d so far", reason, self.dropped)


def chosen(request_id: str, share: float) -> bool:
    """Tell whether a call is of the share that is captured: by its id, so that every worker says the same."""
    return int(hash_of(request_id.encode())[:8], 16) < share * 2**32


def _over(name: Name) -> datetime.date:
    """Return the first day on which a call is over: it is kept for its days, and to the end of the last."""
    try:
        return datetime.date.fromisoformat(name.day) + datetime.timedelta(days=name.days + 1)
    except (ValueError, OverflowError):
        return datetime.date.max
