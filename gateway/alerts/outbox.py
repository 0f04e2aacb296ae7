"""Alerts on their way: kept before anybody is told, and until everybody was.

Table `alerts`, partition `alerts`:

    e|<id>   the alert: kind, subject, tenant, at, data (JSON), created_at, and how far it is: state, attempts, next_at,
             left (targets not yet told, with commas between), error (the last one's), delivered_at
    p|<id>   that it is on its way: next_at. Written and deleted in one transaction with the change of its alert's row

    pending → delivered | dead (a day of failures; a replay makes it pending again)
    kept     nobody was configured to be told

Rules: an id is inserted once, so that what is found twice is told once. Whoever delivers an alert claims it first, for
`CLAIM_S`: a process that dies between sending and marking leaves it to be sent again, under the same id. So delivery is at
least once, and in no order. Finished alerts go after `KEEP`.
"""

import contextlib
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.alerts.events import Alert, Kind
from gateway.domain.tables import MAX_PAGE, Action, Entity, EntityChanged, EntityExists, Value, Write
from gateway.errors import Conflict, NotFound
from gateway.ports import Clock, Tables

ALERTS = "alerts"
PARTITION = "alerts"
PENDING, DELIVERED, DEAD, KEPT = "pending", "delivered", "dead", "kept"
STATES = (PENDING, DELIVERED, DEAD, KEPT)
CLAIM_S = 120
FIRST_WAIT_S, LONGEST_WAIT_S = 60, 3600
GIVE_UP = datetime.timedelta(days=1)
KEEP = datetime.timedelta(days=90)
MAX_ERROR_CHARACTERS = 300
MAX_WAITING = 20_000


class Claimed(msgspec.Struct, frozen=True):
    """An alert that this process alone delivers for a while.

    Attributes:
        row: As it was stored by the claim.
        left: The targets that were not told yet.
    """

    alert: Alert
    row: Entity
    left: tuple[str, ...]


