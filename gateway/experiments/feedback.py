"""`POST /v1/feedback`: what people think of an answer, or of a session.

    {"request_id": "req_…", "metric": "helpful", "value": true, "comment": "…"}        or "session_id" in the request's place

Experiments measure it as `feedback.helpful`. One vote of a user (a token's, or `x-gateway-user`) counts for a request and metric: sent
again it replaces the first. A call that is named must be the caller's own: of its tenant and subscription; any other one looks like one
that never was. The id tells when the call arrived, so its record is found by point reads. One whose record may still come (calls of the
last `LATE`) is accepted with 202 and joined later; an older one that is not there is refused with 404. Sessions have no index: a vote
on one is accepted as it is, and counts where an experiment knows the session of this subscription.

Votes are kept for `KEPT_DAYS`. A subscription may send `A_MINUTE` to one worker.
"""

import asyncio
import datetime
import math
import re
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.domain.access import Principal, masked_keys
from gateway.domain.call import Answer, Inbound
from gateway.domain.catalog import Catalog
from gateway.domain.experiments import FEEDBACK
from gateway.domain.labels import MAX_VALUE_CHARACTERS, USER
from gateway.domain.ledger import USAGE, hour_of
from gateway.domain.strict_json import parse_object
from gateway.domain.tables import MAX_TRANSACTION_WRITES, Action, EntityChanged, Value, Write
from gateway.errors import NotFound, PayloadTooLarge, RateLimited, RequestError
from gateway.experiments.feedback_rows import FEEDBACK_TABLE, LATE, Vote, joined, read_vote
from gateway.ports import Clock, Tables

KEPT_DAYS = 90
A_MINUTE = 600
MAX_BODY_BYTES = 16 * 1024
MAX_COMMENT_CHARACTERS = 2000
MAX_VALUE = 1e9
JOINED_AT_ONCE = 100
PURGED_AT_ONCE = 20  # pages
SUBSCRIPTIONS = 10_000
SHARDS = "0123456789abcdef"  # of the ledger's partitions
_AHEAD = datetime.timedelta(minutes=1)  # two instances' clocks may differ by
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}\Z")
_REQUEST = re.compile(r"req_([0-9a-f]{12})7[0-9a-f]{19}\Z")
_MEMBERS = frozenset({"request_id", "session_id", "metric", "value", "comment"})


