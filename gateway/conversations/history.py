"""Conversations that the gateway keeps: one per tenant, subscription, user and session.

    partition                          row                     values
    {tenant}|{sub}|{user}|{session}    {request id, reversed}  expires_at, at, d0, d1 …: nonce and AES-256-GCM of JSON [message …]
    expires|{first of session}         {day}|{its partition}   partition: where something may expire then

Rules: but for the tenant, keys hold keyed hashes. A row is a whole turn, under its request's id: two calls at once both stay, and
what is written twice is there once. Ids sort by time, and reversed ones put the newest turn first, so loading is one query. What
is larger than a row takes lies in a blob. What says when something may expire is written first, so a blob whose row failed is
deleted, too. A conversation lives until `ttl_days` after its last turn. Each row is sealed with a key of its own (HKDF-SHA-256 of
the pepper, partition and row), which are associated data too.

Must not: show a text in a message or a log. Source: RFC 5869; NIST SP 800-38D (read 2026-11-22).
"""

import asyncio
import contextlib
import datetime
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.tables import Entity, EntityChanged, EntityExists, Value
from gateway.errors import NotFound, StoreUnavailable
from gateway.ports import Blobs, Clock, Tables

TABLE = CONTAINER = "conversations"
SHARDS = "0123456789abcdef"
MAX_ROW_BYTES = 400_000
_CELL_BYTES, _NONCE_BYTES, _NAME_CHARS, _MOST = 60_000, 12, 24, 1000
_IN_PROGRESS = datetime.timedelta(days=1)  # no call takes so long
_REVERSED = str.maketrans("0123456789abcdef", "fedcba9876543210")
_PURPOSE = b"gateway: conversations, 1"


class Owner(msgspec.Struct, frozen=True):
    """Whose conversation it is. Its repr names the tenant alone."""

    tenant: str
    subscription: str
    user: str
    session: str

    def __repr__(self) -> str:
        return f"Owner({self.tenant!r}, …)"


class Past(msgspec.Struct, frozen=True):
    """What was said before, oldest first; `complete` is False where older messages were left out."""

    messages: tuple[dict[str, Any], ...] = ()
    complete: bool = True

    def __repr__(self) -> str:
        return f"Past({len(self.messages)} messages)"