class Outbox:
    """The table of alerts.

    Args:
        tables: Where it is.
        clock: Says what is due.
        targets: The names of those who are told.
    """

    def __init__(self, tables: Tables, clock: Clock, targets: Sequence[str]) -> None:
        self._tables = tables
        self._clock = clock
        self._targets = tuple(targets)

    async def add(self, alert: Alert) -> bool:
        """Keep an alert and have it told; False where it is known already. StoreUnavailable: add it again."""
        now = self._clock.utc()
        values: dict[str, Value] = {
            "kind": alert.kind.value,
            "subject": alert.subject,
            "tenant": alert.tenant,
            "at": alert.at,
            "data": msgspec.json.encode(alert.data).decode(),
            **self._fresh(now),
        }
        writes = [Write(Action.INSERT, f"e|{alert.id}", values)]
        if self._targets:
            writes.append(Write(Action.UPSERT, f"p|{alert.id}", {"next_at": now}))
        try:
            await self._tables.transact(ALERTS, PARTITION, writes)
        except EntityExists:
            return False
        return True

    async def due(self) -> list[str]:
        """Return the ids of alerts that are to be told now, the longest waiting first; it looks at the newest `MAX_WAITING`."""
        now = self._clock.utc()
        waiting: list[tuple[datetime.datetime, str]] = []
        seen, continuation = 0, None
        while seen < MAX_WAITING:
            page = await self._tables.query(ALERTS, partition=PARTITION, row_from="p|", row_below="p}", continuation=continuation)
            waiting += [(at, entity.row[2:]) for entity in page.entities if (at := _time(entity.values, "next_at")) <= now]
            seen, continuation = seen + len(page.entities), page.continuation
            if continuation is None:
                break
        return [found for _, found in sorted(waiting)]

    async def claim(self, name: str) -> Claimed | None:
        """Take an alert to deliver it; None where somebody else does, or it is done."""
        row = await self._tables.get(ALERTS, PARTITION, f"e|{name}")
        now = self._clock.utc()
        if row is None or row.values["state"] != PENDING:  # pruned or changed by hand: it is on its way no more
            with contextlib.suppress(EntityChanged):
                await self._tables.delete(ALERTS, PARTITION, f"p|{name}")
            return None
        if _time(row.values, "next_at") > now:
            return None
        attempts = int(str(row.values["attempts"])) + 1
        until = now + datetime.timedelta(seconds=CLAIM_S)
        claimed = await self._write(row, {**row.values, "attempts": attempts, "next_at": until}, pending_at=until)
        if claimed is None:
            return None
        return Claimed(alert_of(claimed), claimed, tuple(str(row.values["left"]).split(",")))

    async def settle(self, claimed: Claimed, left: Sequence[str], error: str, retry_after_s: float | None = None) -> None:
        """Note who is still to be told, and when to try again; nothing happens where the alert changed meanwhile."""
        now = self._clock.utc()
        values = {**claimed.row.values, "left": ",".join(left), "error": error[:MAX_ERROR_CHARACTERS]}
        if not left:
            await self._write(claimed.row, {**values, "state": DELIVERED, "delivered_at": now}, pending_at=None)
            return
        if now - _time(values, "created_at") >= GIVE_UP:
            await self._write(claimed.row, {**values, "state": DEAD}, pending_at=None)
            return
        wait_s = min(FIRST_WAIT_S * 2 ** (int(str(values["attempts"])) - 1), LONGEST_WAIT_S)
        wait_s = min(max(wait_s, retry_after_s or 0), LONGEST_WAIT_S)
        at = now + datetime.timedelta(seconds=wait_s)
        await self._write(claimed.row, {**values, "next_at": at}, pending_at=at)

    async def replay(self, name: str, tenant: str | None) -> dict[str, Any]:
        """Have an alert told once more, to everybody, under the same id.

        Args:
            name: Its id.
            tenant: Whose it must be; None for anybody's.

        Raises:
            NotFound: There is none of this id, or none of this tenant.
            Conflict: Nobody is configured to be told, or the alert is on its way already.
        """
        row = await self._tables.get(ALERTS, PARTITION, f"e|{name}") if _is_id(name) else None
        if row is None or (tenant is not None and row.values["tenant"] != tenant):
            raise NotFound(f"there is no alert {name[:80]!r}", code="alert_not_found")
        if not self._targets:
            message = "nobody is configured to be told of alerts; set GATEWAY_ALERTS_WEBHOOK or GATEWAY_ALERTS_QUEUE"
            raise Conflict(message, code="no_alert_target")
        if row.values["state"] == PENDING:
            raise Conflict(f"the alert {name} is on its way already; look again in a minute")
        now = self._clock.utc()
        again = await self._write(row, {**row.values, **self._fresh(now)}, pending_at=now)
        if again is None:
            raise Conflict(f"somebody else changed the alert {name} at the same time; look again")
        return shown(again)

    async def show(self, name: str) -> dict[str, Any] | None:
        """Return an alert as it stands; None where there is none of this id."""
        row = await self._tables.get(ALERTS, PARTITION, f"e|{name}") if _is_id(name) else None
        return shown(row) if row is not None else None

    async def page(self, limit: int, after: str | None) -> tuple[Sequence[Entity], str | None]:
        """Return some alerts, the newest first, and what continues after them."""
        page = await self._tables.query(ALERTS, partition=PARTITION, row_from="e|", row_below="e}", limit=limit, continuation=after)
        return page.entities, page.continuation

    async def prune(self) -> int:
        """Delete up to 1000 of the alerts that are older than `KEEP` and not on their way."""
        oldest = self._clock.utc() - KEEP
        left_ms = 2**48 - 1 - int(oldest.timestamp() * 1000)
        page = await self._tables.query(ALERTS, partition=PARTITION, row_from=f"e|alert_{left_ms:012x}", row_below="e}", limit=MAX_PAGE)
        rows = [entity for entity in page.entities if entity.values["state"] != PENDING]
        for entity in rows:
            await self._tables.delete(ALERTS, PARTITION, entity.row)
        return len(rows)

    def _fresh(self, now: datetime.datetime) -> dict[str, Value]:
        state = PENDING if self._targets else KEPT
        left = ",".join(self._targets)
        return {"state": state, "attempts": 0, "next_at": now, "created_at": now, "left": left, "error": ""}

    async def _write(self, row: Entity, values: Mapping[str, Value], *, pending_at: datetime.datetime | None) -> Entity | None:
        """Write an alert and whether it is on its way; None where somebody else did so first."""
        pointer = f"p|{row.row[2:]}"
        way = Write(Action.UPSERT, pointer, {"next_at": pending_at}) if pending_at else Write(Action.DELETE, pointer, etag="*")
        try:
            etags = await self._tables.transact(ALERTS, PARTITION, [Write(Action.REPLACE, row.row, values, row.etag), way])
        except EntityChanged:
            return None
        return Entity(row.partition, row.row, values, etags[0] or "")


def alert_of(row: Entity) -> Alert:
    """Return the stored alert."""
    values = row.values
    kind = Kind(str(values["kind"]))
    data = json.loads(str(values["data"]))
    return Alert(row.row[2:], kind, str(values["subject"]), str(values["tenant"]), _time(values, "at"), data)


def shown(row: Entity) -> dict[str, Any]:
    """Return a stored alert as /manage/alerts shows it."""
    alert, values = alert_of(row), row.values
    shown: dict[str, Any] = {
        "id": alert.id,
        "type": alert.kind.value,
        "subject": alert.subject,
        "tenant": alert.tenant or None,
        "time": alert.at,
        "state": values["state"],
        "attempts": values["attempts"],
        "data": alert.data,
    }
    if values["state"] == PENDING:
        shown["next_at"] = values["next_at"]
    if delivered_at := values.get("delivered_at"):
        shown["delivered_at"] = delivered_at
    if values["error"]:
        shown["error"] = values["error"]
    return shown


def _is_id(name: str) -> bool:
    return name.removeprefix("alert_").isalnum() and name.startswith("alert_") and name.isascii() and len(name) <= 64


def _time(values: Mapping[str, Value], name: str) -> datetime.datetime:
    value = values[name]
    if not isinstance(value, datetime.datetime):
        raise TypeError(f"{name} of an alert is no time")
    return value