class Feedback:
    """Takes votes, joins them with their calls, and forgets them in the end.

    Args:
        tables: Where votes and usage records are.
        clock: The time.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._rates: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    async def receive(
        self, inbound: Inbound, receive_body: Callable[[], Awaitable[bytes]], principal: Principal, catalog: Catalog
    ) -> Answer:
        """Take one vote. Answers 200 with what is kept, or 202 while the call's record is not known.

        Raises:
            RequestError: A member is missing, or is not what it must be.
            NotFound: The caller has made no such call.
            RateLimited: The subscription sends too many.
        """
        del catalog
        self._admit(principal)
        body = await receive_body()
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"feedback may have at most {MAX_BODY_BYTES} bytes")
        vote = _read(parse_object(body), principal, inbound.headers, self._clock.utc())
        if vote.request_id:
            vote = await self._of_a_call(vote)
        await self._tables.upsert(FEEDBACK_TABLE, _partition(vote), vote.key, vote.row())
        pending = bool(vote.request_id) and vote.called_at is None
        return Answer({}, msgspec.json.encode(_shown(vote, pending=pending)), status=202 if pending else 200)

    async def join(self) -> int:
        """Join votes that wait with the records that have come since; returns how many."""
        now, done = self._clock.utc(), 0
        hours = {hour_of(now - LATE): None, hour_of(now): None}
        waiting = [vote for hour in hours for vote in await self._waiting(hour, now)]
        for vote in waiting[:JOINED_AT_ONCE]:
            record = await self._record(vote)
            if record is None:
                continue
            found = await self._tables.get(FEEDBACK_TABLE, _partition(vote), vote.key)
            if found is None:
                continue
            try:  # a vote that was changed in between is joined as it is now, with the next run
                row = joined(read_vote(found.values), record).row()
                await self._tables.replace(FEEDBACK_TABLE, found.partition, found.row, row, found.etag)
            except EntityChanged:
                continue
            done += 1
        return done

    async def purge(self) -> int:
        """Delete votes that were kept for long enough; returns how many. What is left is the next run's."""
        below = hour_of(self._clock.utc() - datetime.timedelta(days=KEPT_DAYS))
        deleted = 0
        for _ in range(PURGED_AT_ONCE):
            page = await self._tables.query(FEEDBACK_TABLE, partition_from="0", partition_below=below)
            partitions: dict[str, list[str]] = defaultdict(list)
            for entity in page.entities:
                partitions[entity.partition].append(entity.row)
            for partition, rows in partitions.items():
                for first in range(0, len(rows), MAX_TRANSACTION_WRITES):
                    writes = [Write(Action.DELETE, row, etag="*") for row in rows[first : first + MAX_TRANSACTION_WRITES]]
                    try:
                        await self._tables.transact(FEEDBACK_TABLE, partition, writes)
                    except EntityChanged:  # another instance purges at the same time
                        return deleted
                    deleted += len(writes)
            if page.continuation is None:
                break
        return deleted

    def _admit(self, principal: Principal) -> None:
        key, now_s = (principal.tenant, principal.subscription), self._clock.now_s()
        minute = int(now_s // 60)
        since, count = self._rates.pop(key, (minute, 0))
        count = count + 1 if since == minute else 1
        self._rates[key] = (minute, min(count, A_MINUTE + 1))
        while len(self._rates) > SUBSCRIPTIONS:
            self._rates.popitem(last=False)
        if count > A_MINUTE:
            raise RateLimited(f"a subscription may send {A_MINUTE} votes a minute; wait", retry_after_s=60 - now_s % 60)

    async def _of_a_call(self, vote: Vote) -> Vote:
        now, arrived = self._clock.utc(), _arrived(vote.request_id)
        if arrived is not None and arrived <= now + _AHEAD:
            record = await self._record(vote)
            if record is not None:
                return joined(vote, record)
            if arrived >= now - LATE:
                return vote
        raise NotFound("you have made no call of this id; send the x-request-id of one of this subscription's answers", param="request_id")

    async def _record(self, vote: Vote) -> Mapping[str, Value] | None:
        """Return the usage record of the call that the vote names, if it is the voter's subscription's."""
        arrived = _arrived(vote.request_id)
        if arrived is None:
            return None
        for hour in {hour_of(arrived): None, hour_of(arrived + LATE): None}:
            reads = [self._tables.get(USAGE, f"{hour}|{vote.tenant}|{shard}", vote.request_id) for shard in SHARDS]
            for found in await asyncio.gather(*reads):
                if found is not None:
                    own = found.values.get("subscription", "") == vote.subscription
                    return found.values if own else None
        return None

    async def _waiting(self, hour: str, now: datetime.datetime) -> list[Vote]:
        votes: list[Vote] = []
        continuation: str | None = None
        while True:
            page = await self._tables.query(
                FEEDBACK_TABLE, partition_from=f"{hour}|", partition_below=f"{hour}|~", continuation=continuation
            )
            read = [read_vote(entity.values) for entity in page.entities]
            votes += [vote for vote in read if vote.request_id and vote.called_at is None and vote.at >= now - LATE]
            continuation = page.continuation
            if continuation is None:
                return votes


def _partition(vote: Vote) -> str:
    return f"{hour_of(vote.at)}|{vote.tenant}"


def _arrived(request_id: str) -> datetime.datetime | None:
    """Return when a call arrived, as its id says; None for what is no id of ours."""
    found = _REQUEST.match(request_id)
    milliseconds = int(found[1], 16) if found else 0
    if not 0 < milliseconds < 253_402_300_800_000:
        return None
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _read(document: Mapping[str, Any], principal: Principal, headers: Mapping[str, str], now: datetime.datetime) -> Vote:
    for name in document:
        if name not in _MEMBERS:
            raise RequestError(f"feedback has no member {name[:64]!r}; it has {', '.join(sorted(_MEMBERS))}", param=name[:64])
    if ("request_id" in document) == ("session_id" in document):
        raise RequestError("name what the feedback is on: exactly one of 'request_id' and 'session_id'", param="request_id")
    request_id, session_id = _text(document, "request_id"), masked_keys(_text(document, "session_id").strip())
    if not request_id and not session_id:
        named = "request_id" if "request_id" in document else "session_id"
        raise RequestError(f"{named!r} must not be empty", param=named, code="invalid_value")
    metric = _text(document, "metric")
    if not _METRIC.match(metric):
        raise RequestError(
            "'metric' must be a name: a letter, then up to 63 letters, digits, or . _ -", param="metric", code="invalid_value"
        )
    if metric.startswith(FEEDBACK):
        said = f"'metric' goes without {FEEDBACK!r}, which experiments put before it: send {metric.removeprefix(FEEDBACK)!r}"
        raise RequestError(said, param="metric", code="invalid_value")
    return Vote(
        tenant=principal.tenant,
        subscription=principal.subscription,
        request_id=request_id,
        session_id=session_id,
        metric=metric,
        value=_value(document.get("value")),
        by=(principal.user or headers.get(USER, "").strip())[:MAX_VALUE_CHARACTERS],
        comment=masked_keys(_text(document, "comment", MAX_COMMENT_CHARACTERS)),
        at=now,
    )


def _text(document: Mapping[str, Any], name: str, most: int = MAX_VALUE_CHARACTERS) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or len(value) > most:
        raise RequestError(f"{name!r} must be a text of at most {most} characters", param=name, code="invalid_value")
    return value


def _value(value: Any) -> float:
    if not isinstance(value, bool | int | float) or not math.isfinite(value) or abs(value) > MAX_VALUE:
        raise RequestError(
            f"'value' must be true, false, or a number from -{MAX_VALUE:g} to {MAX_VALUE:g}", param="value", code="invalid_value"
        )
    return float(value)


def _shown(vote: Vote, *, pending: bool) -> dict[str, Any]:
    of = {"request_id": vote.request_id} if vote.request_id else {"session_id": vote.session_id}
    said = {"metric": vote.metric, "value": vote.value, "comment": vote.comment or None}
    return {"object": "feedback", "id": f"feedback_{vote.key}", **of, **said, "status": "pending" if pending else "stored", "at": vote.at}
