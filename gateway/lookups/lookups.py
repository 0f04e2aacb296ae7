"""The lookups of a call, all at once, each within its own time; what was found is served from memory for its `ttl_s`.

- Memory is by tenant, lookup and filled key. Many calls that need the same at the same time wait for one answer.
- A value is never served beyond its `ttl_s`, also not where its source fails: `fail: open` has a `default` for that, and a price or
  a balance of yesterday would be a lie. A failure is not remembered: the next call asks again.
- `fail: closed` refuses the call; with `open` the default stands in its place, and the record says `lookup_skipped`. A variable
  that the lookup needs and the call does not bring is the call's own fault (400), unless the lookup fails open.
- Values are JSON values, shared between calls: nobody changes them.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.catalog_lookups import serves
from gateway.domain.deployment import Backend
from gateway.domain.guardrails import Fail
from gateway.domain.lookups import FeatureLookup, Lookup
from gateway.errors import PermissionDenied, PromptError, Unavailable
from gateway.lookups.filling import Asking, entity_of, filled
from gateway.lookups.sources import Key, Sources, failed
from gateway.ports import Clock, Tables, Upstream

log = logging.getLogger(__name__)

SKIPPED = "lookup_skipped"
MAX_ENTRIES = 10_000
MAX_BYTES = 16 * 1024 * 1024

type _Name = tuple[str, str, Key]


class Found(msgspec.Struct, frozen=True):
    """What lookups brought.

    Attributes:
        values: By the lookup's id, for `{{lookups.ID}}`.
        notes: For the record's changes.
        text: All that was found, as text: to guardrails a document. What stands in for it is the operator's, and not in it.
    """

    values: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()
    text: str = ""

    def __repr__(self) -> str:
        return f"Found({sorted(self.values)!r}, …)"


class _Entry(msgspec.Struct, frozen=True):
    value: Any
    text: str
    read_s: float


class Lookups:
    """Does them.

    Args:
        upstream: The network.
        tables: Where table lookups' values are.
        clock: The time.
        backends: Those that lookups ask, by id (`Catalog.lookup_backends`).
    """

    def __init__(self, upstream: Upstream, tables: Tables, clock: Clock, backends: Mapping[str, Backend]) -> None:
        self._sources = Sources(upstream, tables, backends)
        self._clock = clock
        self._entries: OrderedDict[_Name, _Entry] = OrderedDict()
        self._flights: dict[_Name, asyncio.Task[_Entry]] = {}
        self._bytes = 0

    async def fetch(self, wanted: Sequence[Lookup], asking: Asking) -> Found:
        """Return what the lookups of a call bring.

        Args:
            wanted: What is looked up.
            asking: For whom, and with what.

        Raises:
            Unavailable: `lookup_failed`: one that fails closed did not succeed.
            PromptError: One that fails closed needs what the call does not bring.
            PermissionDenied: One of them is not for this tenant.
        """
        found = [self._remembered(each, asking) for each in wanted]
        missing = [index for index, entry in enumerate(found) if entry is None]
        if missing:
            asked = await asyncio.gather(*(self._look_up(wanted[index], asking) for index in missing))
            for index, entry in zip(missing, asked, strict=True):
                found[index] = entry
        values = {each.id: each.default if entry is None else entry.value for each, entry in zip(wanted, found, strict=True)}
        texts = [entry.text for entry in found if entry is not None]
        return Found(values, (SKIPPED,) if len(texts) < len(found) else (), "\n\n".join(texts))

    def forget(self, lookup_id: str, key: str) -> None:
        """Drop what is remembered of a key for all tenants: for the worker that changed its value."""
        for name in [name for name in self._entries if name[1:] == (lookup_id, key)]:
            self._drop(name)
        for name in [name for name in self._flights if name[1:] == (lookup_id, key)]:
            del self._flights[name]

    def _remembered(self, lookup: Lookup, asking: Asking) -> _Entry | None:
        """Return what memory has that is young enough; what cannot be asked for is told by `_look_up`."""
        try:
            name = self._name(lookup, asking)
        except (PromptError, PermissionDenied, Unavailable):
            return None
        entry = self._entries.get(name)
        if entry is None or self._clock.now_s() - entry.read_s >= lookup.ttl_s:
            return None
        self._entries.move_to_end(name)
        return entry

    def _name(self, lookup: Lookup, asking: Asking) -> _Name:
        if not serves(lookup, asking.tenant):
            raise PermissionDenied(f"the prompt needs the lookup {lookup.id!r}, which is not for your tenant", param="prompt.id")
        self._sources.check_zone(lookup, asking.data_zone)
        return asking.tenant, lookup.id, entity_of(lookup, asking) if isinstance(lookup, FeatureLookup) else filled(lookup, asking)

    async def _look_up(self, lookup: Lookup, asking: Asking) -> _Entry | None:
        try:
            name = self._name(lookup, asking)
            if lookup.ttl_s == 0:
                return await self._asked(lookup, name)
            flight = self._flights.get(name)
            if flight is None:
                flight = self._flights[name] = asyncio.create_task(self._renewed(lookup, name), name=f"look up {lookup.id}")
                # Whoever waits is told; a flight whose callers have all gone has nobody to tell.
                flight.add_done_callback(lambda done: done.cancelled() or done.exception())
            return await asyncio.shield(flight)
        except (Unavailable, PromptError) as exc:
            if lookup.fail is Fail.CLOSED:
                raise
            log.warning("the lookup %s was left out: %s", lookup.id, exc.code)
            return None

    async def _renewed(self, lookup: Lookup, name: _Name) -> _Entry:
        mine = asyncio.current_task()
        try:
            entry = await self._asked(lookup, name)
            if self._flights.get(name) is mine:  # not forgotten in between: then what was read may be the old value
                self._keep(name, entry)
            return entry
        finally:
            if self._flights.get(name) is mine:
                del self._flights[name]

    async def _asked(self, lookup: Lookup, name: _Name) -> _Entry:
        asked_s = self._clock.now_s()
        tenant, _, key = name
        try:
            async with asyncio.timeout(lookup.timeout_s):
                value = await self._sources.ask(lookup, tenant, key)
        except TimeoutError as exc:
            raise failed(lookup, f"its source took over {lookup.timeout_s:g} s") from exc
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return _Entry(value, text, asked_s)

    def _keep(self, name: _Name, entry: _Entry) -> None:
        self._drop(name)
        self._entries[name] = entry
        self._bytes += len(entry.text)
        while self._bytes > MAX_BYTES or len(self._entries) > MAX_ENTRIES:
            self._drop(next(iter(self._entries)))

    def _drop(self, name: _Name) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._bytes -= len(entry.text)
