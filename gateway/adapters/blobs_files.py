"""The Blobs port on a folder: development, tests and a gateway on a single machine.

Rules:

- A blob is written beside its place, synced, and moved there, and the folder is synced: whoever reads sees the old blob
  or the new one, and what `put` has returned survives a power cut. A process that is killed may leave a `.tmp` file.
- A file's name is made of `a-z 0-9 - _ .` and percent escapes alone, so that no name can leave the folder, and names that
  differ in case only stay apart on a disk that ignores case. Beyond MAX_FILE_NAME it is the name's SHA-256, and the name
  itself is in a file beside it, which stays when the blob goes.
- Files are read and written in the event loop's worker threads.

Data: `<folder>/<container>/<escaped name>=`, or `<sha256>@` with the name in `<sha256>@name`.
"""

import asyncio
import hashlib
import os
import pathlib
import re
import secrets
import tempfile
from collections.abc import Callable

from gateway.domain.tables import EntityExists, check_blob_name, check_container_name
from gateway.errors import NotFound, StoreUnavailable

MAX_FILE_NAME = 200  # of the 255 bytes that file systems take; the rest is for suffixes

_UNSAFE = re.compile(rb"[^a-z0-9._-]")
_ESCAPE = re.compile(rb"%([0-9a-f]{2})")


class FileBlobs:
    """Blobs in the folder `folder`, which is made at the first `put`."""

    def __init__(self, folder: str) -> None:
        self._folder = pathlib.Path(folder)

    async def put(
        self, container: str, name: str, data: bytes, *, content_type: str = "application/octet-stream", overwrite: bool = True
    ) -> str:
        """Write the whole blob, atomically, and return its ETag; EntityExists if it is there and `overwrite` is false.

        The content type is not kept: nothing reads it back through the port.
        """
        del content_type
        target = self._file(container, name)

        def write() -> bool:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.name.endswith("@"):
                _write(target.with_name(f"{target.name}name"), name.encode(), overwrite=True)
            written = _write(target, data, overwrite=overwrite)
            _sync_folder(target.parent)
            return written

        try:
            written = await _in_thread(write)
        except FileNotFoundError as exc:  # somebody removed the folder
            raise _unavailable() from exc
        if not written:
            raise EntityExists(f"the blob {name!r} exists already")
        return f'"{secrets.token_hex(8)}"'

    async def get(self, container: str, name: str) -> bytes:
        """Read the whole blob; NotFound where there is none."""
        try:
            return await _in_thread(self._file(container, name).read_bytes)
        except FileNotFoundError as exc:
            raise NotFound(f"there is no blob {name!r}") from exc

    async def delete(self, container: str, name: str) -> bool:
        """Delete the blob; False where there was none."""
        target = self._file(container, name)

        def unlink() -> bool:
            target.unlink()
            _sync_folder(target.parent)
            return True

        try:
            return await _in_thread(unlink)
        except FileNotFoundError:
            return False

    async def list(self, container: str, prefix: str = "", *, limit: int = 1000, after: str | None = None) -> list[str]:
        """Return up to `limit` names with the prefix, ordered by code point, after the name `after`.

        It reads the whole container's names, each time.
        """
        check_container_name(container)

        def scan() -> list[str]:
            names = (_name(pathlib.Path(entry.path)) for entry in os.scandir(self._folder / container))
            found = (name for name in names if name is not None and name.startswith(prefix) and (after is None or name > after))
            return sorted(found)[:limit]

        try:
            return await _in_thread(scan)
        except FileNotFoundError:
            return []

    async def close(self) -> None:
        """Do nothing: no file stays open."""

    def _file(self, container: str, name: str) -> pathlib.Path:
        check_container_name(container)
        check_blob_name(name)
        escaped = _UNSAFE.sub(lambda found: b"%%%02x" % found[0][0], name.encode()).decode()
        if len(escaped) <= MAX_FILE_NAME:
            return self._folder / container / f"{escaped}="
        return self._folder / container / f"{hashlib.sha256(name.encode()).hexdigest()}@"


async def _in_thread[T](work: Callable[[], T]) -> T:
    """Run file work in a thread; what is wrong with the disk, rather than with a name, is StoreUnavailable."""
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise _unavailable() from exc


def _name(path: pathlib.Path) -> str | None:
    if path.name.endswith("="):
        return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), path.name[:-1].encode()).decode()
    if path.name.endswith("@"):
        return path.with_name(f"{path.name}name").read_text("utf-8")
    return None


def _write(target: pathlib.Path, data: bytes, *, overwrite: bool) -> bool:
    """Write the file beside its place, then move it there; False if it must not replace one and there is one."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=".tmp")
    temporary = pathlib.Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(target)
            return True
        try:
            os.link(temporary, target)  # unlike a rename, it fails where a file is
        except FileExistsError:
            return False
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: pathlib.Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable("the blob store did not answer; try again")