class Histories:
    """Keeps conversations.

    Args:
        tables: Where turns are.
        blobs: Where large ones are.
        pepper: The server-side secret; the same in every worker.
        clock: The time.
    """

    def __init__(self, tables: Tables, blobs: Blobs, pepper: bytes, clock: Clock) -> None:
        self._tables, self._blobs, self._clock = tables, blobs, clock
        self._root = hmac.digest(b"\0" * 32, pepper, hashlib.sha256)

    async def load(self, owner: Owner, max_messages: int) -> Past:
        """Return the newest turns, whole, of at most so many messages together.

        Raises:
            StoreUnavailable: The store does not answer, or what it holds cannot be read.
        """
        turns: list[list[dict[str, Any]]] = []
        room, later = max_messages, self._clock.utc()
        async for row in self._rows(self._partition(owner), limit=max(1, min(max_messages, _MOST))):
            if _expiry(row) <= later:  # that conversation was over before the next turn began a new one
                break
            at = row.values.get("at")
            later = at if isinstance(at, datetime.datetime) else later
            turn = await self._open(row)
            if len(turn) > room:
                return Past(_joined(turns), complete=False)
            room -= len(turn)
            turns.append(turn)
        return Past(_joined(turns))

    async def append(self, owner: Owner, request_id: str, turn: Sequence[Mapping[str, Any]], ttl_days: int) -> bool:
        """Add a turn; False where this request's is there already.

        Raises:
            StoreUnavailable: Nobody knows whether it was written; doing it again is safe.
        """
        partition, row = self._partition(owner), request_id.translate(_REVERSED)
        now = self._clock.utc()
        expires_at = now + datetime.timedelta(days=ttl_days)
        sealed = await asyncio.to_thread(self._seal, partition, row, turn)
        values: dict[str, Value] = {"expires_at": expires_at, "at": now}
        index = f"expires|{partition[-_NAME_CHARS]}"
        await self._tables.upsert(TABLE, index, f"{expires_at:%Y%m%d}|{partition}", {"partition": partition})
        if len(sealed) > MAX_ROW_BYTES:
            await self._blobs.put(CONTAINER, f"{partition}/{row}", sealed)
            values["blob"] = True
        else:
            values |= {f"d{at // _CELL_BYTES}": sealed[at : at + _CELL_BYTES] for at in range(0, len(sealed), _CELL_BYTES)}
        try:
            await self._tables.insert(TABLE, partition, row, values)
        except EntityExists:
            return False
        return True

    async def erase(self, owner: Owner) -> int:
        """Delete a conversation; returns how many there were, 0 or 1."""
        return await self._erase(self._partition(owner), None)

    async def erase_many(self, tenant: str, *, subscription: str = "", user: str = "", session: str = "") -> int:
        """Delete a tenant's conversations, narrowed by what is given; returns how many there were."""
        names = self._partition(Owner(tenant, subscription, user, session)).split("|")[-3:]
        wanted = [name if given else "" for name, given in zip(names, (subscription, user, session), strict=True)]
        found = [each async for each in self._partitions(tenant) if _fits(each, wanted)]
        return sum([await self._erase(each, None) for each in found])

    async def purge(self) -> int:
        """Delete conversations whose last turn is too old; returns how many. May run on two instances at once."""
        now, deleted = self._clock.utc(), 0
        below = f"{now + datetime.timedelta(days=1):%Y%m%d}"
        for shard in SHARDS:
            rows = [each async for each in self._rows(f"expires|{shard}", below)]
            for each in rows:
                partition = str(each.values["partition"])
                newest = await self._first(partition=partition)
                over = newest is None or _expiry(newest) <= now
                if over:
                    deleted += await self._erase(partition, now)
                if over or each.row < f"{now:%Y%m%d}":
                    with contextlib.suppress(EntityChanged):
                        await self._tables.delete(TABLE, each.partition, each.row)
        return deleted

    async def _erase(self, partition: str, over_at: datetime.datetime | None) -> bool:
        """Delete a conversation, or what of it is over; tells whether there was one."""
        rows = [each async for each in self._rows(partition)]
        going = {each.row for each in rows if over_at is None or _expiry(each) <= over_at}
        staying = {each.row for each in rows} - going
        prefix, after = f"{partition}/", None
        while names := await self._blobs.list(CONTAINER, prefix, after=after):
            after = names[-1]
            for row in [each.removeprefix(prefix) for each in names]:
                # One without a row: its row was never written, or is about to be. That one has an index row of its own.
                if row in going or (row not in staying and (over_at is None or _begun(row) < over_at - _IN_PROGRESS)):
                    await self._blobs.delete(CONTAINER, prefix + row)
        for row in sorted(going, reverse=True):  # the newest last: until it is gone, a purge that was cut short is done again
            with contextlib.suppress(EntityChanged):
                await self._tables.delete(TABLE, partition, row)
        return bool(rows)

    async def _rows(self, partition: str, below: str | None = None, limit: int = _MOST) -> AsyncIterator[Entity]:
        async for each in self._found(limit, partition=partition, row_below=below):
            yield each

    async def _first(self, **where: str) -> Entity | None:
        async for each in self._found(1, **where):
            return each
        return None

    async def _found(self, limit: int, **where: str | None) -> AsyncIterator[Entity]:
        """Return what a query finds. A page may be empty and have a continuation: only one without has nothing after it."""
        after = None
        while True:
            page = await self._tables.query(TABLE, limit=limit, continuation=after, **where)
            for each in page.entities:
                yield each
            if (after := page.continuation) is None:
                return

    async def _partitions(self, tenant: str) -> AsyncIterator[str]:
        start, end = f"{tenant}|", f"{tenant}}}"
        while (found := await self._first(partition_from=start, partition_below=end)) is not None:
            partition = found.partition
            if partition.rpartition("|")[0].count("|") == 2 + tenant.count("|"):
                yield partition
            start = partition + "\x20"

    def _partition(self, owner: Owner) -> str:
        given = (
            [owner.tenant, "subscription", owner.subscription],
            [owner.tenant, "user", owner.user],
            [owner.tenant, "session", owner.session],
        )
        hashes = [self._expand(b"names|" + json.dumps(each).encode()).hex()[:_NAME_CHARS] for each in given]
        return "|".join([owner.tenant, *hashes])

    def _seal(self, partition: str, row: str, turn: Sequence[Mapping[str, Any]]) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - not before the first turn

        nonce, bound = secrets.token_bytes(_NONCE_BYTES), f"{partition}\0{row}".encode()
        return nonce + AESGCM(self._expand(bound)).encrypt(nonce, msgspec.json.encode(turn), bound)

    async def _open(self, row: Entity) -> list[dict[str, Any]]:
        if row.values.get("blob"):
            try:
                sealed = await self._blobs.get(CONTAINER, f"{row.partition}/{row.row}")
            except NotFound:  # erased this moment
                return []
        else:
            cells = [row.values[f"d{number}"] for number in range(len(row.values)) if f"d{number}" in row.values]
            sealed = b"".join(each for each in cells if isinstance(each, bytes))
        return await asyncio.to_thread(self._unseal, f"{row.partition}\0{row.row}".encode(), sealed)

    def _unseal(self, bound: bytes, sealed: bytes) -> list[dict[str, Any]]:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - not before the first turn
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            data = AESGCM(self._expand(bound)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise StoreUnavailable("this conversation cannot be read: it was changed, or written under another key") from None
        return msgspec.json.decode(data, type=list[dict[str, Any]])

    def _expand(self, info: bytes) -> bytes:
        return hmac.digest(self._root, _PURPOSE + b"|" + info + b"\x01", hashlib.sha256)


def _joined(turns: list[list[dict[str, Any]]]) -> tuple[dict[str, Any], ...]:
    return tuple(message for turn in reversed(turns) for message in turn)


def _begun(row: str) -> datetime.datetime:
    """Return when the request of a turn came in: its id says so."""
    return datetime.datetime.fromtimestamp(int(row.translate(_REVERSED)[:12], 16) / 1000, datetime.UTC)


def _expiry(row: Entity) -> datetime.datetime:
    expires_at = row.values.get("expires_at")
    return expires_at if isinstance(expires_at, datetime.datetime) else datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _fits(partition: str, wanted: Sequence[str]) -> bool:
    """Tell whether a partition is of the subscription, user and session that are wanted; what is empty fits any."""
    return all(not each or each == name for each, name in zip(wanted, partition.split("|")[-3:], strict=True))
