"""What a worker remembers of prompts: calls resolve them here, without asking the table.

- Heads (which versions there are, and where the labels stand) through `gateway.cached`: a label that was moved is in effect
  everywhere within STALE_S, and at once on the worker that moved it (`forget`). A tenant's own head and the shared one of the name
  are one entry, so that a tenant without one of its own asks no more often than the others.
- Versions never change. They are kept up to MAX_KEPT_BYTES together; the least recently used go first.

A tenant's own prompt hides the shared one of its name, whatever labels either has; one that was deleted hides nothing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from gateway.cached import Cached
from gateway.domain.prompts import PRODUCTION, SHARED, Prompt, PromptVersion
from gateway.domain.tables import MAX_PAGE
from gateway.errors import NotFound
from gateway.ports import Clock
from gateway.prompts.library import Library
from gateway.prompts.library_labels import label_not_found, prompt_not_found, version_not_found
from gateway.prompts.rows import is_name

FRESH_S = 2.5
STALE_S = 4.0
MAX_KEPT_BYTES = 32 * 1024 * 1024
MAX_DIGITS = 8  # of a number that is written as a text

type _Key = tuple[str, str, int]


class PromptMemory:
    """Prompts, by tenant and name.

    Args:
        library: What they are read from.
        clock: What ages them.
    """

    def __init__(self, library: Library, clock: Clock) -> None:
        self._library = library
        self._heads: Cached[Prompt] = Cached(self._head, clock, fresh_s=FRESH_S, stale_s=STALE_S)
        self._visible: Cached[tuple[Prompt, ...]] = Cached(self._listed, clock, fresh_s=FRESH_S, stale_s=STALE_S)
        self._versions: OrderedDict[_Key, tuple[PromptVersion, int]] = OrderedDict()
        self._kept_bytes = 0
        self._reading: dict[_Key, asyncio.Task[PromptVersion]] = {}

    def fresh(self, tenant: str, name: str, wanted: int | str = PRODUCTION) -> PromptVersion | None:
        """Return a version if memory has it and nothing need be asked; None says nothing, and `resolve` does. Awaits nothing.

        Args:
            tenant: Whose call it is.
            name: The prompt's.
            wanted: A number, or a label.
        """
        prompt = self._heads.fresh(f"{tenant}|{name}")
        number = _number(prompt, wanted) if prompt is not None else None
        return self._kept((prompt.tenant, name, number)) if prompt is not None and number is not None else None

    async def resolve(self, tenant: str, name: str, wanted: int | str = PRODUCTION, *, place: str = "prompt.") -> PromptVersion:
        """Return the version that a call asks for: of the tenant's own prompt, or of the shared one where it has none.

        Args:
            tenant: Whose call it is.
            name: The prompt's.
            wanted: A number, or a label.
            place: What stands before `id` and `version` in the request, for `param`.

        Raises:
            NotFound: There is no such prompt (`prompt_not_found`), version or label (`prompt_version_not_found`).
            StoreUnavailable: Memory does not know it, and the store does not answer.
        """
        prompt = await self._heads.get(f"{tenant}|{name}") if is_name(name) else None
        if prompt is None:
            advice = "GET /v1/prompts lists those that you may use"
            raise prompt_not_found(name, advice=advice, param=f"{place}id")
        number = _number(prompt, wanted)
        if number is None:
            raise _missing(prompt, wanted, f"{place}version")
        key = (prompt.tenant, name, number)
        kept = self._kept(key)
        return kept if kept is not None else await asyncio.shield(self._read(key, prompt.latest))

    async def visible(self, tenant: str) -> Sequence[Prompt]:
        """Return the prompts that have the label `production` and that a tenant may use, by name: its own, and shared ones."""
        return await self._visible.get(tenant) or ()

    def forget(self, tenant: str, name: str) -> None:
        """Forget where a prompt's labels are: for the worker that changed it. A shared one is forgotten for all tenants."""
        if tenant == SHARED:
            self._heads.forget_all(lambda prompt: prompt.name == name, misses=True)
            self._visible.forget_all(lambda _: True)
        else:
            self._heads.forget(f"{tenant}|{name}")
            self._visible.forget(tenant)

    async def _head(self, key: str) -> Prompt | None:
        tenant, _, name = key.partition("|")
        own, shared = await asyncio.gather(*(self._library.head(each, name) for each in (tenant, SHARED)))
        return next((each.prompt for each in (own, shared) if each is not None and each.prompt.retired is None), None)

    async def _listed(self, tenant: str) -> tuple[Prompt, ...]:
        shared, own = await asyncio.gather(self._all(SHARED), self._all(tenant))
        known = {prompt.name: prompt for prompt in (*shared, *own)}
        return tuple(known[name] for name in sorted(known) if PRODUCTION in known[name].labels)

    async def _all(self, tenant: str) -> list[Prompt]:
        found: list[Prompt] = []
        after = None
        while True:
            page, after = await self._library.list(tenant, MAX_PAGE, after)
            found += page
            if after is None:
                return found

    def _kept(self, key: _Key) -> PromptVersion | None:
        entry = self._versions.get(key)
        if entry is None:
            return None
        self._versions.move_to_end(key)
        return entry[0]

    def _read(self, key: _Key, latest: int) -> asyncio.Task[PromptVersion]:
        """Return what reads a version: one task, however many calls wait for it."""
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._load(key, latest), name="read a prompt's version")
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _load(self, key: _Key, latest: int) -> PromptVersion:
        try:
            version = await self._library.version(*key)
        finally:
            del self._reading[key]
        if version is None:
            raise version_not_found(key[1], key[2], latest)
        size = len(msgspec.json.encode(version))
        self._versions[key] = (version, size)
        self._kept_bytes += size
        while self._kept_bytes > MAX_KEPT_BYTES:
            _, (_, gone) = self._versions.popitem(last=False)
            self._kept_bytes -= gone
        return version


def _number(prompt: Prompt, wanted: int | str) -> int | None:
    """Return the number that a call asks for; None where the prompt has no such version or label."""
    if isinstance(wanted, str) and not _is_number(wanted):
        return prompt.labels.get(wanted)
    number = int(wanted)
    return number if 1 <= number <= prompt.latest else None


def _is_number(wanted: str) -> bool:
    return wanted.isascii() and wanted.isdigit() and len(wanted) <= MAX_DIGITS


def _missing(prompt: Prompt, wanted: int | str, param: str) -> NotFound:
    if isinstance(wanted, str) and not _is_number(wanted):
        return label_not_found(prompt, wanted, param=param)
    return version_not_found(prompt.name, int(wanted), prompt.latest, param=param)
