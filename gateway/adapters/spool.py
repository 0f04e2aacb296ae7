"""The Spool port on a folder: append-only files in which usage records wait for their store, also beyond a kill -9.

Rules:

- A file is a run of frames: length and CRC-32 of the entry, four bytes each, little endian, then the entry. Every append is
  synced before it is confirmed, so what has been confirmed is whole, and what is not whole at the end was never confirmed.
- A process holds the lock (flock) of each file that it writes or brings in. The kernel frees it when the process ends,
  however it ends: a file whose lock can be had belongs to nobody, and the next one who looks takes it. Process ids are
  not asked, since they come again.
- A file goes only after all its entries are in the store. One that was removed between opening and locking is left alone.
- All files of the folder together stay within `max_bytes`; an append that does not fit is confirmed in part.
- The folder must be this user's own and closed to others: in a shared temp directory anybody could have made it first, and
  records say who called for what. A fault of the disk is logged and confirmed as nothing; it never raises.
- Every operation runs in one thread of its own: the event loop never waits for a disk.

Source: flock(2), "Locks are associated with an open file description" (man7.org, read 2026-11-22).
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import pathlib
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.domain.ids import random_hex

log = logging.getLogger(__name__)

FRAME = struct.Struct("<II")
FILE_BYTES = 4 * 1024 * 1024  # what is brought in at once
SUFFIX = ".spool"


class FileSpool:
    """A spool in the folder at `path`, made at the first use.

    Args:
        path: The folder.
        store: The store that its entries are for, in a file name's letters: another gateway's in the same folder are let alone.
        max_bytes: What all files of the folder may hold together.
    """

    def __init__(self, path: str, store: str, max_bytes: int) -> None:
        self._folder = pathlib.Path(path)
        self._prefix = f"{store}-"
        self._max_bytes = max_bytes
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._held: dict[str, int] = {}  # descriptors of the files whose lock is ours
        self._current = ""
        self._stuck: set[str] = set()  # brought in, and could not be removed
        self._faulty = False

    async def append(self, entries: Sequence[bytes]) -> int:
        """Write entries and sync; return how many of them, from the first on, are on the disk."""
        return await self._run(self._append, entries)

    async def take(self) -> tuple[str, list[bytes]] | None:
        """Return the name and the entries of a file that no other living process holds; None where there is none."""
        return await self._run(self._take)

    async def done(self, name: str) -> None:
        """Remove a file that was taken."""
        await self._run(self._done, name)

    async def close(self) -> None:
        """Let the files go; what is in them stays. Safe to call twice."""
        with contextlib.suppress(RuntimeError):  # closed before
            await self._run(self._release)
            self._worker.shutdown(wait=False)

    async def _run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(self._worker.submit(work, *args, **kwargs))

    def _append(self, entries: Sequence[bytes]) -> int:
        try:
            room = self._max_bytes - self._used()
            fitting = 0
            for entry in entries:
                room -= FRAME.size + len(entry)
                if room < 0:
                    break
                fitting += 1
            if fitting:
                self._write(b"".join(frame(entry) for entry in entries[:fitting]))
        except OSError as exc:
            self._say("usage records cannot be spooled to %s: %s", exc)
            return 0
        self._faulty = False
        return fitting

    def _write(self, data: bytes) -> None:
        """Append to the current file; one that could not be written whole gets nothing more, since what follows would be lost."""
        name, self._current = self._current or self._create(), ""
        descriptor = self._held[name]
        before = os.fstat(descriptor).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
        if before + len(data) < FILE_BYTES:
            self._current = name

    def _create(self) -> str:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check()
        while True:
            name = f"{self._prefix}{os.getpid()}-{random_hex(8)}{SUFFIX}"
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is(self._folder / name, descriptor):
                self._held[name] = descriptor
                self._sync_folder()
                return name
            os.close(descriptor)  # another process took it for one that a dead process left

    def _check(self) -> None:
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError("GATEWAY_SPOOL must be a folder of this user's own that nobody else can enter (mode 700)")

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _take(self) -> tuple[str, list[bytes]] | None:
        self._current = ""  # what is being brought in is not written to any more
        try:
            names = [name for name in self._names() if name.startswith(self._prefix) and name not in self._stuck]
        except OSError as exc:
            self._say("usage records in the spool %s cannot be read: %s", exc)
            return None
        for name in names:
            try:
                if name in self._held or self._claim(name):
                    return name, self._entries(name)
            except OSError as exc:  # the others are not the worse for it
                self._say(f"the file {name} of the spool %s cannot be read: %s", exc)
        return None

    def _claim(self, name: str) -> bool:
        path = self._folder / name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:  # whoever had it is done with it
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # its process lives
            os.close(descriptor)
            return False
        if not _is(path, descriptor):
            os.close(descriptor)
            return False
        self._held[name] = descriptor
        return True

    def _entries(self, name: str) -> list[bytes]:
        data = (self._folder / name).read_bytes()
        entries, whole = unframe(data)
        if whole < len(data):
            log.warning("the spool file %s ends in %d bytes that were never confirmed", name, len(data) - whole)
        return entries

    def _done(self, name: str) -> None:
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as exc:  # brought in again by another process, it changes nothing
            self._stuck.add(name)
            self._say(f"the file {name} of the spool %s cannot be removed: %s", exc)
        os.close(self._held.pop(name))

    def _release(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()
        self._current = ""

    def _names(self) -> list[str]:
        try:
            self._check()
            return sorted(path.name for path in self._folder.iterdir() if path.suffix == SUFFIX)
        except FileNotFoundError:
            return []

    def _used(self) -> int:
        used = 0
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                used += (self._folder / name).stat().st_size
        return used

    def _say(self, message: str, exc: OSError) -> None:
        if not self._faulty:  # once, until it works again
            log.error(message, self._folder, exc)
        self._faulty = True


def frame(entry: bytes) -> bytes:
    """Return an entry as it stands in a file."""
    return FRAME.pack(len(entry), zlib.crc32(entry)) + entry


def unframe(data: bytes) -> tuple[list[bytes], int]:
    """Return a file's entries up to the first that is not whole, and how many bytes they take."""
    entries: list[bytes] = []
    at = 0
    while at + FRAME.size <= len(data):
        length, checksum = FRAME.unpack_from(data, at)
        entry = data[at + FRAME.size : at + FRAME.size + length]
        if not entry or len(entry) < length or zlib.crc32(entry) != checksum:  # nothing but zeros is what a power cut may leave
            break
        entries.append(entry)
        at += FRAME.size + length
    return entries, at


def _is(path: pathlib.Path, descriptor: int) -> bool:
    """Tell whether the path still leads to the file that is open."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
