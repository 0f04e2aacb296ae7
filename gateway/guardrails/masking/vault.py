"""The placeholders of a session, the same in every call, in every worker and after a restart.

    open ─▶ Placeholders ─assign─▶ read the session's row, add what is new if nobody changed it since, else read again ─▶ <EMAIL_1>

Rules:
- A session is one row, written only under the ETag that was read. So two workers never give one number to two originals, nor
  two numbers to one original.
- A session lives 24 to 25 hours after its last masked call, what belongs to a stored answer 30 days. `purge` deletes what is over,
  and reads nothing else.
- Nothing is read before there is something to mask. What was read is believed for 5 s; after that it may have been erased.
- A call without a session keeps its placeholders to itself. Where a provider keeps the conversation (Responses), `save_under` writes
  them under the answer's id, and `open` with that id as `previous` brings them back.
- A store that does not answer makes it `GuardrailUnavailable`: what cannot be kept is not given out.

Originals are encrypted: see `vault_rows.py`. Must not: show one in a message or a log.
"""

import asyncio
import contextlib
import datetime
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from gateway.domain.tables import EntityChanged, EntityExists, Value
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.masking.placeholders import Entry, Place, Placeholders
from gateway.guardrails.masking.vault_rows import SHARDS, TABLE, Sealer, expires_in, expiry_of, hour_of, reaching
from gateway.ports import Clock, Tables

HOUR = datetime.timedelta(hours=1)
LIFE = 24 * HOUR
RESPONSE_LIFE = 30 * LIFE  # so long providers keep an answer, and so long a call may continue it
BELIEVED_S = 5.0
MAX_KEPT_BYTES = 32 * 1024 * 1024
TRIES = 20
PAUSE_S = 0.01  # after a write that somebody was quicker with, longer each time

_SESSION, _RESPONSE = "session", "response"
_ENTRY_BYTES = 300  # beyond the original itself, in memory


class _Held(msgspec.Struct, frozen=True):
    """A session's row as it was read: `etag` is None where there is none."""

    entries: tuple[Entry, ...]
    etag: str | None
    expires_at: datetime.datetime | None
    read_s: float

    def __repr__(self) -> str:
        return f"_Held({len(self.entries)} entries)"

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes, about."""
        return sum(_ENTRY_BYTES + 2 * len(each.original) for each in self.entries) + _ENTRY_BYTES


class Vault:
    """Keeps placeholders.

    Args:
        tables: Where.
        key: The server-side secret that all keys are derived from; the same in every worker.
        clock: The time.
        max_kept_bytes: How much of it is remembered in memory, about; the least recently used goes first.
    """

    def __init__(self, tables: Tables, key: bytes, clock: Clock, *, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._tables = tables
        self._sealer = Sealer(key)
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], _Held] = OrderedDict()
        self._kept_bytes = 0
        self._max_kept_bytes = max_kept_bytes

    async def open(self, tenant: str, session: str, *, previous: str = "") -> Placeholders:
        """Return the placeholders for a call.

        Args:
            tenant: The caller's.
            session: What its calls share, with whatever keeps this tenant's users apart; empty for this call alone.
            previous: Id of the answer that the call continues, where the provider keeps the conversation.

        Raises:
            GuardrailUnavailable: The store does not answer, or holds what cannot be read.
        """
        placeholders = Placeholders(self._sealer.place(tenant, _SESSION, session) if session else None)
        if previous:
            placeholders.learn((await self._held(self._sealer.place(tenant, _RESPONSE, previous))).entries)
            placeholders.use_all()
        return placeholders

    async def assign(
        self, placeholders: Placeholders, found: Iterable[tuple[str, str]], texts: Iterable[str] = ()
    ) -> dict[tuple[str, str], str]:
        """Give placeholders, and keep those that are new; see `Placeholders.assign`.

        Raises:
            GuardrailUnavailable: They cannot be kept.
            RequestError: The session is full.
        """
        found, texts = list(found), list(texts)
        place = placeholders.place
        if place is None or not found:
            return placeholders.assign(found, texts)
        held = await self._held(place)
        for attempt in range(TRIES):
            placeholders.learn(held.entries)
            made = placeholders.missing(found, texts)
            if not made and held.expires_at == self._expiry():
                return placeholders.use(found)
            if await self._write(place, held, [*held.entries, *made]):
                placeholders.learn(made)
                return placeholders.use(found)
            await self._clock.sleep(PAUSE_S * attempt)
            held = await self._held(place)
        raise _contested()

    async def save_under(self, tenant: str, placeholders: Placeholders, response_id: str) -> None:
        """Keep what is in use for the calls that continue an answer, or a conversation, by its id.

        To be done before the client may know the id. What is kept under it already stays.

        Raises:
            GuardrailUnavailable: It cannot be kept.
        """
        if not placeholders:
            return
        place = self._sealer.place(tenant, _RESPONSE, response_id)
        for attempt in range(TRIES):
            held = await self._held(place)
            known = {each.key for each in held.entries}
            new = [each for each in placeholders.entries if each.key not in known]
            if not new and held.expires_at is not None and self._expiry(RESPONSE_LIFE) - held.expires_at < LIFE:
                return
            if await self._write(place, held, [*held.entries, *new], RESPONSE_LIFE):
                return
            await self._clock.sleep(PAUSE_S * attempt)
        raise _contested()

    async def erase(self, tenant: str, session: str) -> bool:
        """Forget a session; False where there was none. Other workers believe what they read for 5 s more."""
        return await self._erase(self._sealer.place(tenant, _SESSION, session))

    async def erase_response(self, tenant: str, response_id: str) -> bool:
        """Forget what was kept for the calls that continue an answer; False where there was nothing."""
        return await self._erase(self._sealer.place(tenant, _RESPONSE, response_id))

    async def purge(self) -> int:
        """Delete what is over; returns how many sessions were. May run on two instances at once."""
        now, deleted = self._clock.utc(), 0
        before = hour_of(now + HOUR)
        with reaching():
            for shard in SHARDS:
                while rows := (await self._tables.query(TABLE, partition=expires_in(shard), row_below=before, limit=100)).entities:
                    for each in rows:
                        deleted += await self._purge(Place(str(each.values["partition"]), each.row.partition("|")[2]), now)
                        with contextlib.suppress(EntityChanged):  # another instance was quicker
                            await self._tables.delete(TABLE, each.partition, each.row)
        return deleted

    async def _purge(self, place: Place, now: datetime.datetime) -> bool:
        row = await self._tables.get(TABLE, place.partition, place.row)
        if row is None or expiry_of(row.values) > now:
            return False
        try:
            await self._tables.delete(TABLE, place.partition, place.row, row.etag)
        except EntityChanged:  # it lives again, and stands under another hour
            return False
        self._forget(place)
        return True

    async def _erase(self, place: Place) -> bool:
        self._forget(place)
        with reaching():
            try:
                await self._tables.delete(TABLE, place.partition, place.row)
            except EntityChanged:
                return False
        return True

    async def _held(self, place: Place) -> _Held:
        now_s = self._clock.now_s()
        held = self._kept.get((place.partition, place.row))
        if held is not None and now_s - held.read_s <= BELIEVED_S:
            self._kept.move_to_end((place.partition, place.row))
            return held
        self._forget(place)
        with reaching():
            row = await self._tables.get(TABLE, place.partition, place.row)
        if row is None:
            return _Held((), None, None, now_s)
        entries: Sequence[Entry] = ()
        if expiry_of(row.values) > self._clock.utc():
            await self._loaded()
            entries = self._sealer.open(place, row.values)
        held = _Held(tuple(entries), row.etag, expiry_of(row.values), now_s)
        self._keep(place, held)
        return held

    async def _write(self, place: Place, held: _Held, entries: Sequence[Entry], life: datetime.timedelta = LIFE) -> bool:
        """Write a session's row, unless somebody was quicker: then False. What says when it ends is written first."""
        await self._loaded()
        expires_at = self._expiry(life)
        values: dict[str, Value] = {"expires_at": expires_at, **self._sealer.seal(place, entries)}
        self._forget(place)  # until it is known what stands there
        with reaching():
            if held.expires_at != expires_at:
                row = f"{hour_of(expires_at)}|{place.row}"
                await self._tables.upsert(TABLE, expires_in(place.row[0]), row, {"partition": place.partition})
            try:
                if held.etag is None:
                    etag = await self._tables.insert(TABLE, place.partition, place.row, values)
                else:
                    etag = await self._tables.replace(TABLE, place.partition, place.row, values, held.etag)
            except (EntityExists, EntityChanged):
                return False
        self._keep(place, _Held(tuple(entries), etag, expires_at, self._clock.now_s()))
        return True

    def _expiry(self, life: datetime.timedelta = LIFE) -> datetime.datetime:
        """Return when a session that is used now is over: on the full hour, so that an hour's calls agree."""
        end = self._clock.utc() + life + HOUR
        return end.replace(minute=0, second=0, microsecond=0)

    async def _loaded(self) -> None:
        if not self._sealer.loaded:
            await asyncio.to_thread(self._sealer.load)

    def _keep(self, place: Place, held: _Held) -> None:
        self._forget(place)
        self._kept[place.partition, place.row] = held
        self._kept_bytes += held.size
        while self._kept_bytes > self._max_kept_bytes:
            self._kept_bytes -= self._kept.popitem(last=False)[1].size

    def _forget(self, place: Place) -> None:
        if (held := self._kept.pop((place.partition, place.row), None)) is not None:
            self._kept_bytes -= held.size


def _contested() -> GuardrailUnavailable:
    return GuardrailUnavailable("too many calls of this session are masked at once; retry in a moment", retry_after_s=1.0)
